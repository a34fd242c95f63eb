"""Heartbeats, and when a task is over that SWF says nothing of.

Owns: the clock of `beats`, and its thread, against a client made here. That processes are ended by it is
in test_swf_processes.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

import flowy
from flowy import swf
from flowy.swf import beats
from flowy.swf.beats import ANSWER, LATE, Beats, Overdue, Terms, registered, terms_of
from flowy.testing import LocalSWF

Eventually = Callable[..., bool]
SPARE = LATE + ANSWER
GONE = swf.Unreachable("no route to host")


# ------------------------------------------------------------------ the clock


def test_a_time_that_is_up_is_told_once_swf_had_the_chance_to_say_no() -> None:
    clock = Overdue(Terms(close=60), 100.0)
    assert clock.ask(100.0) == 160 + LATE
    clock.heard(140.0)
    clock.asked(150.0)
    assert clock.why(160 + SPARE) == ""
    assert clock.why(161 + SPARE) == (
        "its time is up, 60 s from its start, and Amazon SWF has not answered for 27 s"
    )


def test_swf_may_say_that_a_task_runs_behind_the_end_of_its_type() -> None:
    """Its workflow gave it more time."""
    clock = Overdue(Terms(close=60), 100.0)
    clock.heard(160.5)  # it may not have looked yet
    clock.asked(161.0)
    assert "its time is up" in clock.why(170.0)
    clock.heard(162.0)
    clock.asked(163.0)
    assert clock.why(1e9) == ""
    assert clock.ask(162.0) == float("inf")


def test_a_heartbeat_time_out_runs_from_the_last_answer() -> None:
    clock = Overdue(Terms(heartbeat=30), 100.0)
    for now in range(110, 500, 10):
        clock.heard(now)
        clock.asked(now + 5)
        assert clock.why(now + 30) == ""
    assert clock.why(490 + 30 + SPARE) == ""
    assert "heartbeat time-out of 30 s" in clock.why(491 + 30 + SPARE)


def test_a_process_that_was_stopped_asks_first() -> None:
    clock = Overdue(Terms(60, 30), 100.0)
    clock.heard(110.0)
    assert clock.why(1000.0) == ""  # nobody asked meanwhile
    clock.asked(1000.0)
    assert clock.why(1000 + ANSWER) == ""
    assert clock.why(1001 + ANSWER) != ""


def test_what_has_no_time_out_is_never_over() -> None:
    clock = Overdue(Terms(), 0.0)
    clock.asked(0.0)
    assert clock.why(1e12) == ""


def test_what_a_type_says() -> None:
    config = flowy.SWFActivityConfig(
        default_start_to_close=60, default_schedule_to_close=50, default_heartbeat="NONE"
    )
    assert registered(config.defaults) == Terms(close=50)
    config = flowy.SWFActivityConfig(default_start_to_close=60, default_heartbeat=5)
    assert registered(config.defaults) == Terms(60, 5)
    assert registered({}) == Terms()


def test_what_a_history_says() -> None:
    local = LocalSWF()
    client = swf.SWFClient(local.client())
    client.register_domain("test")
    client.register_activity_type("test", "act", 1, None, "acts", None, 9, 90, 900, "NONE")
    client.register_workflow_type("test", "flow", 1, None, "flows", None, 60, 600, "TERMINATE")
    run_id = client.start_workflow_execution("test", "w", "flow", 1)["runId"]
    task = client.poll_for_decision_task("test", "flows")

    def schedule(id: str, **given: str) -> dict[str, Any]:
        type = {"name": "act", "version": "1"}
        says = {"activityId": id, "activityType": type, **given}
        kind = "ScheduleActivityTask"
        return {"decisionType": kind, "scheduleActivityTaskDecisionAttributes": says}

    asked = [
        schedule("a"),
        schedule("b", startToCloseTimeout="20", heartbeatTimeout="NONE"),
        schedule("c", scheduleToCloseTimeout="70", heartbeatTimeout="0"),
    ]
    client.respond_decision_task_completed(task["taskToken"], asked)
    wanted = {"a": Terms(90, 9), "b": Terms(20), "c": Terms(70 - 5)}
    local.advance(5)
    for id, terms in wanted.items():
        started = client.poll_for_activity_task("test", "acts")
        assert started["activityId"] == id
        for backwards in (False, True):
            events = client.history("test", "w", run_id, backwards)
            assert terms_of(events, started["startedEventId"]) == terms
    newest = client.history("test", "w", run_id, True)
    assert terms_of(itertools.islice(newest, 2), started["startedEventId"]) is None


# ------------------------------------------------------------------ the thread


class Client:
    """Answers heartbeats with what it has at the time."""

    def __init__(self) -> None:
        self.answer: Any = {}
        self.count = 0

    def record_activity_task_heartbeat(self, token: str, details: str | None = None) -> Any:
        self.count += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LATE", "ANSWER"):
        monkeypatch.setattr(beats, name, 0.1)


@pytest.mark.usefixtures("hurried")
def test_a_task_is_over_when_nobody_answers_any_more(eventually: Eventually) -> None:
    client = Client()
    client.answer = GONE
    with Beats(client, "t", 0.01, Terms(close=0.2)) as made:
        assert not made.over
        assert eventually(lambda: made.over)
        assert "its time is up, 0.2 s from its start" in made.why
        with pytest.raises(flowy.CancelRequested):
            made.beat(None)
        client.answer = {}  # too late: it was told to end
        count = client.count
        assert eventually(lambda: client.count > count + 1)
        assert made.over


@pytest.mark.usefixtures("hurried")
def test_a_task_is_not_over_while_somebody_answers(eventually: Eventually) -> None:
    client = Client()
    with Beats(client, "t", 0.01, Terms(0.05, 0.2)) as made:
        assert eventually(lambda: client.count > 60)  # at least 0.6 s
        assert not made.cancelled
        client.answer = {"cancelRequested": True}
        assert eventually(lambda: made.cancelled)
        assert not made.over


@pytest.mark.usefixtures("hurried")
def test_a_task_is_over_by_its_own_terms_once_they_are_known(eventually: Eventually) -> None:
    """A workflow gave it more time than its type has, or less."""
    for close, over in ((1000.0, False), (0.3, True)):
        client, learned = Client(), threading.Event()

        def learn(client: Client = client, close: float = close, learned: Any = learned) -> Terms:
            client.answer = GONE
            learned.set()
            return Terms(close)

        with Beats(client, "t", 0.01, Terms(close=0.2), learn) as made:
            assert learned.wait(60)
            assert eventually(lambda client=client: client.count > 100)
            assert made.over == over


@pytest.mark.usefixtures("hurried")
def test_terms_are_read_again_if_there_was_no_answer_and_not_if_it_is_forbidden(
    eventually: Eventually,
) -> None:
    for error, most in ((GONE, 1000), (swf.Refused("history", "AccessDenied", "no"), 1)):
        reads: list[int] = []

        def learn(error: Exception = error, reads: list[int] = reads) -> Terms:
            reads.append(1)
            raise error

        client = Client()
        with Beats(client, "t", 0.01, Terms(close=0.01), learn) as made:
            assert eventually(lambda client=client: client.count > 20)
            assert 1 <= len(reads) <= most
            assert len(reads) > 1 or most == 1
            assert not made.over


def test_a_task_that_is_short_costs_no_read_of_its_history() -> None:
    reads: list[int] = []
    client = Client()
    with Beats(client, "t", 0.01, Terms(close=1000), lambda: reads.append(1)):
        while client.count < 20:
            threading.Event().wait(0.01)
    assert reads == []


def test_a_heartbeat_on_its_way_to_nowhere_holds_up_no_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(beats, "JOIN", 0.05)
    sent, back = threading.Event(), threading.Event()

    class Slow(Client):
        def record_activity_task_heartbeat(self, token: str, details: str | None = None) -> Any:
            sent.set()
            assert back.wait(60)
            raise swf.Refused("heartbeat", "UnknownResourceFault", "it is over")

    made = Beats(Slow(), "t", 0.01)
    assert sent.wait(60)
    made.end()  # returns
    back.set()
    made._thread.join(60)
    assert caplog.text == ""
