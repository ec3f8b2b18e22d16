"""The clips on README's first screen and the strips in results: the first that are drawn, none left out.

python pictures/gallery.py

pictures/side_by_side.gif: the first two prompts with one digit and the first two with two, drawn frame by frame,
frame-wise and jointly from the same noise. gallery.png in results/perframe, framewise and full: strips of all prompts.
"""

import argparse
from pathlib import Path

import numpy as np

from minivdit.display import write_grid, write_strips
from minivdit.generation import TextToVideo

HERE = Path(__file__).parent
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

FIRST = [0, 1, 4, 5]
RESULTS = HERE.parent / "results"

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--seed", type=int, default=1)
options = parser.parse_args()

drawn = {}
for name, folder in (("perframe", "perframe"), ("framewise", "framewise"), ("joint", "full")):
    model, strips = TextToVideo.load(name), RESULTS / folder / "gallery.png"
    drawn[name] = model.generate(CAPTIONS, seed=options.seed)
    write_strips(strips, drawn[name], CAPTIONS)
    print(f"{name} ({model.fingerprint()}), seed {options.seed}: {strips}")

rows = [(name, i) for name in drawn for i in FIRST]
labels = [f"{name}: {CAPTIONS[i]}" for name, i in rows]
write_grid(
    HERE / "side_by_side.gif", np.stack([drawn[name][i] for name, i in rows]), captions=labels, columns=len(FIRST)
)
