"""Cases: time and chance, which replays must not ask for again.

Owns: timers, `sleep`, `now`, `random`, `uuid4`, `side_effect`, `changed`.
"""

from __future__ import annotations

import datetime
from typing import Any

import flowy
from conformance.calls import add, inc
from conformance.case import case, world

JUMPS = {"plain": "a timer is over at once there, or the run takes as long"}


@case(0.05, value=[True, 2], inc=inc)
class Sleeping:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, seconds: float) -> Any:
        before = flowy.now()
        flowy.sleep(seconds)
        took = (flowy.now() - before).total_seconds()
        return [took >= seconds, self.inc(1)]


@case(value=[2, None, 2], inc=inc)
class TimersAndCalls:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        timers = [flowy.timer(0.02), flowy.timer(0)]
        called = self.inc(1)
        flowy.wait(timers)
        return [called, timers[0], len(timers)]


@case(value="soon", but=JUMPS, needs="cancel-timer", inc=inc)
class WhicheverIsFirst:
    """Timers as time-outs in workflow code."""

    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        soon, later = flowy.timer(0.05), flowy.timer(1.2)
        order = list(flowy.finish_order(later, soon))
        flowy.wait(order[0])
        late = "(<result @timer-1" in repr(later)
        flowy.cancel(later)
        return "late" if late else "soon"


@case(value=["cancelled", 2], but=JUMPS, needs="cancel-timer", inc=inc)
class CancelledTimers:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        long = flowy.timer(10_000)
        answer = self.inc(1)
        flowy.wait(answer)
        flowy.cancel(long)
        try:
            flowy.wait(long)
        except flowy.TaskCancelled:
            return ["cancelled", answer]


@case(value=["cancelled", 2], but=JUMPS, inc=inc)
class CancelledAtOnce:
    """A timer that is cancelled before anybody knows of it."""

    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        long = flowy.timer(10_000)
        flowy.cancel(long)
        try:
            flowy.wait(long)
        except flowy.TaskCancelled:
            return ["cancelled", self.inc(1)]


@case(value=[True, True, True], inc=inc)
class TheTime:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        before = flowy.now()
        flowy.wait(self.inc(1))
        after = flowy.now()
        return [before.tzinfo == datetime.timezone.utc, before <= after, before.year >= 2017]


@case(value=[True, True, 4, True], inc=inc)
class Chance:
    """Numbers that are drawn before a wait are the same after it."""

    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        numbers = [flowy.random() for _ in range(3)]
        token = flowy.uuid4()
        first = self.inc(int(numbers[0] * 1000))
        second = self.inc(int(token.int % 1000))
        return [
            flowy.wait(first) == int(numbers[0] * 1000) + 1,
            flowy.wait(second) == int(token.int % 1000) + 1,
            token.version,
            all(0 <= n < 1 for n in numbers) and len(set(numbers)) == 3,
        ]


@case(value=[1, 3, 3, "x"], inc=inc)
class SideEffects:
    """Asked once in the life of a run, however often it is rebuilt."""

    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        one = flowy.side_effect(lambda: world().count("first") and 1)
        flowy.wait(self.inc(one))
        three = flowy.side_effect(lambda: one + 2)
        return [one, three, self.inc(self.inc(one)), flowy.side_effect(lambda: "x")]


@case(3, value=[[0, 1, 2], [1, 2, 3]], inc=inc)
class SideEffectsInALoop:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        seen, after = [], []
        for i in range(n):
            seen.append(flowy.side_effect(lambda i=i: i))  # type: ignore[misc]
            after.append(flowy.wait(self.inc(seen[-1])))
        return [seen, after]


@case(value=[True, True, 3], inc=inc, add=add)
class Changed:
    def __init__(self, inc: Any, add: Any) -> None:
        self.inc, self.add = inc, add

    def __call__(self) -> Any:
        new = flowy.changed("adds")
        value = self.inc(1)
        flowy.wait(value)
        return [new, flowy.changed("adds"), self.add(value, 1) if new else self.inc(value)]


@case(5, value=5, inc=inc)
class AChainOfTimers:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        done = 0
        for _ in range(n):
            flowy.sleep(0.002)
            done = flowy.wait(self.inc(done))
        return done
