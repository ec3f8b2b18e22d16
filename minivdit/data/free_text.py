"""Words of captions that follow no grammar: of any script, with the signs in them; and which of them there are."""

import unicodedata
from collections import Counter

from .words import plain_text, split_words

LONGEST_WORD = 40  # letters
# Each of these is a word by itself: such scripts put no spaces between words.
_UNSPACED = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
_SKIN = range(0x1F3FB, 0x1F400)  # tones of an emoji's skin
_VARIANTS = range(0xFE00, 0xFE10)  # say how the sign before them is drawn


def read_words(caption):
    """A caption's words, in lower case and without punctuation: "A Ball 🔴 falls!" -> ["a", "ball", "🔴", "falls"].

    Numbers are words, an emoji or another symbol is one, and so is a letter of Chinese or Japanese. Raises InputError
    where `words.plain_text` does.
    """
    words = split_words(caption)
    return words if caption.isascii() else "".join(map(_spaced, plain_text(caption))).split()


def _spaced(letter):
    """A letter as it is, within spaces if it is a word by itself, or a space in the place of punctuation."""
    number, kind = ord(letter), unicodedata.category(letter)
    if kind == "So" or number in _SKIN or any(low <= number <= high for low, high in _UNSPACED):
        return f" {letter} "
    mark = kind[0] == "M" and number not in _VARIANTS  # of the letter before it, as vowels of Hindi are
    return letter if letter.isalnum() or mark else " "


def count_words(captions):
    """In how many captions each word is: a Counter. captions: lists of words, as `read_words` gives them."""
    return Counter(word for words in captions for word in dict.fromkeys(words))
