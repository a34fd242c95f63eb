"""Histories of Amazon SWF, as anybody prints them, in one form.

Owns: `read_events`, which takes every shape a history comes in; what is true of an event whoever reads
it: its attributes, its time, what it closes; and what SWF's causes and time-outs are in flowy's words.

May not know: runs. What each event does to one is in `execution`.

An event is the dict that SWF sends. None of its optional fields is taken for granted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from operator import itemgetter
from typing import Any

from flowy._replay import first_gap, first_odd
from flowy.errors import Failure, UsageError

__all__ = [
    "ATTRIBUTES",
    "CLOSINGS",
    "EVENT_TYPES",
    "Event",
    "Incomplete",
    "attributes_of",
    "check_contiguous",
    "is_passing",
    "key_of_child",
    "read_events",
    "time_of",
    "timed_out",
]

Event = dict[str, Any]

EVENT_TYPES = (
    "WorkflowExecutionStarted",
    "WorkflowExecutionCancelRequested",
    "WorkflowExecutionCompleted",
    "CompleteWorkflowExecutionFailed",
    "WorkflowExecutionFailed",
    "FailWorkflowExecutionFailed",
    "WorkflowExecutionTimedOut",
    "WorkflowExecutionCanceled",
    "CancelWorkflowExecutionFailed",
    "WorkflowExecutionContinuedAsNew",
    "ContinueAsNewWorkflowExecutionFailed",
    "WorkflowExecutionTerminated",
    "DecisionTaskScheduled",
    "DecisionTaskStarted",
    "DecisionTaskCompleted",
    "DecisionTaskTimedOut",
    "ActivityTaskScheduled",
    "ScheduleActivityTaskFailed",
    "ActivityTaskStarted",
    "ActivityTaskCompleted",
    "ActivityTaskFailed",
    "ActivityTaskTimedOut",
    "ActivityTaskCanceled",
    "ActivityTaskCancelRequested",
    "RequestCancelActivityTaskFailed",
    "WorkflowExecutionSignaled",
    "MarkerRecorded",
    "RecordMarkerFailed",
    "TimerStarted",
    "StartTimerFailed",
    "TimerFired",
    "TimerCanceled",
    "CancelTimerFailed",
    "StartChildWorkflowExecutionInitiated",
    "StartChildWorkflowExecutionFailed",
    "ChildWorkflowExecutionStarted",
    "ChildWorkflowExecutionCompleted",
    "ChildWorkflowExecutionFailed",
    "ChildWorkflowExecutionTimedOut",
    "ChildWorkflowExecutionCanceled",
    "ChildWorkflowExecutionTerminated",
    "SignalExternalWorkflowExecutionInitiated",
    "SignalExternalWorkflowExecutionFailed",
    "ExternalWorkflowExecutionSignaled",
    "RequestCancelExternalWorkflowExecutionInitiated",
    "RequestCancelExternalWorkflowExecutionFailed",
    "ExternalWorkflowExecutionCancelRequested",
    "LambdaFunctionScheduled",
    "LambdaFunctionStarted",
    "LambdaFunctionCompleted",
    "LambdaFunctionFailed",
    "LambdaFunctionTimedOut",
    "ScheduleLambdaFunctionFailed",
    "StartLambdaFunctionFailed",
)
"""All that SWF has [botocore's service model, which has not changed since Lambda came]."""

ATTRIBUTES = {name: f"{name[0].lower()}{name[1:]}EventAttributes" for name in EVENT_TYPES}

CLOSINGS = frozenset(
    {
        "WorkflowExecutionCompleted",
        "WorkflowExecutionFailed",
        "WorkflowExecutionCanceled",
        "WorkflowExecutionContinuedAsNew",
        "WorkflowExecutionTimedOut",
        "WorkflowExecutionTerminated",
    }
)

_PASSING = frozenset(
    {
        "OPEN_ACTIVITIES_LIMIT_EXCEEDED",
        "ACTIVITY_CREATION_RATE_EXCEEDED",
        "OPEN_CHILDREN_LIMIT_EXCEEDED",
        "OPEN_WORKFLOWS_LIMIT_EXCEEDED",
        "CHILD_CREATION_RATE_EXCEEDED",
        "OPEN_TIMERS_LIMIT_EXCEEDED",
        "TIMER_CREATION_RATE_EXCEEDED",
        "OPEN_LAMBDA_FUNCTIONS_LIMIT_EXCEEDED",
        "LAMBDA_FUNCTION_CREATION_RATE_EXCEEDED",
        "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_RATE_EXCEEDED",
        "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_RATE_EXCEEDED",
        "CONTINUE_AS_NEW_WORKFLOW_EXECUTION_RATE_EXCEEDED",
    }
)


class Incomplete(UsageError):
    """Events are missing: the history has to be read from its start."""


def is_passing(cause: str) -> bool:
    """Whether what SWF refused for this cause is to be tried again later; else it never works.

    >>> is_passing('OPEN_ACTIVITIES_LIMIT_EXCEEDED'), is_passing('ACTIVITY_TYPE_DOES_NOT_EXIST')
    (True, False)
    """
    return cause in _PASSING


def read_events(history: Any) -> list[Event]:
    """The events of a history, oldest first.

    Args:
        history: a decision task as `PollForDecisionTask` returns it, all pages merged; what
            `GetWorkflowExecutionHistory` returns, or ``aws swf get-workflow-execution-history`` prints;
            a list of events, or of such pages; or the JSON text (or bytes) of any of these.

    Raises:
        UsageError: it is none of these.
    """
    if isinstance(history, (str, bytes, bytearray)):
        try:
            history = json.loads(history)
        except ValueError as error:
            raise UsageError(f"the history is no JSON: {error}") from None
    events: Any = history
    if isinstance(history, Mapping):
        events = history.get("events")
    elif isinstance(history, Iterable):
        events = list(history)
        if events and all(isinstance(page, Mapping) and "events" in page for page in events):
            events = [event for page in events for event in page["events"] or ()]
    if not isinstance(events, list):
        raise UsageError("a history is a list of events, or a dict that has one under 'events'")
    if first_odd(events) >= 0:
        events = [_plain(event) for event in events]
    if len(events) > 1 and events[0]["eventId"] > events[-1]["eventId"]:
        events = sorted(events, key=itemgetter("eventId"))  # read with reverseOrder
    return list(events)


def _plain(event: Any) -> dict[str, Any]:
    """An event as a dict."""
    said = event if isinstance(event, Mapping) else {}
    if not (isinstance(said.get("eventType"), str) and isinstance(said.get("eventId"), int)):
        raise UsageError(f"{event!r} is no event of Amazon SWF: it needs eventType and eventId")
    return dict(event)


def check_contiguous(events: list[Event], first: int) -> None:
    """Raises `Incomplete` unless the events are numbered from `first` on without a gap."""
    gap = first_gap(events, first)
    if gap >= 0:
        raise Incomplete(f"the history has event {events[gap]['eventId']} where {first + gap} should be")


def attributes_of(event: Event) -> Mapping[str, Any]:
    """What an event says beside its type, number and time; empty if it says nothing."""
    kind = event["eventType"]
    key = ATTRIBUTES.get(kind)
    if key is None:
        key = f"{kind[:1].lower()}{kind[1:]}EventAttributes"
    return event.get(key) or {}


def time_of(event: Event) -> float:
    """When it happened, in seconds since the epoch; 0.0 if it does not say.

    >>> time_of({'eventTimestamp': '2016-07-15T00:00:00.500000+00:00'})
    1468540800.5
    """
    stamp = event.get("eventTimestamp")
    if type(stamp) is float:
        return stamp
    if isinstance(stamp, str):
        stamp = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    if isinstance(stamp, datetime):
        return (stamp if stamp.tzinfo else stamp.replace(tzinfo=timezone.utc)).timestamp()
    return float(stamp or 0.0)


def key_of_child(workflow_id: str) -> str:
    """The key of the task that a child is: what its id ends with, those of flowy 0.4 included.

    >>> key_of_child('order-7-1f9ab2c3-ship-0-1'), key_of_child('d0c1-7-:ship-0-1')
    ('ship-0-1', 'ship-0-1')
    """
    return "-".join(workflow_id.rsplit(":", 1)[-1].rsplit("-", 3)[-3:])


_LIMITS = {
    "START_TO_CLOSE": "start_to_close",
    "SCHEDULE_TO_START": "schedule_to_start",
    "SCHEDULE_TO_CLOSE": "schedule_to_close",
    "HEARTBEAT": "heartbeat",
}


def timed_out(attributes: Mapping[str, Any], details: Any, **who: Any) -> Failure:
    """The failure of a task that was not done in time."""
    kind = str(attributes.get("timeoutType") or "")
    limit = _LIMITS.get(kind, kind.lower())
    started = attributes.get("startedEventId", 1)
    message = limit if started else f"{limit}, and it had not started"
    return Failure(message, kind="timed out", timeout=limit, details=details, **who)
