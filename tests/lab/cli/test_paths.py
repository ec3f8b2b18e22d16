"""Files and folders on the command line: looked at before any work, and ~ written out."""

import os

import pytest

from minivdit.lab.cli import main as cli
from minivdit.lab.cli import options


@pytest.mark.skipif(os.name != "posix", reason="devices, pipes and ~ as POSIX has them")
@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/dev/null", "a device or a pipe"),
        ("/dev/stdout", "a device or a pipe"),
        ("pipe", "a device or a pipe"),
        ("file/x", "is no folder to write in"),
        ("~nobody-here/x", "the home of a user who isn't here"),
    ],
)
def test_no_work_is_begun_for_a_place_that_cannot_be_written(refused, tmp_path, place, expected):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("a file")
    commands = [("sample", "a 3"), ("explore", "a 3"), ("evaluate",), ("card",), ("bench", "cpu"), ("data",), ("demo",)]
    commands += [("train", "tiny"), ("compare",), ("study",), ("loop", "a 3")]
    for command in commands:
        assert expected in refused(*command, f"--out={place}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "pipe"]


@pytest.mark.skipif(os.name != "posix", reason="devices and pipes as POSIX has them")
def test_a_folder_may_hold_any_name_and_stand_in_no_file(refused, tmp_path):
    (tmp_path / "here" / "file").mkdir(parents=True)
    (tmp_path / "text").write_text("a file")
    assert options.output_folder(str(tmp_path / "here")) == str(tmp_path / "here")
    line = refused("train", "tiny", "--out", "text/x")
    assert "could not write 'text/x': " in line and "text is no folder to write in" in line
    assert "it is a file; give the name of a folder" in refused("train", "tiny", "--out", "text")


@pytest.mark.skipif(os.name != "posix", reason="devices and pipes as POSIX has them")
def test_no_device_or_pipe_is_read(refused, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for given in ("/dev/zero", "pipe"):
        for command in (["animate", given], ["keyframes", "--at", 0, given], ["loop", "--image", given]):
            assert "is a device or a pipe; give a file" in refused(*command)
        for option in (["card", "--evaluation", given], ["sample", "a 3", "--weights", given]):
            assert "is a device or a pipe; give a file" in refused(*option)
        assert "is a device or a pipe" in refused("compare", "--weights", given)


def test_the_home_folder_is_written_out(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    parse = cli.build_parser().parse_args
    assert parse(["sample", "a 3", "--out=~/x.gif"]).out == str(tmp_path / "home" / "x.gif")
    assert parse(["compare", "--weights", "~/w"]).weights == [str(tmp_path / "home" / "w")]
    assert parse(["extend", "~/in.gif"]).clip == str(tmp_path / "home" / "in.gif")
    assert parse(["data", "--data=~/sets", "--out=~"]).data == str(tmp_path / "home" / "sets")
    assert parse(["sample", "a 3", "--out=~x.gif"]).out == "~x.gif"  # a name that happens to begin so


def test_every_file_and_folder_is_a_path():
    """However options are added, those that the help calls FILE or DIR are paths, and outputs can be written."""
    outputs = {"FILE": options.output_file, "DIR": options.output_folder}
    inputs = {"FILE": options.path, "DIR": options.path}
    (commands,) = (action for action in cli.build_parser()._actions if action.choices)
    for name, parser in commands.choices.items():
        for action in parser._actions:
            if action.metavar in inputs:
                wanted = outputs if action.dest in ("out", "keep", "readme", "csv", "nearest") else inputs
                assert action.type is wanted[action.metavar], f"{name} {action.dest}"
