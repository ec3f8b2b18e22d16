"""What comes out stays what it was: short trainings and drawn clips, compared with those kept in same_bits.json.

On the kind of machine on which they were kept (NumPy's version and the kernels of its BLAS) every bit is compared,
elsewhere a few numbers of them, up to rounding. Where a change of results is meant, write the file anew and say why:
`python tests/test_same_bits.py`.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from minivdit.base import backend
from minivdit.generation import TextToVideo
from minivdit.lab.pipeline import train as pipeline
from minivdit.training import checkpoint, presets

pytestmark = pytest.mark.usefixtures("plain_numpy")  # compiled ones round otherwise, with another Numba perhaps again

KEPT = Path(__file__).with_name("same_bits.json")
FULL = ("autoencoder_training.steps=5", "text_training.steps=5", "training.steps=5", "finetuning.steps=5")
TRAININGS = {"tiny": ("tiny", ()), "full": ("full", ("data.digits=strokes", *FULL))}
PROMPTS = ("a 3 moving right", "an 8 moving quickly up and left", "the digit five drifts slowly down")
STAGES = [f"{stage}.safetensors" for stage in ("autoencoder", "text", "transformer", "finetuning")]
WEIGHTS = ("joint", "framewise", "perframe", "small", "colour")


def machine():
    """What the bits depend on: NumPy, and the kernels that its BLAS takes."""
    kernels = [info["architecture"] for info in threadpool_info() if info["user_api"] == "blas"]
    return f"NumPy {np.__version__}, {' '.join(sorted(set(kernels)))}"


def digest(arrays):
    """All bits in 16 letters, and a few numbers: mean, deviation and last entry of up to 40 arrays."""
    whole = hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]
    few = arrays[:: max(1, len(arrays) // 40)]
    return {"bits": whole, "numbers": [[float(f"{v:.6g}") for v in (a.mean(), a.std(), a.flat[-1])] for a in few]}


def train(name, folder):
    preset, changes = TRAININGS[name]
    pipeline.train_model(presets.override(presets.get(preset), changes), folder, previews=0, progress=False)
    stages = [checkpoint.load_checkpoint(path)[0] for path in map(Path(folder).joinpath, STAGES) if path.exists()]
    return digest([groups["weights"][name] for groups in stages for name in sorted(groups["weights"])])


def draw(name):
    model = TextToVideo.load(name)
    return digest([model.generate(prompt, seed=seed, steps=3) for seed, prompt in enumerate(PROMPTS)])


def require_same(found, kept):
    if machine() == kept["machine"]:
        assert found["bits"] == kept["results"]["bits"]
    np.testing.assert_allclose(found["numbers"], kept["results"]["numbers"], rtol=2e-2, atol=2e-3)


def kept(kind, name):
    told = json.loads(KEPT.read_text())
    return {"machine": told["machine"], "results": told[kind][name]}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_short_training_gives_the_weights_that_it_gave(name, tmp_path):
    require_same(train(name, tmp_path), kept("trainings", name))


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_ship_draw_the_clips_that_they_drew(name):
    require_same(draw(name), kept("clips", name))


@pytest.mark.parametrize("entry", range(3))
def test_another_result_is_told(entry):
    """Of a clip a pixel, of numbers any of them."""
    clip = np.random.default_rng(0).random((1, 2, 4, 4, 1), dtype=np.float32)
    told = {"machine": machine(), "results": digest([clip])}
    require_same(digest([clip]), told)
    spoilt = clip.copy()
    spoilt[0, 0, 0, entry] = np.nextafter(spoilt[0, 0, 0, entry], np.float32(2))
    with pytest.raises(AssertionError):
        require_same(digest([spoilt]), told)
    told["machine"], told["results"]["numbers"][0][entry] = "another", told["results"]["numbers"][0][entry] + 0.1
    with pytest.raises(AssertionError):
        require_same(digest([clip]), told)


if __name__ == "__main__":
    import tempfile

    backend.use("cpu", kernels=False)
    results = {"machine": machine(), "trainings": {}, "clips": {name: draw(name) for name in WEIGHTS}}
    for name in TRAININGS:
        with tempfile.TemporaryDirectory() as folder:
            results["trainings"][name] = train(name, folder)
    KEPT.write_text(json.dumps(results, indent=1) + "\n")
    sys.stdout.write(f"{KEPT.name}: {results['machine']}\n")
