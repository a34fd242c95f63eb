"""Control-C at the right moment: never between two steps that belong together.

Owns: `interrupts`, through which a SIGINT that comes while the main thread moves bytes for everybody
waits until they are moved. Elsewhere, in workflow code above all, it takes effect at once, as ever.

May not know: runs, pools. There is one of it, as there is one SIGINT. Neighbours: `driver` listens while
it runs in the main thread, `pool` holds.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any


class Interrupts:
    """A SIGINT handler that can be held off; what was there before does the work."""

    def __init__(self) -> None:
        self._before: Callable[[int, FrameType | None], Any] | None = None
        self._listeners = 0
        self._held = 0
        self._pending = False
        self._wake: Callable[[], None] | None = None

    def listen(self) -> bool:
        """Take SIGINT over, if this is the main thread and somebody handles it; see `leave`."""
        if threading.current_thread() is not threading.main_thread():
            return False
        if self._listeners == 0:
            before = signal.getsignal(signal.SIGINT)
            if not callable(before):
                return False
            self._before = before
            signal.signal(signal.SIGINT, self._handle)
        self._listeners += 1
        return True

    def leave(self) -> None:
        """Give SIGINT back."""
        self._listeners -= 1
        if self._listeners == 0 and signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, self._before)

    def hold(self, wake: Callable[[], None]) -> None:
        """From now on a SIGINT waits; it calls `wake`, so that a sleep ends."""
        if threading.current_thread() is threading.main_thread():
            self._wake = wake
            self._held += 1

    def let_go(self) -> None:
        """Let a SIGINT that waited take effect."""
        if threading.current_thread() is threading.main_thread():
            self._held -= 1
            if self._pending and not self._held and self._before is not None:
                self._pending = False
                self._before(signal.SIGINT, None)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._held:
            self._pending = True
            if self._wake is not None:
                self._wake()
        elif self._before is not None:
            self._before(number, frame)


interrupts = Interrupts()
