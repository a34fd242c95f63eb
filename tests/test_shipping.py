"""Tasks that go along with what they wait for: the same meaning, fewer messages.

Owns: what a message may hold, what stays in the worker, and how everything ends well when a message
does not come back whole. The core is driven by hand here, with a worker that can die anywhere; the
engine is told that every activity is quick, so that chains and trees travel from their first call on.

May not know: how the core finds out what may travel together.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_property import NOISE, Engine, check_settled, examples

import flowy
from flowy._sched import Batch, Outbox, Run
from flowy.events import Complete
from flowy.local import batch as batches
from flowy.local.batching import Batching
from flowy.serialization import Work

QUICK = 1e-6


class Quick(Batching):
    """The policy of an engine that thinks every activity quick, also one that it has never run."""

    def cost(self, function: int | None) -> float:
        return QUICK


class Hand:
    """A run and its outbox, driven by hand; `sizes` are the messages that were taken."""

    def __init__(self, factory: Callable[..., Any], *args: Any, **functions: Callable[..., Any]) -> None:
        self.functions = dict(enumerate(functions.values()))
        self.outbox = Outbox()
        self.run = Run(factory, tuple(functions), self.outbox, args=args)
        for number in self.functions:
            self.outbox.set_cost(number, QUICK)
        self.sizes: list[int] = []

    def take(self, budget: float = 1.0) -> Batch | None:
        batch = self.outbox.take(100, budget, 0, 100)
        if batch is not None:
            self.sizes.append(len(batch))
        return batch

    def outcomes(self, batch: Batch) -> batches.Outcomes:
        work = Work(batch.which, batch.calls, batch.keywords, batch.flat, *batch.link_bytes)
        return batches.run_calls(self.functions, work, isolate=True)

    def complete(self, batch: Batch) -> None:
        done = self.outcomes(batch)
        failures = {
            i: batches.to_failure(error, batch.key(i), batch.name(i))
            for i, error in done.failures.items()
        }
        batch.complete(0, done.values, failures or None)

    def finish(self) -> Any:
        self.run.start()
        while (batch := self.take()) is not None:
            self.complete(batch)
            self.run.check()
        assert self.run.ended
        outcome = self.run.outcome
        value = outcome.value if isinstance(outcome, Complete) else self.run.exception
        self.run.close()
        return value


def chain(inc: Callable[..., Any]) -> Callable[[int], Any]:
    def run(n: int) -> Any:
        x: Any = 0
        for _ in range(n):
            x = inc(x)
        return x

    return run


def test_a_chain_is_one_message_whose_values_stay_where_they_are_made() -> None:
    hand = Hand(chain, 50, inc=lambda x: x + 1)
    hand.run.start()
    batch = hand.take()
    assert batch is not None
    assert len(batch) == 50
    assert [value for value in hand.outcomes(batch).values if value is not None] == [50]
    hand.complete(batch)
    assert hand.run.outcome == Complete(50)
    hand.run.close()


def test_a_value_that_the_code_still_holds_comes_back() -> None:
    def factory(inc: Callable[..., Any]) -> Callable[[], Any]:
        def run() -> Any:
            a = inc(0)
            b = inc(a)
            c = inc(b)
            return [a, c]

        return run

    hand = Hand(factory, inc=lambda x: x + 1)
    hand.run.start()
    batch = hand.take()
    assert batch is not None
    assert hand.outcomes(batch).values == [1, None, 3]
    hand.complete(batch)
    assert hand.run.outcome == Complete([1, 3])
    hand.run.close()


def test_what_stays_of_one_run_does_not_hang_on_the_next_in_its_message() -> None:
    def factory(inc: Callable[..., Any]) -> Callable[[], Any]:
        def run() -> Any:
            a = inc(0)
            b = inc(a)
            return [a, inc(b)]

        return run

    hand = Hand(factory, inc=lambda x: x + 1)
    others = [Run(factory, ("inc",), hand.outbox) for _ in range(2)]
    for run in (hand.run, *others):
        run.start()
    batch = hand.take()
    assert batch is not None
    assert hand.outcomes(batch).values == [1, None, 3] * 3
    hand.complete(batch)
    for run in (hand.run, *others):
        run.check()
        assert run.outcome == Complete([1, 3])
        run.close()


def test_arguments_that_the_code_keeps_hold_the_value() -> None:
    def factory(inc: Callable[..., Any], get: Callable[..., Any]) -> Callable[[], Any]:
        def run() -> Any:
            given = (inc(0),)
            inc(*given)
            return flowy.wait(given[0]) + 10

        return run

    assert Hand(factory, inc=lambda x: x + 1, get=abs).finish() == 11


def test_a_join_goes_along_when_all_that_it_needs_is_there() -> None:
    def factory(inc: Callable[..., Any], add: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: add(add(inc(1), inc(2)), add(inc(3), add(inc(4), 5)))

    hand = Hand(factory, inc=lambda x: x + 1, add=lambda a, b: a + b)
    assert hand.finish() == 19
    assert hand.sizes == [8]


def test_only_little_goes_along_of_what_others_could_do_meanwhile() -> None:
    def factory(inc: Callable[..., Any]) -> Callable[[], Any]:
        def run() -> Any:
            a = inc(0)
            return [inc(a) for _ in range(500)]

        return run

    hand = Hand(factory, inc=lambda x: x + 1)
    hand.outbox.set_cost(0, 2e-5)
    assert hand.finish() == [2] * 500
    assert hand.sizes[0] <= 8


@pytest.mark.parametrize("cost", [1e-3, 1.0])
def test_what_takes_longer_than_a_message_travels_alone(cost: float) -> None:
    hand = Hand(chain, 5, inc=lambda x: x + 1)
    hand.outbox.set_cost(0, cost)
    assert hand.finish() == 5
    assert hand.sizes == [1] * 5


def test_a_failure_fails_what_waits_for_it_and_nothing_of_that_runs() -> None:
    ran = []

    def inc(x: int) -> int:
        ran.append(x)
        if x == 3:
            raise ValueError("no")
        return x + 1

    error = Hand(chain, 10, inc=inc).finish()
    assert isinstance(error, flowy.TaskError)
    assert error.key == "inc-3-0"
    assert ran == [0, 1, 2, 3]


def test_no_call_sees_what_another_does_to_a_value() -> None:
    def factory(make: Callable[..., Any], grow: Callable[..., Any]) -> Callable[[], Any]:
        def run() -> Any:
            a = make()
            return [grow(a), grow(a), a]

        return run

    def grow(items: list[int]) -> list[int]:
        items.append(1)
        return items

    hand = Hand(factory, make=list, grow=grow)
    assert hand.finish() == [[1], [1], []]
    assert hand.sizes[0] > 1


def test_a_value_that_cant_travel_fails_its_task_wherever_it_goes() -> None:
    def factory(make: Callable[..., Any], use: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: use(make())

    hand = Hand(factory, make=threading.Lock, use=lambda lock: 1)
    error = hand.finish()
    assert hand.sizes == [2]
    assert isinstance(error, flowy.TaskError)
    assert error.key == "make-0-0"
    assert "return value" in str(error)


@settings(max_examples=60, deadline=None, suppress_health_check=NOISE)
@given(data=st.data())
def test_a_worker_may_die_after_any_task(data: st.DataObject) -> None:
    """Trees over chains: some outcomes come back, the rest is lost and goes again."""
    width = data.draw(st.integers(1, 6))
    depth = data.draw(st.integers(1, 6))

    def factory(inc: Callable[..., Any], add: Callable[..., Any]) -> Callable[[], Any]:
        def run() -> Any:
            tops = []
            for i in range(width):
                x: Any = i
                for _ in range(depth):
                    x = inc(x)
                tops.append(x)
            while len(tops) > 1:
                tops = [add(*tops[:2]), *tops[2:]]
            return tops[0]

        return run

    hand = Hand(factory, inc=lambda x: x + 1, add=lambda a, b: a + b)
    hand.run.start()
    while (batch := hand.take()) is not None:
        back: list[tuple[int, list[Any]]] = []

        def flush(outcomes: batches.Outcomes, back: list[tuple[int, list[Any]]] = back) -> None:
            back.append((outcomes.first, outcomes.values))

        work = Work(batch.which, batch.calls, batch.keywords, batch.flat, *batch.link_bytes)
        last = batches.run_calls(
            hand.functions,
            work,
            flush=flush,
            flush_after=0.0 if data.draw(st.booleans()) else 1.0,
            isolate=True,
        )
        back.append((last.first, last.values))
        whole = data.draw(st.integers(0, len(back)))
        done = 0
        for first, values in back[:whole]:
            batch.complete(first, list(values), None)
            done = first + len(values)
            hand.run.check()
        for i in range(done, len(batch)):
            if batch.recall(i):
                args, kwargs = batch.arguments(i)
                function = hand.functions[
                    batch.which[i] if isinstance(batch.which, list) else batch.which
                ]
                batch.complete(i, [function(*args, **kwargs)], None)
                hand.run.check()
    assert hand.run.outcome == Complete(sum(range(width)) + width * depth)
    hand.run.close()


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_the_engine_gives_the_value_of_programs_when_all_that_can_travels_together(
    executor: str,
) -> None:
    engine = Engine(executor)
    engine.workflow._batching = Quick()

    check_settled(engine, examples(100 if executor == "threads" else 40))


class Links:
    def __init__(self, link: Callable[..., Any]) -> None:
        self.link = link

    def __call__(self, path: str, n: int) -> Any:
        x: Any = 0
        for _ in range(n):
            x = self.link(x, path)
        return x


def link(x: int, path: str) -> int:
    """The 40th link kills its worker, the first time."""
    if x == 40 and not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), 9)
    return x + 1


def poison(x: int, path: str) -> int:
    if x == 40:
        os.kill(os.getpid(), 9)
    return x + 1


def test_a_chain_goes_on_after_the_death_of_its_worker(build: Any, tmp_path: Any) -> None:
    w = build(Links, "processes", link=link)
    w._batching = Quick()
    assert w.run(str(tmp_path / "died"), 100) == 100
    assert (tmp_path / "died").exists()


def test_a_link_that_kills_every_worker_fails_by_name(build: Any, tmp_path: Any) -> None:
    w = build(Links, "processes", link=poison)
    w._batching = Quick()
    with pytest.raises(flowy.WorkerDied) as caught:
        w.run(str(tmp_path / "died"), 100)
    assert caught.value.key == "link-40-0"
    assert isinstance(caught.value, flowy.TaskError)
