"""What the command line says of a caption before it draws one: what is left open, and that quotes are missing."""

from ...base.console import note
from ...base.errors import InputError, shorten
from ...data import FIELDS, Shape
from ...data.captions import (
    asks_for_digits,
    loosely,
    naming_a_caption,
    nearest_caption,
    over_time,
    parse,
    without_camera,
)
from ...data.fields import is_fields
from ...data.grammar import ALONE, ARTICLES
from ...data.words import check_words, plain_words


def say_what_to_expect(prompts, model, given=False):
    """Notes, before anything is drawn, on captions that leave something open or that training never showed.

    given: there is something else to go by, so that an empty caption needs no note.
    """
    if not model.tokenizer.grammar:
        return
    prompts = [without_camera(prompt)[0] for prompt in prompts]
    trained = model.learnt.get("num_digits")
    for prompt in dict.fromkeys(prompt for prompt in prompts if prompt.strip() or not given):
        if text := what_is_left_open(prompt):
            note(text)
        count = asks_for_digits(prompt)
        if trained and count and count not in trained:
            digits, plural = " or ".join(map(str, dict.fromkeys(trained))), "s" * (count > 1)
            cure = "; try --weights joint" if count == 2 and not model.learnt.get("colors") else ""
            note(
                f"{shorten(prompt)!r} has {count} digit{plural}; these weights were trained on clips of {digits}{cure}"
            )


def say_if_shape_is_new(model, num_frames, size):
    """A note where training showed no clips of so many frames and pixels; weights that don't say get none."""
    if not {"num_frames", "size"} <= {*model.learnt}:
        return
    usual = (model.learnt["num_frames"], *model.learnt["size"])
    others = [Shape.read(text)[:3] for text in model.learnt.get("shapes", ())]
    if (num_frames, *size) not in (usual, *others):
        asked, most = (f"{frames} frames of {height}x{width}" for frames, height, width in ((num_frames, *size), usual))
        note(f"training showed no clips of {asked}, so expect less; it showed {'mostly ' if others else ''}{most}")


def what_is_left_open(caption):
    """A note on a caption that doesn't say everything or leaves the grammar; None where there is nothing to note.

    Raises InputError for what can't be drawn at all.
    """
    words, told = plain_words(caption), shorten(caption)
    with naming_a_caption(caption):
        check_words(words)
    parts = over_time(caption)
    if not words:
        empty = f"{told!r} has no words" if caption.strip() else "an empty caption says nothing"
        return f"{empty}: the model draws any digit, moving any way"
    if is_fields(words):
        left = [name for name in FIELDS if name not in (*words, "later")]
        return f"{told!r} leaves open: {', '.join(left)}" if left else None
    try:
        for part in parts:
            motions = parse(part)
            if len(motions) > 1 and any(motion.speed in ALONE for motion in motions):
                return f"{told!r} has two digits; training showed very quick ones alone, so expect less of it"
    except InputError as error:
        found, several = loosely(words), asks_for_digits(caption) > 1
        left = []
        if any(digit is None for digit, *_ in found):
            left.append(("names no digits", "two digits") if several else ("names no digit", "a digit"))
        if any(direction is None for _, direction, *_ in found):
            left.append(("doesn't say where to", "a direction"))
        if left:
            said, picked = (" and ".join(texts) for texts in zip(*left))
            return f"{told!r} {said}: the model picks {picked}; to choose, try: {nearest_caption(caption)}"
        return f"training showed no sentence such as {told!r}, so expect less of it: {error}"
    return None


def without_quotes(words):
    """Whether these captions are the single words of one caption, whose quotes were forgotten."""
    if len(words) < 2 or any(len(word.split()) != 1 for word in words):
        return False
    found = loosely(plain_words(" ".join(words)))
    return words[0].lower() in ARTICLES or any(None not in (digit, direction) for digit, direction, *_ in found)
