"""The shapes of work on any engine, and one measurement of one of them.

Owns: for each shape its size, what is timed (`go`), the check of its value, and the figure that is
shown. Run as a program it is one measurement: ENGINE SHAPE N, a line of JSON as the last on stdout.

May not know how an engine does it. Its neighbours: `engines`, which has the engines, and `peers`, which
starts this, once for each measurement, in the engine's environment.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from benchmarks import tasks
from benchmarks.engine_types import WORKERS, Engine
from benchmarks.engines import ENGINES

MICROSECONDS = "µs a task"
MEGABYTES = "MB/s"
PERCENT = "% of ideal"


class Work(NamedTuple):
    """`amount` is tasks, megabytes, or the seconds of work that the tasks are."""

    go: Callable[[], Any]
    check: Callable[[Any], bool]
    amount: float


class Shape(NamedTuple):
    """`n` is its full size; `small` says that an engine's own limit holds too."""

    title: str
    unit: str
    n: int
    make: Callable[[Engine, int], Work]
    small: bool = False
    warm: int = 10

    def size_for(self, engine: type[Engine], scale: float = 1.0) -> int:
        n = min(self.n, engine.most) if self.small else self.n
        return max(2, int(n * scale))

    def figure(self, work: Work, seconds: float) -> float:
        if self.unit == MICROSECONDS:
            return seconds / work.amount * 1e6
        if self.unit == MEGABYTES:
            return work.amount / seconds
        return 100 * work.amount / WORKERS / seconds


def fan_out(engine: Engine, n: int) -> Work:
    xs = tasks.integers(n)
    return Work(lambda: engine.map(tasks.inc, xs), lambda v: list(v) == [x + 1 for x in xs], n)


def graph(make: Callable[[int], tasks.Graph], engine: Engine, n: int) -> Work:
    made = make(n)
    wanted = tasks.values_of(made)
    return Work(engine.prepare(made), lambda v: list(v) == wanted, len(made.tasks))


def look(engine: Engine, n: int) -> Work:
    return Work(lambda: engine.look(tasks.inc, n), lambda v: bool(v == n), n)


def relay(engine: Engine, n: int) -> Work:
    go = engine.prepare(tasks.relay(n))
    return Work(go, lambda v: list(v) == [tasks.MEGABYTE] * n, n * tasks.MEGABYTE / 1e6)


def results(make: Callable[[int], Any], engine: Engine, n: int) -> Work:
    def go() -> int:
        return sum(len(value) for value in engine.map(make, range(n)))

    return Work(go, lambda v: bool(v == n * tasks.MEGABYTE), n * tasks.MEGABYTE / 1e6)


def arguments(make: Callable[[int], Any], engine: Engine, n: int) -> Work:
    def go() -> Any:
        return engine.map(tasks.size_of, (make(i) for i in range(n)))

    return Work(go, lambda v: list(v) == [tasks.MEGABYTE] * n, n * tasks.MEGABYTE / 1e6)


def shared(engine: Engine, n: int) -> Work:
    array = tasks.make_array(7, 100 * tasks.MEGABYTE)
    go = partial(engine.share, tasks.item_of, array, range(n))
    return Work(go, lambda v: list(v) == [7] * n, n * 100 * tasks.MEGABYTE / 1e6)


def mixed(task: Callable[[float], float], order: str, engine: Engine, n: int) -> Work:
    xs = tasks.durations(n, order)
    return Work(lambda: engine.map(task, xs), lambda v: len(v) == n, sum(xs))


SHAPES: dict[str, Shape] = {
    "fan-out": Shape("fan-out", MICROSECONDS, 1_000_000, fan_out, small=True, warm=1_000),
    "tree": Shape(
        "map and tree", MICROSECONDS, 100_000, partial(graph, tasks.tree), small=True, warm=100
    ),
    "chain": Shape("chain", MICROSECONDS, 20_000, partial(graph, tasks.chain), small=True),
    "layers": Shape("layers", MICROSECONDS, 100_000, partial(graph, tasks.layers), small=True, warm=200),
    "look": Shape("look at each", MICROSECONDS, 5_000, look, small=True),
    "results-bytes": Shape("results, bytes", MEGABYTES, 1_000, partial(results, tasks.make_bytes)),
    "results-array": Shape("results, arrays", MEGABYTES, 1_000, partial(results, tasks.make_array)),
    "arguments-bytes": Shape("arguments, bytes", MEGABYTES, 1_000, partial(arguments, tasks.make_bytes)),
    "arguments-array": Shape(
        "arguments, arrays", MEGABYTES, 1_000, partial(arguments, tasks.make_array)
    ),
    "shared": Shape("one array to many", MEGABYTES, 200, shared),
    "relay": Shape("task to task", MEGABYTES, 500, relay),
} | {
    f"{name}-{order}": Shape(f"{name}, {order}", PERCENT, 2_000, partial(mixed, task, order))
    for name, task in (("sleep", tasks.sleep), ("busy", tasks.busy))
    for order in ("random", "rising", "falling")
}


def measure(engine_name: str, shape_name: str, n: int) -> dict[str, Any]:
    """Warm up on a little of the same, time it, check the value."""
    engine, shape = ENGINES[engine_name](), SHAPES[shape_name]
    engine.open()
    try:
        warm = shape.make(engine, min(n, shape.warm))
        if not warm.check(warm.go()):
            raise ValueError("a wrong value, in the warm-up")
        work = shape.make(engine, n)
        began = time.perf_counter()
        value = work.go()
        seconds = time.perf_counter() - began
        if not work.check(value):
            raise ValueError("a wrong value")
        if shape.unit == PERCENT:
            work = work._replace(amount=sum(value))  # a sleep takes longer than it was asked to
        figure = shape.figure(work, seconds)
        return {"n": n, "seconds": seconds, "figure": figure, "versions": versions(engine)}
    except NotImplementedError:
        return {"n": n, "missing": True}
    finally:
        engine.close()


def versions(engine: Engine) -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for package in (engine.package, "numpy"):
        if package is not None:
            with suppress(PackageNotFoundError):  # numpy; flowy, if it was built in place
                found[package] = version(package)
    return found


def main() -> None:
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # whatever needs too much memory is itself what the kernel ends
    engine, shape, n = sys.argv[1:]
    print("\n" + json.dumps(measure(engine, shape, int(n))), flush=True)
