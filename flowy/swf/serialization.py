"""Values as the JSON text that travels through Amazon SWF, and back.

Owns: `dumps` and `loads`, and their call forms `dump_call` and `load_call` (`[args, kwargs]`). As in
flowy 0.4, UUID and bytes travel under tags and an object may say by `__json__()` what stands for it;
datetime, date, Decimal, set, frozenset and tuple are kept apart by tags of their own.

May not know: SWF's limits (see `payloads`), or workflows. Nothing is ever unpickled or imported by
name: what comes back is made of the types listed here and of no others.

Strict: what JSON would change in silence is refused, with the path to it (NaN, keys that are no
strings, objects that nobody said how to write). The text of a value is the same each time: sets are
sorted, dicts keep their order, and the spacing is that of flowy 0.4. Of a datetime the offset travels,
not the name of its zone.

A tag is an object with one key that begins with a space. A dict of the user that looks like one
travels as ``{" o": [[key, value]]}``.
"""

from __future__ import annotations

import json
import math
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from json.scanner import make_scanner
from typing import Any

from flowy._replay import write_atoms
from flowy.errors import UsageError

__all__ = ["dump_call", "dumps", "load_call", "loads", "same_json"]

MAX_NESTING = 200
"""Containers that a value may nest; what the JSON readers of other languages take is about that."""

_encode = json.JSONEncoder(allow_nan=False, check_circular=False).encode
_ATOMS: dict[type, Callable[[Any], str]] = {
    str: json.encoder.encode_basestring_ascii,
    int: int.__repr__,
    bool: lambda x: "true" if x else "false",
    type(None): lambda x: "null",
}
"""What needs no walk, and how it is written: a third of the encoder's time, most of it to begin."""


def dumps(value: Any) -> str:
    """The text of a value.

    Raises:
        UsageError: something in it can't travel as JSON; says what, where, and what to do.

    >>> dumps([1, (2, b'x')])
    '[1, {" t": [2, {" b": "eA=="}]}]'
    """
    write = _ATOMS.get(type(value))
    if write is not None:
        return write(value)
    return _encode(_tag(value, "value", 0))


def loads(text: str) -> Any:
    """The value of a text.

    Raises:
        ValueError: the text is no JSON, or a tag in it is broken.

    >>> loads('[1, {" t": [2, {" b": "eA=="}]}]')
    [1, (2, b'x')]
    """
    try:
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except (ValueError, TypeError, ArithmeticError, RecursionError, StopIteration):
        pass  # perhaps there is white space before it
    try:
        return _decode(text)
    except (TypeError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"not what flowy writes: {type(error).__name__}: {error}") from None


def dump_call(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """The text of the arguments of a call.

    Raises:
        UsageError: as `dumps`.

    >>> dump_call((2, 1), {'err': 'Error!'})
    '[[2, 1], {"err": "Error!"}]'
    """
    if not kwargs:
        text = write_atoms(args)
        if text is not None:
            return text
    values = [_tag(x, f"args[{i}]", 1) for i, x in enumerate(args)]
    return _encode([values, _tag_dict(kwargs, "kwargs", 1)])


def load_call(text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """(args, kwargs) of the text of a call.

    Raises:
        ValueError: it is not `[args, kwargs]`.
    """
    call = loads(text)
    if not (
        isinstance(call, list) and len(call) == 2 and type(call[0]) is list and type(call[1]) is dict
    ):
        raise ValueError("the input of a call is [[arguments], {keyword arguments}]")
    return tuple(call[0]), call[1]


def same_json(one: str, other: str) -> bool:
    """Whether two texts say the same, however they are spaced and escaped."""
    if one == other:
        return True
    try:
        a, b = json.loads(one), json.loads(other)
    except ValueError:
        return False
    return bool(_encode_any(a) == _encode_any(b))  # 1 and 1.0 and True are equal, and not the same


_encode_any = json.JSONEncoder(sort_keys=True).encode


# writing


def _tag(x: Any, path: str, depth: int) -> Any:
    """`x` as the encoder takes it: lists, dicts and atoms only."""
    kind = type(x)
    if kind in _ATOMS:
        return x
    if depth > MAX_NESTING:
        raise UsageError(
            f"{_short(path)}: containers nest deeper than {MAX_NESTING}; they may contain themselves"
        )
    write = _WRITERS.get(kind)
    if write is not None:
        return write(x, path, depth)
    as_json = getattr(x, "__json__", None)
    if callable(as_json) and not isinstance(x, type):
        return _tag(as_json(), f"{path}.__json__()", depth + 1)
    for base, write in _WRITERS.items():
        if isinstance(x, base):
            return write(x, path, depth)
    raise UsageError(
        f"{_short(path)} is {_describe(x)}, which can't travel through SWF as JSON: pass what it is "
        "made of, give its class a __json__ method, or configure serialize_input and deserialize_result"
    )


def _short(path: str) -> str:
    """A path that leaves room for what is said of it."""
    return path if len(path) <= 100 else f"{path[:40]} … {path[-40:]}"


def _describe(x: Any) -> str:
    name = type(x).__qualname__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _tag_list(x: Any, path: str, depth: int) -> Any:
    return [v if type(v) in _ATOMS else _tag(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(x)]


def _tag_dict(x: Mapping[Any, Any], path: str, depth: int) -> Any:
    made = {}
    for key, value in x.items():
        if not isinstance(key, str):
            raise UsageError(
                f"{_short(path)} has the key {key!r}: the keys of JSON are strings, so this one would "
                "come back as another; use str(key), or a list of pairs"
            )
        if type(value) not in _ATOMS:
            value = _tag(value, f"{path}[{key!r}]", depth + 1)
        made[str(key)] = value
    if len(made) == 1:
        ((key, value),) = made.items()
        if key.startswith(" "):
            return {" o": [[key, value]]}
    return made


def _tag_set(tag: str) -> Callable[[Any, str, int], Any]:
    def write(x: Any, path: str, depth: int) -> Any:
        return {tag: sorted((_tag(v, f"{path}{{…}}", depth + 1) for v in x), key=_encode)}

    return write


def _tag_float(x: float, path: str, depth: int) -> float:
    if not math.isfinite(x):
        raise UsageError(
            f"{_short(path)} is {x!r}, which JSON does not have: pass None or a string for it"
        )
    return x


def _number(x: int, path: str, depth: int) -> int:
    return int(x)


_WRITERS: dict[type, Callable[[Any, str, int], Any]] = {
    list: _tag_list,
    dict: _tag_dict,
    float: _tag_float,
    tuple: lambda x, path, depth: {" t": _tag_list(x, path, depth)},
    set: _tag_set(" s"),
    frozenset: _tag_set(" f"),
    bytes: lambda x, path, depth: {" b": b64encode(x).decode("ascii")},
    uuid.UUID: lambda x, path, depth: {" u": x.hex},
    datetime: lambda x, path, depth: {" d": x.isoformat()},
    date: lambda x, path, depth: {" y": x.isoformat()},
    Decimal: lambda x, path, depth: {" n": str(x)},
    str: lambda x, path, depth: str(x),
    int: _number,
}
"""How each type is written; subclasses go by the first that fits, so `datetime` is before `date`."""


# reading


def _untag(pairs: list[tuple[str, Any]]) -> Any:
    if len(pairs) == 1:
        ((tag, value),) = pairs
        read = _READERS.get(tag)
        if read is not None:
            return read(value)
    return dict(pairs)


def _listed(kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not list:
            raise TypeError("a tagged container is no list")
        return kind(value)

    return read


def _text(kind: Callable[[str], Any]) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not str:
            raise TypeError("a tagged value is no string")
        return kind(value)

    return read


def _read_bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_READERS: dict[str, Callable[[Any], Any]] = {
    " t": _listed(tuple),
    " s": _listed(set),
    " f": _listed(frozenset),
    " o": _listed(dict),
    " b": _text(_read_bytes),
    " u": _text(uuid.UUID),
    " d": _text(datetime.fromisoformat),
    " y": _text(date.fromisoformat),
    " n": _text(Decimal),
}

_decoder = json.JSONDecoder(object_pairs_hook=_untag, parse_constant=_refuse_constant)
_decode = _decoder.decode
_scan = make_scanner(_decoder)  # type: ignore[arg-type]  # typeshed has the wrong parameter
