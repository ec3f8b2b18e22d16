"""The page: recordings packed into one HTML file that needs nothing else, neither a server nor the network.

Everything is inside: page.html has page.css, page.js and the data put into it. The weights travel as bytes, compressed
with zlib, which every browser since 2023 reads back by itself.
"""

import base64
import json
import re
import zlib
from html import escape
from pathlib import Path

import numpy as np

from ...base.errors import InputError, shorten
from ..display import to_uint8
from .collect import LEVELS, thin

MOST_BYTES = 5_000_000  # of a page
HERE = Path(__file__).parent

WORDS = {
    "joint": "Any patch of any frame.",
    "framewise": "In turn: inside the own frame; at the same place in all frames.",
    "perframe": "Only inside the own frame.",
    "window": "Only neighbours in space and time: a box, which shifts every other block.",
    "skip": "In turn: every k-th patch, then every k-th run of patches.",
}


def html(recordings, prompt, seed):
    """The page, a str of at most MOST_BYTES.

    recordings: one for each pattern, of one grid. Where they don't all fit, steps are left out, then blocks.
    Raises InputError where not even one block at one step fits.
    """
    parts = {
        (number, *which): _packed(one)
        for number, recording in enumerate(recordings)
        for which, one in recording.maps.items()
    }
    clips = [_base64(to_uint8(recording.video).tobytes()) for recording in recordings]
    files = {name: (HERE / f"page.{name}").read_text(encoding="utf-8") for name in ("html", "css", "js")}
    for steps, blocks in _choices(recordings[0]):
        data = _data(recordings, prompt, seed, steps, blocks, parts, clips)
        # "<" only stands inside strings of JSON, and there it must not begin "</script>".
        filled = {**files, "data": json.dumps(data).replace("<", "\\u003c")}
        filled["title"] = escape(shorten(prompt or "no caption", 200))
        page = _fill(files["html"], filled)
        if len(page.encode()) <= MOST_BYTES:
            return page
    raise InputError(
        f"not even one block's weights at one step fit into a page of {MOST_BYTES / 1e6:g} MB; draw a shorter or a "
        "smaller clip, or give fewer weights"
    )


def _fill(template, texts):
    """The template with {{name}} replaced by the text of that name: in one pass, since a text may hold "{{data}}"."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: texts[found[1]], template)


def _choices(recording):
    """Which (steps, blocks) to keep, from all of them to one of each."""
    steps, blocks = list(recording.steps), range(len(recording.patterns))
    for count in range(len(steps), 0, -1):
        yield thin(steps, count), list(blocks)
    for count in range(len(blocks) - 1, 0, -1):
        yield thin(steps, 1), thin(blocks, count)


def _data(recordings, prompt, seed, steps, blocks, parts, clips):
    """What page.js reads."""
    first = recordings[0]
    return {
        "prompt": prompt,
        "grid": first.grid,
        "patchFrames": first.patch_frames,
        "clip": first.video.shape,
        "heads": first.heads,
        "levels": LEVELS,
        "steps": [{"number": step + 1, "level": round(first.steps[step], 3)} for step in steps],
        "blocks": [block + 1 for block in blocks],
        "start": brightest(first),
        "colours": _colours(),
        "about": about(recordings, seed, steps, blocks),
        "recordings": [
            {
                "name": recording.name,
                "words": WORDS.get(recording.name, ""),
                "weights": recording.weights,
                "patterns": [recording.patterns[block] for block in blocks],
                "groups": [_groups(recording.links[block]) for block in blocks],
                "reach": recording.reach.tolist(),
                "video": clips[number],
                "maps": [[parts[number, step, block] for block in blocks] for step in steps],
            }
            for number, recording in enumerate(recordings)
        ],
    }


def about(recordings, seed, steps, blocks):
    """How the page was made and what it leaves out, in sentences."""
    first, depth = recordings[0], len(recordings[0].patterns)
    numbers = ", ".join(str(step + 1) for step in steps)
    kept = "all" if len(blocks) == depth else f"{len(blocks)} ({', '.join(str(block + 1) for block in blocks)})"
    return [
        f"All patterns drew from the same caption and the same noise, seed {seed}.",
        f"Kept: {len(steps)} of {first.total} denoising steps ({numbers}), {kept} of {depth} blocks, all "
        f"{first.heads} heads.",
        "Left out: the other steps, how patches look at the words of the caption, and the half of guidance that "
        "doesn't know the caption.",
        f"Weights are rounded to {LEVELS} levels between 0 and the largest of each patch in each head.",
    ]


def brightest(recording):
    """The token with the most ink in the middle frame: a patch to begin with."""
    times, rows, columns = recording.grid
    frame = recording.video[times // 2 * recording.patch_frames].max(axis=-1)
    ink = frame.reshape(rows, len(frame) // rows, columns, -1).sum(axis=(1, 3))
    return int(times // 2 * rows * columns + ink.argmax())


def _packed(rounded):
    return _base64(rounded.scale.astype("<f4").tobytes() + rounded.levels.tobytes())


def _base64(content):
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _groups(link):
    """Who may look at whom, (N, N), in few characters: rows that differ, in bits, and which of them each token has."""
    rows, which = np.unique(link, axis=0, return_inverse=True)
    return {"rows": _base64(np.packbits(rows, axis=1).tobytes()), "which": which.reshape(-1).tolist()}


def _colours():
    """256 colours from dark to bright that all eyes tell apart, and from the grey of hatching: viridis."""
    from matplotlib import colormaps

    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue, _ in colormaps["viridis"](range(256), bytes=True)]
