"""Scenarios of activities: scheduled, worked on, cancelled, timed out, refused."""

from __future__ import annotations

from typing import Any

from swf_scenarios.bench import (
    BARE,
    COMPLETE,
    LIST,
    WORK,
    Bench,
    attributes,
    decision,
    scenario,
    schedule,
)


@scenario()
def completed_and_failed(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(schedule("a", input="in", control="c"), schedule("b", taskPriority="7"))
    scheduled, _ = bench.latest("one", run_id, "ActivityTaskScheduled", "ActivityTaskScheduled")
    assert scheduled == {
        "activityId": "a",
        "activityType": WORK,
        "input": "in",
        "control": "c",
        "taskList": LIST,
        "scheduleToCloseTimeout": "NONE",
        "scheduleToStartTimeout": "NONE",
        "startToCloseTimeout": "NONE",
        "heartbeatTimeout": "NONE",
        "decisionTaskCompletedEventId": 4,
    }
    assert bench.waiting("Activity") == 2
    urgent = bench.work(identity="w")
    assert urgent["activityId"] == "b"
    assert "input" not in urgent
    other = bench.work()
    assert other["activityId"] == "a"
    assert other["input"] == "in"
    assert other["activityType"] == WORK
    assert other["workflowExecution"] == {"workflowId": "one", "runId": run_id}
    events = bench.history("one", run_id)
    assert attributes(events[urgent["startedEventId"] - 1]) == {"scheduledEventId": 6, "identity": "w"}
    bench.call("RespondActivityTaskCompleted", taskToken=other["taskToken"], result="r")
    said, _ = bench.latest("one", run_id, "ActivityTaskCompleted", "DecisionTaskScheduled")
    assert said == {"result": "r", "scheduledEventId": 5, "startedEventId": other["startedEventId"]}
    bench.call("RespondActivityTaskFailed", taskToken=urgent["taskToken"], reason="x", details="y")
    (said,) = bench.latest("one", run_id, "ActivityTaskFailed")
    assert said["reason"] == "x"
    assert said["details"] == "y"
    bench.decide(schedule("a"))  # the id is free again


@scenario()
def answered_once(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(schedule("a"), schedule("b"))
    task, other = bench.work(), bench.work()
    bench.call("RespondActivityTaskCompleted", taskToken=task["taskToken"])
    bench.decide(COMPLETE)
    assert bench.status("one", run_id) == "COMPLETED"
    for operation in (
        "RespondActivityTaskCompleted",
        "RespondActivityTaskFailed",
        "RespondActivityTaskCanceled",
        "RecordActivityTaskHeartbeat",
    ):
        for late in (task, other):
            with bench.refused("UnknownResourceFault"):
                bench.call(operation, taskToken=late["taskToken"])
        with bench.refused("ValidationException", "Invalid token"):
            bench.call(operation, taskToken="made up")


@scenario()
def cancelled(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(schedule("a"), schedule("b"))
    task = bench.work()
    assert bench.call("RecordActivityTaskHeartbeat", taskToken=task["taskToken"]) == {
        "cancelRequested": False
    }
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    bench.decide(
        decision("RequestCancelActivityTask", activityId="a"),
        decision("RequestCancelActivityTask", activityId="b"),
        decision("RequestCancelActivityTask", activityId="never"),
    )
    asked, also, gone, failed, _ = bench.latest(
        "one",
        run_id,
        "ActivityTaskCancelRequested",
        "ActivityTaskCancelRequested",
        "ActivityTaskCanceled",  # it had not started: nobody needs to be asked
        "RequestCancelActivityTaskFailed",
        "DecisionTaskScheduled",
    )
    completed = asked["decisionTaskCompletedEventId"]
    assert asked["activityId"] == "a"
    assert also["activityId"] == "b"
    assert gone == {
        "scheduledEventId": 6, "startedEventId": 0, "latestCancelRequestedEventId": completed + 2,
    }  # fmt: skip
    assert failed["cause"] == "ACTIVITY_ID_UNKNOWN"
    assert bench.waiting("Activity") == 0
    beat = bench.call("RecordActivityTaskHeartbeat", taskToken=task["taskToken"], details="d")
    assert beat == {"cancelRequested": True}
    bench.call("RespondActivityTaskCanceled", taskToken=task["taskToken"], details="stopped")
    (said,) = bench.latest("one", run_id, "ActivityTaskCanceled")
    assert said == {
        "details": "stopped",
        "scheduledEventId": 5,
        "startedEventId": task["startedEventId"],
        "latestCancelRequestedEventId": completed + 1,
    }


def _timed_out(bench: Bench, run_id: str, *more: str) -> dict[str, Any]:
    said = bench.latest("one", run_id, "ActivityTaskTimedOut", *more)[0]
    assert said["scheduledEventId"] == 5
    return said


@scenario()
def schedule_to_start(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(schedule("a", scheduleToStartTimeout="10", scheduleToCloseTimeout="50"))
    bench.advance(9.9)
    assert bench.waiting("Activity") == 1
    bench.advance(0.1)
    assert bench.waiting("Activity") == 0
    said = _timed_out(bench, run_id, "DecisionTaskScheduled")
    assert said == {"timeoutType": "SCHEDULE_TO_START", "scheduledEventId": 5, "startedEventId": 0}


@scenario()
def start_to_close(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(schedule("a", scheduleToStartTimeout="10", startToCloseTimeout="20"))
    bench.advance(9)
    task = bench.work()
    bench.advance(19.9)
    bench.latest("one", run_id, "ActivityTaskStarted")
    bench.advance(0.1)
    said = _timed_out(bench, run_id, "DecisionTaskScheduled")
    assert said["timeoutType"] == "START_TO_CLOSE"
    assert said["startedEventId"] == task["startedEventId"]
    with bench.refused("UnknownResourceFault"):
        bench.call("RespondActivityTaskCompleted", taskToken=task["taskToken"])


@scenario()
def schedule_to_close(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(schedule("a", scheduleToCloseTimeout="30", startToCloseTimeout="20"))
    bench.advance(15)
    bench.work()
    bench.advance(14.9)
    bench.latest("one", run_id, "ActivityTaskStarted")
    bench.advance(0.1)
    assert _timed_out(bench, run_id, "DecisionTaskScheduled")["timeoutType"] == "SCHEDULE_TO_CLOSE"


@scenario()
def heartbeat(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(schedule("a", heartbeatTimeout="10", startToCloseTimeout="100"))
    task = bench.work()
    for number in range(5):
        bench.advance(9)
        bench.call("RecordActivityTaskHeartbeat", taskToken=task["taskToken"], details=f"at {number}")
    bench.advance(9.9)
    bench.latest("one", run_id, "ActivityTaskStarted")
    bench.advance(0.1)
    said = _timed_out(bench, run_id, "DecisionTaskScheduled")
    assert said["timeoutType"] == "HEARTBEAT"
    assert said["details"] == "at 4"
    with bench.refused("UnknownResourceFault"):
        bench.call("RecordActivityTaskHeartbeat", taskToken=task["taskToken"])
    bench.decide(schedule("b"))
    bench.call("RecordActivityTaskHeartbeat", taskToken=bench.work()["taskToken"])
    bench.here("TerminateWorkflowExecution", workflowId="one")
    assert bench.status("one", run_id) == "TERMINATED"


@scenario()
def refused(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.here("RegisterActivityType", name="old", version="1")
    bench.here("DeprecateActivityType", activityType={"name": "old", "version": "1"})
    given: dict[str, Any] = {
        "taskList": LIST,
        "scheduleToCloseTimeout": "NONE",
        "scheduleToStartTimeout": "NONE",
        "startToCloseTimeout": "NONE",
        "heartbeatTimeout": "NONE",
    }
    lacking = [
        schedule(
            f"no {missing}",
            activityType=BARE,
            **{name: given[name] for name in given if name != missing},
        )
        for missing in given
    ]
    task = bench.decide(
        schedule("a"),
        schedule("a"),
        schedule("b", activityType={"name": "none", "version": "1"}),
        schedule("c", activityType={"name": "old", "version": "1"}),
        *lacking,
        schedule("all", activityType=BARE, **given),
    )
    events = bench.history("one", run_id)[task["startedEventId"] :]
    failed = [
        attributes(event) for event in events if event["eventType"] == "ScheduleActivityTaskFailed"
    ]
    assert [said["cause"] for said in failed] == [
        "ACTIVITY_ID_ALREADY_IN_USE",
        "ACTIVITY_TYPE_DOES_NOT_EXIST",
        "ACTIVITY_TYPE_DEPRECATED",
        "DEFAULT_TASK_LIST_UNDEFINED",
        "DEFAULT_SCHEDULE_TO_CLOSE_TIMEOUT_UNDEFINED",
        "DEFAULT_SCHEDULE_TO_START_TIMEOUT_UNDEFINED",
        "DEFAULT_START_TO_CLOSE_TIMEOUT_UNDEFINED",
        "DEFAULT_HEARTBEAT_TIMEOUT_UNDEFINED",
    ]
    assert failed[0] == {
        "activityId": "a",
        "activityType": WORK,
        "cause": "ACTIVITY_ID_ALREADY_IN_USE",
        "decisionTaskCompletedEventId": 4,
    }
    assert events[-2]["eventType"] == "ActivityTaskScheduled"
    assert events[-1]["eventType"] == "DecisionTaskScheduled"


@scenario()
def lists(bench: Bench) -> None:
    bench.set_up()
    bench.start()
    bench.decide(schedule("a", taskList={"name": "x"}), schedule("b"), schedule("c", taskPriority="-1"))
    assert bench.waiting("Activity", "x") == 1
    assert bench.waiting("Activity", "nobody uses") == 0
    assert [bench.work()["activityId"] for _ in range(2)] == ["b", "c"]
    assert bench.work("x")["activityId"] == "a"
    for operation in ("PollForActivityTask", "PollForDecisionTask"):
        with bench.refused("UnknownResourceFault", "Unknown domain"):
            bench.call(operation, domain="nowhere", taskList=LIST)
