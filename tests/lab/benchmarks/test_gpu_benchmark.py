"""The GPU's benchmark, with the stand-in for CuPy: what is computed around the figures, not the figures."""

import json

import pytest

from minivdit.base import backend
from minivdit.base.errors import InputError
from minivdit.kernels import folder
from minivdit.kernels.attention import FILES
from minivdit.lab.benchmarks import cpu, workloads
from minivdit.lab.benchmarks import gpu as bench
from minivdit.lab.cli import main as cli

TINY = bench.Shape(1, 2, 40, 32)


@pytest.fixture
def tiny(gpu, monkeypatch):
    monkeypatch.setattr(bench, "SHAPES", {"S1": TINY})
    monkeypatch.setattr(bench, "keep_busy", lambda: lambda: None)
    monkeypatch.setattr(bench, "cublas_rate", lambda: 1e15)
    monkeypatch.setattr(bench, "RUNS", 3)
    timed = bench.milliseconds
    monkeypatch.setattr(bench, "milliseconds", lambda *given: timed(*given, warm_up=1, runs=3))
    return gpu


def test_flops_are_those_of_the_products():
    assert bench.SHAPES["M1"].flops("forward") == 4 * 12 * 8192**2 * 128
    assert bench.SHAPES["S1"].flops("backward") == 10 * 64 * 6 * 256**2 * 64
    assert list(bench.SHAPES) == ["S1", "S2", "M1", "M2"] and bench.SHAPES["M2"] == (1, 30, 17776, 64)


def test_figures_are_medians_with_quartiles(monkeypatch):
    figure = bench.Figure("x", "S1", "forward", milliseconds=[1.0, 5.0, 2.0, 3.0, 4.0])
    summary = figure.summary()
    assert summary["median"] == 3.0 and summary["quartiles"] == [2.0, 4.0]
    assert summary["tflops"] == pytest.approx(bench.SHAPES["S1"].flops("forward") / 3e-3 / 1e12)
    assert "3.000 ms (2.000-4.000)" in bench.line(figure)
    assert bench.Figure("x", "S1", "forward", note="not here").summary() == {}


def test_inputs_take_turns_after_a_warm_up(gpu):
    seen = []
    times = bench.milliseconds(seen.append, [("a",), ("b",), ("c",)], lambda: seen.append("busy"), warm_up=4, runs=5)
    assert seen == [*"abca", "busy", *"bcabc"] and times == [1.0] * 5


@pytest.mark.parametrize(
    ("size", "cache", "memory", "sets"),
    [(10, 50, 1000, 10), (30, 50, 1000, 4), (200, 50, 1000, 1), (10, 50, 45, 4), (10, 50, 5, 1)],
)
def test_sets_of_inputs_pass_the_cache_twice_or_fill_the_memory(size, cache, memory, sets):
    assert bench.sets_past_the_cache(size, cache, memory) == sets


def test_every_rung_gets_a_figure_with_its_errors(tiny, tmp_path):
    shown, path, readme = [], tmp_path / "gpu.json", tmp_path / "README.md"
    readme.write_text((folder() / "README.md").read_text())
    bench.bench(["attention S1"], out=path, readme=readme, show=shown.append)
    saved = json.loads(path.read_text())
    ours = {figure["name"]: figure for figure in saved["attention"] if not figure["name"].startswith("PyTorch")}
    assert ours.keys() == FILES.keys() and saved["machine"]["gpu"] == "Stand-in" and saved["cublas"] == 1e15
    for name, figure in ours.items():
        assert figure["milliseconds"] == [1.0] * 3 and figure["median"] == 1.0, name
        names = {"out", "log_sum_exp"} if "forward" in name else {"q_grad", "k_grad", "v_grad"}
        assert figure["errors"].keys() == names
        for error, plain in figure["errors"].values():
            assert 0 < error <= max(2 * plain, 5e-5)
        assert any(row.split()[0] == name for row in shown)
    rows = [row for row in readme.read_text().splitlines() if row.startswith("| `attention_")]
    assert len(rows) == len(FILES) and all("of plain |" in row and " 0.0 |" in row for row in rows)
    before, after = ((place / "README.md").read_text().splitlines() for place in (folder(), tmp_path))
    assert [row.split("|")[:3] for row in before] == [row.split("|")[:3] for row in after]
    assert {name.split("<")[0] for name in tiny.launches if name.startswith("attention")} == {
        function.name for file in FILES.values() for function in file.functions
    }


def test_what_does_not_fit_or_run_says_so(tiny, stand_in, monkeypatch):
    monkeypatch.setattr(bench, "MEMORY_SHARE", 1e-9)
    figure = bench.measure_kernel("attention_forward_1_naive", "S1", print)
    assert figure.note.endswith("of scores don't fit") and not figure.milliseconds
    stand_in.install(monkeypatch, architecture="75", shared_bytes=64 << 10)
    backend.use("gpu")
    assert bench.measure_kernel("attention_forward_6_async", "S1", print).note == "not on an sm_75"


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


def test_without_a_gpu_it_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    assert cli.main(["bench", "gpu"]) == 2
    assert "CuPy can't be imported" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"'train' is not measured on a GPU; there are attention S1, .* train full"):
        bench.bench(["train"])


def test_the_table_stays_empty_until_somebody_has_measured(tmp_path):
    text = (folder() / "README.md").read_text()
    assert bench.filled(text, [], 1e15) == text
