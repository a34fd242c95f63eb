"""Deciders in processes of their own: started, replaced, and ended.

Owns: `Supervisor`: so many decider processes; those that die are started again, with a growing delay;
those that leave, because they have done or grown enough, are replaced at once, while they finish what
they have.

May not know: how a decision is made (`inside` has a whole decider). Neighbours: `child`, `decider`.

Nothing is lost with a process: runs that it kept are rebuilt from their histories by whoever gets their
next tasks, after the ten seconds that those wait for it, and a task in hand comes again by its
time-out.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from flowy.swf.child import Child, Gone
from flowy.swf.inside import BROKEN, DONE, GOING, LEAVE, READY, SETUP, WORK
from flowy.swf.rates import Backoff
from flowy.swf.remote import Recycling
from flowy.swf.slots import setup

__all__ = ["Supervisor"]

log = logging.getLogger("flowy.swf")

LOOK = 0.1
"""Seconds between two looks at the processes."""
STEADY = 60.0
"""Seconds after which a process was a good one: if it dies, the next one is started without delay."""
LAST = 5.0
"""Seconds beyond the grace period, before a process is killed."""


class Seat:
    """A place for one decider process: who has it, and when the next one may come."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.child: Child | None = None
        self.since = 0.0
        self.next = 0.0
        self.over = False
        """Its decider has ended by its own will, and is not replaced."""
        self.trouble = Backoff(0.2, 60.0)


class Supervisor:
    """Runs decider processes until it is stopped.

    Args:
        worker: what they are to be; it travels to them, with `given`, the arguments of its
            `run_forever`.
        asked: whether to stop, asked now and then.
        grace: seconds that they get at the end.
    """

    def __init__(
        self,
        count: int,
        worker: Any,
        given: Mapping[str, Any],
        stopping: threading.Event,
        asked: Callable[[], bool],
        grace: float,
        recycling: Recycling,
    ) -> None:
        limits = {"tasks": recycling.tasks, "memory": recycling.memory}
        self._first = setup((worker, dict(given), limits), "the decider", count)
        self._seats = [Seat(number) for number in range(1, count + 1)]
        self._leaving: list[tuple[Child, float]] = []
        """With the time at which each is killed."""
        self._stopping = stopping
        self._asked = asked
        self._grace = grace

    def stop(self) -> None:
        """Let all finish what they have; from any thread, or a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Work until it is stopped, or all have ended by their own will."""
        try:
            while not self._stopping.is_set():
                for seat in self._seats:
                    self._look_after(seat)
                self._leaving = [each for each in self._leaving if not self._has_left(*each)]
                if self._asked() or all(seat.over for seat in self._seats):
                    break
                self._stopping.wait(LOOK)
            self._stopping.set()
            self._drain()
        finally:
            for child in self._all():
                child.kill()

    def _all(self) -> list[Child]:
        return [
            *(child for child, _ in self._leaving),
            *(seat.child for seat in self._seats if seat.child is not None),
        ]

    # ------------------------------------------------------------ one of them

    def _look_after(self, seat: Seat) -> None:
        if seat.child is None:
            if not seat.over and time.monotonic() >= seat.next:
                self._start(seat)
        elif not self._listen(seat, seat.child):
            self._leaving.append((seat.child, time.monotonic() + self._grace + STEADY))
            seat.child = None
        elif seat.child.ended():
            self._bury(seat, seat.child)

    def _start(self, seat: Seat) -> None:
        seat.since = time.monotonic()
        try:
            seat.child = Child("decider", f"flowy-dec-{seat.number}")
        except OSError as error:  # no more processes or descriptors for now
            pause = seat.trouble.pause()
            seat.next = seat.since + pause
            log.error(
                "a decider process could not be started, next try in %.1f s: %s", pause, str(error)
            )
            return
        seat.child.send(SETUP, self._first[0])
        seat.child.send(WORK, self._first[1])

    def _listen(self, seat: Seat, child: Child) -> bool:
        """Hear what a process says; False: it leaves."""
        try:
            while (frame := child.wire.receive(0)) is not None:
                if frame.kind == GOING:
                    log.info("decider process %d is replaced: it has done or grown enough", child.pid)
                    return False
                if frame.kind == DONE:
                    seat.over = True
                elif frame.kind == BROKEN:
                    text = frame.data.decode("utf-8", "replace")
                    log.error("decider process %d failed: %s", child.pid, text)
                elif frame.kind == READY:
                    log.info("decider %d is process %d", seat.number, child.pid)
        except Gone:
            child.wait(LAST)  # it ends
            if not child.ended():
                child.kill()
        return True

    def _bury(self, seat: Seat, child: Child) -> None:
        lived = time.monotonic() - seat.since
        seat.child = None
        self._listen(seat, child)  # it may have had a last word
        if seat.over:
            child.kill()
            return
        if lived >= STEADY:
            seat.trouble.reset()
        pause = seat.trouble.pause()
        seat.next = time.monotonic() + pause
        crash = child.crash()
        log.error(
            "decider process %d %s; the next one is started in %.1f s%s",
            child.pid,
            child.how_ended(),
            pause,
            f"\n{crash}" if crash else "",
        )
        child.kill()

    def _has_left(self, child: Child, end: float) -> bool:
        if not child.ended() and time.monotonic() < end:
            return False
        child.kill()
        return True

    # ------------------------------------------------------------ the end

    def _drain(self) -> None:
        end = time.monotonic() + self._grace + LAST if self._grace < math.inf else math.inf
        left = self._all()
        for child in left:
            child.send(LEAVE)
        while left and time.monotonic() < end:
            left = [child for child in left if not child.ended()]
            time.sleep(0.01 if left else 0)
        for child in left:
            log.warning("decider process %d is killed: it has not ended in time", child.pid)
