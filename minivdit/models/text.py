"""From a caption to vectors: a tokenizer over known words, and a small transformer that reads them."""

import math
import operator

import numpy as np

from .. import autograd as ag
from ..autograd.attend import NEVER
from ..base import values
from ..base.backend import array_module, to_numpy
from ..base.errors import InputError, shorten
from ..data.captions import naming_a_caption, over_time
from ..data.free_text import LONGEST_WORD, count_words, read_words
from ..data.grammar import DIRECTIONS, MAX_WORDS, SPEEDS, THEN, USUAL_SPEEDS, vocabulary
from ..data.words import check_words, is_grammar, plain_words
from ..nn import Embedding, Linear, Module, RMSNorm
from .blocks import MLP, CrossAttention, SelfAttention
from .patches import rotary_angles, wave_features

PAD, START = 0, 1
MOST_WORDS = 50_000  # as many as the vocabularies of large language models had in 2019
LONGEST_CAPTION = 1000  # words: far more than any caption has, and few enough for every caption to be filled up to it


_WORDS = vocabulary()


class Tokenizer:
    """Words to integers: 0 is padding, 1 starts every caption (so an empty one has a token, too), then the words.

    words: different printable texts of at most LONGEST_WORD characters; by default those of captions of USUAL_SPEEDS.
    max_words: the most that a caption may have,
    from 1 to LONGEST_CAPTION.
    """

    def __init__(self, words=_WORDS, max_words=MAX_WORDS):
        self.words = list(words)
        for word in self.words:
            text = isinstance(word, str) and word.isprintable() and word.split() == [word]
            if not text or len(word) > LONGEST_WORD:
                raise InputError(
                    f"a tokenizer's words are printable, without spaces, of 1 to {LONGEST_WORD} letters, "
                    f"not {word!r:.60}"
                )
        if len(set(self.words)) != len(self.words) or len(self.words) > MOST_WORDS:
            raise InputError(f"a tokenizer's words must differ and be at most {MOST_WORDS:,}")
        if not 1 <= max_words <= LONGEST_CAPTION:
            raise InputError(f"max_words must lie between 1 and {LONGEST_CAPTION}, not {max_words}")
        self.length = operator.index(max_words) + 1
        self._number = {word: number for number, word in enumerate(self.words, start=2)}
        # What people write is brought to the words of the grammar, unless this is another language.
        self.grammar = is_grammar(self._number)
        self._read = plain_words if self.grammar else read_words

    @classmethod
    def of(cls, captions):
        """A Tokenizer that knows the words of these captions, as many of them as the longest has, and no others."""
        captions = [read_words(caption) for caption in captions]
        return cls(sorted(count_words(captions)), max(1, *map(len, captions)))

    def __len__(self):
        return len(self.words) + 2

    def encode(self, captions):
        """Captions (list of B strings) to tokens, NumPy (B, L), int32, L = max_words + 1, padded with 0.

        Raises InputError for an unknown word, with what was meant, and for a caption that is too long.
        """
        if isinstance(captions, str):
            raise TypeError("pass a list of captions, even for one")
        tokens = np.full((len(captions), self.length), PAD, dtype=np.int32)
        for row, caption in zip(tokens, captions):
            words = self._read(caption)
            with naming_a_caption(caption, self._number):
                check_words(words, self._number)
                if len(words) >= self.length:
                    raise InputError(f"{shorten(caption)!r} has {len(words)} words; at most {self.length - 1} fit")
            row[0] = START
            row[1 : len(words) + 1] = [self._number[word] for word in words]
        return tokens

    def encode_over_time(self, captions, steps):
        """Tokens of captions that may change on the way, such as "a 3 moving right, then up".

        (B, L) if none does; else (B, steps, L): the parts of each caption one after the other, equally long. Only the
        grammar's captions change so: in words of one's own, "then" is a word like others.
        Later parts begin with "then" (if the tokenizer knows the word). Without it "moving left" says how a digit set
        off, and a digit that bounces moves the other way, too.
        """
        captions = values.captions(captions)
        if not self.grammar:
            return self.encode(captions)
        parts = [over_time(caption, self._read) for caption in captions]
        most = max(map(len, parts))
        if most == 1:
            return self.encode(captions)
        if most > steps:
            raise InputError(f"{most} captions don't fit into {steps} steps of time; give fewer, or more frames")
        then = f"{THEN} " if THEN in self._number else ""
        parts = [[first, *(then + later for later in rest)] for first, *rest in parts]
        each = [self.encode(part) for part in parts]
        return np.stack([tokens[np.arange(steps) * len(tokens) // steps] for tokens in each])

    @staticmethod
    def fewest(tokens):
        """Tokens (B, steps, L) with as few equal steps as say the same; (B, L) if nothing changes on the way."""
        if tokens.ndim == 2:
            return tokens
        steps = tokens.shape[1]
        changes = to_numpy((tokens[:, 1:] != tokens[:, :-1]).any(axis=(0, 2))).nonzero()[0] + 1
        each = math.gcd(steps, *map(int, changes))
        return tokens[:, 0] if each == steps else tokens[:, ::each]

    def decode(self, tokens):
        """The words behind a row of tokens (L,)."""
        return " ".join(self.words[token - 2] for token in tokens if token >= 2)


class TextEncoder(Module):
    """Tokens (B, L) to vectors (B, L, width) and their mean (B, width).

    Word embedding, then `depth` plain transformer blocks in which words attend to each other, so that "a 3 ... right
    and a 7 ... up" can bind each digit to its own motion. For that a word must find its neighbours. positions:
    'rotary', with which scores depend on the distance of two words; or 'sincos', waves added to the words once
    (Vaswani et al. 2017), with which captions stay bags of words: see examples/results/tried.md.
    """

    def __init__(self, vocabulary, width, depth, heads, generator, positions="rotary"):
        self.width, self.head_width, self.positions = width, width // heads, positions
        self.embedding = Embedding(vocabulary, width, generator)
        self.blocks = [TextBlock(width, heads, generator) for _ in range(depth)]
        self.norm = RMSNorm(width)

    def forward(self, tokens):
        present = tokens != PAD
        x, rotation = self.embedding(tokens), None  # (B, L, D)
        if self.positions == "rotary":
            rotation = rotary_angles((tokens.shape[1], 1, 1), self.head_width)
        else:
            positions = wave_features(array_module(tokens).arange(tokens.shape[1]), self.width)
            x = x + positions * (2 / self.width) ** 0.5  # of length 1
        visible = key_times(present)
        for block in self.blocks:
            x = block(x, visible, rotation)
        x = self.norm(x)
        share = present / present.sum(axis=1, keepdims=True)
        return x, ag.matmul(share[:, None, :].astype(np.float32), x).reshape(len(tokens), self.width)


def key_times(present):
    """(B, 1, L) times for attention that hide padded words: 0 where present (B, L), NEVER elsewhere."""
    xp = array_module(present)
    return xp.where(present, 0, NEVER).astype(np.int32)[:, None, :]


class TextBlock(Module):
    """Words attend to each other, then each is processed by itself."""

    def __init__(self, width, heads, generator):
        self.attention_norm = RMSNorm(width)
        self.attention = SelfAttention(width, heads, generator)
        self.mlp_norm = RMSNorm(width)
        self.mlp = MLP(width, 4 * width, generator)

    def forward(self, x, visible, rotation=None):
        x = x + self.attention(self.attention_norm(x), rotation=rotation, key_time=visible)
        return x + self.mlp(self.mlp_norm(x))


class CaptionReader(Module):
    """A text encoder that answers questions about captions: which way does the 3 go, and how fast?

    Large systems take a text encoder that was trained on much text before it meets a picture (Saharia et al. 2022 show
    what that is worth). This is how ours is trained: a question attends to the words as the transformer's tokens will,
    by cross-attention. It can only be answered if each digit's word has found the words that belong to it.
    """

    ANSWERS = (*DIRECTIONS, *SPEEDS)

    def __init__(self, text, heads, generator, speeds=USUAL_SPEEDS, colours=()):
        """speeds: the first of SPEEDS, as many as captions name. colours: those that digits may have, if they have."""
        self.text, self.answers = text, (*DIRECTIONS, *speeds, *colours)
        # Which way, for each digit; then how fast; then of which colour.
        self.questions = Embedding((3 if colours else 2) * 10, text.width, generator)
        self.look = CrossAttention(text.width, text.width, heads, generator)
        self.norm = RMSNorm(text.width)
        self.answer = Linear(text.width, len(self.answers), generator)

    def forward(self, tokens, questions):
        """tokens (B, L); questions (B, n) integers: d asks where digit d goes, 10 + d how fast, 20 + d in which colour.

        Returns the logits of `answers`, (B, n, 11), or 12 where digits may go very quickly, and more with colours.
        """
        x = self.questions(questions)  # (B, n, D)
        words, _ = self.text(tokens)
        return self.answer(self.norm(x + self.look(x, words, key_times(tokens != PAD))))
