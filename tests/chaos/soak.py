"""An hour of runs with recycled workers: what the driver holds must not grow.

Owns: "soak", which only runs when asked for (`make soak`).

May not know: what a pool keeps. Its neighbour is `framework`.
"""

from __future__ import annotations

import gc
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

import psutil

import flowy
from chaos.framework import Figures, expect, scenario
from flowy.local import segments

SECONDS = 3600
LOOKS = 600
"""How often the driver is looked at in that time."""
MIB = 1 << 20
WINDOW = 0.1
"""The first such share of the time warms the driver; the second is what the last is compared with."""
GROWTH = 0.05
"""How far the memory may grow from window to window. The allocator keeps a little more after some
runs and gives it back after the next, so a window's memory is the median of its looks."""


class Work:
    """Singles, a map, a chain, large values, failures and further attempts."""

    def __init__(
        self, inc: Callable[..., Any], make: Callable[..., Any], flaky: Callable[..., Any]
    ) -> None:
        self.inc, self.make, self.flaky = inc, make, flaky

    def __call__(self, n: int) -> Any:
        x = 0
        for _ in range(100):
            x = self.inc(x)
        singles = [self.inc(i) for i in range(n)]
        mapped = flowy.map(self.inc, range(n))
        large = [len(self.make(1 << 20)) for _ in range(4)]
        tried = [self.flaky(i) for i in range(20)]
        return [x, sum(singles), sum(mapped), sum(large), sum(tried)]


def inc(x: int) -> int:
    return x + 1


def flaky(i: int) -> int:
    import random

    if random.random() < 0.3:
        raise OSError
    return i


@dataclass
class Held:
    """What this process holds: now, or in a window of the time."""

    memory: int
    descriptors: int
    threads: int
    shared: int

    @classmethod
    def now(cls, memory: str) -> Held:
        gc.collect()
        process = psutil.Process()
        return cls(
            process.memory_info().rss,
            process.num_fds(),
            threading.active_count(),
            len(os.listdir(memory)),
        )

    @classmethod
    def over(cls, looks: list[Held]) -> Held:
        """The usual memory, and the most of what is counted."""
        return cls(
            round(statistics.median(look.memory for look in looks)),
            max(look.descriptors for look in looks),
            max(look.threads for look in looks),
            max(look.shared for look in looks),
        )


@scenario("soak")
def soak(scale: float) -> Figures:
    with (
        tempfile.TemporaryDirectory(prefix="chaos-", dir=segments.MEMORY) as memory,
        mock.patch.object(segments, "MEMORY", memory),
    ):
        return _soak(scale, memory)


def _soak(scale: float, memory: str) -> Figures:
    w = flowy.LocalWorkflow(Work, 2, max_tasks_per_worker=20_000, memory_limit=1 << 30)
    w.conf_activity("inc", inc)
    w.conf_activity("make", bytes)
    w.conf_activity("flaky", flaky, retry=flowy.Retry(attempts=20), start_to_close=30)
    n, runs, seconds = 2_000, 0, SECONDS * scale
    wanted = [100, n * (n + 1) // 2, n * (n + 1) // 2, 4 << 20, 190]
    looks: list[Held] = []
    began = time.monotonic()
    with w:
        while (spent := time.monotonic() - began) < seconds:
            expect(w.run(n) == wanted, "a run gave something else")
            runs += 1
            if spent >= len(looks) * seconds / LOOKS:
                looks.append(Held.now(memory))
    window = round(len(looks) * WINDOW)
    expect(window > 0, f"only {runs} runs: give it more time")
    before, after = Held.over(looks[window : 2 * window]), Held.over(looks[-window:])
    for what in ("descriptors", "threads", "shared"):
        expect(getattr(after, what) <= getattr(before, what), f"{what}: {before} → {after}")
    expect(after.memory <= before.memory * (1 + GROWTH), f"memory: {before} → {after}")
    return {
        "runs": runs,
        "tasks": runs * (100 + 2 * n + 24),
        "memory": f"{before.memory / MIB:.1f} → {after.memory / MIB:.1f} MiB",
        "highest": f"{max(look.memory for look in looks) / MIB:.1f} MiB",
        "descriptors": f"{before.descriptors} → {after.descriptors}",
        "threads": f"{before.threads} → {after.threads}",
        "shared files": f"{before.shared} → {after.shared}",
    }
