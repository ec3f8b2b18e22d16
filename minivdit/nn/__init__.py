"""Layers with weights, and the Module that finds them."""

from .layers import Conv, Embedding, LayerNorm, Linear, RMSNorm
from .module import Buffer, Module, Parameter, fingerprint

__all__ = ["Buffer", "Conv", "Embedding", "LayerNorm", "Linear", "Module", "Parameter", "RMSNorm", "fingerprint"]
