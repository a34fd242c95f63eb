"""Histories made by hand: every event type, consistent ids, and no history that SWF could not have
written. That they equal what the service writes is tested in `test_swf_histories`."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flowy
from flowy.testing import HistoryBuilder

RECORDINGS = Path(__file__).parent.parent.parent / "shared" / "swf-recordings" / "swf-2016.json.gz"


def begun() -> HistoryBuilder:
    return HistoryBuilder().started()


def stories() -> dict[str, HistoryBuilder]:
    """Between them, every event type there is."""
    return {
        "activities": begun()
        .activity_scheduled("a", ("Sum", "2"), "[1]", priority=3, heartbeat_timeout=5)
        .activity_scheduled("b")
        .activity_scheduled("c")
        .activity_scheduled("d")
        .schedule_activity_failed("e")
        .activity_completed("a", "1")
        .activity_failed("b", "why", "how")
        .activity_timed_out("c", "SCHEDULE_TO_START")
        .activity_started("d")
        .activity_cancel_requested("d")
        .request_cancel_activity_failed("x")
        .activity_canceled("d", "stopped")
        .completed("1"),
        "timers": begun()
        .timer_started("t", 5)
        .start_timer_failed("t")
        .marker_recorded("m", "here")
        .record_marker_failed("n")
        .timer_started("u")
        .timer_fired("u")
        .timer_canceled("t")
        .cancel_timer_failed("t")
        .decision_timed_out()
        .failed("why", "how"),
        "children": begun()
        .child_initiated("c1", tag_list=["x"])
        .child_initiated("c2")
        .child_initiated("c3")
        .child_initiated("c4")
        .child_initiated("c5")
        .child_initiated("c6")
        .start_child_failed("c7")
        .child_started("c1", "run-c1")
        .child_completed("c1", "1")
        .child_failed("c2", "why")
        .child_timed_out("c3")
        .child_canceled("c4")
        .child_terminated("c5")
        .start_child_failed("c6", cause="OPEN_WORKFLOWS_LIMIT_EXCEEDED")
        .canceled("all"),
        "others": begun()
        .signal_external_initiated("o", "hello", run_id="r")
        .signal_external_initiated("o", "hello again")
        .request_cancel_external_initiated("o")
        .request_cancel_external_initiated("p")
        .external_signaled("o")
        .signal_external_failed("o")
        .external_cancel_requested("o", "r")
        .request_cancel_external_failed("p")
        .signaled("hi", "1", by=("o", "r"), by_event_id=5)
        .cancel_requested(cause="CHILD_POLICY_APPLIED")
        .terminated("enough", child_policy="ABANDON"),
        "lambdas": begun()
        .lambda_scheduled("f", "fun", "1", start_to_close_timeout=5)
        .lambda_scheduled("g", "fun")
        .lambda_scheduled("h", "fun")
        .lambda_scheduled("i", "fun")
        .schedule_lambda_failed("j", "fun")
        .lambda_completed("f", "1")
        .lambda_failed("g", "why")
        .lambda_timed_out("h")
        .start_lambda_failed("i")
        .timed_out(),
        "unhandled": begun()
        .decision_started()
        .signaled("s")
        .complete_failed()
        .decision_started()
        .signaled("s")
        .fail_failed()
        .decision_started()
        .signaled("s")
        .cancel_failed()
        .decision_started()
        .signaled("s")
        .continue_as_new_failed()
        .decision()
        .continued_as_new(input="2"),
    }


def attributes(event: dict[str, Any]) -> dict[str, Any]:
    (name,) = (key for key in event if key.endswith("EventAttributes"))
    found: dict[str, Any] = event[name]
    return found


@pytest.fixture(scope="module")
def model() -> Any:
    session = pytest.importorskip("botocore.session")
    return session.Session().get_service_model("swf")


def test_every_event_type_can_be_made(model: Any) -> None:
    made = {event["eventType"] for story in stories().values() for event in story.events()}
    assert made == set(model.shape_for("EventType").enum)


@pytest.mark.parametrize("story", [*stories()])
def test_botocore_reads_a_history_as_it_is(story: str, model: Any) -> None:
    """Nothing is lost in its parser, and nothing that it requires is missing."""
    from botocore.parsers import create_parser
    from botocore.validate import ParamValidator

    history = stories()[story].history()
    shape = model.operation_model("GetWorkflowExecutionHistory").output_shape
    reply = {"headers": {}, "status_code": 200, "body": json.dumps(history).encode()}
    parsed = create_parser("json").parse(reply, shape)
    del parsed["ResponseMetadata"]
    assert not ParamValidator().validate(parsed, shape).has_errors()
    for event in parsed["events"]:
        event["eventTimestamp"] = event["eventTimestamp"].timestamp()
    assert parsed == history


@pytest.mark.parametrize("story", [*stories()])
def test_ids_and_times_are_consistent(story: str) -> None:
    events = stories()[story].events()
    assert [event["eventId"] for event in events] == list(range(1, len(events) + 1))
    times = [event["eventTimestamp"] for event in events]
    assert times == sorted(times)
    refers = {
        "decisionTaskCompletedEventId": {"DecisionTaskCompleted"},
        "scheduledEventId": {
            "DecisionTaskScheduled",
            "ActivityTaskScheduled",
            "LambdaFunctionScheduled",
        },
        "startedEventId": {
            "DecisionTaskStarted",
            "ActivityTaskStarted",
            "LambdaFunctionStarted",
            "TimerStarted",
            "ChildWorkflowExecutionStarted",
        },
        "latestCancelRequestedEventId": {"ActivityTaskCancelRequested"},
        "initiatedEventId": {
            "StartChildWorkflowExecutionInitiated",
            "SignalExternalWorkflowExecutionInitiated",
            "RequestCancelExternalWorkflowExecutionInitiated",
        },
    }
    for event in events:
        for name, number in attributes(event).items():
            if name in refers and number:
                assert number < event["eventId"]
                assert events[number - 1]["eventType"] in refers[name], event


@pytest.mark.parametrize("story", [*stories()])
def test_decision_tasks_come_as_the_service_makes_them(story: str) -> None:
    """None is scheduled while one waits, none started while one is decided, and news never lacks one."""
    waiting = deciding = False
    for event in stories()[story].events():
        kind = event["eventType"]
        if kind == "DecisionTaskScheduled":
            assert not waiting
            waiting = True
        elif kind == "DecisionTaskStarted":
            assert waiting
            assert not deciding
            waiting, deciding = False, True
        elif kind in ("DecisionTaskCompleted", "DecisionTaskTimedOut"):
            assert deciding
            deciding = False


def test_news_schedules_a_decision_at_once_but_one_only() -> None:
    h = begun().activity_scheduled("a").activity_scheduled("b")
    h.activity_completed("a").activity_completed("b")
    assert [e["eventType"] for e in h.events()][6:] == [
        "ActivityTaskStarted",
        "ActivityTaskCompleted",
        "DecisionTaskScheduled",
        "ActivityTaskStarted",
        "ActivityTaskCompleted",
    ]


def test_news_during_a_decision_stands_before_its_events() -> None:
    h = begun().decision_started().signaled("s").decision().timer_started("t")
    assert [e["eventType"] for e in h.events()][2:] == [
        "DecisionTaskStarted",
        "WorkflowExecutionSignaled",
        "DecisionTaskScheduled",
        "DecisionTaskCompleted",
        "TimerStarted",
    ]


def test_a_refused_part_of_a_decision_is_heard_of_after_it() -> None:
    h = begun().schedule_activity_failed("a").timer_started("t")
    first = [e["eventType"] for e in h.events()][4:]
    assert first == ["ScheduleActivityTaskFailed", "TimerStarted", "DecisionTaskScheduled"]
    h.timer_started("u")  # to look at a history does not end the decision
    assert [e["eventType"] for e in h.events()][6:] == ["TimerStarted", "DecisionTaskScheduled"]


def test_a_sticky_list_holds_until_it_is_not_served() -> None:
    h = begun().decision(task_list="mine", task_list_timeout=10).timer_started("t").timer_fired("t")
    scheduled = attributes(h.events()[-1])
    assert scheduled == {
        "taskList": {"name": "mine"},
        "startToCloseTimeout": "10",
        "scheduleToStartTimeout": "10",
    }
    h.decision("says nothing of lists").signaled("s")
    assert attributes(h.events()[-1]) == scheduled
    h.decision_timed_out("SCHEDULE_TO_START")
    assert attributes(h.events()[-2])["startedEventId"] == 0
    assert attributes(h.events()[-1]) == {"taskList": {"name": "tasks"}, "startToCloseTimeout": "10"}


def test_a_poll_gives_the_task_as_the_service_does() -> None:
    h = begun().timer_started("t").timer_fired("t")
    task = h.poll()
    assert task["startedEventId"] == len(task["events"]) == 8
    assert task["previousStartedEventId"] == 3
    assert task["events"][-1]["eventType"] == "DecisionTaskStarted"
    h.signaled("s")
    again = h.poll(start_at_previous_started_event=True)
    assert again["taskToken"] == task["taskToken"]
    assert [e["eventId"] for e in again["events"]] == [3, 4, 5, 6, 7, 8]
    h.decision_timed_out()
    assert h.poll()["previousStartedEventId"] == 3  # nobody processed the one that timed out


def test_what_is_given_out_is_a_copy() -> None:
    h = begun()
    kept = copy.deepcopy(h.events())
    attributes(h.events()[0])["taskList"]["name"] = "changed"
    assert h.events() == kept


def test_time_goes_by_when_told() -> None:
    h = begun().timer_started("t", 60).after(60).timer_fired("t")
    events = {e["eventType"]: e["eventTimestamp"] for e in h.events()}
    assert 60 <= events["TimerFired"] - events["TimerStarted"] < 61
    with pytest.raises(flowy.UsageError, match="does not go back"):
        h.after(-1)


WRONG: dict[str, tuple[Callable[[HistoryBuilder], Any], str]] = {
    "completed before scheduled": (lambda h: h.activity_completed("a"), "no activity 'a' is open"),
    "completed twice": (
        lambda h: h.activity_scheduled("a").activity_completed("a").activity_completed("a"),
        "no activity 'a' is open; open: none",
    ),
    "scheduled twice": (
        lambda h: h.activity_scheduled("a").activity_scheduled("a"),
        "activity 'a' is open already",
    ),
    "started twice": (
        lambda h: h.activity_scheduled("a").activity_started("a").activity_started("a"),
        "was started in event 6",
    ),
    "timed out before its start, started": (
        lambda h: (
            h.activity_scheduled("a").activity_started("a").activity_timed_out("a", "SCHEDULE_TO_START")
        ),
        "was started in event 6",
    ),
    "canceled unasked": (
        lambda h: h.activity_scheduled("a").activity_canceled("a"),
        "nobody asked to cancel",
    ),
    "unknown but open": (
        lambda h: h.activity_scheduled("a").request_cancel_activity_failed("a"),
        "activity 'a' is open already",
    ),
    "fired before started": (lambda h: h.timer_fired("t"), "no timer 't' is open"),
    "fired after canceled": (
        lambda h: h.timer_started("t").timer_canceled("t").timer_fired("t"),
        "no timer 't' is open",
    ),
    "timer in use that is not": (lambda h: h.start_timer_failed("t"), "no timer 't' is open"),
    "child ended before asked for": (lambda h: h.child_completed("c"), "no child workflow 'c'"),
    "child started twice": (
        lambda h: h.child_initiated("c").child_started("c").child_started("c"),
        "was started in event 6",
    ),
    "signal nobody sent": (lambda h: h.external_signaled("o"), "no signal to 'o' is open"),
    "cancel nobody sent": (lambda h: h.external_cancel_requested("o"), "no cancel request to 'o'"),
    "signal of two arrives three times": (
        lambda h: (
            h.signal_external_initiated("o", "s")
            .signal_external_initiated("o", "s")
            .external_signaled("o")
            .external_signaled("o")
            .external_signaled("o")
        ),
        "no signal to 'o' is open",
    ),
    "lambda ended before asked for": (lambda h: h.lambda_completed("f"), "no Lambda function 'f'"),
    "after the end": (lambda h: h.completed().signaled("s"), "over since event 5"),
    "decided after the end": (lambda h: h.terminated().timer_started("t"), "over since event 3"),
    "begun twice": (lambda h: h.started(), "a history begins once"),
    "deciding without a task": (
        lambda h: h.timer_started("t").timer_fired("t").decision().decision(),
        "no decision task is scheduled",
    ),
    "scheduled with nothing to decide": (
        lambda h: h.activity_scheduled("a").activity_started("a").timer_started("t"),
        "no decision task is open",
    ),
    "two deciders": (lambda h: h.decision_started().decision_started(), "is still open"),
    "closed over news": (lambda h: h.decision_started().signaled("s").completed(), "UNHANDLED_DECISION"),
    "unhandled without news": (lambda h: h.complete_failed(), "nothing happened"),
    "unhandled for a refused part": (
        lambda h: h.schedule_activity_failed("a").complete_failed(),
        "nothing happened",
    ),
    "a time for no list": (lambda h: h.decision(task_list_timeout=5), "needs a task_list"),
    "sticky time-out without a time": (
        lambda h: h.decision(task_list="mine").signaled("s").decision_timed_out("SCHEDULE_TO_START"),
        "with a time-out",
    ),
    "sticky time-out of one scheduled before": (
        lambda h: (
            h.decision_started()
            .signaled("s")
            .decision(task_list="mine", task_list_timeout=5)
            .decision_timed_out("SCHEDULE_TO_START")
        ),
        "sticky list",
    ),
    "sticky time-out of a shared list": (
        lambda h: h.decision_timed_out("SCHEDULE_TO_START"),
        "sticky list",
    ),
}


@pytest.mark.parametrize("wrong", [*WRONG])
def test_what_no_service_could_have_written_is_refused(wrong: str) -> None:
    act, hint = WRONG[wrong]
    with pytest.raises(flowy.UsageError) as caught:
        act(begun())
    assert hint in str(caught.value)


def test_a_history_begins_with_its_start() -> None:
    with pytest.raises(flowy.UsageError, match=r"begins with started\(\)"):
        HistoryBuilder().signaled("s")
    with pytest.raises(flowy.UsageError, match="no event in a parent"):
        HistoryBuilder().started(parent_initiated_event_id=5)


def test_recorded_histories_can_be_told_again() -> None:
    """The children of the real service's recordings, event by event."""
    if not RECORDINGS.exists():
        pytest.skip(f"{RECORDINGS} is not here")
    recorded = json.loads(gzip.decompress(RECORDINGS.read_bytes()))
    told = 0
    for poll in recorded["decider"]:
        answer = poll["response"] or {}
        events = answer.get("events") or []
        if poll["op"] != "PollForDecisionTask" or len(events) != 3 or "nextPageToken" in answer:
            continue
        first = attributes(events[0])
        parent = first.get("parentWorkflowExecution")
        built = HistoryBuilder(
            answer["workflowExecution"]["workflowId"],
            answer["workflowExecution"]["runId"],
            (first["workflowType"]["name"], first["workflowType"]["version"]),
            first["taskList"]["name"],
        ).started(
            first.get("input"),
            execution_start_to_close_timeout=first["executionStartToCloseTimeout"],
            task_start_to_close_timeout=first["taskStartToCloseTimeout"],
            child_policy=first["childPolicy"],
            continued_from=first.get("continuedExecutionRunId"),
            parent=(parent["workflowId"], parent["runId"]) if parent else None,
            parent_initiated_event_id=first["parentInitiatedEventId"],
        )
        task = built.decision_started("test").poll()
        for event in [*task["events"], *events]:
            del event["eventTimestamp"]
        assert {**task, "taskToken": ""} == {**answer, "taskToken": ""}
        told += 1
    assert told >= 20
