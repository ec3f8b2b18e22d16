"""Where patches look while a clip is drawn: attention weights, recorded and rounded to bytes.

Only pairs of tokens that a block's pattern links have a weight, so what a pattern forbids isn't stored at all.
"""

import contextlib
import copy
import dataclasses
import math

import numpy as np

from ...base import machine, values
from ...base.backend import blas_threads, to_numpy
from ...base.errors import InputError
from ...models.patches import clip_grid
from ...models.patterns import links, most_links, reachable
from ...models.schemes import SCHEMES, check_scheme

LEVELS = 255  # of a rounded weight, above 0
MOST_WEIGHTS = 1 << 24  # of one block at one step of all recordings: 16 MB, of which compression leaves a third or less


@dataclasses.dataclass(frozen=True)
class Rounded:
    """Weights (heads, pairs) as bytes. pairs: as np.nonzero lists those of a block's links, query by query.

    scale: float32 (heads, N), what one level of a byte is worth; for each query the largest weight is LEVELS of them.
    levels: uint8 (heads, pairs).
    """

    scale: np.ndarray
    levels: np.ndarray

    @classmethod
    def of(cls, weights, link):
        """Weights (heads, pairs) rounded, off by no more than half a level. link: boolean (N, N)."""
        first = np.concatenate([[0], link.sum(axis=1).cumsum()[:-1]])  # of each query's pairs; every token sees itself
        scale = (np.maximum.reduceat(weights, first, axis=1) / LEVELS).astype(np.float32)
        levels = np.rint(weights / np.repeat(scale, link.sum(axis=1), axis=1))
        return cls(scale, levels.astype(np.uint8))

    def matrix(self, link):
        """The weights again, float32 (heads, N, N), NaN where the pattern forbids to look."""
        found = np.full((len(self.levels), *link.shape), np.nan, np.float32)
        found[:, link] = self.levels * np.repeat(self.scale, link.sum(axis=1), axis=1)
        return found


@dataclasses.dataclass(frozen=True)
class Recording:
    """A clip, and where each of its patches looked while it was drawn.

    name: of the pattern. weights: in words, which weights drew it and how they were trained. video: float32
    (T, H, W, C). grid: (T', H', W') patches, in tokens; a token is `patch_frames` frames long. patterns: one for each
    block. links: boolean (N, N) for each block, who may look at whom. reach: (N,) how many patches can reach each
    patch through all blocks. steps: {index of a denoising step: its noise level}. total: how many steps there were.
    maps: {(step, block): Rounded}.
    """

    name: str
    weights: str
    video: np.ndarray
    grid: tuple[int, int, int]
    patch_frames: int
    patterns: tuple[str, ...]
    links: list
    reach: np.ndarray
    steps: dict
    total: int
    maps: dict

    @property
    def heads(self):
        """How many heads a block has."""
        return len(next(iter(self.maps.values())).levels)

    def mean(self, query, step, blocks=None, heads=None):
        """Where the token `query` looks at a step, (N,): the mean of blocks and heads (lists; all unless given).

        NaN where none of the blocks may look.
        """
        blocks = range(len(self.patterns)) if blocks is None else blocks
        heads = range(self.heads) if heads is None else heads
        rows = np.stack([self.maps[step, block].matrix(self.links[block])[list(heads), query] for block in blocks])
        forbidden = np.isnan(rows).all(axis=(0, 1))
        return np.where(forbidden, np.nan, np.nan_to_num(rows).mean(axis=(0, 1)))


def collect(model, prompt, moments=4, seed=0, num_frames=None, size=None, weights="", **drawing):
    """Draw a clip and record its attention at `moments` of the denoising steps, evenly from first to last.

    model: a TextToVideo. weights: what the page says of them. The others as for TextToVideo.denoise. With guidance, the
    half that knows the caption is recorded. Returns a Recording. Raises InputError for clips of too many patches.
    """
    config, settings, pixels = model.transformer.config, model.settings, model.autoencoder.config
    num_frames, size = check_room([model], num_frames, size)
    patterns = [pattern for pattern, _ in config.block_patterns()]
    steps, maps, level = {}, {}, drawing.get("level", 1.0)
    # Products of one clip are small: threads that wait for each other cost far more than they save.
    with blas_threads(1), _recorded_calls(model) as calls:
        denoising = model.denoise(prompt, num_frames, size, seed=seed, **drawing)  # says whether it can be drawn
        grid = clip_grid(num_frames, size, pixels, config.patch_size)
        link = links(patterns, grid, config.causal)
        total = drawing.get("steps") or settings.steps
        kept = thin(range(total), moments)
        weights_a_step = config.heads * sum(int(one.sum()) for one in link)
        machine.require_memory(lambda count: count * weights_a_step, len(kept), "moments")
        for step in denoising:
            if step.index in kept:
                steps[step.index] = level
                for block, (attention, x, options) in enumerate(calls):
                    if options.get("words"):
                        options = options | {"words": tuple(array[:1] for array in options["words"])}
                    weighed = to_numpy(attention.weights(x.data[:1], **options)[0])  # (G, h, S, S)
                    maps[step.index, block] = Rounded.of(_pairs(weighed, link[block], options["part"]), link[block])
            calls.clear()
            level = float(step.levels.mean())
    video, given = model.decode(step.x), drawing.get("given")
    video = video if given is None else given.keep(video)
    return Recording(
        pattern_name(config),
        weights,
        video[0, :: pixels.time_factor],  # one frame for each latent frame
        grid,
        config.patch_size[0],
        tuple(patterns),
        link,
        reachable(patterns, grid, config.causal).sum(axis=1),
        steps,
        total,
        maps,
    )


def thin(items, count):
    """`count` of the items, evenly from the first to the last; the middle one if it is one."""
    items = list(items)
    if count == 1:
        return [items[len(items) // 2]]
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]


def restricted(model, name):
    """The same weights under the SCHEMES of this name, for which they weren't trained."""
    check_scheme(name)
    other, transformer = copy.copy(model), copy.copy(model.transformer)
    transformer.config = dataclasses.replace(transformer.config, patterns=SCHEMES[name])
    other.transformer = transformer
    return other


def pattern_name(config):
    """'framewise' for blocks of frame and time in turn: the name in SCHEMES, or else the blocks' own names."""
    for name, patterns in SCHEMES.items():
        if dataclasses.replace(config, patterns=patterns).block_patterns() == config.block_patterns():
            return name
    return ", ".join(config.patterns)


@contextlib.contextmanager
def _recorded_calls(model):
    """A list that grows by (attention, x, options) with every call of a block's self-attention, in this process."""
    calls, attentions = [], [block.attention for block in model.transformer.blocks]
    threads, model.threads = model.threads, 1  # calls in other processes can't be recorded

    def record(attention, forward):
        def recorded(x, **options):
            calls.append((attention, x, options))
            return forward(x, **options)

        attention.forward = recorded

    for attention in attentions:
        record(attention, attention.forward)
    try:
        yield calls
    finally:
        model.threads = threads
        for attention in attentions:
            del attention.forward  # the class's own again


def _pairs(weights, link, part):
    """The weights (G, h, S, S) within groups of the pairs that are linked, (h, pairs)."""
    query, key = np.nonzero(link)
    place, slots = to_numpy(part.place), weights.shape[-1]
    return weights[place[query] // slots, :, place[query] % slots, place[key] % slots].T


def check_room(models, num_frames, size):
    """(num_frames, size) of a clip, those of the training where they are None.

    Raises InputError, before anything is drawn, where recordings of all these models have no room in one page. It names
    the longest and the largest clip that have.
    """
    config, pixels, settings = models[0].transformer.config, models[0].autoencoder.config, models[0].settings
    num_frames = values.whole("num_frames", num_frames, default=settings.num_frames)
    size = values.size(settings.size if size is None else size)
    frames, rows, columns = config.patch_size

    def weights(num_frames, size):
        latent_frames = 1 + (num_frames - 1) // pixels.time_factor
        grid = (latent_frames // frames, size[0] // (rows * pixels.factor), size[1] // (columns * pixels.factor))
        return sum(_most_weights(model.transformer.config, grid) for model in models)

    if weights(num_frames, size) <= MOST_WEIGHTS:
        return num_frames, size
    side = math.lcm(rows, columns) * pixels.factor
    longest = machine.largest_that_fits(MOST_WEIGHTS, lambda count: weights(pixels.frames(count * frames), size))
    longest = longest and pixels.frames(longest * frames)
    widest = side * machine.largest_that_fits(MOST_WEIGHTS, lambda count: weights(num_frames, (count * side,) * 2))
    cures = [f"at this size --frames {longest} is the most"] * (longest > 0)
    cures += [f"at this length --size {widest}x{widest}"] * (widest > 0)
    raise InputError(
        f"{num_frames} frames of {size[0]}x{size[1]} have more patches than a page has room for; "
        f"{', '.join(cures) or 'draw a shorter and smaller clip'}"
    )


def _most_weights(config, grid):
    """Bytes of one block at one step: a weight for each link and head, or the table of links where that is more."""
    table = math.prod(grid) ** 2
    if not 0 < table <= MOST_WEIGHTS:
        return table
    patterns = [pattern for pattern, _ in config.block_patterns()]
    return max(table, config.heads * most_links(patterns, grid, config.causal))
