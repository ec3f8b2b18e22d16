"""Kinds of clips that a recipe is judged by: what a trained network is asked to draw, and which share of it is right.

All are clips of the base's rate. A network that learnt four times as many frames draws four times as many, of which
every fourth is judged. What a network can't draw has no figure.
"""

import numpy as np

from ...base import seeds
from ...data import Steering, along, due
from ..evaluation.coherence import parts_obeyed
from ..evaluation.model_evaluation import real_clips
from ..evaluation.scores import Scorer
from ..evaluation.tracking import clear_of_edges, early_velocity, ink_centres, path_error

LONGER, WIDER = 2, 1.5  # times the base's frames and width
STEP = 2  # of the clips that show every second frame
NEAR = 2  # pixels from the path that was told, a mean over frames
PANS, CLOSE = (0.7, 2.1), 0.3  # pixels a frame: how fast the camera pans, and how far from that a clip may be

CLIPS = 9.5  # of the base's size that are drawn for each prompt, all kinds together

# What is measured, in words: all are shares of clips, but the last, of parts of clips.
TITLES = {
    "obeys": "obeys its caption",
    "one_class": "one digit throughout",
    "on_path": "on one bouncing line",
    "longer": "twice as long: obeys",
    "wider": "half as wide again: obeys",
    "sparse": "every second frame: obeys",
    "between": "between two frames that are given: one digit, on one line",
    "path": f"told a bent path: within {NEAR} pixels of it",
    "pan": f"told to pan: within {CLOSE} pixels a frame",
    "parts": "told to turn: parts obeyed",
}


class Real:
    """Real clips in the place of drawn ones: what can be reached. The base of `Drawn`, which has the same methods.

    base: Preset of the base. prompts: how many clips of each kind. data: folder of MNIST.
    """

    def __init__(self, base, prompts, data=None):
        self.base, self.prompts, self.data = base.data, prompts, data

    def real(self, **others):
        """Two sets of real Clips of the base's kind, of the same captions; the same for all networks.

        others: what is to be otherwise; see data.CaptionedClips.
        """
        maker = self.base.clips("test", self.data, synonyms=False, **others)
        return real_clips(maker, seeds.generator(0, seeds.COMPARISONS), self.prompts)

    def clips(self, real, frame_step=1):
        """Clips (B, T, H, W, 1) of the captions and the shape of real ones; None if they can't be drawn."""
        return real.video

    def between(self, real):
        """Clips that begin and end with the first and the last frame of real ones; None if they can't be drawn."""
        return real.video

    def told(self, real, corners):
        """Clips along a path, if the network can be told of one. corners: (B, way points, 2), pixels."""
        return None

    def panned(self, real, pan):
        """Clips whose camera pans, if the network can be told of it. pan: (B, 2), pixels a frame."""
        return real.video

    def scores(self):
        """({name of TITLES: share, or None}, clips of the first kind, as many as there are prompts)."""
        video, values = self._values()
        return {
            **{name: _share(values[name]) for name in ("obeys", "one_class", "on_path")},
            "longer": _share(self._values(num_frames=LONGER * self.base.num_frames)[1]["obeys"]),
            "wider": _share(self._values(size=(self.base.size[0], int(WIDER * self.base.size[1])))[1]["obeys"]),
            "sparse": _share(self._values(frame_step=STEP)[1]["obeys"]),
            "between": self._between(),
            "path": self._path(),
            "pan": self._pan(),
            "parts": self._parts(),
        }, video

    def _values(self, **shape):
        """(Clips, {measure: (B,)}) of clips of another shape than the base's."""
        real, others = self.real(**shape)
        video = self.clips(real, shape.get("frame_step", 1))
        return video, self._judged(video, real, others, shape.get("frame_step", 1))

    def _judged(self, video, real, others, step=1):
        if video is None:
            return dict.fromkeys(TITLES)
        speeds = tuple(step * pixels for pixels in self.base.pixels_per_frame)
        return Scorer(real.captions, others.video, self.base.digit_size, speeds)(video).values

    def _between(self):
        real, others = self.real()
        values = self._judged(self.between(real), real, others)
        return None if values["on_path"] is None else _share(np.nan_to_num(values["one_class"]) * values["on_path"])

    def _path(self):
        real, low = self.real()[0], self.base.digit_size / 2
        high = np.array(self.base.size) - 1 - low
        corners = seeds.generator(0, seeds.COMPARISONS, 1).uniform(low, high, (self.prompts, 3, 2))
        video = self.told(real, corners)
        if video is None:
            return None
        strayed = [path_error(clip, along(points, len(clip))) for clip, points in zip(video, corners)]
        return _share([error is not None and error < NEAR for error in strayed])

    def _pan(self):
        maker = self.base.clips("test", self.data, synonyms=False)
        generator = seeds.generator(0, seeds.COMPARISONS, 2)
        labels = [maker.draw_motions(generator) for _ in range(self.prompts)]
        own = np.array([[maker.velocity(motion.direction, motion.speed)] for (motion,) in labels])
        angle, speed = generator.uniform(0, 2 * np.pi, self.prompts), generator.uniform(*PANS, self.prompts)
        pan = np.stack([speed * np.sin(angle), speed * np.cos(angle)], axis=1)
        real = maker.render(generator, labels, steering=Steering.none(self.prompts)._replace(pan=pan))
        wanted = due(real.velocities, real.tracks[:, :, 0], own)[:, 0]
        video = self.panned(real, pan)
        seen = np.stack([early_velocity(clear_of_edges(clip, ink_centres(clip))) for clip in video])
        return _share(np.linalg.norm(seen - wanted, axis=1) < CLOSE)  # NaN, a digit that can't be followed, isn't

    def _parts(self):
        maker = self.base.clips("test", self.data, synonyms=False, turning=1.0)
        real = maker.batch(seeds.generator(0, seeds.COMPARISONS, 3), self.prompts)
        return _share(parts_obeyed(self.clips(real), real.captions, self.base.digit_size, self.base.pixels_per_frame))


class Drawn(Real):
    """What a trained network draws, from the same noise as any other.

    model: a TextToVideo. preset: its own.
    """

    def __init__(self, model, preset, base, prompts, data=None):
        super().__init__(base, prompts, data)
        self.model = model
        # So many of its frames make one of the base's, since its digits go so many times slower.
        self.rate = round(base.data.pixels_per_frame[0] / preset.data.pixels_per_frame[0])

    def clips(self, real, frame_step=1, **told):
        if frame_step > 1 and self.rate > 1:
            return None  # its autoencoder codes neighbouring frames together
        frames = 1 + self.rate * (real.video.shape[1] - 1)
        how = {"seed": 0, **told, **({"frame_step": frame_step} if frame_step > 1 else {})}
        return self.model.generate(real.captions, frames, real.size, **how)[:, :: self.rate]

    def between(self, real):
        if self.rate > 1:
            return None
        last = real.video.shape[1] - 1
        return self.model.keyframes({time: real.video[:, time] for time in (0, last)}, real.captions, last + 1, seed=0)

    def told(self, real, corners):
        """A network that can't be told of the path draws without it: what chance reaches."""
        return self.clips(real, **({"path": corners.tolist()} if self.model.transformer.config.control else {}))

    def panned(self, real, pan):
        return self.clips(real, **({"pan": pan / self.rate} if self.model.transformer.config.velocities else {}))


def _share(values):
    """The mean over clips as a plain number; a clip that doesn't show it counts as wrong. None of None."""
    return None if values is None else round(float(np.nan_to_num(np.asarray(values, float)).mean()), 6)
