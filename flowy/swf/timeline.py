"""A history of Amazon SWF as lines for people.

Owns: `timeline`, a line for each event that tells something: when, what, of which task, how long it
took, and what it says; `harmless`, which keeps what others wrote from controlling a terminal.

May not know: what an event means for a run, clocks, or the terminal. Its neighbour is `history`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from flowy.swf.history import CLOSINGS, Event, attributes_of, time_of

__all__ = ["harmless", "head", "show_seconds", "timeline"]

_ROUTINE = frozenset(
    {
        "DecisionTaskScheduled",
        "DecisionTaskStarted",
        "ActivityTaskStarted",
        "LambdaFunctionStarted",
        "ChildWorkflowExecutionStarted",
    }
)
"""Events that others tell of: left out, unless all are wanted."""
_REFERENCES = ("scheduledEventId", "initiatedEventId", "startedEventId")
_NAMES = ("activityId", "timerId", "id", "signalName", "markerName")
_SAID = (
    "cause",
    "timeoutType",
    "reason",
    "input",
    "result",
    "details",
    "executionContext",
    "newExecutionRunId",
    "identity",
)
"""What is told of an event, in this order, if it has it."""
_UNITS = (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1))
_TEXT = 80
"""Characters of a text that are shown."""


def harmless(text: str, lines: bool = False) -> str:
    r"""A text in which nothing can control a terminal; JSON stays JSON.

    Args:
        lines: whether lines and tabs stay as they are.

    >>> print(harmless('\x1b[31mred\u202e\n'))
    \u001b[31mred\u202e\u000a
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or (lines and c in "\n\t") else _escaped(c) for c in text)


def _escaped(c: str) -> str:
    units = c.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def show_seconds(seconds: float) -> str:
    """A duration for people.

    >>> [show_seconds(s) for s in (0.0123, 75, 7384, 200000)]
    ['0.012 s', '1 min 15 s', '2 h 3 min', '2 d 7 h']
    """
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds:.3f} s"
    whole = int(seconds)
    for unit, size, below, part in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit} {rest} {below}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def head(events: Sequence[Event], workflow_id: str = "", run_id: str = "") -> str:
    """What execution it is, how it stands, and when it began."""
    first, last = events[0], events[-1]
    type = attributes_of(first).get("workflowType") or {}
    who = " ".join(filter(None, (workflow_id, type.get("name"), type.get("version"))))
    closed = last["eventType"] in CLOSINGS
    how = _words(last["eventType"].removeprefix("WorkflowExecution")) if closed else "running"
    took = show_seconds(time_of(last) - time_of(first))
    began = datetime.fromtimestamp(time_of(first), timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    run = f", run {run_id}" if run_id else ""
    state = f"{how} after {took}" if closed else f"{how}, {took} to its last event"
    return harmless(f"{who}: {state}; began {began}, {len(events):,} events{run}")


def timeline(events: Sequence[Event], *, everything: bool = False, full: bool = False) -> Iterator[str]:
    """A line for each event.

    Args:
        everything: also those that others tell of, such as a task's start.
        full: texts as long as they are.
    """
    if not events:
        return
    by_id: dict[int, Event] = {event["eventId"]: event for event in events}
    decided = _decided(events)
    start = time_of(events[0])
    width = len(str(events[-1]["eventId"]))
    for event in events:
        if not everything and event["eventType"] in _ROUTINE:
            continue
        parts = [_words(event["eventType"]), _name(event, by_id), *_tell(event, full)]
        if event["eventType"] == "DecisionTaskCompleted":
            number = decided.get(event["eventId"], 0)
            parts.insert(2, f"{number} decision{'' if number == 1 else 's'}")
        took = _took(event, by_id)
        line = f"{event['eventId']:>{width}}  +{time_of(event) - start:9.3f}  "
        yield line + harmless("  ".join(filter(None, parts))) + (f"  ({took})" if took else "")


def _decided(events: Sequence[Event]) -> dict[int, int]:
    """How many events each DecisionTaskCompleted brought."""
    counts: dict[int, int] = {}
    for event in events:
        cause = attributes_of(event).get("decisionTaskCompletedEventId")
        if cause:
            counts[cause] = counts.get(cause, 0) + 1
    return counts


def _words(type: str) -> str:
    """
    >>> _words('ActivityTaskTimedOut'), _words('WorkflowExecutionStarted')
    ('activity task timed out', 'workflow execution started')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type).lower()


def _referred(event: Event, by_id: Mapping[int, Event]) -> Event | None:
    """The event by which what this one tells of began."""
    says = attributes_of(event)
    for name in _REFERENCES[:2]:
        if says.get(name):
            return by_id.get(says[name])
    return None


def _name(event: Event, by_id: Mapping[int, Event]) -> str:
    """Of what an event tells: a task's key, a timer, a signal, another execution."""
    for each in (event, _referred(event, by_id)):
        says: Mapping[str, Any] = attributes_of(each) if each is not None else {}
        for name in _NAMES:
            if says.get(name):
                return f"{says[name]}{_type(says)}"
        execution = says.get("workflowExecution") or {}
        other = says.get("workflowId") or execution.get("workflowId")
        if other:
            return f"{other}{_type(says)}"
    says = attributes_of(event)
    return _type(says).strip() if event["eventType"] == "WorkflowExecutionStarted" else ""


def _type(says: Mapping[str, Any]) -> str:
    type = says.get("activityType") or says.get("workflowType")
    return f" [{type.get('name')} {type.get('version')}]" if type else ""


def _tell(event: Event, full: bool) -> Iterator[str]:
    says = attributes_of(event)
    if says.get("startToFireTimeout"):
        yield f"{says['startToFireTimeout']} s"
    for name in _SAID:
        text = says.get(name)
        if text in (None, ""):
            continue
        text = str(text)
        if not full and len(text) > _TEXT:
            text = f"{text[:_TEXT]}… ({len(text):,} characters)"
        yield text if name in ("cause", "timeoutType") else f"{_words(name)}: {text}"
    if says.get("tagList"):
        yield f"tags: {', '.join(map(str, says['tagList']))}"


def _took(event: Event, by_id: Mapping[int, Event]) -> str:
    """How long what ends here ran, and how long it waited before."""
    says = attributes_of(event)
    started, asked = by_id.get(says.get("startedEventId") or 0), _referred(event, by_id)
    if event["eventType"] in CLOSINGS or started is event or (asked is None and started is None):
        return ""
    if started is None:
        if asked is None or not event["eventType"].endswith(
            ("Started", "TimedOut", "Fired", "Canceled")
        ):
            return ""
        return f"waited {show_seconds(time_of(event) - time_of(asked))}"
    ran = show_seconds(time_of(event) - time_of(started))
    if asked is None:
        return f"ran {ran}"
    return f"waited {show_seconds(time_of(started) - time_of(asked))}, ran {ran}"
