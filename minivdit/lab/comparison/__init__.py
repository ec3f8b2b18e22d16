"""Weights that differ in their attention pattern, put beside each other: the same captions and noise, on one page.

weights.py loads them and checks that nothing else differs; compare.py draws, judges and tests; page.py shows it.
"""

from .compare import compare_weights
