"""Real clips spoilt in one way each, which show what a measure gives where there is nothing to find: its floor.

other captions   each clip is judged by another clip's caption
shuffled frames  each clip's frames in random order: the same pictures, no motion
recombined       every frame from another clip: the same frames in all, no identity
frozen           the first frame throughout: perfect identity, no motion
"""

import numpy as np

from ...data import parse


def shuffled_captions(captions, generator):
    """Each clip gets the caption of another clip of as many digits (its own only where there is no other)."""
    counts = np.array([len(parse(caption)) for caption in captions])
    result = np.array(captions, dtype=object)
    for count in np.unique(counts):
        rows = generator.permutation(np.flatnonzero(counts == count))
        result[rows] = result[np.roll(rows, 1)]
    return list(result)


def shuffled_frames(clips, generator):
    """Each clip's frames in a random order of its own."""
    order = generator.permuted(np.tile(np.arange(clips.shape[1]), (len(clips), 1)), axis=1)
    return clips[np.arange(len(clips))[:, None], order]


def recombined(clips, generator):
    """Frame t of each clip comes from a random clip; every frame is used once."""
    rows = generator.permuted(np.tile(np.arange(len(clips))[:, None], (1, clips.shape[1])), axis=0)
    return clips[rows, np.arange(clips.shape[1])]


def frozen(clips):
    """The first frame throughout."""
    return np.repeat(clips[:, :1], clips.shape[1], axis=1)


OTHER_CAPTIONS = "other captions"
SPOILT = {  # (clips, generator) -> clips
    "shuffled frames": shuffled_frames,
    "recombined": recombined,
    "frozen": lambda clips, generator: frozen(clips),
}
CONTROLS = (OTHER_CAPTIONS, *SPOILT)
