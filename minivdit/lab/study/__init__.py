"""Studies: trainings alike in all but one thing, several times each, and one page on the difference that it makes.

study.py: what all have, which is to go on after a stop, to refuse trainings of another study, and the page. paired.py:
tests over seeds. There are three, each with a module that puts its report into sentences and shows it:
patterns.py, patterns_page.py: attention patterns in small worlds. worlds.py says what a world is; ball.py, digits.py.
recipes.py, recipes_page.py: the ideas of large systems against their base. kinds.py says what is drawn and judged.
scaling.py, scaling_page.py: one recipe with ever more compute. power_law.py is fitted to it.
"""

from .patterns import PATTERNS, WORLDS, PatternStudy
from .recipes import RecipeStudy
from .scaling import ScalingStudy
from .study import run_study
