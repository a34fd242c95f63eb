"""A trace as the JSON of Chrome's trace viewer; Perfetto (ui.perfetto.dev) opens it too.

Owns: `chrome`. A row for each worker, a bar for each attempt that ran, arrows for dependencies. The
form is "Trace Event Format" by Google: complete events `X`, flows `s` and `f`, times in microseconds.

May not know: engines. Its neighbour is `trace`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from flowy.trace.record import KINDS, OUTCOMES
from flowy.trace.trace import Trace

MOST_ARROWS = 50_000
"""With more dependencies than this none is drawn: the viewers grow slow."""
BAD = "terrible"
"""Which of the viewers' own colours bars of failures have."""
COMMA = ",\n"
_COMPLETED = OUTCOMES.index("completed")


def chrome(trace: Trace) -> str:
    """A trace as JSON text for Perfetto and chrome://tracing."""
    events = [*map(json.dumps, _rows(trace)), *_bars(trace), *map(json.dumps, _earlier(trace))]
    if len(trace.columns.sources) <= MOST_ARROWS:
        events += map(json.dumps, _arrows(trace))
    return f'{{"traceEvents": [\n{COMMA.join(events)}\n], "displayTimeUnit": "ms"}}\n'


def _rows(trace: Trace) -> Iterator[dict[str, Any]]:
    c, runs = trace.columns, trace.runs
    yield {
        "ph": "M",
        "pid": 1,
        "name": "process_name",
        "args": {"name": runs[0].name if runs else "flowy"},
    }
    tried = {one.worker for kept in c.earlier.values() for one in kept}
    for worker in sorted({*c.worker, *tried}):
        name = f"worker {worker}" if worker else "no worker"
        yield {"ph": "M", "pid": 1, "tid": worker, "name": "thread_name", "args": {"name": name}}


def _bars(trace: Trace) -> Iterator[str]:
    """What is the same for many is turned into JSON once: there may be a million bars."""
    c, began = trace.columns, trace.began
    names = [json.dumps(name) for name in c.names]
    heads: dict[tuple[int, int, int], str] = {}
    columns = zip(
        *(c.name, c.kind, c.worker, c.started, c.ended, c.outcome, c.attempts, c.call, c.index),
        strict=True,
    )
    for row, (name, kind, worker, started, ended, outcome, attempts, call, index) in enumerate(columns):
        took = ended - started
        if not 0 <= took < math.inf:
            continue
        head = heads.get((name, kind, outcome))
        if head is None:
            colour = f', "cname": "{BAD}"' if outcome > _COMPLETED else ""
            head = heads[name, kind, outcome] = (
                f'"name": {names[name]}, "cat": "{KINDS[kind]}"{colour}, '
                f'"args": {{"outcome": "{OUTCOMES[outcome]}", "key": '
            )
        if c.keys:
            key = json.dumps(c.key(row))
        else:
            member = f".{index}" if index >= 0 else ""
            key = f'{names[name][:-1]}-{call}{member}-{max(1, attempts) - 1}"'
        more = f', "attempts": {attempts}' if attempts > 1 else ""
        if row in c.errors:
            more += f', "error": {json.dumps(c.errors[row])}'
        at = f'"pid": 1, "tid": {worker}, "ts": {(started - began) * 1e6:.3f}'
        if worker:
            yield f'{{"ph": "X", {at}, "dur": {took * 1e6:.3f}, {head}{key}{more}}}}}'
        else:  # sub-workflows and timers overlap: bars of one row must not
            yield f'{{"ph": "b", "id": {row}, {at}, {head}{key}{more}}}}}'
            yield (
                f'{{"ph": "e", "id": {row}, "pid": 1, "tid": 0, "ts": {(ended - began) * 1e6:.3f}, '
                f'"name": {names[name]}, "cat": "{KINDS[kind]}"}}'
            )


def _earlier(trace: Trace) -> Iterator[dict[str, Any]]:
    """The attempts before the last."""
    c, began = trace.columns, trace.began
    for row, kept in c.earlier.items():
        for number, one in enumerate(kept):
            if not 0 <= one.ended - one.started < math.inf:
                continue
            facts = {"key": attempt_key(c.key(row), number), "attempt": number + 1}
            common = {
                "pid": 1,
                "tid": one.worker,
                "name": c.names[c.name[row]],
                "cat": KINDS[c.kind[row]],
                "ts": (one.started - began) * 1e6,
                "cname": BAD,
                "args": {**facts, "outcome": one.outcome, "error": one.error},
            }
            if one.worker:
                yield {**common, "ph": "X", "dur": (one.ended - one.started) * 1e6}
            else:
                id = f"{row}.{number}"
                yield {**common, "ph": "b", "id": id}
                end = {key: common[key] for key in ("pid", "tid", "name", "cat")}
                yield {**end, "ph": "e", "id": id, "ts": (one.ended - began) * 1e6}


def attempt_key(key: str, number: int) -> str:
    """The key of another attempt of a task, counted from 0.

    >>> attempt_key('fetch-0.12-3', 0)
    'fetch-0.12-0'
    """
    task, dash, last = key.rpartition("-")
    return f"{task}-{number}" if dash and last.isdigit() else key


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
