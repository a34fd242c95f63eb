"""From what the core has noted to a trace.

Owns: `take`, which turns what a `Tracer` has into the columns of a `Trace`.

May not know: runs, executors. Neighbours: `_trace`, which has the rows, and `trace`.

In the core a result may stand for others: that of `first` for the one that came first, that of
`parallel_reduce` for the last call, or for all that plain functions combined. Such aliases are put in
place here; and since a reduction may have calls younger than what needs its result, tasks are put in an
order in which each stands behind what it depends on. Without aliases nothing is done task by task.
"""

from __future__ import annotations

import heapq
from array import array
from collections import defaultdict
from collections.abc import Sequence

from flowy._trace import Tracer
from flowy.trace import Trace
from flowy.trace.record import WIDTHS, Attempt, Columns, Execution, Stop

Aliases = Sequence["tuple[int, ...] | None"]


def take(tracer: Tracer, workers: int) -> Trace:
    """The trace of what was noted so far."""
    noted = tracer.columns()
    columns = Columns()
    for column, width in {**WIDTHS, "first": "i", "sources": "i"}.items():
        values = array(width)
        values.frombytes(noted.pop(column))  # one copy at a time: there may be millions
        setattr(columns, column, values)
    columns.errors, columns.values = dict(tracer.errors), dict(tracer.values)
    columns.places = list(tracer.places)
    columns.stops = [Stop(*stop) for stop in tracer.waited()]
    columns.earlier = {row: tuple(Attempt(*one) for one in kept) for row, kept in tracer.earlier.items()}
    columns.runs = [Execution(*run) for run in tracer.runs]
    numbers = [columns.number_of(name) for name in tracer.names]
    if numbers != list(range(len(numbers))):  # several workflows have dependencies of the same name
        columns.name = array("i", [numbers[name] for name in columns.name])
    if tracer.aliases:
        depends = _resolve(columns.first, columns.sources, tracer.aliases)
        _put_in_order(columns, depends)
    return Trace(columns, exact=False, workers=workers)


def _resolve(first: array[int], sources: array[int], aliases: Aliases) -> list[list[int]]:
    """For each task what it depends on, without aliases."""
    known: dict[int, set[int]] = {}
    made = []
    for row in range(len(first) - 1):
        mine = sources[first[row] : first[row + 1]]
        made.append(sorted({real for source in mine for real in _real(source, aliases, known)}))
    return made


def _real(source: int, aliases: Aliases, known: dict[int, set[int]]) -> set[int]:
    """The tasks that a source stands for. Aliases may stand for aliases, in long chains."""
    if source >= 0:
        return {source}
    if source in known:
        return known[source]
    found: set[int] = set()
    seen, todo = {source}, [source]
    while todo:
        for other in aliases[-2 - todo.pop()] or ():
            if other >= 0:
                found.add(other)
            elif other in known:
                found |= known[other]
            elif other <= -2 and other not in seen:
                seen.add(other)
                todo.append(other)
    known[source] = found
    return found


def _put_in_order(columns: Columns, depends: list[list[int]]) -> None:
    """Every task behind what it depends on, otherwise as they were asked for."""
    n = len(depends)
    order = list(range(n))
    if any(sources and sources[-1] >= row for row, sources in enumerate(depends)):
        order = _sort(columns, depends)
    place = [0] * n
    for at, row in enumerate(order):
        place[row] = at
    for column, width in WIDTHS.items():
        values = getattr(columns, column)
        setattr(columns, column, array(width, [values[row] for row in order]))
    columns.after = array("i", [place[row] if row >= 0 else -1 for row in columns.after])
    columns.first, columns.sources = array("i", [0]), array("i")
    for row in order:
        columns.sources.extend(sorted(place[source] for source in depends[row]))
        columns.first.append(len(columns.sources))
    columns.runs = [
        run._replace(parent=place[run.parent]) if run.parent >= 0 else run for run in columns.runs
    ]
    columns.errors = {place[row]: text for row, text in columns.errors.items()}
    columns.values = {place[row]: text for row, text in columns.values.items()}
    columns.earlier = {place[row]: kept for row, kept in columns.earlier.items()}


def _sort(columns: Columns, depends: list[list[int]]) -> list[int]:
    """Always the oldest task of which all that comes before it is placed."""
    users: dict[int, list[int]] = defaultdict(list)
    missing = [0] * len(depends)
    for row, sources in enumerate(depends):
        for before in {*sources, columns.after[row], columns.runs[columns.run[row]].parent} - {-1}:
            users[before].append(row)
            missing[row] += 1
    ready = [row for row in range(len(depends)) if not missing[row]]
    order = []
    while ready:
        row = heapq.heappop(ready)
        order.append(row)
        for user in users[row]:
            missing[user] -= 1
            if not missing[user]:
                heapq.heappush(ready, user)
    return order
