"""What chapters use beside the library: sizes that shrink for tests."""

import pytest

from minivdit.lab.lessons import size


@pytest.mark.parametrize(("setting", "expected"), [(None, 100), ("", 100), ("short", 3)])
def test_a_size_is_short_only_where_the_setting_says_so(monkeypatch, setting, expected):
    if setting is None:
        monkeypatch.delenv("MINIVDIT_LESSONS", raising=False)
    else:
        monkeypatch.setenv("MINIVDIT_LESSONS", setting)
    assert size(100, 3) == expected
