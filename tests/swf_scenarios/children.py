"""Scenarios of child executions and their policies."""

from __future__ import annotations

from typing import Any

from swf_scenarios.bench import BARE, COMPLETE, FLOW, LIST, Bench, attributes, child, decision, scenario


def _parent_and_child(bench: Bench, **more: Any) -> tuple[str, str]:
    """Start a parent, which starts a child and hears of it; their run ids."""
    parent = bench.start("parent", executionStartToCloseTimeout="1000")
    bench.decide(child("child", taskList={"name": "child"}, **more))
    (started,) = (
        attributes(event)
        for event in bench.history("parent", parent)
        if event["eventType"] == "ChildWorkflowExecutionStarted"
    )
    bench.decide()
    run_id: str = started["workflowExecution"]["runId"]
    return parent, run_id


@scenario()
def started(bench: Bench) -> None:
    bench.set_up()
    parent = bench.start("parent")
    bench.decide(child("child", input="in", control="c", tagList=["t"], childPolicy="ABANDON"))
    initiated, begun, _ = bench.latest(
        "parent",
        parent,
        "StartChildWorkflowExecutionInitiated",
        "ChildWorkflowExecutionStarted",
        "DecisionTaskScheduled",
    )
    assert initiated == {
        "workflowId": "child",
        "workflowType": FLOW,
        "control": "c",
        "input": "in",
        "tagList": ["t"],
        "childPolicy": "ABANDON",
        "taskList": LIST,
        "taskStartToCloseTimeout": "100",
        "executionStartToCloseTimeout": "10000",
        "decisionTaskCompletedEventId": 4,
    }
    assert begun["initiatedEventId"] == 5
    assert begun["workflowType"] == FLOW
    first = attributes(bench.history("child", begun["workflowExecution"]["runId"])[0])
    assert first["parentWorkflowExecution"] == {"workflowId": "parent", "runId": parent}
    assert first["parentInitiatedEventId"] == 5
    assert first["input"] == "in"
    assert first["tagList"] == ["t"]
    assert "control" not in first
    info = bench.detail("child", begun["workflowExecution"]["runId"])["executionInfo"]
    assert info["parent"] == {"workflowId": "parent", "runId": parent}


@scenario()
def ended(bench: Bench) -> None:
    """In each way in which a child can end, its parent hears of it."""
    bench.set_up()
    ways: tuple[tuple[Any, str, dict[str, Any]], ...] = (
        (decision("CompleteWorkflowExecution", result="r"), "Completed", {"result": "r"}),
        (
            decision("FailWorkflowExecution", reason="a", details="b"),
            "Failed",
            {"reason": "a", "details": "b"},
        ),
        (decision("CancelWorkflowExecution", details="d"), "Canceled", {"details": "d"}),
        ("terminate", "Terminated", {}),
        ("time out", "TimedOut", {"timeoutType": "START_TO_CLOSE"}),
    )
    for way, word, told in ways:
        parent, run_id = _parent_and_child(bench, executionStartToCloseTimeout="60")
        if way == "terminate":
            bench.here("TerminateWorkflowExecution", workflowId="child")
        elif way == "time out":
            bench.advance(60)
        else:
            bench.respond(bench.poll("child"), way)
        said, _ = bench.latest(
            "parent", parent, f"ChildWorkflowExecution{word}", "DecisionTaskScheduled"
        )
        assert said == {
            "workflowExecution": {"workflowId": "child", "runId": run_id},
            "workflowType": FLOW,
            "initiatedEventId": 5,
            "startedEventId": 6,
            **told,
        }
        bench.decide(COMPLETE)


@scenario()
def continued(bench: Bench) -> None:
    """A child that goes on as a new run is the same child to its parent."""
    bench.set_up()
    parent, run_id = _parent_and_child(bench)
    bench.respond(
        bench.poll("child"), decision("ContinueAsNewWorkflowExecution", taskList={"name": "child"})
    )
    bench.latest("parent", parent, "DecisionTaskStarted", "DecisionTaskCompleted")  # hears nothing
    task = bench.poll("child")
    again = task["workflowExecution"]["runId"]
    assert again != run_id
    first = attributes(task["events"][0])
    assert first["continuedExecutionRunId"] == run_id
    assert first["parentWorkflowExecution"] == {"workflowId": "parent", "runId": parent}
    bench.respond(task, COMPLETE)
    said, _ = bench.latest("parent", parent, "ChildWorkflowExecutionCompleted", "DecisionTaskScheduled")
    assert said["workflowExecution"] == {"workflowId": "child", "runId": again}


@scenario()
def not_started(bench: Bench) -> None:
    bench.set_up()
    bench.here("RegisterWorkflowType", name="old", version="1")
    bench.here("DeprecateWorkflowType", workflowType={"name": "old", "version": "1"})
    given: dict[str, Any] = {
        "executionStartToCloseTimeout": "100",
        "taskList": LIST,
        "taskStartToCloseTimeout": "100",
        "childPolicy": "ABANDON",
    }
    lacking = [
        child(
            f"no {missing}",
            workflowType=BARE,
            **{name: given[name] for name in given if name != missing},
        )
        for missing in given
    ]
    parent = bench.start("parent")
    bench.decide(
        child("a", control="c", workflowType={"name": "none", "version": "1"}),
        child("b", workflowType={"name": "old", "version": "1"}),
        *lacking,
        child("parent", control="d"),  # runs already
    )
    failed = [
        attributes(event)
        for event in bench.history("parent", parent)
        if event["eventType"] == "StartChildWorkflowExecutionFailed"
    ]
    assert [said["cause"] for said in failed] == [
        "WORKFLOW_TYPE_DOES_NOT_EXIST",
        "WORKFLOW_TYPE_DEPRECATED",
        "DEFAULT_EXECUTION_START_TO_CLOSE_TIMEOUT_UNDEFINED",
        "DEFAULT_TASK_LIST_UNDEFINED",
        "DEFAULT_TASK_START_TO_CLOSE_TIMEOUT_UNDEFINED",
        "DEFAULT_CHILD_POLICY_UNDEFINED",
        "WORKFLOW_ALREADY_RUNNING",
    ]
    assert failed[0] == {
        "workflowType": {"name": "none", "version": "1"},
        "cause": "WORKFLOW_TYPE_DOES_NOT_EXIST",
        "workflowId": "a",
        "initiatedEventId": 0,
        "decisionTaskCompletedEventId": 4,
        "control": "c",
    }
    (initiated,) = (
        event["eventId"]
        for event in bench.history("parent", parent)
        if event["eventType"] == "StartChildWorkflowExecutionInitiated"
    )
    assert failed[-1]["initiatedEventId"] == initiated  # this one was found out later
    assert failed[-1]["control"] == "d"
    assert bench.detail("parent", parent)["openCounts"]["openChildWorkflowExecutions"] == 0


@scenario()
def policies(bench: Bench) -> None:
    """What becomes of the child if its parent is terminated, or times out."""
    bench.set_up()
    for policy, event in (
        ("TERMINATE", "WorkflowExecutionTerminated"),
        ("REQUEST_CANCEL", "WorkflowExecutionCancelRequested"),
        ("ABANDON", ""),
    ):
        for end in ("terminate", "time out"):
            parent = bench.start("parent", childPolicy=policy, executionStartToCloseTimeout="50")
            bench.decide(child("child", taskList={"name": "child"}))
            bench.respond(bench.poll("child"))
            if end == "terminate":
                bench.here("TerminateWorkflowExecution", workflowId="parent")
            else:
                bench.advance(50)
            closed = attributes(bench.history("parent", parent)[-1])
            assert closed["childPolicy"] == policy
            run_id = bench.here(
                "ListClosedWorkflowExecutions"
                if policy == "TERMINATE"
                else "ListOpenWorkflowExecutions",
                startTimeFilter={"oldestDate": 0},
                executionFilter={"workflowId": "child"},
            )["executionInfos"][0]["execution"]["runId"]
            events = bench.history("child", run_id)
            if policy == "TERMINATE":
                assert events[-1]["eventType"] == event
                assert attributes(events[-1]) == {
                    "childPolicy": "TERMINATE", "cause": "CHILD_POLICY_APPLIED",
                }  # fmt: skip
            elif policy == "REQUEST_CANCEL":
                assert events[-2]["eventType"] == event
                said = attributes(events[-2])
                assert said["cause"] == "CHILD_POLICY_APPLIED"
                assert said["externalWorkflowExecution"] == {"workflowId": "parent", "runId": parent}
                bench.here("TerminateWorkflowExecution", workflowId="child")
            else:
                assert events[-1]["eventType"] == "DecisionTaskCompleted"
                bench.here("TerminateWorkflowExecution", workflowId="child")


@scenario()
def policy_of_the_moment(bench: Bench) -> None:
    """Who terminates may say another policy. Who completes leaves the children be."""
    bench.set_up()
    _, run_id = _parent_and_child(bench)
    bench.here("TerminateWorkflowExecution", workflowId="parent", childPolicy="ABANDON")
    assert bench.status("child", run_id) == ""
    bench.here("TerminateWorkflowExecution", workflowId="child")
    _, run_id = _parent_and_child(bench)
    bench.here("SignalWorkflowExecution", workflowId="parent", signalName="s")
    bench.decide(COMPLETE)
    assert bench.status("child", run_id) == ""


@scenario()
def grandchildren(bench: Bench) -> None:
    bench.set_up()
    _parent_and_child(bench)
    bench.respond(bench.poll("child"), child("grandchild", taskList={"name": "grandchild"}))
    task = bench.poll("grandchild")
    bench.here("TerminateWorkflowExecution", workflowId="parent")
    assert bench.status("grandchild", task["workflowExecution"]["runId"]) == "TERMINATED"
    with bench.refused("UnknownResourceFault"):
        bench.respond(task)
