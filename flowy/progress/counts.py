"""What is shown of a run that is under way.

Owns: `Row`, how far the calls of one dependency are; `Snapshot`, all rows at one moment; and `Rates`,
which tells from a few snapshots how fast it goes and how long it will still take.

May not know: clocks (it is told the time), terminals, runs. Neighbours: `text` writes it, and whoever
watches a run makes it.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

WINDOW = 10.0
"""Seconds of the past that rates are of."""
_LOOKS = 64
"""Looks at one dependency that are kept at most."""


class Row(NamedTuple):
    """How far the calls of one dependency are."""

    name: str
    asked: int
    done: int
    failed: int
    running: int
    """Calls that workers are at, or sub-workflows that have begun and not ended."""
    rate: float = 0.0
    """Calls that end in a second, lately."""

    @property
    def waiting(self) -> int:
        """Asked for and not running: for arguments, or for a worker."""
        return max(0, self.asked - self.done - self.failed - self.running)

    @property
    def left(self) -> int:
        """Asked for and not ended."""
        return max(0, self.asked - self.done - self.failed)

    @property
    def seconds_left(self) -> float | None:
        """How long what was asked for takes if it goes on like this; None if that can't be told."""
        if not self.left:
            return 0.0
        return self.left / self.rate if self.rate > 0 else None


class Snapshot(NamedTuple):
    """A run at one moment."""

    seconds: float
    """Since it began."""
    rows: tuple[Row, ...]
    """One for each dependency, those of the workflow itself first."""
    workers: int
    cpu: float | None = None
    """How much of a CPU the workers use, all together: 1.5 is one and a half. None: not known."""
    memory: int | None = None
    """Bytes that they use."""

    @property
    def rate(self) -> float:
        """Calls that end in a second, lately."""
        return sum(row.rate for row in self.rows)

    @property
    def seconds_left(self) -> float | None:
        """Until all that was asked for is done; the workflow may ask for more."""
        each = [row.seconds_left for row in self.rows]
        known = [seconds for seconds in each if seconds is not None]
        return max(known, default=0.0) if len(known) == len(each) else None


class Rates:
    """How fast each dependency goes.

    >>> rates = Rates()
    >>> rates.of('f', 2.0, 10), rates.of('f', 4.0, 10), rates.of('f', 14.0, 10)
    (5.0, 2.5, 0.0)
    """

    def __init__(self) -> None:
        self._looks: dict[str, deque[tuple[float, int]]] = {}

    def of(self, name: str, now: float, ended: int) -> float:
        """Calls a second over the last `WINDOW` seconds; `ended` have ended by now."""
        looks = self._looks.get(name)
        if looks is None:
            looks = self._looks[name] = deque([(0.0, 0)], maxlen=_LOOKS)
        looks.append((now, ended))
        while len(looks) > 2 and looks[0][0] < now - WINDOW:
            looks.popleft()
        began, before = looks[0]
        return (ended - before) / (now - began) if now > began else 0.0
