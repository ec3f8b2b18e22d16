"""What one network can do besides drawing clips from captions alone: each ability is a choice of what is given.

                          given                                          drawn
    animate, keyframes    frames at some times                           the others
    extend                the last frames (backwards: the first ones)    those after (before) them
    interpolate           every n-th frame                               those between
    recursive             nothing, then every second frame               key frames, then those between, again and again
    connect               the end of one clip, the beginning of another  those that lead from one to the other
    loop                  one image, as first and as last frame          those between
    inpaint               the pixels outside a mask                      those inside
    edit                  the clip under some noise                      everything, from that noise level on

All end in the same call of `TextToVideo.draw`. Given pixels come back unchanged, bit for bit.
"""

import itertools
import math

import numpy as np

from ..base import seeds, values
from ..base.errors import InputError
from .given import Given
from .sources import as_clip, as_mask, as_pixels, fit

VIDEO = ("clips", "frames", "height", "width", "channels")
IMAGES = ("clips", "height", "width", "channels")


class Abilities:
    """Methods of TextToVideo.

    A video is an array (B, T, H, W, C) of floats in [0, 1] or of bytes, an image is (B, H, W, C), of any size that the
    patches divide. For one clip B may be left out, and C for grey ones. The name of a file, a Pillow image, or a list
    of B of them will do, too, if they are of the kind that the model was trained on; `fit` makes them so.
    prompt: one caption for all clips, or a list of B; "" for none. By the time at which frames are added to a clip,
    what moves may have bounced, and then its caption is false: extend, connect and loop also take a function that gives
    B captions, see evaluation.going_on. It gets the given frames (B, T', H, W, C) with which the clip to be drawn
    begins, or, if it begins with none, those with which it ends. drawing: seed, steps, guidance_scale,
    negative_prompt, sampler, progress; see `TextToVideo.draw`. Every method returns float32 (B, T, H, W, C).
    """

    def animate(self, image, prompt="", num_frames=None, **drawing):
        """A clip of `num_frames` frames (as in training unless given) whose first frame is an image."""
        return self.keyframes({0: image}, prompt, num_frames, **drawing)

    def keyframes(self, images, prompt="", num_frames=None, *, stream=(seeds.KEYFRAMES,), **drawing):
        """A clip of `num_frames` frames with images at some times: a dict of time (0 is the first) -> image."""
        num_frames = values.whole("num_frames", num_frames, 1, default=self.settings.num_frames)
        if not images:
            raise InputError("there are no keyframes; give at least one, such as {0: image}")
        images = {values.whole("a time", time, 0, num_frames - 1): image for time, image in images.items()}
        images = {time: self._pixels(image, IMAGES, f"the image at time {time}") for time, image in images.items()}
        if len({image.shape for image in images.values()}) > 1:
            shapes = ", ".join(f"{time}: {image.shape}" for time, image in images.items())
            raise InputError(
                f"all keyframes must have one size, but they have (clips, height, width, channels) {shapes}"
            )
        return self._draw_others(images, prompt, num_frames, stream=stream, **drawing)

    def extend(self, video, prompt="", num_frames=None, *, backwards=False, context=None, context_noise=0.1, **drawing):
        """A clip and `num_frames` frames more: after it, or before it if `backwards`.

        They are drawn in rounds. In each, the last (first) `context` frames that there are begin (end) a clip as long
        as those in training, and its other frames are drawn. context: by default half of that clip. num_frames: by
        default what one round gives. Errors add up over the rounds: see evaluation.drift. So the network sees the
        context under a little noise, of level context_noise, which hides them in part. (`overlap`, see `draw`, draws
        a long clip from nothing, all of it at the same time; extend goes on from what there is, and keeps it.)
        """
        _refuse_control(drawing)
        video, window = self._pixels(video, VIDEO, "the clip"), self.settings.num_frames
        if context is None:
            context = self._coded_together(min(max(1, window // 2), video.shape[1]), backwards)
        context = min(values.whole("context", context), video.shape[1])
        if not 1 <= context < window:
            raise InputError(
                f"context can't be {context}, since each round draws a clip of {window} frames; choose from 1 to "
                f"{window - 1}"
            )
        num_frames = values.whole("num_frames", num_frames, 1, default=window - context)
        level = values.finite("context_noise", context_noise)
        if not 0 <= level < 1:
            raise InputError(f"context_noise is a noise level from 0, none, to below 1, not {level}")
        wanted, new, parts = video.shape[1] + num_frames, window - context, [video]
        rounds = math.ceil(num_frames / new)
        for number in range(rounds):
            edge = video[:, :context] if backwards else video[:, -context:]
            frames = {new * backwards + time: edge[:, time] for time in range(context)}
            drawing |= {"stream": (seeds.EXTEND, number), "part": (number, rounds)}
            video = self._draw_others(frames, prompt, window, wanted, level, **drawing)
            parts.append(video[:, :new] if backwards else video[:, context:])
        video = np.concatenate(parts[::-1] if backwards else parts, axis=1)
        return video[:, -wanted:] if backwards else video[:, :wanted]

    def interpolate(self, video, prompt="", factor=2, **drawing):
        """A clip with factor - 1 new frames between any two: (T - 1) * factor + 1 frames.

        A long one is done in stretches no longer than the clips in training; they share their end frames.
        """
        _refuse_control(drawing)
        self._check_single_frames()
        video, factor = self._pixels(video, VIDEO, "the clip"), values.whole("factor", factor, 2)
        gaps, window = video.shape[1] - 1, self.settings.num_frames
        if gaps < 1:
            raise InputError("between the frames of a clip of 1 frame is nothing to draw; give at least 2 frames")
        stretches = math.ceil(gaps / max(1, (window - 1) // factor))
        edges = [gaps * number // stretches for number in range(stretches + 1)]
        parts = [video[:, :1]]
        for number, (first, last) in enumerate(itertools.pairwise(edges)):
            length = (last - first) * factor + 1
            frames = {(time - first) * factor: video[:, time] for time in range(first, last + 1)}
            drawing |= {"stream": (seeds.INTERPOLATE, number), "part": (number, stretches)}
            drawn = self._draw_others(frames, prompt, self._whole_patches(length), gaps * factor + 1, **drawing)
            parts.append(drawn[:, 1:length])
        return np.concatenate(parts, axis=1)

    def recursive(self, prompt, halvings=2, **drawing):
        """A long clip from few key frames, after CogVideo (Hong et al. 2022): (T - 1) * 2**halvings + 1 frames.

        First every 2**halvings-th frame is drawn, T of them, as many as clips have in training. Then the frames halfway
        between any two, and so on, each time at half the step. For weights trained with such clips: data.shapes with @.
        """
        _refuse_control(drawing)
        if "frame_step" in drawing:
            raise InputError("a recursive clip has steps of its own, 2**halvings at first; leave frame_step out")
        self._check_single_frames()
        halvings = values.whole("halvings", halvings, 1, 10)
        window = self.settings.num_frames
        self.check_request(len(values.captions(prompt)), window, self.settings.size, (window - 1) * 2**halvings + 1)
        video = self.generate(prompt, frame_step=2**halvings, **drawing)
        for halving in range(halvings - 1, -1, -1):
            video = self.interpolate(video, prompt, frame_step=2**halving, **drawing)
        return video

    def connect(self, before, after, prompt="", num_frames=None, *, context=None, **drawing):
        """Two clips, and `num_frames` frames between them that lead from one to the other.

        context: how many frames of either clip are given to the network; by default a quarter of a clip's length in
        training, or fewer where the autoencoder codes several frames together. num_frames: by default as many as fill
        that length.
        """
        _refuse_control(drawing)
        before, after = (self._pixels(video, VIDEO, "a clip") for video in (before, after))
        if before.shape[:1] + before.shape[2:] != after.shape[:1] + after.shape[2:]:
            raise InputError(f"clips of shapes {before.shape} and {after.shape} can't be connected; give equal sizes")
        window = self.settings.num_frames
        if context is None:
            counts = (min(max(1, window // 4), video.shape[1]) for video in (before, after))
            counts = [self._coded_together(count, backwards) for count, backwards in zip(counts, (False, True))]
        else:
            counts = [values.whole("context", context, 1)] * 2
        left, right = before[:, -counts[0] :], after[:, : counts[1]]
        first, others = left.shape[1], right.shape[1]
        last = first + values.whole("num_frames", num_frames, 1, default=max(1, window - first - others))
        frames = {time: left[:, time] for time in range(first)}
        frames |= {last + time: right[:, time] for time in range(others)}
        drawn = self._draw_others(frames, prompt, last + others, stream=(seeds.CONNECT,), **drawing)
        return np.concatenate([before, drawn[:, first:last], after], axis=1)

    def loop(self, prompt="", image=None, num_frames=None, **drawing):
        """A clip that can be repeated without end; evaluation.seam measures the jump from its last frame to its first.

        image: the first frame; by default that of a clip that is drawn from the prompt. num_frames: as in training
        unless given. First a clip is drawn that ends as it began. Then it is rotated in time, so that the seam lies in
        the middle. Last, a quarter of the frames, those around the seam, are drawn anew to fit the others; an image
        that was given stays.
        """
        _refuse_control(drawing)
        self._check_single_frames()
        length = values.whole("num_frames", num_frames, 3, default=self.settings.num_frames)
        closed, drawn = self._whole_patches(length + 1), image is None
        image = None if drawn else self._pixels(image, IMAGES, "the image")
        for frames in (length, closed):  # before anything is drawn
            self.check_request(1, frames, self.settings.size if drawn else image.shape[1:3])
        parts = 2 + drawn
        if drawn:
            blank = np.zeros((1, 1, *self.settings.size, self.autoencoder.config.image_channels), np.float32)
            first = prompt(blank) if callable(prompt) else prompt
            image = self.generate(first, stream=(seeds.LOOP, 2), part=(0, parts), **drawing)[:, 0]
        drawing |= {"stream": (seeds.LOOP, 0), "part": (parts - 2, parts)}
        once = self.keyframes({0: image, length: image}, prompt, closed, **drawing)[:, :length]
        rotated, middle = np.roll(once, length // 2, axis=1), length // 2
        free = range(middle - max(1, length // 8), middle + math.ceil(length / 8))
        kept = [time for time in range(length) if time not in free or (time == middle and not drawn)]
        drawing |= {"stream": (seeds.LOOP, 1), "part": (parts - 1, parts)}
        drawn = self._draw_others({time: rotated[:, time] for time in kept}, prompt, length, **drawing)
        return np.roll(drawn, -middle, axis=1)

    def edit(self, video, prompt, level=0.7, **drawing):
        """The clip under noise of this level, denoised from there with another caption (Meng et al. 2022, "SDEdit").

        level: above 0, where nothing would change, up to 1, where nothing is left of the clip.
        """
        level = values.finite("level", level)
        if not 0 < level <= 1:
            raise InputError(f"editing starts at a noise level above 0 and up to 1, not {level}")
        video = self._pixels(video, VIDEO, "the clip")
        given = Given(video, np.zeros((*video.shape[:-1], 1), bool))
        return self.draw(prompt, given, level=level, stream=(seeds.EDIT,), **drawing)

    def inpaint(self, video, mask, prompt="", *, resample=3, **drawing):
        """The clip with a part of its space and time drawn anew.

        mask: boolean, True where to draw: (H, W) for all frames, (T, H, W), or (B, T, H, W). Or a picture:
        then it is drawn where the picture is bright, or, if parts of the picture are transparent, where it is opaque.
        resample: see `draw`; 0 takes half the time, and what is drawn fits less well.
        """
        video, mask = self._pixels(video, VIDEO, "the clip"), as_mask(mask)
        try:
            mask = np.broadcast_to(mask, video.shape[:-1])[..., None]
        except ValueError:
            mask = mask[:0]
        if mask.dtype != bool or not mask.any():
            raise InputError(
                f"a mask is a boolean array (height, width) or (frames, height, width) = {video.shape[1:4]}, True "
                "somewhere: there the clip is drawn anew"
            )
        given = Given(np.where(mask, np.float32(0), video), ~mask)
        return self.draw(prompt, given, resample=resample, stream=(seeds.INPAINT,), **drawing)

    def fit(self, source, way="scale"):
        """A picture or clip of another kind, for the other methods: of the size and with the channels in training, and
        light on dark for weights that draw digits.

        source: the name of a file, a Pillow image, or a Clip. way: 'scale' shows all of it, with black beside it where
        its shape is another; 'crop' fills the frame and cuts off what sticks out; 'pad' keeps its own pixels, with
        black around. Returns a data.reading.Clip, whose notes say what was done.
        """
        return fit(as_clip(source), self, way)

    def _pixels(self, source, shape, name):
        return as_pixels(source, shape, name, self)

    def _draw_others(self, frames, prompt, num_frames, kept=0, seen_at=0.0, **drawing):
        """A clip of `num_frames` frames of which some are given: frames is a dict of time -> images (B, H, W, C).

        kept: how many frames the whole clip has, if this is a part of one. seen_at: Given.level.
        """
        images = next(iter(frames.values()))
        self.check_request(len(images), num_frames, images.shape[1:3], kept)
        if callable(prompt):
            times = range(num_frames) if 0 in frames else range(num_frames - 1, -1, -1)
            run = sorted(itertools.takewhile(frames.__contains__, times))
            prompt = prompt(np.stack([frames[time] for time in run], axis=1))
        return self.draw(prompt, Given.at(frames, num_frames, seen_at), **drawing)

    def _check_single_frames(self):
        """Raise InputError where the autoencoder codes several frames together, so that single ones can't be given."""
        each = self.autoencoder.config.time_factor
        if each > 1:
            raise InputError(
                f"this gives the network single frames, and {self.name} codes {each} together; take weights that code "
                "each frame by itself, such as 'small'"
            )

    def _coded_together(self, num_frames, backwards=False):
        """The most frames up to this number that the autoencoder codes by themselves, at the beginning or the end."""
        each, first = self.autoencoder.config.time_factor, 0 if backwards else 1
        if num_frames < (first or each):
            raise InputError(f"{self.name} codes {each} frames together; give a clip of at least as many to lead to")
        return first + (num_frames - first) // each * each

    def _whole_patches(self, num_frames):
        """The least number of frames from this one upwards of which latents and patches can be made."""
        side, pixels = self.transformer.config.patch_size[0], self.autoencoder.config
        latent_frames = 1 + math.ceil((num_frames - 1) / pixels.time_factor)
        return pixels.frames(math.ceil(latent_frames / side) * side)


def _refuse_control(drawing):
    """Raise InputError for a path, a pan or a brush where clips are drawn in parts: it would begin anew in each."""
    for name in ("path", "pan", "brush"):
        if drawing.get(name) is not None:
            raise InputError(
                f"a {name} is for a clip that is drawn in one: generate, animate, keyframes, edit or inpaint"
            )
