"""Nine classic shapes take as long as they promise.

Owns: `SHAPES`, each with the number of naps that its longest chain has. Activities nap; what is asserted
is read from the trace: who waited for whom, what ran side by side, and that all of it took no longer
than the chain and a tenth and 50 ms more. Other programs on the machine can only make it longer, so the
best of some runs counts. Neighbour: `test_tracing`, which has that traces tell the truth.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import flowy
from flowy import LocalWorkflow
from flowy.trace import Task, Trace

NAP = 0.15
TRIES = 8
WORKERS = 4


def nap(*_: Any) -> int:
    time.sleep(NAP)
    return 1


class Shape:
    """Base of the workflows: all dependencies nap."""

    def __init__(self, a: Any, b: Any) -> None:
        self.a, self.b = a, b

    def __call__(self) -> Any:
        raise NotImplementedError


class Sequence(Shape):
    def __call__(self) -> Any:
        return self.b(self.a(self.a()))


class Parallel(Shape):
    def __call__(self) -> Any:
        return [self.a(i) for i in range(WORKERS)]


class FanOutFanIn(Shape):
    def __call__(self) -> Any:
        first = self.a()
        return self.b([self.a(first, i) for i in range(WORKERS)])


class Diamond(Shape):
    def __call__(self) -> Any:
        top = self.a()
        return self.b(self.a(top, "left"), self.a(top, "right"))


class Pipeline(Shape):
    """Three stages for each item; an item does not wait for the others."""

    def __call__(self) -> Any:
        return flowy.map(self.b, flowy.map(self.a, flowy.map(self.a, range(WORKERS))))


class Conditional(Shape):
    """Code that looks at one of two, while the other goes on."""

    def __call__(self) -> Any:
        beside = self.b()
        return self.b(beside) if self.a() else None


class MapReduce(Shape):
    """In order: each merge takes the next."""

    def __call__(self) -> Any:
        return functools.reduce(self.b, flowy.map(self.a, range(WORKERS)))


class SubWorkflows(Shape):
    """Two workflows of two naps each, and one more."""

    def __call__(self) -> Any:
        return self.a(self.b(), self.b())


class ParallelMapReduce(Shape):
    """Any two that are there are merged: a tree."""

    def __call__(self) -> Any:
        return flowy.parallel_reduce(self.b, flowy.map(self.a, range(WORKERS)))


@dataclass(frozen=True)
class Promise:
    factory: type[Shape]
    chain: int
    """Naps of the longest chain."""
    together: dict[int, int] = field(default_factory=dict)
    """By how many naps before them: so many tasks run side by side."""
    inner: type[Shape] | None = None


class Twice(Shape):
    def __call__(self) -> Any:
        return self.b(self.a())


SHAPES = [
    Promise(Sequence, 3, {0: 1, 1: 1, 2: 1}),
    Promise(Parallel, 1, {0: 4}),
    Promise(FanOutFanIn, 3, {0: 1, 1: 4, 2: 1}),
    Promise(Diamond, 3, {0: 1, 1: 2, 2: 1}),
    Promise(Pipeline, 3, {0: 4, 1: 4, 2: 4}),
    Promise(Conditional, 2, {0: 2, 1: 1}),
    Promise(MapReduce, 4, {0: 4, 1: 1, 2: 1, 3: 1}),
    Promise(SubWorkflows, 3, {0: 2, 1: 2, 2: 1}, inner=Twice),
    Promise(ParallelMapReduce, 3, {0: 4, 1: 2, 2: 1}),
]


def make(promise: Promise, executor: str) -> LocalWorkflow:
    w = LocalWorkflow(promise.factory, WORKERS, executor=executor)
    w.conf_activity("a", nap)
    if promise.inner is None:
        w.conf_activity("b", nap)
    else:
        inner = LocalWorkflow(promise.inner)
        inner.conf_activity("a", nap)
        inner.conf_activity("b", nap)
        w.conf_workflow("b", inner)
    return w


def causes(trace: Trace, task: Task) -> list[Task]:
    """The activities that this one waited for: those in sub-workflows in their place."""
    found = []
    for number in (*task.depends_on, *([task.after] if task.after >= 0 else ())):
        source = trace[number]
        if source.kind == "activity":
            found.append(source)
        else:
            found += [other for other in trace if other.parent == number]
    return found


def levels(trace: Trace) -> dict[int, list[Task]]:
    """Activities by how many naps come before them."""
    level: dict[int, int] = {}
    made: dict[int, list[Task]] = {}
    activities = [task for task in trace if task.kind == "activity"]
    for task in sorted(activities, key=lambda task: task.started):
        level[task.number] = 1 + max((level[c.number] for c in causes(trace, task)), default=-1)
        made.setdefault(level[task.number], []).append(task)
    return made


def check_order(trace: Trace) -> None:
    """What holds whatever else runs on the machine."""
    for task in trace:
        if task.kind != "activity":
            continue
        assert task.seconds >= NAP - 0.001
        for cause in causes(trace, task):
            assert cause.ended <= task.started + 0.001, f"{task.key} did not wait for {cause.key}"


def keeps(promise: Promise, trace: Trace) -> bool:
    """Whether it took what was promised, side by side."""
    found = levels(trace)
    if {level: len(tasks) for level, tasks in found.items()} != promise.together:
        return False
    for tasks in found.values():
        if max(task.started for task in tasks) >= min(task.ended for task in tasks):
            return False
    activities = [task for task in trace if task.kind == "activity"]
    took = max(task.ended for task in activities) - min(task.started for task in activities)
    path = trace.critical_path()
    if len(path.tasks) != promise.chain:
        return False
    return took <= 1.1 * path.seconds + 0.05 and took <= 1.1 * promise.chain * NAP + 0.05


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["threads", "processes"])
@pytest.mark.parametrize("promise", SHAPES, ids=lambda promise: promise.factory.__name__)
def test_a_shape_takes_what_it_promises(promise: Promise, executor: str, tmp_path: Path) -> None:
    with make(promise, executor) as w:
        for _ in range(TRIES):
            w.run(_trace=tmp_path / "t.json")  # the first time workers may still be starting
            trace = w.trace
            assert trace is not None
            check_order(trace)
            if keeps(promise, trace):
                return
    assert trace is not None
    pytest.fail("\n".join(map(str, trace)))


def late(shape: Callable[[Trace], None]) -> Trace:
    trace = Trace()
    shape(trace)
    return trace


def test_a_run_that_breaks_its_promise_is_seen() -> None:
    """Two that should run side by side, one after the other; and a gap."""

    def turns(trace: Trace) -> None:
        for i in range(WORKERS):
            trace.add("a", call=i, started=i * NAP, ended=(i + 1) * NAP)

    def gap(trace: Trace) -> None:
        first = trace.add("a", started=0.0, ended=NAP)
        second = trace.add("a", call=1, depends_on=[first], started=2 * NAP, ended=3 * NAP)
        trace.add("b", depends_on=[second], started=3 * NAP, ended=4 * NAP)

    def good(trace: Trace) -> None:
        for i in range(WORKERS):
            trace.add("a", call=i, started=0.001 * i, ended=NAP + 0.001 * i)

    assert not keeps(SHAPES[1], late(turns))
    assert not keeps(SHAPES[0], late(gap))
    assert keeps(SHAPES[1], late(good))
