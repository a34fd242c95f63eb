"""Scenarios of executions as seen from outside: start, signal, cancel, terminate, time-out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flowy.testing.swf import Limits
from swf_scenarios.bench import BARE, COMPLETE, FLOW, LIST, Bench, attributes, decision, scenario, timer


@scenario()
def start(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start("one", input="in", tagList=["t"], taskPriority="5", taskStartToCloseTimeout="9")
    first, second = bench.history("one", run_id)
    assert first["eventType"] == "WorkflowExecutionStarted"
    assert attributes(first) == {
        "workflowType": FLOW,
        "taskList": LIST,
        "input": "in",
        "tagList": ["t"],
        "childPolicy": "TERMINATE",
        "taskPriority": "5",
        "taskStartToCloseTimeout": "9",
        "executionStartToCloseTimeout": "10000",
        "parentInitiatedEventId": 0,
    }
    assert second["eventType"] == "DecisionTaskScheduled"
    assert attributes(second) == {"taskList": LIST, "taskPriority": "5", "startToCloseTimeout": "9"}
    with bench.refused("WorkflowExecutionAlreadyStartedFault"):
        bench.start("one")
    bench.decide(COMPLETE)
    assert bench.start("one") != run_id  # the id is free again


@scenario()
def start_without_defaults(bench: Bench) -> None:
    bench.set_up()
    given = {
        "taskList": LIST,
        "childPolicy": "ABANDON",
        "taskStartToCloseTimeout": "NONE",
        "executionStartToCloseTimeout": "31536000",
    }
    for missing in given:
        settings: dict[str, Any] = {name: given[name] for name in given if name != missing}
        with bench.refused("DefaultUndefinedFault", missing):
            bench.start("one", workflowType=BARE, **settings)
    settings = dict(given)
    bench.start("one", workflowType=BARE, **settings)


@scenario()
def bad_starts(bench: Bench) -> None:
    bench.set_up()
    with bench.refused("UnknownResourceFault", "version=9"):
        bench.start("one", workflowType={"name": "flow", "version": "9"})
    bench.here("DeprecateWorkflowType", workflowType=FLOW)
    with bench.refused("TypeDeprecatedFault"):
        bench.start("one")
    bench.here("UndeprecateWorkflowType", workflowType=FLOW)
    wrong: tuple[dict[str, Any], ...] = (
        {"executionStartToCloseTimeout": "NONE"},
        {"executionStartToCloseTimeout": "31536001"},  # a year is 365 days
        {"taskList": {"name": "a:b"}},
        {"taskStartToCloseTimeout": "x"},
        {"taskPriority": "x"},
        {"input": "x" * 32769},
        {"tagList": ["a", "b", "c", "d", "e", "f"]},
        {"childPolicy": "KEEP"},
    )
    for request in wrong:
        with bench.refused("ValidationException"):
            bench.start("one", **request)
    for workflow_id in ("a/b", "a|b", "a\nb", "arn", "x" * 257):
        with bench.refused("ValidationException"):
            bench.start(workflow_id)
    bench.start("one", input="x" * 32768)
    bench.start("colons:are:taken")


@scenario(limits=replace(Limits.unthrottled(), open_executions=2))
def as_many_as_may_be_open(bench: Bench) -> None:
    bench.set_up()
    bench.start("one")
    bench.start("two")
    with bench.refused("LimitExceededFault"):
        bench.start("three")
    bench.decide(COMPLETE)
    bench.start("three")


@scenario()
def signals(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide()
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s", input="in")
    bench.here("SignalWorkflowExecution", workflowId="one", runId=run_id, signalName="t")
    first, _, second = bench.latest(
        "one", run_id, "WorkflowExecutionSignaled", "DecisionTaskScheduled", "WorkflowExecutionSignaled"
    )
    assert first == {"signalName": "s", "input": "in", "externalInitiatedEventId": 0}
    assert second == {"signalName": "t", "externalInitiatedEventId": 0}
    with bench.refused("UnknownResourceFault"):
        bench.here("SignalWorkflowExecution", workflowId="one", runId="another", signalName="s")
    bench.decide(COMPLETE)
    with bench.refused("UnknownResourceFault"):
        bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")


@scenario()
def cancel_request(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide()
    assert not bench.detail("one", run_id)["executionInfo"]["cancelRequested"]
    bench.here("RequestCancelWorkflowExecution", workflowId="one")
    bench.latest("one", run_id, "WorkflowExecutionCancelRequested", "DecisionTaskScheduled")
    assert bench.detail("one", run_id)["executionInfo"]["cancelRequested"]
    bench.decide(decision("CancelWorkflowExecution", details="gone"))
    (said,) = bench.latest("one", run_id, "WorkflowExecutionCanceled")
    assert said["details"] == "gone"
    assert bench.status("one", run_id) == "CANCELED"
    with bench.refused("UnknownResourceFault"):
        bench.here("RequestCancelWorkflowExecution", workflowId="one")


@scenario()
def termination(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    task = bench.poll()
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    bench.here("TerminateWorkflowExecution", workflowId="one", reason="r", details="d")
    (said,) = bench.latest("one", run_id, "WorkflowExecutionTerminated")
    assert said == {
        "reason": "r", "details": "d", "childPolicy": "TERMINATE", "cause": "OPERATOR_INITIATED",
    }  # fmt: skip
    with bench.refused("UnknownResourceFault"):
        bench.respond(task, COMPLETE)
    with bench.refused("UnknownResourceFault"):
        bench.here("TerminateWorkflowExecution", workflowId="one")
    assert bench.waiting("Decision") == 0  # nobody is given tasks of what is closed


@scenario()
def execution_time_out(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start("one", executionStartToCloseTimeout="50", taskStartToCloseTimeout="NONE")
    bench.decide(timer("long", 1000), decision("RecordMarker", markerName="m"))
    bench.advance(49.9)
    assert bench.status("one", run_id) == ""
    bench.advance(0.1)
    (said,) = bench.latest("one", run_id, "WorkflowExecutionTimedOut")
    assert said == {"timeoutType": "START_TO_CLOSE", "childPolicy": "TERMINATE"}
    assert bench.status("one", run_id) == "TIMED_OUT"
    bench.advance(2000)
    bench.latest("one", run_id, "WorkflowExecutionTimedOut")  # the timer is gone


@scenario()
def details(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start("one", tagList=["t"], lambdaRole="arn:aws:iam::123456789012:role/r")
    detail = bench.detail("one", run_id)
    assert detail["executionConfiguration"] == {
        "taskStartToCloseTimeout": "100",
        "executionStartToCloseTimeout": "10000",
        "taskList": LIST,
        "childPolicy": "TERMINATE",
        "lambdaRole": "arn:aws:iam::123456789012:role/r",
    }
    counts = detail["openCounts"]
    assert counts.pop("openDecisionTasks") == 1
    assert set(counts.values()) == {0}
    assert "latestActivityTaskTimestamp" not in detail
    work = {"name": "work", "version": "1"}
    bench.decide(
        timer("t", 10),
        decision("ScheduleActivityTask", activityId="a", activityType=work),
        decision("ScheduleActivityTask", activityId="b", activityType=work),
        decision(
            "StartChildWorkflowExecution", workflowId="two", workflowType=FLOW, taskList={"name": "x"}
        ),
        executionContext="where I am",
    )
    bench.decide()  # hears that the child has started
    detail = bench.detail("one", run_id)
    assert detail["openCounts"] == {
        "openActivityTasks": 2,
        "openDecisionTasks": 0,
        "openTimers": 1,
        "openChildWorkflowExecutions": 1,
        "openLambdaFunctions": 0,
    }
    assert detail["latestExecutionContext"] == "where I am"
    assert detail["latestActivityTaskTimestamp"]
    with bench.refused("UnknownResourceFault", f"runId={run_id}"):
        bench.detail("two", run_id)


@scenario()
def retention(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(COMPLETE)
    bench.advance(10 * 86400 - 1)
    assert bench.history("one", run_id)
    bench.advance(2)
    with bench.refused("UnknownResourceFault"):
        bench.history("one", run_id)
    with bench.refused("UnknownResourceFault"):
        bench.detail("one", run_id)
