"""The engine end to end, a benchmark for each shape of work: two worker processes, kept warm.

Owns: the sizes, and what counts as one benchmark. Workers start, and learn the functions, in
`setup`, outside of what is timed; every run's value is made from random integers and not looked at.

May know flowy by its public names only, through its neighbour `workflows`, which has the shapes.
Times are seconds for the whole run: divide by the number of tasks in the parameter.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

from benchmarks import tasks
from benchmarks.workflows import (
    WORKERS,
    Chain,
    Fan,
    Layers,
    Look,
    Mapped,
    Tree,
    Warm,
    make_parent,
    require,
)


class Shape:
    """What the shapes have in common: how often asv runs them, and an engine to close."""

    number = 1
    repeat = (3, 7, 10.0)
    rounds = 1
    warmup_time = 0.0
    timeout = 120.0
    param_names: ClassVar[list[str]] = ["n"]
    params: ClassVar[list[list[Any]]]
    engine: Warm | None = None

    def use(self, engine: Warm, *args: Any) -> None:
        self.engine = engine
        self.args = args
        self.go = engine.run

    def teardown(self, *params: Any) -> None:
        if self.engine is not None:
            self.engine.close()
            self.engine = None


class FanOut(Shape):
    params: ClassVar[list[list[Any]]] = [[10_000, 200_000]]

    def setup(self, n: int) -> None:
        self.use(Warm(Fan, (range(100),), task=tasks.inc), tasks.integers(n))

    def time_single_calls(self, n: int) -> None:
        self.go(*self.args)


class FanOutMapped(Shape):
    params: ClassVar[list[list[Any]]] = [[10_000, 1_000_000]]

    def setup(self, n: int) -> None:
        require("map")
        self.use(Warm(Mapped, (range(100),), task=tasks.inc), tasks.integers(n))

    def time_map(self, n: int) -> None:
        self.go(*self.args)


class Graphs(Shape):
    params: ClassVar[list[list[Any]]] = [[10_000, 50_000]]

    def setup(self, n: int) -> None:
        engine = Warm(Tree, (range(100),), inc=tasks.inc, add=tasks.add)
        self.use(engine, tasks.integers(n))

    def time_tree(self, n: int) -> None:
        """n maps, and n - 1 adds."""
        self.go(*self.args)


class Chained(Shape):
    params: ClassVar[list[list[Any]]] = [[2_000, 20_000]]

    def setup(self, n: int) -> None:
        self.use(Warm(Chain, (20,), inc=tasks.inc), n)

    def time_chain(self, n: int) -> None:
        self.go(*self.args)


class Layered(Shape):
    params: ClassVar[list[list[Any]]] = [[10_000, 100_000]]

    def setup(self, n: int) -> None:
        engine = Warm(Layers, (tasks.edges(200), 2), add3=tasks.add3)
        self.use(engine, tasks.edges(n), tasks.width_of(n))

    def time_layers(self, n: int) -> None:
        """100 layers, each task with three dependencies in the one before."""
        self.go(*self.args)


class Looking(Shape):
    params: ClassVar[list[list[Any]]] = [[5_000]]

    def setup(self, n: int) -> None:
        require("wait")
        self.use(Warm(Look, (20,), inc=tasks.inc), n)

    def time_look(self, n: int) -> None:
        self.go(*self.args)


class SubWorkflows(Shape):
    params: ClassVar[list[list[Any]]] = [[10_000]]

    def setup(self, n: int) -> None:
        self.use(make_parent(), n)

    def time_children(self, n: int) -> None:
        """n sub-workflows of two tasks each."""
        self.go(*self.args)


class Mixed(Shape):
    """2,000 tasks of 0.1 to 20 ms: the share of the workers' time that went into them."""

    unit = "%"
    param_names: ClassVar[list[str]] = ["task", "order"]
    params: ClassVar[list[list[Any]]] = [["sleep", "busy"], ["random", "rising", "falling"]]

    def setup(self, task: str, order: str) -> None:
        engine = Warm(Fan, ([0.001] * 8,), task=getattr(tasks, task))
        self.use(engine, tasks.durations(2_000, order))

    def track_efficiency(self, task: str, order: str) -> float:
        began = time.perf_counter()
        taken: list[float] = self.go(*self.args)
        return 100 * sum(taken) / WORKERS / (time.perf_counter() - began)
