"""Processes instead of threads: the same numbers bit for bit, and nothing left behind whatever goes wrong."""

import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tqdm import TMonitor, tqdm

from minivdit.base import sharing
from minivdit.base.errors import InputError
from minivdit.base.sharing import Workers, can_fork, parallel_map
from minivdit.training.gradients import GradientWorkers
from minivdit.training.loop import Run, train

pytestmark = pytest.mark.skipif(not can_fork(), reason="processes are forked on Linux only; threads do it elsewhere")

_spec = importlib.util.spec_from_file_location("toy_task", Path(__file__).with_name("toy_task.py"))
toy = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(toy)


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(("shards", "count"), [(2, 2), (3, 2), (5, 3), (2, 4), (1, 2)])
def test_the_same_as_with_threads_bit_for_bit(shards, count):
    task = toy.ToyTask()
    batch = task.batch(np.random.default_rng(0))
    loss, gradients, extras = GradientWorkers(task.loss, task.parameters, shards)(batch)
    with GradientWorkers(task.loss, task.parameters, shards, count) as workers:
        for _ in range(2):  # the second time the shared arrays aren't fresh
            again, found, told = workers(batch)
            assert again == loss and found.keys() == gradients.keys()
            assert all(np.array_equal(found[name], gradients[name]) for name in gradients)
            assert len(told) == len(extras) == min(shards, 12)
            for ours, theirs in zip(told, extras):
                assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_workers_see_weights_change():
    task = toy.ToyTask()
    batch = task.batch(np.random.default_rng(0))
    with GradientWorkers(task.loss, task.parameters, 2, 2) as workers:
        before, *_ = workers(batch)
        for parameter in task.parameters.values():
            parameter.data *= 1.5
        after, *_ = workers(batch)
    expected, *_ = GradientWorkers(task.loss, task.parameters, 2)(batch)
    assert before != after == expected


def test_a_batch_smaller_than_the_number_of_shards():
    task = toy.ToyTask(items=2)
    batch = task.batch(np.random.default_rng(0))
    with GradientWorkers(task.loss, task.parameters, 4, 3) as workers:
        loss, _, extras = workers(batch)
    assert loss == GradientWorkers(task.loss, task.parameters, 4)(batch)[0] and len(extras) == 2


def test_training_starts_them_and_lets_them_go():
    states = train(run := Run(toy.ToyTask(), toy.SETTINGS, threads=2))
    next(states)
    assert len(multiprocessing.active_children()) == 1 and run.workers.handed_over.keys() == {1}
    states.close()
    assert run.workers.handed_over == {}


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_items_come_back_in_order_whoever_worked_on_them(count):
    with Workers(lambda item: (item * item, os.getpid()), count, "") as workers:
        for items in ([], [3], [1, 2], range(7)):
            results = workers(items)
            assert [square for square, _ in results] == [item * item for item in items]
            processes = [process for _, process in results]
            assert processes == [processes[i % count] for i in range(len(processes))]
            assert len(set(processes)) == min(count, len(processes))


def test_where_processes_cannot_be_forked_threads_do_it(monkeypatch):
    def no_such_context(method):  # as on Windows
        raise ValueError(f"cannot find context for {method!r}")

    monkeypatch.setattr(multiprocessing, "get_context", no_such_context)
    monkeypatch.setattr("minivdit.base.sharing.can_fork", lambda: False)
    with Workers(lambda item: (item + 1, os.getpid()), 2, "") as workers:
        assert workers([1, 2, 3]) == [(item + 1, os.getpid()) for item in (1, 2, 3)]


def test_an_error_over_there_is_raised_here():
    task = toy.ToyTask()

    def picky(batch):
        if multiprocessing.parent_process() is not None:
            raise InputError("not with this batch")
        return task.loss(batch)

    refused = pytest.raises(InputError, match="not with this batch")
    with GradientWorkers(picky, task.parameters, 2, 2) as workers, refused:
        workers(task.batch(np.random.default_rng(0)))


def test_a_process_that_is_killed_is_reported_with_a_cure():
    task = toy.ToyTask()
    batch = task.batch(np.random.default_rng(0))
    with GradientWorkers(task.loss, task.parameters, 2, 2) as workers:
        os.kill(workers.workers.processes[0].pid, signal.SIGKILL)
        workers.workers.processes[0].join()
        with pytest.raises(InputError, match="was killed, most likely for want of memory; use a smaller batch"):
            workers(batch)


def test_they_end_when_the_process_that_trains_is_killed():
    here, there = multiprocessing.Pipe()

    def program():
        task = toy.ToyTask()
        with GradientWorkers(task.loss, task.parameters, 3, 3) as workers:
            there.send([process.pid for process in workers.workers.processes])
            time.sleep(60)

    parent = multiprocessing.get_context("fork").Process(target=program)
    parent.start()
    children = here.recv()
    parent.kill()
    parent.join()
    assert _soon(lambda: all(map(_is_zombie, children)))


def test_a_worker_ends_with_its_parent_in_the_middle_of_its_work(tmp_path):
    """However long that would take: a killed parent leaves nothing that computes."""
    told = tmp_path / "worker"

    def work(item):
        if multiprocessing.parent_process().pid != test:  # in the forked one
            (tmp_path / "new").write_text(str(os.getpid()))
            (tmp_path / "new").rename(told)
        time.sleep(60)

    def program():
        with Workers(work, 2, "") as workers:
            workers([1, 2])

    test = os.getpid()
    parent = multiprocessing.get_context("fork").Process(target=program)
    parent.start()
    assert _soon(told.exists)
    worker = int(told.read_text())
    parent.kill()
    parent.join()
    assert _soon(lambda: _is_zombie(worker))


BESIDE_BLAS = """
import threading
import numpy as np
from minivdit.base.sharing import Workers

stop, a = threading.Event(), np.random.default_rng(0).random((400, 400), np.float32)

def multiply():
    while not stop.is_set():
        a @ a

threads = [threading.Thread(target=multiply, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
expected = [float((a * k @ a).sum()) for k in range(4)]
for _ in range(5):
    with Workers(lambda k: float((a * k @ a).sum()), 2, "") as workers:
        assert np.allclose(workers(range(4)), expected)
stop.set()
"""


@pytest.mark.parametrize("repetition", range(3))
def test_beside_a_thread_that_multiplies_matrices_nothing_hangs(repetition):
    subprocess.run([sys.executable, "-c", BESIDE_BLAS], env=ENVIRONMENT, timeout=60, check=True)


def test_only_a_process_without_other_computing_threads_forks(monkeypatch):
    """What waits by construction doesn't count: a progress bar's thread, and those of our own pool."""
    monitor, stop = TMonitor(tqdm, 10), threading.Event()
    assert parallel_map(abs, [-1, -2], 2) == [1, 2]
    assert threading.active_count() > 2 and can_fork()
    other = threading.Thread(target=stop.wait)
    other.start()
    assert not can_fork()
    with Workers(lambda item: (item, os.getpid()), 2, "") as workers:
        assert workers([1, 2]) == [(1, os.getpid()), (2, os.getpid())]
    monkeypatch.setattr(sharing, "WAITING", {*sharing.WAITING, other.ident})
    assert can_fork()
    stop.set()
    other.join()
    monitor.exit()
    assert can_fork()


def test_a_daemonic_process_trains_with_threads_and_to_the_same_weights():
    """Such as those of multiprocessing.Pool, which may not have processes of their own."""
    expected = _trained_toy()
    with multiprocessing.get_context("fork").Pool(1) as pool:
        found = pool.apply(_trained_toy)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def _trained_toy():
    for _ in train(Run(task := toy.ToyTask(), toy.SETTINGS, threads=2)):
        pass
    return {name: parameter.data for name, parameter in task.parameters.items()}


def test_a_stop_that_is_sent_to_all_processes_is_left_to_the_one_that_trains():
    task = toy.ToyTask()
    batch = task.batch(np.random.default_rng(0))
    with GradientWorkers(task.loss, task.parameters, 2, 2) as workers:
        workers(batch)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(workers.workers.processes[0].pid, number)
        workers(batch)


def _soon(holds):
    """Whether it holds within some seconds."""
    deadline = time.monotonic() + 20
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()


def _is_zombie(pid):
    """Whether a process has ended, even if nobody has asked how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
