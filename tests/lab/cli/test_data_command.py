"""`minivdit data`: the training clips shown, those of digits and those of a folder."""

import importlib.util
import json
import os

import numpy as np
import pytest

from minivdit.data import parse
from minivdit.data.reading import CLIPS, open_clip


def test_data_preview_shows_the_classic_clips_too(run, capsys, tmp_path):
    import imageio.v3 as imageio

    assert run("data", "--size", "24x40", "--frames", 5, "--count", 2, "--digits", "strokes", "--digit-size", 12) == 0
    assert "digits: strokes; captioned clips: 5 frames of 24x40" in capsys.readouterr().out
    preview = tmp_path / "data-preview"
    assert sorted(path.name for path in preview.iterdir()) == ["captioned.gif", "captioned.png", "classic.gif"]
    classic = imageio.imread(preview / "classic.gif", plugin="pillow", mode="L")
    assert len(classic) == 20 and np.ptp(classic) > 200


def test_digits_are_shown_in_colour(run, tmp_path, refused):
    assert run("data", "--size", "24x40", "--frames", 3, "--count", 4, "--digits", "strokes", "--colors") == 0
    clips = [open_clip(f"{tmp_path / 'data-preview' / 'captioned.gif'}#{number}") for number in range(4)]
    assert all(clip.video.shape == (3, 24, 40, 3) for clip in clips) and any(clip.coloured for clip in clips)
    assert all(motion.colour in clip.caption for clip in clips for motion in parse(clip.caption))
    assert "--colors has no effect" in refused("data", str(tmp_path), "--colors")


@pytest.fixture
def clips(tmp_path):
    """A folder of two clips with captions, one without, and three things that can't be used."""
    from minivdit.lab.display import write_clip

    folder, generator = tmp_path / "clips", np.random.default_rng(0)
    for name, frames, channels in (("a.gif", 12, 3), ("b.gif", 6, 1), ("d.gif", 8, 3)):
        write_clip(folder / name, generator.integers(0, 256, (frames, 24, 32, channels), dtype=np.uint8))
    (folder / "broken.mp4.gif").write_bytes(b"GIF89a")
    lines = [("a.gif", "A red ball 🔴 falls"), ("b.gif", "a ball: 3 times"), ("gone.gif", "x")]
    lines = [json.dumps({"file_name": name, "text": text}) for name, text in lines]
    (folder / "metadata.jsonl").write_text("\n".join([*lines, "{"]))
    (folder / "notes.md").write_text("mine")
    return folder


def test_a_folder_is_told_and_shown(run, capsys, clips, tmp_path):
    import imageio.v3 as imageio

    assert run("data", "clips", "--size", "16x24", "--frames", 8, "--skip") == 0
    printed = capsys.readouterr().out.splitlines()
    (broken,) = [line for line in printed if line.startswith("can't be used: broken.mp4.gif can't be read")]
    assert printed == [
        "clips: 3 clips, 3 for training and 0 held out",
        "frames, 8 a second: 12 (1), 6 (1), 8 (1); a network sees 8",
        "shorter (the last frame is held): b.gif",
        "height x width: 24x32 (3); a network sees 16x24 in colour",
        "7 words, 4 to 5 in a caption: a (2), ball (2), 3 (1), falls (1), red (1), times (1), 🔴 (1)",
        "in one caption only, which is too few to learn from: 3, falls, red, times, 🔴",
        "without a caption: d.gif",
        f"note: notes.md is no clip, and is left aside; clips are {', '.join(CLIPS)}",
        "can't be used: metadata.jsonl, line 3, names gone.gif, which isn't there; correct the line or add the clip",
        'can\'t be used: metadata.jsonl, line 4, is no JSON object such as {"file_name": "a.gif", "text": "a ball"}',
        broken,
        "data-preview/clips.gif",
        "data-preview/clips.png",
        "next: minivdit train own --clips clips --set data.size=16,24 --skip",
    ]
    picture = imageio.imread(tmp_path / "data-preview" / "clips.gif", plugin="pillow", mode="RGB")
    assert len(picture) == 8 and np.ptp(picture.astype(int), axis=-1).max() > 100


def test_a_folder_with_something_broken_is_told_and_not_shown(run, capsys, clips, tmp_path):
    assert run("data", "clips", "--grey", "--rare", 2) == 2
    printed = capsys.readouterr()
    assert printed.err == (
        "minivdit: 3 of the files and lines named above can't be used; correct them, or go on without them (--skip)\n"
    )
    assert printed.out.count("can't be used: ") == 3 and "a network sees 32x32 in grey" in printed.out
    assert "left out, since fewer than 2 captions of training have them: " in printed.out
    assert not (tmp_path / "data-preview").exists()
    run("data", "clips", "--held-out", 0.24)
    assert "left out, since no caption of training has them: " in capsys.readouterr().out
    run("data", "clips", "--rare", 9)
    assert "\nall words of the captions are left out; a network learns to draw without one\n" in capsys.readouterr().out


def test_without_pyav_a_film_is_one_file_that_cannot_be_read(run, capsys, clips, monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "av" else find(name, *more))
    (clips / "walk.webm").write_bytes(b"no film")
    line = "can't be used: reading walk.webm needs PyAV: pip install 'minivdit[mp4]', or give a .gif"
    assert run("data", "clips") == 2 and line in capsys.readouterr().out.splitlines()
    assert run("data", "clips", "--skip") == 0
    printed = capsys.readouterr().out.splitlines()
    assert line in printed and printed[0] == "clips: 3 clips, 3 for training and 0 held out"
    assert (tmp_path / "data-preview" / "clips.gif").exists()


@pytest.mark.skipif(os.name == "nt", reason="no name has two lines there")
def test_what_is_said_of_a_file_is_one_line_whatever_its_name(run, capsys, clips):
    (clips / "two\ncan't be used: lines.gif").write_bytes(b"")
    assert run("data", "clips") == 2
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "lines.gif" in line]
    assert line.startswith("can't be used: two\\ncan't be used: lines.gif can't be read")


def test_what_is_no_folder_of_clips_is_refused(refused, tmp_path):
    assert "there is no folder 'downlaod'; give one in which clips lie; did you mean 'download'?" in refused(
        "data", "downlaod"
    )
    (tmp_path / "empty").mkdir()
    assert "there are no clips in" in refused("data", "empty")
    assert "--digits has no effect for clips of a folder" in refused("data", "empty", "--digits", "strokes")
    assert "--fit has no effect without a folder of clips" in refused("data", "--fit", "scale")
    assert "'-3' is not a number above 0" in refused("data", "empty", "--rate=-3")
