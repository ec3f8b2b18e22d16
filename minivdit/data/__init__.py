"""Digits, captions and clips: everything a model is trained on and judged by."""

from .captions import parse
from .digits import DigitSource, check_source, digit_source, resize, source_like
from .grammar import DIRECTIONS, MAX_WORDS, SPEEDS, VOCABULARY, DigitMotion, describe
from .idx import read_idx
from .mixed import MixedClips, Shape
from .mnist import data_directory, find_mnist, load_mnist
from .moving_mnist import (
    HELD_OUT,
    PIXELS_PER_FRAME,
    CaptionedClips,
    Clips,
    classic_moving_mnist,
    classic_trajectory,
    paint,
    read_moving_mnist,
)
from .strokes import stroke_digits
from .words import split_words

__all__ = [
    "DIRECTIONS",
    "HELD_OUT",
    "MAX_WORDS",
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
    "classic_moving_mnist",
    "classic_trajectory",
    "data_directory",
    "describe",
    "digit_source",
    "find_mnist",
    "load_mnist",
    "paint",
    "parse",
    "read_idx",
    "read_moving_mnist",
    "resize",
    "source_like",
    "split_words",
    "stroke_digits",
]
