"""What it costs to trace a run: `python -m benchmarks.tracing --help`.

Owns: a million tasks in several shapes, with and without; runs of each kind take turns, and medians are
compared, by the clock and by the CPU that the driver took (all of its threads). The picture is not
drawn: that is no part of the run. Bytes are those of the notes when the run is over, and of the trace.

May know the insides of flowy: a public run with `_trace` would write a file. Its neighbours: `tasks` has
the bodies, `progress` measures what it costs to show a run, `docs/trace.md` has what this printed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import flowy
from benchmarks import tasks
from benchmarks.workflows import Chain, Fan, Look, Mapped, Tree
from flowy import _trace
from flowy.local.engine import Asked
from flowy.local.tracing import take

WORKERS = 2
PLAIN, TRACED = "plain", "traced"


class Shape(NamedTuple):
    factory: Callable[..., Any]
    activities: dict[str, Callable[..., Any]]
    sizes: bool
    """Whether it takes the number of tasks instead of the inputs."""
    share: float
    """So many of the tasks asked for: where each is waited for by itself a million take minutes."""


SHAPES = (
    Shape(Mapped, {"task": tasks.inc}, False, 1),
    Shape(Fan, {"task": tasks.inc}, False, 1),
    Shape(Chain, {"inc": tasks.inc}, True, 1),
    Shape(Tree, {"inc": tasks.inc, "add": tasks.add}, False, 0.5),
    Shape(Look, {"inc": tasks.inc}, True, 0.01),
)


def once(w: flowy.LocalWorkflow, xs: Any, kind: str) -> tuple[float, float, Any]:
    """(seconds by the clock, seconds of the driver's CPU, the tracer)."""
    tracer = _trace.Tracer() if kind == TRACED else None
    asked = Asked(False, None, tracer, False)
    made: dict[int, Any] = {}
    w._plan(made)
    cpu, began = time.process_time(), time.perf_counter()
    w._run(made, (xs,), {}, asked)
    return time.perf_counter() - began, time.process_time() - cpu, tracer


def compare(shape: Shape, n: int, rounds: int, kinds: list[str]) -> None:
    xs = n if shape.sizes else tasks.integers(n)
    took: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    sizes = ""
    w = flowy.LocalWorkflow(shape.factory, WORKERS)
    for name, function in shape.activities.items():
        w.conf_activity(name, function)
    with w:
        once(w, xs, PLAIN)
        for turn in range(rounds):
            for kind in kinds if turn % 2 else reversed(kinds):
                seconds, cpu, tracer = once(w, xs, kind)
                took[kind].append((seconds, cpu))
                if tracer is not None and not sizes:
                    n = len(tracer)
                    notes, trace = tracer.nbytes / n, take(tracer, WORKERS).nbytes / n
                    sizes = f"{notes:.1f} bytes a task for the notes, {trace:.1f} for the trace"
    name = f"{shape.factory.__name__}, {n:,} tasks"
    for kind in kinds:
        clock, cpu = (statistics.median(column) for column in zip(*took[kind], strict=True))
        line = f"{name:26} {kind:14} {clock:7.3f} s   driver {cpu:7.3f} s"
        if kind != PLAIN:
            ratios = []
            for i in (0, 1):
                pairs = zip(took[kind], took[PLAIN], strict=True)
                ratios.append(statistics.median(one[i] / plain[i] for one, plain in pairs))
            line += f"   × {ratios[0]:.3f} by the clock, × {ratios[1]:.3f} of the driver's CPU"
        print(line, flush=True)
    print(f"{name:26} {sizes}")


def main() -> None:
    parser = argparse.ArgumentParser(description="What tracing costs.")
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--shapes", nargs="*", default=[shape.factory.__name__ for shape in SHAPES])
    options = parser.parse_args()
    for shape in SHAPES:
        if shape.factory.__name__ in options.shapes:
            n = int(options.tasks * shape.share)
            compare(shape, n, options.rounds, [PLAIN, TRACED])


if __name__ == "__main__":
    main()
