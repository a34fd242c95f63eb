"""Decisions for Amazon SWF: from whole histories, and by kept runs.

Owns: the time of a full replay by the length of the history, and of a decision of a kept run by how far
it is. Parsing is not in it.

May not know: the insides of flowy. Its neighbour `core` counts what a task costs in the core alone.
"""

from __future__ import annotations

from typing import Any

import flowy
from flowy import swf

TYPE = {"name": "square", "version": "1"}


class Waves:
    """So many calls, `width` at a time."""

    def __init__(self, square: Any) -> None:
        self.square = square

    def __call__(self, calls: int, width: int) -> Any:
        total = 0
        for first in range(0, calls, width):
            total += sum(flowy.wait([self.square(first + n) for n in range(width)]))
        return total


def write_history(calls: int, width: int) -> list[dict[str, Any]]:
    """The history of `Waves`, up to the decision task that ends it."""
    events: list[dict[str, Any]] = []

    def add(type: str, **says: Any) -> int:
        name = f"{type[0].lower()}{type[1:]}EventAttributes"
        events.append({"eventId": len(events) + 1, "eventType": type, "eventTimestamp": 1e9, name: says})
        return len(events)

    add("WorkflowExecutionStarted", input=f"[[{calls}, {width}], {{}}]")
    for first in range(0, calls, width):
        scheduled = add("DecisionTaskScheduled")
        started = add("DecisionTaskStarted", scheduledEventId=scheduled)
        add("DecisionTaskCompleted", scheduledEventId=scheduled, startedEventId=started)
        opened = [
            add(
                "ActivityTaskScheduled",
                activityId=f"square-{n}-0",
                activityType=TYPE,
                input=f"[[{n}], {{}}]",
            )
            for n in range(first, first + width)
        ]
        for id in opened:
            started = add("ActivityTaskStarted", scheduledEventId=id)
            add("ActivityTaskCompleted", scheduledEventId=id, startedEventId=started, result="3")
    add("DecisionTaskStarted", scheduledEventId=add("DecisionTaskScheduled"))
    return events


def make_worker(**options: Any) -> swf.SWFWorkflowWorker:
    config = swf.SWFWorkflowConfig(rate_limit=None)
    config.conf_activity("square", version=1)
    worker = swf.SWFWorkflowWorker(**options)
    worker.register(config, Waves, version=1)
    return worker


def make_task(events: list[dict[str, Any]], previous: int = 0) -> dict[str, Any]:
    return {
        "workflowType": {"name": "Waves", "version": "1"},
        "workflowExecution": {"workflowId": "w", "runId": "r"},
        "startedEventId": events[-1]["eventId"],
        "previousStartedEventId": previous,
        "events": events,
    }


class FullReplays:
    """A decision from the whole history."""

    params = ([400, 4000], [1, 20])
    param_names = ("calls", "width")

    def setup(self, calls: int, width: int) -> None:
        self.task = make_task(write_history(calls, width))

    def time_decide(self, calls: int, width: int) -> None:
        assert make_worker(keep=0).decide(self.task)


class KeptRuns:
    """All decisions of a chain of 4,000 calls, one after the other, by a kept run."""

    def setup(self) -> None:
        events = write_history(4000, 1)
        cuts = [e["eventId"] for e in events if e["eventType"] == "DecisionTaskStarted"]
        before = [0, *cuts[:-1]]
        self.tasks = [
            make_task(events[max(0, previous - 1) : cut], previous)
            for previous, cut in zip(before, cuts, strict=True)
        ]

    def time_decide(self) -> None:
        worker = make_worker()
        for task in self.tasks:
            worker.decide(task)
        assert worker.kept.misses == 0
        worker.kept.clear()
