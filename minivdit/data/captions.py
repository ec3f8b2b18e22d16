"""The language of the captions: who moves where, and how fast.

    caption   = clause | clause joiner clause
    clause    = subject ["is"] [speed] verb [speed] direction [speed]       (speed at most once)
    subject   = ("a" | "an" | "the") ["digit"] (numeral | number word)
    direction = vertical | horizontal | vertical "and" horizontal
    joiner    = "and" | "while"

Captions that follow one another in time have "then" between them: see `over_time`.

"and" is never ambiguous: inside a direction a horizontal word follows it, between clauses an article.
"""

import contextlib
from typing import NamedTuple

from ..base.errors import InputError, shorten
from .words import (
    ADVERBS,
    ARTICLES,
    DIGIT_WORDS,
    HORIZONTAL,
    JOINERS,
    MAX_DIGITS,
    THEN,
    VERBS,
    VERTICAL,
    VOCABULARY,
    check_words,
    count_digits,
    nearest,
    plain_words,
    reason,
    split_words,
)

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

# "then the digit three is moving slowly upwards and to the right while the digit ..."
MAX_WORDS = 1 + 2 * 11 + 1


class DigitMotion(NamedTuple):
    """One digit and what it does. digit: 0..9. direction: a key of DIRECTIONS. speed: one of SPEEDS."""

    digit: int
    direction: str
    speed: str = "normal"


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

    Words that people use in place of the grammar's are understood, too: see words.SYNONYMS. Raises InputError that says
    what can't be drawn, which word was meant, or where the sentence leaves the grammar and what could stand there; it
    ends with a caption that works.
    """
    with naming_a_caption(caption):
        return _parse(plain_words(caption))


def _parse(words):
    check_words(words)
    reader = _Reader(words)
    motions = [_read_clause(reader)]
    while reader.words[reader.at :]:
        if len(motions) == MAX_DIGITS:
            reader.fail("the end; a caption describes one or two digits")
        reader.one_of(JOINERS, "'and' or 'while' before a second digit, or the end")
        motions.append(_read_clause(reader))
    return motions


def over_time(caption, read=plain_words):
    """The captions that follow one another in a caption with "then", as a list; a caption without it is its only one.

    "a 3 moving right, then a 3 moving up" -> ["a 3 moving right", "a 3 moving up"]. Where a part has a direction or a
    speed alone, the digit before it goes on: "a 3 moving right, then up" says the same. read: how a caption becomes
    words. Raises InputError where something is missing.
    """
    parts = [[]]
    for word in read(caption):
        if word == THEN:
            parts.append([])
        else:
            parts[-1].append(word)
    if len(parts) > 1 and not all(parts):
        raise InputError(
            f"{shorten(caption)!r} has nothing on one side of 'then'; write such as 'a 3 moving right, then up'"
        )
    with naming_a_caption(caption):
        for place in range(1, len(parts)):
            if parts[place][0] in ("to", *VERTICAL, *HORIZONTAL, *_words(VERTICAL), *_words(ADVERBS)):
                parts[place] = describe([_going_on(parts[place - 1], parts[place])]).split()
    return [" ".join(words) for words in parts]


def _going_on(before, words):
    """The DigitMotion of the one digit before, in the direction (and at the speed) that these words say."""
    motion, *others = _parse(before)
    if others:
        raise InputError(
            f"{shorten(' '.join(words))!r} doesn't say which of two digits; write the whole caption after 'then'"
        )
    same_way = motion.direction.split() if set(words) <= {*_words(ADVERBS)} else []
    ((digit, direction, speed),) = _parse(["a", str(motion.digit), "moving", *words, *same_way])
    return DigitMotion(digit, direction, speed if set(words) & {*_words(ADVERBS)} else motion.speed)


def _words(phrases):
    return [word for several in phrases.values() for phrase in several for word in phrase.split()]


class _Reader:
    """Words and how many of them have been read."""

    def __init__(self, words):
        self.words, self.at = words, 0

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
        before = shorten(" ".join(self.words[: self.at]))
        place = f"after {before!r}" if before else "at the start"
        found = f"{shorten(self.words[self.at])!r}" if self.at < len(self.words) else "nothing more"
        raise InputError(f"{place} the caption has {found}; expected {expected}")


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


# What was meant -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def naming_a_caption(caption, known=VOCABULARY):
    """End an InputError with the caption that works and is closest to this one, if all its words are known."""
    try:
        yield
    except InputError as error:
        near = nearest_caption(caption)
        if not set(near.replace(",", "").split()) <= set(known):
            raise
        raise InputError(f"{error}; try: {near}") from None


def nearest_caption(caption):
    """A caption of the grammar that says what this one most likely means; "a 3 moving right" if nobody could guess."""
    told, before = [], (3, 7)
    ways = ("up and right", "down and left") if "diagonal" in caption.lower() else ("right", "up")
    for part in " ".join(plain_words(caption)).split(THEN)[:2]:
        found = loosely(part.split())
        if asks_for_digits(caption) == MAX_DIGITS > count_digits(part.split()) == 0:
            found *= MAX_DIGITS
        before = [digit for digit, _, _ in found if digit is not None] or before[: len(found)]
        motions = [(way or default, speed) for (_, way, speed), default in zip(found, ways)]
        told.append(describe([DigitMotion(digit, *motion) for digit, motion in zip(before, motions)]))
    return f", {THEN} ".join(told)


def asks_for_digits(caption):
    """How many digits a caption asks for at one time: those that it names, or two for a bare "digits"."""
    named = count_digits(plain_words(caption))
    return named or MAX_DIGITS * (not {"digits", "numbers", "numerals"}.isdisjoint(split_words(caption)))


def what_is_left_open(caption):
    """What will happen, as text, where a caption doesn't say all or leaves the grammar; None if it's a whole one.

    Raises InputError for what can't be drawn at all.
    """
    words, told = plain_words(caption), shorten(caption)
    with naming_a_caption(caption):
        check_words(words)
    parts = over_time(caption)
    if not words:
        empty = f"{told!r} has no words" if caption.strip() else "an empty caption says nothing"
        return f"{empty}: the model draws any digit, moving any way"
    try:
        for part in parts:
            parse(part)
    except InputError as error:
        found, several = loosely(words), asks_for_digits(caption) > 1
        left = []
        if any(digit is None for digit, _, _ in found):
            left.append(("names no digits", "two digits") if several else ("names no digit", "a digit"))
        if any(way is None for _, way, _ in found):
            left.append(("doesn't say where to", "a direction"))
        if left:
            said, picked = (" and ".join(texts) for texts in zip(*left))
            return f"{told!r} {said}: the model picks {picked}; to choose, try: {nearest_caption(caption)}"
        return f"training showed no sentence such as {told!r}, so expect less of it: {error}"
    return None


def without_quotes(words):
    """Whether these captions, given one by one, are the words of one caption: who wrote it forgot the quotes."""
    if len(words) < 2 or any(len(word.split()) != 1 for word in words):
        return False
    found = loosely(plain_words(" ".join(words)))
    return words[0].lower() in ARTICLES or any(digit is not None and way is not None for digit, way, _ in found)


def loosely(words):
    """(digit, direction, speed) of the first one or two digits in any sentence; None for what it doesn't say."""
    told = [(None, [])]
    for word in words:
        if word not in VOCABULARY and not reason(word, VOCABULARY):
            word = next(iter(nearest(word, VOCABULARY)), word)
        numerals = str(DIGIT_WORDS.index(word)) if word in DIGIT_WORDS else word
        for digit in map(int, numerals if numerals.isdecimal() else ""):
            told = [(digit, told[0][1])] if told[0][0] is None else [*told, (digit, [])]
        told[-1][1].append(word)
    return [(digit, *_way(said)) for digit, said in told[:MAX_DIGITS]]


def _way(said):
    """The direction that some words name, or None, and the speed."""
    ways = [
        next((name for name, phrases in axis.items() if not set(said).isdisjoint(phrases)), None)
        for axis in (VERTICAL, HORIZONTAL)
    ]
    speed = next((speed for speed, adverbs in ADVERBS.items() if not set(said).isdisjoint(adverbs)), "normal")
    return " and ".join(filter(None, ways)) or None, speed
