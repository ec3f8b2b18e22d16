"""The lock of a folder: one holder at a time, named to the others, and gone with its process."""

import multiprocessing
import time

import pytest

from minivdit.base.errors import InputError
from minivdit.base.locking import NAME, locked
from minivdit.base.sharing import can_fork


def test_the_second_one_is_told_who_is_there_and_nothing_is_left_behind(tmp_path):
    folder = tmp_path / "new" / "run"
    with locked(folder):
        told = r"a training is at work in .*run \(process \d+ on '.*', since '20.*'\)"
        with pytest.raises(InputError, match=told), locked(folder):
            pass
        (folder / "kept").write_text("")
    assert [path.name for path in folder.iterdir()] == ["kept"]
    with locked(folder):
        (folder / "kept").unlink()
    assert folder.exists()  # it was there before
    with locked(tmp_path / "empty"):
        pass
    assert not (tmp_path / "empty").exists()


@pytest.mark.skipif(not can_fork(), reason="this system forks no processes")
def test_a_lock_ends_with_its_process_and_one_that_was_left_is_no_obstacle(tmp_path):
    def hold():
        with locked(tmp_path):
            (tmp_path / "held").write_text("")
            time.sleep(60)

    process = multiprocessing.get_context("fork").Process(target=hold)
    process.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.02)
    with pytest.raises(InputError, match=f"process {process.pid} on"), locked(tmp_path):
        pass
    process.kill()
    process.join()
    assert (tmp_path / NAME).exists()
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("text", ["", "3", "not json", '{"process": "x"}', "[" * 999])
def test_a_lock_that_says_nothing_of_its_holder(tmp_path, text):
    with locked(tmp_path):
        (tmp_path / NAME).write_text(text)
        with pytest.raises(InputError, match="its process is unknown"), locked(tmp_path):
            pass
