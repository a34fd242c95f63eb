"""Histories of Amazon SWF as traces.

Owns: `read`: which events begin, start and end a task, and what they tell of it. Attempts of one call
are one task, and its key that of the last.

May not know: runs; what results went where, which no history tells. Neighbours: `swf.history`, which
reads every shape a history comes in, and `record`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowy.errors import with_remote
from flowy.swf.history import Event, attributes_of, key_of_child, read_events, time_of
from flowy.trace.record import NAN, Columns, Execution

_ASKED = {
    "ActivityTaskScheduled": "activity",
    "LambdaFunctionScheduled": "activity",
    "StartChildWorkflowExecutionInitiated": "workflow",
    "TimerStarted": "timer",
}
_STARTED = ("ActivityTaskStarted", "LambdaFunctionStarted", "ChildWorkflowExecutionStarted")
_ENDED = {
    "Completed": "completed",
    "Failed": "failed",
    "TimedOut": "timed out",
    "Canceled": "cancelled",
    "Terminated": "failed",
    "Fired": "completed",
}
_ENDS = re.compile(
    r"(?:ActivityTask|LambdaFunction|ChildWorkflowExecution|Timer)"
    r"(Completed|Failed|TimedOut|Canceled|Terminated|Fired)"
)
_REFUSED = ("StartChildWorkflowExecutionFailed", "StartLambdaFunctionFailed")
_KEY = re.compile(
    r"(?P<name>.*)-(?P<call>\d{1,9})(?:\.(?P<index>\d{1,9}))?-(?P<attempt>\d{1,4})", re.DOTALL
)


@dataclass
class _Call:
    """One call, through all of its attempts."""

    key: str
    name: str
    kind: str
    number: int
    asked: float
    after: int = -1
    attempts: int = 1
    sent: float = NAN
    started: float = NAN
    ended: float = NAN
    outcome: str = "open"
    error: str = ""
    workers: list[str] = field(default_factory=list)


class _Reader:
    def __init__(self) -> None:
        self.calls: list[_Call] = []
        self.by_call: dict[str, _Call] = {}
        self.by_event: dict[int, _Call] = {}
        self.timers: dict[str, _Call] = {}
        self.latest: dict[int, int] = {}  # decision's start -> the call whose end came last before it
        self.decisions: dict[int, int] = {}  # decision's end -> its start
        self.last_ended = -1
        self.workers: dict[str, int] = {}

    def take(self, event: Event) -> None:
        kind, says = event["eventType"], attributes_of(event)
        if kind in _ASKED:
            self.ask(_ASKED[kind], event, says)
        elif kind in _STARTED:
            self.start(event, says)
        elif kind == "DecisionTaskStarted":
            self.latest[event["eventId"]] = self.last_ended
        elif kind == "DecisionTaskCompleted":
            self.decisions[event["eventId"]] = says.get("startedEventId") or 0
        elif (match := _ENDS.fullmatch(kind)) is not None:
            self.end(_ENDED[match[1]], event, says)
        elif kind in _REFUSED:
            self.end("failed", event, says)

    def ask(self, kind: str, event: Event, says: Mapping[str, Any]) -> None:
        key, name = _name_of(kind, says)
        call_key = key.rpartition("-")[0] if _KEY.fullmatch(key) else ""
        call = self.by_call.get(call_key) if call_key and kind != "timer" else None
        time = time_of(event)
        if call is not None and call.outcome not in ("open", "completed"):
            call.attempts += 1
            call.key, call.outcome, call.error = key, "open", ""
            call.started = call.ended = NAN
        else:
            call = _Call(key, name, kind, len(self.calls), time)
            started = self.decisions.get(says.get("decisionTaskCompletedEventId") or 0, 0)
            call.after = self.latest.get(started, -1)
            self.calls.append(call)
            if call_key:
                self.by_call[call_key] = call
        call.sent = time
        if kind == "timer":
            call.started = time
            self.timers[str(says.get("timerId") or "")] = call
        self.by_event[event["eventId"]] = call

    def start(self, event: Event, says: Mapping[str, Any]) -> None:
        call = self.by_event.get(says.get("scheduledEventId") or says.get("initiatedEventId") or 0)
        if call is not None:
            call.started = time_of(event)
            if says.get("identity"):
                call.workers.append(str(says["identity"]))

    def end(self, outcome: str, event: Event, says: Mapping[str, Any]) -> None:
        call = self.by_event.get(says.get("scheduledEventId") or says.get("initiatedEventId") or 0)
        if call is None and event["eventType"].startswith("Timer"):
            call = self.timers.pop(str(says.get("timerId") or ""), None)
        if call is None:
            return
        call.outcome, call.ended = outcome, time_of(event)
        if outcome != "completed":
            reason = says.get("reason") or says.get("cause") or says.get("timeoutType") or outcome
            details = says.get("details") if outcome == "failed" else None
            call.error = with_remote(str(reason), details if isinstance(details, str) else "")
        self.last_ended = call.number

    def number_of_worker(self, call: _Call) -> int:
        if not call.workers:
            return 0
        return min(self.workers.setdefault(call.workers[-1], len(self.workers) + 1), 32767)


def _name_of(kind: str, says: Mapping[str, Any]) -> tuple[str, str]:
    """(key, name) of what is asked for."""
    if kind == "timer":
        return str(says.get("timerId") or ""), "timer"
    if kind == "workflow":
        key = key_of_child(str(says.get("workflowId") or ""))
        type_ = says.get("workflowType")
    else:
        key = str(says.get("activityId") or says.get("id") or "")
        type_ = says.get("activityType") or says.get("name")
    match = _KEY.fullmatch(key)
    if match:
        return key, match["name"]
    name = type_.get("name") if isinstance(type_, Mapping) else type_
    return key, str(name or key or kind)


def read(history: Any) -> Columns:
    """The tasks of a history.

    Raises:
        UsageError: it is no history.
    """
    events = read_events(history)
    reader = _Reader()
    root = Execution("", "workflow", -1)
    for event in events:
        if event["eventType"] == "WorkflowExecutionStarted":
            type_ = attributes_of(event).get("workflowType") or {}
            root = Execution("", str(type_.get("name") or "workflow"), -1)
        reader.take(event)
    columns = Columns()
    columns.runs.append(root)
    for call in reader.calls:
        _add(columns, call, reader.number_of_worker(call))
    return columns


def _add(columns: Columns, call: _Call, worker: int) -> None:
    match = _KEY.fullmatch(call.key)
    row = columns.add(
        call.name,
        kind=call.kind,
        call=int(match["call"]) if match else 0,
        index=int(match["index"]) if match and match["index"] else -1,
        after=call.after,
        attempts=call.attempts,
        worker=worker,
        ready=call.asked,
        sent=call.sent,
        started=call.started,
        ended=call.ended,
        outcome=call.outcome,
    )
    if columns.key(row) != call.key:
        columns.keys[row] = call.key
    if call.error:
        columns.errors[row] = call.error
