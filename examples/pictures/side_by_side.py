"""The same captions drawn frame by frame, frame-wise and jointly, from the same noise: in grey, and in colours.

python examples/pictures/side_by_side.py

The rule was fixed before drawing: seed 0, and of the captions in gallery.py the first two with one digit and the first
two with two. What came is shown, whatever it was.
"""

from pathlib import Path

import numpy as np
from gallery import CAPTIONS, COLOURED
from PIL import Image, ImageDraw, ImageFont

from minivdit.generation import TextToVideo
from minivdit.lab.display import tile, to_uint8, upscale, write_clip

FOLDER, SEED = Path(__file__).parent, 0
ROWS = {"perframe": "frame\nby frame", "framewise": "frame-\nwise", "joint": "joint"}
# For each picture: the weights of its rows, and the captions.
PICTURES = {
    "side_by_side": (tuple(ROWS), CAPTIONS),
    "side_by_side_colour": (("colour-perframe", "colour-framewise", "colour"), COLOURED),
}
LEFT, TOP, GREY, WHITE = 84, 44, 40, 230  # margins for words, in pixels; the tiles' own ground


def labelled(grid, captions, side):
    """Frames (T, H, W, C) of the grid with a word before every row and a caption above every column."""
    frames, height, width, channels = grid.shape
    canvas = Image.new("L", (LEFT + width, TOP + height), GREY)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=12)
    step = (width - 4) / len(captions)
    for column, caption in enumerate(captions):
        words = caption.replace(" and ", "\nand ")
        place = (LEFT + 4 + step * column + side / 2, TOP / 2)
        draw.multiline_text(place, words, WHITE, font, anchor="mm", align="center")
    for row, words in enumerate(ROWS.values()):
        place = (LEFT / 2, TOP + 4 + (height - 4) / len(ROWS) * row + side / 2)
        draw.multiline_text(place, words, WHITE, font, anchor="mm", align="center")
    whole = np.tile(np.asarray(canvas)[None, :, :, None], (frames, 1, 1, channels))
    whole[:, TOP:, LEFT:] = grid
    return whole


def main():
    for picture, (names, captions) in PICTURES.items():
        shown, drawn = [captions[i] for i in (0, 1, 4, 5)], []
        for name in names:
            model = TextToVideo.load(name)
            drawn.append(model.generate(shown, seed=SEED))
            print(f"{name} ({model.fingerprint()}), seed {SEED}")
        clips, path = upscale(to_uint8(np.concatenate(drawn))), FOLDER / f"{picture}.gif"
        write_clip(path, labelled(tile(clips, columns=len(shown)), shown, clips.shape[3]), 8)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
