"""The networks: autoencoder, text encoder, patches and positions, attention patterns, the video transformer."""

from .autoencoder import Autoencoder, AutoencoderConfig
from .causal_autoencoder import CausalAutoencoder, make_autoencoder
from .text import CaptionReader, TextEncoder, Tokenizer
from .video_dit import VideoDiT, VideoDiTConfig
