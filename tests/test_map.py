"""`flowy.map`: compact, lazy where its inputs are, and honest about inputs that break.

Owns: what a map is as a sequence, how lazy inputs are drawn, what consumes one, and that it lets go of
what was consumed.

May not know: engines' insides. The laws of events are in `test_property`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flowy
from flowy import events
from flowy._sched import Outbox, Run
from flowy.errors import Failure

Body = Callable[..., Any]


def inc(x: int) -> int:
    return x + 1


def add(x: int, y: int) -> int:
    return x + y


def run(body: Body, executor: str = "inline") -> Any:
    """What `body(inc, add)` gives as workflow code."""
    w = flowy.LocalWorkflow(lambda inc, add: lambda: body(inc, add), 2, executor=executor)
    w.conf_activity("inc", inc)
    w.conf_activity("add", add)
    return w.run()


def test_a_map_is_a_sequence_of_results() -> None:
    def body(inc: Any, add: Any) -> None:
        m = flowy.map(inc, [1, 2, 3])
        assert len(m) == 3
        assert all(flowy.is_result(r) for r in m)
        assert (m[0], m[-1], m[1:]) == (2, 4, [3, 4])
        assert list(reversed(m)) == [4, 3, 2]
        assert 3 in m
        with pytest.raises(IndexError):
            m[3]
        assert flowy.wait(m) == [2, 3, 4]
        assert sum(m) == 9
        assert "inc-0" in repr(m)

    run(body)


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_what_takes_a_map(executor: str) -> None:
    def body(inc: Any, add: Any) -> Any:
        def numbers() -> Iterator[int]:
            yield from range(50)

        return [
            flowy.map(inc, numbers()),
            flowy.parallel_reduce(add, flowy.map(inc, numbers(), window=3)),
            sum(flowy.finish_order(flowy.map(inc, numbers(), window=3))),
            flowy.wait(flowy.first(flowy.map(inc, numbers()))) in range(1, 51),
            flowy.map(add, numbers(), flowy.map(inc, [1, 2])),
            flowy.map(inc, flowy.map(inc, numbers()))[49],
        ]

    whole = list(range(1, 51))
    assert run(body, executor) == [whole, sum(whole), sum(whole), True, [2, 4], 51]


def test_members_are_numbered_by_call_and_index() -> None:
    def factory(inc: Any) -> Body:
        return lambda: [inc(0), flowy.map(inc, [1, 2]), inc(3)]

    with flowy.Replay(factory, ["inc"]) as replay:
        commands = replay.start()
        keys = [c.key for c in commands if isinstance(c, events.Schedule)]
        assert keys == ["inc-0-0", "inc-1.0-0", "inc-1.1-0", "inc-2-0"]


def test_no_more_is_drawn_than_the_window_allows() -> None:
    drawn: list[int] = []

    def numbers() -> Iterator[int]:
        for n in range(1000):
            drawn.append(n)
            yield n

    def factory(inc: Any) -> Body:
        def body() -> int:
            return sum(flowy.map(inc, numbers(), window=8))

        return body

    replay = flowy.Replay(factory, ["inc"])
    commands = replay.start()
    assert drawn == []
    done = 0
    while not replay.ended:
        command = commands.pop(0)
        if isinstance(command, events.WantDraw):
            commands += replay.feed(events.Drawn(command.key, command.room))
        else:
            assert isinstance(command, events.Schedule)
            commands += replay.feed(events.TaskCompleted(command.key, command.args[0] + 1))
            done += 1
        assert len(drawn) <= done + 8 + 1
        replay.check()
    assert commands == [events.Complete(sum(range(1, 1001)))]


def test_what_was_consumed_is_let_go() -> None:
    def numbers() -> Iterator[int]:
        yield from range(20_000)

    most = 0

    def body(inc: Any, add: Any) -> int:
        nonlocal most
        total = 0
        run = inc.run
        for r in flowy.map(inc, numbers(), window=16):
            total += r
            most = max(most, run.memory)
        return total

    assert run(body) == sum(range(1, 20_001))
    assert most < 20_000  # bytes: the graph never held more than a window


def test_inputs_that_break() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    def body(inc: Any, add: Any) -> None:
        got = []
        with pytest.raises(flowy.TaskError, match="no more") as error:
            for r in flowy.map(inc, broken()):
                got.append(flowy.wait(r))
        assert got == [2]
        assert isinstance(error.value.__cause__, ValueError)
        for look in (list, flowy.wait, len, lambda m: m[5]):
            m = flowy.map(inc, broken())
            with pytest.raises((flowy.TaskError, TypeError)):
                look(m)
        with pytest.raises(flowy.TaskError, match="no more"):
            flowy.wait(flowy.parallel_reduce(add, flowy.map(inc, broken())))
        with pytest.raises(flowy.TaskError, match="no more"):
            list(flowy.finish_order(flowy.map(inc, broken())))

    run(body)


def test_inputs_that_call_or_wait() -> None:
    def body(inc: Any, add: Any) -> None:
        def calls() -> Iterator[Any]:
            yield inc(1)

        def waits() -> Iterator[Any]:
            yield flowy.wait(unknown)

        unknown = inc(2)
        with pytest.raises(flowy.UsageError, match="inc"):
            list(flowy.map(inc, calls()))
        with pytest.raises(flowy.UsageError, match="inc-0-0"):
            list(flowy.map(inc, waits()))

    run(body)


def test_the_length_of_a_lazy_map_is_known_at_its_end() -> None:
    def body(inc: Any, add: Any) -> None:
        m = flowy.map(inc, iter([1, 2]))
        with pytest.raises(flowy.UsageError, match="drawn"):
            len(m)
        assert list(m) == [2, 3]
        assert len(m) == 2

    run(body)


def test_plain_callables_and_misuse() -> None:
    assert flowy.map(inc, [1, 2], window=1) == [2, 3]
    with pytest.raises(flowy.UsageError, match="iterable"):
        flowy.map(inc)

    def body(inc: Any, add: Any) -> None:
        with pytest.raises(flowy.UsageError, match="window"):
            flowy.map(inc, [1], window=0)

    run(body)


def test_without_an_engine() -> None:
    def factory(inc: Any) -> Body:
        return lambda: [sum(flowy.map(inc, iter([1, 2]))), flowy.wait(flowy.map(inc, [3]))]

    assert flowy.plain(factory, inc=inc)() == [5, [4]]
    assert factory(inc)() == [5, [4]]


def started(body: Body) -> flowy.Replay:
    """A run of `body(inc, add)` that is driven by hand."""
    return flowy.Replay(lambda inc, add: lambda: body(inc, add), ["inc", "add"])


def keys(commands: list[events.Command]) -> list[str]:
    return [command.key for command in commands if isinstance(command, events.Schedule)]


def test_members_have_no_nodes_until_somebody_needs_one_alone() -> None:
    outbox = Outbox()
    core = Run(lambda inc: lambda: flowy.map(inc, range(10_000)), ("inc",), outbox)
    core.start()
    assert core.live == 2  # the map, and the end that waits for it
    done = 0
    while (batch := outbox.take(1_000)) is not None:
        batch.complete(0, [x + 1 for x in batch.calls], None)
        done += len(batch)
        core.check()
        assert core.live <= 2
    assert done == 10_000
    assert core.outcome == events.Complete(list(range(1, 10_001)))
    core.close()


def test_a_batch_holds_members_of_one_map_or_single_calls() -> None:
    outbox = Outbox()

    def factory(inc: Any) -> Body:
        return lambda: [inc(0), flowy.map(inc, [1, 2]), flowy.map(inc, [(3,)]), inc(4)]

    core = Run(factory, ("inc",), outbox)
    core.start()
    taken = []
    while (batch := outbox.take(100)) is not None:
        taken.append([batch.key(i) for i in range(len(batch))])
        batch.complete(0, [0] * len(batch), None)
    assert taken == [["inc-0-0"], ["inc-1.0-0", "inc-1.1-0"], ["inc-2.0-0"], ["inc-3-0"]]
    core.close()


def test_inputs_are_taken_as_they_stand_and_in_copies() -> None:
    def body(inc: Any, add: Any) -> Any:
        inner = [1]
        given = [inner, inner]
        m = flowy.map(inc, given)
        inner.append(2)
        given.append([3])
        return m

    with started(body) as replay:
        commands = [c for c in replay.start() if isinstance(c, events.Schedule)]
        assert [c.args for c in commands] == [([1],), ([1],)]
        assert commands[0].args[0] is not commands[1].args[0]


def test_a_call_that_takes_a_map_fails_with_its_first_failure_at_once() -> None:
    def body(inc: Any, add: Any) -> Any:
        return add(flowy.map(inc, [1, 2, 3]), 0)

    with started(body) as replay:
        assert keys(replay.start()) == ["inc-0.0-0", "inc-0.1-0", "inc-0.2-0"]
        failure = Failure("no", key="inc-0.1-0", name="inc")
        (end,) = replay.feed(events.TaskFailed("inc-0.1-0", failure))
        assert isinstance(end, events.Fail)
        assert isinstance(replay.exception, flowy.TaskError)
        assert replay.exception.key == "inc-0.1-0"


def test_members_that_fail_are_told_apart() -> None:
    def divide(x: int) -> float:
        return 12 / x

    def body(divide: Any) -> Any:
        m = flowy.map(divide, [1, 0, 3])
        with pytest.raises(flowy.TaskError) as caught:
            flowy.wait(m)
        assert caught.value.key == "divide-0.1-0"
        return [m[0], m[2]]

    for executor in ("inline", "processes"):
        w = flowy.LocalWorkflow(lambda divide: lambda: body(divide), 2, executor=executor)
        w.conf_activity("divide", divide)
        assert w.run() == [12.0, 4.0]


def test_a_member_can_be_cancelled_before_it_is_sent() -> None:
    outbox = Outbox()

    def factory(inc: Any) -> Body:
        def run() -> Any:
            m = flowy.map(inc, [1, 2, 3])
            flowy.cancel(m[1])
            with pytest.raises(flowy.TaskCancelled):
                flowy.wait(m[1])
            return [m[0], m[2]]

        return run

    core = Run(factory, ("inc",), outbox)
    core.start()
    ((order, node),) = core.take_orders()
    assert isinstance(order, events.CancelTask)
    assert (order.key, core.state_of(node)) == ("inc-0.1-0", "ready")
    core.fail_node(node, Failure("", key=order.key, name="inc", kind="cancelled"))
    assert outbox.waiting == 3  # its place is passed over when it is met
    while (batch := outbox.take(100)) is not None:
        assert [batch.key(i) for i in range(len(batch))] in (["inc-0.0-0"], ["inc-0.2-0"])
        batch.complete(0, [x + 1 for x in batch.calls], None)
    assert outbox.waiting == 0
    assert core.outcome == events.Complete([2, 4])
    core.close()


def test_values_of_a_forgotten_map_go_as_they_come() -> None:
    class Value:
        alive = 0

        def __init__(self) -> None:
            Value.alive += 1

        def __del__(self) -> None:
            Value.alive -= 1

    outbox = Outbox()

    def factory(inc: Any) -> Body:
        def run() -> None:
            m = flowy.map(inc, [1, 2, 3, 4])
            flowy.wait(m[0])
            del m
            flowy.wait(flowy.signal("end"))

        return run

    core = Run(factory, ("inc",), outbox)
    core.start()
    batch = outbox.take(100)
    assert batch is not None
    batch.complete(0, [Value()], None)
    assert Value.alive == 0
    batch.complete(1, [Value(), Value(), Value()], None)
    assert Value.alive == 0
    assert core.live == 1  # the signal
    core.check()
    core.close()


@pytest.mark.parametrize(
    ("body", "patient"),
    [
        (lambda inc: flowy.map(inc, [1, 2]), True),
        (lambda inc: [inc(1), inc(2)], True),
        (lambda inc: flowy.wait([inc(1), inc(2)]), True),
        (lambda inc: flowy.wait(flowy.map(inc, [1, 2])), True),
        (lambda inc: flowy.wait(inc(1)), False),
        (lambda inc: inc(inc(1)), False),
        (lambda inc: flowy.wait(flowy.first(flowy.map(inc, [1, 2]))), False),
        (lambda inc: flowy.map(inc, [1, 2])[0] + 1, False),
        (lambda inc: inc(flowy.map(inc, [1, 2])), False),
    ],
)
def test_a_batch_knows_whether_somebody_waits_for_one_of_its_outcomes(body: Any, patient: bool) -> None:
    outbox = Outbox()
    core = Run(lambda inc: lambda: body(inc), ("inc",), outbox)
    core.start()
    batch = outbox.take(100)
    assert batch is not None
    assert batch.patient is patient
    core.close()


def test_a_map_of_sub_workflows_takes_a_range(build: Any) -> None:
    class Top:
        def __init__(self, sub: Any) -> None:
            self.sub = sub

        def __call__(self, n: int) -> Any:
            return list(flowy.map(self.sub, range(n)))

    class Twice:
        def __init__(self, inc: Any) -> None:
            self.inc = inc

        def __call__(self, x: int) -> Any:
            return self.inc(self.inc(x))

    top = build(Top, "threads")
    top.conf_workflow("sub", build(Twice, "inline", inc=lambda x: x + 1))
    assert top.run(5) == [2, 3, 4, 5, 6]
