"""Weights that differ in their attention pattern, put beside each other: the same captions and noise, on one page.

compare.py checks that nothing else differs, draws, judges and tests; page.py shows it.
"""

from .compare import compare_weights
