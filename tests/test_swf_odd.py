"""Odd decision tasks, against workers that run as they do at AWS.

Owns: tasks that come twice, too late, or of what is over; types that nobody knows; inputs that do not
parse. Each gets the right response or none, the worker lives on, and requests do not pile up.

May not know: how tasks are answered. What each answer says is tested in test_swf_client.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from swf_network import DOMAIN, WAIT, Site, site, workflow_config
from test_swf_network import inc

import flowy
from flowy import swf
from flowy.swf.history import attributes_of
from flowy.testing import LocalSWF
from flowy.testing.swf import Limits, SystemClock

SECONDS = 1.5
"""In which a hot loop would make thousands of requests."""
POLL = 0.3
"""Seconds that a poll waits."""
FEW = int(8 * SECONDS / POLL)
"""Requests of those that only wait, twice as many as there should be."""


class Steps:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        value = 0
        for _ in range(n):
            value = flowy.wait(self.inc(value))
        return value


def configured() -> dict[str, Any]:
    config = workflow_config()
    config.conf_activity("inc", version=1)
    return {"steps": (config, Steps)}


class Again:
    """A client of polls that gives a decision task out as often as it is told, and then again later."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()
        self.given: list[dict[str, Any]] = []
        self.repeat: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def poll_for_decision_task(self, **given: Any) -> Any:
        if not given.get("nextPageToken"):
            with self._lock:
                if self.repeat:
                    return self.repeat.pop(0)
        task = self._client.poll_for_decision_task(**given)
        if task.get("taskToken"):
            with self._lock:
                self.given.append(task)
                self.repeat.append(task)  # once more
        return task


@pytest.fixture
def sent() -> Counter[str]:
    """What was sent so far, by operation."""
    return Counter()


@pytest.fixture
def place(sent: Counter[str]) -> Iterator[Site]:
    """Over HTTP, by the machine's time: nothing jumps, so requests can be counted."""

    def tell(event_name: str, **_: Any) -> None:
        sent[event_name.rpartition(".")[2]] += 1

    limits = dataclasses.replace(Limits.unthrottled(), long_poll=POLL)
    with site("http", LocalSWF(clock=SystemClock(), limits=limits)) as made:
        for client in (made.client.client, made.client.polls):
            client.meta.events.register("before-send.swf", tell)
        yield made


def count(sent: Counter[str]) -> int:
    """How much is sent while nothing happens."""
    before = sent.total()
    time.sleep(SECONDS)
    return sent.total() - before


def still_works(place: Site) -> None:
    run = place.start("steps", 3)
    assert run.wait(WAIT) == 3
    types = Counter(event["eventType"] for event in place.history(run))
    assert types["ActivityTaskScheduled"] == 3
    assert types["DecisionTaskStarted"] == types["DecisionTaskCompleted"] == 4


def test_tasks_that_come_twice_and_tasks_of_what_is_over(place: Site, sent: Counter[str]) -> None:
    again = Again(place.client.polls)
    place.client.polls = again
    place.decider(configured())
    place.activities({"inc": inc})
    still_works(place)  # each of its tasks came twice
    assert len(again.given) >= 4
    still_works(place)
    again.repeat += again.given  # all of them once more, now that the executions are closed
    assert count(sent) < 4 * len(again.given) + FEW
    assert not again.repeat
    still_works(place)
    again.repeat.clear()


def test_a_task_that_is_answered_too_late(place: Site, caplog: pytest.LogCaptureFixture) -> None:
    held, started = threading.Event(), threading.Event()
    runs: list[Any] = []
    given = configured()
    config, _ = given["steps"]

    class Slow(Steps):
        def __call__(self, n: int) -> Any:
            if not held.is_set():
                held.set()
                assert started.wait(WAIT)
                while not any(e["eventType"] == "DecisionTaskTimedOut" for e in place.history(runs[0])):
                    time.sleep(0.02)
            return super().__call__(n)

    place.decider({"steps": (config, Slow)})
    place.activities({"inc": inc})
    late = swf.SWFWorkflowStarter(DOMAIN, "steps", 1, place.client, task_duration=1)(2)
    runs.append(late)
    started.set()
    assert late.wait(WAIT) == 2
    assert "too late" in caplog.text
    types = Counter(event["eventType"] for event in place.history(late))
    assert types["DecisionTaskTimedOut"] == 1
    assert types["ActivityTaskScheduled"] == 2
    still_works(place)


def test_types_that_nobody_knows_are_put_off(place: Site, sent: Counter[str]) -> None:
    place.client.register_type("workflow", DOMAIN, "unknown", "1", configured()["steps"][0].defaults)
    unknown = [place.start("unknown", n) for n in range(3)]
    place.decider(configured())
    place.activities({"inc": inc})
    still_works(place)
    assert count(sent) < FEW
    for run in unknown:
        events = place.history(run)
        timers = [attributes_of(e) for e in events if e["eventType"] == "TimerStarted"]
        assert [int(timer["startToFireTimeout"]) >= 10 for timer in timers] == [True]
    still_works(place)


def test_inputs_that_do_not_parse_fail_their_execution_only(place: Site, sent: Counter[str]) -> None:
    place.decider(configured())
    place.activities({"inc": inc})
    for text in ("", "no JSON", '{"not": "a call"}', "[[1], {}, 3]", '[[{" b": "?"}], {}]', "[" * 9000):
        broken = place.client.start_workflow_execution(
            DOMAIN, f"broken-{len(text)}-{text[:3]!r}".replace(":", ""), "steps", 1, input=text or None
        )
        assert broken["runId"]
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        found = place.client.client.list_closed_workflow_executions(
            domain=DOMAIN, startTimeFilter={"oldestDate": 0}
        )["executionInfos"]
        if len(found) == 6:
            break
        time.sleep(0.05)
    assert [info["closeStatus"] for info in found] == ["FAILED"] * 6
    assert count(sent) < FEW
    still_works(place)
