"""`import minivdit`: a few names, each imported when it is first used."""

import subprocess
import sys

import pytest

import minivdit
from minivdit.generation import TextToVideo
from minivdit.lab import display


def test_the_face_has_the_names_that_a_first_script_needs():
    assert minivdit.TextToVideo is TextToVideo
    assert all(getattr(minivdit, name) is getattr(display, name) for name in ("show", "write_clip", "write_grid"))
    assert set(minivdit.__all__) <= set(dir(minivdit))
    assert minivdit.load("small").fingerprint() == TextToVideo.load("small").fingerprint()


def test_another_name_is_an_error_that_lists_them():
    with pytest.raises(AttributeError, match="no attribute 'lead'; it has TextToVideo, load, show"):
        minivdit.lead  # noqa: B018


def test_importing_it_imports_nothing_heavy():
    program = "import sys, minivdit; print([name for name in ('numpy', 'matplotlib', 'PIL') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
