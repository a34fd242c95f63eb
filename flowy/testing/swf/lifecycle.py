"""How an execution starts, comes to a decision, and ends; and the deadlines of what is open in it.

Owns: everything that follows from an event by itself: a decision task when something happened, a place
in a task list, a deadline, the message to the parent. `arm` makes these anew for an execution that
was loaded from its events.

May not know: operations, the order of checks. Neighbours: `executions` (what is open), `world`.

A decision task may be scheduled while another is started; it is offered when that one has ended:

    event ─> pending ── offered ──> started ─> completed
                 └─ timed out          └─ timed out ─> pending
"""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

from flowy.testing.swf.executions import Activity, Attributes, Decision, Execution, Open, Timer, seconds
from flowy.testing.swf.tasklists import Kind, Task, withdraw
from flowy.testing.swf.world import World

_CLOSED_CHILD = {
    "WorkflowExecutionCompleted": ("ChildWorkflowExecutionCompleted", ("result",)),
    "WorkflowExecutionFailed": ("ChildWorkflowExecutionFailed", ("reason", "details")),
    "WorkflowExecutionCanceled": ("ChildWorkflowExecutionCanceled", ("details",)),
    "WorkflowExecutionTimedOut": ("ChildWorkflowExecutionTimedOut", ("timeoutType",)),
    "WorkflowExecutionTerminated": ("ChildWorkflowExecutionTerminated", ()),
}


def new_run_id() -> str:
    """A run id as SWF makes them."""
    return f"22{base64.b64encode(os.urandom(33)).decode()}="


def start(world: World, domain: str, workflow_id: str, run_id: str, attributes: Attributes) -> Execution:
    """Start an execution with these attributes of its first event."""
    world.starts += 1
    execution = Execution(domain, workflow_id, run_id, world.starts)
    record = {"domain": domain, "workflowId": workflow_id, "number": world.starts}
    world.put("executions", run_id, record)
    world.append(execution, "WorkflowExecutionStarted", attributes)
    place = world.domains[domain]
    world.executions[run_id] = place.runs[run_id] = place.open[workflow_id] = execution
    arm_execution(world, execution)
    need_decision(world, execution)
    return execution


def close(
    world: World, execution: Execution, event_type: str, said: Attributes, policy: str = ""
) -> None:
    """Close an execution by this event; `policy` is what becomes of its children."""
    children = list(execution.children.values())
    world.deadlines.cancel(execution.deadline)
    for item in execution.opened():
        disarm(world, item)
    for activity in execution.activities.values():
        forget_beats(world, execution, activity)
    world.append(execution, event_type, said)
    world.closes += 1
    execution.close_number = world.closes
    domain = world.domains[execution.domain]
    del domain.open[execution.workflow_id]
    domain.closed[execution.run_id] = execution
    if policy:
        for child in children:
            message = {"workflowId": child.attributes["workflowId"], "policy": policy}
            send_from(world, execution, "child policy", child.initiated_id, message)
    parent = execution.said.get("parentWorkflowExecution")
    if parent is not None and event_type in _CLOSED_CHILD:
        child_event, names = _CLOSED_CHILD[event_type]
        notice = {
            "parent": parent["runId"],
            "initiatedEventId": execution.said["parentInitiatedEventId"],
            "event": child_event,
            "said": {name: said[name] for name in names if name in said},
            **execution.reference,
            "workflowType": execution.said["workflowType"],
        }
        world.send("child closed", notice)
    keep(world, execution)


def terminate(world: World, execution: Execution, said: Attributes) -> None:
    """Terminate an execution, and do with its children what it says."""
    policy = said.setdefault("childPolicy", execution.said["childPolicy"])
    close(world, execution, "WorkflowExecutionTerminated", said, policy)


def keep(world: World, execution: Execution) -> None:
    """Keep a closed execution as long as its domain says."""
    retention = world.domains[execution.domain].record["retention"]
    days = 0 if retention == "NONE" else int(retention)

    def forget() -> None:
        domain = world.domains[execution.domain]
        for runs in (domain.runs, domain.closed, world.executions):
            del runs[execution.run_id]
        world.drop("executions", execution.run_id)

    world.housekeeping.add(execution.closed_at + days * 86400.0, forget)


def send_from(
    world: World, execution: Execution, kind: str, initiated_id: int, said: Mapping[str, Any]
) -> None:
    """Send a message for which an event of this execution stands."""
    sender = {"from": execution.run_id, "domain": execution.domain, "initiatedEventId": initiated_id}
    world.send(kind, {**sender, **said})


def need_decision(world: World, execution: Execution) -> None:
    """Something happened that the decider should see: schedule a decision task, if none waits."""
    if not execution.is_open or execution.pending is not None:
        return
    if execution.deciding:
        execution.wanting = True
        return
    if execution in world.overfull:
        return  # its next event is its end
    settings = execution.said
    override = execution.override
    said: Attributes = {"taskList": {"name": override[0]} if override else settings["taskList"]}
    if override and override[1] is not None:
        said["scheduleToStartTimeout"] = override[1]
    if "taskPriority" in settings:
        said["taskPriority"] = settings["taskPriority"]
    said["startToCloseTimeout"] = settings["taskStartToCloseTimeout"]
    world.append(execution, "DecisionTaskScheduled", said)
    offer_decision(world, execution)


def offer_decision(world: World, execution: Execution) -> None:
    """Let the scheduled decision task be polled, if there is one and none is started."""
    decision = execution.pending
    if decision is None or decision.offered or execution.started is not None:
        return
    offer(world, execution, "decision", decision)
    arm_decision(world, execution, decision)


def offer(world: World, execution: Execution, kind: Kind, item: Decision | Activity) -> None:
    """Put something that is scheduled in its task list."""

    def put() -> None:
        if not item.open or item.started_id:
            return  # it was over before it got there
        task = item.task = Task(execution.run_id, item.scheduled_id)
        name = item.attributes["taskList"]["name"]
        priority = int(item.attributes.get("taskPriority", 0))
        world.lists.get(kind, execution.domain, name).put(task, priority)

    item.offered = True
    named = {**execution.reference, "scheduledEventId": item.scheduled_id}
    late = world.late(f"{kind} task", named)
    if late > 0:
        world.deadlines.add(round(world.time + late, 3), put, hoped_for=True)
    else:
        put()


def open_activity(world: World, execution: Execution, activity: Activity) -> None:
    """Let a scheduled activity be polled."""
    offer(world, execution, "activity", activity)
    arm_activity(world, execution, activity)


def disarm(world: World, item: Open) -> None:
    """Something is open no more, or not as it was: no task, no deadline."""
    withdraw(item.task)
    world.deadlines.cancel(item.deadline)
    item.task = item.deadline = None


def arm_execution(world: World, execution: Execution) -> None:
    """Let an execution time out."""

    def time_out() -> None:
        policy = execution.said["childPolicy"]
        said = {"timeoutType": "START_TO_CLOSE", "childPolicy": policy}
        close(world, execution, "WorkflowExecutionTimedOut", said, policy)

    due = execution.started_at + seconds(execution.said["executionStartToCloseTimeout"])
    execution.deadline = world.at(due, time_out, "execution timeout", execution.reference)


def arm_decision(world: World, execution: Execution, decision: Decision) -> None:
    """Let a decision task time out, in the state it is in."""

    def time_out(how: str) -> None:
        disarm(world, decision)
        said = {
            "timeoutType": how,
            "scheduledEventId": decision.scheduled_id,
            "startedEventId": decision.started_id,
        }
        world.append(execution, "DecisionTaskTimedOut", said)
        offer_decision(world, execution)
        need_decision(world, execution)

    _arm(world, execution, decision, time_out, "decision timeout")


def arm_activity(world: World, execution: Execution, activity: Activity) -> None:
    """Let an activity time out, in the state it is in."""

    def time_out(how: str) -> None:
        disarm(world, activity)
        said: Attributes = {
            "timeoutType": how,
            "scheduledEventId": activity.scheduled_id,
            "startedEventId": activity.started_id,
        }
        if activity.beat_details is not None:
            said["details"] = activity.beat_details
        close_activity(world, execution, activity, "ActivityTaskTimedOut", said)

    _arm(world, execution, activity, time_out, "activity timeout")


def close_activity(
    world: World, execution: Execution, activity: Activity, event_type: str, said: Attributes
) -> None:
    """Close an activity by this event."""
    disarm(world, activity)
    forget_beats(world, execution, activity)
    world.append(execution, event_type, said)
    need_decision(world, execution)


def forget_beats(world: World, execution: Execution, activity: Activity) -> None:
    """Keep the latest heartbeat of an activity no more."""
    if activity.beat_at:
        world.drop("heartbeats", beat_key(execution, activity))


def beat_key(execution: Execution, activity: Activity) -> str:
    """The key of the record of an activity's latest heartbeat."""
    return f"{execution.run_id} {activity.scheduled_id}"


def arm_timer(world: World, execution: Execution, timer: Timer) -> None:
    """Let a timer fire."""

    def fire() -> None:
        said = {"timerId": timer.timer_id, "startedEventId": timer.started_id}
        world.append(execution, "TimerFired", said)
        need_decision(world, execution)

    named = {**execution.reference, "timerId": timer.timer_id}
    timer.deadline = world.at(timer.due, fire, "timer", named)


def _arm(
    world: World,
    execution: Execution,
    item: Decision | Activity,
    time_out: Callable[[str], None],
    kind: str,
) -> None:
    """One deadline at a time: the nearest. Who puts it off (a heartbeat) need not tell."""
    world.deadlines.cancel(item.deadline)
    item.deadline = None
    named = {**execution.reference, "scheduledEventId": item.scheduled_id}

    def look() -> None:
        due, how = item.nearest()
        if round(due, 3) <= world.time:
            time_out(how)
        else:
            item.deadline = world.at(due, look, kind, named)

    due, _ = item.nearest()
    if due < math.inf:
        item.deadline = world.at(due, look, kind, named)


def arm(world: World, execution: Execution) -> None:
    """Let an execution that was loaded from its events go on."""
    if not execution.is_open:
        keep(world, execution)
        return
    arm_execution(world, execution)
    for activity in execution.activities.values():
        if activity.started_id:
            arm_activity(world, execution, activity)
        else:
            open_activity(world, execution, activity)
    for timer in execution.timers.values():
        arm_timer(world, execution, timer)
    if execution.started is not None:
        arm_decision(world, execution, execution.started)
    offer_decision(world, execution)
