"""`minivdit demo`: the whole way in one command, on any machine, with nothing to download.

Train the quick preset on the built-in digits; let it draw; put what it drew beside real clips; say how good it is.
"""

import shlex
import time
from pathlib import Path

from ...base.files import atomic_write
from ...base.locking import locked
from ...generation import TextToVideo
from ...training import presets
from ...training.journal import lines_with_loss
from .. import display
from ..evaluation import METRICS, judge_model, shares
from ..explorer import explore
from ..pipeline.forecast import predict
from ..pipeline.train import train_model

ENOUGH = 5  # minutes of training, in which digits become legible on 2 cores
TOO_LITTLE = (
    "Expect grey squares instead of digits, and figures near chance: so short a training teaches next to nothing. "
    "It shows that everything runs."
)
USUAL = "Expect digits that can be read in most frames and go the right way, but change a little on their way."


def demo(out="demo", minutes=8.0, preset="quick", prompts=64, seed=0):
    """Run the demo and leave everything it made in the folder `out`. Run again, it goes on where it stopped.

    minutes: for training; drawing and judging come on top. prompts: how many clips to draw and judge.
    """
    with locked(out):
        _demo(Path(out), minutes, preset, prompts, seed)


def _demo(out, minutes, preset, prompts, seed):
    started = time.perf_counter()
    preset = presets.override(presets.get(preset), ["data.digits=strokes"])
    print("1. What will be trained, from nothing, on digits drawn by a built-in pen")
    print(predict(preset, minutes))
    print(f"   {TOO_LITTLE if preset.name == 'tiny' or minutes < ENOUGH else USUAL}", flush=True)
    train_model(preset, out / "run", seed=seed, minutes=minutes, previews=4)

    print(f"2. Drawing {prompts} clips from captions, and judging them beside real ones", flush=True)
    weights = out / "run" / "model.safetensors"  # read again, as `minivdit sample` would
    model = TextToVideo.load(weights)
    report, clips, real, captions = judge_model(model, prompts, seed=seed + 1)
    figures, shown = shares(report), slice(0, 8)
    display.write_grid(out / "clips.gif", real[shown], clips[shown], captions=captions[shown], columns=4)
    losses = lines_with_loss(out / "run" / "transformer.jsonl")  # none, if it was lost
    display.write_summary(
        out / "summary.png",
        losses=losses,
        metrics=figures,
        real=real,
        generated=clips,
        captions=captions,
        title=f"{preset.name}: {model.notes['steps']} steps in {model.notes['minutes']:.1f} minutes, seed {seed}",
    )
    with atomic_write(out / "report.json") as temporary:
        temporary.write_text(report.to_json())
    explore(captions[0], [model], seed=seed + 1).save(out / "explorer.html")
    print(f"   {'':14}{'drawn':>8}{'real clips':>12}{'chance':>8}")
    for name, value, ceiling, floor in figures:
        print(f"   {name:14}{value:8.2f}{ceiling:12.2f}{floor:8.2f}   {METRICS[name][1]}")
    _, value, ceiling, floor = figures[0]
    if value < (ceiling + floor) / 2:
        steps = model.notes["steps"]
        print(f"   {steps} steps are too few to learn digits. Legible ones take about 8 minutes: minivdit demo")
    print("   The nearer the first column is to the second, the better; at the third it knows nothing.")

    print(f"3. Done in {(time.perf_counter() - started) / 60:.1f} minutes. Look at")
    print(f"   {out / 'clips.gif'}      in each pair left a real clip, right what was drawn from the caption beneath")
    print(f"   {out / 'summary.png'}    how the loss fell, the same figures as bars, and frames")
    print(f"   {out / 'explorer.html'}  in a browser: click a patch, see where it looks")
    print(f"   {out / 'run' / 'previews'}    the same captions, drawn ever better during training")
    print("Next:")
    print(f'   minivdit sample "a 3 moving up and left" --count 8 --weights {shlex.quote(str(weights))}')
    print('   minivdit sample "a 7 moving up and left"     draws with the weights that come with minivdit')
    print("   minivdit train small                         trains for longer; 'minivdit train' lists the presets")
