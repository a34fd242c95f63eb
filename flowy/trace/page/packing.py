"""The columns of a trace as bytes that a browser reads in a moment.

Owns: `pack`: which column has which type and coding, and the texts beside them. `data.js` reads it.

May not know: what is drawn. Its neighbour is `record`, whose columns these are.

A column is an array of the narrowest type that holds it. What grows evenly is coded as differences
(modulo 2³²), and positions of other tasks as the distance to them, since small numbers compress well.
All columns are one zlib stream in base64: some 9 bytes a task with one dependency. Times are whole ticks
of 100 ns from the first one on, the precision that a time of day has in a trace; where a run is so long
that 32 bits don't hold them, they are doubles.
"""

from __future__ import annotations

import base64
import json
import math
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from flowy.trace.page.facts import clean
from flowy.trace.record import Columns

TICK = 1e-7
UNKNOWN = 0xFFFFFFFF
"""In place of a tick: no such time."""
LEVEL = 4
"""Of zlib: higher ones take twice the time for a few per cent."""
LONGEST_TEXT = 20_000
MOST_TEXT = 16_000_000
"""Characters of all texts of one sort; what is beyond is left out."""
_MASK = 0xFFFFFFFF
_TYPES = {"B": "Uint8Array", "H": "Uint16Array", "I": "Uint32Array", "f": "Float32Array"}
_TYPES["d"] = "Float64Array"


@dataclass
class Packed:
    """What stands in the page: two texts of base64, and where each column is in the first."""

    numbers: str = ""
    texts: str = ""
    manifest: list[dict[str, Any]] = field(default_factory=list)


class _Stream:
    """Columns one behind the other, each at a multiple of 8 bytes."""

    def __init__(self) -> None:
        self.manifest: list[dict[str, Any]] = []
        self._zlib = zlib.compressobj(LEVEL)
        self._parts: list[bytes] = []
        self._length = 0

    def add(self, name: str, values: array[Any], coding: str = "") -> None:
        entry = {"name": name, "type": _TYPES[values.typecode], "at": self._length, "size": len(values)}
        self.manifest.append({**entry, "coding": coding})
        if sys.byteorder == "big":
            values = values[:]
            values.byteswap()
        data = values.tobytes()
        data += bytes(-len(data) % 8)
        self._parts.append(self._zlib.compress(data))
        self._length += len(data)

    def done(self) -> str:
        return _base64(b"".join([*self._parts, self._zlib.flush()]))


def pack(c: Columns, began: float, boxes: Sequence[int]) -> Packed:
    """The columns of a trace whose first time is `began`; `boxes`: each task's in the graph."""
    stream = _Stream()
    for name in ("name", "run", "worker", "attempts", "kind", "outcome", "line", "taken", "made"):
        stream.add(name, narrow(getattr(c, name)))
    for name in ("call", "index"):
        stream.add(name, differences(getattr(c, name)), "differences")
    stream.add("box", narrow(boxes))
    _add_times(stream, c, began)
    for name in ("waited", "queued"):
        stream.add(name, _rounded(getattr(c, name)))
    stream.add("after", array("I", [row - x if x >= 0 else 0 for row, x in enumerate(c.after)]), "back")
    counts = [b - a for a, b in zip(c.first, c.first[1:], strict=False)]
    stream.add("counts", narrow(counts))
    users = (row for row, count in enumerate(counts) for _ in range(count))
    back = array("I", [row - x for row, x in zip(users, c.sources, strict=True)])
    stream.add("sources", back)
    stream.add("runParent", array("I", [run.parent & _MASK for run in c.runs]))
    texts = {name: _texts(getattr(c, name)) for name in ("keys", "errors", "values")}
    record = json.dumps({**texts, "earlier": _earlier(c, began)}, separators=(",", ":"))
    return Packed(stream.done(), _base64(zlib.compress(record.encode(), LEVEL)), stream.manifest)


def _add_times(stream: _Stream, c: Columns, began: float) -> None:
    """When each task started, and how long it took."""
    started = [t - began for t in c.started]
    took = [b - a for a, b in zip(c.started, c.ended, strict=True)]
    latest = max((a + b for a, b in zip(started, took, strict=True) if a + b < math.inf), default=0.0)
    if latest / TICK >= UNKNOWN - 1:
        stream.add("started", array("d", started))
        stream.add("took", array("d", took))
        return
    stream.add("started", differences(_ticks(started)), "differences")
    stream.add("took", array("I", _ticks(took)))


def _ticks(seconds: list[float]) -> list[int]:
    longest = (UNKNOWN - 1) * TICK
    return [int(t / TICK + 0.5) if 0 <= t < longest else 0 if t < 0 else UNKNOWN for t in seconds]


def narrow(values: Sequence[int]) -> array[int]:
    """Numbers from 0 on, in the narrowest type.

    >>> narrow([1, 255]).typecode, narrow([1, 256]).typecode, narrow([]).typecode
    ('B', 'H', 'B')
    """
    most = max(values, default=0)
    return array("B" if most < 1 << 8 else "H" if most < 1 << 16 else "I", values)


def differences(values: Sequence[int]) -> array[int]:
    """Each number less the one before it, modulo 2³².

    >>> differences([5, 6, 4]).tolist()
    [5, 1, 4294967294]
    """
    return array("I", [(b - a) & _MASK for a, b in zip(chain((0,), values), values, strict=False)])


def _rounded(values: array[float]) -> array[float]:
    """Floats with half of the bits of their fraction cut off: within 0.05 %, and half the size."""
    bits = array("I", values.tobytes())
    made = array("f")
    made.frombytes(array("I", [x & 0xFFFFF000 for x in bits]).tobytes())
    return made


def _earlier(c: Columns, began: float) -> dict[int, list[dict[str, Any]]]:
    """Attempts before the last ones, with times from the beginning of the run on."""

    def since(time: float) -> float | None:
        return time - began if math.isfinite(time) else None

    return {
        row: [
            {
                "worker": one.worker,
                "start": since(one.started),
                "end": since(one.ended),
                "outcome": one.outcome,
                "error": clean(one.error, LONGEST_TEXT, lines=True),
            }
            for one in attempts
        ]
        for row, attempts in c.earlier.items()
    }


def _texts(texts: dict[int, str]) -> dict[int, str]:
    made, left = {}, MOST_TEXT
    for row, text in texts.items():
        if left <= 0:
            break
        made[row] = clean(text, LONGEST_TEXT, lines=True)
        left -= len(made[row])
    return made


def _base64(data: Iterable[int]) -> str:
    return base64.b64encode(bytes(data)).decode()
