"""The frame of all scenarios: their names, their sizes, a driver process to torment, what it leaves.

Owns: `scenario`, by which a function becomes one; `Failed`; and `Driver`, a Python process with places
of its own for temporary files and shared memory, so that others on the machine don't show.

May not know: what any scenario does. Its neighbours are the other modules of this package.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

Figures = dict[str, object]
"""What a scenario tells about itself: printed in its line."""

Scenario = TypeVar("Scenario", bound=Callable[..., Figures])
SCENARIOS: dict[str, Callable[..., Figures]] = {}
STEP = 0.01
"""Seconds between two looks at a condition."""
LIMIT = 60.0
"""Seconds after which something that must happen is taken to hang."""


class Failed(Exception):
    """A scenario saw what must not be."""


def scenario(name: str) -> Callable[[Scenario], Scenario]:
    """Give a scenario its name. It takes a scale (1: full size), and raises `Failed`."""

    def give(function: Scenario) -> Scenario:
        SCENARIOS[name] = function
        return function

    return give


def run_all(names: list[str], scale: float) -> int:
    """Run scenarios and print a line for each; 1 if one failed."""
    worst = 0
    for name in names:
        began = time.monotonic()
        try:
            figures = SCENARIOS[name](scale)
            line = ", ".join(f"{what} {value}" for what, value in figures.items())
            verdict = "ok    "
        except Failed as failure:
            line, verdict, worst = str(failure), "FAILED", 1
        print(f"{verdict} {name:<16} {time.monotonic() - began:6.1f} s  {line}", flush=True)
    return worst


def times(full: int, scale: float) -> int:
    """How often something is done that is done `full` times at scale 1."""
    return max(1, round(full * scale))


def wait_until(condition: Callable[[], object], seconds: float) -> float | None:
    """Seconds until the condition was true; None if it was not in time."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            return None
        time.sleep(STEP)
    return time.monotonic() - began


def expect(condition: bool, what: object) -> None:
    if not condition:
        raise Failed(str(what))


_PRELUDE = """
import os, sys
from flowy.local import segments
segments.MEMORY = os.environ["CHAOS_SHM"]
"""


class Driver:
    """A Python process in a group of its own, with all that comes of it."""

    def __init__(self, code: str, *arguments: str, prelude: str = _PRELUDE) -> None:
        self._mark = f"CHAOS_MARK={uuid.uuid4().hex}"
        self._memory = tempfile.mkdtemp(prefix="chaos-")  # not in /dev/shm: that is everybody's
        self.folder = Path(tempfile.mkdtemp(prefix="chaos-"))
        """The working directory of the process; its temporary files go elsewhere."""
        self._temporary = tempfile.mkdtemp(prefix="chaos-")
        name, _, value = self._mark.partition("=")
        environment = {"CHAOS_SHM": self._memory, "TMPDIR": self._temporary, name: value}
        self.process = subprocess.Popen(
            [sys.executable, "-c", prelude + textwrap.dedent(code), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=os.environ | environment,
            start_new_session=True,
        )

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pid in [*self.family(), self.process.pid]:
            if self.process.returncode is None or pid != self.process.pid:
                with_signal(pid, signal.SIGKILL)
        self.process.communicate()
        for folder in (self._memory, self._temporary, self.folder):
            shutil.rmtree(folder, ignore_errors=True)

    def wait_for_line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def wait_for_file(self, *names: str) -> None:
        """Wait until it has made these files in its folder."""
        if wait_until(lambda: all((self.folder / name).exists() for name in names), LIMIT) is None:
            raise Failed(f"it never got as far as {names}")

    def send(self, number: int, *, group: bool = False) -> None:
        """Send it a signal, or its process group as a terminal does."""
        if group:
            with_signal(-self.process.pid, number)
        else:
            with_signal(self.process.pid, number)

    def family(self) -> list[int]:
        """The living processes that came of it, without itself; also when it is gone."""
        return [pid for pid in processes(self._mark) if pid != self.process.pid]

    def sweep(self) -> None:
        """What the next start does: remove the litter of drivers that are gone."""
        from flowy.local import segments

        for folder in (self._memory, self._temporary):
            segments.sweep(folder)

    def left(self) -> list[str]:
        """Its files in shared memory and in the temporary folder."""
        return [*os.listdir(self._memory), *os.listdir(self._temporary)]


def with_signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def processes(mark: str) -> list[int]:
    """The living processes with this line in their environment."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                environment = Path("/proc", name, "environ").read_bytes()
            except OSError:
                continue  # gone, or somebody else's; a zombie has none
            if mark.encode() in environment.split(b"\0"):
                found.append(int(name))
    return found
