"""What is measured on a GPU, with the stand-in for CuPy: what is computed around the figures, not the figures."""

import ctypes
import gc
import json
import runpy
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from minivdit.base import backend
from minivdit.base.errors import InputError
from minivdit.kernels import folder
from minivdit.kernels.attention import BEST, FILES, Forward
from minivdit.kernels.formats import to_float32, to_format
from minivdit.lab.benchmarks import (
    cpu,
    gpu_attention,
    gpu_report,
    gpu_rows,
    gpu_timing,
    gpu_training,
    gpu_worker,
    workloads,
)
from minivdit.lab.benchmarks import gpu as bench
from minivdit.lab.cli import main as cli

TINY = gpu_attention.Shape(1, 2, 40, 32)
TABLES = runpy.run_path(str(Path(__file__).parents[3] / "examples" / "results" / "tables.py"))


@pytest.fixture
def tiny(gpu, monkeypatch):
    monkeypatch.setattr(gpu_attention, "SHAPES", {"S1": TINY, "causal": TINY._replace(causal=True)})
    monkeypatch.setattr(gpu_timing, "RUNS", (3, 3))
    monkeypatch.setattr(gpu_timing, "_keep_busy", lambda products: None)
    return gpu


def measured(cells):
    """{name: record} of cells, as a process of a session makes them."""
    found = {}
    for cell in cells:
        found[cell.name] = {**found.get(cell.name, {}), **gpu_worker.guarded(cell.measure)}
    return found


def test_flops_are_those_of_the_products():
    shapes = gpu_attention.SHAPES
    assert shapes["M1"].flops("forward") == 4 * 12 * 8192**2 * 128
    assert shapes["S1"].flops("backward") == 10 * 64 * 6 * 256**2 * 64
    assert shapes["S2 causal"].flops("forward") == shapes["S2"].flops("forward") / 2
    assert shapes["M2"] == (1, 30, 17776, 64, False) and shapes["W32"][:4] == (16, 4, 128, 32)


def test_inputs_take_turns_after_a_warm_up(tiny, monkeypatch):
    seen = []
    monkeypatch.setattr(gpu_timing, "_keep_busy", lambda products: seen.append(products))
    times, note = gpu_timing.milliseconds(seen.append, [("a",), ("b",), ("c",)], runs=5, warm_up=4)
    assert seen == [*"abca", 1, *"bcabc"] and times == [1.0] * 5 and note == ""


@pytest.mark.parametrize(("busy_after", "note"), [(4, ""), (1000, gpu_timing.DRY)])
def test_a_queue_that_ran_dry_is_measured_again_behind_more_work(tiny, stand_in, monkeypatch, busy_after, note):
    """done says whether the GPU is idle when the last run is queued: it is until enough products are ahead."""
    ahead = []
    monkeypatch.setattr(gpu_timing, "_keep_busy", ahead.append)
    monkeypatch.setattr(stand_in.Event, "done", property(lambda event: ahead[-1] < busy_after))
    assert gpu_timing.milliseconds(lambda: None, [()], runs=2) == ([1.0, 1.0], note)
    assert ahead == ([1, 4] if busy_after == 4 else list(gpu_timing.PRODUCTS))


def test_runs_fill_a_time_between_limits():
    assert [gpu_timing.runs_of(each) for each in (0.01, 100, 5000)] == [50, 15, 5]


@pytest.mark.parametrize(
    ("size", "cache", "memory", "sets"),
    [(10, 50, 1000, 10), (30, 50, 1000, 4), (200, 50, 1000, 1), (10, 50, 45, 4), (10, 50, 5, 1)],
)
def test_sets_of_inputs_pass_the_cache_twice_or_fill_the_memory(gpu, monkeypatch, size, cache, memory, sets):
    backend.xp().cuda.Device().attributes["L2CacheSize"] = cache
    monkeypatch.setattr(gpu_timing.machine, "available_memory", lambda: memory / gpu_timing.MEMORY_SHARE + 1e-6)
    assert gpu_timing.sets_past_the_cache(size) == sets


def test_every_rung_is_measured_in_turns_with_its_errors(tiny):
    names = [cell.name for cell in gpu_attention.cells("S1")]
    found = measured(gpu_attention.cells("S1", "causal"))
    assert {record["who"] for record in found.values()} == FILES.keys()
    in_16_bits = [name for name in names if "forward" in name and "bfloat16" in name]
    last, best = f"S1 forward {gpu_attention.UNTRIED[0]} bfloat16", f"S1 forward {BEST[Forward][0]} bfloat16"
    tried = in_16_bits[:-3]
    assert in_16_bits[-3:] == [last] * 3 and last not in tried
    assert tried == 3 * tried[: len(tried) // 3] and tried[0] == best  # three rounds
    assert not set(gpu_attention.UNTRIED) & {name for names in BEST.values() for name in names}
    patience = {cell.part: cell.patience for cell in gpu_attention.cells("S1")}
    assert {name for name in patience if patience[name]} == set(gpu_attention.UNTRIED) <= FILES.keys()
    for name, record in found.items():
        assert record["milliseconds"] == [1.0] * 3 and record["median"] == 1.0, name
        results = {"out", "log_sum_exp"} if "forward" in name else {"q_grad", "k_grad", "v_grad"}
        assert record["errors"].keys() == results and "note" not in record, name
    assert {name.split("<")[0] for name in tiny.launches if name.startswith("attention")} == {
        function.name for file in FILES.values() for function in file.functions
    }


def test_a_wrong_result_is_a_mismatch_and_inputs_are_drawn_once(tiny, monkeypatch):
    def wrong(*given, **options):
        out, log_sum_exp = right(*given, **options)
        out[...] = 0
        return out, log_sum_exp

    right, drawn = gpu_attention.forward, []
    draw = gpu_attention.normal
    monkeypatch.setattr(gpu_attention, "normal", lambda *given: drawn.append(given) or draw(*given))
    monkeypatch.setattr(gpu_attention, "forward", wrong)
    found = measured(cell for cell in gpu_attention.cells("S1") if "forward_7" in cell.name or "forward_3" in cell.name)
    assert len(found) == 2
    assert all(record["note"].startswith("mismatch: out is off by") and record["median"] for record in found.values())
    assert len(drawn) == len(set(drawn)) and tiny.to_device() == []


def test_what_does_not_run_here_or_fit_says_so_and_is_not_tried_again(tiny, stand_in, monkeypatch):
    stand_in.install(monkeypatch, architecture="75", shared_bytes=64 << 10)
    monkeypatch.setattr(gpu_attention, "SLOW_UP_TO", 1)

    def full(*given, **options):
        raise stand_in.OutOfMemoryError("Out of memory allocating 1,073,741,824 bytes\nmore")

    monkeypatch.setattr(gpu_attention, "forward", full)
    cells = [cell for cell in gpu_attention.cells("S1") if "float32" in cell.name]  # asks for no record in between
    assert not any("naive" in cell.name or "warps" in cell.name for cell in cells)
    tried = {}
    for cell in gpu_attention.cells("S1"):
        if "forward_4b" in cell.name or "forward_3" in cell.name:
            tried.setdefault(cell.name, []).append(gpu_worker.guarded(cell.measure))
    assert tried == {
        "S1 forward attention_forward_4b_split_floats float32": [{"note": "RuntimeError: not on an sm_75 in float32"}],
        "S1 forward attention_forward_3_tiles float32": [
            {"note": "OutOfMemoryError: Out of memory allocating 1,073,741,824 bytes"}
        ],
    }


def test_kernels_beside_attention_count_each_byte_once(tiny, monkeypatch):
    monkeypatch.setattr(gpu_rows, "SHAPES", {"1024 wide": (2, 3, 128)})
    monkeypatch.setattr(gpu_rows, "DTYPES", ("float32",))
    monkeypatch.setattr(gpu_timing, "short", lambda: True)
    found = {(record["who"], record["direction"]): record for record in measured(gpu_rows.cells()).values()}
    x, vector = 2 * 16 * 128 * 2, 2 * 128 * 2  # of the shape that is taken where all is cut short, in float32
    assert found["gated_residual", "forward"]["bytes"] == 2 * (3 * x + vector)
    assert found["normalise_and_modulate", "backward"]["bytes"] == 2 * (3 * x + 3 * vector)
    assert found["adamw_ema", "forward"]["bytes"] == 9 * 4 * 1024
    assert len(found) == 9 and all("note" not in record for record in found.values())


def test_cublas_is_given_numbers_that_are_kept_and_its_product_is_checked(tiny, monkeypatch):
    """gemmEx by NumPy, from the addresses that it is given; matrices lie column by column, as BLAS has them."""

    def gemm(handle, trans_a, trans_b, m, n, k, alpha, a, type_a, lda, b, type_b, ldb, beta, c, *rest):
        gc.collect()
        assert [ctypes.c_float.from_address(at).value for at in (alpha, beta)] == [1, 0]
        a, b, c = (np.ctypeslib.as_array((ctypes.c_uint16 * m**2).from_address(at)).reshape(m, m) for at in (a, b, c))
        product = (to_float32(a.T, "bfloat16") @ to_float32(b.T, "bfloat16")).T
        c[...] = to_format(factor * product, "bfloat16")

    monkeypatch.setattr(gpu_timing, "short", lambda: True)
    library = types.SimpleNamespace(gemmEx=gemm, CUBLAS_COMPUTE_32F=68)
    for name in ("cupy_backends", "cupy_backends.cuda", "cupy_backends.cuda.libs"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["cupy_backends.cuda.libs"].cublas = library
    monkeypatch.setattr(backend.xp().cuda.Device(), "cublas_handle", 1, raising=False)
    notes, factor = [], None
    for factor in (1, 1.01, np.nan):  # noqa: B007 (gemm reads it)
        _, _, more = gpu_rows._cublas()
        notes.append(more.get("note", "").partition(" is ")[0])
    assert notes == ["", "mismatch: the product", "mismatch: the product"]


def test_a_training_step_is_measured_without_plain_cupy_first(tiny, monkeypatch):
    def measure(name, threads, sides, turns, warm_up, device):
        asked.append(list(sides))
        if set(sides) & failing:
            raise InputError(f"{sides[-1]} is slow")
        seconds = {side: [0.001] * turns for side in sides}
        counts = dict.fromkeys(sides)
        return cpu.Timing(name, 1, seconds, counts, {}, counts, counts)

    monkeypatch.setattr(gpu_training.cpu, "measure", measure)
    monkeypatch.setattr(gpu_timing, "torch_has_a_gpu", lambda: True)
    asked, failing, found = [], {"cupy"}, {}
    jobs = bench.training_steps(presets=("small", "full")).jobs
    for job in jobs:
        found = {
            name: {**found.get(name, {}), **one} for name, one in measured(gpu_training.steps(*job.arguments)).items()
        }
    assert asked == [["ours", "eager"]] * 2 + [["ours", "eager", "cupy"]] * 2
    assert found == {"train full": {"note": "InputError: cupy is slow"}}
    asked, failing = [], {"eager"}
    (record,) = measured(gpu_training.steps("small")).values()
    assert record["sides"].keys() == {"ours"} and record["note"] == "eager is slow"


@pytest.mark.parametrize("kernels", [True, False])
def test_a_training_workload_is_the_cpus_on_the_gpu(gpu, kernels):
    expected = workloads.ours("train tiny", 1)
    backend.use("cpu")
    on_cpu = workloads.ours("train tiny", 1).results()
    backend.use("gpu", kernels=kernels)
    gpu.clear()
    prepared = workloads.ours("train tiny", 1)
    prepared.run()
    assert any(name.startswith("attention") for name in gpu.launches) == kernels
    found = expected.results()
    assert found.keys() == on_cpu.keys()
    for name, array in on_cpu.items():
        assert cpu._distance(backend.to_numpy(found[name]), array) < cpu.TOLERANCE, name
    gpu.clear()
    prepared.queue()
    assert gpu.waits == (not kernels) and len(gpu.launches) > 100  # CuPy alone waits for the gradients' norm


def test_without_a_gpu_it_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    assert cli.main(["bench", "gpu"]) == 2
    assert "CuPy can't be imported" in capsys.readouterr().err
    with pytest.raises(
        InputError, match=r"'train' is not measured on a GPU; there are ceilings, attention S2, .* full"
    ):
        bench.bench(["train"])


# --- texts -----------------------------------------------------------------------------------------------------


def attention_record(who, direction, median, dtype="bfloat16", shape="S2", **more):
    case = {"who": who, "direction": direction, "dtype": dtype, "shape": shape, "flops": 10**12}
    return {**case, **gpu_timing.timing([median]), "errors": {"out": [0.002, 0.001]}, **more}


def example():
    """What a session might have measured."""
    about = {"gpu": "G", "architecture": "90", "versions": "V"}
    attention = {
        "a": attention_record("attention_forward_7_trimmed", "forward", 4.0),
        "b": attention_record("attention_forward_7_trimmed", "forward", 2.0, shape="M1"),
        "c": attention_record("PyTorch flash", "forward", 5.0),
        "d": attention_record("attention_forward_6_async", "forward", 8.0, note="mismatch: out"),
        "e": {"note": "RuntimeError: not here"},
    }
    rows = {"who": "bias_gelu", "direction": "forward", "dtype": "float32", "shape": "1024 wide", "bytes": 3 * 10**9}
    side = {**gpu_timing.timing([2.0]), "launches": 7, "host": 1.5}
    other = {**gpu_timing.timing([4.0]), "launches": None, "host": None}
    sections = {
        "machine": {"machine": about},
        "ceilings": {
            "cuBLAS bfloat16": {"flops": 10**12, **gpu_timing.timing([1.25])},
            "copy": {"bytes": 4 * 10**9, **gpu_timing.timing([1.0])},
        },
        "attention": attention,
        "beside attention": {"f": {**rows, **gpu_timing.timing([1.0])}},
        "training steps": {"train small": {"sides": {"ours": side, "eager": other}}},
    }
    return json.loads(json.dumps({"date": "2026-01-02", "began": "", "seconds": 1.0, "sections": sections}))


def test_tables_are_made_of_what_was_measured():
    text = (folder() / "README.md").read_text()
    machine, ladder, beside_pytorch, beside, steps = gpu_report.tables(example(), text)
    assert machine[2:] == ["| G (sm_90) | V | 800 TFLOP/s | 4000 GB/s | 2026-01-02 |"]
    (row,) = [row for row in ladder if "`attention_forward_7_trimmed.cu`" in row]
    assert row.endswith(" | - / 250.0 / 500.0 / - | - / 31% / 62% / - | 2 of plain |")
    assert sum(row.endswith("| | | |") for row in ladder) == len(FILES) - 2
    shown = "| S2 | forward | bfloat16 | attention_forward_7_trimmed | 250.0 | 200.0 | - | - | 1.25 |"
    assert shown in beside_pytorch and len(beside_pytorch) == 4
    assert next(row for row in beside if "`bias_gelu.cu`" in row).endswith("| 3000 | - | 75% / - |")
    assert steps[2:] == ["| small | 2.00 | 7 | 1.50 | - | 4.00 | 0.50 |"]


def test_tables_stay_empty_until_somebody_has_measured_and_are_filled_again_and_again():
    text = (folder() / "README.md").read_text()
    assert TABLES["filled"](text, gpu_report.tables(None, text)) == text
    full = TABLES["filled"](text, gpu_report.tables(example(), text))
    assert full != text and "250.0" in full
    assert TABLES["filled"](full, gpu_report.tables(None, full)) == text


def test_a_median_of_nothing_divides_nothing():
    everything = example()
    for record in gpu_report.everything_measured(everything).values():
        for one in (record, *record.get("sides", {}).values()):
            one.update({"median": 0.0} if "median" in one else {})
    text = (folder() / "README.md").read_text()
    *_, steps = gpu_report.tables(everything, text)
    assert steps[2:] == ["| small | 0.00 | 7 | 1.50 | - | 0.00 | - |"]
    assert "NOTE" in gpu_report.page(everything) and "10 cells" in gpu_report.summary(everything)


@pytest.mark.parametrize("content", ['{"date": "2026-01', '{"date": "2026-01-02"}', "[]"])
def test_figures_that_are_not_whole_are_one_error(tmp_path, monkeypatch, content):
    (tmp_path / "gpu.json").write_text(content)
    shape = {"date": str, "sections": {...: {...: dict}}}
    with pytest.raises(InputError, match=r"gpu.json isn't whole \(.*\); copy it again"):
        TABLES["_read"](tmp_path / "gpu.json", shape)
    (tmp_path / "gpu.json").write_text(json.dumps(example()))
    assert TABLES["_read"](tmp_path / "gpu.json", shape) == example()


def test_the_page_and_the_short_table_tell_notes():
    everything = example()
    page, summary = gpu_report.page(everything), gpu_report.summary(everything)
    assert "| e | NOTE RuntimeError: not here |" in page and "G (sm_90), V, 2026-01-02" in page
    assert summary.splitlines()[-3:] == [
        "10 cells, 2 with a note",
        "  d: mismatch: out",
        "  e: RuntimeError: not here",
    ]
    assert "train small: ours 2.00 ms, eager 4.00 ms" in summary and "copy: 4000 GB/s" in summary
    assert np.isnan(gpu_report.worst({"errors": {"out": [1.0, 0.0]}}))
