"""What commands share: how long drawing takes is told beforehand, and shown by a bar."""

import pytest

from minivdit.base import backend, console, machine
from minivdit.lab.cli import groups


@pytest.fixture
def bars(monkeypatch):
    """What progress bars were asked for."""
    asked, make = [], console.progress_bar

    def watched(title, total, **options):
        asked.append((title, total, options))
        return make(title, total, **options)

    monkeypatch.setattr(console, "progress_bar", watched)
    return asked


@pytest.mark.parametrize(
    ("flops", "expected"), [(1e9, ""), (1e15, "minivdit: note: drawing 4 steps will take about 11 days here\n")]
)
def test_what_takes_long_is_said_beforehand(flops, expected, bars, capsys, monkeypatch):
    monkeypatch.setattr(machine, "cores_speed", lambda: 1e15 / (11 * 24 * 3600) / groups.Watch.SHARE)
    watch = groups.Watch()
    for done in range(5):
        watch(done, 4, flops)
    assert capsys.readouterr().err.replace("11.0 days", "11 days") == expected
    assert [(title, total, how["delay"]) for title, total, how in bars] == [("drawing", 4, 2)]


def test_a_bar_appears_only_after_two_seconds(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    for seconds, shown in ((0.1, False), (40.0, True)):
        watch = groups.Watch()
        for done in range(4):
            watch(done, 4, 1e9)
            now[0] += seconds
        assert ("drawing:" in capsys.readouterr().err) == shown


def test_a_training_begins_with_a_note_where_products_are_slow(capsys, monkeypatch):
    monkeypatch.setattr(machine, "forced_kernels", lambda: None)
    groups.tell_of_slow_products()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(machine, "forced_kernels", lambda: "OPENBLAS_CORETYPE=Haswell costs; unset it")
    groups.tell_of_slow_products()
    assert capsys.readouterr().err == "minivdit: note: OPENBLAS_CORETYPE=Haswell costs; unset it\n"
    monkeypatch.setattr(backend, "device_name", lambda: "gpu")
    groups.tell_of_slow_products()
    assert capsys.readouterr().err == ""
