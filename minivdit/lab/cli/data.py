"""`minivdit data`: MNIST fetched, or training clips shown, those of digits or those of a folder."""

import dataclasses
import math
import shlex
from collections import Counter
from pathlib import Path

from ...base.errors import InputError, did_you_mean, shorten
from .groups import add_digits, require_data
from .options import number, output_folder, path, require_effect, seed, shown_as, size, whole

# Those of data/own_clips.py, which would import NumPy.
FITS, MOMENTS, SHORT = ("scale", "crop", "pad", "random"), ("random", "start", "whole"), ("hold", "loop", "refuse")
OF_A_FOLDER = ("fit", "rate", "moment", "short", "grey", "rare", "held_out", "skip")  # options for its clips alone


def add_data(commands):
    text = """Show training clips, of digits or of a folder, or fetch MNIST.

    A folder may hold .gif, .png, .webp, .mp4, .webm, .mov, .mkv, .avi, .npy and .npz, and folders of numbered
    pictures. Captions are in metadata.jsonl or metadata.csv, as file_name and text, or in clip.txt beside clip.gif.
    The pictures show what a network would see: clips of one size, length and frame rate, and plain words. The last
    line is the command that trains on the folder as it is shown.

    Decoded clips are kept in the folder clips of minivdit's cache folder. You may remove them at any time.

    examples:
      minivdit data                      pictures of clips, in data-preview/
      minivdit data preview --size 48x96 --frames 24 --digits strokes
      minivdit data preview --colors
      minivdit data download             MNIST into the cache folder, checked
      MINIVDIT_DATA=~/sets minivdit data download
      minivdit data own_clips            what a folder holds, and pictures of it
      minivdit data own_clips --size 48 --frames 16 --rate 4 --grey --skip
    """
    parser = commands.add(data, text)
    action = "preview: show clips of digits; download: fetch MNIST; or a folder of clips"
    parser.add("action", path, action, "preview", nargs="?", metavar="FOLDER")
    parser.add("--out", output_folder, "folder for the pictures", "data-preview")
    parser.add("--size", size, "height x width in pixels (default: 64x64, of a folder's clips 32x32)")
    parser.add("--frames", whole(1), "number of frames of a clip (default: 16, of a folder's clips 8)")
    digit_size = "height and width of a digit in pixels (default: 28, or half of a small clip)"
    parser.add("--digit-size", whole(8, 10_000), digit_size)
    parser.add("--count", whole(1, 1000), "how many clips to show", 9)
    parser.add("--seed", seed, "another seed shows other clips", 0)
    add_digits(parser)
    parser.add("--colors", bool, "digits in colour")
    parser.add("--fit", FITS, "how a folder's clips get the size; crop takes the middle, random takes any part", "crop")
    parser.add("--rate", rate, "frames a second to take of a folder's clips; 0 takes every frame", 8.0)
    moment = "which frames of a longer clip to take: a random part, the start, or frames of the whole"
    parser.add("--moment", MOMENTS, moment, "random")
    parser.add("--short", SHORT, "a clip that is too short: hold its last frame, begin again, or refuse it", "hold")
    parser.add("--grey", bool, "clips in grey, not in colour")
    parser.add("--rare", whole(1), "leave out words that are in fewer captions than this", 1)
    parser.add("--held-out", number(0, 0.9), "about what share of the clips to keep out of the training", 0.1)
    parser.add("--skip", bool, "leave out files and lines that can't be used, and go on")


@shown_as("X")
def rate(text):
    """Frames a second, or 0."""
    return 0.0 if text == "0" else number(0, 1000)(text)


def data(options):
    if options.action == "download":
        require_effect(options, "on a download", *options.given - {"action", "data"})
        return download(options.data)
    if options.action != "preview":
        require_effect(options, "for clips of a folder", "digits", "digit_size", "data", "colors")
        return preview_folder(options)
    require_effect(options, "without a folder of clips", *OF_A_FOLDER)
    require_data(options, options.digits)
    import numpy as np

    from ...data import CaptionedClips, digit_source
    from ...data.moving_mnist import check_canvas
    from .. import display
    from ..display.classic import classic_moving_mnist

    options.size, options.frames = options.size or (64, 64), options.frames or 16
    height, width = options.size
    digit_size = options.digit_size or min(28, min(height, width) // 2)
    check_canvas(options.size, options.frames, digit_size)
    require_room(options.count, (3 if options.colors else 1, options.frames, *options.size))
    generator = np.random.default_rng(options.seed)
    source = digit_source(options.digits, "train", options.data)
    how = {"held_out": "include", "colors": options.colors}
    maker = CaptionedClips(source, options.size, options.frames, digit_size, **how)
    clips = maker.batch(generator, options.count)
    classic, _ = classic_moving_mnist(source, generator, options.count)
    out = Path(options.out)
    display.write_grid(out / "captioned.gif", clips.video, captions=clips.captions)
    display.write_strips(out / "captioned.png", clips.video, clips.captions)
    display.write_grid(out / "classic.gif", classic)
    print(f"digits: {source.name}; captioned clips: {options.frames} frames of {height}x{width}")
    for name in ("captioned.gif", "captioned.png", "classic.gif"):
        print(out / name)


def require_room(count, shape):
    """InputError unless so many clips of this shape fit into memory: as numbers, and as they are drawn and written."""
    from ...base import machine

    machine.require_memory(lambda count: 40 * count * math.prod(shape), count, "count")


def download(folder):
    """Fetch MNIST into a folder, or into the usual one if that is None."""
    from ...data.mnist import data_directory, load_mnist

    for split in ("train", "test"):
        images, _ = load_mnist(split, folder, replace=True)
        print(f"MNIST {split}: {len(images):,} digits, verified")
    print(f"in {data_directory(folder)}")


def preview_folder(options):
    """Say what a folder of clips holds, and draw what a network would see of it."""
    if not Path(options.action).is_dir():
        near = did_you_mean(options.action, ("preview", "download"))
        raise InputError(f"there is no folder {shorten(options.action)!r}; give one in which clips lie{near}")
    import numpy as np

    from ...data.own_clips import ClipFolder, ClipSettings
    from .. import display

    settings = ClipSettings(
        size=options.size or ClipSettings.size,
        num_frames=options.frames or ClipSettings.num_frames,
        channels=1 if options.grey else 3,
        frames_per_second=options.rate,
        **{name: getattr(options, name) for name in ("fit", "moment", "short", "rare", "held_out")},
    )
    require_room(options.count, (settings.channels, settings.num_frames, *settings.size))
    folder = ClipFolder(options.action, settings)
    for line in told(folder):
        print(line.replace("\n", "\\n"))  # of a file's name
    if folder.problems and not options.skip:
        raise InputError(
            f"{len(folder.problems)} of the files and lines named above can't be used; correct them, or go on without "
            "them (--skip)"
        )
    clips, generator = folder.clips("all"), np.random.default_rng(options.seed)
    shown = clips.cut(clips.draw(generator, generator.permutation(len(clips.names))[: options.count]))
    out, speed = Path(options.out), min(options.rate or 8, display.RATES[".gif"][1])
    display.write_grid(out / "clips.gif", shown.video, captions=shown.captions, frames_per_second=speed)
    display.write_strips(out / "clips.png", shown.video, shown.captions)
    for name in ("clips.gif", "clips.png"):
        print(out / name)
    print(f"next: {training_on(options, settings)}")


def training_on(options, settings):
    """The command that trains on a folder as it is shown; or why none does."""
    from ...training import presets

    usual = presets.get("own")
    try:
        coder = dataclasses.replace(usual.autoencoder, image_channels=settings.channels)
        preset = dataclasses.replace(usual, data=settings, autoencoder=coder)
    except InputError as error:
        return f"a network can't learn these yet: {error}"
    changed = [word for assignment in presets.assignments(preset, usual) for word in ("--set", assignment)]
    words = ["minivdit", "train", "own", "--clips", options.action, *changed, *["--skip"] * options.skip]
    return shlex.join(map(str, words))


def told(folder):
    """What a ClipFolder holds, line by line."""
    settings, clips = folder.settings, [folder.cache.clips[entry.name] for entry in folder.entries]
    held_out = sum(map(folder.is_held_out, folder.entries))
    yield f"{folder.folder}: {counted(len(clips))}, {len(clips) - held_out} for training and {held_out} held out"
    if clips:
        yield from _told_of_pictures(settings, clips)
        yield from _told_of_words(folder)
    yield from (f"note: {note}" for note in folder.notes)
    yield from (f"can't be used: {problem}" for problem in folder.problems)


def _told_of_pictures(settings, clips):
    from ...data.own_clips import SHORT

    lengths = Counter(clip.shape[0] for clip in clips)
    speed = f"{settings.frames_per_second:g} a second" if settings.frames_per_second else "all there are"
    yield f"frames, {speed}: {with_counts(lengths)}; a network sees {settings.num_frames}"
    if short := [clip.name for clip in clips if clip.shape[0] < settings.num_frames]:
        yield f"shorter ({SHORT[settings.short]}): {some(short)}"
    sizes = Counter(f"{height}x{width}" for height, width in (clip.size for clip in clips))
    height, width = settings.size
    kind = "grey" if settings.channels == 1 else "colour"
    yield f"height x width: {with_counts(sizes)}; a network sees {height}x{width} in {kind}"


def _told_of_words(folder):
    silent = [entry.name for entry, caption in zip(folder.entries, folder.captions) if not caption]
    left_out = []
    if folder.left_out:
        least = folder.settings.rare
        few = f"fewer than {least} captions of training have" if least > 1 else "no caption of training has"
        left_out = [f"left out, since {few} them: {some(folder.left_out)}"]
    if len(silent) == len(folder.entries):
        yield from (*left_out, f"{why_no_words(folder)}; a network learns to draw without one")
        return
    lengths = [caption.count(" ") + 1 for caption in folder.captions if caption]
    length = " to ".join(map(str, dict.fromkeys((min(lengths), max(lengths)))))
    yield f"{len(folder.words)} words, {length} in a caption: {with_counts(folder.counts)}"
    if once := [word for word, count in folder.counts.items() if count == 1]:
        yield f"in one caption only, which is too few to learn from: {some(once)}"
    yield from left_out
    if silent:
        yield f"without a caption: {some(silent)}"


def why_no_words(folder):
    """Of a ClipFolder in whose captions is none."""
    return "all words of the captions are left out" if folder.left_out else "no clip has a caption"


def counted(clips):
    """'1 clip', '2 clips'."""
    return f"{clips} clip{'s' * (clips != 1)}"


def some(names, most=20):
    """Names with commas between them; of many the first."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def with_counts(counts):
    """The most frequent first: 'a (36), ball (12)'."""
    return some(f"{name} ({count})" for name, count in sorted(counts.items(), key=lambda pair: -pair[1]))
