"""Scenarios of decision tasks, timers, markers, Lambda, and signals to others."""

from __future__ import annotations

from typing import Any

from swf_scenarios.bench import (
    COMPLETE,
    LIST,
    Bench,
    attributes,
    decision,
    scenario,
    schedule,
    timer,
)


@scenario()
def one_at_a_time(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    first = bench.poll(identity="me")
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="a")
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="b")
    assert bench.waiting("Decision") == 0  # one is scheduled, and not to be had before this one ends
    bench.respond(first, decision("RecordMarker", markerName="m"))
    assert bench.waiting("Decision") == 1
    types = [event["eventType"] for event in bench.history("one", run_id)]
    assert types == [
        "WorkflowExecutionStarted",
        "DecisionTaskScheduled",
        "DecisionTaskStarted",
        "WorkflowExecutionSignaled",  # what came meanwhile stands before what was decided
        "DecisionTaskScheduled",
        "WorkflowExecutionSignaled",
        "DecisionTaskCompleted",
        "MarkerRecorded",
    ]
    second = bench.poll()
    assert second["previousStartedEventId"] == first["startedEventId"] == 3
    started = attributes(bench.history("one", run_id)[2])
    assert started == {"scheduledEventId": 2, "identity": "me"}
    with bench.refused("UnknownResourceFault"):
        bench.respond(first)
    bench.respond(second, COMPLETE)
    with bench.refused("UnknownResourceFault"):
        bench.respond(second)


@scenario()
def decision_time_out(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start("one", taskStartToCloseTimeout="10")
    task = bench.poll()
    bench.advance(10)
    said, _ = bench.latest("one", run_id, "DecisionTaskTimedOut", "DecisionTaskScheduled")
    assert said == {"timeoutType": "START_TO_CLOSE", "scheduledEventId": 2, "startedEventId": 3}
    with bench.refused("UnknownResourceFault"):
        bench.respond(task, COMPLETE)
    again = bench.poll()
    assert again["previousStartedEventId"] == 0  # none was completed
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    bench.advance(10)  # one was scheduled meanwhile: not another
    bench.latest(
        "one", run_id, "WorkflowExecutionSignaled", "DecisionTaskScheduled", "DecisionTaskTimedOut"
    )
    bench.decide(COMPLETE)


@scenario()
def own_list(bench: Bench) -> None:
    """A decider has the next task in a list of its own, for a while."""
    bench.set_up()
    run_id = bench.start()
    own: dict[str, Any] = {"taskList": {"name": "own"}, "taskListScheduleToStartTimeout": "5"}
    bench.decide(**own)
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    (said,) = bench.latest("one", run_id, "DecisionTaskScheduled")
    assert said == {
        "taskList": {"name": "own"},
        "scheduleToStartTimeout": "5",
        "startToCloseTimeout": "100",
    }
    completed = attributes(bench.history("one", run_id)[3])
    assert completed == {"scheduledEventId": 2, "startedEventId": 3, **own}
    bench.respond(bench.poll("own"))  # says nothing of lists: it stays as it is
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    assert bench.waiting("Decision", "own") == 1
    bench.advance(5)  # nobody takes it in time: back to the list it was started with
    said, scheduled = bench.latest("one", run_id, "DecisionTaskTimedOut", "DecisionTaskScheduled")
    assert said["timeoutType"] == "SCHEDULE_TO_START"
    assert said["startedEventId"] == 0
    assert scheduled == {"taskList": LIST, "startToCloseTimeout": "100"}
    assert bench.waiting("Decision", "own") == 0
    bench.decide(**own)
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    bench.poll("own")
    bench.advance(100)  # taken and not answered: back as well
    said, scheduled = bench.latest("one", run_id, "DecisionTaskTimedOut", "DecisionTaskScheduled")
    assert said["timeoutType"] == "START_TO_CLOSE"
    assert scheduled["taskList"] == LIST


@scenario()
def own_list_for_good(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(taskList={"name": "own"})
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    bench.advance(5000)
    bench.poll("own")
    bench.advance(100)
    _, scheduled = bench.latest("one", run_id, "DecisionTaskTimedOut", "DecisionTaskScheduled")
    assert scheduled["taskList"] == {"name": "own"}


@scenario()
def own_list_while_news_waits(bench: Bench) -> None:
    """What was scheduled before the list changed stays in the list that its event names."""
    bench.set_up()
    run_id = bench.start()
    task = bench.poll()
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    bench.respond(task, taskList={"name": "own"}, taskListScheduleToStartTimeout="5")
    bench.decide()
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    bench.respond(bench.poll("own"), COMPLETE)
    assert bench.status("one", run_id) == "COMPLETED"


@scenario()
def own_list_after_long_thought(bench: Bench) -> None:
    """The time to start a task counts from when it can be had."""
    bench.set_up()
    run_id = bench.start()
    bench.decide(taskList={"name": "own"}, taskListScheduleToStartTimeout="5")
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    task = bench.poll("own")
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    bench.advance(20)
    bench.respond(task)
    bench.advance(4.9)
    assert bench.waiting("Decision", "own") == 1
    bench.advance(0.1)
    said, _ = bench.latest("one", run_id, "DecisionTaskTimedOut", "DecisionTaskScheduled")
    assert said["timeoutType"] == "SCHEDULE_TO_START"


@scenario()
def news_only(bench: Bench) -> None:
    """`startAtPreviousStartedEvent`: only what a decider that was there has not seen."""
    bench.set_up()
    bench.start()
    first = bench.poll(startAtPreviousStartedEvent=True)
    assert [event["eventId"] for event in first["events"]] == [1, 2, 3]
    bench.advance(1)
    bench.respond(first)
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    second = bench.poll(startAtPreviousStartedEvent=True)
    ids = [event["eventId"] for event in second["events"]]
    assert ids[-1] == second["startedEventId"] == 7
    # By its time: what happened at the same moment as that event may come along.
    assert ids == list(range(ids[0], 8))
    assert ids[0] <= second["previousStartedEventId"] == 3
    bench.advance(1)
    bench.respond(second)
    bench.advance(1)
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    bench.advance(1)
    third = bench.poll(startAtPreviousStartedEvent=True, maximumPageSize=1)
    assert third["events"][0]["eventId"] in range(4, 8)
    assert "nextPageToken" in third


@scenario()
def bad_responses(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    task = bench.poll()
    wrong: tuple[list[Any], ...] = (
        [COMPLETE, decision("RecordMarker", markerName="m")],
        [COMPLETE, COMPLETE],
        [decision("StartTimer")],
        [decision("StartTimer", timerId="t", startToFireTimeout="x")],
        [decision("StartTimer", timerId="t", startToFireTimeout="1.5")],
        [decision("StartTimer", timerId="t", startToFireTimeout="NONE")],
        [decision("StartTimer", timerId="t" * 257, startToFireTimeout="1")],
        [decision("StartTimer", timerId="", startToFireTimeout="1")],
        [decision("NoSuchDecision")],
        [decision("RecordMarker", markerName="m", details="x" * 32769)],
        [schedule("a", heartbeatTimeout="often")],
        [schedule("a", taskPriority="1e3")],
        [decision("FailWorkflowExecution", reason="x" * 257)],
    )
    for decisions in wrong:
        with bench.refused("ValidationException"):
            bench.respond(task, *decisions)
    if bench.sends_unknown_members:
        with bench.refused("SerializationException"):
            bench.respond(task, decision("NoSuchDecision", timerId="t"))
    with bench.refused("ValidationException", "Invalid token"):
        bench.call("RespondDecisionTaskCompleted", taskToken="made up")
    with bench.refused("ValidationException"):
        bench.respond(task, taskListScheduleToStartTimeout="5")
    assert len(bench.history("one", run_id)) == 3  # nothing of it was done
    bench.respond(task, COMPLETE)


@scenario()
def timers(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(
        decision("StartTimer", timerId="a", startToFireTimeout="30", control="c"),
        timer("b", 20),
        timer("b", 1),
        timer("c", 40),
        decision("CancelTimer", timerId="c"),
        decision("CancelTimer", timerId="never"),
    )
    events = bench.history("one", run_id)[3:]
    assert [event["eventType"] for event in events] == [
        "DecisionTaskCompleted",
        "TimerStarted",
        "TimerStarted",
        "StartTimerFailed",
        "TimerStarted",
        "TimerCanceled",
        "CancelTimerFailed",
        "DecisionTaskScheduled",
    ]
    assert attributes(events[1]) == {
        "timerId": "a", "startToFireTimeout": "30", "control": "c", "decisionTaskCompletedEventId": 4,
    }  # fmt: skip
    failed = {"timerId": "b", "cause": "TIMER_ID_ALREADY_IN_USE", "decisionTaskCompletedEventId": 4}
    assert attributes(events[3]) == failed
    assert attributes(events[5]) == {
        "timerId": "c", "startedEventId": 8, "decisionTaskCompletedEventId": 4,
    }  # fmt: skip
    assert attributes(events[6])["cause"] == "TIMER_ID_UNKNOWN"
    bench.decide()
    bench.advance(29)
    fired, _ = bench.latest("one", run_id, "TimerFired", "DecisionTaskScheduled")
    assert fired == {"timerId": "b", "startedEventId": 6}
    bench.advance(1)
    bench.latest("one", run_id, "TimerFired")
    bench.decide(timer("b", 5), timer("now", 0))  # the id is free again; 0 seconds are none
    events = bench.history("one", run_id)[-4:]
    assert [event["eventType"] for event in events] == [
        "TimerStarted", "TimerStarted", "TimerFired", "DecisionTaskScheduled",
    ]  # fmt: skip
    assert attributes(events[2])["timerId"] == "now"


@scenario()
def markers_and_lambda(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(
        decision("RecordMarker", markerName="m", details="d"),
        decision(
            "ScheduleLambdaFunction",
            id="i",
            name="arn:aws:lambda:us-east-1:123456789012:function:f",
            input="x",
        ),
        executionContext="c",
    )
    completed, marked, refused, _ = bench.latest(
        "one",
        run_id,
        "DecisionTaskCompleted",
        "MarkerRecorded",
        "ScheduleLambdaFunctionFailed",
        "DecisionTaskScheduled",
    )
    assert completed == {"executionContext": "c", "scheduledEventId": 2, "startedEventId": 3}
    assert marked == {"markerName": "m", "details": "d", "decisionTaskCompletedEventId": 4}
    assert refused == {
        "id": "i",
        "name": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "cause": "LAMBDA_SERVICE_NOT_AVAILABLE_IN_REGION",
        "decisionTaskCompletedEventId": 4,
    }


@scenario()
def external_signals(bench: Bench) -> None:
    bench.set_up()
    sender = bench.start("sender")
    bench.decide()
    target = bench.start("target")
    bench.decide()
    bench.here("SignalWorkflowExecution", workflowId="sender", signalName="go")
    bench.decide(
        decision(
            "SignalExternalWorkflowExecution",
            workflowId="target",
            runId=target,
            signalName="s",
            input="i",
            control="c",
        ),
        decision("SignalExternalWorkflowExecution", workflowId="nobody", signalName="s", control="d"),
        decision("SignalExternalWorkflowExecution", workflowId="target", runId="old", signalName="s"),
    )
    events = bench.history("sender", sender)[-7:]
    assert [event["eventType"] for event in events] == [
        "SignalExternalWorkflowExecutionInitiated",
        "SignalExternalWorkflowExecutionInitiated",
        "SignalExternalWorkflowExecutionInitiated",
        "ExternalWorkflowExecutionSignaled",
        "DecisionTaskScheduled",
        "SignalExternalWorkflowExecutionFailed",
        "SignalExternalWorkflowExecutionFailed",
    ]
    completed = events[0]["eventId"] - 1
    assert attributes(events[0]) == {
        "workflowId": "target", "runId": target, "signalName": "s", "input": "i", "control": "c",
        "decisionTaskCompletedEventId": completed,
    }  # fmt: skip
    assert attributes(events[3]) == {
        "workflowExecution": {"workflowId": "target", "runId": target},
        "initiatedEventId": events[0]["eventId"],
    }
    assert attributes(events[5]) == {
        "workflowId": "nobody",
        "cause": "UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION",
        "initiatedEventId": events[1]["eventId"],
        "decisionTaskCompletedEventId": completed,
        "control": "d",
    }
    assert attributes(events[6])["runId"] == "old"
    signaled, _ = bench.latest("target", target, "WorkflowExecutionSignaled", "DecisionTaskScheduled")
    assert signaled == {
        "signalName": "s",
        "input": "i",
        "externalWorkflowExecution": {"workflowId": "sender", "runId": sender},
        "externalInitiatedEventId": events[0]["eventId"],
    }


@scenario()
def external_cancel_requests(bench: Bench) -> None:
    bench.set_up()
    sender = bench.start("sender")
    bench.decide()
    target = bench.start("target")
    bench.decide()
    bench.here("SignalWorkflowExecution", workflowId="sender", signalName="go")
    bench.decide(
        decision("RequestCancelExternalWorkflowExecution", workflowId="target", control="c"),
        decision("RequestCancelExternalWorkflowExecution", workflowId="nobody"),
    )
    first, _, done, _, failed = bench.latest(
        "sender",
        sender,
        "RequestCancelExternalWorkflowExecutionInitiated",
        "RequestCancelExternalWorkflowExecutionInitiated",
        "ExternalWorkflowExecutionCancelRequested",
        "DecisionTaskScheduled",
        "RequestCancelExternalWorkflowExecutionFailed",
    )
    assert first["control"] == "c"
    assert done["workflowExecution"] == {"workflowId": "target", "runId": target}
    assert failed["cause"] == "UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION"
    requested, _ = bench.latest(
        "target", target, "WorkflowExecutionCancelRequested", "DecisionTaskScheduled"
    )
    assert requested["externalWorkflowExecution"] == {"workflowId": "sender", "runId": sender}
    assert requested["externalInitiatedEventId"] == done["initiatedEventId"]
