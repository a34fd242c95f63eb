"""A trace as JSON.

Owns: the form on disk: `save` and `load`. One object with a list for each column, in which NaN is
written as null. From `PACKED_FROM` tasks on a column is text instead: its numbers as they are in memory,
the bytes of the same place together, compressed and in base64. So a million tasks take a second each
way, and a sixth of the room.

May not know: what a trace is good for. Nothing that comes from a file is trusted: `load` checks that the
columns fit together, and everything after it may rely on that. A packed column says how many numbers it
has, and no more of it is unpacked.
"""

from __future__ import annotations

import base64
import json
import math
import os
import sys
import zlib
from array import array
from collections.abc import Sequence
from typing import Any

from flowy import _passes
from flowy.errors import UsageError
from flowy.trace.record import KINDS, NAN, OUTCOMES, WIDTHS, Attempt, Columns, Execution, Stop

FORM = "flowy trace"
VERSION = 3
READABLE = (2, 3)
"""Versions that are read. In 2 all columns are lists."""
PACKED_FROM = 5_000
"""Tasks: below it is of use that people can read the file, too."""
LEVEL = 1
"""Of zlib: times are compressed badly by any."""
_TEXTS = ("keys", "errors", "values")
_BROKEN = (KeyError, TypeError, ValueError, OverflowError, AttributeError, zlib.error)
"""What reading and checking raise. One that asks for more memory than there is is told of as such."""


def to_record(c: Columns) -> dict[str, Any]:
    """All that the columns hold, as JSON can hold it."""
    pack = _packed if len(c) >= PACKED_FROM else _listed
    record: dict[str, Any] = {"names": c.names, "runs": [list(run) for run in c.runs]}
    for column in (*WIDTHS, "first", "sources"):
        record[column] = pack(getattr(c, column))
    for column in _TEXTS:
        record[column] = {str(row): text for row, text in getattr(c, column).items()}
    record["places"] = c.places
    record["stops"] = None if c.stops is None else [list(stop) for stop in c.stops]
    record["earlier"] = {
        str(row): [[_or_null(x) if isinstance(x, float) else x for x in one] for one in attempts]
        for row, attempts in c.earlier.items()
    }
    return record


def _listed(values: array[Any]) -> list[Any]:
    return [_or_null(x) for x in values] if values.typecode in "df" else values.tolist()


def _or_null(x: float) -> float | None:
    return x if math.isfinite(x) else None


def _packed(values: array[Any]) -> dict[str, Any]:
    """Bytes of the same place in all numbers stand together: most of them are alike."""
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    data, size = values.tobytes(), values.itemsize
    planes = b"".join(data[i::size] for i in range(size))
    text = base64.b64encode(zlib.compress(planes, LEVEL)).decode()
    return {"numbers": len(values), "zlib": text}


def _column(x: Any, width: str) -> array[Any]:
    """What either way of writing stands for."""
    if not isinstance(x, dict):
        return array(width, [NAN if one is None else one for one in x] if width in "df" else x)
    made = array(width)
    n, size = int(x["numbers"]), made.itemsize
    if n < 0:
        raise ValueError(f"a column is of {n} numbers")
    unpacking = zlib.decompressobj()
    planes = unpacking.decompress(base64.b64decode(_text(x["zlib"]), validate=True), n * size + 1)
    if len(planes) != n * size:
        raise ValueError(f"a column is not of {n} numbers")
    data = bytearray(n * size)
    for i in range(size):
        data[i::size] = planes[i * n : (i + 1) * n]
    made.frombytes(data)
    if sys.byteorder == "big":
        made.byteswap()
    return made


def save(c: Columns, path: str | os.PathLike[str], exact: bool, workers: int) -> None:
    record = {"form": FORM, "version": VERSION, "exact": exact, "workers": workers, **to_record(c)}
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(record, allow_nan=False, separators=(",", ":")))
        file.write("\n")


def load(path: str | os.PathLike[str]) -> tuple[Columns, bool, int]:
    """(columns, exact, workers).

    Raises:
        OSError: it can't be read.
        UsageError: it is no trace, or one that does not hold together.
    """
    with open(path, encoding="utf-8") as file:
        try:
            record = json.load(file)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} is no trace: {error}") from None
    if not isinstance(record, dict) or record.get("form") != FORM:
        raise UsageError(f"{path} is no trace of flowy (drawings can't be read back: save it as .json)")
    if record.get("version") not in READABLE:
        raise UsageError(f"{path} is a trace of version {record.get('version')}, this is {VERSION}")
    try:
        columns = from_record(record)
        return columns, bool(record.get("exact", True)), int(record.get("workers", 0))
    except _BROKEN as error:
        raise UsageError(f"{path} is a broken trace: {type(error).__name__}: {error}") from None


def from_record(record: dict[str, Any]) -> Columns:
    """The columns behind `to_record`.

    Raises:
        one of `_BROKEN`: they don't hold together.
    """
    c = Columns()
    c.names = [_text(name) for name in record["names"]]
    c.numbers = {name: i for i, name in enumerate(c.names)}
    for id, name, parent in record["runs"]:
        c.runs.append(Execution(_text(id), _text(name), int(parent)))
    for column, width in {**WIDTHS, "first": "i", "sources": "i"}.items():
        setattr(c, column, _column(record[column], width))
    for column in _TEXTS:
        setattr(c, column, {int(row): _text(text) for row, text in record[column].items()})
    c.places = [_text(place) for place in record["places"]]
    if record["stops"] is not None:
        c.stops = [
            Stop(_text(name), int(place), int(times), int(alone), float(seconds))
            for name, place, times, alone, seconds in record["stops"]
        ]
    c.earlier = {int(row): tuple(map(_attempt, attempts)) for row, attempts in record["earlier"].items()}
    _check(c)
    return c


def _attempt(x: Any) -> Attempt:
    worker, sent, started, ended, outcome, error = x
    a, b, c = (NAN if time is None else float(time) for time in (sent, started, ended))
    return Attempt(int(worker), a, b, c, _text(outcome), _text(error))


def _text(x: Any) -> str:
    if not isinstance(x, str):
        raise TypeError(f"{x!r} is no text")
    return x


def _check(c: Columns) -> None:
    """Raises ValueError unless each number is of something that is there."""
    n = len(c)
    lengths = {column: len(getattr(c, column)) for column in WIDTHS}
    if set(lengths.values()) != {n} or len(c.first) != n + 1:
        raise ValueError(f"its columns are not equally long: {lengths}")
    if c.first[0] != 0 or c.first[n] != len(c.sources):
        raise ValueError("the dependencies are not those of the tasks")
    _check_range("name", c.name, len(c.names))
    _check_range("run", c.run, max(1, len(c.runs)))
    _check_range("kind", c.kind, len(KINDS))
    _check_range("line", c.line, len(c.places) + 1)
    _check_range("line", [stop.place for stop in c.stops or ()], len(c.places) + 1)
    _check_range("task", list(c.earlier), n)
    if any(one.outcome not in OUTCOMES for kept in c.earlier.values() for one in kept):
        raise ValueError("an attempt came to what is unknown")
    _check_range("outcome", c.outcome, len(OUTCOMES))
    parents = [run.parent for run in c.runs]
    if any(not -1 <= parent < n for parent in parents):
        raise ValueError("a run is of a task that is not there")
    wrong = _passes.find_disorder(c.first, c.sources, c.after, c.run, c.parents())
    if wrong is not None:
        raise ValueError(wrong)


def _check_range(what: str, column: Sequence[int], size: int) -> None:
    if len(column) and not (min(column) >= 0 and max(column) < size):
        raise ValueError(f"a {what} is out of range")
