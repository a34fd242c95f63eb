"""The face of a trace.

Owns: `Trace`. The numbers are in `record`, what is made of them in `analysis`, the form on disk in
`files`, the way from Amazon SWF in `histories`.

May not know: engines.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from flowy.trace import analysis, files, histories
from flowy.trace.record import Columns, Execution, Task


class Trace:
    """The tasks of a run and of the runs below it, in the order in which they were asked for.

    >>> trace = Trace()
    >>> load = trace.add('load', started=0.0, ended=2.0)
    >>> parse = trace.add('parse', depends_on=[load], started=2.0, ended=5.0)
    >>> trace[parse].key, trace[parse].seconds
    ('parse-0-0', 3.0)
    >>> [task.name for task in trace.critical_path().tasks]
    ['load', 'parse']
    """

    def __init__(self, columns: Columns | None = None, *, exact: bool = True, workers: int = 0) -> None:
        self.columns = Columns() if columns is None else columns
        self.exact = exact
        """Whether each task was timed by itself; else tasks that took less than half a microsecond on
        average were timed some milliseconds at a time, and share that time evenly."""
        self.workers = workers
        """How many tasks could run at a time; 0: not known."""

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, number: int) -> Task:
        n = len(self)
        if not -n <= number < n:
            raise IndexError(f"the trace has {n} tasks, no task {number}")
        return self.columns.task(number % n)

    def __iter__(self) -> Iterator[Task]:
        return map(self.columns.task, range(len(self)))

    def __repr__(self) -> str:
        n = len(self)
        return f"<Trace of {n:,} task{'' if n == 1 else 's'}, {self.seconds:.3g} s>"

    def _repr_html_(self) -> str:
        from flowy.trace.notebook import html  # only notebooks ask

        return html(self.columns, repr(self)[1:-1], self.workers)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trace):
            return NotImplemented
        return files.to_record(self.columns) == files.to_record(other.columns)

    __hash__ = None  # type: ignore[assignment]

    @property
    def runs(self) -> Sequence[Execution]:
        """The runs that the tasks are of; the first is the root."""
        return self.columns.runs

    @property
    def names(self) -> Sequence[str]:
        return self.columns.names

    @property
    def began(self) -> float:
        """The first time that it tells of; 0.0 if it tells of none."""
        return analysis.span(self.columns)[0]

    @property
    def seconds(self) -> float:
        """From the first time that it tells of to the last."""
        began, ended = analysis.span(self.columns)
        return ended - began

    @property
    def nbytes(self) -> int:
        """Bytes that the numbers take."""
        return self.columns.nbytes()

    def add(self, name: str, **facts: Any) -> int:
        """One more task, with what is known of it; see `Columns.add`. Returns its number."""
        return self.columns.add(name, **facts)

    # what is made of it

    def critical_path(self) -> analysis.Path:
        """The chain of tasks that the end had to wait for, and what each name contributes."""
        return analysis.critical_path(self.columns)

    def summary(self) -> list[analysis.Row]:
        """A row for each name, the largest total first."""
        return analysis.summary(self.columns)

    def waits(self) -> list[analysis.Wait]:
        """For which tasks the workflow's code waited before it asked for more, the costliest first."""
        return analysis.waits(self.columns)

    def predict(self, workers: Sequence[int]) -> list[analysis.Prediction]:
        """How long the same tasks would take on so many workers.

        Tasks are given out as the local engine does it, in the order in which they become ready, each
        for as long as it took when it was recorded. What the workflow's own code takes between two waits
        and what sending takes are not in it, so that it is a lower bound for very short tasks.

        Raises:
            UsageError: a number below 1, or no task has a time.
        """
        return [analysis.predict(self.columns, n) for n in workers]

    # files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON."""
        files.save(self.columns, path, self.exact, self.workers)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trace:
        """Read what `save` has written.

        Raises:
            UsageError: it is no trace.
        """
        columns, exact, workers = files.load(path)
        return cls(columns, exact=exact, workers=workers)

    @classmethod
    def from_swf(cls, history: Any) -> Trace:
        """The trace of a history of Amazon SWF, in any shape that `flowy.swf.replay` takes.

        SWF does not tell which result went into which input. So no task depends on another there; what
        is known is `after`: the task whose end made the decision that scheduled it.
        """
        return cls(histories.read(history), exact=True)
