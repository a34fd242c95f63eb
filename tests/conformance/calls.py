"""Cases: calls, what is passed to them, and looks at their results.

Owns: the graph that calls make, and plain Python on results.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import flowy
from conformance.case import case


def inc(n: int) -> int:
    return n + 1


def add(a: int, b: int) -> int:
    return a + b


def square(n: int) -> int:
    return n * n


def total(values: Any) -> Any:
    """All numbers anywhere in it."""
    if isinstance(values, dict):
        return sum(total(v) for v in values.values())
    if isinstance(values, (list, tuple, set, frozenset)):
        return sum(total(v) for v in values)
    return values


def describe(*args: Any, **kwargs: Any) -> list[Any]:
    return [list(args), sorted(kwargs.items())]


def nothing() -> None:
    return None


def split(text: str) -> list[str]:
    return text.split()


class Point(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class Box:
    left: Any
    right: Any


def is_even(n: int) -> bool:
    return n % 2 == 0


@case(1, "two", value=[1, "two", {"three": 3}], given={"three": 3})
class NoCalls:
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return [*args, kwargs]


@case(4, value=5, inc=inc)
class OneCall:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        return self.inc(n)


@case(0, value=6, inc=inc)
class Chain:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        for _ in range(6):
            n = self.inc(n)
        return n


@case(2, 10, value=104, square=square, add=add)
class SumOfSquares:
    def __init__(self, square: Any, add: Any) -> None:
        self.square, self.add = square, add

    def __call__(self, a: int, b: int) -> Any:
        return self.add(self.square(a), self.square(b))


@case(12, value=sum(range(1, 13)), inc=inc)
class FanOut:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        return sum(flowy.wait([self.inc(i) for i in range(n)]))


@case(3, value=16 + 5, inc=inc, square=square, add=add)
class Diamond:
    def __init__(self, inc: Any, square: Any, add: Any) -> None:
        self.inc, self.square, self.add = inc, square, add

    def __call__(self, n: int) -> Any:
        top = self.inc(n)
        return self.add(self.square(top), self.inc(top))


@case(value=[[1, 2], [["a", 3], ["b", 4]]], describe=describe, inc=inc)
class KeywordArguments:
    def __init__(self, describe: Any, inc: Any) -> None:
        self.describe, self.inc = describe, inc

    def __call__(self) -> Any:
        shown = self.describe(1, self.inc(1), b=self.inc(3), a=3)
        return [list(shown[0]), [list(pair) for pair in shown[1]]]


@case(value=1 + 2 + 3 + 4 + 5 + 6, inc=inc, total=total)
class NestedContainers:
    def __init__(self, inc: Any, total: Any) -> None:
        self.inc, self.total = inc, total

    def __call__(self) -> Any:
        inside = {"a": [self.inc(0), (self.inc(1), {"b": self.inc(2)})], "c": (self.inc(3),)}
        return self.total([inside, [[self.inc(4)]], 6])


@case(value=3 + 7, inc=inc, total=total)
class NamedTuples:
    def __init__(self, inc: Any, total: Any) -> None:
        self.inc, self.total = inc, total

    def __call__(self) -> Any:
        return self.total(Point(self.inc(2), Point(self.inc(3), 3)))


@case(value=[3, 7], inc=inc)
class DataclassesWaitedFor:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        box = flowy.wait(Box(self.inc(2), Box(self.inc(6), None)))
        return [box.left, box.right.left]


@case(value={"list": [1, [2]], "tuple": (3, (4,)), "set": {5}, "plain": None}, inc=inc)
class ResultsInWhatIsReturned:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        inc = self.inc
        return {
            "list": [inc(0), [inc(1)]],
            "tuple": (inc(2), (inc(3),)),
            "set": {inc(4)},
            "plain": None,
        }


@case(
    value=[True, False, 9, 2, -3, 1.5, "3 and 003", [0, 1, 2], 4, "b", True, ["a", "b", "c"]],
    inc=inc,
    split=split,
)
class Looking:
    def __init__(self, inc: Any, split: Any) -> None:
        self.inc, self.split = inc, split

    def __call__(self) -> Any:
        n, words = self.inc(2), self.split("a b c")
        return [
            n > 2,
            n == 4,
            n * 3,
            7 % n + 1,
            -n,
            n / 2,
            f"{n} and {n:03d}",
            list(range(n)),
            len(words) + 1,
            words[1],
            "c" in words,
            [*words],
        ]


@case(value=[[2, 3], True, {"2": "two"}], inc=inc)
class HashedResults:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        seen = {self.inc(1), self.inc(2), self.inc(1)}
        names = {self.inc(1): "two"}
        return [sorted(seen), self.inc(2) in seen, {str(k): v for k, v in names.items()}]


@case([3, 1, 2], value=[1, 2, 3], square=square)
class WaitsInASortKey:
    def __init__(self, square: Any) -> None:
        self.square = square

    def __call__(self, numbers: Any) -> Any:
        return sorted(numbers, key=lambda n: self.square(n) + 0)


@case(value=[3, [1, 2, 3, 4], True], inc=inc)
class WaitsInC:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        numbers = [self.inc(i) for i in range(4)]
        largest = max(range(4), key=numbers.__getitem__)
        return [largest, sorted(numbers, reverse=True)[::-1], any(n == 2 for n in numbers)]


@case(3, value=4, inc=inc)
def function_as_factory(inc: Any) -> Any:
    return lambda n: inc(n)


@case([5, 1, 4, 2, 3], value=[15, 5], add=add)
class Recursion:
    """Halves, whose sums are in the graph at the same time."""

    def __init__(self, add: Any) -> None:
        self.add = add

    def __call__(self, numbers: Any) -> Any:
        return [self.sum(numbers), self.sum([1] * len(numbers))]

    def sum(self, numbers: Any) -> Any:
        if len(numbers) == 1:
            return numbers[0]
        middle = len(numbers) // 2
        return self.add(self.sum(numbers[:middle]), self.sum(numbers[middle:]))


@case(value=[6, [1, 2, 3, 100]], inc=inc, total=total)
class ArgumentsAreTakenAtTheCall:
    def __init__(self, inc: Any, total: Any) -> None:
        self.inc, self.total = inc, total

    def __call__(self) -> Any:
        numbers = [1, 2]
        numbers.append(self.inc(2))
        summed = self.total(numbers)
        numbers.append(100)
        return [summed, numbers]


@case(value="done", inc=inc)
class CallsThatNobodyNeeds:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        for i in range(5):
            self.inc(i)
        return "done"


@case(value=[None, True], nothing=nothing)
class NoneIsAValue:
    def __init__(self, nothing: Any) -> None:
        self.nothing = nothing

    def __call__(self) -> Any:
        return [self.nothing(), flowy.wait(self.nothing()) is None]


@case(6, value=[6, 3, 10, 5, 16, 8, 4, 2, 1], is_even=is_even, inc=inc)
class Branching:
    """Collatz: each step depends on a look at the one before."""

    def __init__(self, is_even: Any, inc: Any) -> None:
        self.is_even, self.inc = is_even, inc

    def __call__(self, n: int) -> Any:
        seen = [n]
        while n != 1:
            n = n // 2 if self.is_even(n) else flowy.wait(self.inc(3 * n))
            seen.append(n)
        return seen


@case(value=[True, "<result inc-0-0, running>", False, 2], but={"plain": "has no results"}, inc=inc)
class ResultsAreTold:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self) -> Any:
        result = self.inc(1)
        shown = repr(result)
        return [flowy.is_result(result), shown, flowy.is_result(flowy.wait(result)), result]


@case(value=[2, 3, 4, 5], inc=inc)
class GeneratorsOfCalls:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def results(self) -> Any:
        for i in range(4):
            yield self.inc(i + 1)

    def __call__(self) -> Any:
        return list(self.results())
