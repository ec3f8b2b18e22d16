"""Pages of HTML that need nothing but themselves: a style for light and dark, and the parts that pages are made of."""

import base64
import datetime
import io
import json
from html import escape

import numpy as np

from ...base.files import write_file
from ...base.machine import description
from .layout import to_uint8
from .writing import grid_bytes

STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --line: #bbb; --soft: #f1f1ee }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --line: #555; --soft: #242424 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 0 auto; padding: 1rem }
h1 { font-size: 1.45rem; line-height: 1.25 } h2 { font-size: 1.15rem; margin-top: 2.2rem }
.answer { border-left: 4px solid #0072B2; padding-left: .8rem }
figure { margin: 0 0 1rem } figcaption, .note { font-size: .85rem }
img { max-width: 100%; height: auto; background: #fff } .clips { display: flex; flex-wrap: wrap; gap: .8rem }
.clips img { image-rendering: pixelated }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem }
th, td { padding: .3rem .55rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th:first-child { text-align: left; white-space: normal; min-width: 9rem; position: sticky; left: 0;
  background: var(--paper) }
thead th { background: var(--soft) }
"""


def page(title, parts):
    """A whole page, a str. parts: of its body, in HTML."""
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def text(tag, words, kind=""):
    """An element that holds a text. kind: its class."""
    return f"<{tag}{f' class={kind}' if kind else ''}>{escape(words)}</{tag}>"


def table(head, rows, words=""):
    """A table of texts that can be moved sideways; the first of a row says what the row is. words: a note below."""
    titles = "".join(text("th", title) for title in head)
    lines = "".join(f"<tr>{text('th', row[0])}{''.join(text('td', cell) for cell in row[1:])}</tr>" for row in rows)
    below = text("p", words, "note") if words else ""
    return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>{below}'


def image(content, kind, meaning):
    """A picture inside the page: bytes of a file of this kind, 'png' or 'gif'. meaning: for who can't see it."""
    data = base64.b64encode(content).decode()
    return f'<img alt="{escape(meaning)}" src="data:image/{kind};base64,{data}">'


def clips(found):
    """Moving pictures beside each other. found: [(caption, GIF bytes)]."""
    figures = "".join(_captioned(gif, "gif", caption) for caption, gif in found)
    return f'<div class="clips">{figures}</div>'


def where_and_when():
    """What a report has as "about"."""
    return {"machine": description(), "date": datetime.date.today().isoformat()}


def write_report(folder, report, files, show):
    """Write the files of a report, {name: bytes}, into a folder; show its answer, and which file is the page."""
    for name, content in files.items():
        write_file(folder / name, content)
    for line in (*report["answer"], str(folder / "report.html")):
        show(line)


def figure(drawn, meaning):
    """A matplotlib figure, and below it a sentence that says what it shows."""
    return _captioned(png(drawn), "png", meaning)


def _captioned(content, kind, words):
    return f"<figure>{image(content, kind, words)}{text('figcaption', words)}</figure>"


def gif(videos, frames_per_second=5, factor=None):
    """The bytes of a GIF: a column for each {label: (B, T, H, W, C)}, a row for each of the B clips."""
    rows = np.stack([to_uint8(video) for video in videos.values()], axis=1)
    labels = [*videos] * len(rows)
    rows = rows.reshape(-1, *rows.shape[2:])
    how = {"columns": len(videos), "frames_per_second": frames_per_second, "factor": factor}
    return grid_bytes(rows, captions=labels, **how)


def gifs(videos, captions):
    """[(caption, GIF bytes)], for `clips`: clip k of each {label: (B, T, H, W, C)} beside each other."""
    columns = ({label: video[k : k + 1] for label, video in videos.items()} for k in range(len(captions)))
    return [(caption, gif(each)) for caption, each in zip(captions, columns)]


def report_files(title, report, parts, tables, method):
    """{name: bytes}: a report as a page that needs nothing else, as Markdown and as JSON.

    report: a dict of plain values with a "question", sentences as its "answer", a "rule" by which to read tables, and
    "about", the machine and the date.
    parts: of the page between the answer and the method, in HTML. tables: [(heading, head, rows)], for the Markdown.
    method: sentences on how the figures came about.
    """
    method = [*method, f"{report['about']['machine']}; {report['about']['date']}."]
    body = [text("h1", report["question"]), *(text("p", words, "answer") for words in report["answer"])]
    body += [*parts, "<h2>How it was done</h2>", *(text("p", words) for words in method)]
    lines = [f"# {report['question']}", *report["answer"]]
    for heading, head, rows in tables:
        cells = (head, ["---"] * len(head), *rows)
        lines += [f"## {heading}", "\n".join(f"| {' | '.join(row)} |" for row in cells)]
    return {
        "report.json": json.dumps(report, indent=1, allow_nan=False).encode(),
        "report.md": ("\n\n".join([*lines, report["rule"], *method]) + "\n").encode(),
        "report.html": page(title, body).encode(),
    }


def png(figure, dots_per_inch=110):
    """The bytes of a matplotlib figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=dots_per_inch, format="png")
    return buffer.getvalue()
