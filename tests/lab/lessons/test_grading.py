"""Students' notebooks graded: what the code does counts, not what it says, and one notebook can't spoil another."""

import json
import os
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from minivdit.base import backend
from minivdit.base.errors import InputError
from minivdit.lab.lessons import check, grading, report
from minivdit.lab.lessons.answering import without_magics
from minivdit.lab.lessons.crossing import MOST, Gone, Line, Remote, as_json, from_json
from minivdit.lab.lessons.report import STUBS

START = STUBS["00_start_here"]  # three exercises: backwards, beside and one more
RIGHT = """
    import numpy as np
    from minivdit.lab.lessons import check
    def backwards(video):
        return video[:, ::-1]
    check.ch00_backwards(backwards)
"""
ALSO_RIGHT = """
    def beside(first, second):
        return np.concatenate([first, second], axis=3)
    check.ch00_beside(beside)
"""
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit, or no fork")


@pytest.fixture(autouse=True)
def nothing_compiled():
    backend.use("cpu", kernels=False)
    yield
    backend.use("cpu")


def notebook(*cells):
    made = [{"cell_type": "code", "source": textwrap.dedent(cell), "outputs": []} for cell in cells]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def marks(*cells, seconds=60):
    """'yes', 'no' or '-' for each exercise of chapter 0."""
    verdicts = grading.grade([textwrap.dedent(cell) for cell in cells], START, seconds)
    return [report.mark(verdicts, exercise) for exercise in START]


def test_what_is_solved_is_told_from_what_is_not_and_from_what_is_missing():
    wrong = "def beside(first, second):\n    return first\ncheck.ch00_beside(beside)"
    assert marks(RIGHT, wrong) == ["yes", "no", "-"]


def test_a_cell_that_fails_is_passed_over():
    broken = (
        "this is no Python",
        "1 / 0",
        "import sys; sys.exit(3)",
        "exit()",
        "%matplotlib inline\n!ls",
        "%%html\n<b>",
    )
    assert marks(*broken, RIGHT, "assert False", ALSO_RIGHT) == ["yes", "yes", "-"]


def test_the_answer_is_what_the_check_was_handed_and_else_what_has_the_name():
    stub = "def beside(first, second):\n    pass"
    renamed = ALSO_RIGHT.replace("beside(", "mine(").replace("ch00_mine(beside)", "ch00_beside(mine)")
    assert marks(RIGHT, stub, renamed)[1] == "yes"
    assert marks(RIGHT, ALSO_RIGHT.replace("check.ch00_beside(beside)", "print('Right')"))[1] == "yes"


# What an answer to `beside` that is wrong may try, and all of it does nothing for it.
HOSTILE = {
    "says so": """
        def beside(first, second):
            print("Right: 6 random cases agree.")
        print("Right: 6 random cases agree.")
    """,
    "another check": """
        class check:
            ch00_beside = ch00_spread = lambda answer: "Right"
        def beside(first, second): return first
    """,
    "patches": """
        from minivdit.lab.lessons import check, exercise, ch00, crossing
        exercise.Verdict.__bool__ = lambda self: True
        exercise.agree = ch00.agree = lambda *_: None
        check.ch00_beside = lambda answer: exercise.Verdict(True, "")
        crossing.as_json = lambda message, functions: b'{"tuple": ["value", true]}'
        def beside(first, second): return first
    """,
    "equals everything": """
        class Liar(np.ndarray):
            def __sub__(self, other): return np.zeros(1)
            def __eq__(self, other): return True
            def astype(self, *_): return self
        def beside(first, second):
            return np.zeros((*first.shape[:3], first.shape[3] + second.shape[3], 1)).view(Liar)
    """,
    "looks on the stack": """
        import sys
        def beside(first, second):
            frame = sys._getframe()
            while frame := frame.f_back:
                for found in frame.f_locals.values():
                    if getattr(found, "shape", None) == (*first.shape[:3], first.shape[3] + second.shape[3], 1):
                        return found
    """,
    "leaves": "def beside(first, second): import sys; sys.exit(0)",
    "ends": "def beside(first, second): import os; os._exit(0)",
    "loops": "def beside(first, second):\n    while True: pass",
    "loops on": """
        def beside(first, second):
            while True:
                try:
                    while True: pass
                except: pass
    """,
    "writes rubbish": """
        import os
        def beside(first, second):
            for number in range(3, 20):
                try: os.write(number, b"[[[" * 1000)
                except OSError: pass
    """,
    "sends rubbish": """
        class Deep(list): pass
        def beside(first, second):
            deep = Deep(); deep.append(deep); return deep
    """,
    "deletes": """
        import os, shutil
        def beside(first, second):
            shutil.rmtree(os.getcwd()); shutil.rmtree(os.environ["HOME"], ignore_errors=True)
    """,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_trick_turns_a_wrong_answer_into_a_right_one_or_costs_another(name):
    assert marks(RIGHT, HOSTILE[name], seconds=20) == ["yes", "no", "-"]


@POSIX
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def beside(first, second):\n    import os\n    os.fork()\n    return first", "the pair of clips: shape"),
        ("def beside(first, second):\n    return np.ones(1 << 40, np.uint8)", "MemoryError"),
        ("def beside(first, second):\n    return [np.empty(1 << 28, np.uint8) for _ in range(100)]", "MemoryError"),
        ("def beside(first, second):\n    with open('full', 'wb') as file: file.truncate(1 << 40)", "OSError"),
        ("import os\nif os.fork() == 0:\n    def beside(first, second): return first", "None"),
        ("import time\ntime.sleep(1000)\ndef beside(first, second): return first", "None"),  # a cell has 5 seconds
        ("while True: pass", "None"),
    ],
)
def test_forks_memory_disk_and_cells_that_never_end_are_limited(code, words):
    started = time.monotonic()
    verdicts = grading.grade([textwrap.dedent(RIGHT), code], START, 20)
    assert verdicts["ch00_backwards"] and words in repr(verdicts["ch00_beside"])
    assert time.monotonic() - started < 40


@POSIX
def test_a_notebook_that_takes_all_its_time_or_ends_the_process_is_not_solved():
    endless = "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass"
    assert marks(RIGHT, endless, seconds=4) == ["no", "no", "no"]
    verdicts = grading.grade(["import os; os._exit(0)"], START, 60)
    assert {repr(verdict) for verdict in verdicts.values()} == {"Not yet: the cells of the notebook end the process"}


@POSIX
def test_what_the_code_left_running_is_ended():
    code = "import subprocess, sys; left = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    code += "\nvalue = lambda: left.pid"
    with grading._process(60) as line:
        pid = line.ask(1, [code], {"ch00_backwards": "value"}, 10)["ch00_backwards"]()
        os.kill(pid, 0)
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    pytest.fail("it still runs")


def test_the_code_knows_neither_the_home_nor_the_secrets_of_who_grades(monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    monkeypatch.setenv("HOME", str(tmp_path))
    code = "import os\nfrom pathlib import Path\nvalue = lambda: (str(Path.home()), os.getcwd(), dict(os.environ))"
    with grading._process(60) as line:
        home, folder, environment = line.ask(1, [code], {"ch00_backwards": "value"}, 10)["ch00_backwards"]()
        assert os.path.samefile(home, folder) and home != str(tmp_path) and "SECRET_TOKEN" not in environment
    assert not Path(folder).exists()


# One solution trains a network for half a minute, as tests/chapters does. Here it hands in clips of the world itself.
NOT_TRAINED = {
    "thrifty = trained(patterns, seed=0, steps=240)\n": "from minivdit.lab.study.ball import rolling\n",
    'return draw(thrifty, "fast", noise)\n': (
        'return rolling(np.random.default_rng(0), np.full(len(noise), PACES["fast"]))[0]\n'
    ),
}


@pytest.mark.parametrize("chapter", [*STUBS])
def test_the_solutions_of_every_chapter_are_solved(chapter, tmp_path):
    """So each exercise can be graded from another process, whatever its answer takes and returns."""
    source = Path(__file__).parents[3] / "chapters" / "solutions" / "source" / f"{chapter}.py"
    if chapter == "10_the_consistency_problem":
        text = source.read_text(encoding="utf-8")
        for old, new in NOT_TRAINED.items():
            assert text.count(old) == 1
            text = text.replace(old, new)
        source = tmp_path / source.name
        source.write_text(text, encoding="utf-8")
    (one,) = [report.sheet("ann", source, 600)]
    assert {name: repr(verdict) for name, verdict in one.verdicts.items() if not verdict} == {}
    assert set(one.verdicts) == set(STUBS[chapter])


# What crosses ---------------------------------------------------------------------------------------------------------


class Pair:
    """Two Lines to each other without processes: what is asked is answered at once."""

    def __init__(self, functions):
        self.there = functions

    def ask(self, number, *inputs):
        _, number, inputs, _ = from_json(as_json(("call", number, inputs, {}), []), None)
        return from_json(as_json(self.there[number](*inputs), self.there), self)


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, "text", (1, 2), [1, (2,)], {"a": [1]}, float("inf"), ..., 10**30],
)
def test_values_arrive_as_they_were(value):
    got = Pair([lambda: value]).ask(0)
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize("value", [np.float32(2), np.arange(6.0).reshape(2, 3)[:, ::-1], np.zeros((0, 3), bool)])
def test_arrays_arrive_as_they_were(value):
    got = Pair([lambda: value]).ask(0)
    assert got.dtype == value.dtype and np.array_equal(got, value)


def test_functions_stay_where_they_are_and_other_things_too():
    got = Pair([lambda: (len, {1, 2}, np.array(["a"]), np.array([None]))]).ask(0)
    assert isinstance(got[0], Remote) and got[0]([1, 2]) == 2
    assert [repr(one) for one in got[1:]] == ["set", "ndarray", "ndarray"]


def test_a_generator_arrives_as_a_new_one_each_time():
    pair, generator = Pair([lambda generator: generator.random()]), np.random.default_rng(0)
    assert pair.ask(0, generator) != pair.ask(0, generator)


class Bytes:
    """A stream that holds what somebody sent."""

    def __init__(self, content):
        self.content = content

    def read(self, count):
        piece, self.content = self.content[:count], self.content[count:]
        return piece


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        b'["value", 1]',
        b'{"tuple": ["value"]}',
        b'{"tuple": ["value", 1, 2]}',
        b'{"tuple": ["nothing", 1]}',
        b'{"tuple": ["raised", 1, 2]}',
        b'{"tuple": ["value", [1]]}',
        b"3",
        b"[" * 100_000,
        b'{"tuple": ["value", {"array": ["O", [1], "AAAAAAAAAAA="]}]}',
        b'{"tuple": ["value", {"array": ["<f8", [1000000000000], ""]}]}',
        b'{"tuple": ["value", {"tuple": [], "list": []}]}',
    ],
)
def test_rubbish_from_the_other_side_is_refused(content):
    line = Line(Bytes(len(content).to_bytes(8, "little") + content), None)
    with pytest.raises(Gone):
        line.serve()


def test_what_is_too_long_or_cut_off_is_refused():
    for content in ((MOST + 1).to_bytes(8, "little"), b"\x05\0\0\0\0\0\0\0abc", b"\x05"):
        with pytest.raises(Gone):
            Line(Bytes(content), None).serve()


def test_an_error_over_there_is_told_by_its_name():
    content = json.dumps({"tuple": ["raised", "Strange\0Error", "words"]}).encode()
    with pytest.raises(Exception, match="words") as told:
        Line(Bytes(len(content).to_bytes(8, "little") + content), None).serve()
    assert type(told.value).__name__ == "StrangeError"


@pytest.mark.parametrize(
    ("cell", "python"),
    [
        ("%matplotlib inline\nx = 1", "pass\nx = 1"),
        ("if x:\n    !ls", "if x:\n    pass"),
        ("%%time\nx = 1", "pass\nx = 1"),
        ("%%html\n<b>", ""),
        ("x = 7 % 3", "x = 7 % 3"),
    ],
)
def test_lines_for_ipython_do_nothing(cell, python):
    assert without_magics(cell) == python


# Notebooks found, and tables ------------------------------------------------------------------------------------------


def test_a_student_is_a_folder_or_a_name(tmp_path):
    places = {
        "ann/01_autograd.ipynb": "ann",
        "bob/week 2/02_layers_and_learning.ipynb": "bob",
        "eve_01_autograd.ipynb": "eve",
        "01_autograd-joe.py": "joe",
        "kim.ipynb": "kim",
        "03_adding_noise.ipynb": "class",
    }
    for place in (*places, "ann/.ipynb_checkpoints/01_autograd.ipynb", "ann/helper.py", "notes.txt"):
        path = tmp_path / "class" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n" if place.endswith("helper.py") else "# %%\nx = 1\n")
    found = report.find([tmp_path / "class"])
    assert {path.relative_to(tmp_path / "class").as_posix(): student for student, path in found} == places
    assert report.find([tmp_path / "class" / "ann" / "01_autograd.ipynb"])[0][0] == "ann"


def test_cells_of_both_kinds_of_notebook(tmp_path):
    percent = "import one\n\n# %% [markdown]\n# words\n\n# %%\nx = 1\n\n# %% a title\ny = 2\n"
    (tmp_path / "a.py").write_text(percent)
    assert [cell.strip() for cell in report.cells_of(tmp_path / "a.py")] == ["import one", "x = 1", "y = 2"]
    made = {"cell_type": "code", "source": ["x = 1\n", "y = 2"]}
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [made, {"cell_type": "markdown", "source": "words"}]}))
    assert report.cells_of(tmp_path / "a.ipynb") == ["x = 1\ny = 2"]
    (tmp_path / "marked.ipynb").write_text((tmp_path / "a.ipynb").read_text(), encoding="utf-8-sig")  # as on Windows
    assert report.cells_of(tmp_path / "marked.ipynb") == ["x = 1\ny = 2"]


@pytest.mark.parametrize(
    "text", ["", "garbage", "[]", "3", '{"cells": 3}', '{"cells": [{}]}', "[" * 10**5, '{"worksheets": []}', "\0\xff"]
)
def test_what_is_no_notebook_is_said_to_be_none(tmp_path, text):
    path = tmp_path / "01_autograd.ipynb"
    path.write_text(text)
    with pytest.raises(InputError, match="can't be read as a notebook"):
        report.cells_of(path)


def test_a_chapter_is_known_by_its_checks_and_else_by_its_number():
    assert set(report.stubs_of(Path("ann.ipynb"), ["check.ch00_beside(x)", "check.ch03_mix(y)"])) == {
        *STUBS["00_start_here"],
        *STUBS["03_adding_noise"],
    }
    assert report.stubs_of(Path("ann-01.ipynb"), ["x = 1"]) == STUBS["01_autograd"]
    for path, cells in ((Path("ann.ipynb"), ["x"]), (Path("99_new.ipynb"), []), (Path("a.ipynb"), ["ch98_x"])):
        with pytest.raises(InputError, match="which chapter is it"):
            report.stubs_of(path, cells)


def test_of_several_answers_a_right_one_counts():
    right, wrong = check.ch00_backwards(lambda video: video[:, ::-1]), check.ch00_backwards(lambda video: video)
    sheets = [report.Sheet("ann", Path(str(n)), {"ch00_backwards": one}) for n, one in enumerate((wrong, right, None))]
    assert report.gather(sheets) == report.gather(sheets[::-1]) == {"ann": {"ch00_backwards": right}}


def test_tables_have_a_row_a_student_and_a_column_an_exercise():
    right, wrong = check.ch00_backwards(lambda video: video[:, ::-1]), check.ch00_backwards(lambda video: video)
    students = {
        "ann": {"ch00_backwards": right, "ch00_beside": wrong, "ch01_sine": None},
        "=b,ob": {"ch00_backwards": right},
    }
    assert report.tables(students) == [
        "chapter 0  backwards  beside  solved",
        "ann        yes        no      1 of 2",
        "=b,ob      yes        -       1 of 2",
        "solved by  2          0",
        "",
        "chapter 1  sine  solved",
        "ann        -     0 of 1",
        "=b,ob      -     0 of 1",
        "solved by  0",
        "",
        "all    0  1  solved",
        "ann    1  0  1 of 3",
        "=b,ob  1  0  1 of 3",
    ]
    assert report.as_csv(students).splitlines() == [
        "student,ch00_backwards,ch00_beside,ch01_sine,solved",
        "ann,1,0,,1",
        '"\'=b,ob",1,,,1',
    ]
    assert report.reasons(students) == [f"ann, ch00_beside: {wrong!r}"]
