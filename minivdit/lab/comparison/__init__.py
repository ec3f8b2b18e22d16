"""The comparison of attention patterns: trained alike, judged alike, reported with intervals, ceilings and floors.

study.py trains the patterns alike; given_weights.py takes weights that are trained already, and checks that they are
alike. Then, for both: drawing.py draws the same prompts from the same noise; measures.py gives a figure for each run;
tables.py, mean and interval over seeds; findings.py, sentences computed from them; plots.py and page.py, one HTML page.
`compare` and `compare_weights` in run.py are all of it.
"""

from ...models.schemes import SCHEMES
from .measures import COMPARED, figure
from .page import html, markdown
from .prompts import Prompts, choose_prompts, left_behind
from .run import compare, compare_weights
from .study import Study, equal_flops_steps, study_preset
from .tables import build_report

__all__ = [
    "COMPARED",
    "SCHEMES",
    "Prompts",
    "Study",
    "build_report",
    "choose_prompts",
    "compare",
    "compare_weights",
    "equal_flops_steps",
    "figure",
    "html",
    "left_behind",
    "markdown",
    "study_preset",
]
