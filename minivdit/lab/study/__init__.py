"""Studies: trainings alike in all but one thing, several times each, and one page on the difference that it makes.

study.py: what all have, which is to go on after a stop, to refuse trainings of another study, and the page.
patterns.py: attention patterns in small worlds. worlds.py says what a world is; ball.py and digits.py are two;
report.py tests and puts it into sentences; page.py shows it.
"""

from .patterns import PATTERNS, WORLDS, PatternStudy
from .study import run_study

__all__ = ["PATTERNS", "WORLDS", "PatternStudy", "run_study"]
