"""The networks: autoencoder, text encoder, patches and positions, attention patterns, the video transformer."""

from .autoencoder import Autoencoder, AutoencoderConfig
from .text import TextEncoder, Tokenizer
from .video_dit import VideoDiT, VideoDiTConfig

__all__ = ["Autoencoder", "AutoencoderConfig", "TextEncoder", "Tokenizer", "VideoDiT", "VideoDiTConfig"]
