"""`minivdit sample`: what it draws, what it says of it, and what it refuses."""

import errno

import numpy as np
import pytest

from minivdit.base import backend, files, machine
from minivdit.base.errors import InputError
from minivdit.generation import TextToVideo


@pytest.mark.parametrize(
    ("prompt", "options", "expected"),
    [
        ("a 3 moving rigt", [], "nearest: right"),
        ("a 3 and a 4 and a 5", [], "a caption has one or two digits, and this one has 3; try: a 3 moving right and a"),
        ("a 3 moving right", ["--size", "16x17"], "16 or 24"),
        ("a 3 moving right", ["--frames", "1000000", "--size", "10000"], "of memory and"),
        ("a 3 moving right", ["--count", "1000000"], "draw "),
    ],
)
def test_prompts_and_sizes_that_cannot_be_drawn(refused, trained, prompt, options, expected):
    assert expected in refused("sample", prompt, "--weights", trained / "model.safetensors", *options)


def test_quotes_that_were_forgotten_are_named(refused):
    assert 'put the caption in quotes: minivdit sample "a 3 moving right"' in refused(
        "sample", "a", "3", "moving", "right", "--weights", "small"
    )


def test_damaged_weights_are_one_line(refused, trained, tmp_path):
    whole = (trained / "model.safetensors").read_bytes()
    hostile = (2**62).to_bytes(8, "little") + b"{}"  # a header that claims to be 4 exabytes long
    for content in (whole[: len(whole) // 2], b"", b"not weights at all", hostile):
        path = tmp_path / "damaged.safetensors"
        path.write_bytes(content)
        assert "damaged.safetensors" in refused("sample", "a 3 moving right", "--weights", path)


def test_a_gpu_that_is_not_there_is_one_line(run, refused, trained, monkeypatch):
    monkeypatch.setattr(
        backend, "gpu_problem", lambda kernels: "CuPy is installed but no GPU is present; use --device cpu"
    )
    weights = ["--weights", trained / "model.safetensors"]
    assert "use --device cpu" in refused("sample", "a 3 moving right", "--device", "gpu", *weights)
    assert run("sample", "a 3 moving right", "--device", "auto", *weights) == 0  # auto falls back


def test_a_full_disk_is_one_line_and_loses_nothing(refused, trained, tmp_path, monkeypatch):
    earlier = tmp_path / "clip.gif"
    earlier.write_bytes(b"earlier")

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    line = refused("sample", "a 3 moving right", "--weights", trained / "model.safetensors")
    assert "No space left" in line and earlier.read_bytes() == b"earlier" and list(tmp_path.iterdir()) == [earlier]


def test_sampling_is_decided_by_the_seed(run, capsys, trained, tmp_path):
    weights = ["--weights", trained / "model.safetensors"]
    for name, seed in (("one.gif", 1), ("again.gif", 1), ("two.gif", 2)):
        assert run("sample", "a 3 moving right", "--seed", seed, "--out", name, *weights) == 0
    one, again, two = ((tmp_path / name).read_bytes() for name in ("one.gif", "again.gif", "two.gif"))
    assert one == again != two
    assert "one.gif: 1 x 4 frames of 16x16, seed 1" in capsys.readouterr().out


def test_other_lengths_sizes_counts_and_strips(run, capsys, trained, tmp_path):
    import imageio.v3 as imageio

    weights = ["--weights", trained / "model.safetensors"]
    options = ["--frames", 6, "--size", "24x32", "--steps", 2, "--guidance", 3, "--sampler", "ddpm"]
    assert run("sample", "a 3 moving right", "an 8 moving up", "--count", 2, *options, *weights) == 0
    printed = capsys.readouterr()
    assert "clip.gif: 4 x 6 frames of 24x32" in printed.out
    assert "these weights had 4 steps of training" in printed.err
    assert len(imageio.imread(tmp_path / "clip.gif", plugin="pillow", mode="L")) == 6
    assert run("sample", "moving 3 a", "--out", "strip.png", *weights) == 0
    assert "doesn't say where to" in capsys.readouterr().err  # drawn, but not silently
    assert imageio.imread(tmp_path / "strip.png").shape[1] > 1000


def test_more_clips_than_a_file_can_hold_are_not_drawn(refused, monkeypatch, weights):
    monkeypatch.setattr(machine, "available_memory", lambda: 1e15)
    line = refused("sample", "a 3 moving right", "--count", 300_000, *weights)
    assert "a side has at most 65535; write fewer clips into one file" in line


def test_a_file_says_how_it_was_drawn(run, weights, trained):
    from minivdit.data.reading import open_clip

    options = ["--seed", 5, "--guidance", 2, "--sampler", "euler", "--fps", 10]
    assert run("sample", "a 3 moving right", *options, *weights) == 0
    clip = open_clip("clip.gif")
    fingerprint = TextToVideo.load(trained / "model.safetensors").fingerprint()
    expected = {"command": "sample", "seed": 5, "steps": 1, "guidance": 2, "sampler": "euler", "weights": "model"}
    assert clip.about.items() >= (expected | {"fingerprint": fingerprint}).items()
    assert clip.caption == "a 3 moving right" and clip.frames_per_second == 10
    assert run("edit", "clip.gif", "an 8 moving up", "--level", 0.5, *weights) == 0
    assert open_clip("clip.gif").about.items() >= {"command": "edit", "level": 0.5, "seed": 0}.items()


def test_one_clip_of_several_is_drawn_again_alone_and_away_from_a_caption(run, refused, trained, capsys, tmp_path):
    from minivdit.lab.display import read_clip

    command = ["sample", "a 3 moving right", "a 7 moving up", "--count", 2, "--seed", 4, "--negative", "a 1 moving up"]
    command += ["--weights", trained / "model.safetensors"]
    together = TextToVideo.load(trained / "model.safetensors").generate(
        ["a 3 moving right"] * 2 + ["a 7 moving up"] * 2, seed=4, negative_prompt="a 1 moving up"
    )
    assert run(*command, "--index", 2, "--plain", "--out", tmp_path / "third.gif") == 0
    np.testing.assert_allclose(read_clip(tmp_path / "third.gif"), together[2], atol=0.51 / 255)
    assert np.abs(together[3] - together[2]).max() > 1 / 255
    capsys.readouterr()
    assert "there is no clip 4 among 4, counted from 0; change --index" in refused(*command, "--index", 4)
    assert "no effect at guidance 1" in refused(*command, "--guidance", 1)
    assert "'cat' is no digit" in refused(*command, "--negative", "a cat")


def test_what_training_never_showed_is_said(run, trained, capsys):
    prompts = ["digits 4 and 7", "right a moving", "a 3 moving right"]
    assert run("sample", *prompts, "--weights", trained / "model.safetensors", "--steps", 1, "--out", "clip.gif") == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if "note:" in line]
    about_digits = [note for note in notes if "these weights were trained on clips of 1" in note]
    assert len(about_digits) == 1 and "'digits 4 and 7' has 2 digits" in about_digits[0]
    assert about_digits[0].endswith("clips of 1; try --weights joint")
    assert len([note for note in notes if "steps of training" not in note]) == 3
    assert any("'digits 4 and 7' doesn't say where to" in note for note in notes)
    assert any("'right a moving' names no digit: the model picks a digit" in note for note in notes)


def test_a_shape_that_training_never_showed_is_said(run, trained, capsys):
    size, frames = (TextToVideo.load(trained / "model.safetensors").learnt[name] for name in ("size", "num_frames"))
    wide = f"{size[0]}x{2 * size[1]}"
    told = f"no clips of {frames} frames of {wide}, so expect less; it showed {frames} frames of {size[0]}x{size[1]}\n"
    command = ["sample", "a 3 moving right", "--weights", trained / "model.safetensors", "--steps", 1]
    windows = ["--frames", 2 * frames, "--overlap", frames // 2]  # each window has the frames of training
    for options, said in ((["--size", wide], True), (["--size", wide, *windows], True), (windows, False), ([], False)):
        assert run(*command, *options, "--out", "clip.gif") == 0
        assert (told in capsys.readouterr().err) == said


def test_what_a_caption_leaves_open_is_said_once_and_before_anything_is_drawn(refused, trained, capsys, monkeypatch):
    def draw(model, *arguments, **options):
        errors = capsys.readouterr().err
        assert errors.count("note:") == errors.count("the model") == 2
        assert "'a 3' doesn't say where to: the model picks a direction; to choose, try: a 3 moving right\n" in errors
        assert "an empty caption says nothing: the model draws any digit, moving any way\n" in errors
        raise InputError("that was all")

    monkeypatch.setattr(TextToVideo, "generate", draw)
    assert "that was all" in refused("sample", "a 3", "", "--count", 3, "--weights", trained / "model.safetensors")
