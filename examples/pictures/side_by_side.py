"""The first picture in README: the same captions drawn frame by frame, frame-wise and jointly, from the same noise.

python examples/pictures/side_by_side.py

The rule was fixed before drawing: seed 0, and of the captions in gallery.py the first two with one digit and the first
two with two. What came is shown, whatever it was.
"""

from pathlib import Path

import numpy as np
from gallery import CAPTIONS
from PIL import Image, ImageDraw, ImageFont

from minivdit.generation import TextToVideo
from minivdit.lab.display import tile, to_uint8, upscale, write_clip

OUT = Path(__file__).with_suffix(".gif")
SEED = 0
SHOWN = [CAPTIONS[i] for i in (0, 1, 4, 5)]
ROWS = {"perframe": "frame\nby frame", "framewise": "frame-\nwise", "joint": "joint"}
LEFT, TOP, GREY, WHITE = 84, 44, 40, 230  # margins for words, in pixels; the tiles' own ground


def labelled(grid, side):
    """Frames (T, H, W, 1) of the grid with a word before every row and a caption above every column."""
    frames, height, width, _ = grid.shape
    canvas = Image.new("L", (LEFT + width, TOP + height), GREY)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=12)
    step = (width - 4) / len(SHOWN)
    for column, caption in enumerate(SHOWN):
        words = caption.replace(" and ", "\nand ")
        place = (LEFT + 4 + step * column + side / 2, TOP / 2)
        draw.multiline_text(place, words, WHITE, font, anchor="mm", align="center")
    for row, words in enumerate(ROWS.values()):
        place = (LEFT / 2, TOP + 4 + (height - 4) / len(ROWS) * row + side / 2)
        draw.multiline_text(place, words, WHITE, font, anchor="mm", align="center")
    whole = np.repeat(np.asarray(canvas)[None, :, :, None], frames, axis=0)
    whole[:, TOP:, LEFT:] = grid
    return whole


def main():
    drawn = []
    for name in ROWS:
        model = TextToVideo.load(name)
        drawn.append(model.generate(SHOWN, seed=SEED))
        print(f"{name} ({model.fingerprint()}), seed {SEED}")
    clips = upscale(to_uint8(np.concatenate(drawn)))
    write_clip(OUT, labelled(tile(clips, columns=len(SHOWN)), clips.shape[3]), 8)
    print(f"{OUT}: {OUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
