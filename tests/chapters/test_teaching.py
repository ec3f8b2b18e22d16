"""The lecturer's page agrees with the map: minutes, order, and questions for every chapter."""

import re
from pathlib import Path

CHAPTERS = Path(__file__).parents[2] / "chapters"
MAP = re.findall(
    r"^\| \[(\d+) [^|]*\| [^|]* \| (\d+) \| ?([^|]*)\|$", (CHAPTERS / "README.md").read_text(encoding="utf-8"), re.M
)
PAGE = (CHAPTERS / "teaching.md").read_text(encoding="utf-8")


def plan(heading):
    """[(the chapters of a week, its minutes)]"""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    weeks = re.findall(r"^\| (\d+) \| ([\d, ]+) \| (\d+) \|", section, flags=re.M)
    assert [int(week) for week, _, _ in weeks] == list(range(1, len(weeks) + 1))
    return [([int(number) for number in chapters.split(",")], int(minutes)) for _, chapters, minutes in weeks]


def test_the_minutes_are_those_of_the_map_and_each_chapter_comes_after_what_it_needs():
    minutes = {int(number): int(length) for number, length, _ in MAP}
    needs = {int(number): re.findall(r"\d+", after) for number, _, after in MAP}
    assert len(minutes) >= 17
    for heading, count in (("Twelve weeks", 12), ("Six weeks", 6)):
        weeks = plan(heading)
        assert len(weeks) == count
        taught = []
        for chapters, total in weeks:
            assert total == sum(minutes[chapter] for chapter in chapters), f"{heading}, {chapters}: mend teaching.md"
            for chapter in chapters:
                taught.append(chapter)
                assert {int(other) for other in needs[chapter]} <= set(taught), chapter
        assert len(taught) == len(set(taught))
    assert sorted(chapter for chapters, _ in plan("Twelve weeks") for chapter in chapters) == sorted(minutes)


def test_every_chapter_has_three_to_five_questions_with_an_answer():
    sections = re.findall(r"^### Chapter (\d+)\n(.*?)(?=^### |\Z)", PAGE, flags=re.M | re.S)
    assert [int(number) for number, _ in sections] == [int(number) for number, _, _ in MAP]
    for number, text in sections:
        questions = re.findall(r"^\d\. (.*?)(?=^\d\. |\Z)", text, flags=re.M | re.S)
        assert 3 <= len(questions) <= 5, number
        for question in questions:
            assert re.fullmatch(r"[^*]+[?.:] \*[^*]+\.\*\s*", question), (number, question)
