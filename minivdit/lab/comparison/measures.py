"""What is compared: the measures of evaluation, each over the prompts that it is about.

A frozen clip wins all that is about identity, so identity never stands alone.
"""

from dataclasses import replace

import numpy as np

from ..evaluation import MEASURES
from ..evaluation.controls import OTHER_CAPTIONS, SPOILT
from ..evaluation.metrics import likeness_with_lost
from ..evaluation.observation import mean_of_known

ONE = ("seen", "held_out")


def _over(kinds, name, title=None):
    """A measure of evaluation, over prompts of these kinds alone."""
    return replace(MEASURES[name], kinds=kinds, title=title or MEASURES[name].title)


COMPARED = {
    "digit_frames": _over(ONE, "digit_frames"),
    "direction": _over(ONE, "direction"),
    "obeys": _over(("seen",), "obeys"),
    "held_out": _over(("held_out",), "obeys", "obeys, pairs never captioned"),
    "bound": _over(("two",), "obeys", "obeys, two digits: each in its own direction"),
    "flawless": MEASURES["flawless"],
    "one_class": _over(ONE, "one_class"),
    "appearance_change": _over(ONE, "appearance_change"),
    "permanence": _over(("two",), "permanence"),
    "bounces": _over(ONE, "bounces"),
    "on_path": _over(ONE, "on_path"),
    "travel_ratio": _over(ONE, "travel_ratio"),
    "frechet_frames": MEASURES["frechet_frames"],
    "frechet_clips": MEASURES["frechet_clips"],
}


def figure(scores, key, prompts, speed=None):
    """(mean, number of clips behind it) of a measure of COMPARED, of prompts of one speed if given; NaN of none."""
    measure = COMPARED[key]
    if measure.unit == "distance":
        return scores.distances[measure.name], len(prompts.captions)
    estimate = measure.over_clips(scores.values[measure.name][prompts.rows(measure.kinds, speed)])
    return estimate.mean, estimate.n


def likeness(scores, prompts):
    """(T,): correlation with the digit's first picture, 0 where it is lost, mean over the prompts of one digit.

    NaN where none is seen up to then.
    """
    kept, _ = likeness_with_lost(scores.observation)
    return mean_of_known(kept[prompts.rows(ONE), 0], 0)


def references(prompts):
    """The Scores of real clips, "real", and of real clips spoilt in each of the ways of evaluation.controls."""
    real, order = prompts.scorer(prompts.real), (*SPOILT, OTHER_CAPTIONS)
    return {"real": real, **prompts.scorer.controls(prompts.real, real, np.random.default_rng(0), prompts.kind, order)}
