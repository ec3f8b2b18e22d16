"""The commands that draw from files: each is run for real on a tiny model."""

from pathlib import Path

import numpy as np
import pytest

from minivdit.base import machine


def pixels(path):
    """A clip from a file, as bytes (T, H, W, C)."""
    from minivdit.lab.display import read_clip

    return np.rint(read_clip(path) * 255).astype(np.uint8)


@pytest.fixture
def clip_file(run, weights, capsys):
    """in.gif: 4 frames of 16x16 that the tiny model drew, with a frame and a caption, enlarged."""
    assert run("sample", "a 3 moving right", *weights, "--out", "in.gif") == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("command", "arguments", "frames"),
    [
        ("animate", ["in.gif"], 4),
        ("animate", ["in.gif", "a 3 moving up", "--frames", 6], 6),
        ("keyframes", ["a 3 moving up", "--at", 0, "in.gif", "--at", 3, "in.gif"], 4),
        ("extend", ["in.gif", "a 3 moving up", "--frames", 5], 9),
        ("extend", ["in.gif", "--frames", 5, "--backwards"], 9),
        ("interpolate", ["in.gif", "a 3 moving up", "--factor", 3], 10),
        ("connect", ["in.gif", "in.gif", "--frames", 3], 11),
        ("loop", ["a 3 moving up", "--frames", 6], 6),
        ("loop", ["--image", "in.gif"], 4),
        ("edit", ["in.gif", "an 8 moving up", "--level", 0.5], 4),
        ("inpaint", ["in.gif", "a 3 moving up", "--mask", "mask.png", "--from", 1, "--to", 2], 4),
    ],
)
def test_every_ability_reads_files_and_writes_one(run, capsys, weights, clip_file, command, arguments, frames):
    from PIL import Image

    area = np.zeros((16, 16), np.uint8)
    area[:8] = 255
    Image.fromarray(area).save("mask.png")
    assert run(command, *arguments, *weights, "--out", "out.gif") == 0
    printed = capsys.readouterr().out
    assert f"out.gif: 1 x {frames} frames of 16x16" in printed
    assert ("likeness to the first picture of the digit" in printed) == (command == "extend") and (
        "(median)" in printed
    ) == (command == "loop")
    drawn, given = pixels("out.gif"), pixels("in.gif")
    if command in ("animate", "keyframes", "interpolate", "connect"):
        np.testing.assert_array_equal(drawn[0], given[0])
    if command == "extend":
        np.testing.assert_array_equal(drawn[-4:] if "--backwards" in arguments else drawn[:4], given)
    if command == "inpaint":
        np.testing.assert_array_equal(drawn[:, 8:], given[:, 8:])
    assert run(command, *arguments, *weights, "--plain", "--out", "plain.gif") == 0
    np.testing.assert_array_equal(pixels("plain.gif"), drawn)


@pytest.mark.parametrize("ending", ["gif", "png", "mp4"])
def test_what_one_command_draws_the_next_one_reads(run, refused, capsys, weights, ending):
    """As a person would, with the names that the commands choose: each file goes into the next command."""
    if ending == "mp4":
        pytest.importorskip("av")
    commands = [
        ["sample", "a 3 moving right", "--out", "one"],
        ["extend", "one", "a 3 moving right", "--frames", 4, "--out", "longer"],
        ["edit", "longer", "an 8 moving right", "--level", 0.8, "--out", "eight"],
        ["animate", "one", "a 3 moving up", "--out", "up"],
        ["interpolate", "up", "a 3 moving up", "--out", "dense"],
        ["connect", "one", "up", "a 3 moving right", "--frames", 4, "--out", "both"],
        ["inpaint", "both", "a 3 moving right", "--from", 4, "--to", 7, "--out", "redrawn"],
        ["keyframes", "a 3 moving up", "--at", 0, "one", "--at", 3, "redrawn", "--out", "keys"],
        ["loop", "a 3 moving right", "--image", "keys", "--out", "ring"],
        ["sample", "a 3 moving right", "a 7 moving up", "--out", "two"],
        ["animate", "two#1", "a 7 moving up", "--out", "seven"],
    ]
    names = {"one", "two", "up", "longer", "eight", "dense", "both", "redrawn", "keys", "ring", "seven"}

    def written(word):
        stem, sign, number = str(word).partition("#")
        return f"{stem}.{ending}{sign}{number}" if stem in names else word

    for command in commands:
        assert run(*map(written, command), *weights) == 0, capsys.readouterr().err
        assert "read as it is seen" not in capsys.readouterr().err
    one = pixels(f"one.{ending}")
    assert len(pixels(f"both.{ending}")) == 12
    np.testing.assert_array_equal(pixels(f"both.{ending}")[:4], one)
    np.testing.assert_array_equal(pixels(f"longer.{ending}")[:4], one)
    np.testing.assert_array_equal(pixels(f"seven.{ending}")[0], pixels(f"two.{ending}#1")[0])
    assert "holds 2 clips; choose one of" in refused("extend", f"two.{ending}", *weights)


def test_time_is_kept_unless_another_is_asked_for(run, refused, capsys, weights):
    from minivdit.data.reading import open_clip

    def rate(*arguments):
        assert run(*arguments, *weights, "--out", "out.gif") == 0
        return open_clip("out.gif").frames_per_second, capsys.readouterr().err

    assert run("sample", "a 3 moving right", "--fps", 20, *weights, "--out", "in.gif") == 0
    assert run("sample", "a 3 moving right", *weights, "--out", "slow.gif") == 0
    assert open_clip("slow.gif").frames_per_second == 8
    assert rate("extend", "in.gif")[0] == 20
    assert rate("extend", "in.gif", "--fps", 5)[0] == 5
    assert rate("interpolate", "in.gif")[0] == 40
    fastest, note = rate("interpolate", "in.gif", "--factor", 3)
    assert fastest == 50 and "60 frames a second became 50" in note
    first, note = rate("connect", "slow.gif", "in.gif", "--frames", 4)
    assert first == 8 and "the clips have 8 and 20 frames a second" in note
    for bad in ("60", "0.001"):
        assert "frames a second" in refused("sample", "a 3", "--fps", bad, "--weights", "absent")


def test_what_the_weights_do_not_know_is_refused_until_it_is_made_to_fit(run, refused, capsys, weights):
    """Colours, another size, dark on light, dark strokes on a transparent ground: each with its cure."""
    from PIL import Image

    generator = np.random.default_rng(0)
    colours = [Image.fromarray(generator.integers(0, 256, (16, 16, 3), dtype=np.uint8)) for _ in range(4)]
    colours[0].save("colours.gif", save_all=True, append_images=colours[1:])
    stroke = np.zeros((480, 640), np.uint8)
    stroke[100:400, 300:340] = 255
    Image.fromarray(stroke).save("large.png")
    Image.fromarray(255 - stroke[:300:20, :320:20]).resize((16, 16)).save("paper.png")
    black = Image.merge("LA", [Image.new("L", (640, 480)), Image.fromarray(stroke)])
    black.save("clear.png")
    Image.fromarray(stroke[:28, :28]).save("digit.png")
    for name, reason, done in (
        ("colours.gif", "has colours, and these weights draw in grey", "its colours became grey"),
        (
            "large.png",
            "has 480x640 pixels (height x width), and these",
            "480x640 pixels were scaled to 16x16",
        ),
        ("paper.png", "is dark on light", "dark on light became light on dark"),
        ("clear.png", "is dark on light", "dark on light became light on dark, 480x640 pixels were scaled"),
        ("digit.png", "has 28x28 pixels", "28x28 pixels were scaled to 16x16"),
    ):
        for command in (["animate", name], ["loop", "--image", name], ["keyframes", "--at", 0, name]):
            line = refused(*command, *weights)
            assert reason in line and "with --fit scale, crop or pad" in line
            assert run(*command, "--fit", "scale", *weights) == 0
            assert f"minivdit: note: {name}: {done}" in capsys.readouterr().err
    Image.fromarray(stroke[250:256, 297:303]).save("small.png")
    assert "with --fit pad, scale or crop" in refused("animate", "small.png", *weights)
    assert run("animate", "clear.png", "--fit", "scale", *weights) == 0
    shown = pixels("clip.gif")[0, ..., 0]
    assert shown[8, 8] > 100 and shown[8, :7].max() == 0 == shown[0].max()  # the stroke is light, bands are black
    capsys.readouterr()
    line = refused("animate", "digit.png", "--fit", "pad", *weights)
    assert "digit.png has 28x28 pixels (height x width), which don't fit into 16x16; choose --fit scale" in line


def test_a_mask_is_made_to_fit_with_its_clip(run, refused, capsys, weights):
    from PIL import Image

    picture = np.zeros((32, 64), np.uint8)
    picture[8:24, 30:34] = 255
    Image.fromarray(picture).save("wide.png")
    area = np.zeros((32, 64, 4), np.uint8)
    area[:, 32:, 3] = 255
    Image.fromarray(area).save("half.png")
    Image.fromarray(0 * picture).save("black.png")
    films = [Image.fromarray(np.roll(picture, step, axis=1)) for step in range(4)]
    films[0].save("wide.gif", save_all=True, append_images=films[1:])
    assert "has 32x64 pixels" in refused("inpaint", "wide.gif", "--mask", "half.png", *weights)
    command = ["inpaint", "wide.gif", *weights, "--fit", "crop", "--mask"]
    assert run(*command, "black.png") == 2
    assert "the mask black.png is black everywhere, so there is nothing to draw" in capsys.readouterr().err
    assert run("inpaint", "wide.gif", "--mask", "half.png", "--fit", "crop", *weights, "--out", "new.gif") == 0
    assert run("animate", "wide.gif", "--fit", "crop", *weights, "--out", "same.gif") == 0
    np.testing.assert_array_equal(pixels("new.gif")[0, :, :8], pixels("same.gif")[0, :, :8])
    assert (pixels("new.gif")[0, :, 8:] != pixels("same.gif")[0, :, 8:]).any()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["keyframes", "--at", 9, "in.gif"], "a time must be a whole number from 0 to 3, not 9"),
        (["edit", "in.gif", "a 3 moving up", "--level", 2], "a number above 0 and up to 1"),
        (["inpaint", "in.gif", "--from", 3, "--to", 1], "no frames 3 to 1"),
        (["inpaint", "in.gif", "--to", 4], "no frames 0 to 4 in a clip of 4"),
        (["inpaint", "in.gif", "--mask", "wide.png"], "has 16x20 pixels (height x width) and the clip 16x16; give"),
        (["animate", "wide.png"], "has 16x20 pixels (height x width), and these weights draw 16x16"),
        (["animate", "in.gif", "a dog moving up"], "'dog' is no digit"),
        (["animate", "in.gif", "--frames", 10**6], "no clip of more than 262,144 can be read again"),
        (["extend", "in.gif", "--frames", 10**6], "no clip of more than 262,144 can be read again"),
        (["animate", "damaged.png"], "damaged.png can't be read"),
    ],
)
def test_files_and_times_that_do_not_fit(refused, monkeypatch, trained, clip_file, arguments, expected):
    from PIL import Image

    monkeypatch.setattr(machine, "available_memory", lambda: 4e9)  # whatever this machine has
    Image.fromarray(np.zeros((16, 20), np.uint8)).save("wide.png")
    Path("damaged.png").write_bytes(b"not a picture")
    assert expected in refused(*arguments, "--weights", trained / "model.safetensors")
