"""The language of the captions: who moves where, and how fast.

    caption   = clause | clause joiner clause
    clause    = subject ["is"] [speed] verb [speed] direction [speed]       (speed at most once)
    subject   = ("a" | "an" | "the") ["digit"] (numeral | number word)
    direction = vertical | horizontal | vertical "and" horizontal
    joiner    = "and" | "while"

Captions that follow one another in time have "then" between them: see `over_time`.

"and" is never ambiguous: inside a direction a horizontal word follows it, between clauses an article.
"""

import difflib
import re
from typing import NamedTuple

from ..errors import InputError

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
SPEEDS = ("slow", "normal", "fast")
MAX_DIGITS = 2

ARTICLES = ("a", "an", "the")
DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VERBS = ("moving", "moves", "drifting", "drifts", "going", "goes", "sliding", "slides", "floating", "floats")
VERTICAL = {"up": ("up", "upwards"), "down": ("down", "downwards")}
HORIZONTAL = {"right": ("right", "to the right"), "left": ("left", "to the left")}
ADVERBS = {"slow": ("slowly",), "normal": (), "fast": ("quickly", "fast")}  # no adverb means normal
JOINERS = ("and", "while")
THEN = "then"  # between captions that follow one another in time

# Every word of the grammar, each once. A trained model knows words by their place in this list.
VOCABULARY = tuple(
    dict.fromkeys(
        [*ARTICLES, "digit", *map(str, range(10)), *DIGIT_WORDS, "is", *VERBS, *VERTICAL, *HORIZONTAL]
        + ["upwards", "downwards", "to", *ADVERBS["slow"], *ADVERBS["fast"], *JOINERS, THEN]
    )
)
# "then the digit three is moving slowly upwards and to the right while the digit ..."
MAX_WORDS = 1 + 2 * 11 + 1


class DigitMotion(NamedTuple):
    """One digit and what it does. digit: 0..9. direction: a key of DIRECTIONS. speed: one of SPEEDS."""

    digit: int
    direction: str
    speed: str = "normal"


def split_words(caption):
    """A caption's words, in lower case and without punctuation: "A 3, moving up." -> ["a", "3", "moving", "up"]."""
    if not isinstance(caption, str):
        raise InputError(f"a caption is text such as 'a 3 moving right', not {type(caption).__name__}")
    return re.sub(r"[^\w\s]", " ", caption.lower()).split()


def describe(motions, generator=None):
    """The caption of one or two DigitMotions, in the order given.

    Without a generator always the plainest one ("a 3 moving right and a 7 moving up"); with a numpy
    Generator a random choice of words, orders and forms. `parse` undoes it either way.
    """
    if not 1 <= len(motions) <= MAX_DIGITS:
        raise InputError(f"a caption describes 1 to {MAX_DIGITS} digits, not {len(motions)}")
    # One draw serves the whole caption: its digits in a mixed base are the choices.
    choices = _Choices(0 if generator is None else int(generator.integers(1 << 62)))
    clauses = [_clause(DigitMotion(*motion), choices) for motion in motions]
    return f" {choices.of(JOINERS)} ".join(clauses)


class _Choices:
    """Picks from lists, driven by one integer; 0 always picks the first entry."""

    def __init__(self, number):
        self.number = number

    def of(self, options):
        self.number, index = divmod(self.number, len(options))
        return options[index]


def _clause(motion, choices):
    digit, direction, speed = motion
    if digit not in range(10) or direction not in DIRECTIONS or speed not in SPEEDS:
        raise InputError(
            f"{motion} can't be described: digits are 0 to 9, "
            f"directions {_listed(DIRECTIONS)}, speeds {_listed(SPEEDS)}"
        )
    name = choices.of((str(digit), DIGIT_WORDS[digit]))
    article = "an" if digit == 8 else "a"
    subject = choices.of((f"{article} {name}", f"the {name}", f"the digit {name}"))
    verb = choices.of(VERBS)
    if verb.endswith("ing"):
        subject = choices.of((subject, f"{subject} is"))
    phrases = {**VERTICAL, **HORIZONTAL}
    where = " and ".join(choices.of(phrases[word]) for word in direction.split(" and "))
    if not ADVERBS[speed]:
        return f"{subject} {verb} {where}"
    adverb = choices.of(ADVERBS[speed])
    orders = [f"{subject} {verb} {adverb} {where}", f"{subject} {verb} {where} {adverb}"]
    if adverb != "fast":  # "slowly moving right" is English, "fast moving right" isn't
        orders.append(f"{subject} {adverb} {verb} {where}")
    return choices.of(orders)


def parse(caption):
    """The DigitMotions, (digit, direction, speed), that a caption asks for; an unstated speed is "normal".

    Raises InputError that names the nearest known words for an unknown one, and otherwise says where
    the sentence leaves the grammar and what could stand there.
    """
    reader = _Reader(split_words(caption))
    motions = [_read_clause(reader)]
    while reader.words[reader.at :]:
        if len(motions) == MAX_DIGITS:
            reader.fail("the end; a caption describes one or two digits")
        reader.one_of(JOINERS, "'and' or 'while' before a second digit, or the end")
        motions.append(_read_clause(reader))
    return motions


def over_time(caption):
    """The captions that follow one another in a caption with "then", as a list; a caption without it is its only one.

    "a 3 moving right, then a 3 moving up" -> ["a 3 moving right", "a 3 moving up"]. Where a part has a direction
    alone, the digit before it goes on: "a 3 moving right, then up" says the same. Raises InputError where something is
    missing.
    """
    first, *others = (" ".join(part.split()) for part in re.split(rf"[\s,;.]*\b{THEN}\b", caption, flags=re.IGNORECASE))
    parts = [first]
    for part in others:
        words = split_words(part)
        if not (words and first):
            raise InputError(
                f"{caption!r} has nothing on one side of 'then'; write such as 'a 3 moving right, then up'"
            )
        if words[0] in ("to", *VERTICAL, *HORIZONTAL, "upwards"):
            motions = parse(parts[-1])
            if len(motions) > 1:
                raise InputError(f"{part!r} doesn't say which of two digits; write the whole caption after 'then'")
            ((_, direction, _),) = parse(f"a {motions[0].digit} moving {part}")
            part = describe([motions[0]._replace(direction=direction)])
        parts.append(part)
    return parts


class _Reader:
    """Words and how many of them have been read."""

    def __init__(self, words):
        self.words, self.at = words, 0
        for word in words:
            check_word(word)

    def next_is(self, options):
        return self.at < len(self.words) and self.words[self.at] in options

    def skip(self, options):
        """Step over the next word and return it if it is one of `options`, else None."""
        if not self.next_is(options):
            return None
        self.at += 1
        return self.words[self.at - 1]

    def one_of(self, options, expected):
        return self.skip(options) or self.fail(expected)

    def fail(self, expected):
        before = " ".join(self.words[: self.at])
        place = f"after {before!r}" if before else "at the start"
        found = f"{self.words[self.at]!r}" if self.at < len(self.words) else "nothing more"
        raise InputError(f"{place} the caption has {found}; expected {expected}")


def check_word(word, known=VOCABULARY):
    """Raise InputError, naming the nearest known words, unless `word` is one of them (those of the grammar)."""
    if word in known:
        return
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    hint = f"nearest: {', '.join(near)}" if near else f"it knows: {', '.join(known)}"
    raise InputError(f"{word!r} is not a word this model knows; {hint}")


def _read_clause(reader):
    reader.one_of(ARTICLES, "'a', 'an' or 'the' and a digit")
    reader.skip(("digit",))
    word = reader.one_of((*map(str, range(10)), *DIGIT_WORDS), "a digit, 0 to 9 or zero to nine")
    digit = int(word) if word.isdigit() else DIGIT_WORDS.index(word)
    reader.skip(("is",))
    speed = _read_speed(reader)
    reader.one_of(VERBS, f"a verb: {_listed(VERBS)}")
    speed = speed or _read_speed(reader)
    direction = _read_direction(reader)
    return DigitMotion(digit, direction, speed or _read_speed(reader) or "normal")


def _read_speed(reader):
    return next((speed for speed, adverbs in ADVERBS.items() if reader.skip(adverbs)), None)


def _read_direction(reader):
    vertical = next((name for name, words in VERTICAL.items() if reader.skip(words)), None)
    following = reader.words[reader.at : reader.at + 2]
    if vertical and not (following[:1] == ["and"] and following[1:] and following[1] in ("to", *HORIZONTAL)):
        return vertical
    if vertical:
        reader.skip(("and",))
    if reader.skip(("to",)):
        reader.one_of(("the",), "'the right' or 'the left'")
    horizontal = reader.one_of(tuple(HORIZONTAL), f"a direction: {_listed(DIRECTIONS)}")
    return f"{vertical} and {horizontal}" if vertical else horizontal


def _listed(words):
    return ", ".join(words)
