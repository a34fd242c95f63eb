"""What there is: executions and tasks, described, counted and listed with every filter.

Owns: the operations that only look.

May not know: how anything changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from flowy.testing.swf.executions import Execution
from flowy.testing.swf.faults import Fault, invalid, unknown
from flowy.testing.swf.limits import Throttle
from flowy.testing.swf.pages import cut, history_page, read_position
from flowy.testing.swf.world import Domain, World

Request = Mapping[str, Any]
Test = Callable[[Execution], bool]

_ONE_OF = ("executionFilter", "typeFilter", "tagFilter", "closeStatusFilter")


def find_execution(world: World, request: Request) -> Execution:
    """The execution that a request names, open or closed.

    Raises:
        Fault: UnknownResourceFault.
    """
    domain = world.domain(request["domain"])
    named = request["execution"]
    execution = domain.runs.get(named["runId"])
    if execution is None or execution.workflow_id != named["workflowId"]:
        raise unknown(
            "Unknown execution: WorkflowExecution=["
            f"workflowId={named['workflowId']}, runId={named['runId']}]"
        )
    return execution


def describe_execution(world: World, request: Request) -> dict[str, Any]:
    execution = find_execution(world, request)
    said = execution.said
    names = (
        "taskStartToCloseTimeout", "executionStartToCloseTimeout", "taskList", "taskPriority",
        "childPolicy", "lambdaRole",
    )  # fmt: skip
    detail: dict[str, Any] = {
        "executionInfo": execution_info(execution),
        "executionConfiguration": {name: said[name] for name in names if name in said},
        "openCounts": {
            "openActivityTasks": len(execution.activities),
            "openDecisionTasks": int(execution.pending is not None or execution.started is not None),
            "openTimers": len(execution.timers),
            "openChildWorkflowExecutions": len(execution.children),
            "openLambdaFunctions": 0,
        },
    }
    if execution.latest_activity_at:
        detail["latestActivityTaskTimestamp"] = execution.latest_activity_at
    if execution.context is not None:
        detail["latestExecutionContext"] = execution.context
    return detail


def execution_info(execution: Execution) -> dict[str, Any]:
    """What the API calls a WorkflowExecutionInfo."""
    said = execution.said
    info = {
        "execution": execution.reference,
        "workflowType": said["workflowType"],
        "startTimestamp": execution.started_at,
        "executionStatus": "OPEN" if execution.is_open else "CLOSED",
        "cancelRequested": execution.cancel_requested,
    }
    if not execution.is_open:
        info["closeTimestamp"] = execution.closed_at
        info["closeStatus"] = execution.close_status
    if "parentWorkflowExecution" in said:
        info["parent"] = said["parentWorkflowExecution"]
    if "tagList" in said:
        info["tagList"] = said["tagList"]
    return info


class Histories:
    """The operation that reads histories, with the rate at which those of one workflow may be read."""

    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle

    def get(self, world: World, request: Request) -> dict[str, Any]:
        execution = find_execution(world, request)
        each = f" {execution.domain} {execution.workflow_id}"
        if not self._throttle.take("history", world.time, each=each):
            raise Fault("ThrottlingException", "Rate exceeded")
        where = read_position(world, "GetWorkflowExecutionHistory", request)
        *where, done = where or [execution.run_id, 0, len(execution.events), 0]
        return history_page(world, "GetWorkflowExecutionHistory", request, execution, where, done)


def list_open(world: World, request: Request) -> dict[str, Any]:
    found = _open(world, request)
    keyed = {execution.number: execution for execution in found}
    return _listed(world, "ListOpenWorkflowExecutions", request, keyed)


def count_open(world: World, request: Request) -> dict[str, Any]:
    return {"count": len(_open(world, request)), "truncated": False}


def list_closed(world: World, request: Request) -> dict[str, Any]:
    found = _closed(world, request)
    if request.get("closeTimeFilter") is not None:
        keyed = {execution.close_number: execution for execution in found}
    else:
        keyed = {execution.number: execution for execution in found}
    return _listed(world, "ListClosedWorkflowExecutions", request, keyed)


def count_closed(world: World, request: Request) -> dict[str, Any]:
    return {"count": len(_closed(world, request)), "truncated": False}


def count_tasks(kind: Any) -> Callable[[World, Request], dict[str, Any]]:
    """The operation that counts the tasks of this kind which wait in a list."""

    def count(world: World, request: Request) -> dict[str, Any]:
        domain = world.domain(request["domain"])
        waiting = world.lists.count(kind, domain.name, request["taskList"]["name"])
        return {"count": waiting, "truncated": False}

    return count


def _listed(
    world: World, operation: str, request: Request, found: Mapping[int, Execution]
) -> dict[str, Any]:
    return cut(world, operation, request, found, "executionInfos", execution_info, descending=True)


def _open(world: World, request: Request) -> list[Execution]:
    domain = world.domain(request["domain"])
    tests = [_between(request, "startTimeFilter", lambda execution: execution.started_at)]
    return _chosen(domain.open, tests, request)


def _closed(world: World, request: Request) -> list[Execution]:
    domain: Domain = world.domain(request["domain"])
    times = [name for name in ("startTimeFilter", "closeTimeFilter") if request.get(name) is not None]
    if len(times) != 1:
        raise invalid("Must specify exactly one of startTimeFilter and closeTimeFilter")
    tests = [
        _between(request, "startTimeFilter", lambda execution: execution.started_at),
        _between(request, "closeTimeFilter", lambda execution: execution.closed_at),
    ]
    return _chosen(domain.closed, tests, request)


def _chosen(executions: Mapping[str, Execution], tests: list[Test], request: Request) -> list[Execution]:
    given = [name for name in _ONE_OF if request.get(name) is not None]
    if len(given) > 1:
        raise invalid(f"Must specify at most one of {', '.join(_ONE_OF)}, not {' and '.join(given)}")
    for name in given:
        tests.append(_FILTERS[name](request[name]))
    return [execution for execution in executions.values() if all(test(execution) for test in tests)]


def _between(request: Request, name: str, time_of: Callable[[Execution], float]) -> Test:
    said = request.get(name)
    if said is None:
        return lambda execution: True
    oldest, latest = said["oldestDate"], said.get("latestDate")
    latest = math.inf if latest is None else latest
    if oldest > latest:
        raise invalid(f"{name}: oldestDate is after latestDate")
    return lambda execution: bool(oldest <= time_of(execution) <= latest)


def _by_type(said: Request) -> Test:
    name, version = said["name"], said.get("version")

    def test(execution: Execution) -> bool:
        kind = execution.said["workflowType"]
        return kind["name"] == name and (not version or kind["version"] == version)

    return test


_FILTERS: Mapping[str, Callable[[Request], Test]] = {
    "executionFilter": lambda said: lambda execution: execution.workflow_id == said["workflowId"],
    "typeFilter": _by_type,
    "tagFilter": lambda said: lambda execution: said["tag"] in execution.said.get("tagList", ()),
    "closeStatusFilter": lambda said: lambda execution: execution.close_status == said["status"],
}

VISIBILITY: Mapping[str, Callable[[World, Request], dict[str, Any]]] = {
    "DescribeWorkflowExecution": describe_execution,
    "ListOpenWorkflowExecutions": list_open,
    "CountOpenWorkflowExecutions": count_open,
    "ListClosedWorkflowExecutions": list_closed,
    "CountClosedWorkflowExecutions": count_closed,
    "CountPendingActivityTasks": count_tasks("activity"),
    "CountPendingDecisionTasks": count_tasks("decision"),
}
