"""The clips on README's first screen and the strips in results/full: the first that are drawn, none left out.

python pictures/gallery.py                   writes pictures/gallery.gif and results/full/gallery.png
"""

import argparse
from pathlib import Path

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

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--weights", help="a file of weights, or the name of shipped ones; joint unless given")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--gif", default=HERE / "gallery.gif")
parser.add_argument("--strips", default=HERE.parent / "results" / "full" / "gallery.png")
options = parser.parse_args()

model = TextToVideo.load(options.weights)
video = model.generate(CAPTIONS, seed=options.seed)
write_grid(options.gif, video, captions=CAPTIONS, columns=4)
write_strips(options.strips, video, CAPTIONS)
print(f"{options.gif} and {options.strips}: weights {model.fingerprint()}, seed {options.seed}")
