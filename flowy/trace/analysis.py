"""What a trace tells: the critical path, the table by name, the waits, and a simulation.

Owns: these four. Each is a pass or two over the columns; a million tasks take seconds.

May not know: engines, files, drawings. Its neighbour is `trace`.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections import defaultdict, deque
from typing import NamedTuple

from flowy import _passes
from flowy.errors import UsageError
from flowy.trace.record import KINDS, OUTCOMES, Columns, Task

_WORKS = KINDS.index("activity")
_OPEN, _COMPLETED = OUTCOMES.index("open"), OUTCOMES.index("completed")
_WORKFLOW = KINDS.index("workflow")


class Row(NamedTuple):
    """What became of the tasks of one name. Times are seconds."""

    name: str
    tasks: int
    mean: float
    p50: float
    p95: float
    total: float
    failures: int
    retries: int


class Path(NamedTuple):
    """The tasks that the end waited for, one after the other."""

    tasks: list[Task]
    seconds: float
    """Of the tasks together."""
    by_name: dict[str, float]
    """Seconds of them by name, the largest first."""


class Wait(NamedTuple):
    """Code that waited for a task before it went on."""

    name: str
    """The task that it waited for."""
    line: str
    """Where the code waited, as far as it was recorded."""
    times: int
    """So often it waited there. In histories of SWF: so often it asked for more after such a wait."""
    seconds: float
    """That it waited, over all of them. In histories of SWF: from when the latest task was asked for."""
    alone: int = 0
    """So often nothing else was under way meanwhile: had the result been passed on instead of looked at,
    the code could have gone on. 0 in histories of SWF."""


class Prediction(NamedTuple):
    """What a simulation came to."""

    workers: int
    seconds: float
    utilisation: float
    """The part of that time that workers are busy, from 0 to 1."""


def span(c: Columns) -> tuple[float, float]:
    """The first and the last time of a trace; zeros if it has none."""
    first, last = _passes.span(c.started, c.ended, c.waited, c.queued)
    return (0.0, 0.0) if first > last else (first, last)


def seconds_of(c: Columns, row: int) -> float:
    """How long the last attempt of a task ran; 0.0 if that is not known."""
    took = c.ended[row] - c.started[row]
    return took if took > 0 else 0.0


def percentile(times: list[float], part: float) -> float:
    """The nearest rank of sorted times."""
    return times[max(0, math.ceil(part * len(times)) - 1)] if times else 0.0


def summary(c: Columns) -> list[Row]:
    rows = []
    found = _passes.by_name(len(c.names), c.name, c.started, c.ended, c.outcome, c.attempts, _COMPLETED)
    for name, (n, failures, retries, seconds) in zip(c.names, found, strict=True):
        if not n:
            continue
        known = sorted(seconds)
        total = math.fsum(known)
        mean = total / len(known) if known else 0.0
        rows.append(
            Row(
                name,
                n,
                mean,
                percentile(known, 0.5),
                percentile(known, 0.95),
                total,
                failures,
                retries,
            )
        )
    return sorted(rows, key=lambda r: (-r.total, r.name))


def causes(c: Columns, row: int) -> list[int]:
    """The tasks that this one could not be before: sources, what its code had waited for, and those
    of the task that its run is."""
    found = list(c.depends_on(row))
    if c.after[row] >= 0:
        found.append(c.after[row])
    elif c.run[row] < len(c.runs) and c.runs[c.run[row]].parent >= 0:
        found.append(c.runs[c.run[row]].parent)
    return found


def finishing(c: Columns) -> dict[int, list[int]]:
    """The tasks in the run of each sub-workflow: it ends after the last of them."""
    inner: dict[int, list[int]] = defaultdict(list)
    if all(run.parent < 0 for run in c.runs):
        return inner
    for row in range(len(c)):
        parent = c.runs[c.run[row]].parent if c.run[row] < len(c.runs) else -1
        if parent >= 0:
            inner[parent].append(row)
    return inner


def critical_path(c: Columns) -> Path:
    """Backwards from the last end: before each task the latest end among what it had to wait for."""
    inner = finishing(c)
    ended = [row for row in range(len(c)) if c.ended[row] == c.ended[row]]
    row = max(ended, key=lambda r: c.ended[r], default=-1)
    path: list[int] = []
    seen: set[int] = set()
    while row >= 0 and row not in seen:
        seen.add(row)
        within = [r for r in inner.get(row, ()) if c.ended[r] <= c.ended[row] and r not in seen]
        if within:  # a sub-workflow is what happens in it
            row = max(within, key=lambda r: c.ended[r])
            continue
        if c.kind[row] != _WORKFLOW or row not in inner:
            path.append(row)
        row = _latest_cause(c, row, seen)
    path.reverse()
    by_name: dict[str, float] = defaultdict(float)
    for row in path:
        by_name[c.names[c.name[row]]] += seconds_of(c, row)
    return Path(
        [c.task(row) for row in path],
        math.fsum(by_name.values()),
        dict(sorted(by_name.items(), key=lambda item: -item[1])),
    )


def _latest_cause(c: Columns, row: int, seen: set[int]) -> int:
    """What ended last of what the task had to wait for. A task has no cause in its own parent but
    what that one waited for itself."""
    while row >= 0:
        parent = c.runs[c.run[row]].parent if c.run[row] < len(c.runs) else -1
        before = [
            r for r in causes(c, row) if r != parent and r not in seen and c.ended[r] == c.ended[r]
        ]
        if before:
            return max(before, key=lambda r: c.ended[r])
        row = parent
    return -1


def waits(c: Columns) -> list[Wait]:
    """Grouped by the task's name and the line, if there is one."""
    if c.stops is not None:
        noted = [Wait(s.name, c.place(s.place), s.times, s.seconds, s.alone) for s in c.stops]
        return sorted(noted, key=lambda w: -w.seconds)
    latest: dict[int, float] = {}
    asked: dict[tuple[int, int], int] = {}
    for row in range(len(c)):
        key = c.run[row], c.after[row]
        if c.after[row] >= 0 and key not in asked:
            asked[key] = row
    found: dict[str, list[float]] = defaultdict(list)
    for _, source in asked:
        began = latest.get(source, c.ready(source))
        took = c.ended[source] - (began if began == began else c.started[source])
        name = c.names[c.name[source]]
        found[name].append(max(0.0, took) if took == took else 0.0)
    made = [Wait(name, "", len(t), math.fsum(t)) for name, t in found.items()]
    return sorted(made, key=lambda w: -w.seconds)


def predict(c: Columns, workers: object) -> Prediction:
    """List scheduling: whenever a worker is free it takes the task that has been ready longest."""
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise UsageError(f"predict() takes numbers of workers from 1 on, not {workers!r}")
    n = len(c)
    if n and not any(c.ended[row] == c.ended[row] for row in range(n)):
        raise UsageError("the trace has no times to predict from")
    simulation = _Simulation(c, workers)
    end = simulation.run()
    busy = simulation.busy
    return Prediction(workers, end, busy / (end * workers) if end else 0.0)


class _Simulation:
    """The tasks of a trace in a time of their own, on so many workers."""

    def __init__(self, c: Columns, workers: int) -> None:
        self.c = c
        self.free = workers
        self.busy = 0.0
        n = len(c)
        self.missing = array("i", bytes(4 * n))
        self.children = finishing(c)
        self.left = {parent: len(rows) for parent, rows in self.children.items()}
        self.users = self._users()
        self.running: list[tuple[float, int]] = []
        self.clock = self.end = 0.0

    def _users(self) -> tuple[array[int], array[int]]:
        """For each task where its users begin, and the users."""
        n = len(self.c)
        first, total = array("i", bytes(4 * (n + 1))), 0
        for row in range(n):
            for source in causes(self.c, row):
                if not self._is_parent(source, row):
                    first[source + 1] += 1
                    self.missing[row] += 1
                    total += 1
            self.missing[row] += self._parent(row) >= 0
        for row in range(n):
            first[row + 1] += first[row]
        at, users = array("i", first), array("i", bytes(4 * total))
        for row in range(n):
            for source in causes(self.c, row):
                if not self._is_parent(source, row):
                    users[at[source]] = row
                    at[source] += 1
        return first, users

    def _parent(self, row: int) -> int:
        run = self.c.run[row]
        return self.c.runs[run].parent if run < len(self.c.runs) else -1

    def _is_parent(self, source: int, row: int) -> bool:
        return source == self._parent(row)

    def run(self) -> float:
        c = self.c
        queue: deque[int] = deque()  # ready activities, oldest first
        starting = [row for row in range(len(c)) if not self.missing[row]]
        while True:
            while starting:
                for row in starting:
                    if c.kind[row] == _WORKS:
                        queue.append(row)
                    elif row not in self.children:
                        heapq.heappush(self.running, (self.clock + seconds_of(c, row), row))
                starting = self._enter([row for row in starting if row in self.children])
            while queue and self.free:
                row = queue.popleft()
                took = seconds_of(c, row)
                self.free -= 1
                self.busy += took
                heapq.heappush(self.running, (self.clock + took, row))
            if not self.running:
                return self.end
            self.clock = self.end = self.running[0][0]
            while self.running and self.running[0][0] == self.clock:
                _, row = heapq.heappop(self.running)
                self.free += c.kind[row] == _WORKS
                starting += self._finish(row)
            starting.sort()

    def _enter(self, parents: list[int]) -> list[int]:
        """A sub-workflow starts: so can what stands first in it."""
        return [row for parent in parents for row in self.children[parent] if self._lose_one(row)]

    def _lose_one(self, row: int) -> bool:
        self.missing[row] -= 1
        return not self.missing[row]

    def _finish(self, row: int) -> list[int]:
        """A task is over: whom that makes ready. The last one of a sub-workflow ends that too."""
        first, users = self.users
        ready: list[int] = []
        while row >= 0:
            ready += [u for u in users[first[row] : first[row + 1]] if self._lose_one(u)]
            row = self._parent(row)
            if row >= 0:
                self.left[row] -= 1
                if self.left[row]:
                    break
        return ready
