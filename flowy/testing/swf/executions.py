"""One execution: its history, and what is open in it.

Owns: `Execution` and its parts. The law: **an execution is a function of its events**. Whatever is said
of it here follows from them, one at a time, by the table `_FOLD`; nothing else changes it. So it is kept
by keeping its events, and what an event costs does not depend on how many there were.

May not know: clocks, task lists, other executions. What hangs on the open things (the deadline, the
place in a task list) is held here for `lifecycle`, and is no part of the state. The same is true of
an activity's heartbeats, which are in no event.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowy.testing.swf.deadlines import Deadline
from flowy.testing.swf.tasklists import Task

Event = dict[str, Any]
Attributes = dict[str, Any]


class AttributesOf(dict[str, str]):
    """The member in which an event of a type has its attributes."""

    def __missing__(self, event_type: str) -> str:
        name = self[event_type] = f"{event_type[0].lower()}{event_type[1:]}EventAttributes"
        return name


attributes_of = AttributesOf()


def seconds(duration: str | None) -> float:
    """A time-out as SWF writes it ("10", "NONE") in seconds."""
    return math.inf if duration is None or duration == "NONE" else float(duration)


class Open:
    """Something in an execution that is open, with what hangs on it."""

    __slots__ = ("deadline", "offered", "open", "task")

    def __init__(self) -> None:
        self.open = True
        self.offered = False  # it has its place in a task list, or had it
        self.deadline: Deadline | None = None
        self.task: Task | None = None


class Decision(Open):
    """A decision task, scheduled or started."""

    __slots__ = ("attributes", "offered_at", "scheduled_id", "started_at", "started_id")

    def __init__(self, scheduled_id: int, at: float, attributes: Attributes) -> None:
        super().__init__()
        self.scheduled_id = scheduled_id
        self.attributes = attributes
        self.offered_at = at  # since when it may be started: not while another is
        self.started_id = 0
        self.started_at = 0.0

    def nearest(self) -> tuple[float, str]:
        """When it times out, and how."""
        if self.started_id:
            return self.started_at + seconds(self.attributes["startToCloseTimeout"]), "START_TO_CLOSE"
        limit = seconds(self.attributes.get("scheduleToStartTimeout"))
        return self.offered_at + limit, "SCHEDULE_TO_START"


class Activity(Open):
    """An activity task, scheduled or started."""

    __slots__ = (
        "attributes", "beat_at", "beat_details", "cancel_id", "scheduled_at", "scheduled_id",
        "started_at", "started_id",
    )  # fmt: skip

    def __init__(self, scheduled_id: int, at: float, attributes: Attributes) -> None:
        super().__init__()
        self.scheduled_id = scheduled_id
        self.scheduled_at = at
        self.attributes = attributes
        self.started_id = 0
        self.started_at = 0.0
        self.beat_at = 0.0
        self.beat_details: str | None = None
        self.cancel_id = 0  # of the latest ActivityTaskCancelRequested

    def nearest(self) -> tuple[float, str]:
        """When it times out, and how."""
        said = self.attributes
        whole = self.scheduled_at + seconds(said["scheduleToCloseTimeout"]), "SCHEDULE_TO_CLOSE"
        if not self.started_id:
            start = self.scheduled_at + seconds(said["scheduleToStartTimeout"]), "SCHEDULE_TO_START"
            return min(start, whole, key=_due)
        run = self.started_at + seconds(said["startToCloseTimeout"]), "START_TO_CLOSE"
        beat = max(self.started_at, self.beat_at) + seconds(said["heartbeatTimeout"]), "HEARTBEAT"
        return min(run, beat, whole, key=_due)


def _due(limit: tuple[float, str]) -> float:
    return limit[0]


class Timer(Open):
    """A timer that has not fired."""

    __slots__ = ("due", "started_id", "timer_id")

    def __init__(self, started_id: int, timer_id: str, due: float) -> None:
        super().__init__()
        self.started_id = started_id
        self.timer_id = timer_id
        self.due = due


class Child:
    """A child execution that was asked for and has not closed."""

    __slots__ = ("attributes", "initiated_id", "run_id", "started_id")

    def __init__(self, initiated_id: int, attributes: Attributes) -> None:
        self.initiated_id = initiated_id
        self.attributes = attributes
        self.run_id = ""  # until it has started
        self.started_id = 0


class Execution:
    """A run of a workflow."""

    def __init__(self, domain: str, workflow_id: str, run_id: str, number: int) -> None:
        self.domain = domain
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.number = number
        """Executions are numbered as they start."""
        self.close_number = 0
        """They are numbered again as they close."""
        self.events: list[Event] = []
        self.close_status = ""
        self.closed_at = 0.0
        self.pending: Decision | None = None
        """The decision task that is scheduled and not started."""
        self.started: Decision | None = None
        """The one that is started."""
        self.previous_started_id = 0
        """The DecisionTaskStarted of the last one that was completed."""
        self.override: tuple[str, str | None] | None = None
        """The task list that takes the place of the one it was started with, and for how long."""
        self.activities: dict[int, Activity] = {}
        self.activity_ids: dict[str, Activity] = {}
        self.timers: dict[str, Timer] = {}
        self.children: dict[int, Child] = {}
        self.cancel_requested = False
        self.context: str | None = None
        self.latest_activity_at = 0.0
        self.deadline: Deadline | None = None
        self.deciding = False
        """Its decisions are being done: what needs another decision task waits for the last of them."""
        self.wanting = False
        """Such a thing has happened."""

    @property
    def is_open(self) -> bool:
        """Whether it has not closed."""
        return not self.close_status

    @property
    def said(self) -> Mapping[str, Any]:
        """The attributes of its start."""
        attributes: Attributes = self.events[0]["workflowExecutionStartedEventAttributes"]
        return attributes

    @property
    def started_at(self) -> float:
        """When it started."""
        at: float = self.events[0]["eventTimestamp"]
        return at

    @property
    def reference(self) -> dict[str, str]:
        """What the API calls a WorkflowExecution."""
        return {"workflowId": self.workflow_id, "runId": self.run_id}

    def opened(self) -> Iterator[Open]:
        """Everything that is open and may have a deadline."""
        yield from self.activities.values()
        yield from self.timers.values()
        if self.pending is not None:
            yield self.pending
        if self.started is not None:
            yield self.started

    def since(self, at: float) -> int:
        """The index of the first event of that time or later."""
        return bisect_left(self.events, at, key=_timestamp)

    def apply(self, event: Event) -> None:
        """Let this happen: the only way in which an execution changes."""
        self.events.append(event)
        event_type = event["eventType"]
        fold = _FOLD.get(event_type)
        if fold is not None:
            fold(self, event, event[attributes_of[event_type]])


def _timestamp(event: Event) -> float:
    at: float = event["eventTimestamp"]
    return at


def _decision_scheduled(execution: Execution, event: Event, said: Attributes) -> None:
    execution.pending = Decision(event["eventId"], event["eventTimestamp"], said)


def _decision_started(execution: Execution, event: Event, said: Attributes) -> None:
    decision, execution.pending = execution.pending, None
    assert decision is not None
    assert execution.started is None
    decision.started_id, decision.started_at = event["eventId"], event["eventTimestamp"]
    execution.started = decision


def _end_decision(execution: Execution, event: Event) -> None:
    decision, execution.started = execution.started, None
    assert decision is not None
    decision.open = False
    if execution.pending is not None:
        execution.pending.offered_at = event["eventTimestamp"]


def _decision_completed(execution: Execution, event: Event, said: Attributes) -> None:
    _end_decision(execution, event)
    execution.previous_started_id = said["startedEventId"]
    if "executionContext" in said:
        execution.context = said["executionContext"]
    if "taskList" in said:
        execution.override = said["taskList"]["name"], said.get("taskListScheduleToStartTimeout")


def _decision_timed_out(execution: Execution, event: Event, said: Attributes) -> None:
    if said["timeoutType"] == "START_TO_CLOSE":
        _end_decision(execution, event)
    else:
        assert execution.pending is not None
        execution.pending.open = False
        execution.pending = None
    if execution.override is not None and execution.override[1] is not None:
        execution.override = None  # one without a time-out is for good


def _activity_scheduled(execution: Execution, event: Event, said: Attributes) -> None:
    activity = Activity(event["eventId"], event["eventTimestamp"], said)
    execution.activities[activity.scheduled_id] = activity
    execution.activity_ids[said["activityId"]] = activity
    execution.latest_activity_at = event["eventTimestamp"]


def _activity_started(execution: Execution, event: Event, said: Attributes) -> None:
    activity = execution.activities[said["scheduledEventId"]]
    activity.started_id, activity.started_at = event["eventId"], event["eventTimestamp"]


def _activity_cancel_requested(execution: Execution, event: Event, said: Attributes) -> None:
    execution.activity_ids[said["activityId"]].cancel_id = event["eventId"]


def _activity_closed(execution: Execution, event: Event, said: Attributes) -> None:
    activity = execution.activities.pop(said["scheduledEventId"])
    del execution.activity_ids[activity.attributes["activityId"]]
    activity.open = False


def _timer_started(execution: Execution, event: Event, said: Attributes) -> None:
    due = event["eventTimestamp"] + seconds(said["startToFireTimeout"])
    execution.timers[said["timerId"]] = Timer(event["eventId"], said["timerId"], due)


def _timer_closed(execution: Execution, event: Event, said: Attributes) -> None:
    execution.timers.pop(said["timerId"]).open = False


def _child_initiated(execution: Execution, event: Event, said: Attributes) -> None:
    execution.children[event["eventId"]] = Child(event["eventId"], said)


def _child_started(execution: Execution, event: Event, said: Attributes) -> None:
    child = execution.children[said["initiatedEventId"]]
    child.run_id, child.started_id = said["workflowExecution"]["runId"], event["eventId"]


def _child_closed(execution: Execution, event: Event, said: Attributes) -> None:
    execution.children.pop(said["initiatedEventId"], None)


def _cancel_requested(execution: Execution, event: Event, said: Attributes) -> None:
    execution.cancel_requested = True


def _closed(execution: Execution, event: Event, said: Attributes) -> None:
    for item in execution.opened():
        item.open = False
    execution.close_status = _CLOSE_STATUS[event["eventType"]]
    execution.closed_at = event["eventTimestamp"]
    execution.pending = execution.started = None
    for things in (execution.activities, execution.activity_ids, execution.timers, execution.children):
        things.clear()


_CLOSE_STATUS = {
    "WorkflowExecutionCompleted": "COMPLETED",
    "WorkflowExecutionFailed": "FAILED",
    "WorkflowExecutionCanceled": "CANCELED",
    "WorkflowExecutionTerminated": "TERMINATED",
    "WorkflowExecutionContinuedAsNew": "CONTINUED_AS_NEW",
    "WorkflowExecutionTimedOut": "TIMED_OUT",
}

_FOLD: dict[str, Callable[[Execution, Event, Attributes], None]] = {
    "DecisionTaskScheduled": _decision_scheduled,
    "DecisionTaskStarted": _decision_started,
    "DecisionTaskCompleted": _decision_completed,
    "DecisionTaskTimedOut": _decision_timed_out,
    "ActivityTaskScheduled": _activity_scheduled,
    "ActivityTaskStarted": _activity_started,
    "ActivityTaskCancelRequested": _activity_cancel_requested,
    "ActivityTaskCompleted": _activity_closed,
    "ActivityTaskFailed": _activity_closed,
    "ActivityTaskTimedOut": _activity_closed,
    "ActivityTaskCanceled": _activity_closed,
    "TimerStarted": _timer_started,
    "TimerFired": _timer_closed,
    "TimerCanceled": _timer_closed,
    "StartChildWorkflowExecutionInitiated": _child_initiated,
    "StartChildWorkflowExecutionFailed": _child_closed,
    "ChildWorkflowExecutionStarted": _child_started,
    "ChildWorkflowExecutionCompleted": _child_closed,
    "ChildWorkflowExecutionFailed": _child_closed,
    "ChildWorkflowExecutionTimedOut": _child_closed,
    "ChildWorkflowExecutionCanceled": _child_closed,
    "ChildWorkflowExecutionTerminated": _child_closed,
    "WorkflowExecutionCancelRequested": _cancel_requested,
    **dict.fromkeys(_CLOSE_STATUS, _closed),
}
