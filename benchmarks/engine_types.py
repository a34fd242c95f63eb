"""What any engine offers to the shapes, and how engines with a `submit` do it.

Owns: the two base classes, the number of workers, and how a graph runs on an engine that knows only
calls: level by level, or by futures as arguments where the engine takes them.

May not know any engine. Its neighbour is `engines`, which has them all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from benchmarks.tasks import Graph

WORKERS = 2
Function = Callable[..., Any]


class Engine:
    """An engine that maps. `most` is how many small tasks it does in some ten seconds."""

    label: ClassVar[str]
    environment: ClassVar[str] = "stdlib"
    package: ClassVar[str | None] = None
    most: ClassVar[int] = 1_000_000

    def open(self) -> None: ...

    def close(self) -> None: ...

    def map(self, function: Function, xs: Iterable[Any]) -> Sequence[Any]:
        raise NotImplementedError

    def share(self, function: Function, value: Any, xs: Iterable[Any]) -> Sequence[Any]:
        """function(value, x) for each x: one large value for all."""
        return self.map(functools.partial(function, value), xs)

    def graph(self, graph: Graph) -> Sequence[Any]:
        """The wanted values."""
        raise NotImplementedError

    def prepare(self, graph: Graph) -> Callable[[], Sequence[Any]]:
        """What runs the graph; only the call of it is timed."""
        return functools.partial(self.graph, graph)

    def look(self, function: Function, n: int) -> Any:
        """A loop that looks at each value before its next call."""
        raise NotImplementedError


class Submitting(Engine):
    """An engine with `submit`, which goes level by level through a graph, or hands futures on."""

    takes_futures: ClassVar[bool] = False
    most = 100_000
    submit: Function

    def gather(self, futures: list[Any]) -> list[Any]:
        return [future.result() for future in futures]

    def map(self, function: Function, xs: Iterable[Any]) -> Sequence[Any]:
        submit = self.submit
        return self.gather([submit(function, x) for x in xs])

    def put(self, value: Any) -> Any:
        """What to pass instead of a large value."""
        return value

    def share(self, function: Function, value: Any, xs: Iterable[Any]) -> Sequence[Any]:
        value = self.put(value)
        return self.gather([self.submit(function, value, x) for x in xs])

    def graph(self, graph: Graph) -> Sequence[Any]:
        submit, made = self.submit, list[Any]()
        for level in graph.levels:
            begin = len(made)
            for i in level:
                function, args, needs = graph.tasks[i]
                made.append(submit(function, *([made[j] for j in needs] if needs else args)))
            if not self.takes_futures:
                made[begin:] = self.gather(made[begin:])
        wanted = [made[i] for i in graph.wanted]
        return self.gather(wanted) if self.takes_futures else wanted

    def look(self, function: Function, n: int) -> Any:
        x: Any = 0
        for _ in range(n):
            (x,) = self.gather([self.submit(function, x)])
        return x
