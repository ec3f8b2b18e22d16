"""The parity tests' PyTorch side: the twin module, or a skip that says what is missing."""

import pytest

REASON = "plain PyTorch is not installed, so there is no twin to compare with; pip install 'minivdit[parity]'"


@pytest.fixture(scope="session")
def torch():
    torch = pytest.importorskip("torch", minversion="2.4", reason=REASON)  # 2.4 brought nn.RMSNorm
    torch.set_num_threads(1)
    return torch


@pytest.fixture(scope="session")
def twin(torch):
    """minivdit.lab.benchmarks.torch_twin, which can only be imported where PyTorch is."""
    from minivdit.lab.benchmarks import torch_twin

    return torch_twin


@pytest.fixture(scope="session")
def assert_close():
    return _assert_close


def _assert_close(ours, theirs, name, tolerance=1e-4, floor=1e-12):
    """The measure of all parity tests: the largest difference over the twin's largest entry, in one tensor.

    floor: the largest entry counts as at least this much, for tensors that are zero but for rounding.
    """
    ours, theirs = ours.astype("float64"), theirs.astype("float64")
    assert ours.shape == theirs.shape, (name, ours.shape, theirs.shape)
    largest = abs(theirs).max()
    error = abs(ours - theirs).max() / max(largest, floor)
    assert error <= tolerance, f"{name}: relative error {error:.1e} (largest entry {largest:.1e})"
    return error
