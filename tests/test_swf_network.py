"""Whole workflows on a local SWF, through the clients and the loops that run at AWS.

Owns: each feature with kept runs on, off, and evicted at random, in process and over HTTP; what
becomes of faults on the way.

May not know: how decisions are made (`test_swf_decide`, `test_swf_whole`).
"""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from swf_network import (
    DOMAIN,
    KEEPING,
    WAIT,
    Site,
    site,
    workflow_config,
)

import flowy
from flowy import swf


def inc(n: int) -> int:
    return n + 1


def broken(n: int) -> int:
    raise ValueError(f"no {n}" + "!" * 1000)


class Late:
    """Its first attempt takes longer than it may."""

    def __init__(self, place: Site) -> None:
        self.place = place
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.calls == 1:
            self.place.local.advance(100)
        return self.calls


class Pair:
    """An activity that runs until it is cancelled, and one that knows that it runs."""

    def __init__(self) -> None:
        self.runs = threading.Event()
        self.cancelled = 0

    def patient(self) -> None:
        self.runs.set()
        end = time.monotonic() + WAIT
        try:
            while time.monotonic() < end:
                flowy.heartbeat({"at": 1})
                time.sleep(0.005)
        except flowy.CancelRequested:
            self.cancelled += 1
            raise

    def meanwhile(self) -> bool:
        return self.runs.wait(WAIT)


class FanOut:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        return sum(flowy.wait([self.inc(self.inc(i)) for i in range(n)]))


class Failing:
    def __init__(self, inc: Any, broken: Any) -> None:
        self.inc, self.broken = inc, broken

    def __call__(self) -> Any:
        with pytest.raises(flowy.TaskError, match="ValueError: no 1") as caught:
            flowy.wait(self.broken(1))
        assert "in broken" in caught.value.remote_traceback
        return self.inc(1)


class Slow:
    def __init__(self, late: Any) -> None:
        self.late = late

    def __call__(self) -> Any:
        return self.late()


class Sleeping:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, seconds: int) -> Any:
        before = flowy.now()
        flowy.sleep(seconds)
        return self.inc(int((flowy.now() - before).total_seconds() >= seconds))


class Listening:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        total = 0
        while (value := flowy.wait(flowy.signal("add"))) is not None:
            total += flowy.wait(self.inc(value))
        return total


class Parent:
    def __init__(self, inc: Any, child: Any) -> None:
        self.inc, self.child = inc, child

    def __call__(self) -> Any:
        return self.inc(self.child(3)), self.child(2)


class Cancelling:
    def __init__(self, patient: Any, meanwhile: Any) -> None:
        self.patient, self.meanwhile = patient, meanwhile

    def __call__(self) -> Any:
        long = self.patient()
        flowy.wait(self.meanwhile())
        flowy.cancel(long)
        with pytest.raises(flowy.TaskCancelled):
            flowy.wait(long)
        return "cancelled"


class Cleaning:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        try:
            flowy.wait(self.inc(1))
            flowy.wait(flowy.signal("never"))
        except flowy.CancelRequested:
            flowy.wait(self.inc(2))
            raise


class Again:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, left: int, total: int) -> Any:
        if not left:
            return total
        return flowy.restart(left - 1, flowy.wait(self.inc(total)))


WORKFLOWS = {
    "fan_out": (FanOut, "inc"),
    "failing": (Failing, "inc broken"),
    "slow": (Slow, "late"),
    "sleeping": (Sleeping, "inc"),
    "listening": (Listening, "inc"),
    "parent": (Parent, "inc"),
    "cancelling": (Cancelling, "patient meanwhile"),
    "cleaning": (Cleaning, "inc"),
    "again": (Again, "inc"),
}


def configured(**given: Any) -> dict[str, Any]:
    """The workflows as a decider takes them."""
    made = {}
    for name, (factory, activities) in WORKFLOWS.items():
        config = workflow_config()
        for activity in activities.split():
            config.conf_activity(activity, version=1, **given)
        if name == "parent":
            config.conf_workflow("child", version=1, name="fan_out")
        made[name] = (config, factory)
    return made


def signal(place: Site, run: Any, value: str) -> None:
    place.client.client.signal_workflow_execution(
        domain=DOMAIN, workflowId=run.workflow_id, signalName="add", input=value
    )


OVER = pytest.mark.parametrize("over", ["memory", "http"])
KEEP = pytest.mark.parametrize("keep", list(KEEPING))


@OVER
@KEEP
def test_each_feature(over: str, keep: str) -> None:
    pair = Pair()
    with site(over) as place:
        late = Late(place)
        worker = place.decider(configured(), KEEPING[keep]())
        both = {"inc": inc, "broken": broken, "late": late}
        both.update(patient=pair.patient, meanwhile=pair.meanwhile)
        for _ in range(2):
            place.activities(both, heartbeat=0.3)
        runs = {
            "fan_out": place.start("fan_out", 30),
            "failing": place.start("failing"),
            "parent": place.start("parent"),
            "again": place.start("again", 5, 0),
            "listening": place.start("listening"),
            "cancelling": place.start("cancelling"),
        }
        for value in ("1", "2", "null"):
            signal(place, runs["listening"], value)
        assert {name: run.wait(WAIT) for name, run in runs.items()} == {
            "fan_out": sum(range(2, 32)),
            "failing": 2,
            "parent": (10, 5),
            "again": 5,
            "listening": 5,
            "cancelling": "cancelled",
        }
        assert pair.cancelled == 1
        for name, args in (("slow", ()), ("sleeping", (100_000,))):
            runs[name] = place.start(name, *args)
            assert runs[name].wait(WAIT) == 2
        runs["cleaning"] = cleaning = place.start("cleaning")
        place.client.client.request_cancel_workflow_execution(
            domain=DOMAIN, workflowId=cleaning.workflow_id
        )
        with pytest.raises(flowy.TaskCancelled):
            cleaning.wait(WAIT)
        for run in runs.values():
            swf.replay(place.history(run), worker)
        if keep == "kept":
            assert worker.kept.hits > 20
            assert worker.kept.misses <= 1 + late.calls  # the clock was moved: a task may have gone back
        elif keep == "full":
            assert worker.kept.hits == 0
