"""How long until something happens: the import, and a cold start up to the first result.

Owns: the scripts that are started, each in a fresh interpreter. `python` (nothing at all) and `pool`
(`multiprocessing.Pool`, forked) stand beside flowy's start methods as the marks to hold against.

May know only what a user types. Its neighbour is `engine`, where everything is warm.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any, ClassVar

from benchmarks.workflows import require

FLOWY = """
import flowy

def square(n):
    return n * n

def add(a, b):
    return a + b

class Workflow:
    def __init__(self, square, add):
        self.square, self.add = square, add

    def __call__(self, n):
        return self.add(self.square(n), 1)

w = flowy.LocalWorkflow(Workflow, 2, start_method={method!r})
w.conf_activity('square', square)
w.conf_activity('add', add)
assert w.run(2) == 5
"""
POOL = """
import multiprocessing

def square(n):
    return n * n

if __name__ == '__main__':
    with multiprocessing.get_context('fork').Pool(2) as pool:
        assert pool.map(square, [2, 3]) == [4, 9]
"""
SCRIPTS = {
    "python": "pass",
    "pool": POOL,
    "fork": FLOWY.format(method="fork"),
    "spawn": FLOWY.format(method="spawn"),
}


class Import:
    """`import flowy` by itself, without the interpreter's own start."""

    number = 1
    repeat = 9
    rounds = 1

    def timeraw_import(self) -> str:
        return "import flowy"


class ColdStart:
    number = 1
    repeat = (5, 11, 10.0)
    rounds = 1
    warmup_time = 0.0
    param_names: ClassVar[list[str]] = ["what"]
    params: ClassVar[list[list[Any]]] = [[*SCRIPTS]]

    def setup(self, what: str) -> None:
        if what in ("fork", "spawn"):
            require("Replay")  # as old as start_method
        self.command = [sys.executable, "-c", SCRIPTS[what]]
        subprocess.run(self.command, check=True)  # fills the page cache, writes .pyc files

    def time_first_result(self, what: str) -> None:
        """From the start of the interpreter to its end, a run of two tasks between."""
        subprocess.run(self.command, check=True)
