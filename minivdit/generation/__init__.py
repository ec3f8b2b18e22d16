"""From a caption to a video: TextToVideo."""

from .text_to_video import GenerationSettings, TextToVideo

__all__ = ["GenerationSettings", "TextToVideo"]
