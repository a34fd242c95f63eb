"""Cases: more at a time than may be, at SWF or by what was configured.

Owns: that limits change when things are done, and no value.
"""

from __future__ import annotations

import threading
from typing import Any

import flowy
from conformance.calls import inc, square
from conformance.case import activity, case, world
from conformance.failures import COUNTS

_running = threading.Lock()


def alone(n: int) -> int:
    """Notices if another one runs."""
    if not _running.acquire(blocking=False):
        return -1
    try:
        world().count("alone")
        return n
    finally:
        _running.release()


@case(
    250,
    value=sum(range(1, 251)),
    but={"moto": "reads its whole history, and writes it, at each of a thousand events"},
    inc=inc,
)
class MoreThanAResponseTakes:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        return sum(flowy.wait([self.inc(i) for i in range(n)]))


@case(120, value=120, inc=inc)
class MoreTimersThanAResponseTakes:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        timers = [flowy.timer(0.001) for _ in range(n)]
        flowy.wait(timers)
        return self.inc(len(timers) - 1)


@case(40, value=sum(n * n for n in range(40)), options={"rate_limit": 3}, square=square)
class FewAtATime:
    def __init__(self, square: Any) -> None:
        self.square = square

    def __call__(self, n: int) -> Any:
        return sum(flowy.map(self.square, range(n)))


@case(
    8,
    value=list(range(8)),
    options={"rate_limit": 1},
    but={"processes": COUNTS, "faults": "one whose poll got no reply may still run while the next does"},
    alone=activity(alone, max_concurrency=1),
)
class OneAtATime:
    """On Amazon SWF the cap is that of the run, for there is none of an activity."""

    def __init__(self, alone: Any) -> None:
        self.alone = alone

    def __call__(self, n: int) -> Any:
        return [self.alone(i) for i in range(n)]


@case(value=[5, 7, 1], urgent=activity(inc, priority=10), idle=activity(inc, priority=-10))
class Priorities:
    def __init__(self, urgent: Any, idle: Any) -> None:
        self.urgent, self.idle = urgent, idle

    def __call__(self) -> Any:
        return [self.idle(4), self.urgent(6), self.idle(self.urgent(-1))]


@case(30, value=30, but={"moto": "its polls wait a second in vain before each of the calls"}, inc=inc)
class LongChain:
    """One decision for each call."""

    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        value = 0
        for _ in range(n):
            value = flowy.wait(self.inc(value))
        return value
