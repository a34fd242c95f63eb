"""The driver's memory: bytes a task, growth of a stream, bytes a live sub-workflow.

Owns: how memory is measured. `growth` is the peak of resident memory during a run over what was resident
before it, so inputs don't count; values, 8 bytes of a list and some 32 of an integer, do. asv gives
each parameter a fresh process.

May know the public names of flowy, and of the operating system only Linux' /proc: elsewhere these
are skipped. Its neighbour is `engine`, which has the same shapes and their times.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any, ClassVar

import flowy
from benchmarks import tasks
from benchmarks.workflows import Fan, Mapped, Parent, Warm, require


def resident(which: str) -> int:
    """Bytes: 'VmRSS' now, 'VmHWM' the most since `growth` began."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(which):
                return int(line.split()[1]) * 1024
    raise NotImplementedError(f"no {which} in /proc/self/status")


def growth(function: Callable[..., Any], *args: Any) -> int:
    """Bytes that calling `function` needs at its peak."""
    gc.collect()
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")  # the peak is counted from here
    before = resident("VmRSS")
    kept = function(*args)
    after = resident("VmHWM")
    del kept
    return after - before


class Streamed(Fan):
    """Consumes a map and drops it; what was resident after each tenth."""

    def __call__(self, n: Any) -> Any:
        marks = []
        for i, result in enumerate(flowy.map(self.task, range(n)), 1):
            flowy.wait(result)
            if i % (n // 10) == 0:
                marks.append(resident("VmRSS"))
        return marks


class Sleeper:
    """A sub-workflow that lives for a while."""

    def __call__(self, seconds: float) -> None:
        flowy.sleep(seconds)


class Sleepers(Parent):
    """Its sub-workflows all live at the same time."""

    def __call__(self, n: int) -> Any:
        return [self.child(2) for _ in range(n)]


class Memory:
    """What is common: an engine, and Linux."""

    timeout = 180.0
    engine: Warm | None = None

    def check(self, *names: str) -> None:
        if sys.platform != "linux":
            raise NotImplementedError("reads /proc")
        require(*names)

    def teardown(self, *params: Any) -> None:
        if self.engine is not None:
            self.engine.close()
            self.engine = None


class BytesPerTask(Memory):
    unit = "bytes"
    param_names: ClassVar[list[str]] = ["how"]
    params: ClassVar[list[list[Any]]] = [["single calls", "map"]]
    shapes: ClassVar[dict[str, type[Fan]]] = {"single calls": Fan, "map": Mapped}

    def setup(self, how: str) -> None:
        self.check("map")
        self.engine = Warm(self.shapes[how], (range(100),), task=tasks.inc)
        self.xs = tasks.integers(500_000)

    def track_kept(self, how: str) -> float:
        """Of 500,000 tasks whose values are all kept."""
        assert self.engine is not None
        return growth(self.engine.run, self.xs) / len(self.xs)


class Stream(Memory):
    unit = "%"

    def setup(self) -> None:
        self.check("map")
        self.engine = Warm(Streamed, (100,), task=tasks.inc)

    def track_growth(self) -> float:
        """From the first tenth of 2,000,000 tasks, consumed and dropped, to the last."""
        assert self.engine is not None
        marks: list[int] = self.engine.run(2_000_000)
        return 100 * (marks[-1] - marks[0]) / marks[0]


class SubWorkflow(Memory):
    unit = "bytes"

    def setup(self) -> None:
        self.check("sleep")
        self.engine = Warm(Sleepers, (1,), workflows={"child": Sleeper})

    def track_live(self) -> float:
        """Of one of 5,000 that all wait at the same time."""
        assert self.engine is not None
        return growth(self.engine.run, 5_000) / 5_000
