"""Checkpoints: whole, strict, and with errors that say what differs."""

import contextlib
import dataclasses
import threading

import numpy as np
import pytest

from minivdit.base import config
from minivdit.base.errors import InputError
from minivdit.base.files import save_tensors
from minivdit.training import checkpoint, presets

ABOUT_NOTHING = {"config": {}, "settings": {"steps": 9}, "seed": 0, "metrics": {}}


@dataclasses.dataclass(frozen=True)
class Config:
    width: int = 8
    patch: tuple = (1, 2, 2)


def test_round_trip(tmp_path):
    groups = {
        "weights": {"blocks.0.w": np.arange(6, dtype=np.float32).reshape(2, 3).T},
        "optimizer": {"muon.steps": 3, "adamw.mean.blocks.0.w": np.ones((3, 2), np.float32)},
        "run": {"step": 7, "seconds": 1.5},
    }
    path = tmp_path / "run.safetensors"
    metadata = {"config": Config(), "settings": {"steps": 9}, "seed": 3, "metrics": {"accuracy": np.float32(0.5)}}
    checkpoint.save_checkpoint(path, groups, metadata)
    loaded, about = checkpoint.load_checkpoint(path)
    assert loaded.keys() == groups.keys()
    for group, state in groups.items():
        assert loaded[group].keys() == state.keys()
        assert all(np.array_equal(loaded[group][name], value) for name, value in state.items())
    assert about["config"] == {"width": 8, "patch": [1, 2, 2]} and about["metrics"] == {"accuracy": 0.5}
    assert isinstance(loaded["optimizer"]["muon.steps"], int)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_tensors(path, {"w": np.zeros(2, np.float32)}, {"kind": "something else"})
    with pytest.raises(InputError, match="is not a training checkpoint"):
        checkpoint.load_checkpoint(path)
    checkpoint.save_checkpoint(path, {}, {"config": {}})  # the right format, but most of it isn't there
    with pytest.raises(InputError, match="is not a training checkpoint"):
        checkpoint.load_checkpoint(path)
    for damage in ({"numbers": []}, {"numbers": {"run.step": "7"}}, {"settings": None}, {"metrics": [1]}):
        about = {"format": checkpoint.FORMAT, "numbers": {}, **ABOUT_NOTHING}
        save_tensors(path, {}, about)
        checkpoint.load_checkpoint(path)
        save_tensors(path, {}, {**about, **damage})
        with pytest.raises(InputError, match=r"weights\.safetensors is not a training checkpoint"):
            checkpoint.load_checkpoint(path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match="not a whole safetensors file"):
        checkpoint.load_checkpoint(path)
    with pytest.raises(InputError, match="no weights at"):
        checkpoint.load_checkpoint(tmp_path / "missing.safetensors")


NO_COUNTS = [float("nan"), float("inf"), -1, True, None, "7", [1], 10**400, np.ones(2, np.float32)]


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in ("run.step", "run.seconds") for value in NO_COUNTS]
    + [("run.step", 10), ("run.step", 1.5), ("optimizer.steps", float("nan"))],  # 9 steps are planned
)
def test_numbers_that_make_no_sense_are_refused_by_name(tmp_path, name, value):
    path, is_array = tmp_path / "run.safetensors", hasattr(value, "shape")
    numbers = {} if is_array else {name: value}
    save_tensors(
        path, {name: value} if is_array else {}, {"format": checkpoint.FORMAT, **ABOUT_NOTHING, "numbers": numbers}
    )
    with pytest.raises(InputError, match=rf"is not a training checkpoint: {name} is .*; give the file"):
        checkpoint.load_checkpoint(path)


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e39, 1, True, np.complex64(1)])
def test_weights_that_are_no_finite_floating_numbers_are_refused(tmp_path, value):
    path = tmp_path / "run.safetensors"
    checkpoint.save_checkpoint(path, {"weights": {"a": np.ones(3, np.float32), "b": np.array([value])}}, ABOUT_NOTHING)
    with pytest.raises(InputError, match=r"weights\.b in .*run\.safetensors holds values that aren't finite float32"):
        checkpoint.load_checkpoint(path)


def test_a_dataclass_comes_back_from_what_is_plain_and_other_types_are_refused():
    whole = presets.get("full")
    assert config.from_plain(presets.Preset, config.plain(whole)) == whole
    assert config.from_plain(presets.DataSettings, {"turning": 1}) == presets.DataSettings(turning=1.0)
    for name, values in {
        "size": (None, 64, [64], [64, 64, 64], [64, "64"], [64, 64.0]),
        "num_frames": (True, 8.0, "8", [8]),
        "turning": (float("inf"), float("nan"), False, "0"),
        "digits": (1, ["mnist"]),
    }.items():
        for value in values:
            with pytest.raises(TypeError, match=f"^{name} can't be "):
                config.from_plain(presets.DataSettings, {name: value})
    with pytest.raises(TypeError, match="DataSettings is no object but 'x'"):
        config.from_plain(presets.Preset, {"data": "x"})
    with pytest.raises(KeyError):
        config.from_plain(presets.DataSettings, {"colour": 1})


def test_differing_fields_are_named():
    saved = config.plain({"model": Config(width=4), "seed": 0, "old": 1})
    here = {"model": Config(patch=(1, 4, 4)), "seed": 0}
    assert config.differences(saved, here) == [
        "model.width is 4, here 8",
        "model.patch is [1, 2, 2], here [1, 4, 4]",
        "old is 1, here absent",
    ]
    assert config.differences(saved, saved) == []
    with pytest.raises(InputError, match=r"^a\.file was trained .*: model\.width is 4, here 8; .*; take another$"):
        config.require_equal(saved, here, "a.file", "take another")


def test_writing_does_not_hold_up_training_and_keeps_what_was_handed_over(tmp_path, monkeypatch):
    """While the disk is busy, `save` has long returned, and what training changes meanwhile isn't in the file."""
    path, finish, write = tmp_path / "run.safetensors", threading.Event(), checkpoint.save_checkpoint

    def slow(*arguments):
        assert finish.wait(timeout=30)
        write(*arguments)

    monkeypatch.setattr(checkpoint, "save_checkpoint", slow)
    weights = np.zeros(3, np.float32)
    with contextlib.closing(checkpoint.Writer(path)) as writer:
        writer.save({"weights": {"a": weights}, "run": {"step": 5}}, ABOUT_NOTHING)
        assert not path.exists()
        weights += 1
        finish.set()
        writer.wait()
        assert not checkpoint.load_checkpoint(path)[0]["weights"]["a"].any()
        writer.save({"weights": {"a": weights}, "run": {"step": 6}}, ABOUT_NOTHING)
    groups, _ = checkpoint.load_checkpoint(path)  # closing waited
    assert groups["run"]["step"] == 6 and groups["weights"]["a"].all()


def test_what_goes_wrong_while_writing_is_not_lost(tmp_path):
    blocked = tmp_path / "file" / "run.safetensors"
    blocked.parent.write_text("a file where a folder should be")
    writer = checkpoint.Writer(blocked)
    writer.save({"run": {"step": 1}}, ABOUT_NOTHING)
    with pytest.raises(InputError, match="could not write"):
        writer.close()
