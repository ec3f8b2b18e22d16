"""TextToVideo: the trained parts together, from a caption to a video.

A clip is drawn by three methods: `generate` (or another ability) says what is given, `denoise` goes from noise to
latents, and `draw` decodes them.
"""

import itertools

import numpy as np

from .. import diffusion
from ..base import seeds, values
from ..base.backend import array_module, thread_count, to_device, to_numpy
from ..base.errors import InputError, shorten
from ..base.ranks import ALONE
from ..models.patches import clip_grid, token_count
from ..nn import fingerprint
from . import weights
from .abilities import Abilities
from .batch import NoiseByClip, Predictor
from .forecast import require_memory, teller
from .given import Given
from .motion import motion_told, one_each

# The arguments that all drawing takes: those for users, and those by which the abilities choose what is drawn.
DRAWING = ("seed", "steps", "guidance_scale", "negative_prompt", "sampler", "progress")
DRAWING += ("path", "pan", "brush", "frame_step", "overlap", "resample")
INNER = ("level", "stream", "places", "part")
MEANT = {
    "guidance": "guidance_scale",
    "cfg": "guidance_scale",
    "cfg_scale": "guidance_scale",
    "negative": "negative_prompt",
    "frames": "num_frames",
    "num_steps": "steps",
    "num_inference_steps": "steps",
    "scheduler": "sampler",
    "height": "size",
    "width": "size",
    "fps": "the argument frames_per_second of write_grid",
    "frames_per_second": "the argument frames_per_second of write_grid",
}


class TextToVideo(Abilities):
    """Draws clips from captions, and from parts of clips: see Abilities for animate, keyframes, extend and others.

        model = TextToVideo.load()
        video = model.generate("a 3 moving right and a 7 moving up", seed=1)  # (1, T, H, W, 1) in [0, 1]

    notes: a dict kept with the weights (how they were trained). name: what to call the weights.
    Where MPI started several ranks, set `ranks` to base.ranks.here() on all of them: then they draw together, and all
    get what is drawn. Predictor says who does what.
    """

    def __init__(self, transformer, autoencoder, tokenizer, settings, notes=None, name="untitled"):
        self.transformer = transformer
        self.autoencoder = autoencoder
        self.tokenizer = tokenizer
        self.settings = settings
        self.notes = notes or {}
        self.name = name
        self.threads, self.ranks = thread_count(), ALONE

    @classmethod
    def load(cls, path=None):
        """Read weights written by `save`; without a path, those that ship with the package.

        path: a file, or the name of other weights that ship ('small'). Raises InputError when the file is missing,
        damaged, or of another kind.
        """
        path = weights.find(path)
        return cls(**weights.read(path), name=path.stem)

    def save(self, path, half=True):
        """Write all weights to one safetensors file, in float16 unless `half` is False."""
        weights.write(path, self, half)

    def generate(self, prompt, num_frames=None, size=None, *, index=None, negative_prompt=None, places=None, **drawing):
        """Draw one clip for each prompt.

        prompt: a caption or a list of B captions; with "then" in it, one after the other ("a 3 moving right then up").
        num_frames, size (H, W) in pixels: any that the patches divide; as in training unless given. index: draw only
        this clip of the B, counted from 0, as it would be drawn among them, up to rounding.
        drawing: seed, steps, guidance_scale, sampler, progress; see `draw`, negative_prompt too.
        Returns a float32 NumPy array (B, T, H, W, C) in [0, 1], or (1, T, H, W, C) where an index is given.
        """
        prompts = values.captions(prompt)
        if index is not None:
            places = [values.whole("index", index, 0, len(prompts) - 1)]
            if negative_prompt is not None:
                negative_prompt = [one_each(negative_prompt, len(prompts))[places[0]]]
            prompts = [prompts[places[0]]]
        given = self._nothing_given(len(prompts), num_frames, size)
        return self.draw(prompts, given, places=places, negative_prompt=negative_prompt, **drawing)

    def draw(self, prompt, given, **drawing):
        """Draw what isn't given of B clips: the one thing that all abilities do, `generate` too.

        prompt: a caption for all clips or a list of B. given: a Given. drawing:
          seed             a whole number; the same one gives the same clip on CPU and GPU, up to rounding
          steps, sampler   as in training unless given; see diffusion.steps
          guidance_scale   how strongly to follow the caption; a number, or a function: see diffusion.guided
          negative_prompt  what guidance leads away from: one caption or B; the empty one unless given
          path             where the digits are to go, for weights trained with control: for all clips a list of way
                           points (y, x) in pixels, or a list of B; for two digits a list of two such lists each
          pan              how the camera moves, for weights trained with velocities: (y, x) in pixels a frame, one for
                           all clips or one each; a caption may say it: "a 3 moving right, the camera pans left"
          brush            what moves, and nothing else does, for such weights: a mask, boolean (H, W) or a picture, and
                           the velocity (y, x) of what is there in the first frame; see data.velocity_fields
          frame_step       4 to draw every 4th frame only, for weights trained with such clips
          overlap          for a clip longer than those in training: draw it in windows of their length that share so
                           many frames; see diffusion.blended. All windows are drawn at the same time and agree at every
                           step; `extend` draws one part after the other, and no part knows of what comes later. Each
                           window is told the caption of its own part of the clip
          resample         how many times to go back under more noise on the way and down again, so that what is drawn
                           fits better what is given; see diffusion.resampled. Three times cost nearly as much again
          progress, part   see `denoise`
          level            the noise level to begin at; 1 is nothing but noise
          stream, places   what the noise is for (see seeds), and the numbers of the clips, from each of which follows
                           its noise; 0 to B - 1 unless given
        Returns float32 (B, T, H, W, C) in [0, 1]; known pixels are as they were given, bit for bit. InputError where
        the drawing goes out of float32's range.
        """
        _check_arguments(drawing)
        for step in self.denoise(prompt, given=given, **drawing):
            last = step
        windows = self._windows(drawing.get("overlap"))
        return given.keep(_finite(self._by_ranks(self.decode, last.x, windows)))

    def denoise(
        self,
        prompt,
        num_frames=None,
        size=None,
        seed=0,
        steps=None,
        guidance_scale=None,
        sampler=None,
        given=None,
        level=1.0,
        stream=(seeds.CLIPS,),
        negative_prompt=None,
        places=None,
        progress=None,
        frame_step=1,
        overlap=None,
        resample=0,
        part=(0, 1),
        **motion,
    ):
        """The way from noise to latents: a generator of diffusion.Step; see `generate` and `draw` for the arguments.

        A step's x and clean are latents; `decode` turns them into video. progress: called as progress(done, total,
        flops) before the first step and after each, with the number of steps and the FLOPs of them all. part: (k, n) if
        this is part k of n that are drawn one after the other, and progress is to know of all.
        """
        settings, process, pixels = self.settings, self.settings.process, self.autoencoder.config
        seed, frame_step = values.whole("seed", seed), values.whole("frame_step", frame_step, 1, 1000)
        steps = values.whole("steps", steps, 1, default=settings.steps)
        scale = settings.guidance_scale if guidance_scale is None else guidance_scale
        scale = scale if callable(scale) else values.finite("guidance_scale", scale)
        sampler = settings.sampler if sampler is None else sampler
        diffusion.SamplingSettings(sampler, steps)  # says what can't be
        given = given or self._nothing_given(len(values.captions(prompt)), num_frames, size)
        self._check_given(given, overlap)
        windows = self._windows(overlap)
        known = given.known_latents(pixels.factor, pixels.time_factor)
        prompt, control = motion_told(self, prompt, given.video.shape, frame_step, windows, **motion)
        tokens, against = self._tokens(prompt, negative_prompt, scale, *given.video.shape[:2])
        levels = self._levels(steps, level, known, given.level, windows, resample)
        tell = teller(progress, part, self, given.video.shape, levels, scale != 1, windows)
        tell(0)
        # From text alone, too: there the clip is black and nothing of it is known. It is the one way for all abilities.
        clean = to_device(self._by_ranks(self._encode, given.video, windows))
        generator = NoiseByClip(seed, stream, range(len(known)) if places is None else places)
        noise = to_device(generator.standard_normal(clean.shape, np.float32))
        # Guided, a clip goes through the network twice at a time: with its caption and without.
        count = min(self.threads, len(known) * (1 if scale == 1 else 2))
        predictor = Predictor(self.transformer, count, control, frame_step, windows, self.ranks)
        denoise = diffusion.guided(predictor, to_device(tokens), to_device(against), scale)
        states = diffusion.steps(
            diffusion.with_known(denoise, to_device(known), clean, process),
            process.mix(clean, noise, to_device(levels[0])),  # at level 0 clean, at 1 noise: given frames and free ones
            levels,
            process,
            sampler=sampler,
            generator=generator,
        )
        return self._watched(states, predictor, tell)

    def _levels(self, steps, highest, known, known_level, windows, resample):
        """The levels on the way of clips of which the latents `known` (B, T, h, w, 1) are given, seen at known_level.

        In windows the network sees clips as long as those: their length says how far levels are shifted.
        """
        frames, *size = known.shape[1:4]
        seen = (min(frames, windows[0]) if windows else frames, *size)
        shift = self.settings.length_shift(token_count(seen, self.transformer.config.patch_size))
        given = known.all(axis=(2, 3, 4))
        highest = values.finite("level", highest)
        levels = diffusion.level_matrix(steps, *given.shape, given, highest, shift, given_level=known_level)
        return diffusion.resampled(levels, values.whole("resample", resample, 0, 100))

    @staticmethod
    def _watched(states, predictor, tell):
        """The Steps of a sampler, each checked and counted; the predictor's processes live as long as they come."""
        with predictor:
            for done in itertools.count(1):
                with np.errstate(over="ignore", invalid="ignore"):  # the result is checked
                    step = next(states, None)
                if step is None:
                    return
                _finite(step.x)
                tell(done)
                yield step

    def _check_given(self, given, overlap):
        """Raise an InputError if what isn't given can't be drawn."""
        clips, num_frames, *size, channels = given.video.shape
        pixels = self.autoencoder.config
        self.check_request(clips, num_frames, size, overlap=overlap)
        if channels != pixels.image_channels:
            raise InputError(f"a clip has {channels} channels; this model draws {pixels.image_channels}")
        given.check_whole(pixels.factor, pixels.time_factor)
        if given.known.all():
            raise InputError("every pixel is given, so there is nothing to draw; leave a frame or a part of one free")

    def _tokens(self, prompt, negative_prompt, guidance_scale, clips, num_frames):
        """The tokens that guidance leads to, and those it leads away from: (B, L) each, or (B, T', L) over time."""
        negative = one_each("" if negative_prompt is None else negative_prompt, clips)
        if guidance_scale == 1 and any(negative):
            raise InputError("a negative prompt has no effect at guidance 1; raise the guidance, or leave it out")
        patches = self.autoencoder.config.latent_frames(num_frames) // self.transformer.config.patch_size[0]
        tokens = self.tokenizer.encode_over_time(one_each(prompt, clips) + negative, patches)
        return np.split(self.tokenizer.fewest(tokens), 2)  # as in training

    def decode(self, latents):
        """Latents (B, T, h, w, c) to video, a float32 NumPy array (B, T, H, W, C) in [0, 1]."""
        return to_numpy(self.autoencoder.decode(latents))

    def _by_ranks(self, function, clips, windows):
        """function(clips) for clips (B, T, ...), on every rank. Each does it for some of the frames.

        Where the autoencoder codes frames together, each rank does it for some of the clips.
        """
        if self.ranks.size == 1:
            return _in_parts(function, clips, windows)
        axis = 1 if self.autoencoder.config.time_factor == 1 else 0
        own = self.ranks.part(clips.shape[axis])
        part = clips[(slice(None),) * axis + (slice(own.start, own.stop),)]
        parts = self.ranks.meet(to_numpy(_in_parts(function, part, windows)) if len(own) else None)
        return np.concatenate([part for part in parts if part is not None], axis=axis)

    def _encode(self, video):
        return self.autoencoder.encode(to_device(np.ascontiguousarray(video)))

    def _windows(self, overlap):
        """(window, overlap) in frames by which a long clip is drawn in windows, or None for all frames at once."""
        if overlap is None:
            return None
        window = self.settings.num_frames
        side, each = self.transformer.config.patch_size[0], self.autoencoder.config.time_factor
        if each > 1:
            raise InputError(
                f"a window in the middle of a clip would begin with {each} frames that {self.name} codes together, and "
                "those in training begin with one; leave the overlap out and use `extend`"
            )
        overlap = values.whole("overlap", overlap, 1, window - 1)
        if overlap % side:
            raise InputError(f"an overlap of {overlap} frames cuts patches of {side} frames; give a multiple of {side}")
        return window, overlap

    @property
    def learnt(self):
        """What the weights say of the clips that they learnt, {name: plain value}; {} where they don't say it."""
        return self.notes.get("preset", {}).get("data", {})

    def fingerprint(self):
        """Eight hexadecimal digits that change with any weight: printed beside a picture, they say what made it."""
        return fingerprint(self.transformer, self.autoencoder, dtype=np.float16)

    def _nothing_given(self, clips, num_frames, size):
        num_frames = values.whole("num_frames", num_frames, 1, default=self.settings.num_frames)
        size = self.settings.size if size is None else values.size(size)
        return Given.nothing(clips, num_frames, size, self.autoencoder.config.image_channels)

    def check_request(self, clips, num_frames, size, kept=0, overlap=None):
        """Raise an InputError, naming what works, unless such clips can be drawn; size: (height, width) in pixels.

        kept: how many frames the whole clip has, if this is a part of one. overlap: see `draw`.
        """
        clip_grid(num_frames, size, self.autoencoder.config, self.transformer.config.patch_size)
        if windows := self._windows(overlap):
            num_frames, kept = min(num_frames, windows[0]), max(num_frames, kept)
        require_memory(self, clips, num_frames, size, kept)


def _in_parts(function, clips, windows):
    """function(clips) for clips (B, T, ...); as many frames at a time as a window has, if there are windows."""
    frames = clips.shape[1]
    at_once = windows[0] if windows else frames
    parts = [function(clips[:, start : start + at_once]) for start in range(0, frames, at_once)]
    return parts[0] if len(parts) == 1 else array_module(parts[0]).concatenate(parts, axis=1)


def _check_arguments(names):
    """Raise InputError, with the name that is meant, unless drawing takes arguments of these names."""
    for name in names:
        if name not in DRAWING + INNER:
            cure = f"{MEANT[name]} is meant" if name in MEANT else f"drawing takes {', '.join(DRAWING)}"
            raise InputError(f"{shorten(name)!r} is no argument here; {cure}")


def _finite(array):
    """The array itself, if all of it are finite numbers; else an InputError."""
    if not bool(array_module(array).isfinite(array).all()):
        raise InputError(
            "drawing gave values that aren't numbers; lower the guidance (3 is usual), or take other weights"
        )
    return array
