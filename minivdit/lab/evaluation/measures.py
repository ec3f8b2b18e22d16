"""The measures: what is said of clips, how it is added up, and which spoilt clips show what chance would reach.

Evaluations, comparisons and previews each show some of them. How a clip's value is found stands in metrics.py
and frechet.py.
"""

from dataclasses import dataclass

from .statistics import Estimate


@dataclass(frozen=True)
class Measure:
    """One measure. Its ceiling is what real clips of the same captions reach.

    name: of the clips' values (Scores.values) or of the distance (Scores.distances). title: in words, short.
    unit: "share" (from 0 to 1), "degrees", "number", or "distance" between two sets of clips. floor: the
    spoilt real clips, of controls.CONTROLS, that show what chance reaches; "" where there are none. longer: the title
    at more length.
    """

    name: str
    title: str
    unit: str = "share"
    floor: str = ""
    longer: str = ""

    @property
    def meaning(self):
        """What it is, in a sentence."""
        return self.longer or self.title

    @property
    def share(self):
        """Whether its figures are shares."""
        return self.unit == "share"

    @property
    def form(self):
        """How its figures are formatted."""
        return {"distance": ".3f", "degrees": ".1f"}.get(self.unit, ".2f")

    def over_clips(self, values):
        """The Estimate of a set of clips, from a value for each."""
        return (Estimate.share if self.share else Estimate.average)(values)


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("digit_frames", "frames that show the digit asked for", floor="other captions"),
        Measure("digit", "digits read most often as the one asked for", floor="other captions"),
        Measure("direction", "digits that set off in the direction asked for", floor="other captions"),
        Measure(
            "obeys",
            "obeys: its digits, their directions, nothing else",
            floor="other captions",
            longer="clips with each digit read in half of the frames or more, moving in its direction, and nothing "
            "else; in clips with colours, of its colour in half of them, too",
        ),
        Measure(
            "flawless",
            "flawless: obeys, and nothing is wrong in any frame",
            floor="other captions",
            longer="clips that obey, in which digits stay on their paths and stay alike, with no other ink",
        ),
        Measure("colour", "frames in which the digit has the colour asked for", floor="other captions"),
        Measure("speed", "digits nearest to the speed asked for"),
        Measure("number", "frames with as many digits as asked for"),
        Measure("one_class", "digits read as one class in every frame", floor="recombined"),
        Measure("likeness", "correlation with the digit's first picture"),
        Measure("drift", "fall of that correlation, first to second half", "number"),
        Measure("hue_drift", "difference of its hue from the first frame's, degrees", "degrees", "recombined"),
        Measure("on_path", "digits that move and follow one bouncing line", floor="shuffled frames"),
        Measure("residual", "distance to the best bouncing line, px", "number"),
        Measure("travel", "length of that line, px", "number"),
        Measure("frechet_frames", "Frechet distance of frames", "distance", "recombined"),
        Measure("frechet_clips", "Frechet distance of clips", "distance", "shuffled frames"),
    )
}
# Of captions and of nothing else.
ABOUT_CAPTIONS = ("digit_frames", "digit", "direction", "obeys", "flawless", "colour", "speed", "number")
EVALUATED = (  # in an evaluation; of grey clips without those of colours
    *ABOUT_CAPTIONS,
    *("one_class", "likeness", "drift", "hue_drift"),
    *("on_path", "residual", "travel"),
    *("frechet_frames", "frechet_clips"),
)
ABOUT_COLOURS = ("colour", "hue_drift")
PREVIEWED = ("digit_frames", "direction", "obeys", "one_class", "colour")  # while a model is trained
