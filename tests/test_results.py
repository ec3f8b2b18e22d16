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


def test_tables_of_ranks_are_made_of_what_the_benchmark_writes():
    steps = {"train full": {"shards": 2, "seconds": {"ranks": [0.11, 0.11], "forked": [0.1, 0.1]}}}
    steps["train small"] = {"shards": 2, "seconds": {"ranks": [0.2]}}
    figures = {"ranks": 2, "steps": steps, "exchanges": [{"name": "share", "bytes": 10**6, "seconds": [0.001, 0.001]}]}
    rows, exchanges = TABLES["of_ranks"](figures)
    assert rows[2] == "| train full | 2 | 2 | 110.0 | 100.0 | 1.10 (1.10 to 1.10) |"
    assert rows[3] == "| train small | 2 | 2 | 200.0 | - | - |"
    assert exchanges[2:] == ["| `share` | 1.00 MB | 1 | 8 |"]
    assert [len(found) for found in TABLES["of_ranks"](None)] == [2, 2]


def test_tables_of_costs_are_what_the_commands_on_the_page_print():
    page = "text\n```bash\nminivdit costs tiny --ranks 1,2 \\\n  --speed 1\nminivdit costs tiny --ranks 2\n```\n"
    first, second = TABLES["of_costs"](page)
    assert first[0].startswith("| ranks, ") and len(first) == 4 and second == []
