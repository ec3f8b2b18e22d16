"""`minivdit demo`: train, draw and judge in one command, on any machine, with nothing to download."""

import shlex
import time
from pathlib import Path

from .groups import MINUTES, SEED, add_device, prepare, tell_of_slow_products
from .options import output_folder, seed, whole

ENOUGH = 5  # minutes of training, in which digits become legible on 2 cores
TOO_LITTLE = (
    "Expect grey squares instead of digits, and figures near chance: so short a training teaches next to nothing. "
    "It shows that everything runs."
)
USUAL = "Expect digits that can be read in most frames and go the right way, but change a little on their way."


def add_demo(commands):
    text = """Train a small model and let it draw, in under 10 minutes.

    The model is trained on built-in digits. It draws clips, which are judged beside real ones. Nothing is downloaded.
    If the demo is stopped, give the same command again: it goes on.

    examples:
      minivdit demo
      minivdit demo --minutes 20 --out longer
      minivdit demo --preset tiny --minutes 0.1
    """
    parser = commands.add(demo, text)
    parser.add("--out", output_folder, "folder for everything that it makes", "demo")
    parser.add("--minutes", MINUTES, "minutes of training; drawing takes some more", 8)
    parser.add("--preset", str, "which preset to train", "quick", metavar="PRESET")
    parser.add("--prompts", whole(2), "how many clips to draw and judge", 64)
    parser.add("--seed", seed, SEED, 0)
    add_device(parser)


def demo(options):
    prepare(options)
    tell_of_slow_products()
    from ...base.locking import locked

    with locked(options.out):
        began, out = time.perf_counter(), Path(options.out)
        preset = train_small(options, out)
        draw_and_judge(options, out, preset)
        print(f"3. Done in {(time.perf_counter() - began) / 60:.1f} minutes. Open")
        say_where(out)


def train_small(options, out):
    """Train, or go on where a demo before was stopped; returns the preset."""
    from ...training import presets
    from ..pipeline.forecast import predict
    from ..pipeline.train import train_model

    preset = presets.override(presets.get(options.preset), ["data.digits=strokes"])
    print("1. What will be trained, from nothing, on digits drawn by a built-in pen")
    print(predict(preset, options.minutes))
    print(f"   {TOO_LITTLE if preset.name == 'tiny' or options.minutes < ENOUGH else USUAL}", flush=True)
    train_model(preset, out / "run", seed=options.seed, minutes=options.minutes, previews=4)
    return preset


def draw_and_judge(options, out, preset):
    """Draw clips with the trained weights, judge them, and write pictures, figures and a page."""
    from ...base.files import write_file
    from ...generation import TextToVideo
    from ...training.journal import lines_with_loss
    from .. import display
    from ..evaluation import MEASURES, judge_model, shares
    from ..explorer import explore

    print(f"2. Drawing {options.prompts} clips from captions, and judging them beside real ones", flush=True)
    model, seed = TextToVideo.load(out / "run" / "model.safetensors"), options.seed + 1  # as `minivdit sample` reads it
    steps, minutes = model.notes["steps"], model.notes["minutes"]
    report, clips, real, captions = judge_model(model, options.prompts, seed=seed)
    figures, shown = shares(report), slice(0, 8)
    display.write_grid(out / "clips.gif", real[shown], clips[shown], captions=captions[shown], columns=4)
    display.write_summary(
        out / "summary.png",
        losses=lines_with_loss(out / "run" / "transformer.jsonl"),  # none, if it was lost
        metrics=figures,
        real=real,
        generated=clips,
        captions=captions,
        title=f"{preset.name}: {steps} steps in {minutes:.1f} minutes, seed {options.seed}",
    )
    write_file(out / "report.json", report.to_json())
    explore(captions[0], [model], seed=seed).save(out / "explorer.html")
    print(f"   {'':14}{'drawn':>8}{'real clips':>12}{'chance':>8}")
    for name, value, ceiling, floor in figures:
        print(f"   {name:14}{value:8.2f}{ceiling:12.2f}{floor:8.2f}   {MEASURES[name].meaning}")
    _, value, ceiling, floor = figures[0]
    if value < (ceiling + floor) / 2:
        print(f"   {steps} steps are too few to learn digits. Legible ones take about 8 minutes: minivdit demo")
    print("   The nearer the first column is to the second, the better; at the third it knows nothing.")


def say_where(out):
    """What was made, and what to do next."""
    print(f"   {out / 'clips.gif'}      in each pair left a real clip, right what was drawn from the caption beneath")
    print(f"   {out / 'summary.png'}    how the loss fell, the same figures as bars, and frames")
    print(f"   {out / 'explorer.html'}  in a browser: click a patch, see where it looks")
    print(f"   {out / 'run' / 'previews'}    the same captions, drawn ever better during training")
    print("Next:")
    weights = shlex.quote(str(out / "run" / "model.safetensors"))
    print(f'   minivdit sample "a 3 moving up and left" --count 8 --weights {weights}')
    print('   minivdit sample "a 7 moving up and left"     draws with the weights that come with minivdit')
    print("   minivdit train small                         trains for longer; 'minivdit train' lists the presets")
