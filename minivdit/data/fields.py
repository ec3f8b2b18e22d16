"""Captions of fields: "count: one, digit: 3, start: upper left, direction: right, speed: fast, later: up".

Each field has one meaning and can be left out, or be wrong, by itself. Mira was trained with structured captions, whose
fields are the main object, the background, the camera and the style (MiraData, Ju et al. 2024).

    caption = ["count" number] digit [digit] {"later" direction}      (later: of one digit, at equal parts of the clip)
    digit   = ["digit" numeral] ["start" place] ["direction" direction] ["speed" speed]

Colons and commas may be left out. A caption is handled as a list of fields, each a pair (name, value).
"""

from ..base.errors import InputError, shorten
from .grammar import FIELDS, MAX_DIGITS, DigitMotion

OF_A_DIGIT = ("digit", "start", "direction", "speed")
IN_ORDER = f"fields come in the order {', '.join(FIELDS)}"


def fields_of(motions, places, turns=()):
    """The fields of a clip: its DigitMotions, where each starts (see `place_of`), and the directions of its turns."""
    fields = [("count", FIELDS["count"][len(motions) - 1])]
    for (digit, direction, speed, _), place in zip(motions, places):
        fields += zip(OF_A_DIGIT, (str(digit), place, direction, speed))
    return fields + [("later", turn) for turn in turns]


def place_of(centre, size):
    """The quarter of a canvas (height, width) in which a centre (y, x) lies, in pixels: one of FIELDS["start"]."""
    (y, x), (height, width) = centre, size
    return f"{'upper' if 2 * y < height - 1 else 'lower'} {'left' if 2 * x < width - 1 else 'right'}"


def in_fields(fields):
    """The caption that `read_fields` reads."""
    return ", ".join(f"{name}: {value}" for name, value in fields)


def draw_fields(generator, motions, centres, size, turns, dropout):
    """The caption of fields of a clip, without fields that are left out by chance, each with probability `dropout`.

    centres: (y, x) of each digit in the first frame, in pixels of a canvas of this size.
    """
    places = [place_of(centre, size) for centre in centres]
    left_out = {name for name in FIELDS if generator.random() < dropout}
    return in_fields(field for field in fields_of(motions, places, turns) if field[0] not in left_out)


def is_fields(words):
    """Whether a list of words begins as a caption of fields does, and no sentence. ("Digit 3" may begin either.)"""
    return bool(words) and (words[0] in FIELDS if words[0] != "digit" else len(words) > 2 and words[2] in FIELDS)


def read_fields(words):
    """The fields that a list of words says. InputError for a value that none has, and for another order.

    That there are as many digits as "count" says isn't asked.
    """
    fields, begins = [], [place for place, word in enumerate(words) if word in FIELDS]
    for begin, end in zip(begins, [*begins[1:], len(words)]):
        name, value = words[begin], " ".join(words[begin + 1 : end])
        if value not in FIELDS[name]:
            raise InputError(f"'{name}' is followed by {', '.join(FIELDS[name])}; not {shorten(value)!r}")
        if (name == "count" and fields) or (name != "later" and fields and fields[-1][0] == "later"):
            raise InputError(f"'{name}' is not in its place; {IN_ORDER}")
        fields.append((name, value))
    if (digits := len(_by_digit(fields))) > MAX_DIGITS:
        raise InputError(f"these fields say what {digits} digits do, of 1 or {MAX_DIGITS} in a clip; {IN_ORDER}")
    return fields


def motions_in(fields):
    """The DigitMotions of a caption of fields, in which each digit and its direction must be."""
    motions = []
    for told in _by_digit(fields):
        for needed in ("digit", "direction"):
            if needed not in told:
                raise InputError(f"the fields don't say '{needed}'; add it, such as {needed}: {FIELDS[needed][3]}")
        motions.append(DigitMotion(int(told["digit"]), told["direction"], told.get("speed", "normal")))
    return motions


def _by_digit(fields):
    """The fields of each digit, a list of dicts. A field that isn't later in OF_A_DIGIT begins the next digit."""
    digits, before = [{}], -1
    for name, value in fields:
        if name in OF_A_DIGIT:
            place = OF_A_DIGIT.index(name)
            if place <= before:
                digits.append({})
            digits[-1][name], before = value, place
    return digits


def count_in(words):
    """How many digits the words of a caption of fields ask for."""
    return max(words.count("digit"), 2 if FIELDS["count"][1] in words else 1)
