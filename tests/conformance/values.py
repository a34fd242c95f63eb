"""Cases: values of each kind, in arguments, results, inputs and signals.

Owns: that they come back as what they were.
"""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import flowy
from conformance.calls import inc
from conformance.case import case
from conformance.children import Listening
from conformance.outside import ALONE

ZONE = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
KINDS: dict[str, Any] = {
    "nothing": None,
    "bool": [True, False],
    "int": [0, -1, 2**70],
    "float": [0.1, -2.5e300, 1.0],
    "text": ["", "ünïcödé ☃ 🐍", 'line\nbreak \x00 "quoted" \\'],
    "bytes": [b"", b"\x00\xff"],
    "uuid": uuid.UUID("12345678123456781234567812345678"),
    "datetime": [
        datetime.datetime(2020, 2, 29, 12, 30, 15, 123456),
        datetime.datetime(2020, 2, 29, 12, 30, tzinfo=ZONE),
        datetime.datetime(2020, 2, 29, tzinfo=datetime.timezone.utc),
    ],
    "date": datetime.date(1999, 12, 31),
    "decimal": [Decimal("0.10"), Decimal("-1E+400")],
    "tuple": ((), (1, (2,), [3])),
    "set": [set(), {1, 2}, frozenset({"a", ("b", 1)})],
    "dict": {"": {}, "a": {"b": {"c": []}}},
    "tags": [{" t": [1]}, {" unknown": 1}, {" o": {" b": "x"}}],
}


def same(value: Any) -> Any:
    return value


def named(**values: Any) -> Any:
    return values


def nest(depth: int) -> Any:
    value: Any = "core"
    for _ in range(depth):
        value = [value]
    return value


@case(value=KINDS, same=same)
class EachKindOfValue:
    def __init__(self, same: Any) -> None:
        self.same = same

    def __call__(self) -> Any:
        return {name: self.same(value) for name, value in KINDS.items()}


@case(KINDS, value=KINDS, given={"more": {1, 2}}, same=same)
class EachKindOfInput:
    def __init__(self, same: Any) -> None:
        self.same = same

    def __call__(self, kinds: Any, more: Any) -> Any:
        assert type(more) is set
        return self.same(kinds)


@case(value=KINDS, named=named)
class EachKindByName:
    def __init__(self, named: Any) -> None:
        self.named = named

    def __call__(self) -> Any:
        return self.named(**KINDS)


@case(value=[True, 2**70], same=same)
class KindsAreLookedAt:
    def __init__(self, same: Any) -> None:
        self.same = same

    def __call__(self) -> Any:
        back = {name: self.same(value) for name, value in KINDS.items()}
        return [all(back[name] == value for name, value in KINDS.items()), back["int"][2]]


@case("x" * 50_000, value=[100_000, "xxyy"], same=same)
class LargeValues:
    """Longer than SWF takes: they go to a payload store."""

    def __init__(self, same: Any) -> None:
        self.same = same

    def __call__(self, text: str) -> Any:
        both = flowy.wait(self.same(text + "y" * 50_000))
        return [len(both), both[49_998:50_002]]


@case(value=["☃" * 40_000, 40_000], same=same)
class LargeResults:
    def __init__(self, same: Any) -> None:
        self.same = same

    def __call__(self) -> Any:
        large = self.same("☃" * 40_000)
        return [large, len(large)]


@case(value=[40_000, "z"], same=same)
class LargeSideEffects:
    def __init__(self, same: Any) -> None:
        self.same = same

    def __call__(self) -> Any:
        kept = flowy.side_effect(lambda: "z" * 40_000)
        flowy.wait(self.same(1))
        return [len(kept), self.same(kept[0])]


@case(
    value=sum([1] * 20_000) + 1,
    but=ALONE,
    needs="child send",
    children={"sub": Listening},
    same=same,
)
class LargeSignals:
    def __init__(self, sub: Any, same: Any) -> None:
        self.sub, self.same = sub, same

    def __call__(self) -> Any:
        child = self.sub()
        flowy.send_signal(child, "add", sum([1] * 20_000))
        flowy.send_signal(child, "unknown", "a" * 40_000)
        flowy.send_signal(child, "add", None)
        return child


@case(
    "w" * 20_000, value=60_000, but={"bare": "nobody starts it again there"}, needs="continue", inc=inc
)
class LargeRestarts:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, text: str) -> Any:
        if len(text) < 60_000:
            return flowy.restart(text + "w" * 20_000)
        return self.inc(len(text) - 1)


@case(value=[nest(90), nest(90)], same=same, inc=inc)
class DeepValues:
    def __init__(self, same: Any, inc: Any) -> None:
        self.same, self.inc = same, inc

    def __call__(self) -> Any:
        deep: Any = self.same("core")
        for _ in range(90):
            deep = [deep]
        return [self.same(deep), nest(90)]
