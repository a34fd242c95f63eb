"""Whether `Trace.predict` is right: `python -m benchmarks.predict`.

Owns: three shapes (wide, chains, mixed durations) of activities that sleep, so that workers do not need
a core each; each is run with 1 and with 2 workers, and from both traces the time with 2 is predicted and
held against the real one, as well as what they state for 4 and 8 workers.

Its neighbour is `flowy.trace.analysis`, which has the simulation.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flowy
from flowy.trace import Trace

MOST = 0.10
"""So far may a prediction be off."""


def nap(seconds: float, *_: Any) -> float:
    time.sleep(seconds)
    return seconds


class Shape:
    def __init__(self, task: Any) -> None:
        self.task = task


class Wide(Shape):
    """Two hundred alike that need nothing of each other."""

    def __call__(self) -> Any:
        return list(flowy.map(self.task, [0.02] * 200))


class Chains(Shape):
    """Three chains: two workers never do better than the longest and half of all."""

    def __call__(self) -> Any:
        ends = []
        for length in (60, 45, 30):
            end = None
            for _ in range(length):
                end = self.task(0.025, end)
            ends.append(end)
        return self.task(0.025, ends)


class Mixed(Shape):
    """From a millisecond to a quarter of a second, two levels, at random."""

    def __call__(self) -> Any:
        chance = random.Random(7)
        firsts = [self.task(chance.choice((0.001, 0.01, 0.05, 0.25))) for _ in range(60)]
        return [self.task(chance.uniform(0.005, 0.1), chance.sample(firsts, 2)) for _ in range(40)]


def run(factory: Callable[..., Any], workers: int) -> tuple[float, Trace]:
    """(seconds from the first start to the last end, the trace); workers are up before."""
    w = flowy.LocalWorkflow(factory, workers)
    w.conf_activity("task", nap)
    with w, tempfile.TemporaryDirectory() as folder:
        w.run()
        w.run(_trace=Path(folder, "run.json"))
        trace = w.trace
    assert trace is not None
    return max(t.ended for t in trace) - min(t.started for t in trace), trace


def main() -> int:
    parser = argparse.ArgumentParser(description="Holds predictions against real runs.")
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    good = True
    for factory in (Wide, Chains, Mixed):
        real: dict[int, list[float]] = {1: [], 2: [], 4: [], 8: []}
        traces: dict[int, Trace] = {}
        for _ in range(rounds):
            for workers, seconds in real.items():
                took, trace = run(factory, workers)
                seconds.append(took)
                traces[workers] = trace
        for recorded in (1, 2):
            words = []
            for prediction in traces[recorded].predict([2, 4, 8]):
                measured = statistics.median(real[prediction.workers])
                off = prediction.seconds / measured - 1
                words.append(
                    f"{prediction.workers} workers {prediction.seconds:6.3f} s "
                    f"(really {measured:6.3f}, {off:+.1%})"
                )
                good &= prediction.workers != 2 or abs(off) <= MOST
            print(f"{factory.__name__:7} traced with {recorded}:  {'   '.join(words)}", flush=True)
    print("within 10 % for 2 workers" if good else "NOT within 10 % for 2 workers")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
