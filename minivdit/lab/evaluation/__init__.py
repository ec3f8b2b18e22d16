"""Judging clips: digits, directions, identity, motion and Frechet distance, each beside ceiling and floor."""

from .bounces import bounces, permanence
from .bouncing_lines import Paths, compass, fit_paths
from .drift_and_seams import drift, kept_place, seam
from .frechet import clip_features, frame_features, frame_maps, frechet_distance
from .judge import DigitJudge, load_judge
from .judging import FLOORS, judge_model, shares
from .metrics import Wishes, identity_metrics, motion_metrics, prompt_metrics, read_captions
from .report import METRICS, Report, evaluate, frozen, recombined, shuffled_captions, shuffled_frames
from .sighting import Sighting, most_seen, watch
from .statistics import Estimate
from .tracking import Tracks, track, windows

__all__ = [
    "FLOORS",
    "METRICS",
    "DigitJudge",
    "Estimate",
    "Paths",
    "Report",
    "Sighting",
    "Tracks",
    "Wishes",
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
    "permanence",
    "prompt_metrics",
    "read_captions",
    "recombined",
    "seam",
    "shares",
    "shuffled_captions",
    "shuffled_frames",
    "track",
    "watch",
    "windows",
]
