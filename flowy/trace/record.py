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
    "line": "H",
    "taken": "H",
    "made": "H",
    "kind": "B",
    "outcome": "B",
    "started": "d",
    "ended": "d",
    "waited": "f",
    "queued": "f",
}
"""The columns, and the types of `array` that they are of. `waited`: seconds from when the task could
start to when it was sent; `queued`: from then to its start. `line`: 0, or where it is in `places`,
counted from 1. `taken` and `made`: bytes of the arguments and of the value, see `size_of`."""


def size_of(rounded: int) -> int:
    """A number of bytes that is kept in 16 bits: 11 of them, and how far they are shifted.

    >>> [size_of(n) for n in (0, 2047, 1 << 11 | 1024, 2 << 11 | 2047)]
    [0, 2047, 2048, 8188]
    """
    return (rounded & 0x7FF) << (rounded >> 11)


def round_size(size: int) -> int:
    """What `size_of` makes `size` of again: exactly below 2048, else to one in 1024.

    >>> [size_of(round_size(n)) for n in (0, 2047, 2048, 123_456_789, 1 << 50)]
    [0, 2047, 2048, 123404288, 4395899027456]
    """
    shift = max(0, size.bit_length() - 11)
    return shift << 11 | size >> shift if shift < 32 else 0xFFFF


class Attempt(NamedTuple):
    """An attempt before the last one."""

    worker: int
    sent: float
    started: float
    """As far as it is known, else when it was sent."""
    ended: float
    outcome: str
    error: str


class Stop(NamedTuple):
    """That code waited, at one line for the tasks of one name."""

    name: str
    place: int
    """As in `line`."""
    times: int
    alone: int
    """So often nothing else was under way meanwhile."""
    seconds: float


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
    """As they travelled, to one in 1024; 0 where that is not known. Tasks that travelled together share
    evenly what did."""
    result_bytes: int
    line: str = ""
    """Where the workflow's code asked for it: 'file:line', '' where that is not known."""
    earlier: tuple[Attempt, ...] = ()
    """The attempts before the last, of the first thousand tasks that had some."""

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
        self.line = array("H")
        self.taken = array("H")
        self.made = array("H")
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
        self.places: list[str] = []
        self.earlier: dict[int, tuple[Attempt, ...]] = {}
        self.stops: list[Stop] | None = None
        """Where code waited; None: nobody noted it."""

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

    def parents(self) -> array[int]:
        """Of each run the task that it is, or -1."""
        return array("i", [run.parent for run in self.runs])

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
        line: str = "",
        argument_bytes: int = 0,
        result_bytes: int = 0,
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
        self.line.append(self.place_of(line))
        self.taken.append(round_size(argument_bytes))
        self.made.append(round_size(result_bytes))
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

    def place_of(self, line: str) -> int:
        """The number of a line, new or not; 0 for none, or beyond those that can be numbered."""
        if not line:
            return 0
        if line not in self.places:
            if len(self.places) == 0xFFFE:
                return 0
            self.places.append(line)
        return self.places.index(line) + 1

    def place(self, number: int) -> str:
        return self.places[number - 1] if 0 < number <= len(self.places) else ""

    def sent(self, row: int) -> float:
        return self.started[row] - self.queued[row]

    def ready(self, row: int) -> float:
        return self.sent(row) - self.waited[row]

    def task(self, row: int) -> Task:
        run = self.run[row]
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
            size_of(self.taken[row]),
            size_of(self.made[row]),
            self.place(self.line[row]),
            self.earlier.get(row, ()),
        )

    def nbytes(self) -> int:
        """Bytes of the columns and the edges; texts are not counted."""
        arrays = [getattr(self, name) for name in (*WIDTHS, "first", "sources")]
        return sum(len(a) * a.itemsize for a in arrays)
