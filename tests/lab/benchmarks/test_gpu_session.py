"""A session on a GPU, from end to end with the stand-in for CuPy; and what it keeps where something goes wrong."""

import argparse
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minivdit.kernels.attention import BEST, Forward
from minivdit.lab.benchmarks import gpu, gpu_checks, gpu_report, gpu_session, gpu_training
from minivdit.lab.benchmarks.gpu_session import LATE, Job, Results, Section, Session
from minivdit.lab.cli import main as cli

PROJECT = Path(__file__).parents[3]
PLANTED = """
import os, subprocess, sys, time
from minivdit.lab.benchmarks.gpu_session import Cell


def made(number):
    return lambda: {"told": str(number), "pid": os.getpid()}


def wrong():
    raise ValueError("planted\\nin two lines")


def raises():
    yield Cell("first", made(1))
    yield Cell("raises", wrong)
    yield Cell("third", made(3))


def dies(code):
    yield Cell("one", made(1))
    yield Cell("dies", lambda: os._exit(code) if code > 0 else os.kill(os.getpid(), -code))
    yield Cell("three", made(3))


def cannot_begin():
    raise RuntimeError("no inputs")
    yield


def hangs(name):
    yield Cell(f"{name} before", made(1))
    yield Cell(f"{name} hangs", lambda: time.sleep(600))
    yield Cell(f"{name} behind", made(3))


def hangs_in_parts():
    for number in range(3):
        yield Cell(f"quick {number}", made(number))
        yield Cell(f"kernel {number}", lambda: time.sleep(600), patience=1, part="kernel")


def saves(folder):  # starts what saves something when it is asked to end
    program = (
        "import pathlib, signal, sys, time; "
        f"folder = pathlib.Path({folder!r}); "
        "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), (folder / 'saved').touch(), sys.exit())); "
        "(folder / 'began').touch(); "
        "time.sleep(600)"
    )
    yield Cell("training", lambda: subprocess.run([sys.executable, "-c", program]))


def grows():
    for number in range(3):
        yield Cell("same", lambda: {"told": str(number), str(number): number})
"""
STAND_IN = """
import importlib.util
import pytest

spec = importlib.util.spec_from_file_location("stand_in_cupy", {path!r})
stand_in = importlib.util.module_from_spec(spec)
spec.loader.exec_module(stand_in)
stand_in.install(pytest.MonkeyPatch())
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A folder on the path of all processes, with the module `planted`."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "planted.py").write_text(PLANTED)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (folder, PROJECT))))
    return folder


def job(function, *arguments, **options):
    return Job(function, f"planted:{function}", arguments, **options)


def test_what_goes_wrong_is_a_note_and_the_rest_goes_on(planted, tmp_path):
    path, seen = tmp_path / "new" / "gpu.json", []
    jobs = job("raises"), job("dies", 7), job("cannot_begin"), job("grows"), job("hangs", "stuck", patience=8)
    sections = [Section("late", 6, (job("hangs", "late"),)), Section("all", 60, jobs, 5)]
    sections.append(Section("signals", 40, (job("dies", -signal.SIGSEGV),)))
    sections.append(Section("no time", -1000, (job("raises"),)))
    assert Session(Results(path), seen.append).run(sections) < 0
    assert path.with_suffix(".md").read_text().startswith("# Measured on a GPU")
    sections = json.loads(path.read_text())["sections"]
    found = sections["all"] | sections["late"]
    measured = ("first", "third", "one", "three", "late before", "stuck before", "stuck behind")
    for name in measured:
        assert found[name]["told"] in "13" and "note" not in found[name], name
    assert found["raises"] == {"note": "ValueError: planted"}
    assert (
        found["dies"] == {"note": "its process ended (exit code 7): "} and found["one"]["pid"] != found["three"]["pid"]
    )
    assert found["cannot_begin"] == {"note": "its process ended (exit code 1): RuntimeError: no inputs"}
    assert found["same"] == {"told": "2", "0": 0, "1": 1, "2": 2}
    assert found["late hangs"] == {"note": LATE} and "late behind" not in found
    assert found["stuck hangs"] == {"note": "nothing came of it in 8 s"}
    assert sections["signals"]["dies"]["note"].startswith("its process ended (SIGSEGV)")
    assert sections["signals"]["three"]["told"] == "3"
    assert sections["no time"] == {"raises": {"note": LATE}}
    assert len([line for line in seen if line.startswith("  ")]) == 19


def test_a_part_that_hangs_is_not_tried_again(planted):
    results = Results()
    Session(results, [].append).run([Section("s", 60, (job("hangs_in_parts"),))])
    cells = results.sections["s"]
    assert [cells[f"quick {number}"]["told"] for number in range(3)] == ["0", "1", "2"]
    assert cells["kernel 0"] == {"note": "nothing came of it in 1 s"} and len(cells) == 4


def test_a_process_that_is_killed_in_the_middle_of_a_line_is_noted(planted, monkeypatch):
    (planted / "cut_off.py").write_text(
        "import os, sys\n"
        "if 'cut' not in sys.argv[-1]:\n"
        """    os.write(1, b'{"cell": "cut", "part": null}\\n{"cell": "cut", "rec')\n"""
        "    os._exit(0)\n"
        """print('{"cell": "next", "record": {"told": "whole"}}\\n{"cell": null}')\n"""
    )
    monkeypatch.setattr(gpu_session, "WORKER", "cut_off")
    results = Results()
    Session(results, [].append).run([Section("s", 60, (job("any"),))])
    assert results.sections["s"] == {
        "cut": {"note": "its process ended (exit code 0): "},
        "next": {"told": "whole"},
    }


def test_a_process_that_nothing_ends_is_left_alone(planted, monkeypatch):
    """As one that the GPU's driver holds: it keeps its pipe open, and neither signal ends it."""
    monkeypatch.setattr(gpu_session, "GRACE", 0.2)
    sent, kill, began = [], os.killpg, time.monotonic()
    monkeypatch.setattr(gpu_session.os, "killpg", lambda group, number: sent.append((group, number)))
    results = Results()
    try:
        Session(results, [].append).run([Section("s", 3, (job("hangs", "it"),)), Section("t", 60, (job("raises"),))])
        assert time.monotonic() - began < 40 and results.sections["t"]["third"]["told"] == "3"
        assert results.sections["s"]["it hangs"] == {"note": LATE}
        assert len({group for group, number in sent if number == signal.SIGKILL and _is_there(group)}) == 1
    finally:
        for group, _ in sent:
            if _is_there(group):
                kill(group, signal.SIGKILL)


def _is_there(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_is_ended_may_save_something_first(planted, tmp_path):
    Session(Results(), [].append).run([Section("s", 3, (job("saves", str(tmp_path)),))])
    assert (tmp_path / "began").exists() and (tmp_path / "saved").exists()


def test_results_that_cannot_be_written_are_told_of_once_and_written_later(tmp_path, monkeypatch, capsys):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    results = Results(tmp_path / "gpu.json")
    with monkeypatch.context() as patched:
        patched.setattr(gpu_session, "write_file", full)
        for number in range(3):
            results.add("section", f"cell {number}", {"told": "1"})
            results.write()
    assert capsys.readouterr().err.count("can't be written now (No space left on device)") == 1
    results.write(after=60)
    assert not results.path.exists()  # not so soon after the last attempt
    results.write()
    assert len(json.loads(results.path.read_text())["sections"]["section"]) == 3


def test_a_stop_in_the_middle_keeps_what_was_measured_and_ends_all_processes(planted, tmp_path):
    program = (
        "from minivdit.lab.benchmarks.gpu_session import *\n"
        "jobs = tuple(Job(name, 'planted:hangs', (name,), 600) for name in ('a', 'b'))\n"
        f"Session(Results({str(tmp_path / 'gpu.json')!r})).run([Section('s', 600, jobs), Section('t', 600, jobs)])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-uc", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert "s: 600 s" in process.stdout.readline() and "a before" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode and "KeyboardInterrupt" in errors
    (cells,) = json.loads((tmp_path / "gpu.json").read_text())["sections"].values()
    assert next(iter(cells)) == "a before" and "b before" not in cells
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(cells["a before"]["pid"], 0)
            time.sleep(0.1)


def test_a_page_that_fails_ends_nothing(tmp_path, monkeypatch):
    def page(everything):
        raise KeyError("planted")

    monkeypatch.setattr(gpu_session.gpu_report, "page", page)
    results = Results(tmp_path / "gpu.json")
    results.add("section", "cell", {"told": "1"})
    results.write()
    assert json.loads((tmp_path / "gpu.json").read_text())["sections"] == {"section": {"cell": {"told": "1"}}}
    assert (tmp_path / "gpu.md").read_text() == "page can't be made: KeyError('planted')"


def test_the_whole_script_with_the_stand_in(tmp_path, monkeypatch, planted):
    """Shortened: arrays of a few numbers, one kernel of each kind."""
    (planted / "cupy.py").write_text(STAND_IN.format(path=str(PROJECT / "tests" / "stand_in_cupy.py")))
    monkeypatch.setenv("MINIVDIT_SHORT", "1")
    out = tmp_path / "there"
    out.mkdir()
    command = [sys.executable, "examples/gpu_session.py", "--budget", "3600", "--out", str(out), "--minutes", "0"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in out.iterdir()) == ["gpu.json", "gpu.md"]
    everything = json.loads((out / "gpu.json").read_text())
    every = gpu_report.everything_measured(everything)
    assert len(everything["sections"]) == 11 and every["machine"]["gpu"] == "Stand-in"
    missing = {"cuBLAS bfloat16", "clocks at the beginning", "clocks after attention"}  # this machine has them not
    missing |= {name for name in every if name.startswith(("memcheck", "racecheck", "synccheck"))}
    noted = {name: record["note"] for name, record in every.items() if "note" in record}
    assert noted.keys() <= missing, noted
    for name in (f"forward {BEST[Forward][0]} bfloat16", "backward attention_backward_3b_split_floats float32"):
        record = every[f"S2 causal {name}"]
        assert record["median"] == 1.0 and record["flops"] and record["errors"]
    assert every["bias_gelu backward bfloat16 128 wide"]["bytes"] > 0
    assert every["train small"]["sides"]["ours"]["median"] > every["train small"]["sides"]["ours"]["host"] / 2 > 0
    last = done.stdout.splitlines()[-len(noted) - 1]
    assert last == f"{len(every)} cells, {len(noted)} with a note"


def script(*options, **more):
    command = [sys.executable, "-u", "examples/gpu_session.py", *options]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def test_the_script_ends_at_once_without_a_gpu(planted, tmp_path):
    (planted / "cupy.py").write_text("raise ImportError('planted')")
    process = script("--out", str(tmp_path / "out"))
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1 and errors.startswith("CuPy can't be imported (") and errors.count("\n") == 1
    (section,) = json.loads((tmp_path / "out" / "gpu.json").read_text())["sections"].values()
    assert section["machine"]["versions"].startswith("Python 3") and "planted" in section["machine"]["note"]


def test_the_script_is_stopped_by_a_signal_without_a_word(planted, tmp_path):
    """While CuPy is imported, which takes for ever here: what needs no CuPy has been measured before."""
    (planted / "cupy.py").write_text("import time\ntime.sleep(600)")
    process = script("--out", str(tmp_path))
    assert any(line.startswith("  clocks") for line in process.stdout)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (143, "")
    assert "versions" in json.loads((tmp_path / "gpu.json").read_text())["sections"]["machine"]["machine"]


def test_options_that_cannot_be_are_refused_at_once(tmp_path):
    (tmp_path / "file").touch()
    wrong = [("--budget", "0"), ("--budget", "-1"), ("--budget", "nan"), ("--minutes", "inf")]
    wrong.append(("--out", str(tmp_path / "file")))
    for process, (option, _) in [
        (script(*options, "--out", str(tmp_path / "new")) if options[0] != "--out" else script(*options), options)
        for options in wrong
    ]:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 2 and f"argument {option}: " in errors.splitlines()[-1]
    assert not (tmp_path / "new").exists()


def test_tests_that_were_all_skipped_have_not_passed(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_checks, "PROJECT", tmp_path)
    (tmp_path / "test_both.py").write_text("def test_on_a_gpu(): pass\n")
    (tmp_path / "test_none.py").write_text("import pytest\ndef test_on_a_gpu(): pytest.skip('planted')\n")
    found = [next(gpu_checks.tests(name)).measure() for name in ("test_both.py", "test_none.py")]
    assert "note" not in found[0] and found[1]["note"].startswith("nothing has passed: 1 skipped")


def test_the_training_in_the_end_is_a_command_that_there_is(tmp_path, monkeypatch):
    asked = []

    def run(command, **options):
        asked.append(cli.build_parser().parse_args(command[3:]))
        out = Path(asked[0].out)
        out.mkdir()
        (out / "transformer.jsonl").write_text('{"settings": 1}\n{"step": 10, "loss": 0.5}\n')
        return argparse.Namespace(returncode=1, stdout="", stderr="one\nminivdit: it stopped\n")

    monkeypatch.setattr(gpu_training.subprocess, "run", run)
    section = gpu.longer_training(tmp_path / "train", 1.5, data=str(tmp_path))
    (cell,) = gpu_training.longer(*section.jobs[0].arguments)
    record = cell.measure()
    assert record["note"] == "minivdit: it stopped" and record["told"].startswith(
        "1 logged steps, the last {'step': 10"
    )
    (options,) = asked
    assert (options.preset, options.start, options.minutes, options.device) == ("full", "joint", 1.5, "gpu")
