"""From a caption to a video: TextToVideo, and what else it can do with frames that are given."""

from .given import Given
from .text_to_video import TextToVideo
from .weights import GenerationSettings
