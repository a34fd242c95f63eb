"""The thirteen decisions: what a decider may ask for, and why it may not get it.

Owns: `DECISIONS`, a row for each type: who does it, the event that says it was refused, what that event
repeats of the decision, the cause if it is throttled. And `decide`, which does those of one response.

May not know: tokens, polls, the order of checks of a request. Neighbours: `lifecycle`, `messages`.

A handler returns the cause for which a decision is refused, "" if it was done. A refusal is an event,
never a fault, and makes another decision task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from flowy.testing.swf.durations import (
    ACTIVITY_SETTINGS,
    WORKFLOW_SETTINGS,
    Undefined,
    settle,
)
from flowy.testing.swf.executions import Attributes, Execution
from flowy.testing.swf.lifecycle import (
    arm_timer,
    close,
    close_activity,
    disarm,
    need_decision,
    new_run_id,
    open_activity,
    send_from,
    start,
)
from flowy.testing.swf.messages import ask_external
from flowy.testing.swf.world import World

Said = Mapping[str, Any]
Handler = Callable[[World, Execution, Said, int], str]
"""Takes the attributes of the decision, and the id of the DecisionTaskCompleted."""


def chosen(said: Said, *names: str) -> Attributes:
    """Those of the members that were given."""
    return {name: said[name] for name in names if said.get(name) is not None}


_SETTINGS = {"activity": ACTIVITY_SETTINGS, "workflow": WORKFLOW_SETTINGS}


def _settings(
    world: World, execution: Execution, what: Literal["activity", "workflow"], wanted: Said, said: Said
) -> Attributes | str:
    """The settings that hold for a task of the type that is wanted, or the cause to refuse it."""
    kind = world.domains[execution.domain].kinds[what].get((wanted["name"], wanted["version"]))
    if kind is None:
        return f"{what.upper()}_TYPE_DOES_NOT_EXIST"
    if kind.deprecated:
        return f"{what.upper()}_TYPE_DEPRECATED"
    try:
        return settle(_SETTINGS[what], said, kind.defaults)
    except Undefined as missing:
        return missing.cause


def _schedule_activity(world: World, execution: Execution, said: Said, completed: int) -> str:
    settings = _settings(world, execution, "activity", said["activityType"], said)
    if isinstance(settings, str):
        return settings
    if said["activityId"] in execution.activity_ids:
        return "ACTIVITY_ID_ALREADY_IN_USE"
    if len(execution.activities) >= world.limits.open_activities:
        return "OPEN_ACTIVITIES_LIMIT_EXCEEDED"
    if not world.decision_rates.take("ScheduleActivityTask", world.time):
        return "ACTIVITY_CREATION_RATE_EXCEEDED"
    attributes = {
        **chosen(said, "activityId", "activityType", "input", "control"),
        **settings,
        "decisionTaskCompletedEventId": completed,
    }
    number = world.append(execution, "ActivityTaskScheduled", attributes)
    open_activity(world, execution, execution.activities[number])
    return ""


def _cancel_activity(world: World, execution: Execution, said: Said, completed: int) -> str:
    activity = execution.activity_ids.get(said["activityId"])
    if activity is None:
        return "ACTIVITY_ID_UNKNOWN"
    attributes = {"activityId": said["activityId"], "decisionTaskCompletedEventId": completed}
    number = world.append(execution, "ActivityTaskCancelRequested", attributes)
    if not activity.started_id and execution not in world.overfull:
        canceled = {
            "scheduledEventId": activity.scheduled_id,
            "startedEventId": 0,
            "latestCancelRequestedEventId": number,
        }
        close_activity(world, execution, activity, "ActivityTaskCanceled", canceled)
    return ""


def _record_marker(world: World, execution: Execution, said: Said, completed: int) -> str:
    attributes = chosen(said, "markerName", "details")
    attributes["decisionTaskCompletedEventId"] = completed
    world.append(execution, "MarkerRecorded", attributes)
    return ""


def _start_timer(world: World, execution: Execution, said: Said, completed: int) -> str:
    if said["timerId"] in execution.timers:
        return "TIMER_ID_ALREADY_IN_USE"
    if len(execution.timers) >= world.limits.open_timers:
        return "OPEN_TIMERS_LIMIT_EXCEEDED"
    if not world.decision_rates.take("StartTimer", world.time):
        return "TIMER_CREATION_RATE_EXCEEDED"
    attributes = chosen(said, "timerId", "startToFireTimeout", "control")
    attributes["decisionTaskCompletedEventId"] = completed
    world.append(execution, "TimerStarted", attributes)
    arm_timer(world, execution, execution.timers[said["timerId"]])
    return ""


def _cancel_timer(world: World, execution: Execution, said: Said, completed: int) -> str:
    timer = execution.timers.get(said["timerId"])
    if timer is None:
        return "TIMER_ID_UNKNOWN"
    disarm(world, timer)
    attributes = {
        "timerId": timer.timer_id,
        "startedEventId": timer.started_id,
        "decisionTaskCompletedEventId": completed,
    }
    world.append(execution, "TimerCanceled", attributes)
    return ""


def _start_child(world: World, execution: Execution, said: Said, completed: int) -> str:
    settings = _settings(world, execution, "workflow", said["workflowType"], said)
    if isinstance(settings, str):
        return settings
    if len(execution.children) >= world.limits.open_children:
        return "OPEN_CHILDREN_LIMIT_EXCEEDED"
    if not world.decision_rates.take("StartChildWorkflowExecution", world.time):
        return "CHILD_CREATION_RATE_EXCEEDED"
    attributes = {**chosen(said, "workflowType", "input", "tagList"), **settings}
    initiated = {
        **attributes,
        **chosen(said, "workflowId", "control"),
        "decisionTaskCompletedEventId": completed,
    }
    number = world.append(execution, "StartChildWorkflowExecutionInitiated", initiated)
    message = {"workflowId": said["workflowId"], "attributes": attributes}
    send_from(world, execution, "start child", number, message)
    return ""


def _signal_external(world: World, execution: Execution, said: Said, completed: int) -> str:
    if not world.decision_rates.take("SignalExternalWorkflowExecution", world.time):
        return "SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_RATE_EXCEEDED"
    initiated = chosen(said, "workflowId", "runId", "signalName", "input", "control")
    initiated["decisionTaskCompletedEventId"] = completed
    number = world.append(execution, "SignalExternalWorkflowExecutionInitiated", initiated)
    target = chosen(said, "workflowId", "runId")
    signal = chosen(said, "signalName", "input")
    ask_external(world, execution, number, "WorkflowExecutionSignaled", target, signal)
    return ""


def _cancel_external(world: World, execution: Execution, said: Said, completed: int) -> str:
    if not world.decision_rates.take("RequestCancelExternalWorkflowExecution", world.time):
        return "REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_RATE_EXCEEDED"
    initiated = chosen(said, "workflowId", "runId", "control")
    initiated["decisionTaskCompletedEventId"] = completed
    number = world.append(execution, "RequestCancelExternalWorkflowExecutionInitiated", initiated)
    target = chosen(said, "workflowId", "runId")
    ask_external(world, execution, number, "WorkflowExecutionCancelRequested", target, {})
    return ""


def _schedule_lambda(world: World, execution: Execution, said: Said, completed: int) -> str:
    return "LAMBDA_SERVICE_NOT_AVAILABLE_IN_REGION"  # nothing here runs Lambda functions


def _closing(event_type: str, *names: str) -> Handler:
    def handler(world: World, execution: Execution, said: Said, completed: int) -> str:
        if execution.pending is not None:
            return "UNHANDLED_DECISION"
        attributes = {**chosen(said, *names), "decisionTaskCompletedEventId": completed}
        close(world, execution, event_type, attributes)
        return ""

    return handler


def _continue_as_new(world: World, execution: Execution, said: Said, completed: int) -> str:
    if execution.pending is not None:
        return "UNHANDLED_DECISION"
    before = execution.said
    name = before["workflowType"]["name"]
    version = said.get("workflowTypeVersion") or before["workflowType"]["version"]
    settings = _settings(world, execution, "workflow", {"name": name, "version": version}, said)
    if isinstance(settings, str):
        return settings
    if not world.decision_rates.take("ContinueAsNewWorkflowExecution", world.time):
        return "CONTINUE_AS_NEW_WORKFLOW_EXECUTION_RATE_EXCEEDED"
    attributes = {
        **chosen(said, "input", "tagList"),
        **settings,
        "workflowType": {"name": name, "version": version},
    }
    run_id = new_run_id()
    ending = {**attributes, "newExecutionRunId": run_id, "decisionTaskCompletedEventId": completed}
    close(world, execution, "WorkflowExecutionContinuedAsNew", ending)
    parents = chosen(before, "parentWorkflowExecution", "parentInitiatedEventId")
    beginning = {**attributes, **parents, "continuedExecutionRunId": execution.run_id}
    start(world, execution.domain, execution.workflow_id, run_id, beginning)
    return ""


class Row(NamedTuple):
    """What there is to know of a type of decision."""

    handler: Handler
    failed: str
    """The event that says that it was refused, without its "Failed"."""
    repeats: tuple[str, ...] = ()
    """What that event says again of the decision."""
    initiates: bool = False
    """Whether that event names the one that initiated it: none, as it was refused before."""


_EXTERNAL = ("workflowId", "runId", "control")

DECISIONS: Mapping[str, Row] = {
    "ScheduleActivityTask": Row(
        _schedule_activity, "ScheduleActivityTask", ("activityId", "activityType")
    ),
    "RequestCancelActivityTask": Row(_cancel_activity, "RequestCancelActivityTask", ("activityId",)),
    "CompleteWorkflowExecution": Row(
        _closing("WorkflowExecutionCompleted", "result"), "CompleteWorkflowExecution"
    ),
    "FailWorkflowExecution": Row(
        _closing("WorkflowExecutionFailed", "reason", "details"), "FailWorkflowExecution"
    ),
    "CancelWorkflowExecution": Row(
        _closing("WorkflowExecutionCanceled", "details"), "CancelWorkflowExecution"
    ),
    "ContinueAsNewWorkflowExecution": Row(_continue_as_new, "ContinueAsNewWorkflowExecution"),
    "RecordMarker": Row(_record_marker, "RecordMarker", ("markerName",)),
    "StartTimer": Row(_start_timer, "StartTimer", ("timerId",)),
    "CancelTimer": Row(_cancel_timer, "CancelTimer", ("timerId",)),
    "SignalExternalWorkflowExecution": Row(
        _signal_external, "SignalExternalWorkflowExecution", _EXTERNAL, initiates=True
    ),
    "RequestCancelExternalWorkflowExecution": Row(
        _cancel_external, "RequestCancelExternalWorkflowExecution", _EXTERNAL, initiates=True
    ),
    "StartChildWorkflowExecution": Row(
        _start_child,
        "StartChildWorkflowExecution",
        ("workflowType", "workflowId", "control"),
        initiates=True,
    ),
    "ScheduleLambdaFunction": Row(_schedule_lambda, "ScheduleLambdaFunction", ("id", "name")),
}
CLOSING = frozenset(
    {
        "CompleteWorkflowExecution",
        "FailWorkflowExecution",
        "CancelWorkflowExecution",
        "ContinueAsNewWorkflowExecution",
    }
)


def attributes_member(decision_type: str) -> str:
    """Where a decision of this type has its attributes."""
    return f"{decision_type[0].lower()}{decision_type[1:]}DecisionAttributes"


def decide(world: World, execution: Execution, decisions: list[Said], completed: int) -> None:
    """Do what the decider asked for, in order. What is refused asks for another decision."""
    execution.deciding = True
    execution.wanting = False
    for decision in decisions:
        if execution in world.overfull:
            break  # it is about to be terminated for the length of its history
        kind = decision["decisionType"]
        row = DECISIONS[kind]
        said = decision.get(attributes_member(kind)) or {}
        if not world.may(kind, execution.domain):
            cause = "OPERATION_NOT_PERMITTED"
        else:
            cause = row.handler(world, execution, said, completed)
        if cause:
            _refuse(world, execution, row, said, cause, completed)
    execution.deciding = False
    if execution.wanting:
        need_decision(world, execution)


def _refuse(
    world: World, execution: Execution, row: Row, said: Said, cause: str, completed: int
) -> None:
    attributes = {
        **chosen(said, *row.repeats),
        "cause": cause,
        "decisionTaskCompletedEventId": completed,
    }
    if row.initiates:
        attributes["initiatedEventId"] = 0
    world.append(execution, f"{row.failed}Failed", attributes)
    need_decision(world, execution)
