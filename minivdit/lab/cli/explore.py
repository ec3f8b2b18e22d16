"""`minivdit explore`: a page that shows where each patch looks."""

import time
from pathlib import Path

from ...base.console import note
from ...base.errors import InputError
from .draw import warn_of_weak_weights
from .groups import add_device, add_drawing, add_shape, add_weights, drawing, prepare
from .options import names, output_file, whole


def add_explore(commands):
    text = """Write a page that shows where each patch looks.

    A clip is drawn and written as one HTML page. Click on a patch to see which patches it attended to. The page needs
    no network. Several weights are shown side by side, each with the attention pattern of its training.

    --restrict also shows the first weights with other patterns. They weren't trained with those, and the page says so.

    examples:
      minivdit explore "a 3 moving right"
      minivdit explore "a 3 moving right" --weights joint --restrict framewise
      minivdit explore "a 7 moving up" --weights joint --weights perframe
    """
    parser = commands.add(explore, text)
    parser.add("prompt", str, "a caption, in quotes")
    add_weights(parser, "joint, framewise and perframe, side by side", action="append")
    restrict = "patterns in which the first weights are shown, too, with commas between them (default: none)"
    parser.add("--restrict", names, restrict, [])
    parser.add("--moments", whole(1, 10_000), "how many denoising steps the page shows", 4)
    add_shape(parser)
    parser.add("--out", output_file, "name of the page", "explorer.html")
    add_drawing(parser)
    add_device(parser)


def explore(options):
    if Path(options.out).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"can't write a page to {options.out!r}; choose a name that ends in .html")
    prepare(options)
    from .. import explorer
    from .caption_notes import say_what_to_expect

    models = explorer.load(options.weights)
    steps = options.steps or models[0].settings.steps
    if options.moments > steps and "moments" in options.given:
        note(f"there are {steps} denoising steps, so the page shows {steps}, not {options.moments}")
    say_what_to_expect([options.prompt], models[0])
    began, moments = time.perf_counter(), min(options.moments, steps)
    how = {"num_frames": options.frames, "size": options.size, **drawing(options)}
    page = explorer.explore(options.prompt, models, options.restrict, moments, **how)
    size, patterns = page.save(options.out), ", ".join(recording.name for recording in page.recordings)
    print(f"{options.out}: {patterns}; {size / 1e6:.1f} MB, {time.perf_counter() - began:.1f} s; open it in a browser")
    for model in models:
        warn_of_weak_weights(model)
