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
