"""What is asked of an execution from outside: start, signal, cancel, terminate.

Owns: these operations.

May not know: deciders and workers. Neighbour: `lifecycle`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flowy.testing.swf.durations import (
    WORKFLOW_SETTINGS,
    Undefined,
    check_text,
    settle,
    undefined_fault,
)
from flowy.testing.swf.executions import Attributes, Execution
from flowy.testing.swf.faults import Fault, unknown
from flowy.testing.swf.lifecycle import need_decision, new_run_id, start, terminate
from flowy.testing.swf.world import World

Request = Mapping[str, Any]


def start_execution(world: World, request: Request) -> dict[str, Any]:
    check_text(request, longest=world.limits.execution_time)
    domain = world.domain(request["domain"], active=True)
    wanted = request["workflowType"]
    kind = domain.kinds["workflow"].get((wanted["name"], wanted["version"]))
    named = f"WorkflowType=[name={wanted['name']}, version={wanted['version']}]"
    if kind is None:
        raise unknown(f"Unknown type: {named}")
    if kind.deprecated:
        raise Fault("TypeDeprecatedFault", named)
    try:
        settings = settle(WORKFLOW_SETTINGS, request, kind.defaults)
    except Undefined as missing:
        raise undefined_fault(missing) from None
    if request["workflowId"] in domain.open:
        raise Fault("WorkflowExecutionAlreadyStartedFault", "Already Started")
    if len(domain.open) >= world.limits.open_executions:
        raise Fault("LimitExceededFault", "The domain has as many open executions as it may")
    attributes: Attributes = {"workflowType": wanted, **settings, "parentInitiatedEventId": 0}
    for name in ("input", "tagList"):
        if request.get(name) is not None:
            attributes[name] = request[name]
    execution = start(world, domain.name, request["workflowId"], new_run_id(), attributes)
    return {"runId": execution.run_id}


def signal(world: World, request: Request) -> dict[str, Any]:
    execution = _open_execution(world, request)
    said = {"signalName": request["signalName"], "externalInitiatedEventId": 0}
    if request.get("input") is not None:
        said["input"] = request["input"]
    world.append(execution, "WorkflowExecutionSignaled", said)
    need_decision(world, execution)
    return {}


def request_cancel(world: World, request: Request) -> dict[str, Any]:
    execution = _open_execution(world, request)
    world.append(execution, "WorkflowExecutionCancelRequested", {"externalInitiatedEventId": 0})
    need_decision(world, execution)
    return {}


def terminate_execution(world: World, request: Request) -> dict[str, Any]:
    execution = _open_execution(world, request)
    said: Attributes = {"cause": "OPERATOR_INITIATED"}
    for name in ("reason", "details", "childPolicy"):
        if request.get(name) is not None:
            said[name] = request[name]
    terminate(world, execution, said)
    return {}


def _open_execution(world: World, request: Request) -> Execution:
    world.domain(request["domain"])
    workflow_id, run_id = request["workflowId"], request.get("runId")
    execution = world.find(request["domain"], workflow_id, run_id)
    if execution is None:
        run = f"Execution=[workflowId={workflow_id}, runId={run_id}]" if run_id else ""
        named = (
            f"Unknown execution: Workflow{run}"
            if run
            else f"Unknown execution, workflowId = {workflow_id}"
        )
        raise unknown(named)
    return execution


REQUESTS: Mapping[str, Callable[[World, Request], dict[str, Any]]] = {
    "StartWorkflowExecution": start_execution,
    "SignalWorkflowExecution": signal,
    "RequestCancelWorkflowExecution": request_cancel,
    "TerminateWorkflowExecution": terminate_execution,
}
