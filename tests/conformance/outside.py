"""Cases: what comes from outside while a run is under way: signals, and requests to cancel.

Owns: signals before, during and after somebody waits for them; clean-up; activities that are cancelled.
"""

from __future__ import annotations

import time
from typing import Any

import flowy
from conformance.calls import inc
from conformance.case import activity, case, world

ALONE = {"plain": "nobody can reach a run there", "processes": "the steps are taken in this process"}
PATIENCE = 30.0


def ready() -> str:
    return "ready"


def patient() -> str:
    """Runs until it is cancelled, and tells both."""
    world().count("patient runs")
    end = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < end:
            flowy.heartbeat({"at": 1})
            time.sleep(0.005)
    except flowy.CancelRequested:
        world().count("patient cancelled")
        raise
    return "nobody cancelled it"


def patient_runs() -> bool:
    end = time.monotonic() + PATIENCE
    while not world().counted("patient runs") and time.monotonic() < end:
        time.sleep(0.005)
    return world().counted("patient runs") > 0


@case(
    value=["ready", {"a": [1]}],
    but=ALONE,
    steps={"ready": [lambda r: r.signal("go", {"a": [1]})]},
    ready=ready,
)
class Signal:
    def __init__(self, ready: Any) -> None:
        self.ready = ready

    def __call__(self) -> Any:
        told = self.ready()
        return [told, flowy.signal("go")]


@case(
    value=[3, 2, 1, 2],
    but=ALONE,
    steps={"ready": [lambda r: [r.signal("n", n) for n in (3, 2, 1)]]},
    ready=ready,
    inc=inc,
)
class SignalsBeforeTheyAreWaitedFor:
    def __init__(self, ready: Any, inc: Any) -> None:
        self.ready, self.inc = ready, inc

    def __call__(self) -> Any:
        flowy.wait(self.ready())
        later = self.inc(1)
        flowy.wait(later)
        return [flowy.wait(flowy.signal("n")), flowy.signal("n"), flowy.signal("n"), later]


@case(
    value=6,
    but=ALONE,
    steps={"ready": [lambda r: [r.signal("add", n) for n in (0, 1, 2, None)]]},
    ready=ready,
    inc=inc,
)
class SignalsInALoop:
    def __init__(self, ready: Any, inc: Any) -> None:
        self.ready, self.inc = ready, inc

    def __call__(self) -> Any:
        self.ready()
        total = 0
        while (value := flowy.wait(flowy.signal("add"))) is not None:
            total += flowy.wait(self.inc(value))
        return total


@case(
    value=[["b", 1], ["a", 2], None],
    but=ALONE,
    steps={"ready": [lambda r: r.signal("b", 1), lambda r: r.signal("a", 2), lambda r: r.signal("c")]},
    ready=ready,
)
class SignalsByName:
    def __init__(self, ready: Any) -> None:
        self.ready = ready

    def __call__(self) -> Any:
        a, b, c = flowy.signal("a"), flowy.signal("b"), flowy.signal("c")
        self.ready()
        flowy.wait([a, b, c])
        return [["b", b], ["a", a], c]


@case(value="late", but=ALONE, steps={"ready": [lambda r: r.signal("unknown", 1)]}, ready=ready, inc=inc)
class SignalOrTimer:
    """One that nobody waits for changes nothing."""

    def __init__(self, ready: Any, inc: Any) -> None:
        self.ready, self.inc = ready, inc

    def __call__(self) -> Any:
        flowy.wait(self.ready())
        asked, timer = flowy.signal("never"), flowy.timer(0.02)
        flowy.wait(flowy.first(asked, timer))
        return "late"


@case(
    cancelled=True,
    but=ALONE,
    needs="cancel",
    steps={"ready": [lambda r: r.cancel()]},
    ready=ready,
    inc=inc,
)
class CancelRequestCleansUp:
    def __init__(self, ready: Any, inc: Any) -> None:
        self.ready, self.inc = ready, inc

    def __call__(self) -> Any:
        try:
            self.ready()
            flowy.wait(flowy.signal("never"))
        except flowy.CancelRequested:
            assert flowy.wait(self.inc(1)) == 2
            raise


@case(
    value=["cancelled", 2],
    but=ALONE,
    needs="cancel",
    steps={"ready": [lambda r: r.cancel()]},
    ready=ready,
    inc=inc,
)
class CancelRequestEndsWithAValue:
    def __init__(self, ready: Any, inc: Any) -> None:
        self.ready, self.inc = ready, inc

    def __call__(self) -> Any:
        try:
            self.ready()
            flowy.wait(flowy.timer(100_000))
        except flowy.CancelRequested:
            return ["cancelled", self.inc(1)]


@case(
    fails="while it cleaned up",
    but=ALONE,
    needs="cancel",
    steps={"ready": [lambda r: r.cancel()]},
    ready=ready,
)
class CancelRequestFails:
    def __init__(self, ready: Any) -> None:
        self.ready = ready

    def __call__(self) -> Any:
        try:
            self.ready()
            flowy.wait(flowy.signal("never"))
        except flowy.CancelRequested:
            raise ValueError("while it cleaned up") from None


@case(
    cancelled=True,
    but=ALONE,
    needs="cancel",
    steps={"ready": [lambda r: r.cancel()]},
    ready=ready,
)
class CancelRequestAfterTheCode:
    """It has returned, and results in what it returned never come."""

    def __init__(self, ready: Any) -> None:
        self.ready = ready

    def __call__(self) -> Any:
        return [self.ready(), flowy.signal("never")]


CANCELS = {**ALONE, "inline": "runs one activity after the other"}


@case(
    value=["cancelled", True, 2],
    but={**CANCELS, "faults": "its time may be over before its worker hears of the cancel"},
    needs="cancel",
    patient=activity(patient, heartbeat=3000),
    meanwhile=patient_runs,
    inc=inc,
)
class CancelsAnActivity:
    def __init__(self, patient: Any, meanwhile: Any, inc: Any) -> None:
        self.patient, self.meanwhile, self.inc = patient, meanwhile, inc

    def __call__(self) -> Any:
        long = self.patient()
        runs = flowy.wait(self.meanwhile())
        flowy.cancel(long)
        try:
            return flowy.wait(long)
        except flowy.TaskCancelled:
            return ["cancelled", runs, self.inc(1)]


@case(
    value=["cancelled", 2],
    but={"plain": "calls are made at once there", "local": "it may have started by then"},
    inc=inc,
)
class CancelsACallAtOnce:
    """Before anybody knows of it."""

    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        call = self.inc(5)
        needs = self.inc(call)
        flowy.cancel(call)
        try:
            return flowy.wait(needs)
        except flowy.TaskCancelled:
            return ["cancelled", self.inc(1)]


@case(
    value=["cancelled", 3],
    but={**CANCELS, "local": "what waits for a worker is not seen from outside"},
    needs="cancel",
    inc=inc,
    waits=activity(inc, task_list="nobody"),
)
class CancelsAnActivityThatHasNotStarted:
    def __init__(self, inc: Any, waits: Any) -> None:
        self.inc, self.waits = inc, waits

    def __call__(self) -> Any:
        call = self.waits(1)
        value = flowy.wait(self.inc(1))
        flowy.cancel(call)
        try:
            return flowy.wait(call)
        except flowy.TaskCancelled:
            return ["cancelled", self.inc(value)]


@case(value=[2, 2], inc=inc)
class CancelOfWhatIsDone:
    """Does nothing."""

    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        call = self.inc(1)
        value = flowy.wait(call)
        flowy.cancel(call)
        flowy.cancel(3)
        return [call, value]
