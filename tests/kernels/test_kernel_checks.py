"""The checks that a GPU session makes of each kernel file: here by the emulation, and by a GPU where there is one."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from minivdit.base.backend import gpu_problem
from minivdit.kernels import attention, fused, launch, whole_source
from minivdit.kernels.catalogue import FILES
from minivdit.kernels.emulate import Emulation
from minivdit.lab.benchmarks.kernel_checks import MASKS, WrongResult, cases, check_attention, check_rows, many_numbers

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
BESIDE = list(fused.FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_case_holds_in_the_emulation(name):
    """Of attention the width of the shipped models' heads, 32, and the longer lengths; the rest is for a GPU."""
    chosen = [
        case
        for case in cases(name, Emulation(), again=Emulation(seed=1))
        if name in BESIDE or ("x 32" in case.label and "1 x 1" not in case.label)
    ]
    assert len(chosen) == max(1, len(FILES[name].types)) * (3 if name in BESIDE else len(MASKS))
    for case in chosen:
        assert case.check(), case.label


@pytest.mark.parametrize("name", FILES)
def test_many_numbers_give_the_same_as_few(name):
    assert many_numbers(name, Emulation(), numbers=40_000).check() == {}


@pytest.mark.skipif(gpu_problem() is not None, reason="no usable GPU")
@pytest.mark.parametrize("name", FILES)
def test_on_a_gpu_every_case_holds(name):
    for case in cases(name, launch.launcher()):
        case.check()


def test_cases_on_a_gpu_are_those_that_it_has(stand_in, monkeypatch):
    stand_in.install(monkeypatch, architecture="75", shared_bytes=64 << 10)
    runner, name = launch.launcher(), "attention_forward_4_tensor_cores"
    assert not list(cases("attention_forward_6_async", runner))
    labels = [case.label for case in cases(name, runner)]
    assert labels and all(" float16 " in label for label in labels)


@pytest.mark.parametrize("name", FILES)
def test_all_is_computed_where_the_arrays_are(gpu, name):
    """With the stand-in for CuPy, as strict about whose arrays meet as CuPy is."""
    runner = launch.launcher()
    (case, *_) = [case for case in cases(name, runner, small=True) if name in BESIDE or "masked anyhow" in case.label]
    assert case.check() and any(launched.startswith(name) for launched in gpu.launches)
    gpu.clear()
    assert many_numbers(name, runner, numbers=20_000).check() == {}
    assert any(launched.startswith(name) for launched in gpu.launches)


# ---- Each kind of fault must be noticed --------------------------------------------------------------------------


@pytest.fixture
def spoilt(monkeypatch):
    """An Emulation with a line of a file replaced, and with few of its instances, which are compiled sooner."""

    def replaced(name, old, new):
        text = whole_source(name)
        assert text.count(old) == 1, "the line to break isn't there once"
        for files in (FILES, fused.FILES, attention.FILES):
            if name in files:
                few = replace(FILES[name], instances=FILES[name].instances[:1], types=FILES[name].types[:1])
                monkeypatch.setitem(files, name, few)
        return Emulation(sources={name: text.replace(old, new)})

    return replaced


GELU_ROW = "write_part<COLUMNS>(a.out + at, y, width, a.aligned);"


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (f"if (row != 20) {GELU_ROW}", "out is off by nan"),
        (f"{GELU_ROW} if (row == 0) a.out[-1] = rounded<T>(1.0f);", "just before or behind"),
        (f"{GELU_ROW} if (row == a.rows - 1) a.out[at + a.width] = rounded<T>(1.0f);", "just before or behind"),
        (f"y[0] *= 1.0001f; {GELU_ROW}", "out is off by .* allowed"),
    ],
)
def test_a_wrong_result_is_told(spoilt, new, message):
    with pytest.raises(WrongResult, match=message):
        check_rows("bias_gelu", spoilt("bias_gelu", GELU_ROW, new), 35, 128)


def test_other_bits_in_a_second_run_are_told(spoilt):
    other = spoilt("bias_gelu", GELU_ROW, f"y[0] *= 1.0000002f; {GELU_ROW}")
    with pytest.raises(WrongResult, match="a second run gave other bits"):
        check_rows("bias_gelu", Emulation(), 35, 128, again=other)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return data + in_batch * batch + in_head * head;", "return data + in_head * head;"),
        ("*times.row(work.batch, work.head, key)", "*times.row(0, work.head, key)"),
        ("in_tokens * token;", "in_tokens * token / 2;"),
    ],
)
def test_a_clip_or_a_stride_that_is_forgotten_is_told(spoilt, old, new):
    name = "attention_forward_2_online"
    with pytest.raises(WrongResult, match="out is off by"):
        check_attention(name, spoilt(name, old, new), (2, 3, 33, 67, 32), mask="any", apart=True)


def test_an_index_that_is_too_short_is_told(spoilt):
    """Of many numbers: here too short is 15 bits, not 31."""
    old = "write_part<COLUMNS>(a.out + at, x,"
    bug = spoilt("gated_residual", old, "write_part<COLUMNS>(a.out + at % (1 << 15), x,")
    with pytest.raises(WrongResult, match=r"result 0 is another one for some of \d+ clips"):
        many_numbers("gated_residual", bug, "float32", numbers=100_000).check()


# ---- Over 2**31 numbers without a GPU ------------------------------------------------------------------------------


def last_block(*arguments):
    command = [sys.executable, str(Path(__file__).with_name("last_block.py")), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory that isn't there: as Linux does it")


@linux
@pytest.mark.parametrize("name", BESIDE)
def test_the_last_of_more_numbers_than_31_bits_count_is_right(name):
    done = last_block(name)
    if "Cannot allocate memory" in done.stderr:
        pytest.skip("so many addresses aren't to be had here")
    assert done.stdout.strip() == "the last block is right", done.stderr[-2000:]


@linux
def test_an_index_of_31_bits_is_noticed():
    done = last_block("bias_gelu", "long long at = (long long)row * a.width", "int at = row * a.width")
    assert done.returncode and "right" not in done.stdout


# ---- Bytes ----------------------------------------------------------------------------------------------------------
