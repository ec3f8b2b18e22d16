"""The loop on a toy: it learns, it is repeatable bit for bit, and it survives being stopped in every way."""

import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minivdit.base import backend
from minivdit.base.errors import InputError
from minivdit.base.stopping import STOPS
from minivdit.training.checkpoint import load_checkpoint, save_checkpoint
from minivdit.training.journal import Journal, Smooth, read_journal
from minivdit.training.loop import Interrupted, Run, State, _joined, fit, steps_in, train
from minivdit.training.tasks import Task, error_by_level

PROGRAM = Path(__file__).with_name("toy_task.py")
_spec = importlib.util.spec_from_file_location("toy_task", PROGRAM)
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)


def weights(task):
    return {name: p.data.copy() for name, p in task.parameters.items()}


def equal(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def quiet(task, path=None, settings=toy.SETTINGS, **options):
    return fit(task, settings, path, progress=False, **options)


def test_it_learns_and_yields_what_happened():
    task = toy.ToyTask(items=60)
    states = list(train(Run(task, dataclasses.replace(toy.SETTINGS, steps=150))))
    assert [state.step for state in states] == list(range(1, 151))
    late, early = ([state.extras["levels"][0] for state in part] for part in (states[-20:], states[:5]))
    assert np.mean(late) < 0.2 * np.mean(early)  # where there is little noise, the answer can be seen
    assert len(states[0].extras["levels"]) == 4 and states[0].extras["largest"] > 0
    assert states[0].fraction == pytest.approx(1 / 3) and states[-1].fraction < 0.01
    assert all(s.gradient_norm > 0 and s.seconds > 0 for s in states)


def test_threads_and_watching_change_no_bit(tmp_path):
    one, two, three = toy.ToyTask(), toy.ToyTask(), toy.ToyTask()
    for _ in train(Run(one, toy.SETTINGS, threads=1)):
        pass
    for _ in train(Run(two, toy.SETTINGS, threads=3)):
        pass
    quiet(three, tmp_path / "run.safetensors", callbacks=[(7, lambda run, state: {"seen": state.step})])
    assert equal(weights(one), weights(two)) and equal(weights(one), weights(three))
    other = toy.ToyTask()
    quiet(other, seed=1)
    assert not equal(weights(one), weights(other))


def test_resumed_is_the_same_bit_for_bit(tmp_path):
    straight = Run(toy.ToyTask(), toy.SETTINGS)
    for _ in train(straight):
        pass
    path = tmp_path / "run.safetensors"
    first = Run(toy.ToyTask(), toy.SETTINGS)
    for state in train(first):
        if state.step == 13:
            break
    save_checkpoint(path, first.state(), first.about())
    second = Run(toy.ToyTask(seed=5), toy.SETTINGS)
    second.resume(path)
    assert second.step == 13
    for _ in train(second):
        pass
    ours, theirs = straight.state(), second.state()
    for group in ("weights", "average", "optimizer"):
        assert equal(ours[group], theirs[group]), group


@pytest.mark.skipif(backend.numba_problem() is not None, reason="Numba isn't installed")
@pytest.mark.parametrize("compiled_first", [True, False])
def test_a_training_goes_on_with_compiled_operations_and_without(tmp_path, compiled_first):
    path, settings, found = tmp_path / "run.safetensors", dataclasses.replace(toy.SETTINGS, steps=8), []
    try:
        backend.use("cpu", kernels=compiled_first)
        first = Run(toy.ToyTask(), settings)
        for state in train(first):
            if state.step == 5:
                break
        save_checkpoint(path, first.state(), first.about())
        for kernels in (True, False):
            backend.use("cpu", kernels=kernels)
            second = Run(toy.ToyTask(seed=5), settings)
            second.resume(path)
            assert [state.step for state in train(second)] == [6, 7, 8]
            found.append(second.state())
    finally:
        backend.use("cpu")
    for group in ("weights", "average"):
        for name, array in found[0][group].items():
            np.testing.assert_allclose(array, found[1][group][name], rtol=1e-4, atol=1e-5, err_msg=name)


def start(path, steps=30):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(path), str(steps)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_step(process, step):
    for line in process.stdout:
        if line.startswith("step ") and int(line.split()[1]) >= step:  # a resumed run may begin beyond it
            return
    raise AssertionError(f"ended before step {step}: {process.stderr.read()}")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_at_any_moment_and_resumed_is_the_same_bit_for_bit(tmp_path):
    """Three kills, each at a random moment after a step (while it computes, logs, or writes), then to the end."""
    path = tmp_path / "run.safetensors"
    generator = np.random.default_rng()
    for step in (4, 10, 20):
        process = start(path)
        wait_for_step(process, step)
        time.sleep(generator.random() * 0.02)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    last = start(path)
    assert last.wait(timeout=60) == 0, last.stderr.read()
    first_step = int(last.stdout.readline().split()[1])
    # It went on, and didn't start again. Step 18 was saved last; if that was still being written, step 15 is there.
    assert first_step >= 16

    straight = tmp_path / "straight.safetensors"
    quiet(toy.ToyTask(), straight, save_every=3, log_every=2)
    ours, theirs = load_checkpoint(path)[0], load_checkpoint(straight)[0]
    for group in ("weights", "average", "optimizer"):
        assert equal(ours[group], theirs[group]), group
    steps = [line["step"] for line in read_journal(path.with_suffix(".jsonl"))]
    assert steps == sorted(set(steps)) and steps[0] == 0 and steps[-1] == 30
    assert {p.name for p in tmp_path.iterdir() if not p.name.startswith(".")} == {
        "run.safetensors", "run.jsonl", "straight.safetensors", "straight.jsonl",
    }  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="signals can't be sent to another process there")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_stop_saves_and_says_how_to_go_on(tmp_path, name):
    path = tmp_path / "run.safetensors"
    process = start(path, steps=100_000)
    wait_for_step(process, 7)
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "of 100000: saved in" in errors and "run the same command again to go on" in errors
    step = load_checkpoint(path)[0]["run"]["step"]
    assert f"stopped after step {step} of" in errors


@pytest.mark.parametrize("number", STOPS)
def test_interrupted_carries_the_message_and_restores_the_handler(tmp_path, number):
    before = [signal.getsignal(stop) for stop in STOPS]

    def press(run, state):
        if state.step == 5:
            signal.raise_signal(number)

    def press_again(run, state):
        if state.step >= 5:
            signal.raise_signal(number)
            signal.raise_signal(number)

    with pytest.raises(Interrupted, match="stopped after step 5 of 30: saved in") as stopped:
        quiet(toy.ToyTask(), tmp_path / "run.safetensors", callbacks=[(1, press)])
    assert stopped.value.code == 128 + number
    with pytest.raises(Interrupted, match="nothing was saved"):
        quiet(toy.ToyTask(), callbacks=[(1, press)])
    with pytest.raises(Interrupted, match="stopped at once"):
        quiet(toy.ToyTask(), callbacks=[(1, press_again)])
    assert [signal.getsignal(stop) for stop in STOPS] == before
    assert quiet(toy.ToyTask(), tmp_path / "run.safetensors").step == 30


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_what_was_to_be_ignored_stays_ignored(tmp_path):
    """So a training that `nohup` started outlives its terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = quiet(toy.ToyTask(), callbacks=[(5, lambda run, state: signal.raise_signal(signal.SIGHUP))])
        assert run.step == 30 and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    short = dataclasses.replace(toy.SETTINGS, steps=4)
    quiet(toy.ToyTask(), path, short)
    with pytest.raises(InputError, match=r"config\.width is 16, here 8"):
        quiet(toy.ToyTask(width=8), path)
    with pytest.raises(InputError, match="seed is 0, here 3"):
        quiet(toy.ToyTask(), path, seed=3)
    with pytest.raises(InputError, match="shards is 3, here 2"):
        quiet(toy.ToyTask(), path, dataclasses.replace(short, shards=2))
    assert quiet(toy.ToyTask(), path, short).step == 4


def test_a_run_cannot_be_made_shorter_than_what_is_done(tmp_path):
    """Nothing would be trained, so it would never be finished: latents would stay as they are."""

    class Finishing(toy.ToyTask):
        finished = ()

        def finish(self, run):
            self.finished += (run.step,)

    def press(run, state):
        if state.step == 8:
            signal.raise_signal(signal.SIGINT)

    def steps(count):
        return dataclasses.replace(toy.SETTINGS, steps=count)

    path, task = tmp_path / "run.safetensors", Finishing()
    with pytest.raises(Interrupted):
        quiet(task, path, callbacks=[(1, press)])
    for fewer in (7, 8):
        with pytest.raises(InputError, match=rf"8 of 30 steps, so it can't end after {fewer}; set steps to 30"):
            quiet(task, path, steps(fewer))
    assert task.finished == ()
    assert quiet(task, path, steps(9)).step == 9 and task.finished == (9,)
    assert quiet(task, path, steps(9)).step == 9 and task.finished == (9,)  # complete: only read
    with pytest.raises(InputError, match="has done 9 of 9 steps, so it can't end after 8"):
        quiet(task, path, steps(8))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"finished after 9 steps: .* can't go on; set steps to 9 again, or"):
        quiet(task, path, steps(10))
    assert task.finished == (9,) and path.read_bytes() == before


def test_more_steps_for_a_run_that_is_not_finished_are_told_with_what_they_do_to_the_rates(tmp_path, capsys):
    def press(run, state):
        if state.step == 27:
            signal.raise_signal(signal.SIGINT)

    path = tmp_path / "run.safetensors"
    with pytest.raises(Interrupted):
        quiet(toy.ToyTask(), path, callbacks=[(1, press)])
    more = dataclasses.replace(toy.SETTINGS, steps=60)
    assert fit(toy.ToyTask(), more, path, title="toy").step == 60
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "note: " in line]
    told = (
        "toy goes on from step 27: it ends after 60 steps instead of 30, so its learning rates go from 0.03 to 0.62 of"
    )
    assert line.endswith(f"minivdit: note: {told} the highest")
    assert load_checkpoint(path)[1]["settings"]["steps"] == 60


def test_a_checkpoint_in_which_something_is_missing_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    quiet(toy.ToyTask(), path)
    groups, about = load_checkpoint(path)
    for group in groups:
        save_checkpoint(path, {name: state for name, state in groups.items() if name != group}, about)
        with pytest.raises(InputError, match=r"another model or optimiser: .* missing"):
            quiet(toy.ToyTask(), path)


def test_a_loss_that_is_not_a_number_stops_before_the_weights_are_touched():
    task = toy.ToyTask()
    original = task.batch
    task.batch = lambda generator: {name: array * np.float32("nan") for name, array in original(generator).items()}
    before = weights(task)
    with pytest.raises(InputError, match="not a number at step 1; lower the learning rates"):
        list(train(Run(task, toy.SETTINGS)))
    assert equal(before, weights(task))


@pytest.mark.parametrize("method", ["batch", "loss"])
def test_errors_of_a_task_are_raised_here(method):
    task = toy.ToyTask()
    setattr(task, method, lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(train(Run(task, toy.SETTINGS)))


def test_journal_and_callbacks(tmp_path):
    path = tmp_path / "run.safetensors"
    calls = []

    def evaluate(run, state):
        calls.append(state.step)
        return {"accuracy": state.step / 100}

    run = quiet(toy.ToyTask(), path, log_every=10, callbacks=[(12, evaluate)])
    assert calls == [12, 24, 30]
    header, *lines = read_journal(path.with_suffix(".jsonl"))
    assert header["settings"]["batch"] == 12 and header["config"] == {"width": 16} and header["seed"] == 0
    assert [line["step"] for line in lines] == [10, 12, 20, 24, 30]
    assert lines[1]["metrics"] == {"accuracy": 0.12} and "metrics" not in lines[0]
    assert len(lines[0]["levels"]) == 4 and lines[0]["largest"] > 0
    assert run.metrics == load_checkpoint(path)[1]["metrics"] == {"accuracy": 0.3}


def test_journal_drops_lines_after_the_checkpoint_and_a_torn_last_line(tmp_path):
    path = tmp_path / "run.jsonl"
    lines = [json.dumps({"step": step}) for step in (0, 10, 20, 30)]
    path.write_text("\n".join(lines) + '\n{"step": 4')
    Journal(path, 20, {"seed": 1})
    assert read_journal(path) == [{"step": 0, "seed": 1}, {"step": 10}, {"step": 20}]
    Journal(path, 0, {"seed": 2})
    assert read_journal(path) == [{"step": 0, "seed": 2}]
    path.write_bytes(b'{"step": 0}\n\xff{"step')  # a line that was torn in another way
    assert read_journal(path) == [{"step": 0}]
    path.write_bytes(b'{"step": 1, "loss": NaN}\n{"step": 2}\n')
    assert read_journal(path) == [{"step": 1, "loss": None}, {"step": 2}]
    wrong = (b'{"step": 1, "loss": "2"}', b'{"step": 1, "levels": 3}', b'{"step": 1, "metrics": [1]}', b'{"step": -1}')
    for damaged in (
        *wrong,
        b'{"step": 1, "x": 1' + b"0" * 400 + b"}",
        b"not json",
        b'{"step": "\xff"}',
        b"3",
        b"{}",
        b'{"step": "4"}',
        b"[" * 100_000,
    ):
        path.write_bytes(damaged + b'\n{"step": 1}\n')
        with pytest.raises(InputError, match=rf"line 1 of {path} is no line of a training log"):
            read_journal(path)


def test_minutes_become_steps_once(tmp_path):
    path = tmp_path / "run.safetensors"
    task = toy.ToyTask()
    before = weights(task)
    run = Run(task, dataclasses.replace(toy.SETTINGS, steps=1000))
    state = {name: np.copy(value) for name, value in run.state()["optimizer"].items()}
    assert steps_in(run, 0.5) > 100
    assert run.step == 0 and equal(before, weights(task)) and equal(state, run.state()["optimizer"])

    def press(run, state):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        quiet(toy.ToyTask(), path, minutes=0.005, callbacks=[(3, press)])
    steps = load_checkpoint(path)[1]["settings"]["steps"]
    assert 3 < steps < 2**31
    with pytest.raises(InputError, match=r"begun for 0\.005 minutes, and not for 0\.006 minutes as here"):
        quiet(toy.ToyTask(), path, minutes=0.006)
    assert quiet(toy.ToyTask(), path, minutes=0.005).step == steps
    by_steps = tmp_path / "steps.safetensors"
    quiet(toy.ToyTask(), by_steps)
    with pytest.raises(InputError, match="begun for a number of steps, and not for 1 minutes"):
        quiet(toy.ToyTask(), by_steps, minutes=1)


def test_summary_bins_errors_by_noise_level():
    level = np.array([[0.0, 0.1], [0.3, 0.2], [1.0, 0.99]])
    error = np.array([[9.0, 1.0], [2.0, 3.0], [4.0, 6.0]])
    right = np.array([1, 0, 1])
    parts = (slice(0, 2), slice(2, 3))
    joined = _joined([{"level": level[p], "error": error[p], "right": right[p]} for p in parts])
    assert error_by_level(joined["level"], joined["error"]) == (2.0, 2.0, None, 5.0)  # at level 0: given, not counted
    assert Task().summary({"right": joined["right"]}) == {"right": pytest.approx(2 / 3)}


def test_smooth_starts_as_the_mean_and_then_forgets():
    smooth = Smooth(memory=4)
    for value in (1.0, None, 3.0):
        smooth.add(value)
    assert smooth.value == 2.0
    for _ in range(60):
        smooth.add(0.0)
    assert 0 < smooth.value < 1e-4


def test_progress_bar_shows_loss_by_noise_level(capsys):
    fit(toy.ToyTask(), dataclasses.replace(toy.SETTINGS, steps=3), title="toy")
    shown = capsys.readouterr().err
    assert "toy" in shown and "3/3" in shown and "by levels" in shown


def test_state_is_small_and_plain():
    state = next(iter(train(Run(toy.ToyTask(), toy.SETTINGS))))
    assert isinstance(state, State) and json.dumps(dataclasses.asdict(state))
