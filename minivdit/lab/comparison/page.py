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
        _text("h1", report["question"]),
        *(f'<p class="answer">{escape(sentence)}</p>' for sentence in answer(report)),
        _clips(first),
        _note(f"The same prompt and the same noise; the real clip shows what is meant. {_setting(about)}"),
        *(f"<p><strong>{escape(note)}</strong></p>" for note in about["notes"]),
        "<h2>Where patterns differ, and where they don't</h2>",
        _note(report["rule"]),
        "<ul>",
        *(_text("li", sentence) for sentence in findings(report)),
        "</ul>",
        "<h2>How fast a digit moves</h2>",
        _speeds(about),
    ]
    for title, meaning, picture in plots:
        body.append(f"{_text('h2', title)}<figure>{_image(picture, 'png', title)}")
        body.append(f"{_text('figcaption', meaning)}</figure>")
    body += [_text("h2", one["title"]) + _table(one) for one in report["tables"]]
    if others:
        body += ["<h2>More clips</h2>", _clips(others)]
    body += ["<h2>How it was done</h2>", *(_text("p", text) for text in method(report))]
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
    head = ["speed", "patches a frame", "inked patches that are empty a frame later"]
    rows = [
        [_text("th", speed), f"<td>{length:.2f}</td>", f"<td>{about['left_behind'][speed]:.2f}</td>"]
        for speed, length in about["patches_per_frame"].items()
    ]
    note = (
        "In the share of patches in the last column, a link to the same place in the next frame sees nothing of the "
        "digit; measured on real clips."
    )
    return _grid("<table>", head, rows, note)


def _table(one):
    rows = []
    for row in one["rows"]:
        count = _text("small", _count(row).strip())
        cells = (f"<td>{_cell(row['cells'].get(column), row['format'])}</td>" for column in one["columns"])
        rows.append([f"<th>{escape(row['label'])}{count}</th>", *cells])
    return _grid(f'<table id="{one["id"]}">', ["", *one["columns"]], rows, one["note"])


def _grid(table, head, rows, note):
    """A table that can be moved sideways, with a note beneath. table: its first tag. rows: of cells in HTML."""
    lines = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    titles = "".join(_text("th", title) for title in head)
    return (
        f'<div class="scroll">{table}<thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>{_note(note)}'
    )


def _text(tag, text):
    return f"<{tag}>{escape(text)}</{tag}>"


def _note(text):
    return f'<p class="note">{escape(text)}</p>'


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
        f"<figure>{_image(gif, 'gif', caption)}{_text('figcaption', caption)}</figure>" for caption, gif in clips
    )
    return f'<div class="clips">{"".join(figures)}</div>'


def _image(content, kind, meaning):
    data = base64.b64encode(content).decode()
    return f'<img alt="{escape(meaning)}" src="data:image/{kind};base64,{data}">'
