"""The language of the captions: who moves where, how fast, and in which colour.

    caption   = clause | clause joiner clause
    clause    = subject ["is"] [speed] verb [speed] direction [speed]       (speed at most once)
    subject   = ("a" | "an" | "the") [colour] ["digit"] (numeral | number word)
    direction = vertical | horizontal | vertical "and" horizontal
    joiner    = "and" | "while"

Captions that follow one another in time have "then" between them: see `captions.over_time`. A caption may also be a
list of fields: see `fields`.

"and" is never ambiguous: inside a direction a horizontal word follows it, between clauses an article.
"""

import functools
import re
from typing import NamedTuple

from ..base.errors import InputError, shorten

# The compass, as steps (dy, dx) on the screen: y grows downwards, so "up" is -y.
DIRECTIONS = {
    "right": (0, 1),
    "left": (0, -1),
    "up": (-1, 0),
    "down": (1, 0),
    "up and right": (-1, 1),
    "up and left": (-1, -1),
    "down and right": (1, 1),
    "down and left": (1, -1),
}
SPEEDS = ("slow", "normal", "fast", "very fast")
USUAL_SPEEDS = SPEEDS[:3]  # of clips, unless told otherwise
ALONE = SPEEDS[3:]  # speeds of clips with one digit only: two can't be followed

ARTICLES = ("a", "an", "the")
DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VERBS = ("moving", "moves", "drifting", "drifts", "going", "goes", "sliding", "slides", "floating", "floats")
VERTICAL = {"up": ("up", "upwards"), "down": ("down", "downwards")}
HORIZONTAL = {"right": ("right", "to the right"), "left": ("left", "to the left")}
VERY = "very"
# No adverb means normal.
ADVERBS = {"slow": ("slowly",), "normal": (), "fast": ("quickly", "fast"), "very fast": (f"{VERY} quickly",)}
SPEED_OF = {adverb: speed for speed, adverbs in ADVERBS.items() for adverb in adverbs}
SPEED_WORDS = {word for adverb in SPEED_OF for word in adverb.split()}
JOINERS = ("and", "while")
MAX_DIGITS = 2  # in a caption
THEN = "then"  # between captions that follow one another in time

# Every word of the grammar, each once. A trained model knows words by their place in this list.
VOCABULARY = tuple(
    dict.fromkeys(
        [*ARTICLES, "digit", *map(str, range(10)), *DIGIT_WORDS, "is", *VERBS, *VERTICAL, *HORIZONTAL]
        + ["upwards", "downwards", "to", *ADVERBS["slow"], *ADVERBS["fast"], *JOINERS, THEN, VERY]
    )
)

# What captions of fields name, in this order, and the values of each.
FIELDS = {
    "count": ("one", "two"),
    "digit": tuple("0123456789"),
    "start": ("upper left", "upper right", "lower left", "lower right"),
    "direction": tuple(DIRECTIONS),
    "speed": SPEEDS,
    "later": tuple(DIRECTIONS),
}
# Their words that no sentence has.
FIELD_WORDS = tuple(
    word
    for word in dict.fromkeys([*FIELDS, *(word for value in sum(FIELDS.values(), ()) for word in value.split())])
    if word not in VOCABULARY
)
# The colours that a caption may name, as red, green and blue: 60 degrees of hue apart. A digit without one is white.
COLOURS = {
    "red": (1, 0, 0),
    "yellow": (1, 1, 0),
    "green": (0, 1, 0),
    "cyan": (0, 1, 1),
    "blue": (0, 0, 1),
    "magenta": (1, 0, 1),
}
WHITE = ""
ALL_WORDS = VOCABULARY + FIELD_WORDS + tuple(COLOURS)

# "then the digit three is moving slowly upwards and to the right while the digit ..."; digits that go very quickly are
# alone.
MAX_WORDS = 1 + 2 * 11 + 1


def vocabulary(speeds=USUAL_SPEEDS, fields=False, colours=False):
    """The words of captions of clips with these speeds: VOCABULARY, or what came before "very"; then FIELD_WORDS.

    So a network that has never seen a digit go very quickly, or a caption of fields, doesn't know the words, and says
    so. fields: whether some captions are lists of fields. colours: whether captions name COLOURS, which come last.
    """
    words = VOCABULARY if "very fast" in speeds else VOCABULARY[: VOCABULARY.index(VERY)]
    return words + FIELD_WORDS * fields + tuple(COLOURS) * colours


def most_words(colours=False):
    """How many words the longest caption has, with COLOURS or without."""
    return MAX_WORDS + MAX_DIGITS * colours


class DigitMotion(NamedTuple):
    """One digit and what it does. digit: 0..9. direction: a key of DIRECTIONS. speed: one of SPEEDS.

    colour: a key of COLOURS, or WHITE, which captions don't name.
    """

    digit: int
    direction: str
    speed: str = "normal"
    colour: str = WHITE


# From motions to words -----------------------------------------------------------------------------------------------


def describe(motions, generator=None):
    """The caption of one or two DigitMotions, in the order given.

    Without a generator always the plainest one ("a 3 moving right and a 7 moving up"); with a numpy
    Generator a random choice of words, orders and forms. `motions_of` undoes it either way.
    """
    if not 1 <= len(motions) <= MAX_DIGITS:
        raise InputError(f"a caption describes 1 to {MAX_DIGITS} digits, not {len(motions)}")
    # One draw serves the whole caption: its digits in a mixed base are the choices. 0 always picks the first.
    number = 0 if generator is None else int(generator.integers(1 << 62))

    def choose(options):
        nonlocal number
        number, index = divmod(number, len(options))
        return options[index]

    clauses = [_clause(DigitMotion(*motion), choose) for motion in motions]
    return f" {choose(JOINERS)} ".join(clauses)


def _clause(motion, choose):
    digit, direction, speed, colour = motion
    known = digit in range(10) and direction in DIRECTIONS and speed in SPEEDS and colour in (WHITE, *COLOURS)
    if not known:
        raise InputError(
            f"{motion} can't be described: digits are 0 to 9, directions {', '.join(DIRECTIONS)}, "
            f"speeds {', '.join(SPEEDS)}, colours {', '.join(COLOURS)}, or '' for white"
        )
    name = choose((str(digit), DIGIT_WORDS[digit]))
    article, colour = "an" if digit == 8 and not colour else "a", colour and f"{colour} "
    subject = choose((f"{article} {colour}{name}", f"the {colour}{name}", f"the {colour}digit {name}"))
    verb = choose(VERBS)
    if verb.endswith("ing"):
        subject = choose((subject, f"{subject} is"))
    phrases = {**VERTICAL, **HORIZONTAL}
    where = " and ".join(choose(phrases[word]) for word in direction.split(" and "))
    if not ADVERBS[speed]:
        return f"{subject} {verb} {where}"
    adverb = choose(ADVERBS[speed])
    orders = [f"{subject} {verb} {adverb} {where}", f"{subject} {verb} {where} {adverb}"]
    if adverb != "fast":  # "slowly moving right" is English, "fast moving right" isn't
        orders.append(f"{subject} {adverb} {verb} {where}")
    return choose(orders)


# From words to motions -----------------------------------------------------------------------------------------------


def _optional(name, options):
    """The regular expression of a word that may be missing, but is never stepped over where it stands."""
    return rf"(?: (?P<{name}>{options})\b|(?! (?:{options})\b))"


_SPEED, _VERTICAL, _HORIZONTAL = "|".join(SPEED_OF), "|".join(sum(VERTICAL.values(), ())), "|".join(HORIZONTAL)
# A clause, piece by piece: a regular expression, and what is expected where it doesn't match. (?(name)A|B) means A if
# the group of that name has matched, else B: so speed is said once at most, and "up" may stand alone.
_CLAUSE = (
    (rf" (?:{'|'.join(ARTICLES)})\b", "'a', 'an' or 'the' and a digit"),
    (_optional("colour", "|".join(COLOURS)), None),
    (_optional("noun", "digit"), None),
    (rf" (?P<digit>[0-9]|{'|'.join(DIGIT_WORDS)})\b", "a digit, 0 to 9 or zero to nine"),
    (_optional("auxiliary", "is"), None),
    (_optional("early", _SPEED), None),
    (rf" (?:{'|'.join(VERBS)})\b", f"a verb: {', '.join(VERBS)}"),
    (rf"(?(early)|{_optional('middle', _SPEED)})", None),
    (_optional("vertical", _VERTICAL), None),
    (rf"(?(vertical)(?: and\b|(?P<alone>(?! and (?:to|{_HORIZONTAL})\b))))", None),
    (rf"(?(alone)|{_optional('to', 'to')})", None),
    (r"(?(to) the\b)", "'the right' or 'the left'"),
    (rf"(?(alone)| (?P<horizontal>{_HORIZONTAL})\b)", f"a direction: {', '.join(DIRECTIONS)}"),
    (rf"(?(early)|(?(middle)|{_optional('late', _SPEED)}))", None),
)
_NEXT_CLAUSE = ((rf" (?:{'|'.join(JOINERS)})\b", "'and' or 'while' before a second digit, or the end"), *_CLAUSE)
_NO_MORE = ((r"$", "the end; a caption describes one or two digits"),)


def motions_of(words):
    """The DigitMotions that a list of words says.

    Raises InputError where they leave the grammar; it names the place and what could stand there.
    """
    text, at, motions = "".join(f" {word}" for word in words), 0, []
    while at < len(text) or not motions:
        pieces = _NO_MORE if len(motions) == MAX_DIGITS else _NEXT_CLAUSE if motions else _CLAUSE
        clause = _joined(pieces).match(text, at)
        if not clause:
            raise _fault(text, at, pieces)
        motions.append(_motion(**clause.groupdict()))
        at = clause.end()
    return motions


@functools.cache
def _joined(pieces):
    return re.compile("".join(pattern for pattern, _ in pieces))


def _motion(digit, colour, vertical, horizontal, early, middle, late, **_):
    number = int(digit) if digit.isdecimal() else DIGIT_WORDS.index(digit)
    direction = " and ".join(filter(None, (vertical and vertical.removesuffix("wards"), horizontal)))
    return DigitMotion(number, direction, SPEED_OF.get(early or middle or late, "normal"), colour or WHITE)


def _fault(text, at, pieces):
    """An InputError that names the place where these pieces stop to match, and what is expected there."""
    matches = [_joined(pieces[:count]).match(text, at) for count in range(len(pieces))]
    whole = [match for match in matches if match]  # as long as the pieces match
    before, after = text[: whole[-1].end()].strip(), text[whole[-1].end() :].split()
    place = f"after {shorten(before)!r}" if before else "at the start"
    found = repr(shorten(after[0])) if after else "nothing more"
    return InputError(f"{place} the caption has {found}; expected {pieces[len(whole) - 1][1]}")
