"""Bad tasks of every kind among good ones.

Owns: "malice". Each bad task must fail by name with an error that says what happened, each good one must
be right, and the same workflow must run afterwards.

May not know: how a failure is found. Its neighbour is `framework`.
"""

from __future__ import annotations

import ctypes
import os
import random
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import flowy
from chaos.framework import Figures, expect, scenario, times

BAD, GOOD = 1_000, 10_000
LIMIT = 1.0
"""Seconds that a task may run."""
MEMORY = 200 << 20


class CannotPickle:
    def __reduce__(self) -> Any:
        raise ValueError("not me")


class Liar:
    """Pickles well, and raises where it is unpickled."""

    def __reduce__(self) -> Any:
        return raise_liar, ()


def raise_liar() -> None:
    raise OSError("a lie")


class Hangs:
    def __reduce__(self) -> Any:
        time.sleep(600)
        raise NotImplementedError


class OddError(Exception):
    """Its constructor takes what `args` does not tell."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__("odd")


class SilentError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class Final(BaseException):
    pass


def act(kind: str, x: Any = None) -> Any:
    """What a bad task does; anything else is good."""
    action = ACTIONS.get(kind)
    return x if action is None else action()


def raises(error: BaseException) -> Callable[[], Any]:
    def action() -> Any:
        raise error

    return action


def loop() -> None:
    while True:
        pass


def segfault() -> None:
    ctypes.string_at(0)


def overflow() -> None:
    """Fills the stack of C, where Python (3.12 and newer) does not see it coming."""
    sys.setrecursionlimit(10**9)
    deeper(0)


def deeper(n: int) -> Any:
    return sorted([1], key=lambda _: deeper(n + 1))


def hog() -> None:
    kept = bytearray(2 * MEMORY)
    kept[:: 1 << 12] = b"x" * len(kept[:: 1 << 12])
    time.sleep(600)


ACTIONS: dict[str, Callable[[], Any]] = {
    "result lock": threading.Lock,
    "result cannot pickle": CannotPickle,
    "result lies": Liar,
    "result hangs": Hangs,
    "result generator": lambda: (i for i in range(3)),
    "raises odd": lambda: raises(OddError(1, 2))(),
    "raises silent": raises(SilentError()),
    "raises lock": lambda: raises(ValueError(threading.Lock()))(),
    "raises final": raises(Final("the end")),
    "exits": lambda: sys.exit(3),
    "interrupts": raises(KeyboardInterrupt()),
    "exits at once": lambda: os._exit(3),
    "segfaults": segfault,
    "overflows": overflow,
    "loops": loop,
    "hogs": hog,
}
ARGUMENTS: dict[str, Callable[[], Any]] = {
    "argument lock": threading.Lock,
    "argument cannot pickle": CannotPickle,
    "argument lies": Liar,
}
TOLD = {
    "result lock": "lock",
    "result cannot pickle": "not me",
    "result lies": "a lie",
    "result hangs": "ran for more than",
    "result generator": "generator",
    "raises odd": "odd",
    "raises silent": "SilentError",
    "raises lock": "ValueError",
    "raises final": "Final",
    "exits": "SystemExit",
    "interrupts": "KeyboardInterrupt",
    "exits at once": "exited with code 3",
    "segfaults": "SIGSEGV",
    "overflows": "SIGSEGV|RecursionError|memory",
    "loops": "ran for more than",
    "hogs": "memory",
    "argument lock": "lock",
    "argument cannot pickle": "not me",
    "argument lies": "a lie",
}
"""What the error of each kind must say: a regular expression."""


class Mixed:
    def __init__(self, act: Callable[..., Any]) -> None:
        self.act = act

    def __call__(self, kinds: list[str]) -> Any:
        results = []
        for i, kind in enumerate(kinds):
            make = ARGUMENTS.get(kind)
            results.append(self.act(kind, i if make is None else make()))
        return [self.look(result) for result in results]

    @staticmethod
    def look(result: Any) -> Any:
        try:
            return flowy.wait(result)
        except flowy.TaskError as error:
            return error


@scenario("malice")
def malice(scale: float) -> Figures:
    bad, good = times(BAD, scale), times(GOOD, scale)
    names = [*ACTIONS, *ARGUMENTS]
    kinds = [names[i % len(names)] for i in range(bad)] + ["good"] * good
    random.Random(4).shuffle(kinds)
    w = flowy.LocalWorkflow(Mixed, 2, memory_limit=MEMORY)
    w.conf_activity("act", act, start_to_close=LIMIT)
    errors: Counter[str] = Counter()
    with w:
        for i, (kind, got) in enumerate(zip(kinds, w.run(kinds), strict=True)):
            if kind == "good":
                expect(got == i, f"good task {i} gave {got!r}")
                continue
            expect(isinstance(got, flowy.TaskError), f"{kind}: gave {got!r}")
            expect(got.key == f"act-{i}-0", f"{kind}: it fails as {got.key}, not act-{i}-0")
            expect(
                bool(re.search(TOLD[kind], str(got))),
                f"{kind}: its error does not say {TOLD[kind]!r}: {got}",
            )
            errors[type(got).__name__] += 1
        expect(w.run(["good"] * 3) == [0, 1, 2], "the workflow does not run afterwards")
    told = ", ".join(f"{n} {name}" for name, n in sorted(errors.items()))
    return {"bad": bad, "good": good, "errors": told}
