"""`minivdit lessons report`: who solved which exercises of the chapters."""

from ...base.errors import InputError, shorten
from .options import number, output_file, path


def add_lessons(commands):
    text = """Grade students' notebooks: who solved what.

    Each notebook is run again, offline and in short form. Its answers are then checked in a process that the student's
    code can't reach, so what its outputs say doesn't count. A student is the name of a folder or of a file:
    class/ann/01_autograd.ipynb and class/ann_01_autograd.ipynb are both ann's.

    In the tables 'yes' means solved, 'no' not solved, and '-' not handed in or not readable. If a student has several
    notebooks, one right answer is enough. A notebook can't use files that lie beside it.

    This is a teacher's aid, not a sandbox. Code that students wrote runs here as you: it could read and delete your
    files or use the network. Memory, time and the size of files are limited where the system allows it. If you don't
    know who wrote a notebook, run this in a container.

    examples:
      minivdit lessons report class
      minivdit lessons report class --csv class.csv --why
      minivdit lessons report ann/01_autograd.ipynb bob.py --timeout 60
    """
    parser = commands.add(lessons, text)
    parser.add("action", ("report",), "what to do", metavar="report")
    parser.add("paths", path, "notebooks (.ipynb, or .py with cells), and folders of them", nargs="+", metavar="PATH")
    table = "write a table there, a row for each student and a column for each exercise (default: only print)"
    parser.add("--csv", output_file, table)
    seconds = "seconds that a notebook may take; a cell may take a quarter of it, an exercise a tenth"
    parser.add("--timeout", number(0, 10**6), seconds, 600)
    parser.add("--why", bool, "print what the check says of each exercise that isn't solved")


def lessons(options):
    from ...base import backend, console
    from ...base.files import write_file
    from ..lessons import report

    found = report.find(options.paths)
    backend.use("cpu", kernels=False)  # compiling would take some answer's time
    empty = report.without_notebook(options.paths, found)
    sheets, problems = [], [report.none_in(folder) for folder in empty]
    with console.progress_bar("notebooks", len(found), unit="notebook", delay=2, leave=False) as bar:
        for student, path in found:
            try:
                sheets.append(report.sheet(student, path, options.timeout))
            except InputError as error:
                problems.append(str(error))
            bar.update()
    if not sheets:
        raise InputError(shorten("; ".join(problems), 900))
    students = [student for student, _ in found]
    students += [report.student_of(folder / "none", folder.parent) for folder in empty]
    students = report.gather(sheets, students)
    if options.csv:
        write_file(options.csv, report.as_csv(students))
    lines = report.tables(students)
    if options.why:
        lines += ["", *report.reasons(students)]
    lines += [""] * bool(problems) + [f"left out: {problem}" for problem in sorted(problems)]
    print("\n".join(lines + [options.csv] * bool(options.csv)))
