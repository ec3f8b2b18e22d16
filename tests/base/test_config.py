import dataclasses

import pytest

from minivdit.base import config


@dataclasses.dataclass(frozen=True)
class Shape:
    height: int
    width: int = 4


@dataclasses.dataclass(frozen=True)
class Colour:
    height: int
    red: float = 0.5


def test_a_dataclass_takes_its_fields_from_others():
    assert config.collect(Shape, Shape(1, 2), Colour(3)) == Shape(3, 2)  # the last one counts
    assert config.collect(Shape, Colour(3)) == Shape(3)
    with pytest.raises(TypeError, match="height"):
        config.collect(Shape)
