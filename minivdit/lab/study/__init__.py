"""The study: attention patterns trained alike in small worlds, with several seeds, looked at on the way.

worlds.py says what a world is; ball.py and digits.py are two. study.py trains; report.py tests and puts it into
sentences; page.py shows it.
"""

from .study import PATTERNS, WORLDS, Study, run_study

__all__ = ["PATTERNS", "WORLDS", "Study", "run_study"]
