"""What a trained model gives for the prompts: clips from the same noise for all models, and its error on fixed clips.

Drawing is the long part, so it is kept in a file beside the weights and done again only if weights or prompts change.
"""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...base import seeds
from ...base.backend import to_device, to_numpy
from ...base.errors import InputError
from ...base.files import load_tensors, save_tensors
from ...generation.batch import Predictor
from ..evaluation.kept_clips import as_floats, draw_in_batches

LEVEL_BINS = 8  # of noise, for the validation loss
VALIDATION_CLIPS = 24  # of each speed


@dataclass(frozen=True)
class Drawn:
    """What one model gave.

    video: (B, T, H, W, 1) in [0, 1]. errors: (speeds, LEVEL_BINS), see `validation_errors`. answer_nothing: the same of
    a network that always answers 0. seconds: to draw a clip, here.
    """

    video: np.ndarray
    errors: np.ndarray
    answer_nothing: np.ndarray
    seconds: float


def draw(model, prompts, path, directory=None, may_draw=True):
    """The Drawn of a TextToVideo, from the file at `path` if it holds them; None if not and may_draw is False."""
    asked = "\n".join([*prompts.captions, str(prompts.data), str(model.settings)])
    key = f"{model.fingerprint()} {hashlib.sha256(asked.encode()).hexdigest()[:8]}"
    path = Path(path)
    kept = _read(path, key, prompts)
    if kept is not None or not may_draw:
        return kept
    started = time.perf_counter()
    video = draw_in_batches(model, prompts.captions)
    seconds = (time.perf_counter() - started) / len(prompts.captions)
    errors, nothing = validation_errors(model, prompts.data, directory)
    tensors = {"video": video, "errors": errors, "answer_nothing": nothing}
    save_tensors(path, tensors, {"key": key, "seconds": round(seconds, 4)})
    return _read(path, key, prompts)


def validation_errors(model, data, directory=None):
    """The error of the predicted velocity on fixed clips of unseen digits, by speed and noise level.

    One noise level for all frames, the middle of each of LEVEL_BINS bins. Returns mean squared errors (speeds, bins)
    twice: the model's, and those of a network that answers 0. A prediction of another kind counts as the velocity that
    it stands for.
    """
    generator = seeds.generator(1, seeds.COMPARISONS)
    process = model.settings.process
    errors = np.empty((2, len(data.speeds), LEVEL_BINS), np.float32)
    with Predictor(model.transformer, model.threads) as predict:
        for row, speed in enumerate(data.speeds):
            maker = data.clips("test", directory, speeds=(speed,), held_out="include", synonyms=False)
            clips = maker.batch(generator, VALIDATION_CLIPS)
            clean = model.autoencoder.encode(to_device(clips.video))
            tokens = to_device(model.tokenizer.encode(clips.captions))
            for column in range(LEVEL_BINS):
                middle = (column + 0.5) / LEVEL_BINS
                level = to_device(np.full(clips.video.shape[:2], middle, np.float32))
                noise = to_device(generator.standard_normal(clean.shape, dtype=np.float32))
                target = process.target(clean, noise, level)
                worth = process.velocity_weight(level)
                answer = predict(process.mix(clean, noise, level), level, tokens)
                for which, wrong in enumerate((answer - target, target)):
                    errors[which, row, column] = to_numpy((worth * (wrong**2).mean(axis=(2, 3, 4))).mean())
    return errors[0], errors[1]


def _read(path, key, prompts):
    """The Drawn in a file; None if there is none, or one of another key."""
    if not path.exists():
        return None
    tensors, about = load_tensors(path)
    if not isinstance(about, dict) or about.get("key") != key:
        return None
    video, errors, nothing = (tensors.get(name) for name in ("video", "errors", "answer_nothing"))
    losses = (len(prompts.data.speeds), LEVEL_BINS)
    expected = ((video, np.uint8, prompts.real.shape), (errors, np.float32, losses), (nothing, np.float32, losses))
    whole = all(part is not None and (part.dtype, part.shape) == (dtype, shape) for part, dtype, shape in expected)
    if not whole or type(about.get("seconds")) not in (int, float):
        raise InputError(f"{path} holds no clips of a comparison; remove it and run this again")
    return Drawn(as_floats(video), errors, nothing, about["seconds"])
