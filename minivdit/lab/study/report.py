"""From trainings to a report, plain JSON: curves of learning, differences between two patterns, and what they show.

Each measure of each pace of each world gives a row. Two patterns are compared by the mean over all looks, the height of
the learning curve: so nobody chooses the moment that suits him. Seeds are paired: a seed gives both patterns the same
first weights and the same batches.
"""

import numpy as np

from .paired import correct, interval, mean_of, paired_test, plain_number, verdict
from .worlds import left_behind

EQUAL = {"steps": "equal steps", "flops": "equal FLOPs"}
QUESTION = "Does joint attention keep what moves consistent, where frame-wise attention doesn't?"
RULE = (
    "Tested is the mean over the four looks, one pattern minus the other within each seed, by Student's t. A "
    "difference is called one where p is below 0.05 after Holm's correction for all tests of this page. Intervals hold "
    "95%, each for itself."
)


def build_report(study, found):
    """The report of a PatternStudy. found: {(world, seed, pattern): what study.read_trial gives}."""
    worlds = [_world(study, world, found) for world in study.worlds]
    correct([test for world in worlds for row in world["rows"] for test in row["tests"].values()])
    report = {"question": QUESTION, "rule": RULE, "patterns": list(study.patterns), "worlds": worlds}
    return report | {"answer": [*_answer(report)]}


def _world(study, world, found):
    patterns = study.patterns
    trials = {name: [found[world, seed, name] for seed in study.seeds_of(world)] for name in patterns}
    marks = {name: study.marks(world, name) for name in patterns}
    rows = []
    for pace in world.paces:
        judged = {name: world.judge(video, pace) for name, video in world.references(pace).items()}
        for measure, meaning in world.measures.items():
            curves = {
                equal: {
                    name: [[t["looks"][str(step)][pace][measure] for step in marks[name][equal]] for t in trials[name]]
                    for name in patterns
                }
                for equal in EQUAL
            }
            rows.append(
                {
                    "pace": pace,
                    "measure": measure,
                    "meaning": meaning,
                    "leaves": world.leaves_its_patch(pace),
                    "references": {name: mean_of(values[measure]) for name, values in judged.items()},
                    "curves": curves,
                    "tests": {
                        equal: paired_test(*(np.mean(curves[equal][name], axis=1) for name in patterns[:2]))
                        for equal in EQUAL
                    },
                }
            )
    return {
        "name": world.name,
        "title": world.title,
        "paces": {
            pace: {
                "pixels": pixels,
                "patches": round(pixels / world.patch[1], 4),
                "left_behind": plain_number(left_behind(world.real(pace), world.patch)),
            }
            for pace, pixels in world.paces.items()
        },
        "clips": world.clips,
        "seeds": len(study.seeds_of(world)),
        "marks": marks,
        "gflops": {name: world.cost(name) / 1e9 for name in patterns},
        "seconds": {name: float(np.median([trial["seconds"] for trial in trials[name]])) for name in patterns},
        "rows": rows,
    }


def _answer(report):
    """What a student should take home, in sentences that are computed."""
    one, other = report["patterns"][:2]
    rows = [(world, row) for world in report["worlds"] for row in world["rows"]]
    if all(world["seeds"] < 2 for world in report["worlds"]):
        yield "Each pattern was trained once, so nothing is called a difference: give --seeds 2 or more."
        return
    for leaves, where in (
        (True, "Where what moves leaves its patch from one frame to the next"),
        (False, "Where it stays in its patch"),
    ):
        ahead = {1: [], -1: [], 0: []}
        for world, row in rows:
            if row["leaves"] == leaves:
                ahead[verdict(row["tests"]["steps"])].append(f"{row['measure'].replace('_', ' ')} ({world['name']})")
        first, second, none = (", ".join(found) or "nothing" for found in ahead.values())
        yield f"{where}, {one} attention learns sooner in {first}, {other} in {second}; not shown to differ: {none}."
    for world, row in rows:
        if row["measure"] == world["rows"][0]["measure"]:
            yield _figures(one, other, world, row)


def _figures(one, other, world, row):
    halfway, end = (
        [np.mean([curve[k] for curve in row["curves"]["steps"][name]]) for name in (one, other)] for k in (2, 3)
    )
    test = row["tests"]["steps"]
    told = {1: f"{one} is better", -1: f"{other} is better", 0: "not shown to differ"}[verdict(test)]
    return (
        f"{world['name'].capitalize()}, {row['pace']}, {row['meaning']}: halfway {one} {halfway[0]:.2f} and {other} "
        f"{halfway[1]:.2f}, at the end {end[0]:.2f} and {end[1]:.2f} (mean difference on the way {test['mean']:+.2f}, "
        f"{interval(test)}): {told}."
    )
