"""What one execution has to say to another.

Owns: `MESSAGES`, a handler for each kind of message, and what becomes of one that finds nobody.

    start child    parent -> new child       child started, start failed   -> parent
    child closed   child  -> parent
    signal, cancel        -> any execution   delivered, undelivered        -> sender
    child policy   parent -> child

May not know: when messages arrive; that is `world`'s affair. A message is plain JSON, because it is kept
while it is under way. Neighbour: `decisions`, which sends most of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowy.testing.swf.executions import Attributes, Execution, attributes_of
from flowy.testing.swf.lifecycle import need_decision, new_run_id, send_from, start, terminate
from flowy.testing.swf.world import MessageHandler, World

Said = Mapping[str, Any]


def _start_child(world: World, said: Said) -> None:
    parent = world.executions.get(said["from"])
    if parent is None or _took_children(parent):
        return
    initiated = said["initiatedEventId"]
    domain = world.domain(said["domain"])
    failed = ""
    if said["workflowId"] in domain.open:
        failed = "WORKFLOW_ALREADY_RUNNING"
    elif len(domain.open) >= world.limits.open_executions:
        failed = "OPEN_WORKFLOWS_LIMIT_EXCEEDED"
    if failed:
        world.send("start failed", {**said, "parent": parent.run_id, "cause": failed})
        return
    attributes: Attributes = {
        **said["attributes"],
        "parentWorkflowExecution": parent.reference,
        "parentInitiatedEventId": initiated,
    }
    run_id = new_run_id()
    start(world, domain.name, said["workflowId"], run_id, attributes)
    notice = {
        "parent": parent.run_id,
        "initiatedEventId": initiated,
        "workflowId": said["workflowId"],
        "runId": run_id,
        "workflowType": attributes["workflowType"],
    }
    world.send("child started", notice)


def _took_children(parent: Execution) -> bool:
    """Whether the parent ended in a way that ends its children, this one before it began."""
    if parent.close_status not in ("TERMINATED", "TIMED_OUT"):
        return False
    end = parent.events[-1]
    policy = end[attributes_of[end["eventType"]]]["childPolicy"]
    return bool(policy != "ABANDON")


def _waiting_parent(world: World, said: Said) -> Execution | None:
    parent = world.executions.get(said["parent"])
    if parent is None or said["initiatedEventId"] not in parent.children:
        return None
    return parent


def _start_failed(world: World, said: Said) -> None:
    parent = _waiting_parent(world, said)
    if parent is None:
        return
    initiated = said["initiatedEventId"]
    asked = parent.children[initiated].attributes
    failed: Attributes = {
        "workflowType": asked["workflowType"],
        "cause": said["cause"],
        "workflowId": asked["workflowId"],
        "initiatedEventId": initiated,
        "decisionTaskCompletedEventId": asked["decisionTaskCompletedEventId"],
    }
    if "control" in asked:
        failed["control"] = asked["control"]
    world.append(parent, "StartChildWorkflowExecutionFailed", failed)
    need_decision(world, parent)


def _child_started(world: World, said: Said) -> None:
    parent = _waiting_parent(world, said)
    if parent is None:
        return
    started = {
        "workflowExecution": {"workflowId": said["workflowId"], "runId": said["runId"]},
        "workflowType": said["workflowType"],
        "initiatedEventId": said["initiatedEventId"],
    }
    world.append(parent, "ChildWorkflowExecutionStarted", started)
    need_decision(world, parent)


def _child_closed(world: World, said: Said) -> None:
    parent = _waiting_parent(world, said)
    if parent is None:
        return
    initiated = said["initiatedEventId"]
    if not parent.children[initiated].started_id:
        # The news of its end overtook that of its start: the start was first all the same.
        _child_started(world, said)
    if parent in world.overfull:
        return  # its next event is its end
    closed = {
        **said["said"],
        "workflowExecution": {"workflowId": said["workflowId"], "runId": said["runId"]},
        "workflowType": said["workflowType"],
        "initiatedEventId": initiated,
        "startedEventId": parent.children[initiated].started_id,
    }
    world.append(parent, said["event"], closed)
    need_decision(world, parent)


def _child_policy(world: World, said: Said) -> None:
    child = world.find(said["domain"], said["workflowId"], None)
    parent = child.said.get("parentWorkflowExecution") if child is not None else None
    if child is None or parent is None or parent["runId"] != said["from"]:
        return
    if said["policy"] == "TERMINATE":
        terminate(world, child, {"cause": "CHILD_POLICY_APPLIED"})
    elif said["policy"] == "REQUEST_CANCEL":
        request = {
            "externalWorkflowExecution": parent,
            "externalInitiatedEventId": 0,
            "cause": "CHILD_POLICY_APPLIED",
        }
        world.append(child, "WorkflowExecutionCancelRequested", request)
        need_decision(world, child)


def _external(world: World, said: Said) -> None:
    """A signal or a cancel request of another execution."""
    sender = world.executions.get(said["from"])
    target = world.find(said["domain"], said["workflowId"], said.get("runId"))
    if target is not None:
        event: Attributes = {
            **said["attributes"],
            "externalWorkflowExecution": said["sender"],
            "externalInitiatedEventId": said["initiatedEventId"],
        }
        world.append(target, said["event"], event)
        need_decision(world, target)
    if sender is not None:
        reply = {**said, "reached": target.reference if target is not None else None}
        world.send("external reply", reply)


def _external_reply(world: World, said: Said) -> None:
    sender = world.executions.get(said["from"])
    if sender is None or not sender.is_open:
        return
    initiated = said["initiatedEventId"]
    if said["reached"] is not None:
        reached = {"workflowExecution": said["reached"], "initiatedEventId": initiated}
        world.append(sender, f"External{said['event']}", reached)
    else:
        asked = sender.events[initiated - 1]
        stem = asked["eventType"].removesuffix("Initiated")
        attributes = asked[attributes_of[asked["eventType"]]]
        failed = {
            name: attributes[name]
            for name in ("workflowId", "runId", "control", "decisionTaskCompletedEventId")
            if name in attributes
        }
        failed["cause"] = "UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION"
        failed["initiatedEventId"] = initiated
        world.append(sender, f"{stem}Failed", failed)
    need_decision(world, sender)


def ask_external(
    world: World, execution: Execution, initiated_id: int, event: str, target: Said, attributes: Said
) -> None:
    """Let `event` with these attributes happen to another execution."""
    kind = "signal" if event == "WorkflowExecutionSignaled" else "cancel"
    said = {**target, "event": event, "attributes": attributes, "sender": execution.reference}
    send_from(world, execution, kind, initiated_id, said)


MESSAGES: Mapping[str, MessageHandler] = {
    "start child": _start_child,
    "start failed": _start_failed,
    "child started": _child_started,
    "child closed": _child_closed,
    "child policy": _child_policy,
    "signal": _external,
    "cancel": _external,
    "external reply": _external_reply,
}
