"""Workers that die under a graph, stand still, or are killed by what they run.

Owns: "killed-workers" (a random one every 100 ms), "stopped-worker" (SIGSTOP, later SIGCONT) and
"poison" (a task that kills whoever runs it). All in this process: it is the driver.

May not know: how a pool notices. Its neighbour is `framework`.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

import flowy
from chaos.framework import Figures, expect, scenario, times, with_signal

SECONDS = 60
LEAFS = 50_000
EVERY = 0.1


class Count:
    """Leafs, and their sum by a reduction: 2 · n - 1 tasks."""

    def __init__(self, leaf: Callable[..., Any], add: Callable[..., Any]) -> None:
        self.leaf = leaf
        self.add = add

    def __call__(self, n: int, path: str) -> Any:
        leafs = [self.leaf(i, path) for i in range(n)]
        return flowy.parallel_reduce(lambda a, b: self.add(a, b, path), leafs)


def tick(path: str) -> None:
    """One more execution: a byte in a file that all workers append to."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"x")
    os.close(descriptor)


def leaf(i: int, path: str) -> int:
    tick(path)
    time.sleep(0.0003)
    return i * i


def add(a: int, b: int, path: str) -> int:
    tick(path)
    return a + b


def workers_of(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if child.status() != psutil.STATUS_ZOMBIE]


@contextmanager
def killing(every: float) -> Iterator[list[int]]:
    """Kill a random child of this process every so often; gives the pids killed so far."""
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        while not over.wait(every):
            if workers := workers_of(os.getpid()):
                victim = random.choice(workers)
                with_signal(victim.pid, signal.SIGKILL)
                killed.append(victim.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


@scenario("killed-workers")
def kill_workers(scale: float) -> Figures:
    n, seconds = times(LEAFS, scale), SECONDS * scale
    w = flowy.LocalWorkflow(Count, 2)
    w.conf_activity("leaf", leaf)
    w.conf_activity("add", add)
    runs = done = 0
    with tempfile.TemporaryDirectory() as folder, w:
        path = Path(folder, "calls")
        began = time.monotonic()
        with killing(EVERY) as killed:
            while time.monotonic() - began < seconds or not runs:
                got = w.run(n, str(path))
                expect(got == sum(i * i for i in range(n)), f"a run gave {got}")
                runs, done = runs + 1, done + 2 * n - 1
        repeated = path.stat().st_size - done
        flowy_pids = {worker.pid for worker in workers_of(os.getpid())}
        expect(repeated >= 0, f"{-repeated} tasks never ran")
        expect(w.run(100, str(path)) == sum(i * i for i in range(100)), "the pool is not whole")
        expect(len(flowy_pids) == 2, f"there are {len(flowy_pids)} workers")
    return {
        "tasks": done,
        "runs": runs,
        "kills": len(killed),
        "executions repeated": repeated,
        "repeated for each kill": f"{repeated / max(1, len(killed)):.1f}",
    }


class Once:
    """The activity with each input; a failure counts as its error."""

    def __init__(self, do: Callable[..., Any]) -> None:
        self.do = do

    def __call__(self, inputs: list[Any], *args: Any) -> list[Any]:
        return [outcome(result) for result in [self.do(x, *args) for x in inputs]]


def outcome(result: Any) -> Any:
    try:
        return flowy.wait(result)
    except flowy.TaskError as error:
        return error


def beat(i: int, folder: str) -> int:
    """Works for a while, and says so; the first time, number 3 stands still in the middle."""
    mark = Path(folder, "stopped")
    for step in range(20):
        flowy.heartbeat(step)
        time.sleep(0.005)
        if i == 3 and step == 10 and not mark.exists():
            mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGSTOP)
            Path(folder, "late").touch()
    return i


@scenario("stopped-worker")
def stop_worker(scale: float) -> Figures:
    w = flowy.LocalWorkflow(Once, 2)
    w.conf_activity("do", beat, heartbeat=0.5, retry=(0, 0))
    noticed = []
    for _ in range(times(20, scale)):
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            expect(w.run(list(range(10)), folder) == list(range(10)), "a task was lost")
            noticed.append(time.monotonic() - began)
            with_signal(int(Path(folder, "stopped").read_text()), signal.SIGCONT)
            expect(not Path(folder, "late").exists(), "the stopped attempt went on")
    return {"stops": len(noticed), "longest run": f"{max(noticed):.2f} s with a heartbeat of 0.5 s"}


def die_of(i: int, folder: str) -> int:
    if i % 1000 == 500:
        Path(folder, f"{i}-{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    return i


@scenario("poison")
def poison(scale: float) -> Figures:
    n = max(1000, times(10_000, scale))
    w = flowy.LocalWorkflow(Once, 2)
    w.conf_activity("do", die_of)
    with tempfile.TemporaryDirectory() as folder:
        got = w.run(list(range(n)), folder)
        for i, value in enumerate(got):
            if i % 1000 == 500:
                expect(isinstance(value, flowy.WorkerDied), f"task {i}: {value!r}")
                expect(value.key == f"do-{i}-0", f"task {i} fails as {value.key}")
            else:
                expect(value == i, f"task {i} gave {value!r}")
        deaths = len(os.listdir(folder))
    return {"tasks": n, "poisonous": n // 1000, "deaths": deaths}
