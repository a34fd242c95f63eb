"""What the page shows before it has read the columns, and what Python reckons better than a browser.

Owns: `collect`: names, summary, critical path, waits, boxes of the graph; `clean` and `as_script`, which
make texts of a run harmless.

May not know: how any of it is shown. Neighbours: `analysis` and `graph`, whose results these are.
"""

from __future__ import annotations

import json
import math
from array import array
from collections import Counter
from typing import Any, NamedTuple

from flowy.trace import analysis
from flowy.trace.graph import Box, Drawing, draw, levels
from flowy.trace.record import KINDS, OUTCOMES, Columns
from flowy.trace.trace import Trace

LONGEST_NAME = 120
"""Characters of a name that are shown."""
LONGEST_LINE = 300
"""Of a file and a line in it."""
MOST_ROWS = 1000
"""Of a table."""
SHORT = 1e-6
"""Seconds below which tasks may not have been timed by themselves; see `Trace.exact`."""
MOST_STEPS = 5000
"""Of the critical path that are listed."""
MOST_BOXES = 300
"""More groups than this are drawn as one for each name."""
DEEPEST = 8
"""Sub-workflows in one another that are drawn as frames."""


class Facts(NamedTuple):
    record: dict[str, Any]
    """What becomes JSON."""
    began: float
    boxes: array[int]
    """For each task the number of its box in the graph."""


def collect(trace: Trace) -> Facts:
    """All of a trace that is not columns."""
    c = trace.columns
    began, ended = analysis.span(c)
    counts = Counter(c.outcome)
    drawing, flat = _graph(c)
    rows = analysis.summary(c)
    record = {
        "title": clean(c.runs[0].name if c.runs else "", LONGEST_NAME) or "workflow",
        "began": _number(began),
        "seconds": _number(ended - began),
        "workers": trace.workers or len(set(c.worker) - {0}),
        "exact": trace.exact or all(row.mean >= SHORT or not row.total for row in rows),
        "tasks": len(c),
        "outcomes": [counts[i] for i in range(len(OUTCOMES))],
        "retries": sum(x - 1 for x in c.attempts if x > 1),
        "kinds": KINDS,
        "outcomeNames": OUTCOMES,
        "names": [clean(name, LONGEST_NAME) for name in c.names],
        "summary": [[c.numbers[row.name], *map(_number, row[1:])] for row in rows[:MOST_ROWS]],
        "path": _path(c),
        "waits": [
            [
                clean(w.name, LONGEST_NAME),
                clean(w.line, LONGEST_LINE),
                w.times,
                _number(w.seconds),
                w.alone,
            ]
            for w in analysis.waits(c)[:MOST_ROWS]
        ],
        "places": [clean(place, LONGEST_LINE) for place in c.places],
        "boxes": [[b.label, b.level, b.run, KINDS.index(b.kind)] for b in drawing.boxes],
        "frames": [[f.label, f.parent, f.box, f.count] for f in drawing.frames],
        "flat": flat,
    }
    return Facts(record, began, drawing.box_of)


def _path(c: Columns) -> dict[str, Any]:
    path = analysis.critical_path(c)
    steps = Counter(task.name for task in path.tasks)
    return {
        "rows": [task.number for task in path.tasks[:MOST_STEPS]],
        "tasks": len(path.tasks),
        "seconds": _number(path.seconds),
        "names": [
            [c.numbers[n], _number(s), steps[n]] for n, s in list(path.by_name.items())[:MOST_ROWS]
        ],
    }


def _number(x: float) -> float:
    return x if math.isfinite(x) else 0.0


def _graph(c: Columns) -> tuple[Drawing, bool]:
    """The drawing by groups; where that is still too much to look at, one box for each name."""
    drawing = draw(c, 0)
    depth: list[int] = []
    for frame in drawing.frames:
        depth.append(depth[frame.parent] + 1 if frame.parent >= 0 else 0)
    if len(drawing.boxes) <= MOST_BOXES and max(depth, default=0) <= DEEPEST:
        return drawing, False
    return _by_name(c), True


def _by_name(c: Columns) -> Drawing:
    """A box for each name and kind, on the level of its first task; all beyond `MOST_BOXES` are one."""
    drawing = Drawing(grouped=True, box_of=array("i"))
    level = levels(c)
    numbers: dict[tuple[int, int], int] = {}
    for row in range(len(c)):
        key = c.name[row], c.kind[row]
        number = numbers.get(key)
        if number is None:
            number = numbers[key] = min(len(drawing.boxes), MOST_BOXES)
            if number == len(drawing.boxes):
                label = "others" if number == MOST_BOXES else clean(c.names[key[0]], LONGEST_NAME)
                drawing.boxes.append(Box(number, label, KINDS[key[1]], level[row], 0))
        drawing.box_of.append(number)
    return drawing


def clean(text: str, longest: int, *, lines: bool = False) -> str:
    """A text without what does not print, and no longer than that.

    >>> clean('a' + chr(27) + 'b', 10), clean('abcdef', 4), clean('a' + chr(10), 9, lines=True)
    ('a\\ufffdb', 'abc…', 'a\\n')
    """
    kept = text[: longest + 1]
    if len(kept) > longest:
        kept = kept[: longest - 1] + "…"
    if kept.isprintable():
        return kept
    return "".join(x if x.isprintable() or (lines and x in "\n\t") else "\ufffd" for x in kept)


def as_script(record: dict[str, Any]) -> str:
    """JSON that can stand in a script element, whatever it holds.

    >>> as_script({'a': '</script><!--'})
    '{"a":"\\\\u003c/script\\\\u003e\\\\u003c!--"}'
    """
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text
