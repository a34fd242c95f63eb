"""Where the time of one task goes, in nanoseconds: `python -m benchmarks.budget`.

Owns: each step of a task's way, timed by itself in one process (the best of some rounds, so that what
else the machine does shows least), and how the whole grows with tasks, edges, workers and bytes.

May know the insides of flowy: it is about them. Its neighbours: `core` counts instructions of the first
and last step, `docs/performance.md` has what this printed and what follows from it.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import flowy
from benchmarks import tasks
from benchmarks.core import Core
from benchmarks.workflows import Fan, Mapped
from flowy import serialization
from flowy.local import batch
from flowy.serialization import Work

N = 100_000
BATCH = 4096
ROUNDS = 7

Step = tuple[str, Callable[[], Any]]


def nanoseconds(steps: Callable[[], Iterator[Step]], tasks_in: int) -> dict[str, float]:
    """The best time of each step, by task."""
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, go in steps():
            began = time.perf_counter_ns()
            go()
            took = (time.perf_counter_ns() - began) / tasks_in
            best[name] = min(took, best.get(name, took))
    return best


def core_steps(factory: Callable[..., Any], xs: list[int]) -> Iterator[Step]:
    """Calls, taking and completing, all in the driver's process."""
    core = Core(factory, "task", xs)
    yield "call: node or place in the map, ready", core.start
    taken: list[Any] = []

    def take() -> None:
        while (one := core.outbox.take(BATCH)) is not None:
            taken.append(one)

    yield "take: into a batch", take
    values = [[x + 1 for x in xs[:BATCH]][: len(one)] for one in taken]

    def complete() -> None:
        for one, some in zip(taken, values, strict=True):
            one.complete(0, some, None)

    yield "complete: event, value kept, end of the run", complete
    core.close()


def travel_steps(xs: list[int]) -> Iterator[Step]:
    """The way of one batch of calls with one argument each: the driver's steps and the worker's."""
    made: dict[str, Any] = {}
    reading, writing = os.pipe()
    try:
        work = Work(0, list(xs), {}, flat=True)

        def there() -> None:
            made["message"] = serialization.dump_calls(work, [])

        def pipe(name: str) -> Callable[[], None]:
            def go() -> None:
                data = memoryview(made[name])
                while data:
                    n = os.write(writing, data[: 1 << 15])
                    os.read(reading, n)
                    data = data[n:]

            return go

        def load() -> None:
            made["work"] = serialization.load_calls(made["message"])

        def run() -> None:
            made["outcomes"] = batch.run_calls({0: tasks.inc}, made["work"], isolate=True)

        def back() -> None:
            made["reply"] = batch.dump_outcomes(made["outcomes"])

        yield "pickle a batch", there
        yield "pipe, there", pipe("message")
        yield "unpickle it", load
        yield "run: `inc`, timed, outcome kept", run
        yield "pickle outcomes", back
        yield "pipe, back", pipe("reply")
        yield "unpickle outcomes", lambda: batch.load_outcomes(made["reply"])
        yield "(a plain loop of `inc`)", lambda: [tasks.inc(x) for x in xs]
    finally:
        os.close(reading)
        os.close(writing)


def tell_budget() -> None:
    xs = tasks.integers(N)
    columns = []
    travel = nanoseconds(lambda: travel_steps(xs[:BATCH]), BATCH)
    for factory in (Fan, Mapped):
        columns.append(nanoseconds(functools.partial(core_steps, factory, xs), N) | travel)
    print("| step | single calls | `flowy.map` |\n|---|---:|---:|")
    for name in columns[0]:
        print(f"| {name} | {columns[0][name]:.0f} | {columns[1][name]:.0f} |")


# ---- How the whole grows.


def microseconds(
    factory: Callable[..., Any], args: tuple[Any, ...], n: int, workers: int = 2, **activities: Any
) -> float:
    """A task of a warm run, the median of three."""
    w = flowy.LocalWorkflow(factory, activity_workers=workers)
    for name, activity in activities.items():
        w.conf_activity(name, activity)
    with w:
        w.run(*args)
        taken = []
        for _ in range(3):
            began = time.perf_counter()
            w.run(*args)
            taken.append((time.perf_counter() - began) / n * 1e6)
    return sorted(taken)[1]


class Edges:
    """Two layers; each task of the second takes `k` values of the first."""

    def __init__(self, inc: Callable[..., Any], many: Callable[..., Any]) -> None:
        self.inc, self.many = inc, many

    def __call__(self, n: int, k: int) -> Any:
        first = [self.inc(i) for i in range(n)]
        return [self.many(*(first[(i + j) % n] for j in range(k))) for i in range(n)]


def many(*values: int) -> int:
    return len(values)


def tell_growth() -> None:
    inc: dict[str, Any] = {"task": tasks.inc}
    print("\n| tasks | single calls, µs each | `flowy.map`, µs each |\n|---:|---:|---:|")
    for n in (10_000, 100_000, 1_000_000, 10_000_000):
        xs = tasks.integers(n)
        single, mapped = (microseconds(factory, (xs,), n, **inc) for factory in (Fan, Mapped))
        print(f"| {n:,} | {single:.2f} | {mapped:.3f} |")
    print("\n| arguments a task | µs each |\n|---:|---:|")
    for k in (1, 2, 4, 8, 16):
        n = 20_000
        print(f"| {k} | {microseconds(Edges, (n, k), 2 * n, inc=tasks.inc, many=many):.2f} |")
    print("\n| workers | single calls, µs each | `flowy.map`, µs each |\n|---:|---:|---:|")
    xs = tasks.integers(200_000)
    for workers in (1, 2, 4, 8):
        single, mapped = (microseconds(f, (xs,), len(xs), workers, **inc) for f in (Fan, Mapped))
        print(f"| {workers} | {single:.2f} | {mapped:.3f} |")
    print("\n| bytes an argument | µs each | MB/s |\n|---:|---:|---:|")
    for size in (10, 100, 1_000, 10_000, 50_000, 1_000_000):
        n = max(200, min(50_000, 100_000_000 // size))
        each = microseconds(Mapped, ([os.urandom(size) for _ in range(n)],), n, task=tasks.size_of)
        print(f"| {size:,} | {each:.2f} | {size / each:,.0f} |")


if __name__ == "__main__":
    tell_budget()
    tell_growth()
