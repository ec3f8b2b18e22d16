"""Digits, captions and clips: everything a model is trained on and judged by."""

from .captions import parse
from .digits import DigitSource, check_source, digit_source, source_like
from .grammar import DIRECTIONS, SPEEDS, VOCABULARY, DigitMotion, describe
from .mixed import MixedClips, Shape
from .moving_mnist import HELD_OUT, PIXELS_PER_FRAME, CaptionedClips, Clips, paint

__all__ = [
    "DIRECTIONS",
    "HELD_OUT",
    "PIXELS_PER_FRAME",
    "SPEEDS",
    "VOCABULARY",
    "CaptionedClips",
    "Clips",
    "DigitMotion",
    "DigitSource",
    "MixedClips",
    "Shape",
    "check_source",
    "describe",
    "digit_source",
    "paint",
    "parse",
    "source_like",
]
