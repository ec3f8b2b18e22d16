"""Judging clips: digits, directions, identity, motion and Frechet distance, each beside ceiling and floor.

What is seen in a clip: blobs.py finds patches of ink, tracking.py follows digits, bouncing_lines.py fits their paths,
colours.py tells their hues, judge.py reads them. observation.py is all of it together.
What is said of it: measures.py lists the measures. metrics.py, flawless.py and frechet.py compute them, scores.py for a
set of clips. controls.py spoils real clips, for the floors. statistics.py says how sure a figure is.
Reports: model_evaluation.py judges a model of digits, report.py is its table, pairwise.py compares two of them.
own_clips.py judges a model of a folder of clips. kept_clips.py draws clips once.
Single questions: coherence.py (long clips, loops, edits, captions with parts), caption_fields.py. recaption.py says
what goes on in a clip.
How the judge was made: train_judge.py, not_digits.py.
"""

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
