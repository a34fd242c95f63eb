"""Records are named tuples: what `typing.NamedTuple` does with the same fields, they do."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from flowy._record import Record


class Made(Record):
    """Something."""

    name: str
    size: int = 3
    more: Any = None

    @property
    def twice(self) -> int:
        return 2 * self.size


class Named(NamedTuple):
    """Something."""

    name: str
    size: int = 3
    more: Any = None

    @property
    def twice(self) -> int:
        return 2 * self.size


class Empty(Record):
    pass


class Below(Made):
    """A class may add methods to a record."""

    def shout(self) -> str:
        return self.name.upper()


WAYS: list[Callable[[Any], Any]] = [
    lambda kind: kind("a"),
    lambda kind: kind("a", 1),
    lambda kind: kind("a", 1, [2]),
    lambda kind: kind(name="a"),
    lambda kind: kind("a", more=1),
    lambda kind: kind(size=1, name="a", more=2),
    lambda kind: kind("a").twice,
    lambda kind: kind("a", 5).size,
    lambda kind: kind("a")._replace(size=9),
    lambda kind: kind("a")._asdict(),
    lambda kind: kind._make(["a", 1, 2]),
    lambda kind: (kind._fields, kind._field_defaults, kind.__match_args__, kind.__doc__),
    lambda kind: kind("a") == ("a", 3, None),
    lambda kind: hash(kind("a")),
    lambda kind: kind("a") < kind("b"),
    lambda kind: kind("a")[1:],
    lambda kind: [*kind("a")],
    lambda kind: repr(kind("a", 1, ("x",))).replace("Named", "Made"),
    lambda kind: hasattr(kind("a"), "__dict__"),
    lambda kind: pickle.loads(pickle.dumps(kind("a", 1))),
    lambda kind: type(pickle.loads(pickle.dumps(kind("a", 1)))) is kind,
    lambda kind: type(copy.deepcopy(kind("a", 1, [2]))) is kind,
    lambda kind: type(copy.copy(kind("a"))) is kind,
]


@pytest.mark.parametrize("way", WAYS)
def test_it_is_a_named_tuple(way: Callable[[Any], Any]) -> None:
    assert way(Made) == way(Named)


@pytest.mark.parametrize(
    "way",
    [
        lambda kind: kind(),
        lambda kind: kind("a", 1, 2, 3),
        lambda kind: kind("a", name="b"),
        lambda kind: kind("a", 1, 2, more=3),
        lambda kind: kind("a", other=1),
    ],
)
def test_what_does_not_fit_is_refused_with_the_fields(way: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        way(Named)
    with pytest.raises(TypeError, match=r"^Made\(name, size=3, more=None\) does not fit what was given"):
        way(Made)


def test_a_field_that_is_not_there_is_not_replaced() -> None:
    any_way: Callable[..., Any] = Made
    with pytest.raises(TypeError, match="does not fit"):
        any_way("a")._replace(other=1)
    with pytest.raises(AttributeError):
        any_way("a").size = 1


def test_defaults_come_last() -> None:
    making: Any = type(Made)
    with pytest.raises(TypeError, match="Wrong: a field without a default"):
        making("Wrong", (Record,), {"__annotations__": {"a": "int", "b": "int"}, "a": 1})


def test_patterns_match_it() -> None:
    match Made("a", 1):
        case Made("a", size=size):
            assert size == 1
        case _:
            raise AssertionError


def test_an_empty_one_and_a_class_below() -> None:
    assert Empty() == ()
    assert Below("a", 2).shout() == "A"
    assert repr(Below("a")) == "Below(name='a', size=3, more=None)"
    assert pickle.loads(pickle.dumps(Below("a"))) == Below("a")
