"""Digits, captions and clips: everything a model is trained on and judged by."""

from .captions import parse
from .digits import DigitSource, check_source, digit_source, source_like
from .grammar import DIRECTIONS, SPEEDS, USUAL_SPEEDS, VOCABULARY, DigitMotion, describe, vocabulary
from .mixed import MixedClips, Shape
from .moving_mnist import HELD_OUT, PIXELS_PER_FRAME, VERY_FAST, CaptionedClips, Clips, paint
from .paths import along, path_maps
from .velocities import due, field_maps, velocity_fields

__all__ = [
    "DIRECTIONS",
    "HELD_OUT",
    "PIXELS_PER_FRAME",
    "SPEEDS",
    "USUAL_SPEEDS",
    "VERY_FAST",
    "VOCABULARY",
    "CaptionedClips",
    "Clips",
    "DigitMotion",
    "DigitSource",
    "MixedClips",
    "Shape",
    "along",
    "check_source",
    "describe",
    "digit_source",
    "due",
    "field_maps",
    "paint",
    "parse",
    "path_maps",
    "source_like",
    "velocity_fields",
    "vocabulary",
]
