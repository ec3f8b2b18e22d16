"""`minivdit data`: MNIST fetched, or the training clips shown."""

from pathlib import Path

from .groups import add_digits, require_data
from .options import output_folder, require_effect, seed, size, whole


def add_data(commands):
    text = """Show training clips, or fetch MNIST.

    examples:
      minivdit data                      pictures of clips, in data-preview/
      minivdit data preview --size 48x96 --frames 24 --digits strokes
      minivdit data download             MNIST into the cache folder, checked
      MINIVDIT_DATA=~/sets minivdit data download
    """
    parser = commands.add(data, text)
    parser.add("action", ("preview", "download"), "show clips, or fetch MNIST", "preview", nargs="?")
    parser.add("--out", output_folder, "folder for the pictures", "data-preview")
    parser.add("--size", size, "height x width in pixels (default: 64x64)", (64, 64))
    parser.add("--frames", whole(1), "number of frames of a clip", 16)
    digit_size = "height and width of a digit in pixels (default: 28, or half of a small clip)"
    parser.add("--digit-size", whole(8, 10_000), digit_size)
    parser.add("--count", whole(1, 1000), "how many clips to show", 9)
    parser.add("--seed", seed, "another seed shows other clips", 0)
    add_digits(parser)


def data(options):
    if options.action == "download":
        require_effect(options, "on a download", *options.given - {"action", "data"})
        return download(options.data)
    require_data(options, options.digits)
    import numpy as np

    from ...base import machine
    from ...data import CaptionedClips, digit_source
    from ...data.moving_mnist import check_canvas
    from .. import display
    from ..display.classic import classic_moving_mnist

    height, width = options.size
    digit_size = options.digit_size or min(28, min(height, width) // 2)
    check_canvas(options.size, options.frames, digit_size)
    clip = 40 * options.frames * height * width  # bytes: as numbers, and as they are drawn, shrunk and written
    machine.require_memory(lambda count: count * clip, options.count, "count")
    generator = np.random.default_rng(options.seed)
    source = digit_source(options.digits, "train", options.data)
    maker = CaptionedClips(source, options.size, options.frames, digit_size, held_out="include")
    clips = maker.batch(generator, options.count)
    classic, _ = classic_moving_mnist(source, generator, options.count)
    out = Path(options.out)
    display.write_grid(out / "captioned.gif", clips.video, captions=clips.captions)
    display.write_strips(out / "captioned.png", clips.video, clips.captions)
    display.write_grid(out / "classic.gif", classic)
    print(f"digits: {source.name}; captioned clips: {options.frames} frames of {height}x{width}")
    for name in ("captioned.gif", "captioned.png", "classic.gif"):
        print(out / name)


def download(folder):
    """Fetch MNIST into a folder, or into the usual one if that is None."""
    from ...data.mnist import data_directory, load_mnist

    for split in ("train", "test"):
        images, _ = load_mnist(split, folder, replace=True)
        print(f"MNIST {split}: {len(images):,} digits, verified")
    print(f"in {data_directory(folder)}")
