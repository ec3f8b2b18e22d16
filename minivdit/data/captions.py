"""What a caption means: the motions that it asks for, also where it is not written in the words of the grammar."""

import contextlib
import re

from ..base.errors import InputError, shorten
from .fields import is_fields, motions_in, read_fields
from .grammar import (
    ALL_WORDS,
    COLOURS,
    DIGIT_WORDS,
    DIRECTIONS,
    HORIZONTAL,
    MAX_DIGITS,
    SPEED_OF,
    SPEED_WORDS,
    THEN,
    USUAL_SPEEDS,
    VERTICAL,
    VOCABULARY,
    WHITE,
    DigitMotion,
    describe,
    motions_of,
)
from .words import check_words, count_digits, nearest, plain_words, reason, split_at_then, split_words

# What a caption may say of the camera, perhaps with "and" before or after it.
_CAMERA = re.compile(
    r"(?:\b(?:and|while|as) )?(?:\bthe )?\bcamera (?:is )?(?:pans|panning|moves|moving)\b(?: (?P<early>{how})\b)?"
    r"(?: (?P<vertical>up|down)(?:wards)?\b)?(?:(?(vertical) and) (?:to the )?(?P<horizontal>left|right)\b)?"
    r"(?: (?P<late>{how})\b)?(?: (?:and|while|as)\b)?".format(how="|".join(SPEED_OF))
)
# The first words of a part that says only what becomes different: "..., then up".
_WITHOUT_A_DIGIT = {"to", "upwards", "downwards", *VERTICAL, *HORIZONTAL, *SPEED_WORDS}


def parse(caption):
    """The DigitMotions, (digit, direction, speed, colour), that a caption asks for.

    An unstated speed is "normal", an unstated colour WHITE.

    Words that people use in place of the grammar's are understood, too: see words.SYNONYMS. So are fields, but for what
    comes later. Raises InputError that says what can't be drawn, which word was meant, or where the sentence leaves the
    grammar and what could stand there; it ends with a caption that works.
    """
    with naming_a_caption(caption, ALL_WORDS):
        return _parse(plain_words(caption))


def _parse(words):
    check_words(words)
    return motions_in(read_fields(words)) if is_fields(words) else motions_of(words)


def over_time(caption, read=plain_words):
    """The parts of a caption between one "then" and the next, each a caption, as a list.

    "a 3 moving right, then a 3 moving up" -> ["a 3 moving right", "a 3 moving up"]. Where a part has a direction or a
    speed alone, the digit before it goes on: "a 3 moving right, then up" says the same. read: how a caption becomes
    words. Raises InputError where something is missing.
    """
    parts = split_at_then(read(caption))
    if len(parts) > 1 and not all(parts):
        raise InputError(
            f"{shorten(caption)!r} has nothing on one side of 'then'; write such as 'a 3 moving right, then up'"
        )
    with naming_a_caption(caption):
        for place in range(1, len(parts)):
            if parts[place][0] in _WITHOUT_A_DIGIT:
                parts[place] = describe([_going_on(parts[place - 1], parts[place])]).split()
    return [" ".join(words) for words in parts]


def _going_on(before, words):
    """The DigitMotion of the one digit before, in the direction (and at the speed) that these words say."""
    motion, *others = _parse(before)
    if others:
        raise InputError(
            f"{shorten(' '.join(words))!r} doesn't say which of two digits; write the whole caption after 'then'"
        )
    same_direction = motion.direction.split() if SPEED_WORDS.issuperset(words) else []
    (later,) = _parse(["a", str(motion.digit), "moving", *words, *same_direction])
    return later._replace(speed=motion.speed if SPEED_WORDS.isdisjoint(words) else later.speed, colour=motion.colour)


def without_camera(caption):
    """A caption without what it says of the camera, and that: ((dy, dx) of DIRECTIONS, one of SPEEDS), or None.

    "a 3 moving right, the camera pans slowly left" -> ("a 3 moving right", ((0, -1), "slow")). No network is told these
    words: they become a pan, see velocities. InputError where they say no such thing, or say it twice.
    """
    words = split_words(caption)
    if "camera" not in words:
        return caption, None
    text = " ".join(words)
    if found := _CAMERA.search(text):
        before, after = text[: found.start()].strip(), text[found.end() :].strip()
        way = " and ".join(filter(None, found.group("vertical", "horizontal")))
        adverbs = list(filter(None, found.group("early", "late")))
        speed = SPEED_OF[adverbs[0]] if adverbs else "normal"
        more = "camera" in f"{before} {after}".split() or after.partition(" ")[0] in {THEN, *_WITHOUT_A_DIGIT}
        if way in DIRECTIONS and speed in USUAL_SPEEDS and len(adverbs) < 2 and not more:
            return " and ".join(filter(None, (before, after))), (DIRECTIONS[way], speed)
    raise InputError(
        f"{shorten(caption)!r} doesn't say how the camera pans; write such as 'a 3 moving right, the camera pans "
        "slowly up and left'"
    )


@contextlib.contextmanager
def naming_a_caption(caption, known=VOCABULARY):
    """End an InputError with the caption that works and is closest to this one, if all its words are known."""
    try:
        yield
    except InputError as error:
        near = nearest_caption(caption, known)
        if not set(near.replace(",", "").split()) <= set(known):
            raise
        raise InputError(f"{error}; try: {near}") from None


def nearest_caption(caption, known=ALL_WORDS):
    """A caption of the grammar that says what this one most likely means, or else "a 3 moving right".

    known: its words; without those of COLOURS the caption names none.
    """
    told, digits = [], (3, 7)
    usual = ("up and right", "down and left") if "diagonal" in caption.lower() else ("right", "up")
    for part in split_at_then(plain_words(caption))[:2]:
        found = loosely([] if is_fields(part) else part)
        if asks_for_digits(caption) == MAX_DIGITS > count_digits(part) == 0:
            found *= MAX_DIGITS
        digits = [digit for digit, *_ in found if digit is not None] or digits[: len(found)]
        motions = [
            (direction or other, speed, colour if colour in known else WHITE)
            for (_, direction, speed, colour), other in zip(found, usual)
        ]
        told.append(describe([DigitMotion(digit, *motion) for digit, motion in zip(digits, motions)]))
    return f", {THEN} ".join(told)


def asks_for_digits(caption):
    """How many digits a caption asks for at one time: those that it names, or two for a bare "digits"."""
    named = count_digits(plain_words(caption))
    return named or MAX_DIGITS * (not {"digits", "numbers", "numerals"}.isdisjoint(split_words(caption)))


def loosely(words):
    """(digit, direction, speed, colour) of the first one or two digits in any sentence.

    A digit or a direction that is missing is None, a colour WHITE.
    """
    told, colour = [(None, [], WHITE)], WHITE
    for word in words:
        colour = word if word in COLOURS else colour
        if word not in VOCABULARY and not reason(word, VOCABULARY):
            word = next(iter(nearest(word, VOCABULARY)), word)
        numerals = str(DIGIT_WORDS.index(word)) if word in DIGIT_WORDS else word
        for digit in map(int, numerals if numerals.isdecimal() else ""):
            told = [(digit, told[0][1], colour)] if told[0][0] is None else [*told, (digit, [], colour)]
            colour = WHITE
        told[-1][1].append(word)
    return [(digit, *_direction_and_speed(said), colour) for digit, said, colour in told[:MAX_DIGITS]]


def _direction_and_speed(said):
    """The direction that some words name, or None, and the speed."""
    named = [
        next((name for name in axis if not set(said).isdisjoint(axis[name])), "") for axis in (VERTICAL, HORIZONTAL)
    ]
    text = " ".join(said)
    adverbs = sorted(SPEED_OF, key=len, reverse=True)  # "very quickly" before "quickly"
    speed = next((SPEED_OF[adverb] for adverb in adverbs if re.search(rf"\b{adverb}\b", text)), "normal")
    return " and ".join(filter(None, named)) or None, speed
