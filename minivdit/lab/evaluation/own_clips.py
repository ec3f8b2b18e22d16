"""How well a model has learnt clips of one's own, in which nothing says what is right: held out clips are the measure.

Does it denoise clips that it hasn't seen as well as those of its training?
"""

import numpy as np

from ... import autograd as ag
from ...base import seeds
from ...base.backend import blas_threads, to_device

LOOKED_AT = 64  # clips of each split, at most, for a loss
TIMES = 4  # that each is noised: noise levels make most of the spread


def losses(task, folder, seed=0):
    """{"held_out_loss", "training_loss"}: the mean loss of a TransformerTask on both parts of a ClipFolder.

    Both have the same noise and noise levels, so that the difference is what was learnt by heart. None for a part that
    has no clips.
    """
    held_out = [folder.is_held_out(entry) for entry in folder.entries]
    splits = {"held_out_loss": ("test", any(held_out)), "training_loss": ("train", not all(held_out))}
    count = min(LOOKED_AT, *(sum(side) for side in (held_out, [not out for out in held_out]) if any(side)))
    return {
        name: mean_loss(task, folder.clips(split), count, seed) if there else None
        for name, (split, there) in splits.items()
    }


def mean_loss(task, clips, count, seed=0):
    """The mean loss of a task on `count` of the OwnClips `clips`, evenly among them, each noised TIMES times."""
    each, found = clips.each(), []
    chosen = [each[place] for place in np.linspace(0, len(each) - 1, count).round().astype(int)]
    with ag.no_grad(), blas_threads(1):
        for time in range(TIMES):
            for start in range(0, count, task.batch_size):
                part = clips.cut(chosen[start : start + task.batch_size])
                batch = task.batch_of(part, seeds.generator(seed, seeds.MEASUREMENTS, time, start))
                loss, _ = task.loss({name: to_device(array) for name, array in batch.items()})
                found += [float(loss.data)] * len(part.captions)
    return float(np.mean(found))
