"""Tasks: handed out, kept alive, answered.

Owns: the operations of deciders and workers; a poll's part of what is done without waiting.

May not know: how a poll waits (`service`). Neighbours: `decisions`, `lifecycle`, `tokens`.

An answer is taken once, and only while its task is open: who comes late gets UnknownResourceFault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowy.testing.swf.decisions import CLOSING, attributes_member, decide
from flowy.testing.swf.durations import check_text
from flowy.testing.swf.executions import Activity, Attributes, Execution
from flowy.testing.swf.faults import invalid, unknown
from flowy.testing.swf.lifecycle import (
    arm_activity,
    arm_decision,
    beat_key,
    close_activity,
    disarm,
    offer_decision,
)
from flowy.testing.swf.model import null_at
from flowy.testing.swf.pages import history_page, read_position
from flowy.testing.swf.tasklists import Task
from flowy.testing.swf.tokens import read_task_token, task_token
from flowy.testing.swf.world import World

Request = Mapping[str, Any]
EMPTY: Mapping[str, dict[str, Any]] = {
    "PollForDecisionTask": {"startedEventId": 0, "previousStartedEventId": 0},
    "PollForActivityTask": {"startedEventId": 0},
}
"""What a poll gets if nothing came."""

_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "ScheduleActivityTask": ("activityType", "activityId"),
    "RequestCancelActivityTask": ("activityId",),
    "RecordMarker": ("markerName",),
    "StartTimer": ("timerId", "startToFireTimeout"),
    "CancelTimer": ("timerId",),
    "SignalExternalWorkflowExecution": ("workflowId", "signalName"),
    "RequestCancelExternalWorkflowExecution": ("workflowId",),
    "StartChildWorkflowExecution": ("workflowType", "workflowId"),
    "ScheduleLambdaFunction": ("id", "name"),
}
"""The decisions that can't be without attributes."""


def start_activity(world: World, task: Task, request: Request) -> tuple[dict[str, Any], Activity]:
    """Hand out an activity task; what the poll gets, and the activity."""
    execution = world.executions[task.run_id]
    activity = execution.activities[task.scheduled_id]
    number = world.append(execution, "ActivityTaskStarted", _started(task, request))
    activity.task = None
    arm_activity(world, execution, activity)
    said = activity.attributes
    token = task_token("activity", execution.run_id, activity.scheduled_id, number)
    response = {
        "taskToken": token,
        "activityId": said["activityId"],
        "startedEventId": number,
        "workflowExecution": execution.reference,
        "activityType": said["activityType"],
    }
    if "input" in said:
        response["input"] = said["input"]
    return response, activity


def start_decision(world: World, task: Task, request: Request) -> tuple[dict[str, Any], Any]:
    """Hand out a decision task; what the poll gets, and the decision."""
    execution = world.executions[task.run_id]
    decision = execution.pending
    assert decision is not None
    assert decision.scheduled_id == task.scheduled_id
    number = world.append(execution, "DecisionTaskStarted", _started(task, request))
    decision.task = None
    arm_decision(world, execution, decision)
    begin = 0
    if request.get("startAtPreviousStartedEvent") and execution.previous_started_id:
        before = execution.events[execution.previous_started_id - 1]
        begin = execution.since(before["eventTimestamp"])
    where = (begin, number, execution.previous_started_id)
    return _decision(world, request, execution, where, 0), decision


def more_history(world: World, request: Request) -> dict[str, Any] | None:
    """A further page of the history of a decision task; None if a poll asks for a task."""
    where = read_position(world, "PollForDecisionTask", request)
    if where is None:
        return None
    run_id, begin, end, previous, done = where
    execution = world.executions.get(run_id)
    if execution is None:
        raise unknown(f"Unknown execution: runId={run_id}")
    return _decision(world, request, execution, (begin, end, previous), done)


def _started(task: Task, request: Request) -> Attributes:
    said: Attributes = {"scheduledEventId": task.scheduled_id}
    if request.get("identity") is not None:
        said["identity"] = request["identity"]
    return said


def _decision(
    world: World, request: Request, execution: Execution, where: tuple[int, int, int], done: int
) -> dict[str, Any]:
    """What a poll gets: the task, and the page of its history before which so many events were given."""
    begin, started_id, previous = where
    started = execution.events[started_id - 1]["decisionTaskStartedEventAttributes"]
    token = task_token("decision", execution.run_id, started["scheduledEventId"], started_id)
    position = [execution.run_id, begin, started_id, previous]
    return {
        "taskToken": token,
        "startedEventId": started_id,
        "previousStartedEventId": previous,
        "workflowExecution": execution.reference,
        "workflowType": execution.said["workflowType"],
        **history_page(world, "PollForDecisionTask", request, execution, position, done),
    }


def respond_decision(world: World, request: Request) -> dict[str, Any]:
    token = read_task_token(request["taskToken"], "decision")
    decisions = request.get("decisions") or []
    _check_decisions(world, request, decisions)
    execution = world.executions.get(token.run_id)
    if execution is None or not execution.is_open:
        raise unknown(f"Unknown execution: runId={token.run_id}")
    decision = execution.started
    if decision is None or decision.started_id != token.started_id:
        raise unknown(f"Unknown decision task, scheduledEventId = {token.scheduled_id}")
    disarm(world, decision)
    said: Attributes = {"scheduledEventId": token.scheduled_id, "startedEventId": token.started_id}
    for name in ("executionContext", "taskList", "taskListScheduleToStartTimeout"):
        if request.get(name) is not None:
            said[name] = request[name]
    completed = world.append(execution, "DecisionTaskCompleted", said)
    decide(world, execution, decisions, completed)
    offer_decision(world, execution)
    return {}


def _check_decisions(world: World, request: Request, decisions: list[Any]) -> None:
    for number, decision in enumerate(decisions, 1):
        kind = decision["decisionType"]
        if kind in CLOSING and number < len(decisions):
            raise invalid("Close must be last decision in list")
        member = attributes_member(kind)
        where = f"decisions.{number}.member.{member}"
        said = decision.get(member)
        if said is None and kind in _REQUIRED:
            raise invalid(f"1 validation error detected: {null_at(where)}")
        if said:
            # The name of a Lambda function may be its ARN.
            checked = {**said, "name": None} if kind == "ScheduleLambdaFunction" else said
            check_text(checked, f"{where}.", longest=world.limits.execution_time)
    if request.get("taskListScheduleToStartTimeout") is not None and not request.get("taskList"):
        raise invalid("taskListScheduleToStartTimeout needs a taskList")
    settings = {name: request.get(name) for name in ("taskList", "taskListScheduleToStartTimeout")}
    check_text(settings, longest=world.limits.execution_time)


def _open_activity(world: World, request: Request) -> tuple[Execution, Activity]:
    """The activity of a token.

    Raises:
        Fault: UnknownResourceFault: it is over, or never was.
    """
    token = read_task_token(request["taskToken"], "activity")
    execution = world.executions.get(token.run_id)
    if execution is None or not execution.is_open:
        raise unknown(f"Unknown execution: runId={token.run_id}")
    activity = execution.activities.get(token.scheduled_id)
    if activity is None or activity.started_id != token.started_id:
        raise unknown(f"Unknown activity, scheduledEventId = {token.scheduled_id}")
    return execution, activity


def respond_activity(event_type: str, *names: str) -> Callable[[World, Request], dict[str, Any]]:
    """The operation that closes an activity by this event, which tells these members."""

    def respond(world: World, request: Request) -> dict[str, Any]:
        execution, activity = _open_activity(world, request)
        said: Attributes = {name: request[name] for name in names if request.get(name) is not None}
        said["scheduledEventId"] = activity.scheduled_id
        said["startedEventId"] = activity.started_id
        if event_type == "ActivityTaskCanceled" and activity.cancel_id:
            said["latestCancelRequestedEventId"] = activity.cancel_id
        close_activity(world, execution, activity, event_type, said)
        return {}

    return respond


def heartbeat(world: World, request: Request) -> dict[str, Any]:
    execution, activity = _open_activity(world, request)
    activity.beat_at = world.time
    activity.beat_details = request.get("details")
    record = {"at": activity.beat_at, "details": activity.beat_details}
    world.put("heartbeats", beat_key(execution, activity), record)
    return {"cancelRequested": bool(activity.cancel_id)}


TASKS: Mapping[str, Callable[[World, Request], dict[str, Any]]] = {
    "RespondDecisionTaskCompleted": respond_decision,
    "RespondActivityTaskCompleted": respond_activity("ActivityTaskCompleted", "result"),
    "RespondActivityTaskFailed": respond_activity("ActivityTaskFailed", "reason", "details"),
    "RespondActivityTaskCanceled": respond_activity("ActivityTaskCanceled", "details"),
    "RecordActivityTaskHeartbeat": heartbeat,
}
