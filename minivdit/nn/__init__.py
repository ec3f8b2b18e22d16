"""Layers with weights, and the Module that finds them."""

from .layers import Conv, Embedding, Linear, RMSNorm
from .module import Buffer, Module, Parameter, fingerprint
