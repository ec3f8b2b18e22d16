"""Judging clips: digits, directions, identity, motion and Frechet distance, each beside ceiling and floor."""

from .bouncing_lines import Paths, compass, fit_paths
from .coherence import drift, kept_place, seam
from .encounters import bounces, permanence
from .frechet import clip_features, frame_features, frame_maps, frechet_distance
from .judge import DigitJudge, load_judge
from .metrics import CaptionTargets, identity_metrics, motion_metrics, prompt_metrics, read_captions
from .model_evaluation import FLOORS, judge_model, shares
from .observation import Observation, most_seen, observe
from .report import METRICS, Report, evaluate, frozen, recombined, shuffled_captions, shuffled_frames
from .statistics import Estimate
from .tracking import Tracks, track, windows

__all__ = [
    "FLOORS",
    "METRICS",
    "CaptionTargets",
    "DigitJudge",
    "Estimate",
    "Observation",
    "Paths",
    "Report",
    "Tracks",
    "bounces",
    "clip_features",
    "compass",
    "drift",
    "evaluate",
    "fit_paths",
    "frame_features",
    "frame_maps",
    "frechet_distance",
    "frozen",
    "identity_metrics",
    "judge_model",
    "kept_place",
    "load_judge",
    "most_seen",
    "motion_metrics",
    "observe",
    "permanence",
    "prompt_metrics",
    "read_captions",
    "recombined",
    "seam",
    "shares",
    "shuffled_captions",
    "shuffled_frames",
    "track",
    "windows",
]
