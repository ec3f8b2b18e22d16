"""Every kernel compiled for every architecture, whether a GPU is there or not."""

import functools
from dataclasses import replace
from pathlib import Path

import pytest

from minivdit.base.errors import InputError
from minivdit.kernels import compile as compiling
from minivdit.kernels import inline_headers, whole_source
from minivdit.kernels.catalogue import FILES
from minivdit.kernels.compile import ARCHITECTURES, SHARED_BYTES, Report, compile_file, compilers, table

needs_compiler = pytest.mark.skipif(not compilers(), reason="neither nvcc nor NVRTC (pip install 'minivdit[cuda13]')")


# Both 16-bit formats make the same code but for the names of instructions, so, for time, both on one architecture only
# (minivdit kernels compile takes all on all). Files that take float32, too, are small: all of theirs on all.
TYPES = {"75": ("float16",), "80": ("float16", "bfloat16"), "86": ("bfloat16",)}
TYPES |= {"89": ("float16",), "90": ("bfloat16",), "90a": ("float16",)}


def on(name, architecture):
    """The file with those types of number that are compiled here for an architecture."""
    file = FILES[name]
    if "float32" in file.types:
        return replace(file, types=file.types_on(architecture))
    return replace(file, types=TYPES[architecture] if file.types else ())


@functools.cache
def compiled(name):
    together = {}
    for architecture in ARCHITECTURES:
        together.setdefault(on(name, architecture).types, []).append(architecture)
    return [
        report
        for architectures in together.values()
        for report in compile_file(on(name, architectures[0]), architectures)
    ]


@needs_compiler
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", FILES)
def test_compiles_without_spills(name, architecture):
    reports = [report for report in compiled(name) if report.architecture == architecture]
    file = on(name, architecture)
    there = file.compiles_for(architecture)
    assert [report.expression for report in reports] == (file.expressions(architecture) if there else [])
    for report in reports:
        assert report.spilled_bytes == 0, report
        assert 0 < report.registers <= 255 and report.shared_bytes <= SHARED_BYTES[architecture], report


@needs_compiler
@pytest.mark.parametrize("compiler", ["nvcc", "nvrtc"])
def test_what_does_not_compile_is_told_with_file_line_architecture_and_first_error(compiler):
    if compiler not in compilers():
        pytest.skip(f"{compiler} isn't here")
    name = "attention_backward_1_warps"
    text = (
        whole_source(name).replace("float sum = 0;", "float sum = nought;").replace("sum_over_warp(sum)", "lost(sum)")
    )
    with pytest.raises(InputError, match=f"{name} for sm_90: ") as caught:
        compile_file(FILES[name], ("90",), compiler, text)
    source = (Path(compiling.__file__).parents[2] / "kernels" / "attention.cuh").read_text()
    line = 1 + source[: source.index("float sum = 0;")].count("\n")
    message = str(caught.value)
    assert f"attention.cuh({line})" in message and "nought" in message
    assert "\n" not in message and "lost" not in message


@needs_compiler
@pytest.mark.parametrize(("architecture", "instances"), [("75", (2,)), ("80", (0, 1, 2, 3))])
def test_every_instruction_of_the_common_header_is_accepted(architecture, instances):
    """The PTX of the tests' own kernels; on sm_75 that of a T4's tensor cores only."""
    import ctypes

    from minivdit.kernels.describe import Function, KernelFile

    names = ("multiply", "round_trip") if architecture == "75" else ("multiply", "pipeline", "exchange", "round_trip")
    functions = tuple(Function(name, 32, lambda a, instance: 1) for name in names)
    file = KernelFile("instructions", functions, ctypes.Structure, "Arguments", instances)
    text = (Path(__file__).parent / "instructions.cu").read_text()
    if architecture == "75":  # no asynchronous copies there
        start, end = text.index("// c (16, 8) of float"), text.index("// Each warp instruction once")
        text = text[:start] + text[end : text.index("// What CUDA forbids")]
    reports = compile_file(file, (architecture,), text=inline_headers(text, "instructions.cu"))
    assert len(reports) == len(names) * len(instances)


def test_no_compiler_is_one_line_with_the_cure(monkeypatch):
    monkeypatch.setattr(compiling, "compilers", list)
    with pytest.raises(InputError, match=r"isn't installed; install the CUDA toolkit, or pip install 'minivdit\[cuda"):
        compile_file(FILES["attention_forward_1_naive"])


def test_what_ptxas_says_of_a_kernel_in_16_bits_is_read():
    mangled = "_Z25attention_forward_6_asyncI8bfloat16Li64EEv7ForwardIT_E"
    log = f"""ptxas info    : Compiling entry function '{mangled}' for 'sm_80'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 168 registers"""
    (report,) = compiling._read(FILES["attention_forward_6_async"], log)
    assert report[:3] == ("attention_forward_6_async<bfloat16, 64>", "80", 168)
    log = log.replace(mangled, "_Z17bias_gelu_forwardIfLi128EEv8BiasGeluIT_E")
    (report,) = compiling._read(FILES["bias_gelu"], log)
    assert report[:3] == ("bias_gelu_forward<float32, 128>", "80", 168)


def test_what_ptxas_says_is_read():
    file = FILES["attention_forward_2_online"]
    log = """ptxas info    : Compiling entry function '_Z26attention_forward_2_onlineILi64EEv7ForwardIfE' for 'sm_90a'
ptxas info    : Function properties for _Z26attention_forward_2_onlineILi64EEv7ForwardIfE
    40 bytes stack frame, 36 bytes spill stores, 44 bytes spill loads
ptxas info    : Used 168 registers, used 1 barriers, 40 bytes cumulative stack size"""
    (report,) = compiling._read(file, log)
    assert report == ("attention_forward_2_online<64>", "90a", 168, file.functions[0].shared_bytes(64), 80)
    lines = list(table([report]))
    assert "168!" in lines[1] and "80 bytes of registers spilled" in lines[2]
    clean = list(table([Report("f<32>", "75", 40, 0, 0), Report("f<32>", "80", 48, 0, 0)]))
    assert clean[1].split() == ["f<32>", "0", "40", "48"] and len(clean) == 2
