"""Cases: what fails, is tried again, is not done in time, or can't be done at all.

Owns: failures of activities and of workflow code, both kinds of retries, time-outs.
"""

from __future__ import annotations

from typing import Any

import flowy
from conformance.calls import add, inc
from conformance.case import activity, case, world
from conformance.order import broken

FAILS = {"bare": "an activity fails"}
COUNTS = "an activity counts its calls in this process"
TIME = {
    "plain": "takes no time-outs",
    "inline": "nothing can end a task in the thread that is to end it",
    "processes": COUNTS,
}
TRIES = {
    "plain": "takes no retries",
    "processes": COUNTS,
    "faults": "an attempt whose poll got no reply is one of those that it may have",
}


def message(error: flowy.TaskError) -> str:
    return str(error.args[0])


def broken_at_length(n: int) -> int:
    raise ValueError("no " * 500)


def broken_with_a_strange_error() -> None:
    class Strange(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__("strange")

    raise Strange(1, 2)


def flaky(times: int) -> str:
    """Fails so many times."""
    if world().count("flaky") <= times:
        raise ValueError("not yet")
    return "at last"


def hopeless(who: str) -> None:
    world().count(who)
    raise ValueError("never")


def counted(who: str) -> int:
    return world().counted(who)


def late_at_first(times: int) -> str:
    """Takes longer than it may so many times."""
    if world().count("late_at_first") <= times:
        world().lapse(60)
    return "in time"


def late() -> str:
    world().lapse(60)
    return "too late"


@case(value=["task broken-0-0 failed: ValueError: no 1", "broken", True], but=FAILS, broken=broken)
class FailureLookedAt:
    def __init__(self, broken: Any) -> None:
        self.broken = broken

    def __call__(self) -> Any:
        try:
            flowy.wait(self.broken(1))
        except flowy.TaskError as error:
            return [message(error), error.name, "in broken" in error.remote_traceback]


@case(fails="task broken-0-0 failed: ValueError: no 1", but=FAILS, broken=broken)
class FailureNotHandled:
    def __init__(self, broken: Any) -> None:
        self.broken = broken

    def __call__(self) -> Any:
        return self.broken(1) + 1


@case(fails="task broken-0-0 failed: ValueError: no 2", but=FAILS, broken=broken, inc=inc)
class FailureInWhatIsReturned:
    def __init__(self, broken: Any, inc: Any) -> None:
        self.broken, self.inc = broken, inc

    def __call__(self) -> Any:
        return {"good": self.inc(1), "bad": [self.broken(2)]}


@case(value=["task broken-0-0 failed: ValueError: no 1"] * 3 + [2], but=FAILS, broken=broken, add=add)
class FailurePassedOn:
    """A call with a failed argument fails with the same error, and is not made."""

    def __init__(self, broken: Any, add: Any) -> None:
        self.broken, self.add = broken, add

    def __call__(self) -> Any:
        failed = self.broken(1)
        twice = self.add(self.add(failed, 1), 1)
        seen = []
        for result in (failed, twice, twice):
            try:
                flowy.wait([result])
            except flowy.TaskError as error:
                seen.append(message(error))
        return [*seen, self.add(1, 1)]


@case(value=2, but=FAILS, broken=broken, inc=inc)
class FailureNotLookedAt:
    def __init__(self, broken: Any, inc: Any) -> None:
        self.broken, self.inc = broken, inc

    def __call__(self) -> Any:
        self.broken(1)
        return self.inc(1)


@case(value=[True, False, True], but=FAILS, broken=broken)
class EachLookRaisesAnew:
    def __init__(self, broken: Any) -> None:
        self.broken = broken

    def __call__(self) -> Any:
        failed, errors = self.broken(1), []
        for _ in range(2):
            try:
                bool(failed)
            except flowy.TaskError as error:
                errors.append(error)
        return [len(errors) == 2, errors[0] is errors[1], message(errors[0]) == message(errors[1])]


@case(fails="the workflow itself", inc=inc)
class WorkflowRaises:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        flowy.wait(self.inc(1))
        raise ValueError("the workflow itself")


@case(fails="at length " * 100, inc=inc)
class WorkflowRaisesAtLength:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        self.inc(1)
        raise ValueError("at length " * 100)


@case(value=[True, "no no no"], but=FAILS, broken=broken_at_length)
class FailureAtLength:
    """Longer than SWF takes as a reason: all of it is in the remote traceback."""

    def __init__(self, broken: Any) -> None:
        self.broken = broken

    def __call__(self) -> Any:
        try:
            flowy.wait(self.broken(1))
        except flowy.TaskError as error:
            return ["no " * 500 in error.remote_traceback, message(error).partition("Error: ")[2][:8]]


@case(value="strange", but=FAILS, broken=broken_with_a_strange_error)
class FailureOfAStrangeKind:
    """An exception that can't be unpickled."""

    def __init__(self, broken: Any) -> None:
        self.broken = broken

    def __call__(self) -> Any:
        try:
            flowy.wait(self.broken())
        except flowy.TaskError as error:
            return message(error).rpartition(": ")[2]


@case(
    value=["at last", True],
    but=TRIES,
    flaky=activity(flaky, retry=flowy.Retry(attempts=3, delay=0.02)),
    inc=inc,
)
class RetriedWithDelays:
    def __init__(self, flaky: Any, inc: Any) -> None:
        self.flaky, self.inc = flaky, inc

    def __call__(self) -> Any:
        got = self.flaky(2)
        return [got, self.inc(1) == 2]


@case(
    value=["task hopeless-0-2 failed: ValueError: never", 2, 3],
    but=TRIES,
    hopeless=activity(hopeless, retry=flowy.Retry(attempts=3)),
    calls=counted,
)
class RetriedInVain:
    def __init__(self, hopeless: Any, calls: Any) -> None:
        self.hopeless, self.calls = hopeless, calls

    def __call__(self) -> Any:
        try:
            flowy.wait(self.hopeless("RetriedInVain"))
        except flowy.TaskError as error:
            return [message(error), error.attempt, self.calls("RetriedInVain")]


@case(
    value=["ValueError: never", 1],
    but=TRIES,
    hopeless=activity(hopeless, retry=flowy.Retry(attempts=3, on=flowy.TaskTimedout)),
    calls=counted,
)
class NotRetriedForAnotherError:
    def __init__(self, hopeless: Any, calls: Any) -> None:
        self.hopeless, self.calls = hopeless, calls

    def __call__(self) -> Any:
        try:
            flowy.wait(self.hopeless("NotRetriedForAnotherError"))
        except flowy.TaskError as error:
            return [message(error).partition("failed: ")[2], self.calls("NotRetriedForAnotherError")]


@case(
    value=["ValueError: never", 1],
    but=TRIES,
    hopeless=activity(hopeless, retry=(0, 0, 0)),
    calls=counted,
)
class DelaysRetryNoFailures:
    def __init__(self, hopeless: Any, calls: Any) -> None:
        self.hopeless, self.calls = hopeless, calls

    def __call__(self) -> Any:
        try:
            flowy.wait(self.hopeless("DelaysRetryNoFailures"))
        except flowy.TaskError as error:
            return [message(error).partition("failed: ")[2], self.calls("DelaysRetryNoFailures")]


@case(
    value="in time",
    but=TIME,
    needs="time-outs",
    late=activity(late_at_first, retry=(0, 0, 0, *(0,) * 12), start_to_close=30),
)
class TimedOutAndRetried:
    def __init__(self, late: Any) -> None:
        self.late = late

    def __call__(self) -> Any:
        return self.late(2)


@case(
    value=["start_to_close", True],
    but=TIME,
    needs="time-outs",
    late=activity(late, retry=(0,), start_to_close=30),
)
class TimedOut:
    def __init__(self, late: Any) -> None:
        self.late = late

    def __call__(self) -> Any:
        try:
            return flowy.wait(self.late())
        except flowy.TaskTimedout as error:
            return [error.timeout, "timed out" in message(error)]


@case(
    value="schedule_to_close",
    but=TIME,
    needs="time-outs",
    late=activity(late, retry=(0,), schedule_to_close=30, start_to_close=1000),
)
class TimedOutAltogether:
    def __init__(self, late: Any) -> None:
        self.late = late

    def __call__(self) -> Any:
        try:
            return flowy.wait(self.late())
        except flowy.TaskTimedout as error:
            return error.timeout


@case(
    value="schedule_to_start",
    but={
        "plain": TIME["plain"],
        "local": "waits for a worker that does not come: there is always one",
    },
    needs="time-outs",
    inc=activity(inc, retry=(0,), schedule_to_start=30, task_list="nobody"),
)
class TimedOutBeforeItStarted:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        try:
            return flowy.wait(self.inc(1))
        except flowy.TaskTimedout as error:
            return error.timeout


NO_TYPES = {"plain": "has no types of activities", "local": "has no types of activities"}


@case(
    value="SWF refused it: ACTIVITY_TYPE_DOES_NOT_EXIST",
    but=NO_TYPES,
    gone=activity(inc, version=99),
    inc=inc,
)
class RefusedForGood:
    def __init__(self, gone: Any, inc: Any) -> None:
        self.gone, self.inc = gone, inc

    def __call__(self) -> Any:
        flowy.wait(self.inc(1))
        try:
            return flowy.wait(self.gone(1))
        except flowy.TaskError as error:
            return message(error).partition("failed: ")[2]


@case(
    value="DEFAULT_TASK_LIST_UNDEFINED",
    but=NO_TYPES,
    inc=activity(inc, default_task_list=None),
)
class RefusedForWantOfATaskList:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        try:
            return flowy.wait(self.inc(1))
        except flowy.TaskError as error:
            return message(error).rpartition(": ")[2]


@case(value=[True, True], but={"plain": "takes anything", "local": "takes anything"}, inc=inc)
class ArgumentsThatCanNotTravel:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        told = []
        for argument in (object(), float("nan")):
            try:
                flowy.wait(self.inc(argument))
            except flowy.TaskUsageError as error:
                told.append("args[0] is" in message(error))
        return told
