"""Digits, captions and clips: everything a model is trained on and judged by."""

from .captions import parse
from .digits import DigitSource, check_source, digit_source, source_like
from .fields import fields_of, in_fields, read_fields
from .grammar import COLOURS, DIRECTIONS, FIELDS, SPEEDS, USUAL_SPEEDS, VOCABULARY, DigitMotion, describe, vocabulary
from .mixed import MixedClips, Shape
from .moving_mnist import HELD_OUT, PIXELS_PER_FRAME, VERY_FAST, CaptionedClips, Clips, paint
from .own_clips import ClipSettings, open_folder
from .paths import along, path_maps
from .steering import Steering
from .velocities import due, field_maps, velocity_fields
