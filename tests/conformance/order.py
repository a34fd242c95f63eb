"""Cases: maps, reductions, and the order in which results finish.

Owns: the verbs that live in the graph. Where order shows, the value is one that each order gives.
"""

from __future__ import annotations

from typing import Any

import flowy
from conformance.calls import add, inc, square
from conformance.case import case


def broken(n: int) -> int:
    raise ValueError(f"no {n}")


@case(10, value=[n * n for n in range(10)], square=square)
class Map:
    def __init__(self, square: Any) -> None:
        self.square = square

    def __call__(self, n: int) -> Any:
        return list(flowy.map(self.square, range(n)))


@case(value=[[11, 22], 2, 22, [22]], add=add)
class MapOfTwo:
    def __init__(self, add: Any) -> None:
        self.add = add

    def __call__(self) -> Any:
        made = flowy.map(self.add, [1, 2, 3], [10, 20])
        return [list(made), len(made), made[-1], list(made[1:])]


@case(30, value=sum(range(1, 31)), inc=inc)
class LazyMap:
    """Inputs that are drawn as results are consumed."""

    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        total = 0
        for value in flowy.map(self.inc, (i for i in range(n)), window=4):
            total += value
        return total


@case(value=[9, 16], inc=inc, square=square)
class MapOfAMap:
    def __init__(self, inc: Any, square: Any) -> None:
        self.inc, self.square = inc, square

    def __call__(self) -> Any:
        return list(flowy.map(self.square, flowy.map(self.inc, [2, 3])))


@case(9, value=sum(n * n for n in range(9)), square=square, add=add)
class MapReduce:
    def __init__(self, square: Any, add: Any) -> None:
        self.square, self.add = square, add

    def __call__(self, n: int) -> Any:
        return flowy.parallel_reduce(self.add, flowy.map(self.square, range(n)))


@case(value=[15, 25, 5, 7], add=add, inc=inc)
class Reduce:
    def __init__(self, add: Any, inc: Any) -> None:
        self.add, self.inc = add, inc

    def __call__(self) -> Any:
        numbers = [self.inc(n) for n in range(5)]
        return [
            flowy.parallel_reduce(self.add, numbers),
            flowy.parallel_reduce(self.add, numbers, 10),
            flowy.parallel_reduce(self.add, [5]),
            flowy.parallel_reduce(self.add, [], 7),
        ]


@case(value=[20, 6], add=add, inc=inc)
class ReduceByAPlainFunction:
    def __init__(self, add: Any, inc: Any) -> None:
        self.add, self.inc = add, inc

    def __call__(self) -> Any:
        numbers = [self.inc(n) for n in range(4)]
        doubled = flowy.parallel_reduce(lambda a, b: self.add(a, b), [self.add(n, n) for n in numbers])
        return [doubled, flowy.parallel_reduce(lambda a, b: a + b, [1, 2, 3])]


@case(value="parallel_reduce", add=add)
class ReduceOfNothing:
    def __init__(self, add: Any) -> None:
        self.add = add

    def __call__(self) -> Any:
        try:
            return flowy.parallel_reduce(self.add, [])
        except ValueError as error:
            return str(error)[:15]


@case(
    value="ValueError: no 3",
    but={"bare": "an activity fails"},
    add=add,
    broken=broken,
    inc=inc,
)
class ReduceOfAFailure:
    def __init__(self, add: Any, broken: Any, inc: Any) -> None:
        self.add, self.broken, self.inc = add, broken, inc

    def __call__(self) -> Any:
        try:
            flowy.wait(flowy.parallel_reduce(self.add, [self.inc(1), self.broken(3), 4]))
        except flowy.TaskError as error:
            return str(error.args[0]).partition("failed: ")[2]


@case(6, value=[sum(range(1, 7)), list(range(1, 7))], inc=inc)
class FinishOrder:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        results = [self.inc(i) for i in range(n)]
        return [sum(flowy.finish_order(results)), sorted(flowy.finish_order(*results))]


@case(6, value=sum(range(1, 7)), inc=inc, add=add)
class FinishOrderBuildsAChain:
    def __init__(self, inc: Any, add: Any) -> None:
        self.inc, self.add = inc, add

    def __call__(self, n: int) -> Any:
        total: Any = 0
        for result in flowy.finish_order([self.inc(i) for i in range(n)]):
            total = self.add(total, result)
        return total


@case(value=[7, True, 5], inc=inc)
class First:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        some = flowy.first(self.inc(1), self.inc(2))
        return [flowy.first(7, self.inc(1)), some in (2, 3), flowy.first([self.inc(4)])]


@case(value=[[1, 2], 3], inc=inc)
class PlainValuesComeFirst:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        one, two, three = flowy.finish_order(1, 2, self.inc(2))
        return [[one, two], three]


@case(
    value=[2, "ValueError: no 1"],
    but={"bare": "an activity fails"},
    inc=inc,
    broken=broken,
)
class FailuresHaveAnOrderToo:
    def __init__(self, inc: Any, broken: Any) -> None:
        self.inc, self.broken = inc, broken

    def __call__(self) -> Any:
        values, errors = [], []
        for result in flowy.finish_order(self.inc(1), self.broken(1)):
            try:
                values.append(flowy.wait(result))
            except flowy.TaskError as error:
                errors.append(str(error.args[0]).partition("failed: ")[2])
        return [*values, *errors]
