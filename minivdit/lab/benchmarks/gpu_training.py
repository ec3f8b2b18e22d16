"""Training on a GPU: how long a step takes, whether it learns what a CPU learns, and a longer training."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from ...base import backend
from ...base.errors import InputError
from ...generation import TextToVideo
from ...training import presets
from ...training.loop import Run, train
from . import cpu, gpu_timing, workloads
from .gpu_session import Cell
from .gpu_timing import noted

PRESETS = ("small", "full")
STEPS = 200
CAPTION = "a 3 moving right"
# What rounding may make of a training's loss at the first steps, of the mean of the last ones, and of a clip's pixels.
FIRST, LAST, PIXELS = 1e-3, 0.05, 0.02


def steps(preset, turns=15, compiled=False, plain=False):
    """A cell 'train small': a training step of a preset by ours and by PyTorch, and by plain CuPy if so asked, in turn.

    Seconds; kernels launched; and the seconds in which the host alone queued a step. Where PyTorch can't do it, ours is
    measured without it. Plain CuPy, which may take long to begin, adds to what was measured before, or leaves it.
    """

    def measure():
        name, *count = ("train 1x64x32x1x1", 1, 0) if gpu_timing.short() else (f"train {preset}", turns, 3)
        sides, notes = ["ours"], []
        if gpu_timing.torch_has_a_gpu():
            sides += ["eager", *["compiled"] * compiled]
        sides += ["cupy"] * plain
        while sides:
            try:
                timing = cpu.measure(name, 1, sides, *count, device="gpu")
                break
            except InputError as error:
                notes.append(str(error))
                sides = [] if plain else sides[:-1]
        else:
            raise InputError("; ".join(notes))
        told = {
            side: {
                **gpu_timing.timing(1e3 * np.array(timing.seconds[side])),
                "launches": timing.launches[side],
                "host": timing.queued[side] and 1e3 * timing.queued[side],
            }
            for side in sides
        }
        return {"sides": told, "difference": timing.difference, **noted(*notes)}

    yield Cell(f"train {preset}", measure)


def against_cpu():
    """Cells: so many training steps of `tiny`, and a clip by the weights `small`, on the GPU and on the CPU."""
    steps, options = (2, {"steps": 1, "num_frames": 2}) if gpu_timing.short() else (STEPS, {})
    yield Cell(f"{STEPS} training steps", lambda: _same_training(steps))
    yield Cell("a clip", lambda: _same_clip(options))


def _on_both(work):
    """work() on the GPU, and on the CPU: by NumPy, since compiling takes longer than this may."""
    found = []
    for device in ("gpu", "cpu"):
        backend.use(device, kernels=device == "gpu")
        found.append(work())
    return found


def _same_training(count):
    def losses():
        task, settings = workloads.preset_task("train", presets.get("tiny"), np.random.default_rng(0))
        settings = presets.dataclasses.replace(settings, steps=count)
        return np.array([state.loss for state in train(Run(task, settings, seed=1))])

    there, here = _on_both(losses)
    first = float((abs(there - here) / here)[:5].max())
    last = [float(one[-min(50, count) :].mean()) for one in (there, here)]
    apart = abs(last[0] / last[1] - 1)
    problem = f"the first losses are {first:.1e} apart, the last ones {apart:.1e}"
    told = {"losses": there.tolist(), "of_cpu": here.tolist(), "told": problem}
    return {**told, **noted("" if first <= FIRST and apart <= LAST else problem)}


def _same_clip(options):
    there, here = _on_both(lambda: TextToVideo.load("small").generate(CAPTION, seed=0, **options))
    apart = abs(there.astype(np.float64) - here)
    told = f"pixels of 0 to {here.max():g} are {apart.mean():.1e} apart on average, {apart.max():.1e} at most"
    return {"told": told, **noted("" if apart.mean() <= PIXELS * max(1, here.max()) else told)}


def longer(preset, start, folder, minutes, data=None):
    """A cell: a training of a preset from trained weights, for so many minutes, in a folder of its own."""

    def measure():
        command = [sys.executable, "-m", "minivdit", "train", preset, "--start", start, "--device", "gpu"]
        command += ["--minutes", str(minutes), "--out", folder, *(["--data", data] if data else [])]
        done = subprocess.run(command, capture_output=True, text=True)
        lines = [json.loads(line) for path in Path(folder).glob("*.jsonl") for line in path.read_text().splitlines()]
        steps = [line for line in lines if "loss" in line]
        told = f"{len(steps)} logged steps, the last {steps[-1]}" if steps else "no steps"
        problem = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it failed"])[-1]
        return {"told": f"{told:.300}", **noted(problem)}

    yield Cell(f"train {preset} from {start}", measure)
