"""Who solved what: students' notebooks found, graded by `grading`, and put in tables.

A student is the folder below the one that was given, or the file's name: `class/ann/01_autograd.ipynb` and
`class/ann_01_autograd.ipynb` are both ann's. A notebook belongs to the chapters whose checks it names; where it names
none, to the one whose number its name holds.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from ...base.errors import InputError, shorten
from .exercise import EXERCISES
from .grading import grade

CHAPTERS = (  # that have exercises
    *("00_start_here", "01_autograd", "02_layers_and_learning", "03_adding_noise", "04_removing_noise", "05_attention"),
    *("06_patches_and_positions", "07_the_transformer_block", "08_text_guidance", "09_latent_diffusion"),
    *("10_the_consistency_problem", "11_joint_attention", "12_the_bill", "13_the_kernel_ladder", "14_every_ability"),
    *("15_the_systems", "16_capstone", "17_beyond_one_machine", "18_on_to_the_big_ones"),
)
STUBS = {  # {chapter: {exercise: the name of the function that is asked for}}
    chapter: {name: check.stub for name, check in EXERCISES.items() if name[2:4] == chapter[:2]} for chapter in CHAPTERS
}
MOST = 64 << 20  # bytes of a notebook
PERCENT = re.compile(r"^# %%(.*)$", flags=re.M)


class Sheet(NamedTuple):
    """A notebook, graded. verdicts: {exercise: Verdict, or None where there is no answer}."""

    student: str
    path: Path
    verdicts: dict


def find(paths):
    """[(student, path)] of all notebooks among files and in folders. InputError where there are none."""
    found = []
    for given in map(Path, paths):
        if given.is_dir():
            inside = [path for path in sorted(given.rglob("*")) if _is_notebook(path.relative_to(given), path)]
            if not inside:
                raise InputError(none_in(given))
            found += [(student_of(path, given), path) for path in inside]
        elif given.is_file() and given.suffix in (".ipynb", ".py"):
            found.append((student_of(given, given.parent), given))
        elif given.exists():
            raise InputError(f"{given} is not a notebook; give an .ipynb, or a .py with cells that begin '# %%'")
        else:
            raise InputError(f"there is no folder or notebook {given}")
    return found


def none_in(folder):
    """What is said of a folder without notebooks."""
    return f"no notebooks in {folder}; there may be .ipynb, and .py with cells that begin '# %%'"


def without_notebook(paths, found):
    """Folders beside those of students in which `find` found nothing: perhaps something else was handed in."""
    empty = []
    for given in (path for path in map(Path, paths) if path.is_dir()):
        below = [path for path in sorted(given.iterdir()) if path.is_dir() and not path.name.startswith((".", "_"))]
        full = {path for path in below if any(path in notebook.parents for _, notebook in found)}
        empty += [path for path in below if full and path not in full]
    return empty


def _is_notebook(place, path):
    if any(part.startswith((".", "_")) for part in place.parts) or not path.is_file():  # such as .ipynb_checkpoints
        return False
    if path.suffix == ".py":
        with open(path, encoding="utf-8", errors="replace") as file:
            return bool(PERCENT.search(file.read(MOST)))
    return path.suffix == ".ipynb"


def student_of(path, folder):
    """The folder below `folder` that a notebook is in; else its name without the chapter's; else `folder`'s name."""
    place = path.relative_to(folder)
    chapter = next((chapter for chapter in STUBS if chapter in path.stem), "")
    name = path.stem.replace(chapter, "").strip("-_. ") or folder.resolve().name
    name = place.parts[0] if len(place.parts) > 1 else name
    return name.encode("utf-8", "backslashreplace").decode()  # the system may have names that are no text


def cells_of(path):
    """The sources of a notebook's code cells. InputError where it can't be read."""
    if path.stat().st_size > MOST:
        raise InputError(f"{path} is larger than {MOST >> 20} MB; clear its outputs")
    text = path.read_text(encoding="utf-8-sig", errors="replace")  # some editors write a byte order mark
    if path.suffix == ".py":
        head, *rest = PERCENT.split(text)
        cells = zip(["", *rest[::2]], [head, *rest[1::2]])
        return [source for title, source in cells if not re.search(r"\[(markdown|md|raw)\]", title)]
    try:
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        return ["".join(cell["source"]) for cell in cells]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(f"{path} can't be read as a notebook; open it in Jupyter and save it again") from None


def stubs_of(path, cells):
    """{exercise: name of its function} of the chapters that a notebook belongs to. InputError where none is known."""
    numbers = set(re.findall(r"\bch(\d\d)_[a-z]", "\n".join(cells))) or set(re.findall(r"(?<!\d)\d\d(?!\d)", path.stem))
    chapters = [chapter for chapter in STUBS if chapter[:2] in numbers]
    if not chapters:
        raise InputError(f"{path}: which chapter is it? It calls no check, and no chapter's number is in its name")
    return {exercise: stub for chapter in chapters for exercise, stub in STUBS[chapter].items()}


def sheet(student, path, seconds):
    """The Sheet of a notebook, graded in at most so long. InputError where it can't be read or no chapter is known."""
    try:
        cells = cells_of(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    return Sheet(student, path, grade(cells, stubs_of(path, cells), seconds))


def gather(sheets, others=()):
    """{student: {exercise: Verdict or None}}, students in order; of several answers a right one counts.

    others: students of whom nothing may have been graded; they get a row all the same.
    """
    students = {student: {} for student in sorted({*(one.student for one in sheets), *others})}
    for one in sorted(sheets, key=lambda one: (one.student, one.path)):
        verdicts = students[one.student]
        for exercise, verdict in one.verdicts.items():
            if verdict or not verdicts.get(exercise):
                verdicts[exercise] = verdict or verdicts.get(exercise) or verdict
    return students


def exercises_of(students):
    """All exercises of the chapters that anybody handed in, in order."""
    tried = {exercise for verdicts in students.values() for exercise in verdicts}
    return [exercise for stubs in STUBS.values() for exercise in stubs if exercise in tried]


def tables(students):
    """Lines: for each chapter a table of who solved what, and for several chapters one of the sums."""
    exercises, lines, chapters = exercises_of(students), [], {}
    for exercise in exercises:
        chapters.setdefault(exercise[2:4], []).append(exercise)
    for number, own in chapters.items():
        rows = [[f"chapter {int(number)}", *(name.partition("_")[2] for name in own), "solved"]]
        for student, verdicts in students.items():
            marks = [mark(verdicts, exercise) for exercise in own]
            rows.append([shorten(student, 30), *marks, f"{marks.count('yes')} of {len(own)}"])
        rows.append(["solved by", *(str(_solvers(students, exercise)) for exercise in own), ""])
        lines += [*_aligned(rows), ""]
    if len(chapters) > 1:
        rows = [["all", *(str(int(number)) for number in chapters), "solved"]]
        for student, verdicts in students.items():
            solved = [sum(bool(verdicts.get(exercise)) for exercise in own) for own in chapters.values()]
            rows.append([shorten(student, 30), *map(str, solved), f"{sum(solved)} of {len(exercises)}"])
        lines += [*_aligned(rows), ""]
    return lines[:-1]


def mark(verdicts, exercise):
    """'yes', 'no', or '-' where nothing was handed in."""
    verdict = verdicts.get(exercise)
    return "-" if verdict is None else "yes" if verdict else "no"


def _solvers(students, exercise):
    return sum(bool(verdicts.get(exercise)) for verdicts in students.values())


def _aligned(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def reasons(students):
    """A line for each exercise that was handed in and isn't solved: what its check says."""
    return [
        f"{student}, {exercise}: {verdict!r}"
        for student, verdicts in students.items()
        for exercise, verdict in verdicts.items()
        if verdict is not None and not verdict
    ]


def as_csv(students):
    """A row a student, a column an exercise: 1, 0, or nothing where nothing was handed in; and how many are solved."""
    exercises = exercises_of(students)
    rows = [["student", *exercises, "solved"]]
    for student, verdicts in students.items():
        marks = [{"yes": "1", "no": "0", "-": ""}[mark(verdicts, exercise)] for exercise in exercises]
        rows.append([_cell(student), *marks, str(marks.count("1"))])
    return "".join(",".join(row) + "\n" for row in rows)


def _cell(text):
    """A text as a cell that no spreadsheet takes for a formula."""
    text = "'" * text.startswith(("=", "+", "-", "@", "\t", "\r")) + text
    return '"{}"'.format(text.replace('"', '""')) if re.search(r'[",\r\n]', text) else text
