"""Each event of a history, and each feature of workflows, one at a time on Amazon SWF.

Owns: histories written by hand, what they mean to a workflow, and the limits that decisions keep to.

May not know: more of flowy than `flowy.swf`; the recordings and random programs are tested elsewhere.
Each history is decided from its start, and again by a kept run that gets one decision task after the
other: the answers must be the same.
"""

from __future__ import annotations

import importlib
import json
import logging
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from swf_service import check_decisions

import flowy
from flowy import swf
from flowy.swf import serialization
from flowy.swf.history import EVENT_TYPES
from flowy.swf.meanings import MEANINGS

DEPS = ("act", "sub", "fun")
TYPE = {"name": "act", "version": "1"}
SUB = {"name": "sub", "version": "1"}


class Story:
    """A history that is written as a decider would come to see it.

    `with` the answer to each decision task in between, as SWF would record it.
    """

    def __init__(self, body: Callable[..., Any], input: str | None = "[[], {}]", **options: Any) -> None:
        config = options.pop("config", None) or swf.SWFWorkflowConfig(
            rate_limit=options.pop("rate_limit", 64)
        )
        retry = options.pop("retry", (0, 0, 0))
        config.conf_activity("act", 1, retry=retry)
        config.conf_workflow("sub", 1, retry=retry)
        config.conf_lambda("fun", retry=retry)
        self.worker = swf.SWFWorkflowWorker(**options)
        self.fresh = swf.SWFWorkflowWorker(**{**options, "keep": 0})

        class Flow:
            def __init__(self, act: Any, sub: Any, fun: Any) -> None:
                self.deps = (act, sub, fun)

            def __call__(self, *args: Any, **kwargs: Any) -> Any:
                return body(*self.deps, *args, **kwargs)

        self.factory = Flow
        for worker in (self.worker, self.fresh):
            worker.register(config, Flow, 1, "Flow")
        self.events: list[dict[str, Any]] = []
        self.previous = 0
        started = {"input": input} if input is not None else {}
        self.add("WorkflowExecutionStarted", workflowType={"name": "Flow", "version": "1"}, **started)

    def add(self, type: str, time: Any = None, **says: Any) -> int:
        id = len(self.events) + 1
        name = f"{type[0].lower()}{type[1:]}EventAttributes"
        stamp = float(id) if time is None else time
        self.events.append({"eventId": id, "eventType": type, "eventTimestamp": stamp, name: says})
        return id

    def task(self) -> dict[str, Any]:
        return {
            "taskToken": "t",
            "workflowType": {"name": "Flow", "version": "1"},
            "workflowExecution": {"workflowId": "wid", "runId": "rid"},
            "startedEventId": len(self.events),
            "previousStartedEventId": self.previous,
            "events": json.loads(json.dumps(self.events)),
        }

    def decide(self) -> list[tuple[str, dict[str, Any]]]:
        """Ask for a decision; (type, attributes) of each."""
        self.scheduled = self.add("DecisionTaskScheduled")
        self.add("DecisionTaskStarted", scheduledEventId=self.scheduled)
        task = self.task()
        made = self.worker.decide(task)
        assert self.fresh.decide(task) == made
        self.context = made.context
        check_decisions(made)
        return [
            (one["decisionType"], one[next(key for key in one if key != "decisionType")]) for one in made
        ]

    def complete(self, **says: Any) -> int:
        """The last answer has arrived."""
        self.previous = started = max(
            e["eventId"] for e in self.events if e["eventType"] == "DecisionTaskStarted"
        )
        if self.context:
            says["executionContext"] = self.context
        return self.add(
            "DecisionTaskCompleted", startedEventId=started, scheduledEventId=started - 1, **says
        )

    def scheduled_activity(self, key: str, input: str = "[[], {}]") -> int:
        return self.add("ActivityTaskScheduled", activityId=key, activityType=TYPE, input=input)

    def initiated(self, key: str, input: str = "[[], {}]") -> int:
        return self.add(
            "StartChildWorkflowExecutionInitiated",
            workflowId=f"wid-x-{key}",
            workflowType=SUB,
            input=input,
        )

    def first(self, *opened: Callable[[], int]) -> list[int]:
        """The first decision, and what it opened."""
        self.decide()
        self.complete()
        return [each() for each in opened]

    def end(self) -> Any:
        """The next decision closes the execution: its value, or its failure."""
        ((type, says),) = self.decide()
        return closing(type, says)


def closing(type: str, says: dict[str, Any]) -> Any:
    if type == "CompleteWorkflowExecution":
        return serialization.loads(says["result"])
    return type, says


def tell(error: flowy.TaskError) -> list[Any]:
    return [
        type(error).__name__,
        error.key,
        error.attempt,
        error.args[0],
        getattr(error, "timeout", None),
    ]


def look(result: Any) -> Any:
    """The value of a result, or what its error says."""
    try:
        return flowy.wait(result)
    except flowy.TaskError as error:
        return tell(error)


def of_act(act: Any, sub: Any, fun: Any) -> Any:
    return look(act())


def of_sub(act: Any, sub: Any, fun: Any) -> Any:
    return look(sub())


def of_fun(act: Any, sub: Any, fun: Any) -> Any:
    return look(fun())


def test_all_types_of_events_are_known() -> None:
    meaningless = {"DecisionTaskScheduled", "ActivityTaskStarted", "LambdaFunctionStarted"}
    assert set(MEANINGS) == set(EVENT_TYPES) - meaningless
    loader = pytest.importorskip("botocore.loaders").Loader()
    model = loader.load_service_model("swf", "service-2")
    assert set(EVENT_TYPES) == set(model["shapes"]["EventType"]["enum"])


# how activities end


@pytest.mark.parametrize(
    ("event", "says", "value"),
    [
        ("ActivityTaskCompleted", {"result": "7"}, 7),
        ("ActivityTaskCompleted", {}, None),
        (
            "ActivityTaskFailed",
            {"reason": "no", "details": "trace"},
            ["TaskError", "act-0-0", 0, "task act-0-0 failed: no", None],
        ),
        ("ActivityTaskFailed", {}, ["TaskError", "act-0-0", 0, "task act-0-0 failed", None]),
        ("ActivityTaskCanceled", {}, ["TaskCancelled", "act-0-0", 0, "task act-0-0 cancelled", None]),
        (
            "ActivityTaskCanceled",
            {"details": "it left"},
            ["TaskCancelled", "act-0-0", 0, "task act-0-0 cancelled: it left", None],
        ),
    ],
)
def test_an_activity_ends(event: str, says: dict[str, Any], value: Any) -> None:
    story = Story(of_act)
    (id,) = story.first(lambda: story.scheduled_activity("act-0-0"))
    story.add(event, scheduledEventId=id, startedEventId=0, **says)
    assert story.end() == value


def test_a_result_that_cannot_be_read_fails_its_task() -> None:
    story = Story(of_act)
    (id,) = story.first(lambda: story.scheduled_activity("act-0-0"))
    story.add("ActivityTaskCompleted", scheduledEventId=id, startedEventId=0, result="{nonsense")
    assert "result can't be read" in story.end()[3]


@pytest.mark.parametrize(
    "kind", ["START_TO_CLOSE", "SCHEDULE_TO_START", "SCHEDULE_TO_CLOSE", "HEARTBEAT"]
)
def test_time_outs_are_tried_again_and_then_told(kind: str) -> None:
    story = Story(of_act, retry=(0, 5))
    (id,) = story.first(lambda: story.scheduled_activity("act-0-0"))
    story.add("ActivityTaskTimedOut", scheduledEventId=id, startedEventId=0, timeoutType=kind)
    assert story.decide() == [("StartTimer", {"timerId": "act-0-1-t", "startToFireTimeout": "5"})]
    story.complete()
    timer = story.add("TimerStarted", timerId="act-0-1-t", startToFireTimeout="5")
    story.decide()
    story.complete()
    story.add("TimerFired", timerId="act-0-1-t", startedEventId=timer)
    assert story.decide() == [
        ("ScheduleActivityTask", {"input": "[[], {}]", "activityId": "act-0-1", "activityType": TYPE})
    ]
    story.complete()
    id = story.scheduled_activity("act-0-1")
    story.add(
        "ActivityTaskTimedOut",
        scheduledEventId=id,
        startedEventId=4,
        timeoutType=kind,
        details='{"a": 1}',
    )
    assert story.end() == [
        "TaskTimedout",
        "act-0-1",
        1,
        f"task act-0-1 timed out: {kind.lower()}",
        kind.lower(),
    ]


def test_a_retry_covers_failures_where_asked() -> None:
    story = Story(of_act, retry=flowy.Retry(attempts=2))
    (id,) = story.first(lambda: story.scheduled_activity("act-0-0"))
    story.add("ActivityTaskFailed", scheduledEventId=id, reason="once")
    ((type, says),) = story.decide()
    assert (type, says["activityId"]) == ("ScheduleActivityTask", "act-0-1")
    story.complete()
    id = story.scheduled_activity("act-0-1")
    story.add("ActivityTaskFailed", scheduledEventId=id, reason="twice")
    assert story.end()[1:4] == ["act-0-1", 1, "task act-0-1 failed: twice"]


# what SWF refuses


@pytest.mark.parametrize(
    "cause", ["ACTIVITY_TYPE_DEPRECATED", "OPERATION_NOT_PERMITTED", "ACTIVITY_ID_ALREADY_IN_USE"]
)
def test_a_permanent_cause_is_a_task_error(cause: str) -> None:
    story = Story(of_act)
    story.first(
        lambda: story.add(
            "ScheduleActivityTaskFailed", activityId="act-0-0", activityType=TYPE, cause=cause
        )
    )
    assert cause in story.end()[3]


def test_what_was_throttled_is_tried_again_later_each_time() -> None:
    story = Story(of_act)
    delays = []
    story.decide()
    for n in range(1, 5):
        story.complete()
        story.add(
            "ScheduleActivityTaskFailed",
            activityId="act-0-0",
            activityType=TYPE,
            cause="ACTIVITY_CREATION_RATE_EXCEEDED",
        )
        ((type, says),) = story.decide()
        assert (type, says["timerId"]) == ("StartTimer", f"@again-{n}")
        delays.append(int(says["startToFireTimeout"]))
        story.complete()
        timer = story.add("TimerStarted", timerId=says["timerId"], startToFireTimeout="1")
        story.add("TimerFired", timerId=says["timerId"], startedEventId=timer)
        assert [type for type, _ in story.decide()] == ["ScheduleActivityTask"]
    assert delays == sorted(delays)
    assert delays[-1] > delays[0]
    story.complete()
    id = story.scheduled_activity("act-0-0")
    story.add("ActivityTaskCompleted", scheduledEventId=id, result="1")
    assert story.end() == 1


@pytest.mark.parametrize(
    ("cause", "told"), [("TIMER_ID_ALREADY_IN_USE", True), ("TIMER_CREATION_RATE_EXCEEDED", False)]
)
def test_a_timer_is_refused(cause: str, told: bool) -> None:
    story = Story(lambda act, sub, fun: look(flowy.timer(5)))
    story.first(lambda: story.add("StartTimerFailed", timerId="@timer-0-0", cause=cause))
    decisions = story.decide()
    if told:
        assert decisions[0][0] == "CompleteWorkflowExecution"
        assert cause in decisions[0][1]["result"]
    else:
        assert decisions == [("StartTimer", {"timerId": "@timer-0-0", "startToFireTimeout": "5"})]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("cause", ["WORKFLOW_ALREADY_RUNNING", "OPEN_CHILDREN_LIMIT_EXCEEDED"])
def test_a_child_is_not_started(at_once: bool, cause: str) -> None:
    story = Story(of_sub)
    ids = story.first(*[] if at_once else [lambda: story.initiated("sub-0-0")])
    story.add(
        "StartChildWorkflowExecutionFailed",
        workflowId="wid-x-sub-0-0",
        workflowType=SUB,
        cause=cause,
        initiatedEventId=0 if at_once else ids[0],
    )
    ((type, says),) = story.decide()
    if cause.startswith("OPEN"):
        assert type == "StartTimer"
    else:
        assert cause in closing(type, says)[3]


# children


@pytest.mark.parametrize(
    ("event", "says", "value"),
    [
        ("Completed", {"result": "[1]"}, [1]),
        ("Completed", {}, None),
        ("Failed", {"reason": "no"}, ["TaskError", "sub-0-0", 0, "task sub-0-0 failed: no", None]),
        ("Failed", {}, ["TaskError", "sub-0-0", 0, "task sub-0-0 failed", None]),
        (
            "TimedOut",
            {"timeoutType": "START_TO_CLOSE"},
            ["TaskTimedout", "sub-0-0", 0, "task sub-0-0 timed out: start_to_close", "start_to_close"],
        ),
        ("Canceled", {}, ["TaskCancelled", "sub-0-0", 0, "task sub-0-0 cancelled", None]),
        (
            "Terminated",
            {},
            ["TaskError", "sub-0-0", 0, "task sub-0-0 failed: the workflow was terminated", None],
        ),
    ],
)
@pytest.mark.parametrize("started", [True, False])
def test_a_child_ends(event: str, says: dict[str, Any], value: Any, started: bool) -> None:
    story = Story(of_sub, retry=(0,))
    (id,) = story.first(lambda: story.initiated("sub-0-0"))
    if started:
        story.add("ChildWorkflowExecutionStarted", initiatedEventId=id)
    story.add(f"ChildWorkflowExecution{event}", initiatedEventId=id, **says)
    assert story.end() == value


def test_ids_of_children_tell_whose_they_are_and_differ_in_each_run() -> None:
    story = Story(of_sub)
    ((_, says),) = story.decide()
    assert says["workflowId"].startswith("wid-")
    assert says["workflowId"].endswith("-sub-0-0")
    other = dict(story.task(), workflowExecution={"workflowId": "wid", "runId": "another"})
    again = story.fresh.decide(other)[0]["startChildWorkflowExecutionDecisionAttributes"]["workflowId"]
    assert again != says["workflowId"]
    long = dict(story.task(), workflowExecution={"workflowId": "w" * 256, "runId": "another"})
    child = story.fresh.decide(long)[0]["startChildWorkflowExecutionDecisionAttributes"]["workflowId"]
    assert len(child) <= 256
    assert child.endswith("-sub-0-0")


# Lambda functions


@pytest.mark.parametrize(
    ("event", "says", "value"),
    [
        ("LambdaFunctionCompleted", {"result": "3"}, 3),
        ("LambdaFunctionFailed", {"reason": "Error"}, "task fun-0-0 failed: Error"),
        (
            "LambdaFunctionTimedOut",
            {"timeoutType": "START_TO_CLOSE"},
            "task fun-0-0 timed out: start_to_close",
        ),
        (
            "StartLambdaFunctionFailed",
            {"cause": "ASSUME_ROLE_FAILED", "message": "role"},
            "task fun-0-0 failed: the function was not started: ASSUME_ROLE_FAILED: role",
        ),
    ],
)
def test_a_lambda_function_ends(event: str, says: dict[str, Any], value: Any) -> None:
    story = Story(of_fun, retry=(0,))
    assert story.decide() == [
        ("ScheduleLambdaFunction", {"input": "[[], {}]", "id": "fun-0-0", "name": "fun"})
    ]
    story.complete()
    id = story.add("LambdaFunctionScheduled", id="fun-0-0", name="fun", input="[[], {}]")
    if event != "StartLambdaFunctionFailed":
        story.add("LambdaFunctionStarted", scheduledEventId=id)
    story.add(event, scheduledEventId=id, **says)
    found = story.end()
    assert found == value or found[3] == value


def test_a_lambda_function_is_refused() -> None:
    story = Story(of_fun)
    story.first(
        lambda: story.add(
            "ScheduleLambdaFunctionFailed", id="fun-0-0", name="fun", cause="ID_ALREADY_IN_USE"
        )
    )
    assert "ID_ALREADY_IN_USE" in story.end()[3]


# cancelling


def cancelling(make: Callable[..., Any]) -> Callable[..., Any]:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        r = make(act, sub)
        flowy.wait(flowy.signal("go"))
        flowy.cancel(r)
        return look(r)

    return body


def test_an_activity_is_cancelled() -> None:
    story = Story(cancelling(lambda act, sub: act()))
    (id,) = story.first(lambda: story.scheduled_activity("act-0-0"))
    story.add("WorkflowExecutionSignaled", signalName="go")
    assert story.decide() == [("RequestCancelActivityTask", {"activityId": "act-0-0"})]
    story.complete()
    story.add("ActivityTaskCancelRequested", activityId="act-0-0")
    story.add("ActivityTaskCanceled", scheduledEventId=id)
    assert story.end() == [
        "TaskCancelled",
        "act-0-0",
        0,
        "task act-0-0 cancelled: by the workflow",
        None,
    ]


def test_an_activity_that_is_to_be_cancelled_may_end_all_the_same() -> None:
    story = Story(cancelling(lambda act, sub: act()))
    (id,) = story.first(lambda: story.scheduled_activity("act-0-0"))
    story.add("WorkflowExecutionSignaled", signalName="go")
    story.decide()
    story.add("ActivityTaskCompleted", scheduledEventId=id, result="5")  # while it was decided
    story.complete()
    story.add("RequestCancelActivityTaskFailed", activityId="act-0-0", cause="ACTIVITY_ID_UNKNOWN")
    assert story.end() == 5


def test_a_call_in_flight_is_cancelled_once_it_is_there() -> None:
    story = Story(cancelling(lambda act, sub: act()))
    story.decide()
    story.add("WorkflowExecutionSignaled", signalName="go")  # lands before the decision
    story.complete()
    story.scheduled_activity("act-0-0")
    types = [type for type, _ in story.decide()]
    assert types == ["RequestCancelActivityTask", "CompleteWorkflowExecution"]


def test_a_child_is_cancelled() -> None:
    story = Story(cancelling(lambda act, sub: sub()))
    (id,) = story.first(lambda: story.initiated("sub-0-0"))
    story.add(
        "ChildWorkflowExecutionStarted",
        initiatedEventId=id,
        workflowExecution={"workflowId": "wid-x-sub-0-0", "runId": "r7"},
    )
    story.add("WorkflowExecutionSignaled", signalName="go")
    ((type, says),) = story.decide()
    assert type == "RequestCancelExternalWorkflowExecution"
    assert says == {"workflowId": "wid-x-sub-0-0", "control": "sub-0-0"}
    story.complete()
    at = story.add("RequestCancelExternalWorkflowExecutionInitiated", workflowId="x", control="sub-0-0")
    story.add("ExternalWorkflowExecutionCancelRequested", initiatedEventId=at)
    story.add("ChildWorkflowExecutionCanceled", initiatedEventId=id)
    assert story.end()[0] == "TaskCancelled"


def test_a_child_that_cannot_be_cancelled_tells_its_end() -> None:
    story = Story(cancelling(lambda act, sub: sub()))
    (id,) = story.first(lambda: story.initiated("sub-0-0"))
    story.add("WorkflowExecutionSignaled", signalName="go")
    story.decide()
    story.add("ChildWorkflowExecutionCompleted", initiatedEventId=id, result="2")
    story.complete()
    story.add(
        "RequestCancelExternalWorkflowExecutionFailed",
        workflowId="x",
        control="sub-0-0",
        initiatedEventId=0,
        cause="UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION",
    )
    assert story.end() == 2


@pytest.mark.parametrize("fired", [True, False])
def test_a_timer_is_cancelled(fired: bool) -> None:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        timer = flowy.timer(9)
        flowy.wait(flowy.signal("go"))
        flowy.cancel(timer)
        return [look(timer), look(act())]

    story = Story(body)
    (at,) = story.first(lambda: story.add("TimerStarted", timerId="@timer-0-0"))
    story.add("WorkflowExecutionSignaled", signalName="go")
    types = [type for type, _ in story.decide()]
    assert sorted(types) == ["CancelTimer", "ScheduleActivityTask"]
    if fired:
        story.add("TimerFired", timerId="@timer-0-0", startedEventId=at)
    story.complete()
    id = 0
    for type in types:
        if type == "ScheduleActivityTask":
            id = story.scheduled_activity("act-0-0")
        elif fired:
            story.add("CancelTimerFailed", timerId="@timer-0-0", cause="TIMER_ID_UNKNOWN")
        else:
            story.add("TimerCanceled", timerId="@timer-0-0", startedEventId=at)
    story.add("ActivityTaskCompleted", scheduledEventId=id, result="5")
    cancelled, value = story.end()
    assert (cancelled[0], value) == ("TaskCancelled", 5)


def test_a_cancel_request_is_raised_where_the_workflow_waits_and_it_may_clean_up() -> None:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        try:
            flowy.wait(act("work"))
        except flowy.CancelRequested:
            flowy.wait(act("clean up"))
            raise

    story = Story(body)
    story.first(lambda: story.scheduled_activity("act-0-0", '[["work"], {}]'))
    story.add("WorkflowExecutionCancelRequested", cause="CHILD_POLICY_APPLIED")
    ((type, says),) = story.decide()
    assert (type, says["input"]) == ("ScheduleActivityTask", '[["clean up"], {}]')
    story.complete()
    id = story.scheduled_activity("act-1-0", '[["clean up"], {}]')
    story.add("ActivityTaskCompleted", scheduledEventId=id)
    assert story.end() == ("CancelWorkflowExecution", {})


def test_a_cancel_that_nobody_asked_for_is_a_failure() -> None:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        raise flowy.CancelRequested("by itself")

    assert Story(body).end() == ("FailWorkflowExecution", {"reason": "by itself"})


def test_a_failure_of_the_code_tells_where_it_was(caplog: pytest.LogCaptureFixture) -> None:
    def body(*given: Any) -> Any:
        return [][n]  # here

    n = 3
    assert Story(body).end() == ("FailWorkflowExecution", {"reason": "list index out of range"})
    assert " has failed:\nTraceback" in caplog.text
    assert "in body\n    return [][n]  # here\n" in caplog.text
    assert "IndexError: list index out of range" in caplog.text
    assert "_sched" not in caplog.text


# signals


@pytest.mark.parametrize(
    ("input", "value"), [({"input": "[1, 2]"}, [1, 2]), ({"input": "no JSON"}, "no JSON"), ({}, None)]
)
def test_a_signal_comes(input: dict[str, str], value: Any) -> None:
    story = Story(lambda act, sub, fun: flowy.wait(flowy.signal("go")))
    story.add("WorkflowExecutionSignaled", signalName="other", input="1")
    story.add("WorkflowExecutionSignaled", signalName="go", **input)
    assert story.end() == value


def test_a_signal_to_another_execution() -> None:
    story = Story(lambda act, sub, fun: look(flowy.send_signal("elsewhere", "hello", [1], run_id="r")))
    says = {
        "signalName": "hello",
        "input": "[1]",
        "control": "@send-0-0",
        "workflowId": "elsewhere",
        "runId": "r",
    }
    assert story.decide() == [("SignalExternalWorkflowExecution", says)]
    story.complete()
    at = story.add("SignalExternalWorkflowExecutionInitiated", **says)
    story.add("ExternalWorkflowExecutionSignaled", initiatedEventId=at)
    assert story.end() is None


def test_a_signal_to_another_execution_that_is_not_there() -> None:
    story = Story(lambda act, sub, fun: look(flowy.send_signal("elsewhere", "hello")))
    (at,) = story.first(
        lambda: story.add(
            "SignalExternalWorkflowExecutionInitiated",
            control="@send-0-0",
            workflowId="elsewhere",
            signalName="hello",
        )
    )
    story.add(
        "SignalExternalWorkflowExecutionFailed",
        initiatedEventId=at,
        control="@send-0-0",
        cause="UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION",
    )
    assert "UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION" in story.end()[3]


def test_a_signal_to_a_child_waits_for_its_start() -> None:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        child = sub()
        sent = flowy.send_signal(child, "hello", 1)
        return [flowy.wait(child), look(sent), look(flowy.send_signal(child, "late"))]

    story = Story(body)
    assert [type for type, _ in story.decide()] == ["StartChildWorkflowExecution"]
    story.complete()
    id = story.initiated("sub-0-0")
    story.add(
        "ChildWorkflowExecutionStarted",
        initiatedEventId=id,
        workflowExecution={"workflowId": "wid-x-sub-0-0", "runId": "r7"},
    )
    ((type, says),) = story.decide()
    assert type == "SignalExternalWorkflowExecution"
    assert says["workflowId"] == "wid-x-sub-0-0"
    assert "runId" not in says  # it may continue as new
    story.complete()
    at = story.add("SignalExternalWorkflowExecutionInitiated", **says)
    story.add("ExternalWorkflowExecutionSignaled", initiatedEventId=at)
    story.add("ChildWorkflowExecutionCompleted", initiatedEventId=id, result="4")
    value, sent, late = story.end()
    assert (value, sent) == (4, None)
    assert "is over" in late[3]


# time, chance, side effects, changes


def test_time_is_that_of_the_event_however_it_is_written() -> None:
    stamps: list[Any] = [1.5, "2016-07-15T00:00:00.500000+00:00", "2016-07-15T00:00:00.500Z"]
    for stamp in stamps:
        story = Story(lambda act, sub, fun: [flowy.wait(flowy.signal("go")), flowy.now()][1])
        story.add("WorkflowExecutionSignaled", time=stamp, signalName="go")
        if isinstance(stamp, str):
            assert story.end() == datetime(2016, 7, 15, 0, 0, 0, 500000, timezone.utc)
        else:
            assert story.end() == datetime(1970, 1, 1, 0, 0, 1, 500000, timezone.utc)


def test_delays_are_whole_seconds_never_shorter_than_asked() -> None:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        flowy.wait([flowy.timer(0), flowy.timer(0.2), flowy.timer(3)])

    assert [says["startToFireTimeout"] for _, says in Story(body).decide()] == ["0", "1", "3"]


def test_side_effects_are_asked_once_and_recorded() -> None:
    answers = iter(range(100))

    def body(act: Any, sub: Any, fun: Any) -> Any:
        value = flowy.side_effect(lambda: (next(answers), 2))
        flowy.wait(act())
        return value

    story = Story(body)
    story.add("DecisionTaskStarted")
    made = {next(iter(one.values())): one for one in story.worker.decide(story.task())}
    marker = made["RecordMarker"]["recordMarkerDecisionAttributes"]
    assert serialization.loads(marker["details"]) == (0, 2)
    story.context = None
    story.complete()
    id = story.scheduled_activity("act-0-0")
    story.add("MarkerRecorded", **marker)
    story.add("ActivityTaskCompleted", scheduledEventId=id)
    assert story.end() == (0, 2)
    assert next(answers) == 1


def test_a_recorded_side_effect_is_what_a_replay_gets() -> None:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        return [flowy.side_effect(lambda: 1 / 0), flowy.wait(flowy.signal("go"))]

    story = Story(body)
    scheduled = story.add("DecisionTaskScheduled")
    started = story.add("DecisionTaskStarted", scheduledEventId=scheduled)
    story.previous = started
    story.add("DecisionTaskCompleted", startedEventId=started, scheduledEventId=scheduled)
    story.add("MarkerRecorded", markerName="flowy-note-0", details='{" t": [4]}')
    story.add("MarkerRecorded", markerName="somebody else's", details="…")
    story.add("WorkflowExecutionSignaled", signalName="go")
    assert story.end() == [(4,), None]


def test_chance_is_another_in_each_run_and_the_same_when_it_is_rebuilt() -> None:
    story = Story(lambda act, sub, fun: [flowy.uuid4(), flowy.random()])
    decisions = story.decide()
    assert [type for type, _ in decisions] == ["RecordMarker", "CompleteWorkflowExecution"]
    other = dict(story.task(), workflowExecution={"workflowId": "wid", "runId": "another"})
    assert story.fresh.decide(other)[1] != story.fresh.decide(story.task())[1]


def test_a_change_is_taken_by_new_runs_and_not_by_those_that_came_by_before() -> None:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        flowy.wait(act())
        new = flowy.changed("two acts")
        return look(act(2 if new else 1))

    story = Story(body)
    (id,) = story.first(lambda: story.scheduled_activity("act-0-0"))
    story.add("ActivityTaskCompleted", scheduledEventId=id)
    decisions = dict(story.decide())
    assert decisions["RecordMarker"] == {"markerName": "flowy-change-two acts", "details": "two acts"}
    assert decisions["ScheduleActivityTask"]["input"] == "[[2], {}]"
    story.worker.forget(story.task())
    story.complete()
    story.scheduled_activity("act-1-0", "[[1], {}]")  # what the code before the change had asked for
    swf.replay(story.events, story.worker)
    story.add("WorkflowExecutionSignaled", signalName="any")
    assert story.decide() == []


def test_a_recorded_change_stays() -> None:
    story = Story(lambda act, sub, fun: [flowy.changed("x"), flowy.wait(flowy.signal("go"))])
    ((type, says),) = story.decide()
    assert type == "RecordMarker"
    story.complete()
    story.add("MarkerRecorded", **says)
    story.add("WorkflowExecutionSignaled", signalName="go")
    assert story.end() == [True, None]


def test_to_continue_is_suggested_by_the_length_that_the_history_will_have() -> None:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        done = 0
        while not flowy.continue_suggested():
            act(done)
            done += 1
        return flowy.restart(done)

    story = Story(body, limits=swf.Limits(continue_at=60))
    ((type, says),) = story.decide()
    assert type == "ContinueAsNewWorkflowExecution"
    assert 5 <= serialization.load_call(says["input"])[0][0] <= 10


# decision tasks


def test_a_lost_decision_is_made_again() -> None:
    story = Story(of_act)
    first = story.decide()
    started = len(story.events)
    story.add(
        "DecisionTaskTimedOut",
        startedEventId=started,
        scheduledEventId=started - 1,
        timeoutType="START_TO_CLOSE",
    )
    assert story.decide() == first
    assert story.worker.kept.hits == 0  # the kept one was not at the task's previous decision


def test_a_decision_task_that_nobody_took_changes_nothing() -> None:
    story = Story(of_act)
    scheduled = story.add("DecisionTaskScheduled")
    story.add(
        "DecisionTaskTimedOut",
        startedEventId=0,
        scheduledEventId=scheduled,
        timeoutType="SCHEDULE_TO_START",
    )
    assert [type for type, _ in story.decide()] == ["ScheduleActivityTask"]


def test_events_that_land_during_a_decision_come_after_it() -> None:
    story = Story(lambda act, sub, fun: [flowy.wait(act()), flowy.wait(flowy.signal("go"))])
    story.decide()
    story.add("WorkflowExecutionSignaled", signalName="go", input="3")
    story.complete()
    id = story.scheduled_activity("act-0-0")
    story.add("ActivityTaskCompleted", scheduledEventId=id, result="2")
    assert story.end() == [2, 3]


@pytest.mark.parametrize(
    "type",
    [
        "CompleteWorkflowExecution",
        "FailWorkflowExecution",
        "ContinueAsNewWorkflowExecution",
        "CancelWorkflowExecution",
    ],
)
def test_a_close_that_raced_with_an_event_is_answered_again(type: str) -> None:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        if type.startswith("Fail"):
            raise ValueError("no")
        if type.startswith("Cancel"):
            flowy.wait(flowy.signal("never"))
        return flowy.restart() if type.startswith("Continue") else 1

    story = Story(body)
    story.add("WorkflowExecutionCancelRequested")
    first = story.decide()
    assert first[0][0] == type
    story.add("WorkflowExecutionSignaled", signalName="late")
    story.complete()
    story.add(f"{type}Failed", cause="UNHANDLED_DECISION")
    assert story.decide() == first


def test_a_close_that_is_not_allowed_becomes_a_failure_and_then_nothing() -> None:
    story = Story(lambda act, sub, fun: flowy.restart())
    story.decide()
    story.complete()
    story.add("ContinueAsNewWorkflowExecutionFailed", cause="WORKFLOW_TYPE_DEPRECATED")
    reason = "ContinueAsNewWorkflowExecution was refused: WORKFLOW_TYPE_DEPRECATED"
    assert story.decide() == [("FailWorkflowExecution", {"reason": reason})]
    story.complete()
    story.add("FailWorkflowExecutionFailed", cause="OPERATION_NOT_PERMITTED")
    assert story.decide() == []


def test_a_restart_that_was_throttled_is_tried_again_later() -> None:
    story = Story(lambda act, sub, fun: flowy.restart())
    first = story.decide()
    story.complete()
    story.add(
        "ContinueAsNewWorkflowExecutionFailed", cause="CONTINUE_AS_NEW_WORKFLOW_EXECUTION_RATE_EXCEEDED"
    )
    ((type, says),) = story.decide()
    assert (type, says["timerId"]) == ("StartTimer", "@again-1")
    story.complete()
    at = story.add("TimerStarted", timerId="@again-1")
    story.add("TimerFired", timerId="@again-1", startedEventId=at)
    assert story.decide() == first


def test_a_restart_takes_all_along() -> None:
    story = Story(lambda act, sub, fun: flowy.restart(1))
    same = {
        "childPolicy": "ABANDON",
        "executionStartToCloseTimeout": "9",
        "taskStartToCloseTimeout": "NONE",
        "taskList": {"name": "tl"},
        "taskPriority": "-3",
        "tagList": ["a", "b"],
        "lambdaRole": "arn:aws:iam::1:role/x",
    }
    story.events[0]["workflowExecutionStartedEventAttributes"].update(same)
    (decision,) = story.decide()
    assert decision == (
        "ContinueAsNewWorkflowExecution",
        {**same, "input": "[[1], {}]", "workflowTypeVersion": "1"},
    )


# what does not work out


def test_an_input_that_cannot_be_read_fails_the_execution() -> None:
    type, says = Story(of_act, input="{nonsense").end()
    assert type == "FailWorkflowExecution"
    assert "input can't be read" in says["reason"]


def test_an_absent_input_is_no_arguments() -> None:
    assert [type for type, _ in Story(of_act, input=None).decide()] == ["ScheduleActivityTask"]


def test_a_workflow_that_is_not_known_comes_again_later() -> None:
    story = Story(of_act)
    task = story.task()
    task["workflowType"] = {"name": "Other", "version": "9"}
    (decision,) = story.worker.decide(task)
    says = decision["startTimerDecisionAttributes"]
    assert says["timerId"].startswith("@unknown-")
    at = story.add("TimerStarted", **says)
    task = dict(story.task(), workflowType=task["workflowType"])
    assert story.worker.decide(task) == []
    story.add("TimerFired", timerId=says["timerId"], startedEventId=at)
    (later,) = story.worker.decide(dict(story.task(), workflowType=task["workflowType"]))
    assert int(later["startTimerDecisionAttributes"]["startToFireTimeout"]) > int(
        says["startToFireTimeout"]
    )


def test_a_decider_that_knows_it_goes_on_after_one_that_did_not() -> None:
    story = Story(of_act)
    started = story.add("DecisionTaskStarted")
    story.previous = started
    story.add("DecisionTaskCompleted", startedEventId=started)
    at = story.add("TimerStarted", timerId="@unknown-2")
    story.add("TimerFired", timerId="@unknown-2", startedEventId=at)
    assert [type for type, _ in story.decide()] == ["ScheduleActivityTask"]


def test_reasons_and_details_are_cut_with_a_mark() -> None:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        raise ValueError("x" * 40_000)

    _, says = Story(body).end()
    assert len(says["reason"]) == 256
    assert len(says["details"]) == 32_768
    assert says["reason"].endswith("… (cut)")
    assert says["details"].endswith("… (cut)")


def test_arguments_and_results_that_are_no_json_are_told() -> None:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        return [look(act(object()))[3], look(act({1: 2}))[3], look(act(float("nan")))[3]]

    first, second, third = Story(body).end()
    assert "args[0] is an object" in first
    assert "keys of JSON are strings" in second
    assert "nan" in third
    _, says = Story(lambda act, sub, fun: object()).end()
    assert "can't travel" in says["reason"]


# payloads


def test_long_texts_are_refused_without_a_store() -> None:
    assert "payloads=" in Story(lambda act, sub, fun: look(act("x" * 32_768))).end()[3]
    type, says = Story(lambda act, sub, fun: "x" * 32_768).end()
    assert type == "FailWorkflowExecution"
    assert "32,770 characters" in says["reason"]


def test_long_texts_travel_through_a_store(tmp_path: Path) -> None:
    long = "x" * 50_000
    story = Story(lambda act, sub, fun: flowy.wait(act(long)) + "!", payloads=tmp_path)
    ((_, says),) = story.decide()
    assert len(says["input"]) < 200
    store = swf.FolderPayloads(tmp_path)
    from flowy.swf import payloads

    assert serialization.load_call(payloads.unpack(says["input"], store)) == ((long,), {})
    story.complete()
    id = story.scheduled_activity("act-0-0", says["input"])
    story.add(
        "ActivityTaskCompleted",
        scheduledEventId=id,
        result=payloads.pack(serialization.dumps(long), "x", store),
    )
    ((_, says),) = story.decide()
    assert serialization.loads(payloads.unpack(says["result"], store)) == long + "!"
    swf.replay(story.events, story.worker)
    with pytest.raises(KeyError):
        store.get("../../etc/passwd")


def test_a_store_that_fails_makes_no_decision_and_no_task_error() -> None:
    class Broken:
        def put(self, key: str, text: str) -> None:
            raise OSError("no network")

        def get(self, key: str) -> str:
            raise OSError("no network")

    story = Story(lambda act, sub, fun: look(act("x" * 50_000)), payloads=Broken())
    with pytest.raises(OSError, match="no network"):
        story.decide()
    assert len(story.worker.kept) == 0


def test_a_missing_store_is_no_fault_of_the_execution(tmp_path: Path) -> None:
    from flowy.swf import payloads

    story = Story(lambda act, sub, fun, text: 1, input=payloads.reference("x" * 40_000))
    with pytest.raises(OSError, match="payloads="):
        story.decide()
    with pytest.raises(OSError, match="absent"):
        swf.FolderPayloads(tmp_path / "absent").get("0" * 64)


def test_an_interrupt_is_not_of_the_workflow() -> None:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Story(body).decide()


def test_the_same_task_twice_and_an_old_one_get_the_same_answers() -> None:
    story = Story(of_act)
    first = story.decide()
    task = story.task()
    assert [story.worker.decide(task) for _ in range(2)][1] == story.fresh.decide(task)
    story.complete()
    id = story.scheduled_activity("act-0-0")
    story.add("ActivityTaskCompleted", scheduledEventId=id, result="1")
    assert story.end() == 1
    again = [
        (one["decisionType"], one["scheduleActivityTaskDecisionAttributes"])
        for one in story.worker.decide(task)
    ]
    assert again == first


# limits


def test_a_response_keeps_to_a_hundred_decisions_and_the_rest_comes_at_once() -> None:
    story = Story(
        lambda act, sub, fun: len([flowy.wait(r) for r in [act(i) for i in range(250)]]), rate_limit=None
    )
    sent: list[str] = []
    for wanted in (99, 99, 52):
        decisions = story.decide()
        tasks = [says for type, says in decisions if type == "ScheduleActivityTask"]
        more = [says for type, says in decisions if type == "StartTimer"]
        assert len(decisions) <= 100
        assert len(more) == (wanted == 99)
        story.complete()
        for says in tasks:
            sent.append(says["activityId"])
            story.scheduled_activity(says["activityId"], says["input"])
        for says in more:
            assert says["startToFireTimeout"] == "0"
            at = story.add("TimerStarted", **says)
            story.add("TimerFired", timerId=says["timerId"], startedEventId=at)
    assert sent == [f"act-{i}-0" for i in range(250)]
    assert story.decide() == []


def test_a_response_keeps_to_a_megabyte() -> None:
    def body(act: Any, sub: Any, fun: Any) -> Any:
        flowy.wait([act('"' * 16_000) for _ in range(60)])

    story = Story(body, rate_limit=None)
    decisions = story.decide()
    assert len(json.dumps(decisions)) < 1_000_000
    assert decisions[-1][0] == "StartTimer"
    assert 10 < len(decisions) < 60


@pytest.mark.parametrize(("rate", "most"), [(None, 1000), (5, 5)])
def test_no_more_is_open_than_may_be(rate: int | None, most: int) -> None:
    story = Story(
        lambda act, sub, fun: len([flowy.wait(r) for r in [act(i) for i in range(1100)]]),
        rate_limit=rate,
        limits=swf.Limits(decisions=5000),
    )
    decisions = story.decide()
    assert len(decisions) == most
    assert story.context == f"waiting: {1100 - most}"
    story.complete()
    ids = [story.scheduled_activity(says["activityId"], says["input"]) for _, says in decisions]
    for id in ids[:3]:
        story.add("ActivityTaskCompleted", scheduledEventId=id, result="1")
    assert len(story.decide()) == 3


# kept runs


def test_a_kept_run_goes_on_only_where_it_stands() -> None:
    story = Story(of_act)
    (id,) = story.first(lambda: story.scheduled_activity("act-0-0"))
    story.add("ActivityTaskCompleted", scheduledEventId=id, result="1")
    story.add("DecisionTaskScheduled")
    story.add("DecisionTaskStarted")
    task = story.task()
    whole = task["events"]
    with pytest.raises(swf.Incomplete):
        story.fresh.decide(dict(task, events=whole[story.previous - 1 :]))
    for spoilt in (
        dict(task, previousStartedEventId=0),
        dict(task, events=whole[story.previous - 1 : -2] + whole[-1:]),
        dict(task, events=whole[story.previous + 3 :]),
        dict(task, workflowExecution={"workflowId": "wid", "runId": "other"}, events=whole[2:]),
    ):
        worker = swf.SWFWorkflowWorker()
        worker.workflows = story.worker.workflows
        worker.decide(dict(task, events=whole[:3], startedEventId=3, previousStartedEventId=0))
        if len(spoilt["events"]) < len(whole):
            with pytest.raises(swf.Incomplete):
                worker.decide(spoilt)
        else:
            worker.decide(spoilt)
        assert worker.kept.hits == 0
        assert (
            ("wid", "rid") not in worker.kept
            or spoilt["workflowExecution"]["runId"] == "other"
            or len(spoilt["events"]) == len(whole)
        )
        worker.kept.clear()
    assert story.worker.decide(dict(task, events=whole[story.previous - 1 :])) == story.fresh.decide(
        task
    )
    assert story.worker.kept.hits == 1


def test_kept_runs_are_bounded_by_count_and_by_memory() -> None:
    for bounds in ({"count": 3}, {"memory": 100_000}):
        kept = swf.KeptRuns(**bounds)
        story = Story(of_act, keep=kept)
        for n in range(20):
            task = story.task()
            task["workflowExecution"] = {"workflowId": str(n), "runId": "r"}
            story.worker.decide(task)
        assert 1 <= len(kept) <= 5
        assert ("19", "r") in kept
        assert kept.used <= 100_000
        kept.clear()
        assert kept.used == 0


def test_the_threads_of_deciders_do_not_share_runs() -> None:
    story = Story(of_act)
    story.first(lambda: story.scheduled_activity("act-0-0"))
    story.add("WorkflowExecutionSignaled", signalName="x")
    story.add("DecisionTaskStarted")
    out: list[Any] = []
    thread = threading.Thread(target=lambda: out.append(story.worker.decide(story.task())))
    thread.start()
    thread.join()
    assert out == [[]]
    assert story.worker.kept.hits == 0


# configuration


def test_configurations_are_bound_as_decorators_and_found_by_a_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("venusian")
    (tmp_path / "found_by_scan.py").write_text(
        "from flowy import swf\n"
        "config, activity = swf.SWFWorkflowConfig(), swf.SWFActivityConfig()\n"
        "@config(version=2)\nclass Found:\n    def __call__(self): return 1\n"
        "@config(version=3, name='Named')\nclass Other:\n    def __call__(self): return 2\n"
        "@activity(version=1)\ndef no_workflow(): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("found_by_scan")
    worker = swf.SWFWorkflowWorker()
    worker.scan(package=module)
    assert sorted(worker.workflows) == [("Found", "2"), ("Named", "3")]
    assert module.Found()() == 1


def test_what_is_configured_is_checked() -> None:
    config = swf.SWFWorkflowConfig(
        default_workflow_duration=60.2, default_child_policy="ABANDON", default_priority=3
    )
    assert config.defaults == {
        "defaultExecutionStartToCloseTimeout": "61",
        "defaultChildPolicy": "ABANDON",
        "defaultTaskPriority": "3",
    }
    config.conf_activity("a", version=1, heartbeat="none", start_to_close=5, task_list="tl")
    assert config.calls["a"].attributes == {
        "heartbeatTimeout": "NONE",
        "startToCloseTimeout": "5",
        "taskList": {"name": "tl"},
    }
    bad: list[Callable[[], Any]] = [
        lambda: config.conf_activity("a", version=1),
        lambda: config.conf_activity("no name", version=1),
        lambda: config.conf_activity("b", version=None),
        lambda: config.conf_activity("b", version="x" * 65),
        lambda: config.conf_activity("b", version=1, name="a:b"),
        lambda: config.conf_activity("b", version=1, heartbeat=-1),
        lambda: config.conf_activity("b", version=1, start_to_close="soon"),
        lambda: config.conf_activity("b", version=1, retry=()),
        lambda: config.conf_workflow("b", version=1, child_policy="KILL"),
        lambda: config.conf_workflow("b", version=1, tags=list("abcdef")),
        lambda: swf.SWFWorkflowConfig(rate_limit=0),
        lambda: swf.SWFActivityConfig(default_task_list=""),
        lambda: swf.SWFWorkflowWorker(payloads=3),  # type: ignore[arg-type]
        lambda: swf.SWFWorkflowWorker().register(config, lambda: 1, version=1),
    ]
    for attempt in bad:
        with pytest.raises(flowy.UsageError):
            attempt()


def test_other_arguments_than_the_history_has_are_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    story = Story(lambda act, sub, fun: look(flowy.wait([act(1), act(2)])[0]))
    story.first(
        lambda: story.scheduled_activity("act-0-0", "[[7],{}]"),
        lambda: story.scheduled_activity("act-1-0", "[[ 2 ], {}]"),
    )
    with caplog.at_level(logging.WARNING, "flowy.swf"):
        story.worker.decide(dict(story.task(), events=story.events))
    assert len([r for r in caplog.records if "act-0-0" in r.getMessage()]) == 1
    assert "act-1-0" not in caplog.text
