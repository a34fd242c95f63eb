"""The core alone: no process, no pipe, no pickle, only the graph and the workflow's code.

Owns: a loop that plays the engine's part with made-up values, and the count of instructions of
one call and its completion, which tells of a regression where a clock can't because the machine is
noisy.

May know the core's two doors, `flowy.Replay` (by key) and `flowy._sched` (in batches, as the engine
uses it), found when a benchmark is set up. Its neighbour is `engine`, which has the rest of the way.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any, ClassVar

import flowy
from benchmarks import tasks
from benchmarks.workflows import Chain, Fan, Layers, Mapped, require

ALL = 1 << 30


def fold(task: Callable[..., Any]) -> Callable[[int], Any]:
    """A reduction of n calls."""
    return lambda n: flowy.parallel_reduce(task, [task(i) for i in range(n)])


def watch(task: Callable[..., Any]) -> Callable[[int], Any]:
    """The first of n calls, and all of them by order of finishing."""

    def run(n: int) -> Any:
        calls = [task(i) for i in range(n)]
        return [flowy.first(calls), *flowy.finish_order(calls)]

    return run


class Core:
    """A run and its outbox, driven by hand."""

    def __init__(self, factory: Callable[..., Any], name: str, *args: Any) -> None:
        try:
            from flowy._sched import Outbox, Run
        except ImportError:
            raise NotImplementedError("this flowy has no compiled core") from None
        self.outbox = Outbox()
        self.run = Run(factory, (name,), self.outbox, args=args)

    def start(self) -> None:
        self.run.start()

    def finish(self) -> None:
        """Complete whatever is asked for, a batch at a time, until nothing is."""
        while (batch := self.outbox.take(ALL)) is not None:
            batch.complete(0, [0] * len(batch), None)

    def close(self) -> None:
        assert self.run.ended
        self.run.close()


class Timed:
    """How often asv runs these; a new core each time."""

    number = 1
    repeat = (5, 15, 5.0)
    rounds = 1
    warmup_time = 0.0
    param_names: ClassVar[list[str]] = ["n"]
    params: ClassVar[list[list[Any]]] = [[100_000]]
    core: Core | None = None

    def teardown(self, n: int) -> None:
        if self.core is not None:
            self.core.finish()
            self.core.close()
            self.core = None


class Calls(Timed):
    def setup(self, n: int) -> None:
        self.core = Core(Fan, "task", range(n))
        self.go = self.core.start

    def time_calls(self, n: int) -> None:
        self.go()


class Completions(Timed):
    def setup(self, n: int) -> None:
        self.core = Core(Fan, "task", range(n))
        self.core.start()
        self.go = self.core.finish

    def time_completions(self, n: int) -> None:
        self.go()


class ChainedCompletions(Timed):
    """Batches of one: each call waits for the one before."""

    def setup(self, n: int) -> None:
        self.core = Core(Chain, "inc", n)
        self.core.start()
        self.go = self.core.finish

    def time_completions(self, n: int) -> None:
        self.go()


class LayeredCompletions(Timed):
    """Three edges a task."""

    def setup(self, n: int) -> None:
        self.core = Core(Layers, "add3", tasks.edges(n), tasks.width_of(n))
        self.core.start()
        self.go = self.core.finish

    def time_completions(self, n: int) -> None:
        self.go()


class Reduce(Timed):
    def setup(self, n: int) -> None:
        require("parallel_reduce")
        self.core = Core(fold, "task", n)

    def time_reduce(self, n: int) -> None:
        """n calls and the n - 1 that bring them together."""
        assert self.core is not None
        self.core.start()
        self.core.finish()


class First(Timed):
    def setup(self, n: int) -> None:
        require("first", "finish_order")
        self.core = Core(watch, "task", n)

    def time_first(self, n: int) -> None:
        """n calls, `first` and `finish_order` over them."""
        assert self.core is not None
        self.core.start()
        self.core.finish()


class Rebuild:
    """A fresh run is fed with the events of another, one by one, by the keyed door."""

    number = 1
    repeat = (3, 9, 5.0)
    rounds = 1
    warmup_time = 0.0
    param_names: ClassVar[list[str]] = ["shape", "n"]
    params: ClassVar[list[list[Any]]] = [["fan", "chain"], [20_000]]
    replay: flowy.Replay | None = None

    def setup(self, shape: str, n: int) -> None:
        require("Replay")
        fan = shape == "fan"
        self.how: Any = (Fan, ["task"], (range(n),)) if fan else (Chain, ["inc"], (n,))
        self.events = self.record()
        self.replay = flowy.Replay(*self.how)

    def record(self) -> list[Any]:
        from flowy.events import Schedule, TaskCompleted

        events: list[Any] = []
        with flowy.Replay(*self.how) as replay:
            commands = replay.start()
            while not replay.ended:
                keys = [command.key for command in commands if isinstance(command, Schedule)]
                answers = [TaskCompleted(key, 0) for key in keys]
                commands = [command for answer in answers for command in replay.feed(answer)]
                events += answers
        return events

    def time_rebuild(self, shape: str, n: int) -> None:
        assert self.replay is not None
        self.replay.start()
        for event in self.events:
            self.replay.feed(event)

    def teardown(self, shape: str, n: int) -> None:
        if self.replay is not None:
            self.replay.close()
            self.replay = None


def call_and_complete(shape: str, n: int) -> None:
    """What valgrind counts: n tasks, called and completed."""
    shapes = {
        "fan": (Fan, "task", range(n)),
        "map": (Mapped, "task", range(n)),
        "chain": (Chain, "inc", n),
    }
    core = Core(*shapes[shape])
    core.start()
    core.finish()
    core.close()


class Instructions:
    """Instructions a task, the interpreter's own included: the difference of two sizes, so that what
    happens once (the imports) drops out. Hardly moves from run to run."""

    unit = "instructions"
    timeout = 300.0
    param_names: ClassVar[list[str]] = ["shape"]
    params: ClassVar[list[list[Any]]] = [["fan", "map", "chain"]]
    sizes = (5_000, 25_000)

    def setup(self, shape: str) -> None:
        if shutil.which("valgrind") is None:
            raise NotImplementedError("valgrind is not installed")
        call_and_complete(shape, 10)  # skips where there is no such core

    def track_call_and_complete(self, shape: str) -> float:
        small, large = self.sizes
        return (self.count(shape, large) - self.count(shape, small)) / (large - small)

    def count(self, shape: str, n: int) -> int:
        """Instructions of an interpreter that does nothing else."""
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        code = (
            f"import sys; sys.path.append({root!r}); import benchmarks.core as core; "
            f"core.call_and_complete({shape!r}, {n})"
        )
        with tempfile.TemporaryDirectory() as place:
            out = f"--callgrind-out-file={place}/out"
            ran = subprocess.run(
                ["valgrind", "--tool=callgrind", out, sys.executable, "-c", code],
                env=os.environ | {"PYTHONHASHSEED": "0"},
                capture_output=True,
                text=True,
                check=False,
            )
        found = re.search(r"Collected : (\d+)", ran.stderr)
        if ran.returncode or found is None:
            raise RuntimeError(f"valgrind failed:\n{ran.stderr}")
        return int(found[1])
