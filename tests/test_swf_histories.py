"""Histories made by hand equal those that the local service writes for the same story.

Each story is told twice: to the service by its operations, to `HistoryBuilder` by its methods. Times and
run ids are by nature different and left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("botocore", reason="the local SWF needs botocore, of the extra `swf`")

from swf_direct import Direct
from swf_scenarios.bench import COMPLETE, Bench, child, decision, schedule, timer

from flowy.testing import HistoryBuilder
from flowy.testing.swf import Limits, Service, VirtualClock

Teller = Callable[[Bench], HistoryBuilder]


def begun(bench: Bench, **more: Any) -> HistoryBuilder:
    """Start the execution "one"; its history by hand, as far."""
    bench.start(input="in", tagList=["a", "b"], **more)
    h = HistoryBuilder("one", workflow_type=("flow", "1"), task_list="list")
    return h.started(
        "in",
        execution_start_to_close_timeout=10000,
        task_start_to_close_timeout=100,
        tag_list=["a", "b"],
    )


def activities(bench: Bench) -> HistoryBuilder:
    h = begun(bench)
    bench.decide(
        schedule("a", input="[1]", control="c", taskPriority="3"),
        schedule("b"),
        schedule("c", scheduleToStartTimeout="5"),
        schedule("d"),
        schedule("x", activityType={"name": "unknown", "version": "1"}),
    )
    h.decision().activity_scheduled("a", ("work", "1"), "[1]", control="c", priority=3)
    h.activity_scheduled("b", ("work", "1"))
    h.activity_scheduled("c", ("work", "1"), schedule_to_start_timeout=5)
    h.activity_scheduled("d", ("work", "1"))
    h.schedule_activity_failed("x", ("unknown", "1"))
    first, second = (bench.work() for _ in range(2))
    bench.call("RespondActivityTaskCompleted", taskToken=first["taskToken"], result="1")
    bench.call("RespondActivityTaskFailed", taskToken=second["taskToken"], reason="r", details="d")
    h.activity_started("a").activity_started("b")
    h.activity_completed("a", "1").activity_failed("b", "r", "d")
    bench.advance(5)
    h.activity_timed_out("c", "SCHEDULE_TO_START")
    bench.decide(
        decision("RequestCancelActivityTask", activityId="d"),
        decision("RequestCancelActivityTask", activityId="y"),
        schedule("e"),
    )
    h.decision().activity_cancel_requested("d").activity_canceled("d")
    h.request_cancel_activity_failed("y").activity_scheduled("e", ("work", "1"))
    third = bench.work()
    bench.decide(decision("RequestCancelActivityTask", activityId="e"))
    bench.call("RespondActivityTaskCanceled", taskToken=third["taskToken"], details="half")
    h.activity_started("e").activity_cancel_requested("e").activity_canceled("e", "half")
    bench.decide(decision("CompleteWorkflowExecution", result="1"))
    return h.completed("1")


def timers_and_markers(bench: Bench) -> HistoryBuilder:
    h = begun(bench)
    bench.decide(
        timer("t", 5),
        timer("t", 6),
        timer("u", 7),
        decision("CancelTimer", timerId="u"),
        decision("CancelTimer", timerId="v"),
        decision("RecordMarker", markerName="m", details="here"),
    )
    h.timer_started("t", 5).start_timer_failed("t").timer_started("u", 7).timer_canceled("u")
    h.cancel_timer_failed("v").marker_recorded("m", "here")
    bench.decide()
    h.decision()
    bench.advance(5)
    h.timer_fired("t")
    task = bench.poll()
    bench.respond(
        task, decision("FailWorkflowExecution", reason="r", details="d"), executionContext="context"
    )
    return h.decision("context").failed("r", "d")


def news_meanwhile(bench: Bench) -> HistoryBuilder:
    h = begun(bench)
    task = bench.poll()
    for name in ("s1", "s2"):
        bench.here("SignalWorkflowExecution", workflowId="one", signalName=name, input="x")
    bench.respond(task, timer("t", 5), COMPLETE)
    h.decision_started().signaled("s1", "x").signaled("s2", "x").timer_started("t", 5)
    h.complete_failed()
    bench.here("RequestCancelWorkflowExecution", workflowId="one")
    h.cancel_requested()
    bench.decide(decision("CancelWorkflowExecution", details="d"))
    return h.decision().canceled("d")


def decisions_that_time_out(bench: Bench) -> HistoryBuilder:
    h = begun(bench)
    bench.poll()
    bench.advance(100)
    h.decision_started().decision_timed_out()
    task = bench.poll()
    bench.respond(task, timer("t", 5), taskList={"name": "mine"}, taskListScheduleToStartTimeout="10")
    h.decision(task_list="mine", task_list_timeout=10).timer_started("t", 5)
    bench.advance(5)
    h.timer_fired("t")
    bench.advance(10)
    h.decision_timed_out("SCHEDULE_TO_START")
    bench.poll()
    h.decision_started()
    bench.here("TerminateWorkflowExecution", workflowId="one", reason="r", details="d")
    return h.terminated("r", "d")


def own_lists(bench: Bench) -> HistoryBuilder:
    h = begun(bench)
    own: dict[str, Any] = {"taskList": {"name": "mine"}, "taskListScheduleToStartTimeout": "10"}
    bench.decide(timer("t", 1), **own)
    h.decision(task_list="mine", task_list_timeout=10).timer_started("t", 1)
    bench.advance(1)
    h.timer_fired("t")
    bench.respond(bench.poll("mine"), timer("u", 1))  # says nothing of lists
    h.decision().timer_started("u", 1)
    bench.advance(1)
    h.timer_fired("u")
    bench.poll("mine")
    bench.advance(100)
    h.decision_started().decision_timed_out()
    bench.decide(taskList={"name": "for good"})
    h.decision(task_list="for good")
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    h.signaled("s")
    bench.poll("for good")
    bench.advance(100)
    h.decision_started().decision_timed_out()
    task = bench.poll("for good")
    bench.respond(task, decision("CancelTimer", timerId="v"), COMPLETE)
    return h.decision().cancel_timer_failed("v").completed()


def children(bench: Bench) -> HistoryBuilder:
    h = begun(bench)
    names = ("c1", "c2", "c3", "c4", "c5")
    bench.decide(
        *(child(name, taskList={"name": name}, input="in") for name in names[:4]),
        child("x", workflowType={"name": "unknown", "version": "1"}, control="c"),
    )
    for name in names[:4]:
        h.child_initiated(
            name,
            ("flow", "1"),
            "in",
            task_list=name,
            execution_start_to_close_timeout=10000,
            task_start_to_close_timeout=100,
        )
    h.start_child_failed("x", ("unknown", "1"), control="c")
    for name in names[:4]:
        h.child_started(name, "run")
    bench.respond(bench.poll("c1"), decision("CompleteWorkflowExecution", result="1"))
    bench.respond(bench.poll("c2"), decision("FailWorkflowExecution", reason="r", details="d"))
    bench.respond(bench.poll("c3"), decision("CancelWorkflowExecution", details="d"))
    bench.here("TerminateWorkflowExecution", workflowId="c4")
    h.child_completed("c1", "1").child_failed("c2", "r", "d").child_canceled("c3", "d")
    h.child_terminated("c4")
    bench.decide(child("c5", executionStartToCloseTimeout="50", taskList={"name": "c5"}))
    h.decision().child_initiated(
        "c5",
        ("flow", "1"),
        task_list="c5",
        execution_start_to_close_timeout=50,
        task_start_to_close_timeout=100,
    ).child_started("c5", "run")
    bench.advance(50)
    h.child_timed_out("c5")
    bench.advance(9950)
    return h.timed_out()


def messages(bench: Bench) -> HistoryBuilder:
    bench.start("other", taskList={"name": "other"})
    h = begun(bench)
    signal = {"signalName": "s", "input": "x", "control": "c"}
    bench.decide(
        decision("SignalExternalWorkflowExecution", workflowId="other", **signal),
        decision("SignalExternalWorkflowExecution", workflowId="unknown", **signal),
        decision("RequestCancelExternalWorkflowExecution", workflowId="other", control="c"),
        decision("RequestCancelExternalWorkflowExecution", workflowId="unknown"),
    )
    h.signal_external_initiated("other", "s", "x", control="c")
    h.signal_external_initiated("unknown", "s", "x", control="c")
    h.request_cancel_external_initiated("other", control="c")
    h.request_cancel_external_initiated("unknown")
    h.external_signaled("other", "run").signal_external_failed("unknown")
    h.external_cancel_requested("other", "run").request_cancel_external_failed("unknown")
    bench.respond(
        bench.poll(),
        decision("ContinueAsNewWorkflowExecution", input="more", tagList=["z"]),
    )
    return h.decision().continued_as_new(
        "run",
        "more",
        tag_list=["z"],
        execution_start_to_close_timeout=10000,
        task_start_to_close_timeout=100,
    )


STORIES: dict[str, Teller] = {
    story.__name__: story
    for story in (
        activities,
        timers_and_markers,
        news_meanwhile,
        decisions_that_time_out,
        own_lists,
        children,
        messages,
    )
}


def bare(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without times and run ids."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            names = ("runId", "newExecutionRunId", "eventTimestamp")
            return {key: "" if key in names else strip(found) for key, found in value.items()}
        return [strip(each) for each in value] if isinstance(value, list) else value

    return [strip(event) for event in events]


def identified(client: Any) -> Any:
    """A client whose polls say who polls, as the histories by hand do."""

    class Identified:
        def __getattr__(self, method: str) -> Any:
            call = getattr(client, method)
            who = {"poll_for_decision_task": "decider", "poll_for_activity_task": "worker"}.get(method)
            if who is None:
                return call
            return lambda **request: call(**{"identity": who, **request})

    return Identified()


def made() -> tuple[Bench, Service]:
    clock = VirtualClock(auto_advance=False)
    service = Service(clock=clock, limits=Limits.unthrottled())
    bench = Bench(identified(Direct(service)), clock.advance)
    bench.set_up()
    return bench, service


@pytest.mark.parametrize("story", STORIES)
def test_a_history_by_hand_equals_the_services(story: str) -> None:
    bench, service = made()
    by_hand = STORIES[story](bench).events()
    listed = {"domain": bench.domain, "startTimeFilter": {"oldestDate": 0}}
    one = {**listed, "executionFilter": {"workflowId": "one"}}
    runs = service.call("ListClosedWorkflowExecutions", one)["executionInfos"]
    (run_id,) = (info["execution"]["runId"] for info in runs)
    written = bench.history("one", run_id)
    assert bare(by_hand) == bare(written)


@pytest.mark.parametrize("news_only", [False, True])
def test_a_poll_by_hand_equals_the_services(news_only: bool) -> None:
    bench, _ = made()
    h = begun(bench)
    bench.advance(1)  # SWF's window is by time: what is as old as the previous start is in it
    bench.decide(timer("t", 5))
    h.timer_started("t", 5)
    bench.advance(5)
    h.timer_fired("t")
    task = bench.poll(startAtPreviousStartedEvent=news_only)
    by_hand = h.poll(start_at_previous_started_event=news_only)
    assert set(task) == set(by_hand)
    for name in ("startedEventId", "previousStartedEventId", "workflowType"):
        assert task[name] == by_hand[name]
    assert bare(task["events"]) == bare(by_hand["events"])
    assert task["events"][0]["eventId"] == (3 if news_only else 1)
