"""The commands that draw from pictures and clips in files: see generation/abilities.py."""

import math
from pathlib import Path

from ...base.console import note
from ...base.errors import InputError, shorten
from .draw import USUAL_RATE, add_output, add_steering, draw_and_write, load_model, steering
from .options import number, path, whole

FIT = (
    "change a picture to what the weights know: grey, light on dark, of their size. scale shows the whole picture, "
    "crop fills the frame and cuts off the rest, pad puts black around it (default: refuse pictures that don't fit)"
)
CLIP = {"clip": "a file of one clip or picture; of several clips in a file, clip.gif#0 is the first"}
LENGTH = "number of frames of the clip (default: as in training)"
DRIFT = {  # what the rows of evaluation.drift are
    "likeness": "likeness to the first picture of the digit (1 is the same)",
    "one_class": "share of frames that show the digit of the beginning",
    "number": "share of frames with as many digits as there should be",
}


def add_drawing_from_files(commands, run, text, files=CLIP, frames=None):
    """The Parser of a command that draws from files ({name: meaning}). frames: what --frames means, if it is taken."""
    parser = commands.add(run, text)
    for name, meaning in files.items():
        parser.add(name, path, meaning, metavar=name.upper())
    parser.add("prompt", str, "a caption, in quotes (default: none)", "", nargs="?")
    if frames:
        parser.add("--frames", whole(1), frames)
    parser.add("--fit", ("scale", "crop", "pad"), FIT)
    add_output(parser)
    return parser


def draw_from_files(options, files, draw=None, faster=1, follow=False, **more):
    """Read clips, draw, and write the one clip that comes of it: (model, video).

    files: paths. draw: draw(model, *clips, prompt=..., num_frames=..., **more and all that `drawing` gives); the
    model's method of the command's name unless given. faster: how many times as many frames a second there are.
    follow: ask for the directions that are seen in what is given, see evaluation.going_on.
    """
    from ...data.reading import open_clip

    clips = [open_clip(file, channels=3) for file in files]
    notes = [text for clip in clips for text in clip.notes]
    rate = rate_of(options, clips, faster, notes)
    model = load_model(options, 1, rate)
    if options.fit:
        clips = [model.fit(clip, options.fit) for clip in clips]
        notes += [text for clip in clips for text in clip.notes]
    for text in dict.fromkeys(notes):
        note(text)
    if "frames" in options:
        more["num_frames"] = options.frames
    most = faster * sum(len(clip.video) for clip in clips) + (more.get("num_frames") or 0)
    size, channels = (
        clips[0].video.shape[1:3] if clips else model.settings.size,
        model.autoencoder.config.image_channels,
    )
    draw = draw or getattr(type(model), options.command)

    def draw_them(**how):
        prompt = going_on_from(options, model, clips) if follow else options.prompt
        return draw(model, *clips, prompt=prompt, **more, **how)

    return model, draw_and_write(
        options, model, [options.prompt], (1, most, *size, channels), rate, draw_them, given=bool(files)
    )


def going_on_from(options, model, clips):
    """The prompt of a command that follows its clips."""
    from ...data import PIXELS_PER_FRAME
    from ..evaluation import going_on

    if not model.settings.digit_size:  # nobody reads what moves there
        return options.prompt
    settings, before = model.settings, 0
    if options.command == "extend" and options.backwards:  # so many frames come before those that are given
        before = settings.num_frames - min(settings.num_frames // 2, len(clips[0].video))
    pixels = model.learnt.get("pixels_per_frame", PIXELS_PER_FRAME)
    return going_on(options.prompt, settings.digit_size, pixels, before)


def rate_of(options, clips, faster, notes):
    """Frames a second: as asked for; else those of the clips, so that time is kept, as far as --out can hold them."""
    from ..display import RATES

    rates = [clip.frames_per_second for clip in clips if clip.frames_per_second]
    if options.fps or not rates:
        return options.fps or USUAL_RATE
    if len(set(rates)) > 1:
        notes.append(f"the clips have {' and '.join(f'{rate:g}' for rate in rates)} frames a second; the first counts")
    ending, wanted = Path(options.out).suffix.lower(), rates[0] * faster
    least, most = RATES.get(ending, (0, math.inf))
    kept = min(max(wanted, least), most)
    if kept != wanted:
        notes.append(f"{wanted:g} frames a second became {kept:g}, all that a {ending} can show; .mp4 is exact")
    return kept


def add_animate(commands):
    text = """Draw a clip that begins with a picture.

    examples:
      minivdit animate three.png "a 3 moving right"
      minivdit animate three.png "a 3 moving up" --frames 24
      minivdit animate two.png --brush mask.png --move 0,1 --weights runs/gen3
    """
    files = {"image": "a picture, or a clip whose first frame is taken"}
    add_steering(add_drawing_from_files(commands, animate, text, files, LENGTH))


def animate(options):
    def draw(model, image, **how):
        return model.animate(image, **steering(options, image.video.shape[1:3]), **how)

    draw_from_files(options, [options.image], draw)


def add_keyframes(commands):
    text = """Draw a clip with pictures at given times.

    examples:
      minivdit keyframes "a 3 moving right" --at 0 first.png --at 15 last.png
    """
    parser = add_drawing_from_files(commands, keyframes, text, {}, LENGTH)
    times = "the number of a frame (the first is 0) and the picture for it; may be given several times"
    parser.add("--at", path, times, nargs=2, action="append", required=True, metavar=("TIME", "FILE"))


def keyframes(options):
    times = [whole_time(time) for time, _ in options.at]
    if twice := [time for time in times if times.count(time) > 1]:
        raise InputError(f"--at {shorten(twice[0])} is given twice; give one picture for each frame")

    def draw(model, *pictures, **how):
        return model.keyframes(dict(zip(times, pictures)), **how)

    draw_from_files(options, [file for _, file in options.at], draw)


def whole_time(text):
    if not (text.isdecimal() and len(text) < 10):
        raise InputError(f"{shorten(text)!r} is not a time; --at takes the number of a frame from 0 upwards and a file")
    return int(text)


def add_extend(commands):
    text = """Draw what follows a clip, or what came before it.

    Many frames are drawn in parts. The caption says what moves. Its direction is read from the frames that each
    part is joined to. At the end, figures say how far the digit has drifted from what it was.

    examples:
      minivdit extend clip.gif "a 3 moving right" --frames 32
      minivdit extend clip.gif "a 3 moving right" --backwards
    """
    frames = "how many frames to add (default: half a clip's length in training)"
    parser = add_drawing_from_files(commands, extend, text, frames=frames)
    parser.add("--backwards", bool, "add frames before the clip instead of after it")
    noise = "noise level of the frames that a part is joined to; it hides small errors in them"
    parser.add("--context-noise", number(0, 0.9), noise, 0.1)


def extend(options):
    from ...data import parse
    from ..evaluation import drift

    how = {"backwards": options.backwards, "context_noise": options.context_noise}
    model, video = draw_from_files(options, [options.clip], follow=True, **how)
    if not model.settings.digit_size:
        return
    try:
        digits = len(parse(options.prompt))
    except InputError:
        digits = 1
    video = video[:, ::-1] if options.backwards else video
    values = drift(video, model.settings.digit_size, digits, max(1, model.settings.num_frames // 2))
    print(f"half a clip's length at a time, {'from the last' if options.backwards else 'from the first'} frame on:")
    for name, stretches in values.items():
        print(f"  {DRIFT[name]}: {' '.join(f'{value:.2f}' for value in stretches[0])}")


def add_interpolate(commands):
    text = """Draw more frames between the frames of a clip.

    With --factor 2, one frame is drawn between any two. The clip lasts as long as before.

    examples:
      minivdit interpolate clip.gif "a 3 moving right" --factor 3
    """
    parser = add_drawing_from_files(commands, interpolate, text)
    parser.add("--factor", whole(2, 1000), "multiply the number of frames by this", 2)


def interpolate(options):
    draw_from_files(options, [options.clip], faster=options.factor, factor=options.factor)


def add_connect(commands):
    text = """Draw the frames between one clip and another.

    examples:
      minivdit connect one.gif two.gif "a 3 moving right"
    """
    files = {"before": "the first clip", "after": "the second clip, of the same size"}
    frames = "how many frames to draw between them (default: half a clip's length in training)"
    add_drawing_from_files(commands, connect, text, files, frames)


def connect(options):
    draw_from_files(options, [options.before, options.after], follow=True)


def add_loop(commands):
    text = """Draw a clip that can be repeated without end.

    At the end, a figure says how large the jump is from the last frame to the first.

    examples:
      minivdit loop "a 0 moving quickly down"
      minivdit loop "a 3 moving right" --image three.png --frames 24
    """
    parser = add_drawing_from_files(commands, loop, text, {}, LENGTH)
    parser.add("--image", path, "a picture for the first frame (default: it is drawn)")


def loop(options):
    from ..evaluation import seam

    def draw(model, image=None, **how):
        return model.loop(image=image, **how)

    _, video = draw_from_files(options, [options.image] if options.image else [], draw, follow=True)
    jump, step = (float(values[0]) for values in seam(video))
    print(f"from the last frame to the first, pixels change by {jump:.4f}, between frames by {step:.4f} (median)")


def add_edit(commands):
    text = """Change what a clip shows.

    Noise is added to the clip, and then removed with another caption. A low level keeps more of the clip. A
    high level follows the caption more.

    examples:
      minivdit edit clip.gif "an 8 moving right" --level 0.8
    """
    parser = add_drawing_from_files(commands, edit, text)
    level = "noise level, up to 1: the higher, the freer the change"
    parser.add("--level", number(0, 1), level, 0.7)


def edit(options):
    draw_from_files(options, [options.clip], level=options.level)


def add_inpaint(commands):
    text = """Redraw a part of a clip.

    The part is where the picture --mask is bright, in the frames --from to --to. If some of that picture is
    transparent, its opaque pixels count instead of its bright ones.

    examples:
      minivdit inpaint clip.gif "a 3 moving right" --mask mask.png
      minivdit inpaint clip.gif "a 3 moving right" --from 4 --to 11
    """
    parser = add_drawing_from_files(commands, inpaint, text)
    parser.add("--mask", path, "a picture that is bright where to redraw (default: everywhere)")
    parser.add("--from", whole(0), "first frame to redraw", 0, dest="first")
    parser.add("--to", whole(0), "last frame to redraw (default: the clip's last)", dest="last")
    resample = (
        "how many times to add noise on the way and redraw, so that the part fits the rest better; 0 takes half "
        "the time"
    )
    parser.add("--resample", whole(0, 100), resample, 3)


def inpaint(options):
    from ...data.reading import read_mask

    area = options.mask and read_mask(options.mask)

    def draw(model, clip, **how):
        mask = part_to_draw(options, area, clip.video.shape[:3])
        return model.inpaint(clip, mask, resample=options.resample, **how)

    draw_from_files(options, [options.clip], draw)


def part_to_draw(options, area, shape):
    """Boolean of the clip's shape (T, H, W): where to draw. area: boolean (H, W) of a picture, or None: everywhere."""
    import numpy as np

    from ...data.fitting import to_size

    frames, *size = shape
    last = frames - 1 if options.last is None else options.last
    if not options.first <= last < frames:
        raise InputError(f"there are no frames {options.first} to {last} in a clip of {frames}, counted from 0")
    area = np.ones(size, bool) if area is None else area
    if options.fit:
        picture = area[None, ..., None].astype(np.float32)
        area = to_size(picture, tuple(size), options.fit, options.mask)[0, ..., 0] > 0.5
    if area.shape != tuple(size):
        (height, width), (rows, columns) = area.shape, size
        raise InputError(
            f"the mask {options.mask} has {height}x{width} pixels (height x width) and the clip {rows}x{columns}; "
            "give equal sizes, or choose --fit scale"
        )
    if not area.any():
        raise InputError(
            f"the mask {options.mask} is black everywhere, so there is nothing to draw; make a part of it bright"
        )
    mask = np.zeros(shape, bool)
    mask[options.first : last + 1] = area
    return mask


ABILITIES = (add_animate, add_keyframes, add_extend, add_interpolate, add_connect, add_loop, add_edit, add_inpaint)
