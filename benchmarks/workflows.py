"""The shapes as workflows, written the way a user would, and the warm engine that runs them.

Owns: the workflow classes that the asv suite and the comparison with peers share, and `Warm`, a
`LocalWorkflow` whose workers are up and know the functions before anything is timed.

May know only public names of flowy, each looked up when it is used, so that this file imports on older
versions; there, what is missing raises NotImplementedError, which asv takes as "skip". Its
neighbour is `tasks`, which has the task bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import flowy
from benchmarks import tasks

Call = Callable[..., Any]
WORKERS = 2


def require(*names: str) -> None:
    """Skip the benchmark on a flowy that does not have these."""
    for name in names:
        if not hasattr(flowy, name):
            raise NotImplementedError(f"this flowy has no {name}")


class Fan:
    """Single calls."""

    def __init__(self, task: Call) -> None:
        self.task = task

    def __call__(self, xs: Iterable[Any]) -> Any:
        return [self.task(x) for x in xs]


class Mapped(Fan):
    """The same in one call."""

    def __call__(self, xs: Iterable[Any]) -> Any:
        return flowy.map(self.task, xs)


class Tree:
    def __init__(self, inc: Call, add: Call) -> None:
        self.inc = inc
        self.add = add

    def __call__(self, xs: Iterable[int]) -> Any:
        level = [self.inc(x) for x in xs]
        while len(level) > 1:
            odd = level[-1:] if len(level) % 2 else []
            pairs = zip(level[::2], level[1::2], strict=False)
            level = [self.add(a, b) for a, b in pairs] + odd
        return level[0]


class Chain:
    def __init__(self, inc: Call) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        x: Any = 0
        for _ in range(n):
            x = self.inc(x)
        return x


class Look(Chain):
    """Looks at each value before the next call."""

    def __call__(self, n: int) -> Any:
        x = 0
        for _ in range(n):
            x = flowy.wait(self.inc(x))
        return x


class Layers:
    def __init__(self, add3: Call) -> None:
        self.add3 = add3

    def __call__(self, edges: Sequence[tuple[int, int, int]], width: int) -> Any:
        layer = [self.add3(i, i + 1, i + 2) for i in range(width)]
        for begin in range(width, len(edges), width):
            here = edges[begin : begin + width]
            layer = [self.add3(layer[a], layer[b], layer[c]) for a, b, c in here]
        return layer


class Child:
    def __init__(self, inc: Call) -> None:
        self.inc = inc

    def __call__(self, x: int) -> Any:
        return self.inc(self.inc(x))


class Parent:
    def __init__(self, child: Call) -> None:
        self.child = child

    def __call__(self, n: int) -> Any:
        return [self.child(i) for i in range(n)]


class Sizes:
    """Looks at each large value: all are asked for first."""

    def __init__(self, make: Call) -> None:
        self.make = make

    def __call__(self, n: int) -> Any:
        return sum(len(value) for value in [self.make(i) for i in range(n)])


class Arguments:
    """Makes each large argument in the driver."""

    def __init__(self, size_of: Call) -> None:
        self.size_of = size_of

    def __call__(self, make: Call, n: int) -> Any:
        return [self.size_of(make(i)) for i in range(n)]


class Share:
    """One large value, an argument of many tasks."""

    def __init__(self, item_of: Call) -> None:
        self.item_of = item_of

    def __call__(self, array: Any, n: int) -> Any:
        return [self.item_of(array, i) for i in range(n)]


class Relay:
    """Large values from one task to the next, which the driver never looks at."""

    def __init__(self, make: Call, size_of: Call) -> None:
        self.make = make
        self.size_of = size_of

    def __call__(self, n: int) -> Any:
        return [self.size_of(self.make(i)) for i in range(n)]


class Warm:
    """An engine that keeps its workers until `close`, and has run once on `warm`, if that is given."""

    def __init__(
        self,
        factory: Callable[..., Any],
        warm: tuple[Any, ...] | None,
        workflows: dict[str, Any] | None = None,
        **activities: Call,
    ) -> None:
        require("LocalWorkflow")
        self.workflow = flowy.LocalWorkflow(factory, activity_workers=WORKERS)
        for name, activity in activities.items():
            self.workflow.conf_activity(name, activity)
        for name, other in (workflows or {}).items():
            self.workflow.conf_workflow(name, other)
        if not hasattr(self.workflow, "__enter__"):
            raise NotImplementedError("this flowy can't keep its workers between runs")
        self.workflow.__enter__()
        self.run: Callable[..., Any] = self.workflow.run
        if warm is not None:
            self.run(*warm)

    def close(self) -> None:
        self.workflow.__exit__(None, None, None)


def make_parent() -> Warm:
    """The engine for sub-workflows: a parent, its children, and their activity."""
    child = flowy.LocalWorkflow(Child)
    child.conf_activity("inc", tasks.inc)
    return Warm(Parent, (8,), workflows={"child": child})
