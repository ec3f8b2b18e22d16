"""`minivdit kernels`: what a student without a GPU types."""

import shutil

import pytest

from minivdit.kernels.catalogue import FILES
from minivdit.lab.cli.main import main as command_line


def main(arguments):
    return command_line(["kernels", *arguments])


needs_gcc = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")


def test_list_names_every_file_and_function(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for file in FILES.values():
        assert file.name in shown and all(function.name in shown for function in file.functions)


@needs_gcc
def test_a_trace_shows_threads_of_one_block_step_by_step(capsys):
    assert main(["emulate", "attention_forward_2", "--trace", "--threads", "2", "--queries", "3", "--keys", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    traced = [line for line in lines if line.startswith("thread ")]
    assert {line.split()[1] for line in traced} == {"0", "1"}
    phases = [i for i, line in enumerate(traced) if "all 64 threads are at __syncthreads" in line]
    assert len(phases) == 2  # the tile's two barriers
    fetched = [i for i, line in enumerate(traced) if "keys 0 to 3 are fetched" in line]
    scores = [i for i, line in enumerate(traced) if "weight " in line]
    assert len(fetched) == 2 and len(scores) == 8  # two threads; four keys each
    assert phases[0] < min(fetched) < max(fetched) < phases[1] < min(scores)  # nobody reads before all have written
    assert sum("is the highest yet" in line for line in traced) >= 2
    assert any("query 1 is done" in line for line in traced)
    assert any(line.split()[0] == "log_sum_exp" for line in lines)


@needs_gcc
@pytest.mark.parametrize("name", FILES)
def test_every_kernel_can_be_traced(name, capsys):
    masked = ["--frames", "2"] if name.startswith("attention") else []  # then ranges of times are launched, too
    assert main(["emulate", name, "--trace", "--threads", "1", *masked]) == 0
    shown = capsys.readouterr().out
    instance = next(instance for instance in FILES[name].instances if instance >= 32)
    for function in FILES[name].functions:
        assert f"==== {FILES[name].expression(function, instance, *FILES[name].types[:1])}: " in shown
    assert "thread 0 " in shown and "largest error against float64" in shown


@needs_gcc
def test_the_sanitizer_is_there_before_python_is(capfd):
    """The command starts itself again, with the same options."""
    assert main(["emulate", "bias_gelu", "--rows", "3", "--sanitize"]) == 0
    assert "bias_gelu: 3 rows of 32;" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["emulate", "attention_forward_12"], "'attention_forward_12' is not a kernel; there are attention_"),
        (["emulate", "attention"], "'attention' is not a kernel"),
        (["emulate", "attention_forward_2", "--width", "48"], "exists for head widths 32, 64, 128, not 48"),
        (["emulate", "attention_forward_2", "--queries", "0"], "'0' is not a whole number from 1 to 100,000"),
        (["emulate", "attention_forward_2", "--rows", "4"], "attention_forward_2_online has no --rows"),
        (["emulate", "bias_gelu", "--keys", "4"], "bias_gelu has no --keys; see 'minivdit kernels emulate"),
        (["emulate", "adamw_ema", "--dtype", "float16"], "adamw_ema reads float32, not float16"),
        (["compile", "--architecture", "35"], "'35' is not an architecture here; there are 75, 80"),
        (["emulate"], "the following arguments are required: NAME"),
    ],
)
def test_bad_input_is_one_line_and_code_2(arguments, message, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_missing_compiler_is_one_line_with_the_cure(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("minivdit.kernels.emulate.private_folder", lambda name: tmp_path)
    monkeypatch.setattr("minivdit.kernels.emulate._loaded", {})
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("minivdit.kernels.compile._nvrtc", lambda: None)
    assert main(["emulate", "attention_forward_2"]) == 2
    assert "needs g++; install it" in capsys.readouterr().err
    assert main(["compile"]) == 2
    assert "isn't installed; install the CUDA toolkit, or pip install 'minivdit[cuda13]'" in capsys.readouterr().err
