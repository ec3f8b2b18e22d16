"""Every kernel file there is, by name: those of attention and those beside it."""

from . import attention, fused

FILES = {**attention.FILES, **fused.FILES}
