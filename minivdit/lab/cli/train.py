"""`minivdit train`: a preset, with any setting changed, from nothing or from trained weights."""

import shlex
from operator import attrgetter
from pathlib import Path

from ...base.errors import InputError
from ...base.ranks import here
from .data import counted, why_no_words
from .groups import (
    MINUTES,
    SEED,
    add_device,
    add_digits,
    add_set,
    changes,
    prepare,
    require_data,
    tell_of_slow_products,
)
from .options import output_folder, path, require_effect, seed, whole


def add_train(commands):
    text = """Train a preset, or go on with a training.

    First the autoencoder is trained, then the text encoder, then the transformer. Some presets then fine-tune it on
    other clip shapes. With --start, only the transformer is trained: it is fine-tuned from trained weights.

    The folder --out gets checkpoints, logs, previews and at the end model.safetensors. If a training was stopped,
    by Ctrl-C or otherwise, give the same command again: it resumes from the last checkpoint.

    'mpiexec -n 2 minivdit train full' has two processes share the work, on one machine or on several. The result is the
    same, bit for bit.

    examples:
      minivdit train                   list the presets
      minivdit train quick --show      show its settings, as --set takes them
      minivdit train quick             train it in the folder runs/quick
      minivdit train cogvideox         a recipe: see minivdit recipes
      minivdit train own --clips FOLDER      your own clips: see minivdit data
      minivdit train own --clips FOLDER --grey --set data.fit=scale
      minivdit train small --digits mnist --data ~/sets
      minivdit train quick --set transformer.patterns=frame,time --out other
      minivdit train full --start joint --steps 2000 --seed 1 --out runs/longer
      minivdit train full --minutes 30 --set training.batch=8
    """
    parser = commands.add(train, text)
    parser.add(
        "preset", str, "what to train: a preset or a recipe (default: list the presets)", nargs="?", metavar="PRESET"
    )
    parser.add("--show", bool, "print all settings and stop")
    folder = "folder of clips to learn from, for the preset own; 'minivdit data FOLDER' shows them (default: none)"
    parser.add("--clips", path, folder, metavar="FOLDER")
    parser.add("--grey", bool, "learn these clips in grey, not in colour")
    parser.add("--skip", bool, "leave out files and lines of the folder that can't be used, and go on")
    add_set(parser)
    parser.add("--out", output_folder, "folder of the run (default: runs/PRESET)")
    weights = "fine-tune these weights, a file or a name such as joint (default: begin with new ones)"
    parser.add("--start", path, weights)
    parser.add("--resume", bool, "fail unless --out holds a run to resume")
    parser.add("--steps", whole(1, 10**9), "training steps of the transformer (default: the preset's)")
    parser.add("--minutes", MINUTES, "train for about this many minutes (default: until all steps are done)")
    parser.add("--seed", seed, SEED, 0)
    add_digits(parser, None, "the preset's")
    add_device(parser)
    parser.set_defaults(on_ranks=True)


def train(options):
    from ...training import presets, recipes

    if options.preset is None:
        if options.clips is not None:
            raise InputError(f"which preset? Clips of your own are for this one: {on_clips(options.clips)}")
        require_effect(options, "without the name of a preset", *options.given)
        return list_presets()
    try:
        own = isinstance(recipes.get(options.preset), presets.OwnPreset)
    except InputError as error:
        if not Path(options.preset).is_dir():
            raise
        raise InputError(f"{error}; to learn from the folder of this name: {on_clips(options.preset)}") from None
    grey = dict.fromkeys(("autoencoder.image_channels", "data.channels"), 1 if options.grey else None)
    if own:
        require_effect(options, f"with the preset {options.preset}", "data", "digits")
    else:
        require_effect(options, "with a preset of digits; the preset own takes it", "clips", "grey", "skip")
    changed = changes(options, {"training.steps": options.steps, "data.digits": options.digits, **grey})
    preset = presets.override(recipes.get(options.preset), changed)
    if not own:
        require_data(options, preset.data.digits)
    if options.show:
        shown = {"preset", "show", "set", "steps", "digits", "grey"}
        require_effect(options, "with --show", *options.given - shown)
        return show_settings(preset)
    data = clips_of(options, preset) if own else options.data
    out = Path(options.out or f"runs/{preset.name}")
    begun = [out / f"{stage}.safetensors" for stage in ("autoencoder", "transformer")]
    if options.resume and here().first and not any(path.exists() for path in begun):
        raise InputError(f"there is no run to go on with in {out}; name its folder with --out, or leave --resume out")
    prepare(options)
    tell_of_slow_products()
    from ...generation import TextToVideo
    from ..pipeline import train as pipeline
    from ..pipeline.forecast import predict

    finetuned = options.start is not None
    pipeline.require_effects(preset, changed, finetuned, options.minutes is not None)
    weights = TextToVideo.load(options.start) if finetuned else None
    print(predict(preset, options.minutes, pipeline.stages_of(preset, finetuned), data), flush=True)
    how = {"seed": options.seed, "data": data, "minutes": options.minutes}
    model = pipeline.train_model(preset, out, start=weights, **how)
    if not here().first:
        return
    written = out / "model.safetensors"
    print(f"{written}: {written.stat().st_size / 2**20:.1f} MB ({model.fingerprint()})")
    caption = next(filter(None, data.captions), "") if own else "a 3 moving right"
    weights = f"--weights {shlex.quote(str(written))}"
    print(f'next: minivdit sample "{caption}" {weights}')
    if not own or held_out_of(data) > 1:
        print(f"      minivdit evaluate {weights}{f' --clips {shlex.quote(str(options.clips))}' if own else ''}")


def on_clips(folder):
    """The command that learns from a folder of clips."""
    return f"minivdit train own --clips {shlex.quote(str(folder))}"


def held_out_of(folder):
    """How many clips of a ClipFolder training doesn't see."""
    return sum(map(folder.is_held_out, folder.entries))


def clips_of(options, preset):
    """The ClipFolder of --clips; what is odd about it, and what it lacks, is said in a line each."""
    from ...base.console import note
    from ...data import open_folder

    if options.clips is None:
        raise InputError(f"the preset {preset.name} learns from a folder of clips; name it with --clips FOLDER")
    folder = open_folder(options.clips, preset.data, skip=options.skip)
    for text in [*folder.notes, *(f"left out: {problem}" for problem in folder.problems)]:
        note(text)
    held_out, batch = held_out_of(folder), preset.training.batch
    count = len(folder.clips("train").names)
    print(f"{folder.folder}: {counted(count)} to learn from, {held_out} held out; {len(folder.words)} words")
    if not folder.words:
        note(f"{why_no_words(folder)}, so the network learns to draw without one, and guidance has nothing to follow")
    if count < batch:
        note(
            f"a batch of {batch} clips is more than there are: some come several times in each (--set training.batch=N)"
        )
    if held_out < 2 and preset.data.held_out:
        told = "1 clip is" if held_out else "no clip is"
        cure = f"add clips, or hold out more of them (--set data.held_out={min(0.9, 3 * preset.data.held_out):g})"
        note(f"{told} held out, and 'minivdit evaluate' needs 2, to see what is only learnt by heart; {cure}")
    return folder


def list_presets():
    from ...training import presets

    for preset in presets.PRESETS.values():
        print(f"{preset.name:8} {preset.summary}")
    print("their settings: minivdit train PRESET --show; what large systems add: minivdit recipes")


def show_settings(preset):
    """All settings, as --set takes them."""
    from ...training import presets

    for name in presets.fields(preset):
        value = attrgetter(name)(preset)
        print(f"{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}")
