"""Digits, captions and clips: everything a model is trained on and judged by."""

from .captions import parse
from .digits import DigitSource, check_source, digit_source, source_like
from .fields import fields_of, in_fields, read_fields
from .grammar import DIRECTIONS, FIELDS, SPEEDS, USUAL_SPEEDS, VOCABULARY, DigitMotion, describe, vocabulary
from .mixed import MixedClips, Shape
from .moving_mnist import HELD_OUT, PIXELS_PER_FRAME, VERY_FAST, CaptionedClips, Clips, paint
from .own_clips import ClipSettings, open_folder
from .paths import along, path_maps
from .steering import Steering
from .velocities import due, field_maps, velocity_fields

__all__ = [
    "DIRECTIONS",
    "FIELDS",
    "HELD_OUT",
    "PIXELS_PER_FRAME",
    "SPEEDS",
    "USUAL_SPEEDS",
    "VERY_FAST",
    "VOCABULARY",
    "CaptionedClips",
    "ClipSettings",
    "Clips",
    "DigitMotion",
    "DigitSource",
    "MixedClips",
    "Shape",
    "Steering",
    "along",
    "check_source",
    "describe",
    "digit_source",
    "due",
    "field_maps",
    "fields_of",
    "in_fields",
    "open_folder",
    "paint",
    "parse",
    "path_maps",
    "read_fields",
    "source_like",
    "velocity_fields",
    "vocabulary",
]
