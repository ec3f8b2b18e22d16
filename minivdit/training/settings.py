"""How long and how fast a task is trained."""

import dataclasses

from ..base.errors import InputError, shorten

MOST_STEPS = 2**31
# What the settings may be: from the first number to the second; at most what memory and float32 hold, beyond any use.
LIMITS = {
    "steps": (0, MOST_STEPS),
    "batch": (1, 2**20),
    "shards": (1, 2**10),
    "warmup": (0, MOST_STEPS),
    "learning_rate": (0, 1000),
    "matrix_learning_rate": (0, 1000),
    "weight_decay": (0, 1000),
    "clip": (0, 1e30),
    "final_fraction": (0, 1),
    "ema_decay": (0, 1),
}
NOT_ZERO = ("learning_rate", "clip")


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast. Rates are for the whole batch.

    shards: into how many parts a batch is cut, which are worked on at the same time; on a GPU it stays whole.
    """

    steps: int = 1000
    batch: int = 32
    shards: int = 4
    learning_rate: float = 1e-3  # of AdamW
    matrix_learning_rate: float = 0.006  # of Muon, for the matrices of blocks; 0: AdamW for them too
    weight_decay: float = 0.0
    warmup: int = 50  # steps over which the rates rise
    final_fraction: float = 0.0  # of the rates, at the end of the cosine
    clip: float = 1.0  # largest norm of all gradients together
    ema_decay: float = 0.999

    def __post_init__(self):
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if not least <= value <= most or (name in NOT_ZERO and not value):  # NaN fails, too
                above = "above 0 and at most" if name in NOT_ZERO else f"between {least} and"
                raise InputError(f"{name} must be {above} {most:,}, not {shorten(value)}")
