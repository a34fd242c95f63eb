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
