"""The keyed door: what random programs don't reach.

Owns: single cases of `flowy.Replay` and of the core behind it: arguments that can't be put together,
events that nobody asked for, discarded runs, memory of a chain.

May not know: engines. The laws are in `test_property`.
"""

from __future__ import annotations

import copy
import gc
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import flowy
from flowy import _sched, events
from flowy.errors import Failure
from flowy.events import Complete, Schedule, TaskCompleted, TaskFailed

Body = Callable[..., Any]


@dataclass
class Stubborn:
    """Can be copied once, for the call, and not again, when its results are put in place."""

    item: Any
    copies: list[int]

    def __copy__(self) -> Stubborn:
        self.copies.append(1)
        if len(self.copies) > 1:
            raise ValueError("can't be copied twice")
        return Stubborn(self.item, self.copies)


def test_arguments_that_cannot_be_put_together_fail_their_call() -> None:
    def factory(inc: Any) -> Body:
        def body() -> Any:
            with pytest.raises(flowy.TaskError, match="copied twice") as error:
                flowy.wait(inc(Stubborn(inc(1), [])))
            assert error.value.key == "inc-1-0"
            return flowy.wait(inc(2))

        return body

    with flowy.Replay(factory, ["inc"]) as replay:
        replay.start()
        assert replay.feed(TaskCompleted("inc-0-0", 2)) == [Schedule("inc-2-0", "inc", (2,), {})]
        assert replay.feed(TaskCompleted("inc-2-0", 3)) == [Complete(3)]
        replay.check()


MANY = 20_000  # more than one wait has edges from


@pytest.mark.parametrize("ends", ["wait", "return", "return in a container"])
@pytest.mark.parametrize("order", ["first to last", "last to first", "at random"])
def test_a_wait_for_thousands_ends_with_the_last_to_be_known(order: str, ends: str) -> None:
    """Whichever that is; a failed one is no hurry, and the failure is the first in time."""

    def factory(inc: Any) -> Body:
        def body() -> Any:
            results = [inc(i) for i in range(MANY)]
            if ends == "wait":
                return flowy.wait(results)
            return results if ends == "return" else {"all": (results,)}

        return body

    keys = [f"inc-{i}-0" for i in range(MANY)]
    if order == "last to first":
        keys.reverse()
    elif order == "at random":
        random.Random(1).shuffle(keys)
    wanted = list(range(MANY))
    with flowy.Replay(factory, ["inc"]) as replay:
        assert len(replay.start()) == MANY
        for key in keys[:-1]:
            assert replay.feed(TaskCompleted(key, int(key.split("-")[1]))) == []
        replay.check()
        (end,) = replay.feed(TaskCompleted(keys[-1], int(keys[-1].split("-")[1])))
        assert end == Complete({"all": (wanted,)} if "container" in ends else wanted)
        replay.check()
    bad = {keys[7], keys[MANY // 2]}
    with flowy.Replay(factory, ["inc"]) as replay:
        replay.start()
        ended = []
        for key in keys:
            failed = key in bad
            event = TaskFailed(key, failure_of(key)) if failed else TaskCompleted(key, key)
            ended += replay.feed(event)
        (fail,) = ended
        assert isinstance(fail, events.Fail)
        assert keys[7] in fail.failure.message


def failure_of(key: str) -> Failure:
    return Failure.of(ValueError(key), key=key, name="inc")


def test_a_returned_list_that_others_have_too_keeps_its_results() -> None:
    def factory(inc: Any) -> Body:
        def body() -> Any:
            kept.extend(results := [inc(1), [inc(2)], 3])
            kept.append(results)
            return results

        return body

    kept: list[Any] = []
    with flowy.Replay(factory, ["inc"]) as replay:
        replay.start()
        replay.feed(TaskCompleted("inc-0-0", 2))
        (end,) = replay.feed(TaskCompleted("inc-1-0", 3))
        assert end == Complete([2, [3], 3])
        assert flowy.is_result(kept[-1][0])
        assert flowy.is_result(kept[-1][1][0])
        kept.clear()


def test_an_event_that_nobody_asked_for_is_a_nondeterminism() -> None:
    def factory(inc: Any) -> Body:
        return lambda: inc(1) + 1

    with flowy.Replay(factory, ["inc"]) as replay:
        replay.start()
        with pytest.raises(flowy.NondeterminismError, match=r"inc-7-0.*inc-0-0.*test_replay\.py:\d+"):
            replay.feed(TaskCompleted("inc-7-0", 2))
        replay.feed(TaskCompleted("inc-0-0", 2))
        with pytest.raises(flowy.NondeterminismError, match="inc-0-0"):
            replay.feed(TaskCompleted("inc-0-0", 2))


def test_a_discarded_run_runs_its_finally_blocks_and_asks_for_nothing() -> None:
    told: list[str] = []

    def factory(inc: Any) -> Body:
        def body() -> Any:
            r = inc(1)
            try:
                return r + 1
            finally:
                looks: list[Body] = [lambda: inc(2), lambda: flowy.wait(r)]
                for look in looks:
                    try:
                        look()
                    except BaseException as error:
                        told.append(type(error).__name__)

        return body

    replay = flowy.Replay(factory, ["inc"])
    replay.start()
    replay.close()
    assert told == ["GreenletExit", "GreenletExit"]
    replay.close()


def test_code_that_would_not_leave_is_left_behind() -> None:
    def factory(inc: Any) -> Body:
        def body() -> None:
            r = inc(1)
            while True:
                try:
                    flowy.wait(r)
                except BaseException:
                    continue

        return body

    w = flowy.Replay(factory, ["inc"])
    w.start()
    w.close()


def test_a_failure_passes_on_without_running_what_needed_it() -> None:
    def factory(inc: Any, add: Any) -> Body:
        return lambda: add(inc(1), add(inc(2), 3))

    with flowy.Replay(factory, ["inc", "add"]) as replay:
        replay.start()
        failure = flowy.errors.Failure.of(ValueError("no"), key="inc-1-0", name="inc")
        [command] = replay.feed(TaskFailed("inc-1-0", failure))
        assert isinstance(command, events.Fail)
        assert isinstance(replay.exception, flowy.TaskError)
        assert replay.exception.key == "inc-1-0"


@pytest.mark.parametrize("fails", [False, True])
def test_a_long_chain_needs_no_recursion(fails: bool) -> None:
    n = 200_000

    def factory(inc: Any) -> Body:
        def body() -> Any:
            r: Any = 0
            for _ in range(n):
                r = inc(r)
            return r

        return body

    replay = flowy.Replay(factory, ["inc"])
    [command] = replay.start()
    if fails:
        [ending] = replay.feed(TaskFailed("inc-0-0", flowy.errors.Failure("no", key="inc-0-0")))
        assert isinstance(ending, events.Fail)
    else:
        for k in range(1000):
            assert isinstance(command, Schedule)
            [command] = replay.feed(TaskCompleted(command.key, k + 1))
        assert command == Schedule("inc-1000-0", "inc", (1000,), {})
    replay.close()


def test_results_deep_inside_arguments() -> None:
    def nest(x: Any, depth: int) -> Any:
        for _ in range(depth):
            x = [x]
        return x

    def factory(inc: Any) -> Body:
        return lambda: nest(inc(nest(inc(1), 500)), 500)

    with flowy.Replay(factory, ["inc"]) as replay:
        replay.start()
        [command] = replay.feed(TaskCompleted("inc-0-0", 2))
        assert isinstance(command, Schedule)
        assert command.args == (nest(2, 500),)
        [ending] = replay.feed(TaskCompleted("inc-1-0", 3))
        assert ending == Complete(nest(3, 500))


def test_containers_are_taken_as_they_stand_at_the_call() -> None:
    def factory(inc: Any) -> Body:
        def body() -> Any:
            given = {"list": [1], "set": {1}}
            r = inc(given)
            given["list"].append(2)  # type: ignore[attr-defined]
            given.clear()
            return r

        return body

    with flowy.Replay(factory, ["inc"]) as replay:
        assert replay.start() == [Schedule("inc-0-0", "inc", ({"list": [1], "set": {1}},), {})]


def test_a_copy_of_a_subclass_never_calls_its_constructor() -> None:
    class Special(list[Any]):
        def __init__(self, one: Any, two: Any) -> None:
            super().__init__([one, two])
            self.mark = "kept"

    def factory(inc: Any) -> Body:
        return lambda: inc(Special(inc(1), 5))

    with flowy.Replay(factory, ["inc"]) as replay:
        replay.start()
        [command] = replay.feed(TaskCompleted("inc-0-0", 2))
        assert isinstance(command, Schedule)
        [given] = command.args
        assert type(given) is Special
        assert (list(given), given.mark) == ([2, 5], "kept")
        assert copy.copy(given) == [2, 5]


def test_a_timer_in_a_run() -> None:
    def factory() -> Body:
        def body() -> Any:
            before = flowy.now()
            flowy.sleep(30)
            return (flowy.now() - before).total_seconds(), flowy.random(), flowy.uuid4()

        return body

    ends: list[Any] = []
    for _ in range(2):
        with flowy.Replay(factory, [], seed=7, time=100.0) as replay:
            assert replay.start() == [events.StartTimer("@timer-0-0", 30.0)]
            [ending] = replay.feed(events.TimerFired("@timer-0-0", 131.0))
            assert isinstance(ending, Complete)
            ends.append(ending.value)
    assert ends[0] == ends[1]
    assert ends[0][0] == 31.0


def test_discarded_runs_are_freed() -> None:
    """Deciders discard those that they have no room for, one after the other."""

    def factory(inc: Any) -> Body:
        def body() -> Any:
            return flowy.wait(inc(1))

        return body

    def discard(count: int) -> int:
        for _ in range(count):
            replay = flowy.Replay(factory, ["inc"])
            replay.start()
            replay.close()
        gc.collect()
        return sum(type(each) is _sched.Run for each in gc.get_objects())

    before = discard(1)
    assert discard(20) <= before


def test_what_a_run_failed_with_outlives_it() -> None:
    def factory(inc: Any) -> Body:
        def body() -> None:
            raise KeyError("it")

        return body

    with flowy.Replay(factory, ["inc"]) as replay:
        replay.start()
    assert isinstance(replay.exception, KeyError)


def test_large_arguments_are_counted_until_they_are_many() -> None:
    """However often the driver looks in between."""
    outbox, told = _sched.Outbox(), []
    outbox.full_at, outbox.heavy_at = 2, 1 << 20
    outbox.on_full = lambda: told.append(outbox.heavy >= outbox.heavy_at)
    run = _sched.Run(
        lambda inc: lambda: [inc(bytes(200_000)) for _ in range(12)] and None, ["inc"], outbox
    )
    run.start()
    run.close()
    assert told.count(True) == 2


def test_drawing_for_a_time_takes_what_it_gets() -> None:
    outbox = _sched.Outbox()
    run = _sched.Run(lambda inc: lambda: sum(flowy.map(inc, iter(range(5)))), ["inc"], outbox)
    run.start()
    drawn = []
    while orders := [order for _ in outbox.take_restless() for order in run.take_orders()]:
        [(_, lazy)] = orders
        run.draw(lazy, 1000, 0.0, lambda: 0.0, 0.0)
        drawn.append(lazy.drawn)
    assert drawn == [1, 2, 3, 4, 5, 5]
    run.close()
