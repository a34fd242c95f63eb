"""No worker outlives its driver, nor does what an activity started outlive its worker.

Owns: `kill -9` of the driver while workers are idle, busy, or hold the GIL in C code for minutes, with
a child of the driver that keeps all pipes open; and processes that activities start.

May not know: how a worker learns of it. Its neighbour is test_leftovers.py (all other ends of a
driver), whose scripts it writes in the same way.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import flowy

METHODS = ("spawn", "fork")
SOON = 5.0  # seconds: the bar is one, on a machine that does nothing else

ACTIVITIES = """
    import os, re, signal, subprocess, sys, time
    import flowy

    def sleep(path):
        open(path, 'w').close()
        time.sleep(600)

    def hold_the_gil(path):
        open(path, 'w').close()
        re.match(r'(a+)+$', 'a' * 60 + 'b')

    def start_a_process(path):
        subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
        open(path, 'w').close()
        time.sleep(600)

    class Two:
        def __init__(self, act):
            self.act = act

        def __call__(self):
            return [self.act(str(n)) for n in range(2)]

    w = flowy.LocalWorkflow(Two, activity_workers=2, start_method=sys.argv[1])
    w.conf_activity('act', globals()[sys.argv[2]])
"""
RUN = "    w.run()\n"
# The child is forked when there is a pool, so it has the lifelines.
RUN_WITH_A_CHILD_INSIDE = """
    class Forking(Two):
        def __call__(self):
            made = super().__call__()
            if os.fork() == 0:
                time.sleep(600)
                os._exit(0)
            return made

    w = flowy.LocalWorkflow(Forking, activity_workers=2, start_method=sys.argv[1])
    w.conf_activity('act', globals()[sys.argv[2]])
    w.run()
"""


@pytest.fixture
def next_start() -> Iterator[None]:
    """Workers that hold the GIL can't sweep up: the next pool does, before /dev/shm is looked at."""
    yield
    w = flowy.LocalWorkflow(lambda f: lambda: f(-1), 1)
    w.conf_activity("f", abs)
    assert w.run() == 1


def started(script: Any, code: str, *arguments: str) -> Any:
    return script("-c", textwrap.dedent(code), *arguments)


@pytest.mark.usefixtures("next_start")
@pytest.mark.parametrize("activity", ["sleep", "hold_the_gil", "start_a_process"])
@pytest.mark.parametrize("method", METHODS)
def test_workers_go_with_their_driver(
    method: str, activity: str, script: Any, eventually: Any, tmp_path: Path
) -> None:
    run = started(script, ACTIVITIES + RUN, method, activity)
    assert eventually(lambda: {"0", "1"} <= set(os.listdir(tmp_path)))
    run.process.kill()
    assert eventually(lambda: not run.family(), SOON), run.family()


@pytest.mark.usefixtures("next_start")
@pytest.mark.parametrize("activity", ["sleep", "hold_the_gil"])
def test_workers_go_though_a_child_of_their_driver_holds_all_pipes(
    activity: str, script: Any, eventually: Any, tmp_path: Path
) -> None:
    run = started(script, ACTIVITIES + RUN_WITH_A_CHILD_INSIDE, "spawn", activity)
    assert eventually(lambda: {"0", "1"} <= set(os.listdir(tmp_path)))
    assert eventually(lambda: len(run.family()) == 3)
    run.process.kill()
    assert eventually(lambda: len(run.family()) == 1, SOON), run.family()


def start_and_die(path: str) -> str:
    """Starts a process; the first time the worker dies, the second time it stays."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(path, "a") as file:
        file.write(f"{sleeper.pid}\n")
    if len(Path(path).read_text().split()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    sleeper.kill()
    sleeper.wait()
    return "second time"


@pytest.mark.parametrize("method", METHODS)
def test_what_a_dead_worker_had_started_goes(method: Any, tmp_path: Path, eventually: Any) -> None:
    w = flowy.LocalWorkflow(lambda die: lambda path: die(path), 1, start_method=method)
    w.conf_activity("die", start_and_die)
    path = tmp_path / "pids"
    assert w.run(str(path)) == "second time"
    first = int(path.read_text().split()[0])
    assert eventually(lambda: not _alive(first), SOON)


def start_and_stay(path: str) -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(path + ".new", "w") as file:
        file.write(str(sleeper.pid))
    os.rename(path + ".new", path)
    time.sleep(600)


@pytest.mark.parametrize("method", METHODS)
def test_what_an_abandoned_task_had_started_goes(method: Any, tmp_path: Path, eventually: Any) -> None:
    path = tmp_path / "pid"

    def factory(stay: Any, inc: Any) -> Any:
        def body() -> None:
            stay(str(path))
            inc(-1) + 1
            assert eventually(path.exists)
            raise KeyError("abandoned")

        return body

    w = flowy.LocalWorkflow(factory, 2, start_method=method)
    w.conf_activity("stay", start_and_stay)
    w.conf_activity("inc", abs)
    with pytest.raises(KeyError):
        w.run()
    assert eventually(lambda: not _alive(int(path.read_text())), SOON)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
