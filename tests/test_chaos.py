"""Small versions of the scenarios of chaos/, so that they keep working and `make test` stays quick.

Owns: how small, and how patient on a machine that does other things too. May not know: what the
scenarios do. Its neighbour is chaos/__main__.py, which runs them at full size.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from chaos import drivers, interrupts, swf, threads

SLOW_MACHINE = 20.0  # seconds


def test_interrupts_at_some_moments() -> None:
    assert interrupts.interrupt(0.05, SLOW_MACHINE)["moments"] == 10


def test_killed_drivers() -> None:
    assert drivers.kill(0.07, SLOW_MACHINE)["kills"] == 7


def test_killed_deciders_and_activity_workers() -> None:
    figures = swf.kill(0.05, waves=8)
    assert figures["kills"] == 10
    assert figures["runs"] >= swf.AT_A_TIME  # type: ignore[operator]


def test_starts_beside_threads() -> None:
    assert threads.start_pools(0.025)["starts"] == 5


def test_the_command_line() -> None:
    def chaos(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "chaos", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent)

    done = chaos("--scale", "0.005", "--only", "threads")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok     threads ")
    assert "unknown: nothing; there are" in chaos("--only", "nothing").stderr
