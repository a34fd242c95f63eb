"""Stopping a run by Control-C or SIGTERM: what still runs gets a moment, then one word on what was done.

Owns: what happens between a signal that took effect in the main thread and the exception that leaves
`run` (the workflow's code is gone by then): running tasks have `GRACE` seconds to end, what they come to
is counted, the others are killed, and one summary goes to stderr. After SIGTERM, the end of the process.

    signal ─> interrupts ─> KeyboardInterrupt, Terminated ─> driver discards its runs ─> drain ─> summary

May not know: when a signal may take effect (`interrupts`), nor how tasks are ended (the executors).
Neighbours: `driver`, which stops, and `engine`, which attends to signals while it works.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from flowy._sched import Run
from flowy.local.executors import Executor
from flowy.local.interrupts import interrupts
from flowy.local.mailbox import Mailbox, Parcel, Reply
from flowy.local.pool import end_all

GRACE = 2.0
"""Seconds that running tasks get to end after the first Control-C or SIGTERM."""
LOOK = 0.05
"""Seconds between two looks at what still runs, if nothing comes back meanwhile."""


@contextlib.contextmanager
def attended(before: str = "", after: str = "") -> Iterator[None]:
    """While flowy works in the main thread: signals wait for the right moment.

    Args:
        before: told if one ends this before a driver has begun.
        after: told if one comes when the driver is done. It speaks for itself meanwhile.

    Raises:
        KeyboardInterrupt: Control-C came (or whatever the user's own handler of it raises).
    """
    listens = interrupts.listen()
    try:
        yield
    finally:
        if listens:
            words = after if interrupts.begun else before
            if words and interrupts.ending() and not interrupts.told:
                tell(f" {words}")
            if interrupts.leave():
                die()


def die() -> None:
    """End this process as SIGTERM does when nobody handles it, with nothing left behind."""
    end_all()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


class Tally:
    """What became of the tasks of one run, by dependency."""

    def __init__(self, run: Run | None, sub_workflows: Iterable[str]) -> None:
        """`sub_workflows`: the names of those that have started and not ended."""
        self._run = run
        self._asked: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._failed: dict[str, int] = {}
        self._running: dict[str, int] = {}
        for name, (asked, done, failed) in (run.progress() if run is not None else {}).items():
            self._asked[name], self._done[name], self._failed[name] = asked, done, failed
            self._running[name] = 0
        for name in sub_workflows:
            self._running[name] += 1

    def learn(self, items: Iterable[Any]) -> None:
        """Count what has come back, among whatever else came into the mailbox."""
        for item in items:
            if type(item) is not Reply:
                continue
            parcel, outcomes = item.parcel, item.outcomes
            for i in range(outcomes.first, outcomes.first + len(outcomes.values)):
                self._count(parcel, i, self._failed if i in outcomes.failures else self._done)

    def cut(self, parcels: Iterable[Parcel]) -> None:
        """Count what is being worked on: one task of each parcel, the first that is not back."""
        for parcel in parcels:
            self._count(parcel, parcel.received, self._running)

    def _count(self, parcel: Parcel, i: int, counts: dict[str, int]) -> None:
        at = parcel.first + i
        if parcel.batch.run(at) is self._run:
            counts[parcel.batch.name(at)] += 1

    def __str__(self) -> str:
        lines = []
        for name, asked in self._asked.items():
            if asked:
                done, failed, running = self._done[name], self._failed[name], self._running[name]
                lines.append(
                    f"\n  {name}: {done} done, {failed} failed, {running} running when stopped, "
                    f"{max(0, asked - done - failed - running)} not started"
                )
        return ":" + "".join(lines) if lines else ", before any task was asked for"


def drain(executor: Executor, mailbox: Mailbox, tally: Tally) -> None:
    """Give what runs for a closed mailbox its moment, then end it."""
    end = time.monotonic() + GRACE
    tally.learn(mailbox.take())
    running = executor.busy(mailbox)
    while running and not interrupts.hurried and (left := end - time.monotonic()) > 0:
        executor.collect(mailbox, min(left, LOOK))
        tally.learn(mailbox.take())
        if not interrupts.hurried:  # else they are killed, and perhaps buried
            running = executor.busy(mailbox)
    tally.cut(parcel for parcel in running if parcel.received < parcel.size)
    executor.end(mailbox)


def tell(what: object) -> None:
    """Say on stderr, in one piece, what a run that was stopped came to."""
    if interrupts.nested() or sys.stderr is None:
        return  # the outer run will tell
    interrupts.told = True
    signal_name = "SIGTERM" if interrupts.terminated else "Ctrl-C"
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"flowy: stopped by {signal_name}{what}\n")
        sys.stderr.flush()
