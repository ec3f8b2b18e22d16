"""What chapters use beside the library: sizes that shrink for tests, and packages that may be missing."""

import pytest

from minivdit.lab.lessons import installed, size


@pytest.mark.parametrize(("setting", "expected"), [(None, 100), ("", 100), ("short", 3)])
def test_a_size_is_short_only_where_the_setting_says_so(monkeypatch, setting, expected):
    if setting is None:
        monkeypatch.delenv("MINIVDIT_LESSONS", raising=False)
    else:
        monkeypatch.setenv("MINIVDIT_LESSONS", setting)
    assert size(100, 3) == expected


def test_a_missing_package_is_named_with_the_cure_and_one_that_is_there_is_not(capsys):
    assert installed("numpy") and not capsys.readouterr().out
    assert not installed("numpy", "no_such_package")
    told = capsys.readouterr().out
    assert "no_such_package isn't installed" in told and "numpy" not in told and "pip install" in told
