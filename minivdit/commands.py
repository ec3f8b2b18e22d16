"""What each command does: a short function from the parsed options to a call of the package.

Imports stand inside the functions, so that `minivdit --help` needs neither NumPy nor matplotlib.
"""

import sys
import time
from operator import attrgetter
from pathlib import Path

from .errors import InputError


def demo(options):
    """Train a small model on built-in digits, let it draw, and show how good it is: the whole way, in minutes.

    Nothing is downloaded. Stopped, the same command goes on.
    """
    prepare(options)
    from .demo import demo

    demo(options.out, options.minutes, options.preset, options.prompts, options.seed)


def sample(options):
    """Draw clips from captions and write them as a GIF.

    A caption may change on the way: "a 3 moving right, then up".
    """
    model = ready(options)
    prompts = [prompt for prompt in options.prompt for _ in range(options.count)]
    started = time.perf_counter()
    video = model.generate(prompts, num_frames=options.frames, size=options.size, **drawing(options))
    show(options, model, video, prompts, started)
    warn_of_strange_sentences(options.prompt, model)
    warn_of_weak_weights(model)


def ready(options):
    """The model, once it is sure that --out can be written."""
    from . import display

    if Path(options.out).suffix.lower() != ".png":
        display.check_writable(options.out)
    prepare(options)
    from .generation import TextToVideo

    return TextToVideo.load(options.weights)


def drawing(options):
    """The options that all drawing takes, as TextToVideo.draw names them."""
    return {
        "seed": options.seed,
        "steps": options.steps,
        "guidance_scale": options.guidance,
        "sampler": options.sampler,
    }


def show(options, model, video, prompts, started):
    """Write clips to --out and say what they are."""
    from . import display

    if Path(options.out).suffix.lower() == ".png":
        display.write_strips(options.out, video, prompts)
    elif options.plain:
        if len(video) > 1:
            raise InputError(f"--plain writes one clip, and these are {len(video)}; draw them one by one")
        display.write_clip(options.out, video[0], options.fps)
    else:
        display.write_grid(options.out, video, captions=prompts, frames_per_second=options.fps)
    seconds = time.perf_counter() - started
    frames, height, width = video.shape[1:4]
    print(f"{options.out}: {len(video)} x {frames} frames of {height}x{width}, seed {options.seed}, {seconds:.1f} s")
    print(f"weights {model.name} ({model.fingerprint()})")


def ability(options, draw):
    """What the commands that begin with files share: draw(model, how) gives the clip that is written."""
    model = ready(options)
    started = time.perf_counter()
    video = draw(model, drawing(options))
    show(options, model, video, [options.prompt], started)
    warn_of_strange_sentences([options.prompt], model)
    return model, video


def animate(options):
    """Draw a clip that begins with a picture (of a clip, its first frame)."""
    from .display import read_clip

    image = read_clip(options.image)[0]
    ability(options, lambda model, how: model.animate(image, options.prompt, options.frames, **how))


def keyframes(options):
    """Draw a clip in which pictures stand at some times; the first frame has the time 0."""
    from .display import read_clip

    images = {whole_time(time): read_clip(path)[0] for time, path in options.at}
    ability(options, lambda model, how: model.keyframes(images, options.prompt, options.frames, **how))


def whole_time(text):
    if not text.isdecimal():
        raise InputError(f"{text!r} is not a time; --at takes the number of a frame from 0 upwards and a file")
    return int(text)


def extend(options):
    """Draw what follows a clip, or with --backwards what came before it; any number of frames, in turns.

    It says how far the digit drifts from what it was.
    """
    from .data import parse
    from .display import read_clip

    clip = read_clip(options.clip)

    def draw(model, how):
        return model.extend(clip, options.prompt, options.frames, backwards=options.backwards, **how)

    model, video = ability(options, draw)
    from .evaluation import drift

    try:
        digits = len(parse(options.prompt))
    except InputError:
        digits = 1
    video = video[:, ::-1] if options.backwards else video
    values = drift(video, model.settings.digit_size, digits, max(1, model.settings.num_frames // 2))
    for name, stretches in values.items():
        shares = " ".join(f"{value:.2f}" for value in stretches[0])
        print(f"drift: {name:10} {shares}   (each half a clip's length{', backwards' * options.backwards})")


def interpolate(options):
    """Draw frames between the frames of a clip: with --factor 2 one between any two."""
    from .display import read_clip

    clip = read_clip(options.clip)
    ability(options, lambda model, how: model.interpolate(clip, options.prompt, options.factor, **how))


def connect(options):
    """Draw what leads from one clip to another."""
    from .display import read_clip

    before, after = read_clip(options.before), read_clip(options.after)
    ability(options, lambda model, how: model.connect(before, after, options.prompt, options.frames, **how))


def loop(options):
    """Draw a clip that can be repeated without end, and say how large the jump is at its seam."""
    from .display import read_clip
    from .evaluation import seam

    image = options.image and read_clip(options.image)[0]
    _, video = ability(options, lambda model, how: model.loop(options.prompt, image, options.frames, **how))
    jump, step = (float(values[0]) for values in seam(video))
    print(f"from the last frame to the first pixels change by {jump:.4f}, between frames by {step:.4f} (median)")


def edit(options):
    """Put a clip under noise and draw it from there with another caption.

    A low level keeps more of the clip, a high one follows the caption more.
    """
    from .display import read_clip

    clip = read_clip(options.clip)
    ability(options, lambda model, how: model.edit(clip, options.prompt, options.level, **how))


def inpaint(options):
    """Draw a part of a clip anew: where the picture --mask is bright, in the frames --from to --to."""
    import numpy as np

    from .display import read_clip

    clip = read_clip(options.clip)
    mask = np.zeros(clip.shape[:3], bool)
    area = read_clip(options.mask)[0, ..., 0] > 0.5 if options.mask else np.ones(clip.shape[1:3], bool)
    if area.shape != clip.shape[1:3]:
        raise InputError(f"the mask has {area.shape} pixels and the clip {clip.shape[1:3]}; give equal sizes")
    last = len(clip) - 1 if options.to is None else options.to
    if not options.start <= last < len(clip):
        raise InputError(f"there are no frames {options.start} to {last} in a clip of {len(clip)}, counted from 0")
    mask[options.start : last + 1] = area
    ability(options, lambda model, how: model.inpaint(clip, mask, options.prompt, **how))


def explore(options):
    """Draw a caption's clip, and write one HTML page on which a click on a patch shows where it looked.

    Several weights are shown side by side, each with the attention pattern that it was trained with; --restrict shows
    the first ones in other patterns besides, for which they weren't trained, and says so. The page needs no network.
    """
    if Path(options.out).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"can't write a page to {options.out!r}; choose a name that ends in .html")
    prepare(options)
    from .explorer import explore, load

    restrict = [name.strip() for name in options.restrict.split(",") if name.strip()]
    models = load(options.weights)
    started = time.perf_counter()
    explorer = explore(
        options.prompt,
        models,
        restrict,
        options.moments,
        num_frames=options.frames,
        size=options.size,
        **drawing(options),
    )
    size = explorer.save(options.out)
    names = ", ".join(look.name for look in explorer.looks)
    print(f"{options.out}: {names}; {size / 1e6:.1f} MB, {time.perf_counter() - started:.1f} s; open it in a browser")
    warn_of_strange_sentences([options.prompt], models[0])
    for model in models:
        warn_of_weak_weights(model)


def warn_of_strange_sentences(prompts, model):
    """What training never showed is drawn all the same, but not silently: a word order, a number of digits."""
    from .data.captions import over_time, parse

    trained = model.notes.get("preset", {}).get("data", {}).get("num_digits")
    for prompt in filter(str.strip, prompts):  # the empty caption means: draw anything
        try:
            count = max(len(parse(part)) for part in over_time(prompt))
        except InputError as error:
            print(f"minivdit: note: {error}", file=sys.stderr)
            continue
        if trained and count not in trained:
            print(
                f"minivdit: note: {prompt!r} has {count} digits; these weights were trained on clips of "
                f"{' or '.join(map(str, trained))}",
                file=sys.stderr,
            )


def warn_of_weak_weights(model):
    """Say so when noise is all that can be expected, instead of letting a user look for a fault."""
    right = model.notes.get("metrics", {}).get("digit_frames")
    if right is not None and right < 0.4:
        steps = model.notes["steps"]
        print(
            f"minivdit: note: these weights had {steps} steps of training and draw the right digit in {right:.0%} of "
            "frames; train longer for legible digits",
            file=sys.stderr,
        )


def train(options):
    """Train a preset from nothing: first the autoencoder, then the transformer.

    The folder --out gets checkpoints, logs, previews and at the end model.safetensors. Stopped with Ctrl-C, killed
    or out of power: the same command again goes on from the last checkpoint.
    """
    from .training import presets

    if options.preset is None:
        for preset in presets.PRESETS.values():
            print(f"{preset.name:8} {preset.summary}")
        print("their settings: minivdit train PRESET --show")
        return
    changes = [f"training.steps={options.steps}"] * (options.steps is not None)
    changes += [f"data.digits={options.digits}"] * (options.digits is not None)
    preset = presets.override(presets.get(options.preset), options.set + changes)
    if options.show:
        for name in presets.fields(preset):
            value = attrgetter(name)(preset)
            print(f"{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}")
        return
    out = Path(options.out or f"runs/{preset.name}")
    if options.resume and not (out / "autoencoder.safetensors").exists():
        raise InputError(f"there is no run to go on with in {out}; name its folder with --out, or leave --resume out")
    prepare(options)
    from .pipeline import predict, train_model

    print(predict(preset, options.minutes), flush=True)
    model = train_model(preset, out, seed=options.seed, data=options.data, minutes=options.minutes)
    weights = out / "model.safetensors"
    print(f"{weights}: {weights.stat().st_size / 2**20:.1f} MB ({model.fingerprint()})")
    print(f'next: minivdit sample "a 3 moving right" --weights {weights}')
    print(f"      minivdit evaluate --weights {weights}")


def evaluate(options):
    """Draw clips for random prompts and judge them: right digit, right way, the same digit throughout, real motion.

    Every metric stands beside the same one for real clips (its ceiling) and for real clips spoilt in one way (its
    floors). Prompts have one digit and, if the model was trained on two, then two.
    """
    prepare(options)
    import json

    from .files import atomic_write
    from .generation import TextToVideo
    from .pipeline import judge_model

    model = TextToVideo.load(options.weights)
    trained = model.notes.get("preset", {}).get("data", {}).get("num_digits", [1])
    reports = {"weights": model.fingerprint(), "seed": options.seed, "held_out": options.held_out}
    print(f"weights {model.name} ({model.fingerprint()}), seed {options.seed}")
    for count in [options.per_clip] if options.per_clip else trained:
        report, *_ = judge_model(
            model,
            options.prompts,
            num_digits=count,
            held_out="only" if options.held_out else "include",
            seed=options.seed,
            data=options.data,
            digits=options.digits,
            num_frames=options.frames,
            size=options.size,
            steps=options.steps,
            guidance_scale=options.guidance,
            sampler=options.sampler,
        )
        reports[f"{count} digits"] = json.loads(report.to_json())
        print(f"{count} digit{'s' * (count > 1)} a clip")
        print(report, flush=True)
    if options.out:
        with atomic_write(options.out) as temporary:
            temporary.write_text(json.dumps(reports, indent=2))
        print(options.out)


def card(options):
    """Say what a file of weights is: what it learnt from, by which command, how long, and how good it is.

    Figures come from files that 'minivdit evaluate --out' wrote for the same weights.
    """
    from .files import atomic_write
    from .generation import TextToVideo
    from .model_card import model_card

    text = model_card(TextToVideo.path(options.weights), options.evaluation)
    if not options.out:
        print(text)
        return
    with atomic_write(options.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(options.out)


def compare(options):
    """Train attention patterns alike, let them draw the same prompts from the same noise, and report what differs.

    perframe: no link between frames. framewise: frames and time in turn. joint: all with all. window, skip: see
    models/patterns.py. The same data, batches, parameters and first weights for all, one autoencoder a seed; at equal
    steps and then at equal FLOPs. The folder --out gets report.html, .md and .json. Stopped, the same command goes on.
    """
    from . import comparison
    from .comparison import study as studies

    names = [name.strip() for name in options.patterns.split(",") if name.strip()]
    budgets = [budget.strip() for budget in options.equal.split(",")]
    for name in names:
        studies.check_pattern(name)
    if not set(budgets) <= set(studies.BUDGETS):
        raise InputError(f"--equal {options.equal!r} is not a budget; choose {', '.join(studies.BUDGETS)} or both")
    files = [entry.partition("=")[::2] for entry in options.weights]
    for name, path in files:
        if not (name and path):
            raise InputError(
                f"--weights takes a name and a file, such as joint=model.safetensors, not {name or path!r}"
            )
    prepare(options)
    if files:
        comparison.compare_weights(files, options.out, options.prompts, options.data, options.report_only)
        return
    if options.report_only:
        study = studies.read_study(options.out, options.data)
    else:
        changes = options.set + [f"data.digits={options.digits}"] * (options.digits is not None)
        study = studies.new_study(
            options.preset, names, options.seeds, options.prompts, options.out, options.steps, changes, options.data
        )
    ordered = [budget for budget in studies.BUDGETS if budget in budgets]
    comparison.compare(study, ordered, options.report_only)


def data(options):
    """Fetch MNIST, or show what the training clips look like."""
    if options.action == "download":
        from .data.mnist import data_directory, load_mnist

        for split in ("train", "test"):
            images, _ = load_mnist(split, options.data)
            print(f"MNIST {split}: {len(images):,} digits, verified")
        print(f"in {data_directory(options.data)}")
        return
    import numpy as np

    from . import display
    from .data import CaptionedClips, classic_moving_mnist, digit_source

    generator = np.random.default_rng(options.seed)
    source = digit_source(options.digits, "train", options.data)
    height, width = options.size
    digit_size = options.digit_size or min(28, min(height, width) // 2)
    maker = CaptionedClips(source, (height, width), options.frames, digit_size, held_out="include")
    clips = maker.batch(generator, options.count)
    classic, _ = classic_moving_mnist(source, generator, options.count)
    out = Path(options.out)
    display.write_grid(out / "captioned.gif", clips.video, captions=clips.captions)
    display.write_strips(out / "captioned.png", clips.video, clips.captions)
    display.write_grid(out / "classic.gif", classic)
    print(f"digits: {source.name}; captioned clips: {options.frames} frames of {height}x{width}")
    for name in ("captioned.gif", "captioned.png", "classic.gif"):
        print(out / name)


def bench(options):
    """Time training, sampling, attention and the autoencoder on this machine, beside PyTorch where it is installed.

    The work is done in processes of their own, which take turns; first it is checked that they compute the same.
    """
    from .benchmarks import cpu, gpu, profiler

    if options.where == "gpu":
        given = {name: getattr(options, name) for name in ("turns", "out", "readme", "compiled")}
        gpu.bench(options.workload, **given)
        return
    if options.profile:
        prepare(options)
        print(profiler.profile_step(options.profile, options.threads or 1))
        return
    sides = ("ours", *cpu.torch_sides(options.compiled))
    cpu.bench(options.workload, threads=options.threads, turns=options.turns, sides=sides, out=options.out)


def doctor(options):
    """Say what this machine has, what is missing, and the cure."""
    from .doctor import report

    return report()


def prepare(options):
    """Choose the device and tune the allocator: once, before arrays are made."""
    from . import backend

    backend.use(options.device, kernels=options.kernels == "on")
    backend.tune_allocator()
