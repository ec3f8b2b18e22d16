"""Judging clips: digits, directions, identity, motion and Frechet distance, each beside ceiling and floor."""

from .coherence import drift, kept_place, parts_obeyed, seam
from .controls import frozen, recombined, shuffled_captions, shuffled_frames
from .judge import DigitJudge, load_judge
from .measures import EVALUATED, MEASURES
from .metrics import identity_metrics, prompt_metrics, read_captions
from .model_evaluation import judge_model, shares
from .observation import most_seen, observe
from .recaption import going_on
from .report import evaluate
from .statistics import Estimate
from .tracking import track, windows
