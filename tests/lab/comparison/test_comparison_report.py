"""The page needs nothing but itself, its figures are the JSON's, and its sentences follow from the figures alone."""

import copy
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from minivdit.lab.comparison.findings import answer, cell_text, findings, patterns, table, verdict
from minivdit.lab.comparison.measures import COMPARED
from minivdit.lab.comparison.page import html, markdown
from minivdit.lab.comparison.tables import CEILING, CORRECTED, FLOOR, P_VALUE, correct, p_value
from minivdit.lab.evaluation.statistics import student_p, student_t


class Page(HTMLParser):
    """Tables as {id: rows of texts}, and every address that is used."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.addresses, self.tags, self.cell = {}, [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        self.addresses += [value for name, value in attributes.items() if name in ("src", "href")]
        if tag == "table":
            self.rows = self.tables[attributes.get("id")] = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.cell = True
        elif tag == "small" and self.cell:
            self.rows[-1][-1] += " "

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.cell = None

    def handle_data(self, data):
        if self.cell:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def written(finished):
    study, _ = finished
    names = ("report.html", "report.md", "report.json")
    page, text, data = ((study.out / name).read_text(encoding="utf-8") for name in names)
    return page, text, json.loads(data)


def test_the_page_needs_nothing_but_itself(written):
    page = written[0]
    assert "http:" not in page and "https:" not in page and "@import" not in page and "url(" not in page
    parsed = Page(page)
    assert parsed.addresses and all(address.startswith("data:image/") for address in parsed.addresses)
    assert not {"script", "link", "iframe"} & {tag for tag, _ in parsed.tags}
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in parsed.tags
    pictures = [attributes for tag, attributes in parsed.tags if tag == "img"]
    assert all(picture["alt"] for picture in pictures)
    kinds = [picture["src"][11:14] for picture in pictures]
    assert kinds[:3] == ["gif"] * 3 and kinds.count("png") == 4


def test_every_figure_of_the_tables_is_the_jsons(written):
    page, text, report = written
    parsed = Page(page)
    for one in report["tables"]:
        rows = parsed.tables[one["id"]]
        assert rows[0][1:] == one["columns"] and len(rows) == len(one["rows"]) + 1
        for shown, row in zip(rows[1:], one["rows"]):
            figures = [cell_text(row["cells"].get(column), row["format"]) for column in one["columns"]]
            assert [re.sub(r"[()]", "", figure) for figure in figures] == shown[1:]
            line = f" | {' | '.join(figures)} |"
            assert any(one.startswith(f"| {row['label']}") and one.endswith(line) for one in text.splitlines())


def test_the_first_screen_has_the_question_the_answer_and_the_clips(written):
    page, text, report = written
    sentences = answer(report)
    assert len(sentences) == 2
    places = [page.index("<h1>"), *(page.index(s[:40]) for s in sentences), page.index("data:image/gif")]
    assert places == sorted(places) and places[-1] < page.index("<h2>")
    assert all(sentence in text for sentence in (*sentences, *findings(report), report["rule"]))


def test_every_measure_has_its_ceiling_and_floor(written):
    report = written[2]
    rows = {row["key"]: row for row in report["tables"][0]["rows"]}
    assert set(rows) <= set(COMPARED) and {"digit_frames", "one_class", "travel_ratio", "frechet_clips"} <= set(rows)
    for row in rows.values():
        assert row["cells"][CEILING]["mean"] is not None and FLOOR in row["cells"]
        assert row["cells"]["joint"]["n"] in (0, 2)
    assert patterns(report) == ["framewise", "joint"]
    assert [one["id"] for one in report["tables"][1:]] == ["speeds", "validation", "cost", "controls", "paired-steps"]
    assert len(table(report, "validation")["rows"]) == 1 + 8 + 3


def test_each_pattern_tells_its_own_number_of_clips_where_they_differ(written):
    _, text, report = copy.deepcopy(written)
    changed = next(row for row in report["tables"][0]["rows"] if row["better"] == 1)
    assert f"{changed['label']} (clips: {changed['cells']['joint']['values']}; higher is better)" in text
    changed["cells"]["framewise"]["values"], changed["cells"]["joint"]["values"] = 7, 4
    for again in (markdown(report), html(report, [])):
        assert "(clips: framewise 7, joint 4; higher is better)" in again


def row(joint, framewise, better=1, share=True, values=30):
    cells = {
        name: {"mean": mean, "low": low, "high": high, "n": 3, "values": values}
        for name, (low, mean, high) in {"joint": joint, "framewise": framewise}.items()
    }
    return {"key": "x", "label": "x", "better": better, "share": share, "format": ".2f", "cells": cells}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (row((0.8, 0.9, 1.0), (0.3, 0.4, 0.5)), "better"),
        (row((0.3, 0.4, 0.5), (0.8, 0.9, 1.0)), "worse"),
        (row((0.8, 0.9, 1.0), (0.3, 0.4, 0.5), better=-1, share=False), "worse"),
        (row((0.6, 0.9, 1.0), (0.3, 0.4, 0.7)), "alike"),
        (row((0.05, 0.06, 0.07), (0.0, 0.0, 0.0)), "alike"),  # the seeds agree, but these are 5 clips of 90
        (row((None, 0.9, None), (0.3, 0.4, 0.5)), None),
        (row((0.8, 0.9, 1.0), (0.3, 0.4, 0.5), better=0), None),
    ],
)
def test_intervals_that_lie_apart(given, expected):
    assert verdict(given, "joint", "framewise") == expected
    opposite = {"better": "worse", "worse": "better"}.get(expected, expected)
    assert verdict(given, "framewise", "joint") == opposite


def retested(report, differences):
    """The report with these (mean, low, high) in the rows of its paired table, the last one in all others, tested."""
    report = copy.deepcopy(report)
    rows = [entry for entry in table(report, "paired-steps")["rows"] if entry["better"]]
    for place, entry in enumerate(rows):
        low, mean, high = differences[min(place, len(differences) - 1)]
        cell = entry["cells"]["joint - framewise"]
        cell |= {"low": low, "mean": entry["better"] * mean, "high": high, "n": 3}
        entry["cells"][P_VALUE]["mean"] = p_value(cell)
    correct(report["tables"])
    return report, rows, len(rows)


def test_a_difference_within_seeds_is_called_only_if_it_survives_the_correction(written):
    paired = table(written[2], "paired-steps")
    speeds = [row["speed"] for row in paired["rows"] if row["key"] == "validation" and row["speed"]]
    assert speeds == ["slow", "normal", "fast"] and paired["columns"] == ["joint - framewise", P_VALUE, CORRECTED]
    nothing = (-0.2, 0.01, 0.22)
    report, rows, count = retested(written[2], [(0.05, 0.1, 0.15), nothing])  # no 0 in it, but one of many
    named = f"{rows[0]['label']} 0.10 (0.05 to 0.15)"
    told = " ".join(findings(report))
    assert f"equal steps: of {count} figures, joint is better in 0 and worse in 0 after Holm's correction." in told
    assert f"the uncorrected interval lies on the better side of 0 in 1 ({named}), on the worse side in 0." in told
    assert f"Of {count} paired rows none is a difference after Holm's correction." in answer(report)[0]
    report, rows, count = retested(written[2], [(0.099, 0.1, 0.101), nothing])
    told = " ".join(findings(report))
    assert f"of {count} figures, joint is better in 1 ({rows[0]['label']} 0.10 (0.10 to 0.10)) and worse in 0" in told
    assert f"1 are differences after Holm's correction ({rows[0]['label']} (equal steps))" in answer(report)[0]


def test_p_comes_from_the_interval_and_the_number_of_seeds():
    values = np.array([0.2, 0.5, 0.35])
    half = student_t(2) * values.std(ddof=1) / np.sqrt(3)
    cell = {"mean": 0.35, "low": 0.35 - half, "high": 0.35 + half, "n": 3}
    assert p_value(cell) == pytest.approx(student_p(0.35 / (values.std(ddof=1) / np.sqrt(3)), 2))
    assert p_value(cell | {"low": 0.35, "high": 0.35}) == 0 and p_value(cell | {"low": None}) is None


def spread(report, gap):
    """The report with joint better than framewise by `gap` everywhere, at 0.5 with narrow intervals."""
    report = copy.deepcopy(report)
    for one in report["tables"]:
        for line in one["rows"]:
            for name, sign in (("joint", line["better"]), ("framewise", -line["better"])):
                if name in line["cells"]:
                    mean = 0.5 + sign * gap / 2
                    line["cells"][name] = {"mean": mean, "low": mean - 0.01, "high": mean + 0.01, "n": 3, "values": 99}
    return report


def test_sentences_follow_the_figures(written):
    report = written[2]
    count = sum(line["better"] != 0 for line in report["tables"][0]["rows"])
    for gap, better, worse in ((0.6, count, 0), (-0.6, 0, count), (0.0, 0, 0)):
        sentence, speeds = answer(spread(report, gap))
        assert f"joint lies on the better side of that of framewise in {better} of {count} measures" in sentence
        assert f"worse side in {worse}" in sentence and "3 seeds" in sentence and "none is a difference" in sentence
        assert "out of its patch" in speeds  # on these clips nothing is that fast, and that is what is said
    fast = spread(report, 0.6)
    fast["about"]["patches_per_frame"] = {"slow": 0.1, "normal": 0.4, "fast": 1.1}
    told = answer(fast)[1]
    assert "leaves its patch from one frame to the next (fast: 1.10 patches), the interval of joint lies on" in told
    assert "where it doesn't (slow: 0.10 patches, normal: 0.40 patches)" in told


def test_without_intervals_no_difference_is_called(written):
    report = spread(written[2], 0.6)
    report["tables"] = [one for one in report["tables"] if not one["id"].startswith("paired")]
    for line in (line for one in report["tables"] for line in one["rows"]):
        for cell in line["cells"].values():
            cell["low"] = cell["high"] = None
    sentences = [*answer(report), *findings(report)]
    assert "no difference is called" in sentences[0]
    assert not any("apart from it" in sentence or "lies" in sentence for sentence in sentences)
    assert "without an interval: framewise 0.20" in " ".join(sentences)


def test_what_a_label_says_is_only_text():
    label = "<b>&"
    cell = {"mean": 0.5, "low": None, "high": None, "n": 1, "values": 3}
    line = {"key": "x", "label": "<i>x", "better": 1, "share": True, "format": ".2f", "speed": "slow"}
    line["cells"] = {label: cell, "b": cell, CEILING: cell, FLOOR: cell}
    tables = [
        {"id": key, "title": key, "note": "", "columns": [label, "b", CEILING, FLOOR], "rows": [line]}
        for key in ("measures-steps", "speeds", "validation", "cost")
    ]
    about = {
        "notes": [],
        "patches_per_frame": {"slow": 0.1},
        "left_behind": {"slow": 0.1},
        "data": "d",
        "runs": {label: 1},
    }
    about |= {"trained": True, "clips": 3, "kinds": {"one digit": 3}, "pair_speeds": [], "machine": "m", "date": "d"}
    report = {"question": "?", "rule": "r", "about": about | {"models": []}, "tables": tables, "likeness": {}}
    page = html(report, [("<b>caption", b"")])
    assert "<b>" not in page and "<i>" not in page and "&lt;b&gt;&amp;" in page
    assert label in markdown(report)
