"""The time that the service goes by: the machine's, or a test's.

Owns: `SystemClock`, and `VirtualClock`, which stands until somebody moves it.

May not know: what hangs on the time. Its neighbour is `service`, which fires what is due whenever it
looks at the clock, and moves a virtual one when everybody waits.

Times are seconds since the epoch, to the millisecond, as SWF's are, and never go back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """What the service needs of a clock."""

    @property
    def moves_itself(self) -> bool:
        """Whether time passes while everybody waits."""

    def now(self) -> float:
        """Seconds since the epoch."""

    def jump(self, to: float) -> bool:
        """Move on to this time, if it may be moved by whoever waits; whether it may."""

    def listen(self, moved: Callable[[], None]) -> None:
        """Call this when somebody other than the service has moved the clock."""


class SystemClock:
    """The machine's time."""

    moves_itself = True

    def __init__(self) -> None:
        self._latest = 0.0

    def now(self) -> float:
        """Seconds since the epoch. A machine whose clock is set back stands until it has caught up."""
        self._latest = max(self._latest, round(time.time(), 3))
        return self._latest

    def jump(self, to: float) -> bool:
        """It can't."""
        return False

    def listen(self, moved: Callable[[], None]) -> None:
        """It is never moved by anybody."""


class VirtualClock:
    """A time that stands until it is moved: by `advance`, or by the service when everybody waits.

    Args:
        start: seconds since the epoch.
        auto_advance: whether the service moves it to the next deadline when all who poll wait, none has
            a task to answer, and nothing can be delivered.
    """

    moves_itself = False

    def __init__(self, start: float = 1_500_000_000.0, *, auto_advance: bool = True) -> None:
        self.auto_advance = auto_advance
        self._now = round(start, 3)
        self._lock = threading.Lock()
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass: what was due in them has happened when this returns.

        Raises:
            ValueError: `seconds` is negative or no number.
        """
        if not seconds >= 0:
            raise ValueError(f"a clock advances by a number of seconds from 0 on, not {seconds}")
        with self._lock:
            self._now = round(self._now + seconds, 3)
        for moved in list(self._listeners):
            moved()

    def jump(self, to: float) -> bool:
        """Move on to this time, unless it may only be moved by `advance`; whether it may."""
        if self.auto_advance:
            with self._lock:
                self._now = max(self._now, round(to, 3))
        return self.auto_advance

    def listen(self, moved: Callable[[], None]) -> None:
        """Call this at each `advance`."""
        self._listeners.append(moved)
