"""The commands that draw: what they are called, and which options they take. What they do is in drawing_commands.py."""

from . import drawing_commands
from .arguments import number, path, seed, whole
from .options import add_device, add_drawing, add_output, add_shape, add_weights

FIT = (
    "make any picture one that the weights know: grey, light on dark, of their size. scale shows the whole picture, "
    "crop fills the frame and cuts the rest off, pad puts the picture as it is on black (default: refuse others)"
)


def add_sample(listed):
    sample = listed.add(
        "sample",
        drawing_commands.sample,
        "draw clips from captions",
        [
            'minivdit sample "a 3 moving right"',
            'minivdit sample "a 3 moving right" "a 7 moving up" --seed 4 --out two.gif',
            'minivdit sample "the digit five drifts down and left" --count 8 --steps 20',
            'minivdit sample "the digit five drifts down and left" --count 8 --index 6',
            'minivdit sample "a 3 moving right, then up"',
            'minivdit sample "a 7 moving up" --negative "a 1 moving up"',
            'minivdit sample "an 8 moving up" --weights small --out strip.png',
        ],
    )
    sample.add_argument("prompt", nargs="+", help="one or more captions, each in quotes")
    sample.add_argument("--count", type=whole(1), default=1, metavar="N", help="how many clips to draw of each caption")
    index = "draw only this one of all these clips, counted from 0, as it would be among them (default: all)"
    sample.add_argument("--index", type=whole(0), metavar="N", help=index)
    add_shape(sample)
    add_output(sample, "8")


def add_abilities(listed):
    """The commands that draw from files."""

    def ability(run, summary, examples, *files, frames=None):
        """Its parser: the names of the files, a caption, and how many frames if it takes that."""
        made = listed.add(run.__name__, run, summary, examples)
        for name, meaning in files:
            made.add_argument(name, metavar=name.upper(), type=path, help=meaning)
        made.add_argument("prompt", nargs="?", default="", help="a caption, in quotes (default: none)")
        if frames:
            made.add_argument("--frames", type=whole(1), metavar="N", help=frames)
        made.add_argument("--fit", choices=("scale", "crop", "pad"), help=FIT)
        add_output(made)
        return made

    a_clip = ("clip", "a file of one clip or picture; of several clips in a file, clip.gif#0 is the first")
    length = "number of frames of the clip (default: as in training)"
    ability(
        drawing_commands.animate,
        "draw a clip that begins with a picture",
        ['minivdit animate three.png "a 3 moving right"', 'minivdit animate three.png "a 3 moving up" --frames 24'],
        ("image", "a picture, or a clip whose first frame is taken"),
        frames=length,
    )
    keys = ability(
        drawing_commands.keyframes,
        "draw a clip with pictures at given times",
        ['minivdit keyframes "a 3 moving right" --at 0 first.png --at 15 last.png'],
        frames=length,
    )
    times = "a picture, and the number of the frame that it is (the first is 0); may be given several times"
    keys.add_argument("--at", nargs=2, action="append", required=True, type=path, metavar=("TIME", "FILE"), help=times)
    longer = ability(
        drawing_commands.extend,
        "draw what follows a clip, or what came before it",
        [
            'minivdit extend clip.gif "a 3 moving right" --frames 32',
            'minivdit extend clip.gif "a 3 moving right" --backwards',
        ],
        a_clip,
        frames="how many frames to add (default: half a clip's length in training)",
    )
    longer.add_argument("--backwards", action="store_true", help="add frames before the clip instead of after it")
    denser = ability(
        drawing_commands.interpolate,
        "draw more frames between the frames of a clip",
        ['minivdit interpolate clip.gif "a 3 moving right" --factor 3'],
        a_clip,
    )
    denser.add_argument(
        "--factor", type=whole(2, 1000), default=2, metavar="N", help="how many times as many frames there will be"
    )
    ability(
        drawing_commands.connect,
        "draw what leads from one clip to another",
        ['minivdit connect one.gif two.gif "a 3 moving right"'],
        ("before", "the first clip"),
        ("after", "the second clip, of the same size"),
        frames="how many frames to draw between them (default: half a clip's length in training)",
    )
    add_changes(ability, a_clip, length)


def add_changes(ability, a_clip, length):
    """The abilities that draw what is there anew."""
    ring = ability(
        drawing_commands.loop,
        "draw a clip that can be repeated without end",
        ['minivdit loop "a 0 moving quickly down"', 'minivdit loop "a 3 moving right" --image three.png --frames 24'],
        frames=length,
    )
    ring.add_argument("--image", metavar="FILE", help="a picture for the first frame (default: it is drawn)")
    changed = ability(
        drawing_commands.edit,
        "change what a clip shows",
        ['minivdit edit clip.gif "an 8 moving right" --level 0.8'],
        a_clip,
    )
    level = "how much noise the clip is put under, up to 1: the more, the freer the change"
    changed.add_argument("--level", type=number(0, 1), default=0.7, metavar="X", help=level)
    part = ability(
        drawing_commands.inpaint,
        "draw a part of a clip anew",
        [
            'minivdit inpaint clip.gif "a 3 moving right" --mask mask.png',
            'minivdit inpaint clip.gif "a 3 moving right" --from 4 --to 11',
        ],
        a_clip,
    )
    part.add_argument(
        "--mask", metavar="FILE", help="a picture that is bright where to draw (default: draw everywhere)"
    )
    part.add_argument("--from", dest="start", type=whole(0), default=0, metavar="N", help="first frame to draw anew")
    part.add_argument("--to", type=whole(0), metavar="N", help="last frame to draw anew (default: the clip's last)")


def add_explore(listed):
    page = listed.add(
        "explore",
        drawing_commands.explore,
        "write a page that shows where each patch looks",
        [
            'minivdit explore "a 3 moving right"',
            'minivdit explore "a 3 moving right" --weights joint --restrict framewise',
            'minivdit explore "a 7 moving up" --weights joint --weights perframe',
        ],
    )
    page.add_argument("prompt", help="a caption, in quotes")
    add_weights(page, "joint, framewise and perframe, side by side", action="append")
    restrict = "patterns in which the first weights are shown, too, with commas between them (default: none)"
    page.add_argument("--restrict", default="", metavar="A,B", help=restrict)
    page.add_argument(
        "--moments", type=whole(1, 10_000), default=4, metavar="N", help="how many denoising steps the page shows"
    )
    add_shape(page)
    page.add_argument("--out", default="explorer.html", metavar="FILE", help="name of the page")
    page.add_argument("--seed", type=seed, default=0, metavar="N", help="the same seed draws the same clip")
    add_drawing(page)
    add_device(page)
