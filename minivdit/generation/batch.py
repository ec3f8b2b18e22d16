"""A batch of clips: each has noise of its own, and the network's work on them is shared by ranks and by processes."""

import numpy as np

from .. import autograd as ag
from ..base import seeds
from ..base.backend import array_module, to_device, to_numpy
from ..base.ranks import ALONE
from ..base.sharing import Workers, batch_size, split_batch
from ..diffusion import blended
from ..models import Tokenizer


class NoiseByClip:
    """Stands in for a numpy Generator: each clip of a batch draws from a generator of its own.

    So what is drawn for a prompt doesn't depend on how many others are drawn with it, whatever the sampler.
    """

    def __init__(self, seed, stream, places):
        self.generators = [seeds.generator(seed, *stream, place) for place in places]

    def standard_normal(self, shape, dtype):
        """Normal noise of shape (clips, ...)."""
        return np.stack([generator.standard_normal(shape[1:], dtype=dtype) for generator in self.generators])


class Predictor:
    """The transformer's prediction without gradients, the clips of a batch shared by `count` processes (see Workers).

    control (maps that tell motion, or None), frame_step: see VideoDiT. windows: (window, overlap) in latent frames, to
    see a long clip in windows (see diffusion.blended), or None. Use it in a `with` block. A single clip is for one
    process; the cores are left to its matrix products.

    ranks: all of these draw the same clips, and do the network's work together. First clips are shared out: guided, one
    counts as two, with its caption and without. The ranks form as many teams as there are clips for, all of one size,
    and the ranks of a team share out the frames of its clips (see models/over_ranks.py). So 4 ranks draw 4 clips side
    by side; a guided clip is drawn by 2 teams of 2.
    """

    def __init__(self, transformer, count, control=None, frame_step=1, windows=None, ranks=ALONE):
        self.transformer, self.control, self.frame_step = transformer, control, frame_step
        self.windows, self.ranks = windows, ranks
        self.workers = Workers(self._predict, count, "draw fewer clips at a time")

    def __enter__(self):
        self.ranks.meet()  # what is wrong on one of them is told before the others begin
        ag.load_twins()
        self.workers.__enter__()
        return self

    def __exit__(self, *error):
        self.workers.__exit__(*error)

    def __call__(self, latents, noise_level, tokens):
        """latents (B, T, h, w, C), noise_level (B, T), tokens (B, L) or (B, F, L) -> (B, T, h, w, C)."""
        xp, batch = array_module(latents), {"x": latents, "level": noise_level}
        if self.control is not None:  # guided, the clips come twice
            batch["control"] = xp.concatenate([self.control] * (len(latents) // len(self.control)))

        def predict(part):
            of_part = {name: array[:, part] for name, array in batch.items()}
            of_part["tokens"] = self._captions_of(part, latents.shape[1], tokens)
            return self._by_ranks(of_part)

        return blended(predict, latents, *(self.windows or (latents.shape[1], 0)))

    def _by_ranks(self, batch):
        """The prediction for a batch, a dict of arrays, on every rank."""
        clips, size = batch_size(batch), self.ranks.size
        count = max(teams for teams in range(1, size + 1) if size % teams == 0 and teams <= clips)
        number, team = self.ranks.teams(count)
        own = split_batch(batch, count)[number]
        if team.size > 1:  # threads would mix up its exchanges
            predicted = self._predict(own, team)
        else:
            predicted = array_module(batch["x"]).concatenate(self.workers(split_batch(own, self.workers.count)))
        if size == 1:
            return predicted
        of_teams = self.ranks.meet(to_numpy(predicted) if team.first else None)
        return to_device(np.concatenate([part for part in of_teams if part is not None]))

    def _captions_of(self, part, frames, tokens):
        """The captions (B, L) or (B, F', L) of some of the frames of a clip, a slice, whose captions are `tokens`."""
        if tokens.ndim == 2 or part == slice(0, frames):
            return tokens
        patches = np.arange(part.start, part.stop, self.transformer.config.patch_size[0])
        return Tokenizer.fewest(tokens[:, (patches * tokens.shape[1] // frames).tolist()])

    def _predict(self, shard, ranks=None):
        inputs, options = (shard["x"], shard["level"], shard["tokens"]), {}
        if ranks is not None:
            options["ranks"] = ranks
        if "control" in shard:
            options["control"] = shard["control"]
        if self.frame_step != 1:
            options["frame_step"] = self.frame_step
        with ag.no_grad():  # holds for one thread only
            return self.transformer(*inputs, **options).data
