"""The comparison of attention patterns: trained alike, judged alike, reported with intervals, ceilings and floors.

patterns of blocks -> study.py (who is trained for how long, and that all are alike) -> drawing.py (the same prompts and
noise for all) -> measures.py (one figure a run) -> tables.py (mean and interval over seeds) -> findings.py (sentences
computed from them) -> plots.py, page.py (one HTML page). `compare` in run.py is all of it.
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
