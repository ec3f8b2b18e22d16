"""Clips spoilt on purpose, each in one way that a person sees at once: what no measure may let pass."""

import numpy as np

from minivdit.data import CaptionedClips, DigitMotion
from minivdit.data.moving_mnist import paint
from minivdit.lab.evaluation import frozen, recombined, shuffled_frames

SETTINGS = {"64x64": ((64, 64), 16, 28), "32x32": ((32, 32), 8, 16)}  # size, frames, digits' size


class Planted:
    """Real clips of one setting, and their spoilt forms: each method returns a video like `clips.video`."""

    def __init__(self, source, setting, num_digits, count, seed=0):
        size, num_frames, digit_size = SETTINGS[setting]
        self.generator = np.random.default_rng(seed)
        self.source = source
        self.maker = CaptionedClips(source, size, num_frames, digit_size, (num_digits,), held_out="include")
        labels = []
        while len(labels) < count:  # two digits go different ways, so that there is something to swap
            motions = self.maker.draw_motions(self.generator)
            labels += [motions] * (len({motion.direction for motion in motions}) == num_digits)
        self.clips = self.maker.render(self.generator, labels)

    def spoilt(self, way):
        """The clips spoilt by the method of this name, the same whatever was spoilt before."""
        self.generator = np.random.default_rng(1)
        return getattr(self, way)()

    def real(self):
        return self.clips.video

    def redrawn(self, *digits, tracks=None):
        """The clips with other pictures, (B, T, s, s) for each digit, on the same ways or on these tracks."""
        count, length = self.clips.video.shape[:2]
        video = np.zeros((count * length, 1, *self.clips.size), np.float32)
        corners = (self.clips.tracks if tracks is None else tracks) - np.float32((self.clips.digit_size - 1) / 2)
        for pictures, corner in zip(digits, corners.swapaxes(0, 1)):
            pictures = pictures.reshape(-1, *pictures.shape[2:])
            paint(video, np.arange(count * length), pictures, corner.reshape(-1, 1, 2))
        return video.reshape(count, length, *self.clips.size, 1)

    def drawn_as(self, labels):
        """Pictures of classes (B, T), each by another writer."""
        size = self.clips.digit_size
        return self.source.draw(self.generator, labels.ravel(), size).reshape(*labels.shape, size, size)

    @property
    def asked(self):
        """(B, T): the class of the first digit that the caption asks for."""
        digits = np.array([motions[0].digit for motions in self.clips.labels])
        return np.repeat(digits[:, None], self.clips.video.shape[1], axis=1)

    def gone_early(self):
        """Nothing is left after 5 of 16 frames."""
        video = self.clips.video.copy()
        video[:, video.shape[1] * 5 // 16 :] = 0
        return video

    def wrong_after_a_while(self):
        """The class asked for in 5 of 16 frames, then another one."""
        kept = self.asked.shape[1] * 5 // 16
        other = np.where(np.arange(self.asked.shape[1]) < kept, self.asked, (self.asked + 1) % 10)
        video = self.redrawn(self.drawn_as(other))
        video[:, :kept] = self.clips.video[:, :kept]
        return video

    def another_writer(self):
        """Every frame shows another writer's digit of the class."""
        return self.redrawn(self.drawn_as(self.asked))

    def ghost(self):
        """A digit that nobody asked for, at a quarter of the ink, in grey haze."""
        ghost = 0.25 * np.roll(self.clips.video, 1, axis=0)
        haze = self.generator.uniform(0, 0.1, self.clips.video.shape).astype(np.float32)
        return np.maximum(np.maximum(self.clips.video, ghost), haze)

    def specks(self):
        """Four white pixels a frame, anywhere."""
        video = self.clips.video.copy()
        frames = video.reshape(-1, video.shape[2] * video.shape[3])
        places = self.generator.integers(frames.shape[1], size=(len(frames), 4))
        frames[np.arange(len(frames))[:, None], places] = 1
        return frames.reshape(video.shape)

    def slowed(self):
        """Every frame twice, so half the way."""
        return np.repeat(self.clips.video[:, : self.clips.video.shape[1] // 2], 2, axis=1)

    def stuttering(self):
        """Every other frame is the one before once more."""
        return np.repeat(self.clips.video[:, ::2], 2, axis=1)

    def detached(self):
        """A short dash that goes along beside the digit."""
        video, size = self.clips.video.copy(), self.clips.digit_size
        for clip, way in zip(video, self.clips.tracks[:, 0]):
            far = np.where(way.mean(0) > (np.array(self.clips.size) - 1) / 2, -1, 1) * 0.6 * size
            for frame, (y, x) in zip(clip, way + far):
                y, x = round(float(y)), round(float(x))
                frame[y : y + max(2, size // 14), x : x + size // 5] = 1
        return video

    def bar(self):
        """An upright bar of even brightness, thicker than a thin pen's stroke."""
        size = self.clips.digit_size
        picture = np.zeros((size, size), np.float32)
        half, thick = round(0.33 * size), round(0.17 * size)
        left = (size - thick) // 2
        picture[size // 2 - half : size // 2 + half, left : left + thick] = 1
        return self.redrawn(np.broadcast_to(picture, (*self.asked.shape, size, size)))

    def extra_digit(self):
        """Another digit is there as well and goes the opposite way."""
        opposite = np.array(self.clips.size, np.float32) - 1 - self.clips.tracks
        other = self.redrawn(
            self.drawn_as((self.asked[:, :1] + 5) % 10).repeat(self.asked.shape[1], 1), tracks=opposite
        )
        return np.maximum(self.clips.video, other)

    def one_missing(self):
        """The first of the digits alone."""
        first = [motions[:1] for motions in self.clips.labels]
        return self.maker.render(self.generator, first).video

    def ways_swapped(self):
        """Each of two digits goes the other one's way."""
        swapped = [
            [DigitMotion(one.digit, *two[1:]), DigitMotion(two.digit, *one[1:])] for one, two in self.clips.labels
        ]
        return self.maker.render(self.generator, swapped).video

    def touching(self):
        """(B, T) bool: the squares of two digits overlap by half or more."""
        return (np.abs(np.diff(self.clips.tracks, axis=1))[:, 0] < self.clips.digit_size / 2).all(-1)

    def muddled(self):
        """Where two digits lie over each other, the picture shows other digits."""
        other = self.redrawn(*(self.drawn_as((self.asked + digit) % 10) for digit in (3, 6)))
        return np.where(self.touching()[..., None, None, None], other, self.clips.video)

    def frozen(self):
        return frozen(self.clips.video)

    def shuffled(self):
        return shuffled_frames(self.clips.video, self.generator)

    def recombined(self):
        return recombined(self.clips.video, self.generator)
