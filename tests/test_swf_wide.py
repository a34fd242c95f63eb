"""Workflows wider than what SWF lets be open, and longer than it lets a history be.

Owns: that the author needs to do nothing about the first, and about the second no more than return
`flowy.restart` where `flowy.continue_suggested()` says so. `FLOWY_LONG=1`: at the limits that AWS has.

May not know: how tasks wait for room.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from typing import Any

import pytest
from swf_network import DOMAIN, Site, activity_config, site, workflow_config

import flowy
from flowy import swf
from flowy.swf.history import attributes_of
from flowy.testing import LocalSWF
from flowy.testing.swf import Limits

LONG = bool(os.environ.get("FLOWY_LONG"))
WAIT = 3600.0 if LONG else 60.0
OPEN = 1000 if LONG else 100
EVENTS = 25_000 if LONG else 1_250
TASKS = 40_000 if LONG else 1_000
WORKERS = 4
CLOSINGS = ("Completed", "Failed", "TimedOut", "Canceled")


class Wide:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, width: int) -> Any:
        return sum(flowy.wait([self.inc(n) for n in range(width)]))


class Long:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, left: int, total: int = 0) -> Any:
        while left:
            if flowy.continue_suggested():
                return flowy.restart(left, total)
            part = min(left, OPEN // 2)
            total += sum(flowy.map(self.inc, [0] * part))
            left -= part
        return total


def inc(n: int) -> int:
    return n + 1


def begin(place: Site, factory: Any) -> swf.SWFWorkflowWorker:
    config = workflow_config(rate_limit=None)
    config.conf_activity("inc", version=1)
    limits = swf.Limits(open=OPEN, continue_at=EVENTS * 2 // 5)
    decider = place.decider({"work": (config, factory)}, limits=limits)
    for _ in range(WORKERS):
        place.activities({"inc": inc}, activity_config(default_start_to_close=1000))
    return decider


def local() -> LocalSWF:
    limits = Limits.unthrottled()
    return LocalSWF(limits=dataclasses.replace(limits, open_activities=OPEN, events=EVENTS))


def histories(place: Site, run: Any) -> list[list[dict[str, Any]]]:
    """Of a run and of those that it continued as."""
    found, run_id = [], str(run)
    while run_id:
        events = list(place.client.history(DOMAIN, run.workflow_id, run_id))
        found.append(events)
        run_id = attributes_of(events[-1]).get("newExecutionRunId", "")
    return found


def most_open(events: list[dict[str, Any]]) -> int:
    """How many activities were open at the same time, at most."""
    open = most = 0
    for event in events:
        kind = event["eventType"]
        open += kind == "ActivityTaskScheduled"
        open -= kind.startswith("ActivityTask") and kind.endswith(CLOSINGS)
        most = max(most, open)
    return most


@pytest.mark.slow
def test_a_fan_out_wider_than_what_may_be_open() -> None:
    width = 3 * OPEN
    with site(local=local()) as place:
        decider = begin(place, Wide)
        run = place.start("work", width)
        assert run.wait(WAIT) == sum(range(1, width + 1))
        (events,) = histories(place, run)
        types = Counter(event["eventType"] for event in events)
        assert OPEN * 0.9 <= most_open(events) <= OPEN
        assert types["ActivityTaskScheduled"] == width
        assert not types["ScheduleActivityTaskFailed"]  # kept by waiting, not by refusals
        assert len(events) < 25_000
        swf.replay(events, decider)


@pytest.mark.slow
def test_more_tasks_than_a_history_may_have_events() -> None:
    with site(local=local()) as place:
        decider = begin(place, Long)
        run = place.start("work", TASKS)
        assert run.wait(WAIT) == TASKS
        parts = histories(place, run)
        assert (
            sum(event["eventType"] == "ActivityTaskScheduled" for events in parts for event in events)
            == TASKS
        )
        assert len(parts) > 3
        assert max(map(len, parts)) < EVENTS
        for events in parts:
            swf.replay(events, decider)
