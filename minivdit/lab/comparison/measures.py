"""What is measured of a set of clips: one figure each, of the prompts that it is about.

Every measure has a ceiling, real clips of the same captions, and a floor, real clips (or captions) spoilt in the one
way that the measure is about; a frozen clip wins all that is about identity, so identity never stands alone.
"""

from dataclasses import dataclass

import numpy as np

from ...base.backend import blas_threads
from .. import evaluation as ev
from ..evaluation.metrics import NOWHERE
from ..evaluation.observation import mean_of_known

ONE = ("seen", "held_out")


@dataclass(frozen=True)
class Measure:
    """title: for tables. kinds: which prompts count. better: 1 more is better, -1 less is, 0 neither. floor: which
    spoilt real clips show chance. format: of its figures. by_speed: told for each speed too."""

    title: str
    kinds: tuple
    better: int
    floor: str
    format: str = ".2f"
    by_speed: bool = True

    @property
    def share(self):
        """Whether it lies in [0, 1] and comes in steps of one clip."""
        return self.format == ".2f" and self.better > 0


EVERY = (*ONE, "two")
MEASURES = {
    "digit_frames": Measure("frames that show the digit asked for", ONE, 1, "other captions"),
    "direction": Measure("digit sets off in the direction asked for", ONE, 1, "other captions"),
    "obeys": Measure("obeys: its digit, its way, nothing else", ("seen",), 1, "other captions"),
    "held_out": Measure("obeys, pairs never captioned", ("held_out",), 1, "other captions"),
    "bound": Measure("obeys, two digits: each its own way", ("two",), 1, "other captions", by_speed=False),
    "flawless": Measure("flawless: obeys, and nothing is wrong in any frame", EVERY, 1, "other captions"),
    "one_class": Measure("the digit reads as one class in every frame", ONE, 1, "recombined"),
    "appearance": Measure("drift of the digit's picture from its first frame (lost: 1)", ONE, -1, "recombined"),
    "permanence": Measure("two digits met: both are there again", ("two",), 1, "recombined", by_speed=False),
    "bounces": Measure("reflected by the wall where a bounce is due", ONE, 1, "shuffled frames"),
    "on_path": Measure("moves, and along one bouncing line", ONE, 1, "shuffled frames"),
    "travel": Measure("way gone / way asked for", ONE, 0, "frozen"),
    "frechet_frames": Measure("Frechet distance of frames", EVERY, -1, "recombined", ".3g", False),
    "frechet_clips": Measure("Frechet distance of clips", EVERY, -1, "shuffled frames", ".3g", False),
}
CONTROLS = ("other captions", "shuffled frames", "recombined", "frozen")


@dataclass(frozen=True)
class Scores:
    """values: measure -> (B,), one value a clip, NaN where the measure says nothing of it. distances: name -> number.
    likeness: (T,), correlation of a digit's picture with its first one, 0 where lost, mean over clips of one digit."""

    values: dict
    distances: dict
    likeness: np.ndarray

    def figure(self, name, prompts, speed=None):
        """(mean, number of clips behind it) of a measure, of prompts of one speed if it is given; NaN of none."""
        if name in self.distances:
            return self.distances[name], len(prompts.captions)
        value = self.values[name][prompts.rows(MEASURES[name].kinds, speed)]
        value = value[~np.isnan(value)]
        return (float(value.mean()) if len(value) else np.nan), len(value)


@blas_threads(1)  # of products this small, threads on a busy machine spend most of their time waiting for each other
def judge(video, prompts, captions=None):
    """The Scores of clips (B, T, H, W, 1) in [0, 1] drawn for the Prompts. captions: other ones, for a floor."""
    data = prompts.data
    targets = ev.read_captions(captions or prompts.captions, video.shape[2:4], data.pixels_per_frame)
    observation = ev.observe(video, data.digit_size, targets.count, pixels_per_frame=data.pixels_per_frame)
    values = ev.prompt_metrics(observation, targets) | ev.identity_metrics(observation) | ev.motion_metrics(observation)
    values["held_out"] = values["bound"] = values["obeys"]
    values["appearance"] = appearance(observation)
    values["bounces"], values["permanence"] = ev.bounces(observation), ev.permanence(observation)
    values["travel"] = travel(observation, targets)
    return Scores(values, distances(video, prompts), likeness(observation, prompts))


def travel(observation, targets):
    """Way gone / way asked for, (B,), of a clip's digits together: 0 where nothing moves, 1 at the right speed."""
    moving = observation.paths.direction != NOWHERE
    gone = (observation.paths.speed * moving).sum(-1)
    return gone / np.nansum(targets.speed, axis=-1)


def appearance(observation):
    """1 - correlation with the digit's first picture, (B,), mean over the frames after it; NaN where there are none.

    evaluation's `likeness` leaves out the frames in which the digit is lost; here they count as correlation 0, so that
    nothing is won by losing it.
    """
    kept, later = _kept(observation)
    return mean_of_known(mean_of_known(np.where(later, 1 - kept, np.nan), -1), -1)


def likeness(observation, prompts):
    """(T,): correlation with the digit's first picture, 0 where it is lost, mean over the prompts of one digit.

    NaN where none is seen up to then.
    """
    kept, _ = _kept(observation)
    return mean_of_known(kept[prompts.rows(ONE), 0], 0)


def _kept(observation):
    """(likeness, but 0 where a digit is lost after it was first seen; the frames after that): both (B, K, T)."""
    seen = ~np.isnan(observation.likeness)
    later = seen.cumsum(-1) - seen > 0
    return np.where(later & observation.readable & ~observation.tracks.found, 0.0, observation.likeness), later


def distances(video, prompts):
    """Frechet distances to the second set of real clips; NaN for fewer than two clips."""
    if len(video) < 2:
        return {"frechet_frames": np.nan, "frechet_clips": np.nan}
    maps, others = (ev.frame_maps(clips, prompts.data.digit_size) for clips in (video, prompts.others))
    return {
        "frechet_frames": ev.frechet_distance(ev.frame_features(maps), ev.frame_features(others)),
        "frechet_clips": ev.frechet_distance(ev.clip_features(maps), ev.clip_features(others)),
    }


def references(prompts):
    """Scores of real clips and of each of the CONTROLS, by name; "real" is the ceiling of everything."""
    generator = np.random.default_rng(0)
    real = prompts.real
    spoilt = {
        "shuffled frames": ev.shuffled_frames(real, generator),
        "recombined": recombined(real, prompts.kind, generator),
        "frozen": ev.frozen(real),
    }
    scores = {name: judge(video, prompts) for name, video in {"real": real, **spoilt}.items()}
    scores["other captions"] = judge(real, prompts, ev.shuffled_captions(prompts.captions, generator))
    return scores


def recombined(video, kind, generator):
    """evaluation.recombined within each kind of prompt, so that a frame keeps its number of digits."""
    mixed = video.copy()
    for one in np.unique(kind):
        mixed[kind == one] = ev.recombined(video[kind == one], generator)
    return mixed
