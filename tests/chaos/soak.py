"""An hour of runs with recycled workers: what the driver holds must not grow.

Owns: "soak", which only runs when asked for (`make soak`).

May not know: what a pool keeps. Its neighbour is `framework`.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil

import flowy
from chaos.framework import Figures, expect, scenario

SECONDS = 3600
WARM = 0.1
"""The share of the time after which the driver is taken to be as large as it gets."""
GROWTH = 0.05


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


class Held:
    """What this process holds now."""

    def __init__(self) -> None:
        gc.collect()
        process = psutil.Process()
        self.memory = process.memory_info().rss
        self.descriptors = process.num_fds()
        self.threads = threading.active_count()
        self.shared = len(os.listdir("/dev/shm"))


@scenario("soak")
def soak(scale: float) -> Figures:
    w = flowy.LocalWorkflow(Work, 2, max_tasks_per_worker=20_000, memory_limit=1 << 30)
    w.conf_activity("inc", inc)
    w.conf_activity("make", bytes)
    w.conf_activity("flaky", flaky, retry=flowy.Retry(attempts=20), start_to_close=30)
    n, runs, seconds = 2_000, 0, SECONDS * scale
    wanted = [100, n * (n + 1) // 2, n * (n + 1) // 2, 4 << 20, 190]
    before: Held | None = None
    began = time.monotonic()
    with w:
        while time.monotonic() - began < seconds:
            expect(w.run(n) == wanted, "a run gave something else")
            runs += 1
            if before is None and time.monotonic() - began > WARM * seconds:
                before = Held()
        after = Held()
    assert before is not None
    expect(after.descriptors <= before.descriptors, f"descriptors: {vars(before)} → {vars(after)}")
    expect(after.threads <= before.threads, f"threads: {vars(before)} → {vars(after)}")
    expect(after.memory <= before.memory * (1 + GROWTH), f"memory: {vars(before)} → {vars(after)}")
    return {
        "runs": runs,
        "tasks": runs * (100 + 2 * n + 24),
        "memory": f"{before.memory >> 20} → {after.memory >> 20} MiB",
        "descriptors": f"{before.descriptors} → {after.descriptors}",
        "threads": f"{before.threads} → {after.threads}",
    }
