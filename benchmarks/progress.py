"""What it costs to show how far a run is: `python -m benchmarks.progress --help`.

Owns: a million tasks in one map, a million single calls, and both for some seconds, since the first are
over before anything is drawn; shown on a terminal by rich and as plain text, and as log lines, against
not at all. Runs of each kind take turns, and each is compared with the one not shown of its own turn,
by the clock and by the CPU that the driver took (all of its threads). Log lines come
after ten seconds and later; here after half a second and later, lest there be none. On a machine with
other work these ratios are good to some per cent only: so what progress took itself is summed up too.

May know the insides of flowy: how rich is kept away, and how often lines are logged. Its neighbours:
`tracing` measures traces, `tasks` has the bodies, `docs/progress.md` what this printed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import flowy
from benchmarks import tasks
from benchmarks.workflows import Call, Fan, Mapped
from flowy.progress import others, reporter

WORKERS = 2
OFF, RICH, TEXT, LOG = "not shown", "rich", "plain text", "log lines"
KINDS = (OFF, RICH, TEXT, LOG)
LOG_EVERY = 1.0


class Again:
    """A workflow several times, one after the other."""

    def __init__(self, inner: Callable[..., Any], times: int) -> None:
        self.inner = inner
        self.times = times
        self.__name__ = f"{inner.__name__} {times} times"

    def __call__(self, task: Call) -> Callable[..., Any]:
        once = self.inner(task)

        def work(xs: Any) -> None:
            for _ in range(self.times):
                flowy.wait(once(xs))

        return work


class Cost(NamedTuple):
    clock: float
    driver: float
    own: float
    """CPU of what runs for progress only; that others must make way for it is not in it."""


class Measured(reporter._Reporter):
    """Tells what it took of the CPU, by the clocks of both threads."""

    own = 0.0

    def start(self) -> None:
        self.measure(super().start)

    def stop(self) -> None:
        self.measure(super().stop)

    def _work(self) -> None:
        self.measure(super()._work)

    def measure(self, act: Callable[[], None]) -> None:
        began = time.thread_time()
        act()
        Measured.own += time.thread_time() - began


@contextlib.contextmanager
def terminal() -> Iterator[None]:
    """stderr is a terminal, whose other end another process reads."""
    master, slave = pty.openpty()
    reader = subprocess.Popen(["cat"], stdin=master, stdout=subprocess.DEVNULL)
    before, sys.stderr = sys.stderr, os.fdopen(slave, "w")
    subprocess.run(["stty", "rows", "40", "cols", "100"], stdin=slave, check=True)
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = before
        reader.terminate()
        reader.wait()
        os.close(master)


@contextlib.contextmanager
def display(kind: str) -> Iterator[None]:
    """While this lasts, progress is shown like that."""
    console = sys.modules.pop("rich.console", None)
    if kind == TEXT:
        sys.modules["rich.console"] = None  # type: ignore[assignment]
    elif console is not None:
        sys.modules["rich.console"] = console
    os.environ["TERM"] = "dumb" if kind == LOG else "xterm-256color"
    try:
        yield
    finally:
        if console is not None:
            sys.modules["rich.console"] = console


def once(w: flowy.LocalWorkflow, xs: Any, kind: str) -> Cost:
    with display(kind):
        Measured.own = 0.0
        cpu, began = time.process_time(), time.perf_counter()
        w.run(xs, _progress=kind != OFF)
        return Cost(time.perf_counter() - began, time.process_time() - cpu, Measured.own)


def compare(factory: Callable[..., Any], n: int, rounds: int) -> None:
    xs = tasks.integers(n)
    took: dict[str, list[Cost]] = {kind: [] for kind in KINDS}
    w = flowy.LocalWorkflow(factory, WORKERS)
    w.conf_activity("task", tasks.inc)
    with w, terminal():
        for kind in KINDS:
            once(w, xs, kind)  # what is imported once is no part of it
        choose = random.Random(1)
        for _ in range(rounds):
            for kind in choose.sample(KINDS, len(KINDS)):  # what one leaves behind the next finds
                took[kind].append(once(w, xs, kind))
    name = f"{factory.__name__}, {n:,} tasks"
    for kind in KINDS:
        clock, driver, own = (statistics.median(column) for column in zip(*took[kind], strict=True))
        line = f"{name:32} {kind:10} {clock:7.3f} s   driver {driver:7.3f} s"
        if kind != OFF:
            by_clock, by_cpu = (ratios(took[kind], took[OFF], i) for i in (0, 1))
            line += f"   × {by_clock} by the clock, × {by_cpu} of the driver's CPU"
            line += f"   itself {own * 1e3:.2f} ms, {own / driver:.2%}"
        print(line, flush=True)


def ratios(shown: list[Cost], off: list[Cost], i: int) -> str:
    """The median of the ratios turn by turn, and the quarter on each side of it."""
    each = sorted(a[i] / b[i] for a, b in zip(shown, off, strict=True))
    low, middle, high = statistics.quantiles(each, n=4)
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="What it costs to show progress.")
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--times", type=int, default=20, help="so often, in the runs of some seconds")
    options = parser.parse_args()
    reporter._Reporter = Measured  # type: ignore[misc]
    others.LOG_EVERY = LOG_EVERY / 2  # it doubles with each
    for factory in (Mapped, Fan):
        compare(factory, options.tasks, options.rounds)
    for factory in (Mapped, Fan):
        compare(Again(factory, options.times), options.tasks, max(3, options.rounds // 4))


if __name__ == "__main__":
    main()
