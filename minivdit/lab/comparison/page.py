"""The report as one HTML page that needs nothing else, and as Markdown: both only print what the JSON report says."""

import base64
from html import escape

from .findings import answer, cell_text, findings
from .tables import CEILING, FLOOR

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --line: #bbb; --soft: #f1f1ee }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --line: #555; --soft: #242424 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 0 auto; padding: 1rem }
h1 { font-size: 1.45rem; line-height: 1.25 } h2 { font-size: 1.15rem; margin-top: 2.2rem }
.answer { border-left: 4px solid #0072B2; padding-left: .8rem }
figure { margin: 0 0 1rem } figcaption, .note { font-size: .85rem }
img { max-width: 100%; height: auto; background: #fff } .clips { display: flex; flex-wrap: wrap; gap: .8rem }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem }
th, td { padding: .3rem .55rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th:first-child { text-align: left; white-space: normal; min-width: 9rem; position: sticky; left: 0;
  background: var(--paper) }
thead th { background: var(--soft) } small { display: block; opacity: .8; font-size: .75rem }
"""


def html(report, first, others=(), plots=()):
    """The page, a str. first: [(caption, GIF bytes)] for the first screen; others: more of them, for further down;
    plots: [(title, meaning, PNG bytes)]."""
    about = report["about"]
    body = [
        f"<h1>{escape(report['question'])}</h1>",
        *(f'<p class="answer">{escape(sentence)}</p>' for sentence in answer(report)),
        _clips(first),
        '<p class="note">The same prompt and the same noise; the real clip shows what is meant. '
        f"{escape(_setting(about))}</p>",
    ]
    for note in about["notes"]:
        body.append(f"<p><strong>{escape(note)}</strong></p>")
    body += [
        "<h2>Where patterns differ, and where they don't</h2>",
        f'<p class="note">{escape(report["rule"])}</p>',
        "<ul>",
    ]
    body += [f"<li>{escape(sentence)}</li>" for sentence in findings(report)] + ["</ul>"]
    body += ["<h2>How fast a digit moves</h2>", _speeds(about)]
    for title, meaning, picture in plots:
        body.append(f"<h2>{escape(title)}</h2><figure>{_image(picture, 'png', title)}")
        body.append(f"<figcaption>{escape(meaning)}</figcaption></figure>")
    for one in report["tables"]:
        body.append(f"<h2>{escape(one['title'])}</h2>{_table(one)}")
    if others:
        body += ["<h2>More clips</h2>", _clips(others)]
    body += ["<h2>How it was done</h2>", *(f"<p>{escape(text)}</p>" for text in method(report))]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>minivdit compare</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def markdown(report):
    """The answer and all tables for a README or an issue."""
    parts = [report["question"], *answer(report), *(f"**{note}**" for note in report["about"]["notes"])]
    for one in report["tables"]:
        lines = [f"| {one['title']} | " + " | ".join(one["columns"]) + " |", "|---" * (len(one["columns"]) + 1) + "|"]
        for row in one["rows"]:
            cells = (cell_text(row["cells"].get(column), row["format"]) for column in one["columns"])
            lines.append(f"| {row['label']}{_count(row)} | " + " | ".join(cells) + " |")
        parts.append("\n".join(lines) + f"\n\n{one['note']}")
    sentences = "\n".join(f"- {sentence}" for sentence in findings(report))
    return "\n\n".join([*parts, report["rule"], sentences, *method(report)]) + "\n"


def method(report):
    """How the figures came about, in sentences."""
    about = report["about"]
    yield _setting(about)
    yield (
        "Within a seed all patterns have one autoencoder, the same first weights, the same batches in the same order "
        "and the same number of parameters, so that they differ in nothing but which tokens attend to which; each seed "
        "has an autoencoder of its own, so the intervals hold what it brings too. Beside a mean: its 95% interval over "
        "seeds."
        if about["trained"]
        else "These weights were trained elsewhere. Checked: settings, data, noise levels and network are the same for "
        "all but the pattern, and so is the autoencoder of the first files of all names, of the second, and so on; not "
        "checked: steps, batches and first weights. Beside a mean: its 95% interval over files of one name."
    )
    pairs = f"; two digits only at speeds at which they can be followed ({', '.join(about['pair_speeds'])})"
    yield (
        f"{about['clips']} prompts: {', '.join(f'{count} with {kind}' for kind, count in about['kinds'].items())}, "
        f"evenly over the speeds{pairs if about['pair_speeds'] else ''}."
    )
    yield f"{about['machine']}; {about['date']}. Models: {'; '.join(about['models'])}."


def _setting(about):
    n = ", ".join(f"{name} {count}" for name, count in about["runs"].items())
    return f"{about['data']}. Runs (n): {n}."


def _speeds(about):
    rows = "".join(
        f"<tr><th>{escape(speed)}</th><td>{length:.2f}</td><td>{about['left_behind'][speed]:.2f}</td></tr>"
        for speed, length in about["patches_per_frame"].items()
    )
    return (
        '<div class="scroll"><table><thead><tr><th>speed</th><th>patches a frame</th>'
        f"<th>inked patches that are empty a frame later</th></tr></thead><tbody>{rows}</tbody></table></div>"
        '<p class="note">In the share of patches in the last column, a link to the same place in the next frame sees '
        "nothing of the digit; measured on real clips.</p>"
    )


def _table(one):
    head = "".join(f"<th>{escape(column)}</th>" for column in one["columns"])
    rows = []
    for row in one["rows"]:
        cells = "".join(f"<td>{_cell(row['cells'].get(column), row['format'])}</td>" for column in one["columns"])
        rows.append(f"<tr><th>{escape(row['label'])}<small>{escape(_count(row).strip())}</small></th>{cells}</tr>")
    return (
        f'<div class="scroll"><table id="{one["id"]}"><thead><tr><th></th>{head}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div><p class="note">{escape(one["note"])}</p>'
    )


def _cell(cell, form):
    mean, bracket, rest = cell_text(cell, form).partition(" (")
    return mean + (f"<small>{rest.rstrip(')')}</small>" if bracket else "")


def _count(row):
    """How many clips stand behind a figure: of all patterns, or of each where they differ."""
    counts = {column: cell["values"] for column, cell in row["cells"].items() if column not in (CEILING, FLOOR)}
    if not counts or None in counts.values():
        return ""
    several = len(set(counts.values())) > 1
    clips = ", ".join(f"{name} {count}" for name, count in counts.items()) if several else min(counts.values())
    arrow = {1: "; higher is better", -1: "; lower is better"}.get(row["better"], "")
    return f" (clips: {clips}{arrow})"


def _clips(clips):
    figures = (
        f"<figure>{_image(gif, 'gif', caption)}<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, gif in clips
    )
    return f'<div class="clips">{"".join(figures)}</div>'


def _image(content, kind, meaning):
    data = base64.b64encode(content).decode()
    return f'<img alt="{escape(meaning)}" src="data:image/{kind};base64,{data}">'
