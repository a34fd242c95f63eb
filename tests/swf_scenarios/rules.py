"""Scenarios of limits, rates and permissions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flowy.testing.swf import Bucket, Limits
from swf_scenarios.bench import (
    COMPLETE,
    LIST,
    WORK,
    Bench,
    attributes,
    child,
    decision,
    scenario,
    schedule,
    timer,
)


def _causes(bench: Bench, run_id: str, event_type: str) -> list[str]:
    return [
        attributes(event)["cause"]
        for event in bench.history("one", run_id)
        if event["eventType"] == event_type
    ]


@scenario()
def open_things(bench: Bench) -> None:
    """1,000 activities and 1,000 timers of an execution may be open, and as many children."""
    bench.set_up()
    run_id = bench.start()
    bench.decide(*(schedule(f"a{number}") for number in range(1001)))
    assert _causes(bench, run_id, "ScheduleActivityTaskFailed") == ["OPEN_ACTIVITIES_LIMIT_EXCEEDED"]
    bench.decide(*(timer(f"t{number}", 9) for number in range(1001)))
    assert _causes(bench, run_id, "StartTimerFailed") == ["OPEN_TIMERS_LIMIT_EXCEEDED"]
    task = bench.work()
    bench.call("RespondActivityTaskCompleted", taskToken=task["taskToken"])
    bench.decide(schedule("again"), decision("CancelTimer", timerId="t3"), timer("again", 9))
    counts = bench.detail("one", run_id)["openCounts"]
    assert counts["openActivityTasks"] == counts["openTimers"] == 1000


@scenario(limits=replace(Limits.unthrottled(), open_children=2, open_executions=3))
def open_children(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(*(child(f"c{number}", taskList={"name": "x"}) for number in range(3)))
    assert _causes(bench, run_id, "StartChildWorkflowExecutionFailed") == [
        "OPEN_CHILDREN_LIMIT_EXCEEDED"
    ]
    bench.respond(bench.poll("x"), COMPLETE)
    bench.start("other", taskList={"name": "y"})
    bench.decide(child("c4"))
    assert _causes(bench, run_id, "StartChildWorkflowExecutionFailed")[1:] == [
        "OPEN_WORKFLOWS_LIMIT_EXCEEDED"
    ]


@scenario(limits=replace(Limits.unthrottled(), events=50))
def events(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(*(decision("RecordMarker", markerName="m") for _ in range(30)))
    for _ in range(20):
        if bench.status("one", run_id):
            break
        bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    history = bench.history("one", run_id)
    assert len(history) == 50
    assert history[-1]["eventType"] == "WorkflowExecutionTerminated"
    assert attributes(history[-1])["cause"] == "EVENT_LIMIT_EXCEEDED"
    run_id = bench.start()
    bench.decide(*(decision("RecordMarker", markerName="m") for _ in range(44)))
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    history = bench.history("one", run_id)  # the last event but one would have made a decision task
    assert len(history) == 50
    assert attributes(history[-1])["cause"] == "EVENT_LIMIT_EXCEEDED"
    run_id = bench.start()
    bench.decide(*(decision("RecordMarker", markerName="m") for _ in range(100)))
    history = bench.history("one", run_id)  # in the middle of what a decider decided
    assert len(history) == 50
    assert attributes(history[-1])["cause"] == "EVENT_LIMIT_EXCEEDED"
    run_id = bench.start()
    marks = [decision("RecordMarker", markerName="m") for _ in range(43)]
    bench.decide(schedule("a"), *marks, decision("RequestCancelActivityTask", activityId="a"))
    history = bench.history("one", run_id)  # what would have been two events
    assert len(history) == 50
    assert history[-2]["eventType"] == "ActivityTaskCancelRequested"
    run_id = bench.start()
    itself = decision("SignalExternalWorkflowExecution", workflowId="one", signalName="s")
    bench.decide(*marks, itself)
    history = bench.history("one", run_id)  # the signal, and the reply that it has arrived
    assert len(history) == 50
    assert history[-2]["eventType"] == "WorkflowExecutionSignaled"


_SLOW = Bucket(2, 0.5)
_DECISIONS = (
    "ScheduleActivityTask",
    "StartTimer",
    "StartChildWorkflowExecution",
    "SignalExternalWorkflowExecution",
    "RequestCancelExternalWorkflowExecution",
    "ContinueAsNewWorkflowExecution",
)


@scenario(limits=replace(Limits.unthrottled(), decisions=dict.fromkeys(_DECISIONS, _SLOW)))
def rates_of_decisions(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    others = {"workflowId": "nobody"}
    bench.decide(
        *(schedule(f"a{number}") for number in range(3)),
        *(timer(f"t{number}", 99) for number in range(3)),
        *(child(f"c{number}", taskList={"name": "x"}) for number in range(3)),
        *(decision("SignalExternalWorkflowExecution", **others, signalName="s") for _ in range(3)),
        *(decision("RequestCancelExternalWorkflowExecution", **others) for _ in range(3)),
    )
    for event_type, cause in (
        ("ScheduleActivityTask", "ACTIVITY_CREATION_RATE_EXCEEDED"),
        ("StartTimer", "TIMER_CREATION_RATE_EXCEEDED"),
        ("StartChildWorkflowExecution", "CHILD_CREATION_RATE_EXCEEDED"),
    ):
        assert _causes(bench, run_id, f"{event_type}Failed") == [cause]
    unknown = ["UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION"] * 2
    for word in ("SIGNAL", "REQUEST_CANCEL"):
        name = "".join(part.capitalize() for part in word.split("_"))
        assert _causes(bench, run_id, f"{name}ExternalWorkflowExecutionFailed") == [
            f"{word}_EXTERNAL_WORKFLOW_EXECUTION_RATE_EXCEEDED", *unknown,
        ]  # fmt: skip
    bench.advance(2)  # one more token
    bench.decide(schedule("a3"), schedule("a4"))
    assert len(_causes(bench, run_id, "ScheduleActivityTaskFailed")) == 2
    again = decision("ContinueAsNewWorkflowExecution")
    bench.decide(again)
    bench.decide(again)
    last = bench.poll()
    bench.respond(last, again)
    execution = last["workflowExecution"]
    failed, _ = bench.latest(
        "one", execution["runId"], "ContinueAsNewWorkflowExecutionFailed", "DecisionTaskScheduled"
    )
    assert failed["cause"] == "CONTINUE_AS_NEW_WORKFLOW_EXECUTION_RATE_EXCEEDED"


_NAMED = ("SignalWorkflowExecution", "CountOpenWorkflowExecutions")


@scenario(
    limits=replace(
        Limits.unthrottled(),
        operations=dict.fromkeys(_NAMED, _SLOW),
        history_of_workflow=Bucket(2, 1),
    )
)
def rates_of_operations(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    requests: tuple[tuple[str, dict[str, Any]], ...] = (
        ("SignalWorkflowExecution", {"workflowId": "one", "signalName": "s"}),
        ("CountOpenWorkflowExecutions", {"startTimeFilter": {"oldestDate": 0}}),
        (
            "GetWorkflowExecutionHistory",
            {"execution": {"workflowId": "one", "runId": run_id}},
        ),
    )
    for operation, request in requests:
        for _ in range(2):
            bench.here(operation, **request)
        with bench.refused("ThrottlingException", "Rate exceeded"):
            bench.here(operation, **request)
        bench.advance(2)
        bench.here(operation, **request)


@scenario()
def bad_polls(bench: Bench) -> None:
    bench.set_up()
    for operation in ("PollForDecisionTask", "PollForActivityTask"):
        for name in ("a:b", "a/b", "a|b", "a\tb", " a", "a ", "arn"):
            with bench.refused("ValidationException", "at 'taskList.name'"):
                bench.here(operation, taskList={"name": name})


@scenario(limits=replace(Limits.unthrottled(), pollers=0))
def pollers(bench: Bench) -> None:
    bench.set_up()
    for operation in ("PollForDecisionTask", "PollForActivityTask"):
        with bench.refused("LimitExceededFault"):
            bench.here(operation, taskList=LIST)


_ANY_DECISION = (
    "ScheduleActivityTask",
    "RequestCancelActivityTask",
    "RecordMarker",
    "StartTimer",
    "CancelTimer",
    "SignalExternalWorkflowExecution",
    "RequestCancelExternalWorkflowExecution",
    "StartChildWorkflowExecution",
)
_ANY_END = (
    "CompleteWorkflowExecution",
    "FailWorkflowExecution",
    "CancelWorkflowExecution",
    "ContinueAsNewWorkflowExecution",
)


@scenario(denied=(*_ANY_DECISION, *_ANY_END))
def decisions_that_are_not_permitted(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(
        schedule("a"),
        decision("RequestCancelActivityTask", activityId="a"),
        decision("RecordMarker", markerName="m"),
        timer("t", 1),
        decision("CancelTimer", timerId="t"),
        decision("SignalExternalWorkflowExecution", workflowId="x", signalName="s"),
        decision("RequestCancelExternalWorkflowExecution", workflowId="x"),
        child("c"),
    )
    for end in _ANY_END:
        bench.decide(decision(end))
    for kind in (*_ANY_DECISION, *_ANY_END):
        assert _causes(bench, run_id, f"{kind}Failed") == ["OPERATION_NOT_PERMITTED"]


def requests(domain: str) -> dict[str, dict[str, Any]]:
    """A well-formed request of each operation."""
    execution = {"execution": {"workflowId": "w", "runId": "r"}}
    since = {"startTimeFilter": {"oldestDate": 0}}
    arn = {"resourceArn": f"arn:aws:swf:us-east-1:123456789012:/domain/{domain}"}
    activity, workflow = {"activityType": WORK}, {"workflowType": WORK}
    status = {"registrationStatus": "REGISTERED"}
    here: dict[str, dict[str, Any]] = {
        "CountClosedWorkflowExecutions": since,
        "CountOpenWorkflowExecutions": since,
        "CountPendingActivityTasks": {"taskList": LIST},
        "CountPendingDecisionTasks": {"taskList": LIST},
        "DeleteActivityType": activity,
        "DeleteWorkflowType": workflow,
        "DeprecateActivityType": activity,
        "DeprecateWorkflowType": workflow,
        "DescribeActivityType": activity,
        "DescribeWorkflowExecution": execution,
        "DescribeWorkflowType": workflow,
        "GetWorkflowExecutionHistory": execution,
        "ListActivityTypes": status,
        "ListClosedWorkflowExecutions": since,
        "ListOpenWorkflowExecutions": since,
        "ListWorkflowTypes": status,
        "PollForActivityTask": {"taskList": LIST},
        "PollForDecisionTask": {"taskList": LIST},
        "RegisterActivityType": {"name": "a", "version": "1"},
        "RegisterWorkflowType": {"name": "a", "version": "1"},
        "RequestCancelWorkflowExecution": {"workflowId": "w"},
        "SignalWorkflowExecution": {"workflowId": "w", "signalName": "s"},
        "StartWorkflowExecution": {"workflowId": "w", **workflow},
        "TerminateWorkflowExecution": {"workflowId": "w"},
        "UndeprecateActivityType": activity,
        "UndeprecateWorkflowType": workflow,
    }
    token = {"taskToken": "YWN0aXZpdHkgciAxIDI="}
    elsewhere: dict[str, dict[str, Any]] = {
        "DeprecateDomain": {"name": domain},
        "DescribeDomain": {"name": domain},
        "ListDomains": status,
        "ListTagsForResource": arn,
        "RecordActivityTaskHeartbeat": token,
        "RegisterDomain": {"name": domain, "workflowExecutionRetentionPeriodInDays": "1"},
        "RespondActivityTaskCanceled": token,
        "RespondActivityTaskCompleted": token,
        "RespondActivityTaskFailed": token,
        "RespondDecisionTaskCompleted": {"taskToken": "ZGVjaXNpb24gciAxIDI="},
        "TagResource": {**arn, "tags": [{"key": "k", "value": "v"}]},
        "UndeprecateDomain": {"name": domain},
        "UntagResource": {**arn, "tagKeys": ["k"]},
    }
    return {name: {"domain": domain, **said} for name, said in here.items()} | elsewhere


EVERYTHING = tuple(requests(""))


@scenario(denied=EVERYTHING)
def operations_that_are_not_permitted(bench: Bench) -> None:
    for operation, request in requests("anywhere").items():
        with bench.refused("OperationNotPermittedFault", operation):
            bench.call(operation, **request)


@scenario()
def nothing_is_known(bench: Bench) -> None:
    for operation, request in requests("nowhere").items():
        if operation in ("ListDomains", "RegisterDomain"):
            continue
        with bench.refused("UnknownResourceFault"):
            bench.call(operation, **request)


@scenario(limits=replace(Limits.unthrottled(), operations=dict.fromkeys(EVERYTHING, Bucket(0, 0))))
def everything_is_throttled(bench: Bench) -> None:
    for operation, request in requests("anywhere").items():
        with bench.refused("ThrottlingException"):
            bench.call(operation, **request)
