"""Every kernel compiled for every architecture, whether a GPU is there or not."""

import functools
import re
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from minivdit.base.errors import InputError
from minivdit.kernels import compile as compiling
from minivdit.kernels import folder, inline_headers, whole_source
from minivdit.kernels.catalogue import FILES
from minivdit.kernels.compile import ARCHITECTURES, SHARED_BYTES, Report, compile_file, compilers, table

needs_compiler = pytest.mark.skipif(not compilers(), reason="neither nvcc nor NVRTC (pip install 'minivdit[cuda13]')")


def architectures(name):
    """All but sm_90a for files that need nothing of it: a GPU of that kind takes what they are for sm_90."""
    return [architecture for architecture in ARCHITECTURES if architecture != "90a" or FILES[name].only == "90a"]


def on(name):
    """The file; that of sm_90a with one 16-bit format, for time: both make the same code but for the names in it."""
    file = FILES[name]
    return replace(file, types=file.types[:1]) if file.only else file


@functools.cache
def compiled(name):
    return compile_file(on(name), architectures(name))


@needs_compiler
@pytest.mark.parametrize(
    ("name", "architecture"), [(name, architecture) for name in FILES for architecture in architectures(name)]
)
def test_compiles_without_spills(name, architecture):
    reports = [report for report in compiled(name) if report.architecture == architecture]
    file = on(name)
    there = file.compiles_for(architecture)
    assert [report.expression for report in reports] == (file.expressions(architecture) if there else [])
    for report in reports:
        assert report.spilled_bytes == 0, report
        assert 0 < report.registers <= 255 and report.shared_bytes <= SHARED_BYTES[architecture], report


def test_sources_ask_for_no_other_architecture_than_sm_80():
    """So nvcc's PTX is the same for all from there on, and made once."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in folder().glob("*.cu*"))
    asked = re.findall(r"__CUDA_ARCH__ (?:>=|<) 800$", text, flags=re.M)
    assert len(asked) == text.count("CUDA_ARCH") > 0


def accesses(name, compiler, text=None):
    """How often each kind of access to global memory, "st.global.v4.f32", stands in PTX, by kernel."""
    file = replace(FILES[name], instances=FILES[name].instances[:2], types=FILES[name].types[:2])  # for time
    text = text or whole_source(name)
    if compiler == "nvrtc":
        nvrtc = compiling._nvrtc()
        program = nvrtc.createProgram(text, "kernel.cu", (), ())
        for expression in file.expressions():
            nvrtc.addNameExpression(program, expression)
        nvrtc.compileProgram(program, ("-std=c++17", "-arch=compute_90"))
        ptx = nvrtc.getPTX(program)
        ptx = ptx.decode() if isinstance(ptx, bytes) else ptx
    else:
        text += "".join(f"\ntemplate __global__ void {kernel}({given});" for kernel, given in file.kernels().items())
        command = ["nvcc", "-std=c++17", "-arch=compute_90", "-ptx", "-x", "cu", "-o", "-", "-"]
        ptx = subprocess.run(command, input=text + "\n", capture_output=True, text=True, check=True).stdout
    for entry in re.split(r"\.entry ", ptx)[1:]:
        yield entry[: entry.index("(")], Counter(re.findall(r"(?:ld|st)\.global[.\w]*", entry))


def fours_and_ones(of_kernel, instruction):
    """How many accesses are of four numbers, and how many of one."""
    fours = sum(count for kind, count in of_kernel.items() if re.match(rf"{instruction}\.global.*\.v[24]", kind))
    return fours, sum(count for kind, count in of_kernel.items() if kind.startswith(f"{instruction}.global")) - fours


IN_ROWS = [name for name in FILES if not name.startswith("attention")]


@needs_compiler
@pytest.mark.parametrize("compiler", ["nvcc", "nvrtc"])
@pytest.mark.parametrize("name", IN_ROWS)
def test_rows_are_read_and_written_four_numbers_at_a_time(name, compiler):
    """Each place of a kernel that reads or writes rows has one access for four numbers, and four for rows that aren't
    aligned. (What else is written are sums, a number a lane; what else is read is the factor of AdamW's gradients.)"""
    if compiler not in compilers():
        pytest.skip(f"{compiler} isn't here")
    for kernel, of_kernel in accesses(name, compiler):
        (read, read_one), (written, written_one) = (fours_and_ones(of_kernel, kind) for kind in ("ld", "st"))
        assert read > 0 and read_one == 4 * read + (name == "adamw_ema"), (kernel, of_kernel)
        if "_sums" not in kernel:
            assert written > 0 and written_one >= 4 * written, (kernel, of_kernel)
        if "_sums" not in kernel and "_backward" not in kernel:
            assert written_one == 4 * written, (kernel, of_kernel)


@needs_compiler
def test_four_stores_of_a_number_each_are_noticed():
    name, old = "bias_gelu", "{ store_16_bytes(to, numbers); }"
    text = whole_source(name)
    assert text.count(old) == 1
    text = text.replace(old, "{ to[0] = numbers[0], to[1] = numbers[1], to[2] = numbers[2], to[3] = numbers[3]; }")
    of_kernel = dict(accesses(name, compilers()[0], text))
    assert fours_and_ones(of_kernel["_Z17bias_gelu_forwardIfLi128EEv8BiasGeluIT_E"], "st")[0] == 0


def test_machine_code_of_nvrtc_is_whole():
    """An ELF file's table of what is to be loaded stands at its end."""
    if "nvrtc" not in compilers():
        pytest.skip("nvrtc isn't here")
    name = "attention_forward_2_online"
    code, _, _ = compiling.with_nvrtc(FILES[name], "80", whole_source(name))
    begin, size, count = (int.from_bytes(code[a:b], "little") for a, b in ((32, 40), (54, 56), (56, 58)))
    assert code[:4] == b"\x7fELF" and begin + size * count <= len(code)


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


@needs_compiler
def test_products_of_a_warpgroup_that_wait_for_each_other_are_an_error():
    """Two blocks a multiprocessor leave too few registers: ptxas puts a wait behind every product."""
    name = "attention_backward_5_wgmma"
    _, keys, _ = FILES[name].functions
    file = replace(FILES[name], functions=(keys,), types=("float16",), instances=(32,))
    text = whole_source(name)
    assert text.count("BLOCKS = 1;") == 1
    with pytest.raises(InputError, match=f"{name} for sm_90a: wgmma.mma_async instructions are serialized"):
        compile_file(file, ("90a",), text=text.replace("BLOCKS = 1;", "BLOCKS = 2;"))


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
