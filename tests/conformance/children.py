"""Cases: workflows that start others, and workflows that start again.

Owns: sub-workflows, signals to them, their ends, and restarts (continue-as-new).
"""

from __future__ import annotations

from typing import Any

import flowy
from conformance.calls import add, inc
from conformance.case import activity, case, part
from conformance.failures import FAILS
from conformance.order import broken
from conformance.outside import ALONE, ready


@part(inc=inc)
class Twice:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int, *, by: int = 2) -> Any:
        for _ in range(by):
            n = self.inc(n)
        return n


@part(broken=broken)
class Failing:
    def __init__(self, broken: Any) -> None:
        self.broken = broken

    def __call__(self, n: int) -> Any:
        return self.broken(n) + 1


@part(inc=inc)
class Listening:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        total = 0
        try:
            while (value := flowy.wait(flowy.signal("add"))) is not None:
                total += flowy.wait(self.inc(value))
        except flowy.CancelRequested:
            flowy.wait(self.inc(0))  # cleans up
            raise
        return total


@part(inc=inc)
class Again:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, left: int, total: int = 0) -> Any:
        if not left:
            return total
        return flowy.restart(left - 1, total=flowy.wait(self.inc(total)))


@part(children={"twice": Twice}, add=add)
class Middle:
    def __init__(self, twice: Any, add: Any) -> None:
        self.twice, self.add = twice, add

    def __call__(self, n: int) -> Any:
        return self.add(self.twice(n), self.twice(n, by=1))


@part(inc=inc)
class Endless:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        flowy.wait(self.inc(1))
        return flowy.signal("never")


@case(value=[6, 8, 4], needs="child", children={"sub": Twice}, inc=inc)
class Child:
    def __init__(self, sub: Any, inc: Any) -> None:
        self.sub, self.inc = sub, inc

    def __call__(self) -> Any:
        return [self.inc(self.sub(self.inc(2))), self.sub(5, by=3), self.sub(2)]


@case(value=[11, 13, 15, 17], needs="child", children={"middle": Middle})
class ChildrenOfChildren:
    def __init__(self, middle: Any) -> None:
        self.middle = middle

    def __call__(self) -> Any:
        return [self.middle(n) for n in range(4, 8)]


@case(8, value=sum(range(2, 10)), needs="child", children={"sub": Twice})
class ManyChildren:
    def __init__(self, sub: Any) -> None:
        self.sub = sub

    def __call__(self, n: int) -> Any:
        return sum(flowy.wait(flowy.map(self.sub, range(n))))


@case(
    value=[True, "sub", 3],
    but=FAILS,
    needs="child",
    children={"sub": Failing},
    inc=inc,
)
class ChildFails:
    def __init__(self, sub: Any, inc: Any) -> None:
        self.sub, self.inc = sub, inc

    def __call__(self) -> Any:
        try:
            return flowy.wait(self.inc(self.sub(1)))
        except flowy.TaskError as error:
            return ["ValueError: no 1" in str(error.args[0]), error.name, self.inc(2)]


@case(fails="ends", but=FAILS, needs="child", children={"sub": Failing})
class ChildFailsItsParent:
    def __init__(self, sub: Any) -> None:
        self.sub = sub

    def __call__(self) -> Any:
        try:
            return flowy.wait(self.sub(1))
        except flowy.TaskError as error:
            raise ValueError("ends") from error


@case(
    3, value=[3, 0], but={"bare": "nobody starts it again there"}, needs="child continue",
    children={"sub": Again},
)  # fmt: skip
class ChildRestarts:
    def __init__(self, sub: Any) -> None:
        self.sub = sub

    def __call__(self, n: int) -> Any:
        return [self.sub(n), self.sub(0)]


@case(
    4, value=[4, 2], but={"bare": "nobody starts it again there"}, needs="continue", inc=inc
)  # fmt: skip
class Restarts:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, left: int, *, done: int = 0) -> Any:
        if left:
            return flowy.restart(left - 1, done=self.inc(done))
        return [done, self.inc(1)]


@case(
    1, value=3, but={"bare": "nobody starts it again there"}, needs="continue", inc=inc
)  # fmt: skip
class RestartsWithCallsUnderWay:
    """What is not done is given up."""

    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, left: int) -> Any:
        calls = [self.inc(i) for i in range(3)]
        if left:
            return flowy.restart(0)
        return calls[2]


@case(
    fails="task broken-0-0 failed: ValueError: no 1",
    but=FAILS,
    needs="continue",
    broken=broken,
)
class RestartsWithAFailure:
    def __init__(self, broken: Any) -> None:
        self.broken = broken

    def __call__(self) -> Any:
        return flowy.restart(self.broken(1))


@case(
    60,
    value=60,
    but={"bare": "nobody starts it again there"},
    needs="continue",
    inc=inc,
)
class RestartsWhereItIsSuggested:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, left: int, done: int = 0) -> Any:
        while left:
            if flowy.continue_suggested():
                return flowy.restart(left, done)
            values = flowy.wait([self.inc(0) for _ in range(5)])
            done += sum(values)
            left -= 5
        return done


@case(
    value=[["heard", 9], None, "gone"],
    but=ALONE,
    needs="child send",
    children={"sub": Listening},
)
class SignalsToAChild:
    def __init__(self, sub: Any) -> None:
        self.sub = sub

    def __call__(self) -> Any:
        child = self.sub()
        sent = [flowy.send_signal(child, "add", value) for value in (3, 4, None)]
        heard = ["heard", flowy.wait(child)]
        try:
            flowy.wait(flowy.send_signal(child, "add", 5))
        except flowy.TaskError:
            return [heard, sent[0], "gone"]


@case(
    value=["cancelled", 2],
    but=ALONE,
    needs="child cancel",
    children={"sub": Listening},
    inc=inc,
)
class CancelsAChild:
    def __init__(self, sub: Any, inc: Any) -> None:
        self.sub, self.inc = sub, inc

    def __call__(self) -> Any:
        child = self.sub()
        flowy.wait(flowy.send_signal(child, "add", 3))
        flowy.cancel(child)
        try:
            return flowy.wait(child)
        except flowy.TaskCancelled:
            return ["cancelled", self.inc(1)]


@case(
    value=["cancelled", 2],
    but={"plain": "calls are made at once there"},
    needs="child cancel",
    children={"sub": Endless},
    inc=inc,
)
class CancelsAChildAtOnce:
    def __init__(self, sub: Any, inc: Any) -> None:
        self.sub, self.inc = sub, inc

    def __call__(self) -> Any:
        child = self.sub()
        flowy.cancel(child)
        try:
            return flowy.wait(child)
        except flowy.TaskCancelled:
            return ["cancelled", self.inc(1)]


@case(
    value=["the workflow was terminated", 2],
    but={**ALONE, "local": "nobody can terminate a sub-workflow there"},
    needs="child terminate",
    children={"sub": Endless},
    steps={"ready": [lambda r: r.terminate_children()]},
    ready=ready,
    inc=inc,
)
class ChildIsTerminated:
    def __init__(self, sub: Any, ready: Any, inc: Any) -> None:
        self.sub, self.ready, self.inc = sub, ready, inc

    def __call__(self) -> Any:
        child = self.sub()
        timer = flowy.timer(1)  # so the child has started
        flowy.wait(timer)
        flowy.wait(self.ready())
        try:
            return flowy.wait(child)
        except flowy.TaskError as error:
            return [str(error.args[0]).partition("failed: ")[2], self.inc(1)]


@case(
    value=["cancelled", 2],
    but={**ALONE, "local": "nobody but the parent can cancel a sub-workflow there"},
    needs="child cancel",
    children={"sub": Endless},
    steps={"ready": [lambda r: r.cancel_children()]},
    ready=ready,
    inc=inc,
)
class ChildIsCancelledByOthers:
    def __init__(self, sub: Any, ready: Any, inc: Any) -> None:
        self.sub, self.ready, self.inc = sub, ready, inc

    def __call__(self) -> Any:
        child = self.sub()
        flowy.sleep(1)
        flowy.wait(self.ready())
        try:
            return flowy.wait(child)
        except flowy.TaskCancelled:
            return ["cancelled", self.inc(1)]


@case(
    value=["start_to_close", 2],
    but={"plain": "takes no time-outs", "local": "sub-workflows take no time-outs there"},
    needs="child time-outs",
    children={"sub": Endless},
    child_options={"workflow_duration": 30, "retry": (0,)},
    inc=inc,
)
class ChildTimesOut:
    def __init__(self, sub: Any, inc: Any) -> None:
        self.sub, self.inc = sub, inc

    def __call__(self) -> Any:
        try:
            return flowy.wait(self.sub())
        except flowy.TaskTimedout as error:
            return [error.timeout, self.inc(1)]


@case(
    value="WORKFLOW_TYPE_DOES_NOT_EXIST",
    but={"plain": "has no types of workflows", "local": "has no types of workflows"},
    needs="child",
    children={"sub": Twice},
    child_options={"version": 99},
)
class ChildIsRefused:
    def __init__(self, sub: Any) -> None:
        self.sub = sub

    def __call__(self) -> Any:
        try:
            return flowy.wait(self.sub(1))
        except flowy.TaskError as error:
            return str(error.args[0]).rpartition(": ")[2]


@case(
    value=["UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION", 2],
    but={"plain": "nobody can reach a run there", "local": "knows no runs but its own"},
    needs="send",
    inc=inc,
)
class SignalsToNobody:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        try:
            return flowy.wait(flowy.send_signal("nobody", "add", 1))
        except flowy.TaskError as error:
            return [str(error.args[0]).rpartition(": ")[2], self.inc(1)]


@case(
    value=[None, [5]],
    but={"plain": "nobody can reach a run there", "local": "knows no runs but its own"},
    needs="send",
)
class SignalsToItself:
    """By its id, as any run can be reached."""

    def __call__(self) -> Any:
        heard = flowy.signal("echo")
        sent = flowy.send_signal("SignalsToItself", "echo", [5])
        return [sent, heard]


@case(
    value=[["cancelled", "cancelled"], 2],
    but=ALONE,
    needs="child cancel",
    children={"sub": Listening},
    steps={"ready": [lambda r: r.cancel()]},
    ready=ready,
    inc=inc,
)
class CancelRequestGoesToChildren:
    """A workflow that is asked to cancel cancels those that it started."""

    def __init__(self, sub: Any, ready: Any, inc: Any) -> None:
        self.sub, self.ready, self.inc = sub, ready, inc

    def __call__(self) -> Any:
        subs = [self.sub(), self.sub()]
        flowy.wait([flowy.send_signal(sub, "add", 1) for sub in subs])
        told = []
        try:
            self.ready()
            flowy.wait(subs)
        except flowy.CancelRequested:
            for sub in subs:
                flowy.cancel(sub)
            for sub in subs:
                try:
                    flowy.wait(sub)
                except flowy.TaskCancelled:
                    told.append("cancelled")
        return [told, self.inc(1)]


@case(value=6, needs="child", children={"sub": Twice}, slow=activity(inc, priority=7))
class PrioritiesChangeNoValue:
    def __init__(self, sub: Any, slow: Any) -> None:
        self.sub, self.slow = sub, slow

    def __call__(self) -> Any:
        return self.sub(self.slow(3))
