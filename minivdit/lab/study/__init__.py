"""Studies: weights or trainings that are alike in all but one thing, and one page on the difference that it makes.

compare.py: weights that are there draw the same captions from the same noise. The other studies train, several times:
patterns.py: attention patterns in small worlds. worlds.py says what a world is; ball.py and digits.py are two.
recipes.py: the ideas of large systems against their base. kinds.py says what is drawn and judged.
scaling.py: one recipe with ever more compute. power_law.py is fitted to it.

Beside each stands its page (compare_page.py), which puts the report into sentences and shows it. study.py is what all
that train have: to go on after a stop, and to refuse trainings of another study. paired.py: tests over seeds.
"""

from .compare import compare_weights
from .patterns import WORLDS, PatternStudy
from .recipes import RecipeStudy
from .scaling import ScalingStudy
from .study import run_study
