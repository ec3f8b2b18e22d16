"""The tables of README.md, kernels/README.md, examples/results/README.md and examples/results/speed.md.

python examples/results/tables.py

A table is found by its first line and made of examples/results/*/evaluation*.json, speed.json, mpi.json or gpu.json
alone: no figure is copied by hand. speed.json is what `minivdit bench cpu --out examples/results/speed.json` writes,
mpi.json what `minivdit bench mpi` does, and gpu.json what `python examples/gpu_session.py` does; where there is none,
cells stay empty. Tables of `minivdit costs` are what the commands on the page print.
"""

import contextlib
import io
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np

from minivdit.base.errors import InputError
from minivdit.base.files import require_shape, write_file
from minivdit.base.machine import amount
from minivdit.lab.benchmarks import gpu_report
from minivdit.lab.cli.main import main as minivdit
from minivdit.lab.evaluation import MEASURES, Estimate
from minivdit.lab.evaluation.measures import ABOUT_COLOURS
from minivdit.lab.evaluation.pairwise import parts, read_evaluation
from minivdit.lab.evaluation.statistics import CALLED, p_text

RESULTS = Path(__file__).parent
PATTERNS = {"perframe": "perframe", "framewise": "framewise", "joint": "full"}  # and the folders of their evaluations
SHOWN = (  # of the measures of an evaluation
    *("obeys", "flawless", "number", "digit_frames", "direction", "speed", "one_class", "likeness", "residual"),
    *("on_path", "frechet_frames", "frechet_clips"),
)
LABELS = {name: MEASURES[name].title.split(":")[0] for name in SHOWN}
OF_COLOURS = {name: MEASURES[name].title for name in ABOUT_COLOURS}  # beside these, where digits have colours
KINDS = {"1 digits": "one digit", "2 digits": "two digits"}
RIVALS = {"numpy": "NumPy", "eager": "PyTorch", "compiled": "torch.compile", "jax": "jax.jit"}  # sides of `bench cpu`
BRIEF = {name: name for name in ("obeys", "flawless", "number")}


def evaluation(folder, held_out=False):
    """The parts of an evaluation in examples/results/."""
    return parts(read_evaluation(RESULTS / folder / f"evaluation{'_held_out' * held_out}.json"))


def cell(part, column, metric, interval=False):
    """A figure as text, perhaps with half the width of its interval; '' where there is none."""
    figures = part["columns"].get(column, {}).get(metric)
    return Estimate.read(figures).text(MEASURES[metric].form, interval) if figures else ""


def table(head, rows):
    """Lines of Markdown."""
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]


def of_one_model(folder, kinds, head, metrics):
    """Drawn, real, floor, and drawn for pairs that no caption of the training had, for each kind of prompts."""
    plain, held_out = evaluation(folder), evaluation(folder, held_out=True)
    rows = []
    for metric in metrics:
        row, floor = [(LABELS | OF_COLOURS)[metric]], MEASURES[metric].floor if MEASURES[metric].share else ""
        for kind in kinds:
            row += [cell(plain[kind], "clips", metric, True), cell(plain[kind], "real", metric)]
            row += [cell(plain[kind], floor, metric), cell(held_out[kind], "clips", metric, True)]
        rows.append(row)
    return table(head, rows)


def of_patterns(head, kinds, labels, interval=True):
    """The three patterns and real clips, for each kind of prompts. labels: {metric: what to call it}."""
    found = {name: evaluation(folder) for name, folder in PATTERNS.items()}
    rows = []
    for metric, label in labels.items():
        row = [label]
        for kind in kinds:
            row += [cell(each[kind], "clips", metric, interval) for each in found.values()]
            row.append(cell(found["joint"][kind], "real", metric))
        rows.append(row)
    return table(head, rows)


def of_pairs(folder, head):
    """What evaluating joint with --against an evaluation of framewise found; bold is a difference."""
    rows = {}
    for one in read_evaluation(RESULTS / folder / "evaluation.json")["against"]["rows"]:
        metric, d = one["metric"], one["difference"]
        form = "+" + MEASURES[metric].form
        bold = "**" if one["corrected"] < CALLED else ""
        texts = f"{bold}{d['mean']:{form}}{bold} ({d['low']:{form}} to {d['high']:{form}})", p_text(one["corrected"])
        rows.setdefault(metric, {})[one["kind"]] = texts
    labels = OF_COLOURS | LABELS
    lines = [[labels[m], *rows[m]["1 digits"], *rows[m]["2 digits"]] for m in labels if m in rows]
    return table(head, lines)


def of_speed(figures):
    """The machine, all workloads and their medians. figures: of speed.json, None if there are none yet."""
    machine = ["processor", "threads", "matrix products", "BLAS kernels", "versions", "date"]
    columns = ["workload", "ms", "GFLOP/s", "of the rate", *(f"ours / {name}" for name in RIVALS.values())]
    columns += ["memory added", "of PyTorch's"]
    middle = ["medians", *(f"ours / {name}" for name in RIVALS.values()), "of the rate"]
    if figures is None:
        return [table(head, []) for head in (machine, columns, middle)]
    about, rows, kinds = figures["machine"], [], {}
    rate = about["matrix_products"]
    facts = [about["processor"], about["threads"], amount(rate, "FLOP/s"), about["kernels"], about["versions"]]
    for name, one in figures["workloads"].items():
        speed = one["flops"] / one["median"]["ours"]
        rows.append([name, f"{1e3 * one['median']['ours']:.1f}", f"{speed / 1e9:.0f}", f"{speed / rate:.0%}"])
        rows[-1] += [_ratio(one["seconds"], side) for side in RIVALS]
        beside = one["memory_ratio"].get("eager")
        rows[-1] += [amount(one["memory"]["ours"]), "-" if beside is None else f"{beside:.2f}"]
        kinds.setdefault(name.split()[0], []).append({**one["ratio"], "rate": speed / rate})
    medians = []
    for kind, found in kinds.items():
        medians.append([f"{kind} ({len(found)})"])
        for side in (*RIVALS, "rate"):
            values = [one[side] for one in found if side in one]
            medians[-1].append(f"{np.median(values):{'.0%' if side == 'rate' else '.2f'}}" if values else "-")
    return [table(machine, [[*map(str, facts), about["date"]]]), table(columns, rows), table(middle, medians)]


def _ratio(seconds, side, ours="ours"):
    """Ours / theirs, turn by turn: the median and the quartiles; '-' where they weren't compared."""
    if side not in seconds:
        return "-"
    low, middle, high = np.percentile(np.array(seconds[ours]) / np.array(seconds[side]), (25, 50, 75))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def of_ranks(figures):
    """Training steps on ranks, and exchanges between them. figures: of mpi.json, None if there are none yet."""
    steps = ["step on ranks", "ranks", "shards", "ms", "ms, forked processes", "ranks / forked"]
    exchanges = ["exchange", "a rank sends", "ms", "Gbit/s"]
    if figures is None:
        return [table(head, []) for head in (steps, exchanges)]
    rows = []
    for name, one in figures["steps"].items():
        times = {side: f"{1e3 * np.median(seconds):.1f}" for side, seconds in one["seconds"].items()}
        rows.append([name, str(figures["ranks"]), str(one["shards"]), times["ranks"], times.get("forked", "-")])
        rows[-1].append(_ratio(one["seconds"], "forked", "ranks"))
    sent = []
    for one in figures["exchanges"]:
        seconds = np.median(one["seconds"])
        rate = 8e-9 * one["bytes"] / seconds
        sent.append([f"`{one['name']}`", amount(one["bytes"]), f"{1e3 * seconds:.3g}", f"{rate:.3g}"])
    return [table(steps, rows), table(exchanges, sent)]


def of_costs(page):
    """What the `minivdit costs` commands on a page print, as far as it is a table."""
    for command in re.findall(r"^minivdit (costs .*)$", page.replace("\\\n", ""), flags=re.M):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            minivdit(shlex.split(command))
        yield [line for line in said.getvalue().splitlines() if line.startswith("|")]


def tables():
    """{file: list of tables}."""
    speed, gpu, kernels = RESULTS / "speed.json", RESULTS / "gpu.json", RESULTS.parents[1] / "kernels" / "README.md"
    one, both = ["1 digits"], list(KINDS)
    patterns, end = list(PATTERNS), ["real (ceiling)", "floor"]
    brief = [
        "",
        *(f"one digit: {patterns[0]}", *patterns[1:], "real"),
        f"two digits: {patterns[0]}",
        *patterns[1:],
        "real",
    ]
    never, pairs = "pairs never captioned", ["one digit", "p, corrected", "two digits", "p, corrected"]
    model = ["200 prompts each", "one digit", *end, never, "two digits", *end, never]
    longest = [metric for metric in LABELS if metric not in ("likeness", "residual")]
    results = RESULTS / "README.md"
    return {
        RESULTS.parents[1] / "README.md": [of_patterns(brief, both, BRIEF, interval=False)],
        results: [
            of_one_model("full", both, model, longest),
            of_one_model("small", one, ["200 prompts", *model[1:5]], longest),
            of_one_model("colour", both, ["200 prompts each, in colours", *model[1:]], [*OF_COLOURS, *longest]),
            *(of_patterns([name, *patterns, "real"], [kind], LABELS) for kind, name in KINDS.items()),
            of_pairs("full", ["joint minus framewise", *pairs]),
            of_pairs("colour", ["joint minus framewise, in colours", *pairs]),
            *of_ranks(_read(RESULTS / "mpi.json", {"ranks": int, "steps": dict, "exchanges": list})),
            *of_costs(results.read_text(encoding="utf-8")),
        ],
        RESULTS / "speed.md": of_speed(_read(speed, {"machine": dict, "workloads": dict})),
        kernels: gpu_report.tables(
            _read(gpu, {"date": str, "sections": {...: {...: dict}}}), kernels.read_text(encoding="utf-8")
        ),
    }


def _read(path, shape):
    """What a JSON file of a shape holds, None where there is none. It may hold NaN, for an error without bounds."""
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        require_shape(found, shape)
    except ValueError as error:
        raise InputError(f"{path} isn't whole ({error}); copy it again") from error
    return found


def cells(line):
    """What stands between the bars of a line of Markdown."""
    return [part.strip() for part in line.split("|")]


def filled(text, found):
    """A page with the tables put in the place of those that begin with the same line."""
    lines = text.splitlines()
    for new in found:
        start = [cells(line) for line in lines].index(cells(new[0]))
        end = next((k for k in range(start, len(lines)) if not lines[k].startswith("|")), len(lines))
        lines[start:end] = new
    return "\n".join(lines) + "\n"


def main():
    for page, found in tables().items():
        text = filled(page.read_text(encoding="utf-8"), found)
        write_file(page, text)
        print(f"{page.name}: {len(found)} tables")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
