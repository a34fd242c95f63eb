"""Values as JSON on their way through Amazon SWF.

Owns: round trips of all that may travel, what flowy 0.4 wrote and read, and what is refused.

May not know: workflows.
"""

from __future__ import annotations

import json
import uuid
from collections import OrderedDict, namedtuple
from datetime import timedelta, timezone
from decimal import Decimal
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flowy
from flowy.swf.serialization import dump_call, dumps, load_call, loads, same_json

ZONES = st.integers(-12, 12).map(lambda hours: timezone(timedelta(hours=hours)))
HASHABLE = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
        st.binary(),
        st.uuids(),
        st.dates(),
        st.datetimes().map(lambda moment: moment.replace(fold=0)),  # ISO 8601 has no fold
        st.datetimes(timezones=ZONES).map(lambda moment: moment.replace(fold=0)),
        st.decimals(allow_nan=False),
    ),
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
KEYS = st.text() | st.sampled_from([" u", " b", " t", " o", " p", " d", " zz", " "])
VALUES = st.recursive(
    HASHABLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=3),
        st.sets(HASHABLE, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
    ),
    max_leaves=8,
)


def form(value: Any) -> Any:
    """The value with all types spelled out: 1, 1.0 and True are equal, but not the same."""
    if isinstance(value, dict):
        return "dict", [(key, form(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [form(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, sorted((form(item) for item in value), key=repr)
    return type(value).__name__, repr(value)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_what_goes_out_comes_back_the_same(value: Any) -> None:
    text = dumps(value)
    assert form(loads(text)) == form(value)
    json.loads(text)
    assert text.isascii()


@settings(max_examples=80, deadline=None)
@given(st.lists(VALUES, max_size=3), st.dictionaries(KEYS, VALUES, max_size=2))
def test_calls_come_back_the_same(args: list[Any], kwargs: dict[str, Any]) -> None:
    text = dump_call(tuple(args), kwargs)
    again, named = load_call(text)
    assert form(again) == form(tuple(args))
    assert form(named) == form(kwargs)


def test_the_text_is_that_of_flowy_0_4() -> None:
    assert dump_call((2, 1), {}) == "[[2, 1], {}]"
    assert dump_call((), {"err": "Error!"}) == '[[], {"err": "Error!"}]'
    assert dumps(uuid.UUID(int=1)) == '{" u": "00000000000000000000000000000001"}'
    assert dumps(b"\x00") == '{" b": "AA=="}'


def test_the_text_of_a_set_does_not_depend_on_its_order() -> None:
    one, other = set(), set()
    names = [f"name {n}" for n in range(50)]
    for name in names:
        one.add(name)
    for name in reversed(names):
        other.add(name)
    assert dumps(one) == dumps(other) == dumps({" s": None} and set(names))
    assert dumps({"b": 1, "a": 2}) == '{"b": 1, "a": 2}'


def test_objects_may_say_what_stands_for_them() -> None:
    class Money:
        def __json__(self) -> Any:
            return {"amount": Decimal("1.50"), "tags": ("a",)}

    assert loads(dumps([Money()])) == [{"amount": Decimal("1.50"), "tags": ("a",)}]


def test_subclasses_travel_as_what_they_are_made_of() -> None:
    pair = namedtuple("pair", "a b")
    level = IntEnum("level", "low high")
    assert loads(dumps([pair(1, 2), OrderedDict(a=1), level(2)])) == [(1, 2), {"a": 1}, 2]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("nan"), "value is nan"),
        ([{"a": float("-inf")}], r"value\[0\]\['a'\] is -inf"),
        ({1: 2}, "keys of JSON are strings"),
        ({"a": {None: 1}}, r"value\['a'\] has the key None"),
        ([1, (object(),)], r"value\[1\]\[0\] is an object"),
        (int, "value is a type"),
    ],
)
def test_what_json_does_not_have_is_refused_with_its_place(value: Any, told: str) -> None:
    with pytest.raises(flowy.UsageError, match=told):
        dumps(value)


def test_a_container_in_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(flowy.UsageError, match="may contain themselves"):
        dumps(endless)


@given(
    st.text()
    | st.sampled_from(["NaN", '{" u": 1}', '{" t": 1}', '{" s": [[]]}', '{" n": "x"}', "[" * 9999])
)
def test_any_text_is_read_or_a_value_error(text: str) -> None:
    try:
        loads(text)
    except ValueError:
        pass


@pytest.mark.parametrize(
    "text", ["[]", "[[], {}, 1]", "[{}, []]", "3", '[{" t": []}, {}]', '[[], {" t": []}]']
)
def test_what_is_no_call_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="input of a call"):
        load_call(text)


def test_texts_are_the_same_that_say_the_same() -> None:
    assert same_json('[1, "ä"]', '[1,"\\u00e4"]')
    assert not same_json("[1]", "[1.0]")
    assert not same_json("[1]", "[true]")
    assert not same_json("[1", "[1]")
