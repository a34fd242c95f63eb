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
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flowy import _passes
from flowy.trace.page.facts import clean
from flowy.trace.record import Columns

TICK = 1e-7
UNKNOWN = 0xFFFFFFFF
"""In place of a tick: no such time."""
LEVEL = 2
"""Of zlib: higher ones take two and more times as long for 5 per cent."""
LONGEST_TEXT = 20_000
MOST_TEXT = 16_000_000
"""Characters of all texts of one sort; what is beyond is left out."""
_NONE = array("d")
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


def pack(c: Columns, began: float, boxes: array[int]) -> Packed:
    """The columns of a trace whose first time is `began`; `boxes`: each task's in the graph."""
    stream = _Stream()
    for name in ("name", "run", "worker", "attempts", "kind", "outcome", "line", "taken", "made"):
        stream.add(name, _passes.narrow(getattr(c, name)))
    for name in ("call", "index"):
        stream.add(name, _passes.differences(getattr(c, name)), "differences")
    stream.add("box", _passes.narrow(boxes))
    _add_times(stream, c, began)
    for name in ("waited", "queued"):
        stream.add(name, _rounded(getattr(c, name)))
    stream.add("after", _passes.back(c.after), "back")
    counts, sources = _passes.edges(c.first, c.sources)
    stream.add("counts", _passes.narrow(counts))
    stream.add("sources", sources)
    stream.add("runParent", array("I", [run.parent & _MASK for run in c.runs]))
    texts = {name: _texts(getattr(c, name)) for name in ("keys", "errors", "values")}
    record = json.dumps({**texts, "earlier": _earlier(c, began)}, separators=(",", ":"))
    return Packed(stream.done(), _base64(zlib.compress(record.encode(), LEVEL)), stream.manifest)


def _add_times(stream: _Stream, c: Columns, began: float) -> None:
    """When each task started, and how long it took."""
    _, latest = _passes.span(c.started, c.ended, c.waited, c.queued)
    if (latest - began) / TICK >= UNKNOWN - 1:
        stream.add("started", _passes.since(c.started, _NONE, began))
        stream.add("took", _passes.since(c.ended, c.started, 0.0))
        return
    started = _passes.ticks(c.started, _NONE, began, TICK)
    stream.add("started", _passes.differences(memoryview(started).cast("B").cast("i")), "differences")
    stream.add("took", _passes.ticks(c.ended, c.started, 0.0, TICK))


def _rounded(values: array[float]) -> array[float]:
    """Floats with half of the bits of their fraction cut off: within 0.05 %, and half the size."""
    made = array("f")
    made.frombytes(_passes.rounded(memoryview(values).cast("B").cast("I")).tobytes())
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
