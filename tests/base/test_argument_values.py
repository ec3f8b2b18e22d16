"""What may be given from Python: what is plainly meant is accepted, anything else is refused in one line."""

import numpy as np
import pytest

from minivdit.base import values
from minivdit.base.errors import InputError


@pytest.mark.parametrize("value", [16, 16.0, np.int64(16), np.uint8(16), np.float32(16), np.array(16)])
def test_whole_numbers_of_any_kind(value):
    number = values.whole("num_frames", value, 1, 20)
    assert number == 16 and type(number) is int
    assert values.whole("num_frames", None, default=value) == 16


@pytest.mark.parametrize(
    "value", [None, True, np.True_, "16", b"16", 1.5, float("nan"), float("inf"), -1, 21, [16], np.array([16]), 16 + 0j]
)
def test_what_is_no_whole_number(value):
    with pytest.raises(InputError, match="num_frames must be a whole number from 0 to 20, not ") as caught:
        values.whole("num_frames", value, 0, 20)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.float64(3), np.int8(3), np.array(3.0)])
def test_finite_numbers_of_any_kind(value):
    assert values.finite("guidance_scale", value) == 3.0


@pytest.mark.parametrize(
    "value", [None, True, "3", np.nan, np.inf, -np.inf, 1e39, -1e39, 10**400, 3 + 0j, [3], np.ones(1)]
)
def test_what_is_no_finite_number(value):
    with pytest.raises(InputError, match="guidance_scale must be a finite number, not "):
        values.finite("guidance_scale", value)


@pytest.mark.parametrize("check", [values.whole, values.finite])
def test_a_number_of_any_length_is_told_in_a_short_line(check):
    for number in (-(10**300), -(10**5000)):
        with pytest.raises(InputError) as caught:
            check("steps", number * 10**100)
        assert len(str(caught.value)) < 150


def test_sizes_are_two_numbers_or_a_square():
    for value in ((64, 32), [64, 32.0], np.array([64, 32])):
        assert values.size(value) == (64, 32)
    assert values.size(64) == values.size(np.int64(64)) == values.size(64.0) == (64, 64)
    for value in ((64,), (64, 64, 1), "64x64", None, np.ones((2, 2)), [], {}):
        with pytest.raises(InputError, match=r"size must be \(height|height must be a whole number"):
            values.size(value)


def test_captions_are_text_one_or_several():
    one = "a 3 moving right"
    assert values.captions(one) == values.captions(np.str_(one)) == values.captions(np.array(one)) == [one]
    assert values.captions((one, "")) == values.captions(np.array([one, ""])) == [one, ""]
    for value in (None, b"a 3", 3, [one, None], [[one]], {one: 1}):
        with pytest.raises(InputError, match="a caption is text such as 'a 3 moving right', or a list of such, not "):
            values.captions(value)
    with pytest.raises(InputError, match="there is no caption"):
        values.captions([])
