"""The networks: autoencoder, text encoder, patches and positions, attention patterns, the video transformer."""

from .autoencoder import Autoencoder, AutoencoderConfig
from .text import CaptionReader, TextEncoder, Tokenizer
from .video_dit import VideoDiT, VideoDiTConfig

__all__ = [
    "Autoencoder",
    "AutoencoderConfig",
    "CaptionReader",
    "TextEncoder",
    "Tokenizer",
    "VideoDiT",
    "VideoDiTConfig",
]
