"""Control-C and SIGTERM at the right moment: never between two steps that belong together.

Owns: `interrupts`, the handler of SIGINT and SIGTERM while a run, or the start or end of a pool, is
under way in the main thread. In workflow code, which runs in greenlets of its own, a signal takes effect
at once, as ever. In flowy's own code, which runs in the greenlet that called it (the hub), it waits
until the driver asks: then nothing is half done. A second one kills what runs at once. Where Python
swallows what is raised, such as in a finalizer, the signal comes again (`_swallowed`).

SIGINT does what the handler that was there before does: Python's own raises KeyboardInterrupt, one of
the user's may do anything. SIGTERM is taken over only if nobody handles it.

May not know: runs, pools. There is one of it, as there is one SIGINT. Neighbours: `stopping`, which
listens, `driver`, which asks, and `pool`, which holds signals off while it moves bytes.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has none
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from greenlet import getcurrent, greenlet

from flowy._swallowed import Again


class Terminated(BaseException):
    """SIGTERM came: unwinds all that runs in the main thread, before the process ends by it."""


STUCK = 1.0
"""Seconds after which a second signal no longer waits for the first to take effect: something of the
user's holds flowy up, such as the pickling of an argument."""


class Interrupts:
    """A handler of SIGINT and SIGTERM that can be held off."""

    def __init__(self) -> None:
        self._before: Callable[[int, FrameType | None], Any] | None = None
        self._again = Again(KeyboardInterrupt, Terminated)
        self._reset()

    def _reset(self) -> None:
        self.came = False
        """Whether there is something to check: a signal has come."""
        self.pending: list[int] = []
        """Signals that wait for the driver to ask."""
        self.terminated = False
        """Whether SIGTERM came; nobody can swallow that."""
        self.stopping = False
        """Whether a signal has taken effect as an exception."""
        self.hurried = False
        """Whether another came after that: no more patience with anything."""
        self.begun = False
        """Whether a driver has begun to run something."""
        self.told = False
        """Whether the user was told what was stopped."""
        self._again.raised = 0
        self._again.swallowed = False
        self._hubs: list[greenlet | None] = []  # of nested runs; None: the user's code is on it
        self._held = 0
        self._since = 0.0  # when the first of `pending` came
        self._wake: Callable[[], None] | None = None
        self._attached: list[tuple[Callable[[], None], Callable[[], None]]] = []

    # who runs flowy in the main thread

    def listen(self) -> bool:
        """Take the signals over, if this is the main thread; see `leave`."""
        if threading.current_thread() is not threading.main_thread():
            return False
        if not self._hubs:
            self._reset()
            self._take_over()
        self._hubs.append(getcurrent())
        return True

    def _take_over(self) -> None:
        # `signal` makes enum members of what these take and return: 40 us a run
        before = _signal.getsignal(signal.SIGINT)
        if callable(before) and before != self._handle:
            self._before = before
            _signal.signal(signal.SIGINT, self._handle)
        if _signal.getsignal(signal.SIGTERM) == _signal.SIG_DFL:
            _signal.signal(signal.SIGTERM, self._handle)
        self._again.before = sys.unraisablehook
        sys.unraisablehook = self._again

    def leave(self) -> bool:
        """Give the signals back; what waits takes effect now. Returns whether to die by SIGTERM.

        Another one is ignored then: it must not end the process before all is tidied up.
        """
        self.shut()
        if len(self._hubs) > 1:
            self._hubs.pop()
            return False
        self._hubs.clear()  # from here on the handler, as long as it is there, is as if it were not
        self._give_back(_signal.SIG_IGN if self.terminated else _signal.SIG_DFL)
        if self.pending and not self.stopping and not self.terminated and self._before is not None:
            self._before(signal.SIGINT, None)
        return self.terminated

    def _give_back(self, sigterm: Any = _signal.SIG_DFL) -> None:
        for number, before in ((signal.SIGTERM, sigterm), (signal.SIGINT, self._before)):
            if _signal.getsignal(number) == self._handle:
                _signal.signal(number, before)
        if sys.unraisablehook is self._again:
            sys.unraisablehook = self._again.before

    def forget(self) -> None:
        """This is a fork: what its parent does is not its own affair."""
        self._reset()
        with contextlib.suppress(ValueError):
            self._give_back()

    def here(self) -> bool:
        """Whether this thread is the one that the signals are for."""
        return bool(self._hubs) and threading.current_thread() is threading.main_thread()

    def ending(self) -> bool:
        """Whether a signal has ended what is under way, or is about to."""
        waits = bool(self.pending) and self._surely_ends(self.pending[0])
        return self.stopping or self.terminated or waits

    def nested(self) -> bool:
        """Whether a run is under way inside another."""
        return len([hub for hub in self._hubs if hub is not None]) > 1

    def attach(self, kill: Callable[[], None], nudge: Callable[[], None]) -> None:
        """What ends the tasks of a run at once, and what wakes its driver; both from a handler."""
        self.begun = True
        self._attached.append((kill, nudge))

    def detach(self) -> None:
        self._attached.pop()

    # when they take effect

    def check(self) -> None:
        """Let a signal that waited take effect: called where nothing is half done.

        If one has, and yet all goes on, then somebody has caught it.
        """
        if self.here():
            if self.terminated:
                self._deliver(signal.SIGTERM, None)
            elif self.pending:
                self._deliver(self.pending[0], None)
            else:
                self.came = self.stopping = self.hurried = False
                self._again.raised = 0

    def open(self) -> None:
        """From now on the user's code is running in the hub: signals take effect at once."""
        if self.here():
            self._hubs.append(None)
            self.check()

    def shut(self) -> None:
        """It is flowy's own code again."""
        if threading.current_thread() is threading.main_thread():
            while self._hubs and self._hubs[-1] is None:
                self._hubs.pop()

    def hold(self, wake: Callable[[], None]) -> None:
        """From now on signals wait, wherever; one calls `wake`, so that a sleep ends."""
        if threading.current_thread() is threading.main_thread():
            self._wake = wake
            self._held += 1

    def let_go(self) -> None:
        """Let a signal that waited take effect, if this is called from workflow code."""
        if threading.current_thread() is threading.main_thread():
            self._held -= 1
            if self.pending and not self._held and not self._in_hub():
                self.check()

    def _in_hub(self) -> bool:
        return bool(self._hubs) and self._hubs[-1] is getcurrent()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._hubs:
            self._pass_on(number, frame)
            return
        self.came = True
        if self._again.swallowed:  # it is the same one again
            self._again.swallowed = self.stopping = False
        if number == signal.SIGTERM:
            self.terminated = True
        again = bool(self.pending) and self._surely_ends(number)
        if self.stopping or again:
            self.hurried = True
            for kill, _ in self._attached:
                kill()
        stuck = again and not self.stopping and time.monotonic() - self._since > STUCK
        if self._held or (self._in_hub() and not stuck):
            self._keep(number)
        else:
            self._deliver(number, frame)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        """Nobody listens (any more): do what would be done without this handler."""
        if number == signal.SIGTERM:
            if not self.terminated:  # else the end is near, and tidies up first
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
        elif self._before is not None and not self.terminated:
            self._before(number, frame)

    def _surely_ends(self, number: int) -> bool:
        """Whether a signal that waits can only raise; a handler of the user's may do otherwise."""
        return number == signal.SIGTERM or self._before is signal.default_int_handler

    def _keep(self, number: int) -> None:
        if not self.pending:
            self._since = time.monotonic()
        if number not in self.pending:
            self.pending.append(number)
        if self._held and self._wake is not None:
            self._wake()
        for _, nudge in self._attached:
            nudge()

    def _deliver(self, number: int, frame: FrameType | None) -> None:
        if number in self.pending:
            self.pending.remove(number)
        if number == signal.SIGTERM:
            self.stopping = True
            self._again.raised = number
            raise Terminated
        try:
            if self._before is not None:
                self._before(number, frame)
        except KeyboardInterrupt:
            self.stopping = True
            self._again.raised = number
            raise


interrupts = Interrupts()
os.register_at_fork(after_in_child=interrupts.forget)
