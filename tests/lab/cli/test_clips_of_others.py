"""Clips that nobody made for this project: those that Gradio brings along, where it is installed.

They are a film, once more in another format and once more without sound, and two GIFs.
"""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from minivdit.data import ClipSettings, open_folder
from minivdit.generation import TextToVideo

av = pytest.importorskip("av", reason="PyAV is missing: pip install 'minivdit[mp4]'")
FILMS = ("media_assets/videos/b.mp4", "media_assets/videos/b.avi", "media_assets/videos/muted_b.mp4")
GIFS = ("media_assets/images/screenshot.gif", "test_data/rectangles.gif")
RATE = 8
SMALL = """
    data.size=16,16 data.num_frames=4 data.fit=scale data.held_out=0.6 autoencoder.channels=8,8
    autoencoder.latent_channels=4 autoencoder_training.steps=3 autoencoder_training.batch=8
    transformer.latent_channels=4 transformer.width=32 transformer.depth=2 transformer.heads=2 transformer.text_depth=1
    training.batch=4 training.steps=3 sampling.steps=2
"""


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with copies of them, and a caption for each."""
    gradio = importlib.util.find_spec("gradio")
    if gradio is None:
        pytest.skip("Gradio is missing: pip install 'minivdit[studio]'")
    found = [Path(gradio.origin).parent / name for name in (*FILMS, *GIFS)]
    if missing := [path.name for path in found if not path.exists()]:
        pytest.skip(f"this Gradio has no {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("clips of others")
    with open(folder / "metadata.jsonl", "w") as lines:
        for path in found:
            shutil.copy(path, folder)
            lines.write(json.dumps({"file_name": path.name, "text": f"a clip called {path.stem}"}) + "\n")
    return folder


def of_film(path):
    """(seconds, the first picture), as PyAV has them."""
    with av.open(str(path)) as film:
        pictures = [frame.to_image() if number == 0 else None for number, frame in enumerate(film.decode(video=0))]
        return len(pictures) / float(film.streams.video[0].average_rate), pictures[0]


def of_gif(path):
    """The same of a GIF, as Pillow has them."""
    with Image.open(path) as gif:
        first = gif.convert("RGB")
        return sum(frame.info["duration"] for frame in ImageSequence.Iterator(gif)) / 1000, first


def test_they_are_read_as_their_own_libraries_read_them(clips):
    """As many frames as there is time for, and the first of them is the film's first."""
    folder = open_folder(clips, ClipSettings((24, 32), fit="crop", frames_per_second=RATE))
    assert [entry.name for entry in folder.entries] == sorted(Path(name).name for name in (*FILMS, *GIFS))
    assert not folder.problems and not folder.notes
    frames = {entry.name: folder.cache.frames(entry.name) for entry in folder.entries}
    for name, found in frames.items():
        seconds, first = (of_gif if name.endswith(".gif") else of_film)(clips / name)
        assert abs(len(found) - RATE * seconds) <= 1, name
        expected = np.asarray(first.resize(found.shape[2:0:-1], Image.Resampling.BILINEAR), float)
        assert abs(found[0] - expected).mean() < 1, name
        assert len(found) > 4 and np.ptp(found.astype(float), axis=0).max() > 15, name  # it moves
    one, other, another = (frames[Path(name).name].astype(float) for name in FILMS)  # the same film, thrice
    assert one.shape == other.shape == another.shape
    assert max(abs(one - other).mean(), abs(one - another).mean()) < 1 < abs(one - one[::-1]).mean()


def test_a_network_learns_from_them_and_is_judged(run, capsys, clips):
    """From the preview's last line to the evaluation, in a folder that has spaces in its name."""
    assert run("data", clips, "--size", 16, "--fit", "scale", "--frames", 4, "--held-out", 0.6) == 0
    assert "5 clips, " in capsys.readouterr().out and Path("data-preview/clips.gif").exists()
    settings = [word for setting in SMALL.split() for word in ("--set", setting)]
    assert run("train", "own", "--clips", clips, "--out", "run", *settings) == 0
    model = TextToVideo.load("run")
    assert model.tokenizer.words and {"a", "clip", "called"} <= set(model.tokenizer.words)
    drawn = model.generate("a clip called b")
    assert drawn.shape == (1, 4, 16, 16, 3) and np.isfinite(drawn).all()
    capsys.readouterr()
    assert run("evaluate", "--weights", "run", "--clips", clips, "--prompts", 2) == 0
    assert "nearest" in capsys.readouterr().out
