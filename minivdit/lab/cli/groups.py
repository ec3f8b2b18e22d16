"""Options that several commands share, each group beside what reads it."""

from .options import number, path, require_effect, seed, size, whole

MINUTES = number(0, 10**6)  # of training
SEVERAL = {"default": [], "action": "append"}
SEED = "seed of the weights, the clips and the noise"
SAMPLERS = ("euler", "ddim", "ddpm", "dpm_solver")  # those of diffusion, which would import NumPy
WEIGHTS = """\
  joint      every patch sees all patches of all frames
  framewise  blocks alternate: within a frame, then one place through all frames
  perframe   a patch sees its own frame only: nothing links the frames
  small      like joint, but for clips of 32x32 pixels and 8 frames
  colour     like small, but with one or two digits in colours
  colour-framewise  like colour, but with framewise attention"""


def add_device(parser):
    device = "where to compute; gpu needs CuPy, auto takes it if it is there"
    parser.add("--device", ("cpu", "gpu", "auto"), device, "cpu")
    kernels = "compute with minivdit's kernels: CUDA's on a GPU, Numba's on a CPU; off uses only CuPy or NumPy"
    parser.add("--kernels", ("on", "off"), kernels, "on")


def prepare(options):
    """Choose the device, tune the allocator and limit the threads of BLAS: once, before arrays are made."""
    from ...base import backend

    backend.use(options.device, kernels=options.kernels == "on")
    backend.tune_allocator()
    backend.limit_blas()


def tell_of_slow_products():
    """A note where a variable makes BLAS run slow kernels: for the beginning of a training, where that costs most."""
    from ...base import backend, console, machine

    if backend.device_name() == "cpu" and (problem := machine.forced_kernels()):
        console.note(problem)


def add_digits(parser, default="auto", usual="auto"):
    """Which digits clips are made of. usual: the default in words."""
    parser.add("--data", path, "folder of MNIST (default: $MINIVDIT_DATA, or else the cache folder)", metavar="DIR")
    digits = (
        "mnist is fetched if it isn't there; strokes are drawn by a built-in pen; auto is mnist if it is "
        f"there, otherwise strokes (default: {usual})"
    )
    parser.add("--digits", ("auto", "mnist", "strokes"), digits, default)


def require_data(options, digits):
    """Raise InputError if --data was given though no digits are read from there. digits: which are used."""
    if digits == "strokes":
        require_effect(options, "with strokes (--digits mnist reads it)", "data")


def add_set(parser):
    setting = "change a setting; may be given several times (default: the preset's settings)"
    parser.add("--set", str, setting, **SEVERAL, metavar="NAME=VALUE")


def changes(options, others):
    """What --set and `others` ({name: value, or None if it wasn't given}) change, as presets.override takes it."""
    return options.set + [f"{name}={value}" for name, value in others.items() if value is not None]


def add_weights(parser, usual="joint", **more):
    """Which weights draw. more: action="append" if there can be several."""
    group = parser.add_argument_group("weights", f"These come with minivdit:\n\n{WEIGHTS}")
    several = "; may be given several times" * bool(more)
    meaning = f"a file of weights, the folder of a run, or one of these names{several} (default: {usual})"
    group.add_argument("--weights", type=path, metavar="FILE", help=meaning, **more)


def add_shape(parser):
    parser.add("--frames", whole(1), "number of frames of a clip (default: as in training)")
    parser.add("--size", size, "height x width of a clip in pixels (default: as in training)")


def add_drawing(parser, seeded="the same seed draws the same clip"):
    """How clips are drawn; `drawing` reads it. seeded: what --seed decides."""
    parser.add("--seed", seed, seeded, 0)
    parser.add("--negative", str, "a caption that guidance leads away from, in quotes (default: none)", metavar="TEXT")
    steps = "denoising steps; more are slower and finer (default: as the weights say, 40 for those that ship)"
    parser.add("--steps", whole(1, 100_000), steps)
    guidance = "how strongly the caption steers: 0 not at all, 1 as learnt, 3 strongly (default: as the weights say, 3)"
    parser.add("--guidance", number(-1000, 1000), guidance)
    sampler = "the rule of a denoising step (default: as the weights say, ddpm)"
    parser.add("--sampler", SAMPLERS, sampler)


def drawing(options):
    """The arguments that all drawing takes, as TextToVideo.draw names them."""
    names = {"steps": "steps", "guidance": "guidance_scale", "negative": "negative_prompt", "sampler": "sampler"}
    how = {name: getattr(options, option) for option, name in names.items()}
    return {"seed": options.seed, "progress": Watch(), **how}


class Watch:
    """Tells a person how long drawing takes: by a note beforehand if it is long, and by a bar after two seconds."""

    LONG = 30  # minutes
    SHARE = 0.15  # of the speed of matrix products, what drawing reaches

    def __init__(self):
        self.bar = None

    def __call__(self, done, total, flops):
        """done, total: steps. flops: of all of them."""
        from ...base import console, machine, ranks

        if self.bar is None:
            if flops > self.LONG * 60 * 1e9:  # else no machine takes so long
                minutes = flops / (self.SHARE * ranks.here().size * machine.cores_speed()) / 60
                if minutes > self.LONG:
                    console.note(f"drawing {total:,} steps will take {machine.about(minutes)} here")
            self.bar = console.progress_bar("drawing", total, delay=2, leave=False)
        self.bar.update(done - self.bar.n)
        if done == total:
            self.bar.close()
            self.bar = None
