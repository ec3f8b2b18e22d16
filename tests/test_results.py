"""The tables in README.md and examples/results/ are what the evaluations beside them say."""

import runpy
from pathlib import Path

import pytest

TABLES = runpy.run_path(str(Path(__file__).parents[1] / "examples" / "results" / "tables.py"))


def test_a_table_takes_the_place_of_the_one_that_begins_alike():
    page = "text\n\n| a | b |\n|---|---|\n| old | 1 |\n\nmore\n"
    new = TABLES["table"](["a", "b"], [["new", "2"], ["and", "3"]])
    assert TABLES["filled"](page, [new]).splitlines() == ["text", "", *new, "", "more"]
    with pytest.raises(ValueError, match="not in list"):
        TABLES["filled"](page, [TABLES["table"](["a", "c"], [])])


def test_every_table_of_the_weights_that_ship_is_what_their_evaluations_say():
    for page, found in TABLES["tables"]().items():
        text = page.read_text(encoding="utf-8")
        assert TABLES["filled"](text, found) == text, f"python examples/results/tables.py would change {page.name}"


def test_tables_of_speed_are_made_of_what_the_benchmark_writes():
    work = {"flops": 10**10, "seconds": {"ours": [0.1, 0.1], "numpy": [0.2, 0.2]}, "memory": {"ours": 10**8}}
    work |= {"median": {"ours": 0.1, "numpy": 0.2}, "ratio": {"numpy": 0.5}, "memory_ratio": {"eager": 0.75}}
    other = {**work, "seconds": {"ours": [0.1], "numpy": [0.1]}, "ratio": {"numpy": 1.0}}
    about = {"processor": "P", "threads": 2, "matrix_products": 4e11, "kernels": "Zen", "versions": "V", "date": "D"}
    figures = {"machine": about, "workloads": {"train small": work, "train full": other, "sample small": work}}
    machine, rows, medians = TABLES["of_speed"](figures)
    assert machine[2] == "| P | 2 | 400 GFLOP/s | Zen | V | D |"
    assert rows[2] == "| train small | 100.0 | 100 | 25% | 0.50 (0.50 to 0.50) | - | - | - | 100 MB | 0.75 |"
    assert medians[2:] == ["| train (2) | 0.75 | - | - | - | 25% |", "| sample (1) | 0.50 | - | - | - | 25% |"]
    empty = TABLES["of_speed"](None)
    assert [found[0] for found in empty] == [machine[0], rows[0], medians[0]]
    assert all(len(set(map(len, (line.split("|") for line in found)))) == 1 for found in (machine, rows, medians))
