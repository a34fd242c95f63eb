"""A trace as the JSON of Chrome's trace viewer; Perfetto (ui.perfetto.dev) opens it too.

Owns: `chrome`. A row for each worker, a bar for each task that ran, arrows for dependencies. The form
is "Trace Event Format" by Google: complete events `X`, flows `s` and `f`, times in microseconds.

May not know: engines. Its neighbour is `trace`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flowy.trace.record import KINDS, OUTCOMES
from flowy.trace.trace import Trace

MOST_ARROWS = 50_000
"""With more dependencies than this none is drawn: the viewers grow slow."""
_WORKFLOW = KINDS.index("workflow")


def chrome(trace: Trace) -> str:
    """A trace as JSON text for Perfetto and chrome://tracing."""
    events = [*_rows(trace), *_bars(trace)]
    if len(trace.columns.sources) <= MOST_ARROWS:
        events += _arrows(trace)
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, allow_nan=False) + "\n"


def _rows(trace: Trace) -> Iterator[dict[str, Any]]:
    runs = trace.runs
    yield {
        "ph": "M",
        "pid": 1,
        "name": "process_name",
        "args": {"name": runs[0].name if runs else "flowy"},
    }
    for worker in sorted(set(trace.columns.worker)):
        name = f"worker {worker}" if worker else "no worker"
        yield {"ph": "M", "pid": 1, "tid": worker, "name": "thread_name", "args": {"name": name}}


def _bars(trace: Trace) -> Iterator[dict[str, Any]]:
    c, began = trace.columns, trace.began
    for row in range(len(c)):
        started, ended = c.started[row], c.ended[row]
        if not ended >= started:
            continue
        common = {
            "pid": 1,
            "tid": c.worker[row],
            "name": c.names[c.name[row]],
            "cat": KINDS[c.kind[row]],
            "ts": (started - began) * 1e6,
            "args": _facts(trace, row),
        }
        if c.worker[row]:
            yield {**common, "ph": "X", "dur": (ended - started) * 1e6}
        else:  # sub-workflows and timers overlap: bars of one row must not
            yield {**common, "ph": "b", "id": row}
            end = {key: common[key] for key in ("pid", "tid", "name", "cat")}
            yield {**end, "ph": "e", "id": row, "ts": (ended - began) * 1e6}


def _facts(trace: Trace, row: int) -> dict[str, Any]:
    c = trace.columns
    facts: dict[str, Any] = {"key": c.key(row), "outcome": OUTCOMES[c.outcome[row]]}
    if c.attempts[row] > 1:
        facts["attempts"] = c.attempts[row]
    if row in c.errors:
        facts["error"] = c.errors[row]
    return facts


def _arrows(trace: Trace) -> Iterator[dict[str, Any]]:
    c, began = trace.columns, trace.began
    number = 0
    for row in range(len(c)):
        for source in c.depends_on(row):
            if not (c.ended[source] == c.ended[source] and c.started[row] == c.started[row]):
                continue
            number += 1
            common = {"pid": 1, "cat": "result", "name": "result", "id": number}
            leaves = {"tid": c.worker[source], "ts": (c.ended[source] - began) * 1e6}
            arrives = {"tid": c.worker[row], "ts": (c.started[row] - began) * 1e6}
            yield {**common, **leaves, "ph": "s"}
            yield {**common, **arrives, "ph": "f", "bp": "e"}
