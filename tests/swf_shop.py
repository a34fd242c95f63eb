"""Workflows and activities with their configurations, for tests of `flowy swf` and its processes.

Owns: what a user's module would have. The tests name it on command lines.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import flowy

activity = flowy.SWFActivityConfig(
    default_task_list="activities",
    default_heartbeat=60,
    default_schedule_to_close=600,
    default_schedule_to_start=600,
    default_start_to_close=300,
)
workflow = flowy.SWFWorkflowConfig(
    default_task_list="deciders",
    default_workflow_duration=3600,
    default_decision_duration=10,
    default_child_policy="TERMINATE",
)
workflow.conf_activity("square", version=1)
workflow.conf_activity("add", version=1)

calls = flowy.SWFWorkflowConfig(
    default_task_list="deciders",
    default_workflow_duration=3600,
    default_decision_duration=10,
    default_child_policy="TERMINATE",
)
calls.conf_activity("act", version=1)

short = flowy.SWFWorkflowConfig(
    default_task_list="deciders",
    default_workflow_duration=3600,
    default_decision_duration=10,
    default_child_policy="TERMINATE",
)
short.conf_activity("act", version=1, start_to_close=1, retry=(0,))


@activity(version=1)
def square(n: int) -> int:
    return n * n


@activity(version=1)
def add(a: int, b: int) -> int:
    return a + b


@activity(version=1)
def act(what: str, *args: Any) -> Any:
    """Does what a test asks for."""
    return globals()[f"do_{what}"](*args)


def do_echo(value: Any) -> Any:
    return value


def do_pid() -> int:
    return os.getpid()


def do_fail(text: str) -> None:
    raise ValueError(text)


def do_exit(code: int, path: str) -> None:
    with open(path, "a") as file:
        file.write("x")
    os._exit(code)


def do_die(number: int) -> None:
    os.kill(os.getpid(), number)


def do_die_once(path: str) -> str:
    """Killed the first time, and well the second."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "survived"
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def do_hang(path: str) -> None:
    """Hangs with a child of its own, so that nothing but a kill ends it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    _write(path, f"{os.getpid()} {child.pid}")
    while True:
        time.sleep(60)


def do_wait_for(path: str, mine: str) -> str:
    """Says that it runs, and runs until there is a file."""
    _write(mine, str(os.getpid()))
    while not os.path.exists(path):
        time.sleep(0.01)
    return "seen"


def do_beat(path: str) -> None:
    """Runs until it is cancelled, and says so."""
    _write(path, "runs")
    try:
        while True:
            flowy.heartbeat({"at": 1})
            time.sleep(0.01)
    except flowy.CancelRequested:
        _write(path, "cleaned up")
        raise


def do_grow(megabytes: int) -> int:
    kept.append(b"x" * (megabytes << 20))
    return os.getpid()


kept: list[bytes] = []


def _write(path: str, text: str) -> None:
    with open(f"{path}.new", "w") as file:
        file.write(text)
    os.replace(f"{path}.new", path)


@workflow(version=1)
class Sum:
    def __init__(self, square: Any, add: Any) -> None:
        self.square, self.add = square, add

    def __call__(self, n: int) -> Any:
        return flowy.parallel_reduce(self.add, [self.square(i) for i in range(n)])


@workflow(version=1, name="Listen")
class Listening:
    def __init__(self, square: Any, add: Any) -> None:
        pass

    def __call__(self, *, at_first: Any = None) -> Any:
        return [at_first, flowy.wait(flowy.signal("go"))]


@calls(version=1)
class Calls:
    """Calls one activity."""

    def __init__(self, act: Any) -> None:
        self.act = act

    def __call__(self, *args: Any) -> Any:
        return self.act(*args)


@short(version=1)
class Hurries(Calls):
    """Gives it a second."""


@calls(version=1)
class Many(Calls):
    """Calls it so often, and gives what is different in what comes back."""

    def __call__(self, n: int, *args: Any) -> Any:
        return sorted({flowy.wait(self.act(*args)) for _ in range(n)})


@calls(version=1)
class Stops(Calls):
    """Cancels it when it is signalled."""

    def __call__(self, *args: Any) -> Any:
        running = self.act(*args)
        flowy.wait(flowy.signal("stop"))
        flowy.cancel(running)
        try:
            return flowy.wait(running)
        except flowy.TaskCancelled:
            return "cancelled"


def make_worker() -> flowy.SWFActivityWorker:
    made = flowy.SWFActivityWorker()
    made.register(activity, square, 1)
    return made


class OneTask(flowy.SWFWorkflowWorker):
    """Leaves by its own will after a decision."""

    decided = 0

    def decide(self, task: Any) -> Any:
        self.decided += 1
        return super().decide(task)

    def break_loop(self) -> bool:
        return self.decided > 0


class Bomb:
    """Goes off in the process that it is sent to."""

    def __reduce__(self) -> Any:
        return explode, ()

    def __call__(self) -> None:
        pass


def explode() -> None:
    raise ValueError("boom")


def breaks() -> None:
    raise OSError("disk")


number = 3
