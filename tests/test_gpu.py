"""Training, drawing and judging on a GPU, followed from end to end with the stand-in for CuPy."""

import json
import re

import numpy as np
import pytest

from minivdit import autograd as ag
from minivdit.base import backend, seeds
from minivdit.base.errors import InputError
from minivdit.base.files import load_tensors
from minivdit.kernels import folder, launch
from minivdit.lab.benchmarks import workloads
from minivdit.lab.cli import main as cli
from minivdit.lab.pipeline import train as pipeline
from minivdit.nn.optim_on_gpu import UpdateOnGPU
from minivdit.nn.update import make_update
from minivdit.training import loop, presets
from minivdit.training.checkpoint import load_checkpoint
from minivdit.training.journal import read_journal
from minivdit.training.loop import Run, fit, train

SMALL = (
    *("autoencoder_training.steps=3", "autoencoder_training.batch=4", "training.steps=3", "training.batch=2"),
    *("sampling.steps=1", "transformer.depth=1"),
)
VARIANTS = {
    "plain": (),
    "patterns": (
        *("transformer.patterns=frame,time,window:3x2x2,skip:2", "transformer.depth=4", "transformer.causal=true"),
        *("diffusion.curve=ddpm_cosine", "diffusion.prediction=noise", "training.shards=2"),
    ),
    "without Muon": ("training.matrix_learning_rate=0",),
}


def small(changes):
    """The tiny preset made smaller still, and then changed."""
    return presets.override(presets.override(presets.get("tiny"), SMALL), changes)


def three_steps(device, kind, changes=(), spoil=0, **options):
    """Train for three steps on a device: (the states, the weights, the Run)."""
    backend.use(device, **options)
    preset = small(changes)
    task, settings = workloads.preset_task(kind, preset, np.random.default_rng(0))
    settings = presets.dataclasses.replace(settings, steps=3)
    normal = np.random.default_rng(1)
    for parameter in task.parameters.values():
        parameter.data += 0.05 * backend.normal(normal, parameter.shape) + spoil
    run = Run(task, settings, seed=2)
    states = list(train(run))
    weights = {name: backend.to_numpy(parameter.data) for name, parameter in task.parameters.items()}
    return states, weights, run


@pytest.mark.parametrize(("kind", "variant"), [("autoencoder", "plain"), *(("train", variant) for variant in VARIANTS)])
def test_training_computes_the_same_as_on_the_cpu(stand_in, monkeypatch, kind, variant):
    stand_in.install(monkeypatch)
    (states, weights, _), (expected_states, expected, _) = (
        three_steps(device, kind, VARIANTS[variant]) for device in ("gpu", "cpu")
    )
    for state, other in zip(states, expected_states):
        assert state.loss == pytest.approx(other.loss, rel=1e-4)
        assert state.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-3)
        assert state.extras.keys() == other.extras.keys()
        for name, values in state.extras.items():
            pairs = zip(*(extra if isinstance(extra, tuple) else (extra,) for extra in (values, other.extras[name])))
            assert all(ours == theirs or ours == pytest.approx(theirs, rel=1e-3) for ours, theirs in pairs)
    for name, array in expected.items():
        assert abs(weights[name] - array).max() < 1e-4, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_training_step_copies_the_batch_in_and_a_few_numbers_out(gpu, variant):
    preset = small(VARIANTS[variant])
    task, settings = workloads.preset_task("train", preset, np.random.default_rng(0))
    run = Run(task, settings)
    batch = task.batch(seeds.generator(0, seeds.BATCHES, 2))
    steps = train(run)
    next(steps)  # the first one also brings tables of positions and groups there
    gpu.clear()
    next(steps)
    assert sorted(gpu.to_device()) == sorted(array.nbytes for array in batch.values())
    pairs = batch["level"].nbytes
    # Of the step before: loss, norm of the gradients; level and error of each frame.
    assert sorted(gpu.to_host()) == [4, 4, pairs, pairs] and gpu.waits == 0
    assert any(name.startswith("attention_backward_3b") for name in gpu.launches)
    steps.close()


def journal_of(device, path, record, monkeypatch, save_every=200, callbacks=()):
    """Four steps of an autoencoder: lines of the journal, and for each update, what was read before and who waited."""

    def update(self, *given):
        norm = UpdateOnGPU.__call__(self, *given)
        found.append((len(record.to_host()), record.waits))
        return norm

    found = []
    backend.use(device)
    task, settings = workloads.preset_task("autoencoder", small(()), np.random.default_rng(0))
    settings = presets.dataclasses.replace(settings, steps=4)
    if device == "gpu":
        watched = type("Watched", (UpdateOnGPU,), {"__call__": update})
        monkeypatch.setattr(loop, "make_update", lambda optimizer, average, everywhere: watched(optimizer, average))
        launch.launcher()  # looks whether the GPU computes
    record.clear()
    fit(task, settings, path, log_every=1, save_every=save_every, callbacks=callbacks, progress=False)
    return read_journal(path.with_suffix(".jsonl")), found


def test_numbers_are_read_a_step_late_and_the_journal_is_that_of_the_cpu(gpu, monkeypatch, tmp_path):
    ours, found = journal_of("gpu", tmp_path / "gpu.safetensors", gpu, monkeypatch)
    # Four numbers and arrays a step: those of the first are read when the second is under way, and so on.
    assert found == [(0, 0), (0, 0), (4, 0), (8, 0)]
    with monkeypatch.context() as patch:
        patch.setattr(loop, "make_update", make_update)
        theirs, _ = journal_of("cpu", tmp_path / "cpu.safetensors", gpu, patch)
    assert [line["step"] for line in ours] == [line["step"] for line in theirs] == [0, 1, 2, 3, 4]
    for mine, other in zip(ours[1:], theirs[1:]):
        assert mine.keys() == other.keys()
        for name in mine.keys() - {"minutes", "seconds"}:
            assert mine[name] == pytest.approx(other[name], rel=1e-3), name
    # Where a checkpoint or a callback looks at a step, that one is read before the next.
    look = [(3, lambda run, state: {"step": run.step, "loss": state.loss})]
    path = tmp_path / "saved.safetensors"
    again, found = journal_of("gpu", path, gpu, monkeypatch, save_every=2, callbacks=look)
    assert [reads > 4 * step for step, (reads, _) in enumerate(found)] == [False, False, True, True]
    assert [line["loss"] for line in again[1:]] == [line["loss"] for line in ours[1:]]
    assert again[3]["metrics"] == {"step": 3, "loss": again[3]["loss"]}


def test_weights_that_are_not_numbers_are_not_saved(gpu, tmp_path):
    path = tmp_path / "run.safetensors"
    task, settings = workloads.preset_task("autoencoder", small(()), np.random.default_rng(0))
    settings = presets.dataclasses.replace(settings, steps=9)

    def spoil(run, state):
        if state.step == 3:
            next(iter(task.parameters.values())).data[...] = np.nan

    with pytest.raises(InputError, match="is not a number at step 4; lower the learning rates"):
        fit(task, settings, path, save_every=2, callbacks=[(1, spoil)], progress=False)
    groups, _ = load_checkpoint(path)
    assert groups["run"]["step"] == 2


def test_a_gradient_that_is_not_a_number_ends_the_training(stand_in, monkeypatch):
    stand_in.install(monkeypatch)
    for options in ({}, {"kernels": False}):
        with pytest.raises(InputError, match="is not a number at step 1; lower the learning rates"):
            three_steps("gpu", "train", spoil=np.nan, **options)


@pytest.mark.parametrize("kernels", [True, False])
def test_launches_of_a_step_of_the_small_preset(gpu, stand_in, monkeypatch, kernels):
    """kernels/README.md says how many. They are only counted: what the kernels would compute is left out."""
    backend.use("gpu", kernels=kernels)
    monkeypatch.setattr(stand_in.Emulation, "run", lambda *given: None)
    zeros = lambda shape, dtype=np.float32: backend.to_device(np.zeros(shape, dtype))
    monkeypatch.setattr(backend.xp(), "empty", zeros)
    prepared = workloads.ours("train small", 1)
    with prepared.around:
        prepared.run()
        gpu.clear()
        prepared.run()
    told = re.search(r"small preset is ([\d,]+) calls .* ([\d,]+) without", (folder() / "README.md").read_text())
    assert len(gpu.launches) <= int(told.group(1 if kernels else 2).replace(",", ""))


def test_an_autoencoders_step_does_too(gpu):
    preset = presets.override(presets.get("tiny"), SMALL)
    run = Run(*workloads.preset_task("autoencoder", preset, np.random.default_rng(0)))
    steps = train(run)
    next(steps)
    gpu.clear()
    next(steps)
    assert len(gpu.to_device()) == 2 and len(gpu.to_host()) == 4
    steps.close()


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def train_tiny(out, *further):
    changes = [part for change in SMALL for part in ("--set", change)]
    return run("train", "tiny", "--out", out, *changes, *further)


def test_train_sample_and_evaluate_on_a_gpu(stand_in, monkeypatch, tmp_path, capsys):
    stand_in.install(monkeypatch)
    assert train_tiny(tmp_path / "run", "--device", "gpu") == 0
    assert any(name.startswith("attention_forward_4b") for name in stand_in.record.launches)
    weights = tmp_path / "run" / "model.safetensors"
    assert json.loads((tmp_path / "run" / "transformer.jsonl").read_text().splitlines()[-1])["step"] == 3
    drawn = {}
    for device in ("gpu", "cpu", "auto"):
        stand_in.record.clear()
        target = tmp_path / f"{device}.png"
        assert run("sample", "a 3 moving right", "--weights", weights, "--device", device, "--out", target) == 0
        assert any(name.startswith("attention") for name in stand_in.record.launches) == (device != "cpu")
        drawn[device] = target.read_bytes()
    assert drawn["auto"] == drawn["gpu"]
    assert run("evaluate", "--weights", weights, "--prompts", 2, "--steps", 1, "--device", "gpu") == 0
    assert run("evaluate", "--weights", weights, "--prompts", 2, "--steps", 1) == 0  # what is cached is kept apart
    assert "digit_frames" in capsys.readouterr().out


def stop_at_the_second_preview(path, *_):
    if path.stem.endswith("2"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(("first", "second"), [("gpu", "cpu"), ("cpu", "gpu"), ("gpu", "gpu")])
def test_a_run_goes_on_on_the_other_device(stand_in, monkeypatch, tmp_path, first, second):
    stand_in.install(monkeypatch)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert train_tiny(whole, "--device", "cpu") == 0
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.display, "write_strips", stop_at_the_second_preview)
        assert train_tiny(parts, "--device", first) == 130
    assert train_tiny(parts, "--device", second, "--resume") == 0
    (groups, about), (expected, _) = (load_checkpoint(folder / "transformer.safetensors") for folder in (parts, whole))
    assert groups["run"]["step"] == 3 and about["settings"]["steps"] == 3
    for name, array in expected["optimizer"].items():
        assert np.shape(groups["optimizer"][name]) == np.shape(array)
    tensors, _ = load_tensors(parts / "autoencoder.safetensors")
    others, _ = load_tensors(whole / "autoencoder.safetensors")
    for name, array in others.items():  # that stage had no change of schedule in between
        assert abs(tensors[name] - array).max() < 1e-4 * max(1, abs(array).max()), name


def test_states_move_between_devices_in_memory(stand_in, monkeypatch):
    stand_in.install(monkeypatch)
    _, weights, there = three_steps("gpu", "train")
    backend.use("cpu")
    _, _, here = three_steps("cpu", "train", ["training.learning_rate=0.5"])
    here.load_state(there.state())
    for name, parameter in here.parameters.items():
        np.testing.assert_array_equal(parameter.data, weights[name])
    assert here.step == 3
    backend.use("gpu")
    _, _, back = three_steps("gpu", "train", ["training.learning_rate=0.5"])
    back.load_state(here.state())
    for name, parameter in back.parameters.items():
        np.testing.assert_array_equal(parameter.data.get(), weights[name])


def test_the_kernels_are_left_out_only_when_asked_for(stand_in, monkeypatch, tmp_path):
    stand_in.install(monkeypatch)
    assert train_tiny(tmp_path / "run", "--device", "gpu", "--kernels", "off") == 0
    assert not any(name.startswith("attention") for name in stand_in.record.launches)


def refused(capsys, *arguments):
    assert run(*arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("minivdit:")]
    return line


def test_a_gpu_too_old_for_the_kernels(stand_in, monkeypatch, tmp_path, capsys):
    stand_in.install(monkeypatch, architecture="70")
    line = refused(capsys, "sample", "a 3 moving right", "--device", "gpu")
    assert "sm_70, and the kernels need sm_75" in line and "--kernels off" in line and "--device cpu" in line
    target = tmp_path / "clip.png"
    drawing = ("sample", "a 3 moving right", "--weights", "small", "--steps", 1, "--out", target)
    assert run(*drawing, "--device", "gpu", "--kernels", "off") == 0
    assert not any(name.startswith("attention") for name in stand_in.record.launches)
    stand_in.record.clear()
    assert run(*drawing, "--device", "auto") == 0 and not stand_in.record.launches  # auto goes on with NumPy


def test_too_little_shared_memory(stand_in, monkeypatch, tmp_path, capsys):
    stand_in.install(monkeypatch, shared_bytes=8 << 10)
    changes = [part for change in SMALL for part in ("--set", change)]
    line = refused(capsys, "train", "tiny", "--out", tmp_path, *changes, "--device", "gpu")
    assert "8192 bytes of shared memory a block" in line and "--kernels off" in line and "--device cpu" in line


def test_too_little_memory_is_told_before_anything_runs(stand_in, monkeypatch, tmp_path, capsys):
    stand_in.install(monkeypatch, memory=1 << 20)
    line = refused(capsys, "train", "tiny", "--out", tmp_path, "--device", "gpu")
    assert "autoencoder_training.batch 32 needs about" in line and "the largest that fits" in line


def test_memory_that_runs_out_all_the_same(stand_in, monkeypatch, tmp_path, capsys):
    module = stand_in.install(monkeypatch)

    def nothing_left(*given, **options):
        raise stand_in.OutOfMemoryError("Out of memory allocating 1,073,741,824 bytes")

    monkeypatch.setattr(module, "concatenate", nothing_left)
    assert "not enough memory" in refused(capsys, "train", "tiny", "--out", tmp_path, "--device", "gpu")


def test_a_source_that_nvrtc_cannot_compile(stand_in, monkeypatch):
    stand_in.install(monkeypatch)
    backend.use("gpu")
    source = launch.whole_source
    monkeypatch.setattr(launch, "whole_source", lambda name: source(name) + "\n#error nought\n")
    q = backend.to_device(np.zeros((1, 1, 3, 32), np.float32))
    with pytest.raises(InputError, match=r"NVRTC can't compile attention_forward_4b.* sm_90: kernel.cu\(7\): error"):
        ag.attention(q, q, q)
