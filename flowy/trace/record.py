"""The tasks of a run in flat columns.

Owns: `Columns`, at most 64 bytes a task with one dependency; and `Task`, one row as people read it.

May not know: who fills it, what is made of it. Its neighbour is `trace`.

Law: what a task depends on stands before it. So every pass over the graph is one loop, and there are no
cycles. Times are seconds since the epoch; what is not known is NaN.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flowy.errors import UsageError

KINDS = ("activity", "workflow", "timer", "signal", "reduce")
OUTCOMES = ("open", "completed", "failed", "timed out", "cancelled", "worker died")
NAN = math.nan

WIDTHS = {
    "name": "i",
    "call": "i",
    "index": "i",
    "run": "i",
    "after": "i",
    "worker": "h",
    "attempts": "H",
    "kind": "B",
    "outcome": "B",
    "started": "d",
    "ended": "d",
    "waited": "f",
    "queued": "f",
}
"""The columns, and the types of `array` that they are of. `waited`: seconds from when the task could
start to when it was sent; `queued`: from then to its start."""


class Execution(NamedTuple):
    """A run of a workflow: the root, or a sub-workflow under a task."""

    id: str
    name: str
    parent: int
    """The task that it is, -1 for the root."""


class Task(NamedTuple):
    """One task of a trace."""

    number: int
    """Its position in the trace."""
    key: str
    name: str
    kind: str
    """'activity', 'workflow', 'timer', 'signal' or 'reduce'."""
    run: int
    """The number of its run in `Trace.runs`."""
    parent: int
    """The task that its run is, -1 at the root."""
    depends_on: tuple[int, ...]
    """The tasks whose results are among its arguments."""
    after: int
    """The task for which the workflow's code had waited last when it made this call, or -1."""
    attempts: int
    worker: int
    """Counted from 1; 0: none, or not known."""
    ready: float
    """When all of its arguments were known; seconds since the epoch, NaN where it is not known."""
    sent: float
    started: float
    ended: float
    outcome: str
    """'completed', 'failed', 'timed out', 'cancelled', 'worker died'; 'open': its run ended first."""
    error: str
    """What it failed with, and below that the traceback from where it ran, as `str` of a `TaskError`."""
    value: str
    """Its result in short, where it was kept."""
    argument_bytes: int
    """As far as it is known, else 0."""
    result_bytes: int

    @property
    def seconds(self) -> float:
        """How long it ran; NaN if it is not known."""
        return self.ended - self.started


class Columns:
    """Rows of numbers; see `WIDTHS`. Texts and sizes are beside them, for rows that have some."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.runs: list[Execution] = []
        self.numbers: dict[str, int] = {}
        self.name = array("i")
        self.call = array("i")
        self.index = array("i")
        self.run = array("i")
        self.after = array("i")
        self.worker = array("h")
        self.attempts = array("H")
        self.kind = array("B")
        self.outcome = array("B")
        self.started = array("d")
        self.ended = array("d")
        self.waited = array("f")
        self.queued = array("f")
        self.first = array("i", [0])  # of each row: where its sources begin
        self.sources = array("i")
        self.keys: dict[int, str] = {}
        self.errors: dict[int, str] = {}
        self.values: dict[int, str] = {}
        self.lines: dict[int, str] = {}
        self.sizes: dict[int, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self.name)

    def number_of(self, name: str) -> int:
        """The number of a name, new or not."""
        number = self.numbers.get(name)
        if number is None:
            number = self.numbers[name] = len(self.names)
            self.names.append(name)
        return number

    def depends_on(self, row: int) -> Sequence[int]:
        return self.sources[self.first[row] : self.first[row + 1]]

    def add(
        self,
        name: str,
        *,
        kind: str = "activity",
        run: int = 0,
        call: int = 0,
        index: int = -1,
        depends_on: Iterable[int] = (),
        after: int = -1,
        attempts: int = 1,
        worker: int = 0,
        ready: float = NAN,
        sent: float = NAN,
        started: float = NAN,
        ended: float = NAN,
        outcome: str = "completed",
    ) -> int:
        """One more task; returns its number.

        Raises:
            UsageError: it depends on what is not there yet, or a word is unknown.
        """
        row = len(self)
        sources = sorted(set(depends_on))
        if (sources and not (sources[0] >= 0 and sources[-1] < row)) or not -1 <= after < row:
            raise UsageError(
                f"task {row} ({name!r}) depends on {sources or after}: only those before it"
            )
        if not 0 <= run < max(1, len(self.runs)):
            raise UsageError(f"task {row} ({name!r}) is of run {run}, of which the trace tells nothing")
        if kind not in KINDS:
            raise UsageError(f"a task is of one of the kinds {', '.join(KINDS)}, not {kind!r}")
        if outcome not in OUTCOMES:
            raise UsageError(f"a task is one of {', '.join(OUTCOMES)}, not {outcome!r}")
        self.name.append(self.number_of(name))
        self.call.append(call)
        self.index.append(index)
        self.run.append(run)
        self.after.append(after)
        self.worker.append(worker)
        self.attempts.append(attempts)
        self.kind.append(KINDS.index(kind))
        self.outcome.append(OUTCOMES.index(outcome))
        self.started.append(started)
        self.ended.append(ended)
        self.waited.append(sent - ready)
        self.queued.append(started - sent)
        self.sources.extend(sources)
        self.first.append(len(self.sources))
        return row

    def key(self, row: int) -> str:
        """As in `TaskError.key`: of the last attempt."""
        key = self.keys.get(row)
        if key is not None:
            return key
        member = f".{self.index[row]}" if self.index[row] >= 0 else ""
        attempt = max(1, self.attempts[row]) - 1
        return f"{self.names[self.name[row]]}-{self.call[row]}{member}-{attempt}"

    def sent(self, row: int) -> float:
        return self.started[row] - self.queued[row]

    def ready(self, row: int) -> float:
        return self.sent(row) - self.waited[row]

    def task(self, row: int) -> Task:
        run = self.run[row]
        arguments, result = self.sizes.get(row, (0, 0))
        return Task(
            row,
            self.key(row),
            self.names[self.name[row]],
            KINDS[self.kind[row]],
            run,
            self.runs[run].parent if run < len(self.runs) else -1,
            tuple(self.depends_on(row)),
            self.after[row],
            self.attempts[row],
            self.worker[row],
            self.ready(row),
            self.sent(row),
            self.started[row],
            self.ended[row],
            OUTCOMES[self.outcome[row]],
            self.errors.get(row, ""),
            self.values.get(row, ""),
            arguments,
            result,
        )

    def nbytes(self) -> int:
        """Bytes of the columns and the edges; texts are not counted."""
        arrays = [getattr(self, name) for name in (*WIDTHS, "first", "sources")]
        return sum(len(a) * a.itemsize for a in arrays)
