"""The comparison of attention patterns: trained alike, judged alike, reported with intervals, ceilings and floors.

study.py trains the patterns alike; given_weights.py takes weights that are trained already, and checks that they are
alike. Then, for both: drawing.py draws the same prompts from the same noise; measures.py gives a figure for each run;
tables.py, mean and interval over seeds; findings.py, sentences computed from them; plots.py and page.py, one HTML page.
`compare` and `compare_weights` in run.py are all of it.
"""

from .run import compare, compare_weights

__all__ = ["compare", "compare_weights"]
