"""What each command does: a short function from the parsed options to a call of the package.

Those that draw clips are in drawing_commands.py.

Imports stand inside the functions, so that `minivdit --help` needs neither NumPy nor matplotlib.
"""

import shlex
from operator import attrgetter
from pathlib import Path

from ...base.errors import InputError
from .options import require_effect, says


@says(
    """Train a small model on built-in digits, let it draw, and show how good it is, all in a few minutes.

    Nothing is downloaded. If it is stopped, the same command goes on.
    """
)
def demo(options):
    prepare(options)
    from .demo import demo

    demo(options.out, options.minutes, options.preset, options.prompts, options.seed)


@says(
    """Train a preset: first the autoencoder, then the text encoder, then the transformer. Some presets then fine-tune
    it on other clip shapes.

    With --start, only the transformer is trained: it is fine-tuned from weights that were trained before.

    The folder --out gets checkpoints, logs, previews and at the end model.safetensors. If a training was stopped,
    by Ctrl-C or otherwise, the same command goes on from the last checkpoint.
    """
)
def train(options):
    from ...training import presets

    if options.preset is None:
        require_effect(options, "without the name of a preset", *options.given)
        for preset in presets.PRESETS.values():
            print(f"{preset.name:8} {preset.summary}")
        print("their settings: minivdit train PRESET --show")
        return
    changes = options.set + [f"training.steps={options.steps}"] * (options.steps is not None)
    changes += [f"data.digits={options.digits}"] * (options.digits is not None)
    preset = presets.override(presets.get(options.preset), changes)
    require_data(options, preset.data.digits)
    if options.show:
        require_effect(options, "with --show", *options.given - {"preset", "show", "set", "steps", "digits"})
        for name in presets.fields(preset):
            value = attrgetter(name)(preset)
            print(f"{name}={','.join(map(str, value)) if isinstance(value, tuple) else value}")
        return
    out = Path(options.out or f"runs/{preset.name}")
    if options.resume and not any((out / f"{stage}.safetensors").exists() for stage in ("autoencoder", "transformer")):
        raise InputError(f"there is no run to go on with in {out}; name its folder with --out, or leave --resume out")
    prepare(options)
    from ...generation import TextToVideo
    from ..pipeline.forecast import predict
    from ..pipeline.train import require_effects, stages_of, train_model

    require_effects(preset, changes, options.start is not None, options.minutes is not None)
    start = options.start and TextToVideo.load(options.start)
    print(predict(preset, options.minutes, stages_of(preset, options.start is not None)), flush=True)
    model = train_model(preset, out, start=start, seed=options.seed, data=options.data, minutes=options.minutes)
    weights = out / "model.safetensors"
    print(f"{weights}: {weights.stat().st_size / 2**20:.1f} MB ({model.fingerprint()})")
    print(f'next: minivdit sample "a 3 moving right" --weights {shlex.quote(str(weights))}')
    print(f"      minivdit evaluate --weights {shlex.quote(str(weights))}")


@says(
    """Draw clips for random captions and judge them: are the digits right, do they move the right way, do they stay
    the same, do they move as real ones do?

    Every figure stands beside the one for real clips (its ceiling) and those for real clips that were spoilt in one
    way (its floors). Captions have one digit; if the model was trained on two, another table is for two.
    """
)
def evaluate(options):
    prepare(options)
    import json

    from ...base.files import atomic_write
    from ...generation import TextToVideo
    from ..evaluation import METRICS, judge_model, pairwise

    other = options.against and pairwise.read_evaluation(options.against)
    model = TextToVideo.load(options.weights)
    known = model.notes.get("preset", {}).get("data", {})
    require_data(options, options.digits or known.get("digits"))
    counts = [options.per_clip] if options.per_clip else known.get("num_digits", [1])
    if other:
        asked = {"seed": options.seed, "clips": options.prompts, "frames": options.frames or model.settings.num_frames}
        asked |= {"size": options.size or model.settings.size, "held_out": options.held_out}
        pairwise.check_request(other, [f"{count} digits" for count in counts], asked)
    found = {"weights": model.fingerprint(), "name": model.name, "seed": options.seed, "held_out": options.held_out}

    def save():  # before anything is printed: nobody may be there to read it
        if options.out:
            with atomic_write(options.out) as temporary:
                temporary.write_text(pairwise.text(found))

    texts = [f"weights {model.name} ({model.fingerprint()}), seed {options.seed}"]
    for count in counts:
        kept = f"{count}-digits{'-held-out' * options.held_out}.safetensors"
        report, *_ = judge_model(
            model,
            options.prompts,
            num_digits=count,
            held_out="only" if options.held_out else "exclude",
            seed=options.seed,
            data=options.data,
            digits=options.digits,
            num_frames=options.frames,
            size=options.size,
            keep=options.keep and Path(options.keep) / kept,
            progress=Watch(),
            steps=options.steps,
            guidance_scale=options.guidance,
            sampler=options.sampler,
        )
        found[f"{count} digits"] = json.loads(report.to_json())
        texts += [f"{count} digit{'s' * (count > 1)} a clip", str(report)]
        save()
    if other:
        rows = pairwise.against(found, other)
        found["against"] = {"weights": other["weights"], "rows": pairwise.plain(rows)}
        texts.append(pairwise.table(rows, model.name, other.get("name", other["weights"])))
        save()
    texts += ["What the rows are:", *(f"  {name:14}  {meaning}" for name, (_, meaning) in METRICS.items())]
    print("\n".join(texts + [options.out] * bool(options.out)))


@says(
    """Say what a file of weights is: what it learnt from, by which command, how long it took, and how good it is.

    The figures come from files that 'minivdit evaluate --out' wrote for the same weights.
    """
)
def card(options):
    from ...base.files import atomic_write
    from ...generation import TextToVideo
    from ..pipeline.card import model_card

    text = model_card(TextToVideo.path(options.weights), options.evaluation)
    if not options.out:
        print(text)
        return
    with atomic_write(options.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(options.out)


@says(
    """Train several attention patterns alike, let them draw the same captions from the same noise, and report what
    differs.

    The patterns:

      joint      every patch sees all patches of all frames
      framewise  a patch sees its own frame and its place in other frames, in turn
      perframe   a patch sees its own frame only: nothing links the frames
      window     a patch sees a box around it, in space and time
      skip       a patch sees every other patch, or blocks of them

    All get the same data, batches, number of parameters, first weights and autoencoder. They are compared after
    equal steps, and then after equal FLOPs. The folder --out gets report.html, report.md and report.json. If it is
    stopped, the same command goes on.
    """
)
def compare(options):
    from ...models import schemes
    from .. import comparison
    from ..comparison import study as studies

    asked = ",".join(schemes.SCHEMES) if options.patterns is None else options.patterns
    names = [name.strip() for name in asked.split(",") if name.strip()]
    budgets = [budget.strip() for budget in options.equal.split(",")]
    for name in names:
        schemes.check_scheme(name)
    if not set(budgets) <= set(studies.BUDGETS):
        raise InputError(f"--equal {options.equal!r} is not a budget; choose {', '.join(studies.BUDGETS)} or both")
    files = [entry.partition("=")[::2] for entry in options.weights]
    for name, path in files:
        if not (name and path):
            raise InputError(
                f"--weights takes a name and a file, such as joint=model.safetensors, not {name or path!r}"
            )
    trains = ("preset", "set", "seeds", "steps")
    if options.weights:
        require_effect(options, "with --weights, which are trained already", "patterns", "equal", *trains)
    elif options.report_only:
        require_effect(options, "with --report-only", "prompts", "digits", *trains)
    prepare(options)
    if files:
        require_data(options, options.digits)
        given = {name: getattr(options, name) for name in ("prompts", "data", "digits", "report_only")}
        comparison.compare_weights(files, options.out, **given)
        return
    if options.report_only:
        study = studies.read_study(options.out, options.data, None if options.patterns is None else names)
    else:
        changes = options.set + [f"data.digits={options.digits}"] * (options.digits is not None)
        study = studies.new_study(
            options.preset, names, options.seeds, options.prompts, options.out, options.steps, changes, options.data
        )
    ordered = [budget for budget in studies.BUDGETS if budget in budgets]
    comparison.compare(study, ordered, options.report_only)


@says("""Show what the training clips look like, or fetch MNIST.""")
def data(options):
    if options.action == "download":
        require_effect(options, "on a download", *options.given - {"action", "data"})
        from ...data.mnist import data_directory, load_mnist

        for split in ("train", "test"):
            images, _ = load_mnist(split, options.data, replace=True)
            print(f"MNIST {split}: {len(images):,} digits, verified")
        print(f"in {data_directory(options.data)}")
        return
    require_data(options, options.digits)
    import numpy as np

    from ...base import machine
    from ...data import CaptionedClips, classic_moving_mnist, digit_source
    from ...data.moving_mnist import check_canvas
    from .. import display

    height, width = options.size
    digit_size = options.digit_size or min(28, min(height, width) // 2)
    check_canvas(options.size, options.frames, digit_size)
    clip = 40 * options.frames * height * width  # bytes: as numbers, and as they are drawn, shrunk and written
    machine.require_memory(lambda count: count * clip, options.count, "count")
    generator = np.random.default_rng(options.seed)
    source = digit_source(options.digits, "train", options.data)
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


@says(
    """Time training, sampling, attention and the autoencoder on this machine, and on PyTorch too if it is installed.

    Each side works in a process of its own, and they take turns. First it is checked that both compute the same.
    """
)
def bench(options):
    from ..benchmarks import cpu, gpu, profiler

    if options.where == "gpu":
        require_effect(options, "on a GPU", "threads", "profile")
        given = {name: getattr(options, name) for name in ("turns", "out", "readme", "compiled")}
        gpu.bench(options.workload, **given)
        return
    require_effect(options, "on a CPU", "readme")
    if options.profile:
        require_effect(options, "with --profile", "workload", "turns", "compiled", "out")
        prepare(options)
        print(profiler.profile_step(options.profile, options.threads or 1))
        return
    sides = ("ours", *cpu.torch_sides(options.compiled))
    cpu.bench(options.workload, threads=options.threads, turns=options.turns, sides=sides, out=options.out)


@says("""Say what this machine has, what is missing, and what to do about it.""")
def doctor(options):
    from .doctor import report

    return report()


def require_data(options, digits):
    """Raise InputError if --data was given though no digits are read from there. digits: which are used."""
    if digits == "strokes":
        require_effect(options, "with strokes (--digits mnist reads it)", "data")


def prepare(options):
    """Choose the device, tune the allocator and limit the threads of BLAS: once, before arrays are made."""
    if options.device == "cpu":
        require_effect(options, "with --device cpu", "kernels")
    from ...base import backend

    backend.use(options.device, kernels=options.kernels == "on")
    backend.tune_allocator()
    backend.limit_blas()


class Watch:
    """Tells a person how long drawing takes: by a note beforehand if it is long, and by a bar after two seconds."""

    LONG = 30  # minutes
    SHARE = 0.15  # of the speed of matrix products, what drawing reaches

    def __init__(self):
        self.bar = None

    def __call__(self, done, total, flops):
        """done, total: steps. flops: of all of them."""
        from ...base import console, machine

        if self.bar is None:
            if flops > self.LONG * 60 * 1e9:  # else no machine takes so long
                minutes = flops / (self.SHARE * machine.cores_speed()) / 60
                if minutes > self.LONG:
                    console.note(f"drawing {total:,} steps will take {machine.about(minutes)} here")
            self.bar = console.progress_bar("drawing", total, delay=2, leave=False)
        self.bar.update(done - self.bar.n)
        if done == total:
            self.bar.close()
            self.bar = None
