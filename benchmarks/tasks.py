"""What the benchmarks run: task bodies, and the inputs and graphs they run on.

Owns: functions that any engine's workers can import by name, the same for all, and inputs that
are the same in each round, by fixed seeds. numpy comes in only where an array is made.

May not know any engine, flowy included: it is imported in environments that have none but one.
Its neighbours: `workflows`, the same shapes as workflows, and `engines`, which runs graphs on peers.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

MEGABYTE = 1 << 20
LAYERS = 100


# ---- Task bodies.


def inc(x: int) -> int:
    return x + 1


def add(a: int, b: int) -> int:
    return a + b


def add3(a: int, b: int, c: int) -> int:
    return (a + b + c) & 0xFFFF


def run_batch(batch: Sequence[tuple[Callable[..., Any], Sequence[Any]]]) -> list[Any]:
    """What a loop that batches by hand sends."""
    return [function(*args) for function, args in batch]


def make_bytes(i: int) -> bytes:
    """1 MB, of other content each time."""
    return bytes((i & 0xFF,)) * MEGABYTE


def make_array(i: int, size: int = MEGABYTE) -> Any:
    import numpy as np

    return np.full(size, i & 0xFF, dtype=np.uint8)


def size_of(value: Any) -> int:
    return len(value)


def item_of(array: Any, i: int) -> int:
    return int(array[i])


def sleep(seconds: float) -> float:
    """Sleeps, and tells how long it really took."""
    began = time.perf_counter()
    time.sleep(seconds)
    return time.perf_counter() - began


def busy(seconds: float) -> float:
    """Keeps a core busy; counts the time of the thread, so that other load does not shorten it."""
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        pass
    return seconds


# ---- Inputs.


def integers(n: int) -> list[int]:
    """Random integers: a list, because slices of a `range` travel for nothing."""
    source = random.Random(1)
    return [source.randrange(1 << 30) for _ in range(n)]


def durations(n: int, order: str = "random") -> list[float]:
    """Seconds from 0.1 ms to 20 ms, log-uniform: 'random', 'rising' or 'falling'."""
    source = random.Random(2)
    low, high = math.log(0.1e-3), math.log(20e-3)
    drawn = [math.exp(source.uniform(low, high)) for _ in range(n)]
    return drawn if order == "random" else sorted(drawn, reverse=order == "falling")


# ---- Graphs.


class Task(NamedTuple):
    """A task: its arguments are the values of the tasks in `needs`, or `args` if it needs none."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    needs: tuple[int, ...] = ()


class Graph(NamedTuple):
    """Tasks by number; for engines without graphs also the numbers by level."""

    name: str
    tasks: list[Task]
    levels: list[range]
    wanted: range


def width_of(n: int) -> int:
    return max(1, n // LAYERS)


def edges(n: int) -> list[tuple[int, int, int]]:
    """Three random places in the layer before, for each task of layers of n / 100 tasks."""
    source = random.Random(3)
    width = width_of(n)
    pick = source.randrange
    return [(pick(width), pick(width), pick(width)) for _ in range(width * LAYERS)]


def tree(n: int) -> Graph:
    """n calls of `inc`, and a binary tree of adds over them."""
    tasks = [Task(inc, (x,)) for x in integers(n)]
    levels = [range(n)]
    above = list(levels[0])
    while len(above) > 1:
        begin = len(tasks)
        tasks += [Task(add, (), pair) for pair in zip(above[::2], above[1::2], strict=False)]
        levels.append(range(begin, len(tasks)))
        above = [*levels[-1], *(above[-1:] if len(above) % 2 else ())]
    return Graph("tree", tasks, levels, range(len(tasks) - 1, len(tasks)))


def chain(n: int) -> Graph:
    """n calls of `inc`, each on what the one before gave."""
    tasks = [Task(inc, (0,)), *(Task(inc, (), (i,)) for i in range(n - 1))]
    return Graph("chain", tasks, [range(i, i + 1) for i in range(n)], range(n - 1, n))


def layers(n: int) -> Graph:
    """100 layers; each task adds three of the layer before."""
    width = width_of(n)
    tasks = []
    for i, (a, b, c) in enumerate(edges(n)):
        before = i - i % width - width
        needs = (before + a, before + b, before + c) if before >= 0 else ()
        tasks.append(Task(add3, (i, i + 1, i + 2), needs))
    levels = [range(i, i + width) for i in range(0, len(tasks), width)]
    return Graph("layers", tasks, levels, levels[-1])


def relay(n: int) -> Graph:
    """n values of 1 MB, each from one task to the next."""
    tasks = [Task(make_bytes, (i,)) for i in range(n)] + [Task(size_of, (), (i,)) for i in range(n)]
    return Graph("relay", tasks, [range(n), range(n, 2 * n)], range(n, 2 * n))


def values_of(graph: Graph) -> list[Any]:
    """The wanted values, by plain Python."""
    values: list[Any] = []
    for task in graph.tasks:
        args = [values[i] for i in task.needs] if task.needs else task.args
        values.append(task.function(*args))
    return [values[i] for i in graph.wanted]
