"""The doctor: a line for each finding, with the cure, and no illness that makes it fall ill itself."""

import re
import types

import pytest

from minivdit.base import backend, machine
from minivdit.base.errors import InputError
from minivdit.lab.cli import doctor


@pytest.mark.parametrize("check", doctor.CHECKS, ids=lambda check: check.__name__)
def test_every_check_gives_a_finding_of_one_line(check):
    finding = next(doctor.examine([check]))
    assert finding.state in (doctor.OK, doctor.FAIL, doctor.OPTIONAL)
    assert finding.text and "Traceback" not in finding.text


def test_a_finding_is_one_line_and_the_code_says_whether_something_failed(capsys):
    fine = lambda: doctor.Finding(doctor.OK, "fine")
    absent = lambda: doctor.Finding(doctor.OPTIONAL, "absent\nbut optional")
    assert doctor.report([fine, absent]) == 0
    assert capsys.readouterr().out == "[OK]   fine\n[--]   absent but optional\nready\n"
    assert doctor.report([fine, lambda: doctor.Finding(doctor.FAIL, "broken; mend it")]) == 1
    assert capsys.readouterr().out.splitlines()[1:] == ["[FAIL] broken; mend it", "1 to mend"]


def test_a_check_that_breaks_is_a_finding():
    def check_something():
        raise RuntimeError("boom")

    (finding,) = doctor.examine([check_something])
    assert finding.state == doctor.FAIL and finding.text.startswith("something: RuntimeError: boom")


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file or directory"), InputError("no room; make some")])
def test_an_illness_of_the_machine_is_no_reason_to_install_again(error):
    def check_disk():
        raise error

    (finding,) = doctor.examine([check_disk])
    assert finding.state == doctor.FAIL and str(error) in finding.text and "install" not in finding.text


def test_a_missing_package_is_named_with_its_cure(monkeypatch):
    monkeypatch.setattr(doctor, "PACKAGES", ("numpy", "no-such-package-at-all"))
    finding = doctor.check_packages()
    assert finding.state == doctor.FAIL and "pip install no-such-package-at-all" in finding.text


def test_a_numpy_that_is_too_old_is_named(monkeypatch):
    monkeypatch.setattr(doctor.importlib.metadata, "version", lambda name: "1.26.4")
    finding = doctor.check_packages()
    assert finding.state == doctor.FAIL and "numpy>=2" in finding.text


def test_little_memory_and_little_disk_are_failures(monkeypatch):

    monkeypatch.setattr(machine, "available_memory", lambda: 100 << 20)
    assert doctor.check_memory().state == doctor.FAIL and "0.1 GB" in doctor.check_memory().text
    monkeypatch.setattr(machine, "available_memory", lambda: None)
    assert doctor.check_memory().state == doctor.OPTIONAL
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: types.SimpleNamespace(free=5 << 20))
    assert doctor.check_disk().state == doctor.FAIL


def test_more_blas_threads_than_cores_are_a_failure(monkeypatch):
    import threadpoolctl

    pools = [{"user_api": "blas", "internal_api": "openblas", "num_threads": 4096}]
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: pools)
    finding = doctor.check_blas()
    assert finding.state == doctor.FAIL and re.search(r"set OMP_NUM_THREADS=\d+", finding.text)


def test_kernels_that_a_variable_forces_are_a_failure(monkeypatch):
    monkeypatch.setattr(machine, "forced_kernels", lambda: "OPENBLAS_CORETYPE=Haswell costs; unset it")
    assert doctor.check_blas() == (doctor.FAIL, "OPENBLAS_CORETYPE=Haswell costs; unset it")
    monkeypatch.setattr(machine, "forced_kernels", lambda: None)
    monkeypatch.setattr(machine, "blas_kernels", lambda: "SkylakeX")
    assert "kernels for SkylakeX" in doctor.check_blas().text


def test_cupy_that_is_installed_without_a_gpu_is_a_failure_with_the_cure(monkeypatch):
    from minivdit.base import backend

    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(backend, "gpu_problem", lambda: "CuPy is installed but no GPU is present; use --device cpu")
    assert doctor.check_gpu() == (doctor.FAIL, "CuPy is installed but no GPU is present; use --device cpu")
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    assert doctor.check_gpu().state == doctor.OPTIONAL


def test_a_gpu_is_named_with_the_kernels_that_training_uses_on_it(stand_in, monkeypatch):
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: object())
    stand_in.install(monkeypatch, architecture="75", shared_bytes=64 << 10)
    finding = doctor.check_gpu()
    assert finding.state == doctor.OK and "Stand-in (sm_75), 8.0 GB of its memory free" in finding.text
    assert finding.text.endswith("attention by attention_forward_3_tiles and attention_backward_2_tiles")
    stand_in.install(monkeypatch, architecture="75", shared_bytes=4 << 10)
    (finding,) = doctor.examine([doctor.check_gpu])
    assert finding.state == doctor.FAIL and "4096 bytes of shared memory" in finding.text


def test_mnist_is_optional_and_the_cure_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIVDIT_DATA", str(tmp_path))
    finding = doctor.check_mnist()
    assert finding.state == doctor.OPTIONAL and "0 of 4" in finding.text and "minivdit data download" in finding.text


def test_missing_cuda_sources_are_a_failure(monkeypatch):
    from minivdit.kernels import sources

    def missing():
        raise InputError("the CUDA sources are missing; pip install minivdit again")

    monkeypatch.setattr(sources, "folder", missing)
    assert next(doctor.examine([doctor.check_kernels])).state == doctor.FAIL


def test_compiled_operations_are_told_of(monkeypatch):
    problem = backend.numba_problem()
    finding = doctor.check_compiled()
    assert finding.state == (doctor.OK if problem is None else doctor.OPTIONAL)
    monkeypatch.setitem(backend._state, "numba_problem", "Numba can't be used (of this test); pip install it")
    assert doctor.check_compiled().state == doctor.OPTIONAL and "of this test" in doctor.check_compiled().text
