"""`flowy._replay`: the common way through a history, where it is not as it should be.

Owns: the order in which commands go out, against an oracle; events that say less than they should, or
are no plain dicts; what is refused at the door; and that finished tasks need no garbage collector.

May not know: what each divergence is (`test_swf_replay`), or the service.
"""

from __future__ import annotations

import gc
import json
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowy
from benchmarks import decider
from flowy import swf
from flowy._replay import Books, Command, Task, first_gap, first_odd, write_atoms
from flowy.swf import serialization
from flowy.swf.history import read_events

KINDS = ("timer", "marker", "signal", "own", "close")


class Missing(Exception):
    """What these books raise."""


class Plain(Books):
    def missing(self, command: Command, event_id: int) -> Missing:
        return Missing(command.id, event_id)

    def unasked(self, kind: str, id: str, command: Command | None, event_id: int) -> Missing:
        return Missing(id, event_id)


class Oracle:
    """The same in a few lines: lists, searched from their start each time."""

    def __init__(self, most: int) -> None:
        self.most = {"timer": most - 2}
        self.waiting: list[tuple[int, str, str]] = []
        self.flight: list[tuple[int, str, str]] = []
        self.open: list[str] = []
        self.made = 0

    def add(self, kind: str, id: str) -> None:
        self.made += 1
        self.waiting.append((self.made, kind, id))

    def depart(self, ended: bool) -> list[str]:
        self.waiting = sorted(self.waiting + self.flight)
        self.flight = []
        for each in sorted(self.waiting, key=lambda each: (each[1] == "close", each)):
            _, kind, _ = each
            taken = [kind for _, kind, _ in self.flight]
            room = self.most.get(kind, 10**9) - self.open.count(kind) - taken.count(kind)
            if room > 0 and not (ended and kind == "timer"):
                self.flight.append(each)
        self.waiting = [each for each in self.waiting if each not in self.flight]
        return [id for _, _, id in self.flight]

    def arrive(self) -> list[tuple[str, str]]:
        there, self.flight = [(kind, id) for _, kind, id in self.flight], []
        self.open += [kind for kind, _ in there if kind == "timer"]
        return there


@given(
    st.integers(3, 6),
    st.lists(
        st.one_of(
            st.sampled_from(KINDS),
            st.sampled_from(["depart", "depart at the end", "arrive", "lose", "fire"]),
        ),
        max_size=60,
    ),
)
def test_commands_go_out_in_the_order_asked_for_as_far_as_there_is_room(
    most: int, steps: list[str]
) -> None:
    books, oracle = Plain(most, None), Oracle(most)
    event = 1
    for n, step in enumerate(steps):
        event += 1
        if step in KINDS:
            books.add(Command(step, "Type", f"{step} {n}"), event)
            oracle.add(step, f"{step} {n}")
        elif step.startswith("depart"):
            books.depart(event, step != "depart")
            assert [c.id for c in books.flight] == oracle.depart(step != "depart")
        elif step == "lose":
            books.lose()
            oracle.waiting, oracle.flight = sorted(oracle.waiting + oracle.flight), []
        elif step == "arrive" and books.started_event:
            books.arrive(event, books.started_event, False)
            for kind, id in oracle.arrive():
                event += 1
                command = books.recorded(kind, id, event)
                assert command.id == id
                if kind == "timer":
                    assert books.opened(command, event)
                else:
                    command.state = "over"
            books.close_group()
        elif step == "fire" and "timer" in oracle.open:
            oracle.open.remove("timer")
            over = books.over(min(books.open))
            assert over is not None
            assert over.state == "over"
        assert books.waiting == len(oracle.waiting)
        assert books.is_open("timer") == oracle.open.count("timer")


def test_what_a_response_had_and_the_history_has_not_is_told_unless_there_was_no_room() -> None:
    for deferred in (False, True):
        books = Plain(10, None)
        for id in ("a", "b", "c"):
            books.add(Command("timer", "StartTimer", id), 1)
        books.depart(2)
        books.arrive(3, 2, deferred)
        books.opened(books.recorded("timer", "a", 4), 4)
        if not deferred:
            with pytest.raises(Missing, match="b"):
                books.close_group()
            continue
        books.depart(5)
        assert [c.id for c in books.flight] == ["b", "c"]
        books.arrive(6, 5, True)
        books.opened(books.recorded("timer", "c", 7), 7)
        with pytest.raises(Missing, match="b"):  # what was asked for later had room
            books.close_group()


def test_more_tasks_than_the_rate_limit_are_not_open_at_a_time() -> None:
    config = swf.SWFWorkflowConfig(rate_limit=3)
    config.conf_activity("square", version=1)
    worker = swf.SWFWorkflowWorker()
    worker.register(config, decider.Waves, version=1)
    events = decider.write_history(0, 1)
    events[0]["workflowExecutionStartedEventAttributes"]["input"] = "[[10, 5], {}]"
    made = worker.decide(decider.make_task(events))
    assert len(made) == 3
    assert made.context == "waiting: 2"
    worker.kept.clear()


# ---------------------------------------------------------------- events as they come


def tasks_of(events: list[Any]) -> Any:
    return decider.make_worker(keep=0).decide(decider.make_task(events))


@pytest.mark.parametrize("form", [OrderedDict, MappingProxyType])
def test_events_need_not_be_plain_dicts(form: Any) -> None:
    events = decider.write_history(9, 3)
    expected = tasks_of(events)
    assert tasks_of([form(event) for event in events]) == expected
    attributes = [
        {key: form(value) if isinstance(value, dict) else value for key, value in event.items()}
        for event in events
    ]
    assert tasks_of(attributes) == expected


@pytest.mark.parametrize(
    ("type", "what"),
    [
        ("ActivityTaskScheduled", "which the code did not ask for"),
        ("ActivityTaskCompleted", "of what was not started"),
    ],
)
@pytest.mark.parametrize("empty", [None, {}, "left out"])
def test_common_events_that_say_nothing_are_told(type: str, what: str, empty: Any) -> None:
    events = decider.write_history(3, 3)
    event = next(event for event in events if event["eventType"] == type)
    name = f"{type[0].lower()}{type[1:]}EventAttributes"
    if empty == "left out":
        del event[name]
    else:
        event[name] = empty
    with pytest.raises(flowy.NondeterminismError, match=what) as caught:
        tasks_of(events)
    assert caught.value.event_id == event["eventId"]


def test_a_result_that_cannot_be_read_fails_its_task_and_no_more() -> None:
    events = decider.write_history(3, 3)
    for event in events:
        if event["eventType"] == "ActivityTaskCompleted":
            event["activityTaskCompletedEventAttributes"]["result"] = "{"
    (made,) = tasks_of(events)
    assert made["decisionType"] == "FailWorkflowExecution"
    reason = made["failWorkflowExecutionDecisionAttributes"]["reason"]
    assert "its result can't be read" in reason


def test_the_first_odd_event_and_the_first_gap_are_found() -> None:
    good = [{"eventId": n, "eventType": "T"} for n in range(5, 9)]
    assert first_odd(good) == first_odd([]) == first_gap(good, 5) == first_gap([], 5) == -1
    assert first_gap(good, 4) == 0
    assert first_gap([*good[:2], good[3]], 5) == 2
    odd: list[Any] = [
        None,
        {"eventId": 1},
        {"eventType": "T"},
        {"eventId": 1, "eventType": None},
        {"eventId": "1", "eventType": "T"},
    ]
    for each in odd:
        assert first_odd([good[0], each]) == 1
        with pytest.raises(flowy.UsageError, match="it needs eventType and eventId"):
            read_events([good[0], each])
    assert first_odd([good[0], OrderedDict(good[1])]) == 1
    assert read_events([good[0], OrderedDict(good[1])]) == good[:2]


# ---------------------------------------------------------------- the door


def test_commands_of_tasks_and_cancels_of_nothing_are_refused() -> None:
    for kind in ("activity", "child", "lambda"):
        with pytest.raises(TypeError, match="schedule_now"):
            Command(kind, "Type", "a-0-0")
    with pytest.raises(TypeError, match="cancelled"):
        Command("cancel", "CancelTimer", "timer a", {}, None)
    with pytest.raises(KeyError):
        Command("letter", "Type", "a")


@pytest.mark.parametrize("attempt", [0, 1, 12])
@pytest.mark.parametrize("key", ["square-3", "square-3.14"])
def test_a_task_is_known_by_its_attempt(key: str, attempt: int) -> None:
    task = Task(f"{key}-0", "square", 1)
    task.attempt = attempt
    assert task.id == f"{key}-{attempt}"


ATOMS = st.none() | st.booleans() | st.integers() | st.text()


@given(st.lists(ATOMS).map(tuple))
def test_calls_with_atoms_are_written_as_json_writes_them(args: tuple[Any, ...]) -> None:
    assert write_atoms(args) == serialization.dump_call(args, {}) == json.dumps([args, {}])


@pytest.mark.parametrize("other", [1.5, [1], b"x", type("Number", (int,), {})(3)])
def test_calls_with_more_than_atoms_need_a_walk(other: Any) -> None:
    assert write_atoms((1, other)) is None


# ---------------------------------------------------------------- memory


def followed() -> int:
    """How many commands and tasks there are in this process."""
    return sum(type(each) in (Task, Command) for each in gc.get_objects())


def test_tasks_that_are_over_are_gone_without_the_collector() -> None:
    task = decider.make_task(decider.write_history(500, 20))
    worker = decider.make_worker()
    gc.collect()
    before = followed()
    gc.disable()
    try:
        worker.decide(task)
        assert followed() - before == 1  # what closes the execution
    finally:
        gc.enable()
        worker.kept.clear()


def test_a_run_that_was_let_go_is_collected() -> None:
    task = decider.make_task(decider.write_history(60, 20)[:-22])
    gc.collect()
    before = followed()
    for _ in range(3):
        decider.make_worker(keep=0).decide(task)
    gc.collect()
    assert followed() == before
