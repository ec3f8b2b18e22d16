"""The commands that draw clips: from captions, from parts of clips, and `explore`.

Imports stand inside the functions, as in commands.py.
"""

import math
import time
from pathlib import Path

from ...base.console import note
from ...base.errors import InputError, shorten
from .commands import Watch, prepare
from .options import require_effect, says

USUAL_RATE = 8  # frames a second
DRIFT = {  # what the rows of evaluation.drift are
    "likeness": "likeness to the first picture of the digit (1 is the same)",
    "one_class": "share of frames that show the digit of the beginning",
    "number": "share of frames with as many digits as there should be",
}


@says(
    """Draw clips from captions and write them into one file.

    A caption may change on the way: "a 3 moving right, then up".
    """
)
def sample(options):
    from ..display import check_writable
    from .caption_notes import without_quotes

    if without_quotes(options.prompt):
        raise InputError(f'put the caption in quotes: minivdit sample "{shorten(" ".join(options.prompt))}"')
    places = range(len(options.prompt) * options.count)
    if options.index is not None:
        if options.index not in places:
            raise InputError(f"there is no clip {options.index} among {len(places)}, counted from 0; change --index")
        places = [options.index]
    model = ready(options, len(places), options.fps)
    size = options.size or model.settings.size
    prompts = [options.prompt[place // options.count] for place in places]
    num_frames = options.frames or model.settings.num_frames
    model.check_request(len(places), num_frames, size)
    shape = (len(prompts), num_frames, *size, model.autoencoder.config.image_channels)
    check_writable(options.out, options.fps or USUAL_RATE, shape, prompts)
    say_what_to_expect(prompts, model)
    started = time.perf_counter()
    video = model.generate(prompts, options.frames, options.size, places=places, **drawing(options))
    show(options, model, video, prompts, started, options.fps)
    warn_of_weak_weights(model)


def ready(options, clips=1, rate=None):
    """The model, once it is sure that so many clips can be written to --out as was asked."""
    from .. import display

    strips = Path(options.out).suffix.lower() == ".png"
    if strips:
        require_effect(options, "for a .png, which is a strip of frames", "fps")
    if options.plain and strips:
        raise InputError(f"--plain writes a clip, not strips with captions; give --out a .gif, not {options.out!r}")
    if options.plain and clips > 1:
        raise InputError(f"--plain writes one clip, and these are {clips}; draw them one by one")
    display.check_writable(options.out, rate or USUAL_RATE)
    prepare(options)
    from ...generation import TextToVideo

    return TextToVideo.load(options.weights)


def drawing(options):
    """The options that all drawing takes, as TextToVideo.draw names them."""
    return {
        "seed": options.seed,
        "steps": options.steps,
        "guidance_scale": options.guidance,
        "negative_prompt": getattr(options, "negative", None),
        "sampler": options.sampler,
        "progress": Watch(),
    }


def show(options, model, video, prompts, started, rate):
    """Write clips to --out and say what they are."""
    from .. import display

    rate, about = rate or USUAL_RATE, kept_settings(options, model)
    if options.plain:
        display.write_clip(options.out, video[0], rate, prompts[0], about)
    else:
        display.write_grid(options.out, video, captions=prompts, frames_per_second=rate, about=about)
    seconds = time.perf_counter() - started
    frames, height, width = video.shape[1:4]
    print(f"{options.out}: {len(video)} x {frames} frames of {height}x{width}, seed {options.seed}, {seconds:.1f} s")
    print(f"weights {model.name} ({model.fingerprint()})")


def kept_settings(options, model):
    """What is kept in the file about how its clips were drawn."""
    settings = model.settings
    own = ("index", "negative", "frames", "size", "level", "factor", "backwards", "start", "to")  # of single commands
    return {
        "command": options.run.__name__,
        "seed": options.seed,
        "steps": options.steps or settings.steps,
        "guidance": settings.guidance_scale if options.guidance is None else options.guidance,
        "sampler": options.sampler or settings.sampler,
        "weights": model.name,
        "fingerprint": model.fingerprint(),
    } | {name: value for name in own if (value := getattr(options, name, None)) is not None}


def ability(options, files, draw, faster=1):
    """What the commands that begin with files share: draw(model, clips, how) gives the clip that is written.

    files: paths. clips: they read, a data.reading.Clip each. faster: how many times as many frames a second there are.
    """
    from ...data.reading import open_clip
    from ..display import check_writable

    clips = [open_clip(path) for path in files]
    notes = [text for clip in clips for text in clip.notes]
    rate = rate_of(options, clips, faster, notes)
    model = ready(options, rate=rate)
    if options.fit:
        clips = [model.fit(clip, options.fit) for clip in clips]
        notes += [text for clip in clips for text in clip.notes]
    for text in dict.fromkeys(notes):
        note(text)
    most = faster * sum(len(clip.video) for clip in clips) + (getattr(options, "frames", None) or 0)
    size = clips[0].video.shape[1:] if clips else (*model.settings.size, model.autoencoder.config.image_channels)
    check_writable(options.out, rate or USUAL_RATE, (1, most, *size), [options.prompt])
    say_what_to_expect([options.prompt], model, given=bool(files))
    started = time.perf_counter()
    video = draw(model, clips, drawing(options))
    show(options, model, video, [options.prompt], started, rate)
    return model, video


def rate_of(options, clips, faster, notes):
    """Frames a second: as asked for; else those of the clips, so that time is kept, as far as --out can hold them."""
    from ..display import RATES

    rates = [clip.frames_per_second for clip in clips if clip.frames_per_second]
    if options.fps or not rates:
        return options.fps
    if len(set(rates)) > 1:
        notes.append(f"the clips have {' and '.join(f'{rate:g}' for rate in rates)} frames a second; the first counts")
    ending = Path(options.out).suffix.lower()
    least, most = RATES.get(ending, (0, math.inf))
    kept = min(max(rates[0] * faster, least), most)
    if kept != rates[0] * faster:
        notes.append(
            f"{rates[0] * faster:g} frames a second became {kept:g}, all that a {ending} can show; .mp4 is exact"
        )
    return kept


@says("""Draw a clip that begins with a picture. Of a clip, the first frame is taken.""")
def animate(options):
    ability(
        options, [options.image], lambda model, clips, how: model.animate(*clips, options.prompt, options.frames, **how)
    )


@says("""Draw a clip in which given pictures stand at given times. The first frame has the time 0.""")
def keyframes(options):
    times, files = [whole_time(time) for time, _ in options.at], [path for _, path in options.at]
    if twice := [time for time in times if times.count(time) > 1]:
        raise InputError(f"--at {shorten(twice[0])} is given twice; give one picture for each frame")

    def draw(model, clips, how):
        return model.keyframes(dict(zip(times, clips)), options.prompt, options.frames, **how)

    ability(options, files, draw)


def whole_time(text):
    if not (text.isdecimal() and len(text) < 10):
        raise InputError(f"{shorten(text)!r} is not a time; --at takes the number of a frame from 0 upwards and a file")
    return int(text)


@says(
    """Draw what follows a clip, or what came before it. A long piece is drawn in turns.

    At the end it says how far the digit has drifted from what it was.
    """
)
def extend(options):
    from ...data import parse

    def draw(model, clips, how):
        return model.extend(*clips, options.prompt, options.frames, backwards=options.backwards, **how)

    model, video = ability(options, [options.clip], draw)
    from ..evaluation import drift

    try:
        digits = len(parse(options.prompt))
    except InputError:
        digits = 1
    video = video[:, ::-1] if options.backwards else video
    values = drift(video, model.settings.digit_size, digits, max(1, model.settings.num_frames // 2))
    print(f"half a clip's length at a time, {'from the last' if options.backwards else 'from the first'} frame on:")
    for name, stretches in values.items():
        figures = " ".join(f"{value:.2f}" for value in stretches[0])
        print(f"  {DRIFT[name]}: {figures}")


@says("""Draw frames between the frames of a clip: with --factor 2, one between any two. It lasts as long as before.""")
def interpolate(options):
    def draw(model, clips, how):
        return model.interpolate(*clips, options.prompt, options.factor, **how)

    ability(options, [options.clip], draw, faster=options.factor)


@says("""Draw what leads from one clip to another.""")
def connect(options):
    def draw(model, clips, how):
        return model.connect(*clips, options.prompt, options.frames, **how)

    ability(options, [options.before, options.after], draw)


@says("""Draw a clip that can be repeated without end, and say how large the jump is where it begins anew.""")
def loop(options):
    from ..evaluation import seam

    def draw(model, clips, how):
        return model.loop(options.prompt, *clips or [None], options.frames, **how)

    _, video = ability(options, [options.image] if options.image else [], draw)
    jump, step = (float(values[0]) for values in seam(video))
    print(f"from the last frame to the first, pixels change by {jump:.4f}, between frames by {step:.4f} (median)")


@says(
    """Put a clip under noise and draw it from there with another caption.

    A low level keeps more of the clip, and a high one follows the caption more.
    """
)
def edit(options):
    def draw(model, clips, how):
        return model.edit(*clips, options.prompt, options.level, **how)

    ability(options, [options.clip], draw)


@says(
    """Draw a part of a clip anew: the pixels where the picture --mask is bright, in the frames --from to --to.

    If parts of that picture are transparent, its opaque pixels count instead of its bright ones.
    """
)
def inpaint(options):
    import numpy as np

    from ...data.fitting import to_size
    from ...data.reading import read_mask

    area = options.mask and read_mask(options.mask)

    def draw(model, clips, how):
        (clip,) = clips
        frames, *size = clip.video.shape[:3]
        last = frames - 1 if options.to is None else options.to
        if not options.start <= last < frames:
            raise InputError(f"there are no frames {options.start} to {last} in a clip of {frames}, counted from 0")
        part = np.ones(size, bool) if area is None else area
        if options.fit:
            frame = part[None, ..., None].astype(np.float32)
            part = to_size(frame, tuple(size), options.fit, options.mask)[0, ..., 0] > 0.5
        if part.shape != tuple(size):
            (height, width), (rows, columns) = part.shape, size
            raise InputError(
                f"the mask {options.mask} has {height}x{width} pixels (height x width) and the clip {rows}x{columns}; "
                "give equal sizes, or choose --fit scale"
            )
        if not part.any():
            raise InputError(
                f"the mask {options.mask} is black everywhere, so there is nothing to draw; make a part of it bright"
            )
        mask = np.zeros((frames, *size), bool)
        mask[options.start : last + 1] = part
        return model.inpaint(clip, mask, options.prompt, **how)

    ability(options, [options.clip], draw)


@says(
    """Draw a clip, and write one HTML page on which a click on a patch shows where the patch looked.

    Several weights are shown side by side, each with the attention pattern that it was trained with. --restrict
    shows the first weights in other patterns, too; they weren't trained for those, and the page says so. The page
    needs no network.
    """
)
def explore(options):
    if Path(options.out).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"can't write a page to {options.out!r}; choose a name that ends in .html")
    prepare(options)
    from ..explorer import explore, load

    restrict = [name.strip() for name in options.restrict.split(",") if name.strip()]
    models = load(options.weights)
    steps = options.steps or models[0].settings.steps
    if options.moments > steps and "moments" in options.given:
        note(f"there are {steps} denoising steps, so the page shows {steps}, not {options.moments}")
    say_what_to_expect([options.prompt], models[0])
    started = time.perf_counter()
    explorer = explore(
        options.prompt,
        models,
        restrict,
        min(options.moments, steps),
        num_frames=options.frames,
        size=options.size,
        **drawing(options),
    )
    size = explorer.save(options.out)
    names = ", ".join(look.name for look in explorer.looks)
    print(f"{options.out}: {names}; {size / 1e6:.1f} MB, {time.perf_counter() - started:.1f} s; open it in a browser")
    for model in models:
        warn_of_weak_weights(model)


def say_what_to_expect(prompts, model, given=False):
    """Notes, before anything is drawn, on captions that leave something open or that training never showed.

    given: there is something else to go by, so that an empty caption needs no note.
    """
    from ...data.captions import asks_for_digits
    from .caption_notes import what_is_left_open

    if not model.tokenizer.grammar:
        return
    trained = model.notes.get("preset", {}).get("data", {}).get("num_digits")
    for prompt in dict.fromkeys(prompt for prompt in prompts if prompt.strip() or not given):
        if text := what_is_left_open(prompt):
            note(text)
        count = asks_for_digits(prompt)
        if trained and count and count not in trained:
            digits, plural = " or ".join(map(str, trained)), "s" * (count > 1)
            note(f"{shorten(prompt)!r} has {count} digit{plural}; these weights were trained on clips of {digits}")


def warn_of_weak_weights(model):
    """Say so when noise is all that can be expected, instead of letting a user look for a fault."""
    right = model.notes.get("metrics", {}).get("digit_frames")
    if right is not None and right < 0.4:
        steps = model.notes.get("steps") or "an unknown number of"
        note(
            f"these weights had {steps} steps of training and draw the right digit in {right:.0%} of frames; train "
            "longer for legible digits"
        )
