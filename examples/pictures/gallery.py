"""The strips in results: the first that are drawn, none left out.

python examples/pictures/gallery.py

gallery.png in examples/results/perframe, framewise and full: the same captions, drawn by each from the same noise.
gallery.png in examples/results/small: one digit each; in examples/results/colour: of colours.
"""

import argparse
from pathlib import Path

from minivdit.generation import TextToVideo
from minivdit.lab.display import write_strips

RESULTS = Path(__file__).parents[1] / "results"
CAPTIONS = [
    "a 0 moving right",
    "a 2 moving down",
    "a 4 moving quickly up",
    "a 6 moving down and left",
    "a 3 moving right and a 7 moving up",
    "a 1 moving quickly left and a 5 moving down",
    "an 8 moving up and a 9 moving slowly right",
    "a 0 moving down and right and a 4 moving left",
]

ONE_DIGIT = [
    "a 0 moving down and right",
    "a 1 moving quickly up and right",
    "a 2 moving slowly up",
    "a 3 moving right",
    "a 4 moving left",
    "a 5 moving down",
    "a 6 moving down and left",
    "a 7 moving up and left",
    "an 8 moving quickly left",
    "a 9 moving up",
]
COLOURED = [
    "a red 0 moving right",
    "a green 2 moving down",
    "a blue 4 moving quickly up",
    "a yellow 6 moving down and left",
    "a cyan 3 moving right and a red 7 moving up",
    "a magenta 1 moving quickly left and a green 5 moving down",
    "a white 8 moving up and a blue 9 moving slowly right",
    "a yellow 0 moving down and right and a magenta 4 moving left",
]
GALLERIES = (
    ("perframe", "perframe", CAPTIONS),
    ("framewise", "framewise", CAPTIONS),
    ("joint", "full", CAPTIONS),
    ("small", "small", ONE_DIGIT),
    ("colour", "colour", COLOURED),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name, folder, captions in GALLERIES:
        model, strips = TextToVideo.load(name), RESULTS / folder / "gallery.png"
        write_strips(strips, model.generate(captions, seed=options.seed), captions)
        print(f"{name} ({model.fingerprint()}), seed {options.seed}: {strips}")


if __name__ == "__main__":
    main()
