"""`minivdit sample`, and what all commands share that draw clips into a file.

Imports stand inside the functions, so that `minivdit --help` needs neither NumPy nor matplotlib.
"""

import time
from pathlib import Path

from ...base.console import note
from ...base.errors import InputError, shorten
from ...base.ranks import here
from .groups import SEVERAL, add_device, add_drawing, add_shape, add_weights, drawing, prepare
from .options import brush, number, output_file, require_effect, velocity, way_points, whole

USUAL_RATE = 8  # frames a second
# Options of single commands.
OWN = ("index", "negative", "frames", "size", "level", "factor", "backwards", "first", "last")
OWN += ("recursive", "path", "pan", "brush", "move", "overlap")


def add_output(parser, rate="as a given clip has them, otherwise 8"):
    """The options of all commands that draw into a file. rate: the usual one, in words."""
    parser.add("--out", output_file, "file to write: .gif, .mp4, or .png for a strip of frames", "clip.gif")
    parser.add("--plain", bool, "write the clip's own pixels only: not enlarged, without border and caption")
    parser.add("--fps", number(0, 1000), f"frames a second in the file (default: {rate})")
    add_drawing(parser)
    add_weights(parser)
    add_device(parser)
    parser.set_defaults(on_ranks=True)


def add_steering(parser):
    """The options of commands whose clips can be moved apart from their captions; `steering` reads them."""
    trained = "for weights trained with transformer.velocities=true"
    pan = f"how the camera moves: rows,columns in pixels a frame; 0,-2 pans left; {trained} (default: it rests)"
    parser.add("--pan", velocity, pan)
    area = (
        "the part of the first frame that moves, by --move, while all else rests: a picture that is bright there, or "
        f'two corners row,column of a box, such as "4,2 20,16"; {trained} (default: all moves as the caption says)'
    )
    parser.add("--brush", brush, area)
    move = "how the brushed part moves: rows,columns in pixels a frame (default: nothing is brushed)"
    parser.add("--move", velocity, move)


def steering(options, size):
    """The arguments pan and brush of TextToVideo.draw. size: (height, width) of the clip."""
    if (options.brush is None) != (options.move is None):
        both = '--brush "4,2 20,16" --move 0,2'
        raise InputError(f"--brush says what moves and --move which way; give both, such as {both}")
    how = {} if options.pan is None else {"pan": options.pan}
    if options.brush is not None:
        mask = options.brush if isinstance(options.brush, str) else box(options.brush, size)
        how["brush"] = mask, options.move
    return how


def box(corners, size):
    """A mask, boolean (H, W), of the pixels from one corner (row, column) to the other."""
    import numpy as np

    (top, left), (bottom, right) = np.sort(np.array(corners), axis=0).round().astype(int)
    if top < 0 or left < 0 or bottom >= size[0] or right >= size[1]:
        raise InputError(f"a brush must stay inside pictures of {size[0]}x{size[1]} pixels; change its corners")
    mask = np.zeros(size, bool)
    mask[top : bottom + 1, left : right + 1] = True
    return mask


def load_model(options, clips, rate):
    """The model. Before it is read, InputError unless so many clips can be written to --out in the way asked for."""
    from ..display import check_writable

    strips = Path(options.out).suffix.lower() == ".png"
    if strips:
        require_effect(options, "for a .png, which is a strip of frames", "fps")
    if options.plain and strips:
        raise InputError(f"--plain writes a clip, not strips with captions; give --out a .gif, not {options.out!r}")
    if options.plain and clips > 1:
        raise InputError(f"--plain writes one clip, and these are {clips}; draw them one by one")
    if here().first:
        check_writable(options.out, rate)
    prepare(options)
    from ...generation import TextToVideo

    load = getattr(options, "load", TextToVideo.load)  # the studio has one that shows every step
    model = load(options.weights)
    model.ranks = here()
    return model


def draw_and_write(options, model, prompts, shape, rate, draw, given=False):
    """Draw clips with draw(**drawing), write them to --out and say what they are. Returns them, (B, T, H, W, C).

    prompts: a caption for each clip. shape: of the clips, or larger, for the check that they can be written. given:
    something else is given to draw from, so captions may be empty. Of several ranks all draw, and the first one writes.
    """
    from ..display import check_writable, write_clip, write_grid
    from .caption_notes import say_what_to_expect

    if here().first:
        check_writable(options.out, rate, shape, prompts)
    say_what_to_expect(prompts, model, given)
    about = how_drawn(options, model)
    here().require_alike({"captions": prompts, "shape": shape} | about, "draw")
    began = time.perf_counter()
    video = draw(**drawing(options))
    if not here().first:
        return video
    if options.plain:
        write_clip(options.out, video[0], rate, prompts[0], about)
    else:
        write_grid(options.out, video, captions=prompts, frames_per_second=rate, about=about)
    seconds, (count, frames, height, width, _) = time.perf_counter() - began, video.shape
    print(f"{options.out}: {count} x {frames} frames of {height}x{width}, seed {options.seed}, {seconds:.1f} s")
    print(f"weights {model.name} ({model.fingerprint()})")
    warn_of_weak_weights(model)
    return video


def how_drawn(options, model):
    """How clips are drawn, as their file keeps it."""
    settings = model.settings
    return {
        "command": options.command,
        "seed": options.seed,
        "steps": options.steps or settings.steps,
        "guidance": settings.guidance_scale if options.guidance is None else options.guidance,
        "sampler": options.sampler or settings.sampler,
        "weights": model.name,
        "fingerprint": model.fingerprint(),
    } | {name: value for name in OWN if (value := getattr(options, name, None)) is not None}


def warn_of_weak_weights(model):
    """Say so when noise is all that can be expected, so that nobody searches for a fault."""
    right = model.notes.get("metrics", {}).get("digit_frames")
    if right is not None and right < 0.4:
        steps = model.notes.get("steps") or "an unknown number of"
        note(
            f"these weights had {steps} steps of training and draw the right digit in {right:.0%} of frames; train "
            "longer for legible digits"
        )


def add_sample(commands):
    text = """Draw clips from captions.

    All clips are written into one file. A caption may change on the way: "a 3 moving right, then up".

    'mpiexec -n 4 minivdit sample ...' has four processes draw together: each draws other clips, or other frames of one
    long clip.

    examples:
      minivdit sample "a 3 moving right"
      minivdit sample "a 3 moving right" "a 7 moving up" --seed 4 --out two.gif
      minivdit sample "the digit five drifts down and left" --count 8 --steps 20
      minivdit sample "the digit five drifts down and left" --count 8 --index 6
      minivdit sample "a 3 moving right, then up, then left"
      minivdit sample "a 3 moving right" --weights small --frames 32 --overlap 4
      mpiexec -n 2 minivdit sample "a 3 moving right" --frames 128
      minivdit sample "a 7 moving up" --negative "a 1 moving up"
      minivdit sample "an 8 moving up" --weights small --out strip.png
      minivdit sample "digit: 3, start: upper left" --weights runs/mira
      minivdit sample "a 3 moving right" --path "9,9 9,22" --weights runs/kling
      minivdit sample "a 3 moving right, the camera pans left" --weights runs/kling
      minivdit sample "a 3 moving right" --pan 0,-0.4 --weights runs/kling
      minivdit sample "a 3 moving down" --brush "4,2 24,22" --move 1,0
      minivdit sample "a 3 moving right" --recursive 2 --weights runs/cogvideo
    """
    parser = commands.add(sample, text)
    parser.add("prompt", str, "one or more captions, each in quotes", nargs="+")
    parser.add("--count", whole(1), "how many clips to draw of each caption", 1)
    index = "draw only the clip with this number, counted from 0, the same as among the others (default: all)"
    parser.add("--index", whole(0), index)
    add_shape(parser)
    overlap = (
        "draw a long clip in windows as long as the clips in training; neighbours share this many frames (default: all "
        "frames at once)"
    )
    parser.add("--overlap", whole(1), overlap)
    recursive = (
        "draw key frames first, then the frames between, this many times: 2 begins with every 4th frame; for weights "
        "trained on several frame rates (default: all frames at once)"
    )
    parser.add("--recursive", whole(1, 10), recursive)
    path = (
        "the path of the digit's centre: points row,column in pixels, in quotes; give it twice for two digits; for "
        "weights trained with transformer.control=true (default: as the caption says)"
    )
    parser.add("--path", way_points, path, **SEVERAL)
    add_steering(parser)
    add_output(parser, "8")


def sample(options):
    from ...data.captions import asks_for_digits
    from .caption_notes import say_if_shape_is_new, without_quotes

    if without_quotes(options.prompt):
        raise InputError(f'put the caption in quotes: minivdit sample "{shorten(" ".join(options.prompt))}"')
    prompts, index = [prompt for prompt in options.prompt for _ in range(options.count)], options.index
    drawn = prompts if index is None else prompts[index : index + 1]
    if not drawn:
        raise InputError(f"there is no clip {index} among {len(prompts)}, counted from 0; change --index")
    for prompt in drawn:
        digits, paths = asks_for_digits(prompt), len(options.path or ())
        if 0 < digits < paths:
            raise InputError(f"{paths} paths for {shorten(prompt)!r}, which asks for {digits} digit; give --path once")
    rate = options.fps or USUAL_RATE
    model = load_model(options, len(drawn), rate)
    size, num_frames = options.size or model.settings.size, options.frames or model.settings.num_frames
    if options.recursive:
        alone = ("frames", "size", "index", "path", "pan", "brush", "move", "overlap")
        require_effect(options, "with --recursive", *alone)
        num_frames = (num_frames - 1) * 2**options.recursive + 1
    else:
        model.check_request(len(drawn), num_frames, size, overlap=options.overlap)
        say_if_shape_is_new(model, num_frames if options.overlap is None else model.settings.num_frames, size)
    shape = (len(drawn), num_frames, *size, model.autoencoder.config.image_channels)
    moved = steering(options, size)

    def draw(**how):
        if options.recursive:
            return model.recursive(prompts, options.recursive, **how)
        if options.path:  # the same for all clips
            how["path"] = [options.path] * len(drawn)
        return model.generate(prompts, num_frames, size, index=index, overlap=options.overlap, **moved, **how)

    draw_and_write(options, model, drawn, shape, rate, draw)
