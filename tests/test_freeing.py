"""What a run took is free when it ends, and not only when the garbage collector comes.

Owns: that no run is part of a cycle after its end, whichever way it ended. A cycle keeps all values
and the graph of a run: the next one takes fresh memory, and a long collection falls into it.

Left out are activities that fail in this process: their exception has the frames that it went through,
where it stands in local variables.

May not know: which objects know each other. It counts what the collector finds.
"""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import flowy

Body = Callable[..., Any]


def inc(x: int) -> int:
    return x + 1


def refuse(x: Any) -> Any:
    raise ValueError(x)


class Twice:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, x: int) -> Any:
        return self.inc(self.inc(x))


class Calls:
    """Does what its input names."""

    def __init__(self, inc: Any, refuse: Any, twice: Any) -> None:
        self.inc = inc
        self.refuse = refuse
        self.twice = twice

    def __call__(self, what: str, *args: Any) -> Any:
        return getattr(self, what)(*args)

    def fan(self) -> Any:
        return [self.inc(n) for n in range(50)]

    def mapped(self) -> Any:
        return flowy.map(self.inc, range(50))

    def streamed(self) -> int:
        return sum(flowy.map(self.inc, iter(range(50))))

    def chain(self) -> Any:
        n: Any = 0
        for _ in range(50):
            n = self.inc(n)
        return n

    def looks(self) -> int:
        return sum(int(self.inc(n)) for n in range(10))

    def first(self) -> Any:
        return flowy.wait(flowy.first([self.inc(n) for n in range(5)]))

    def in_order(self) -> list[Any]:
        return list(flowy.finish_order([self.inc(n) for n in range(5)]))

    def children(self) -> Any:
        return [self.twice(n) for n in range(5)]

    def large(self) -> Any:
        return [self.inc(n) for n in [1 << 600_000] * 3]

    def caught(self) -> int:
        with pytest.raises(flowy.TaskError):
            flowy.wait(self.refuse(1))
        return 1

    def uncaught(self) -> Any:
        return self.refuse(1)

    def slept(self) -> int:
        flowy.sleep(0.001)
        return 1

    def waits(self) -> None:
        flowy.wait(flowy.signal("that never comes"))

    def failed(self) -> None:
        raise KeyError("failed")

    def unsent(self) -> int:
        for n in range(50):
            self.inc(n)
        return 1

    def again(self, times: int) -> Any:
        return flowy.restart("again", times - 1) if times else 1


EACH = [
    ("fan",),
    ("mapped",),
    ("streamed",),
    ("chain",),
    ("looks",),
    ("first",),
    ("in_order",),
    ("children",),
    ("large",),
    ("slept",),
    ("unsent",),
    ("again", 3),
]


@pytest.fixture(scope="module", params=["inline", "threads", "processes"])
def warm(request: pytest.FixtureRequest) -> Iterator[flowy.LocalWorkflow]:
    sub = flowy.LocalWorkflow(Twice, 2, executor=request.param)
    sub.conf_activity("inc", inc)
    w = flowy.LocalWorkflow(Calls, 2, executor=request.param)
    w.conf_activity("inc", inc)
    w.conf_activity("refuse", refuse)
    w.conf_workflow("twice", sub)
    with w:
        w.run("fan")
        yield w


def garbage(run: Callable[[], Any]) -> Counter[str]:
    """The kinds of objects that only the collector can free after `run`."""
    run()  # what is made once is made now
    gc.collect()
    gc.disable()
    try:
        gc.set_debug(gc.DEBUG_SAVEALL)
        run()
        gc.collect()
        return Counter(type(each).__name__ for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("what", EACH, ids=lambda what: what[0])
def test_a_run_that_completes(warm: flowy.LocalWorkflow, what: tuple[Any, ...]) -> None:
    assert garbage(lambda: warm.run(*what)) == {}


def test_a_run_that_fails(warm: flowy.LocalWorkflow) -> None:
    def run() -> None:
        with contextlib.suppress(KeyError):
            warm.run("failed")

    assert garbage(run) == {}


@pytest.mark.parametrize("warm", ["processes"], indirect=True)
@pytest.mark.parametrize("what", ["caught", "uncaught"])
def test_an_activity_that_fails_in_a_worker(warm: flowy.LocalWorkflow, what: str) -> None:
    def run() -> None:
        with contextlib.suppress(flowy.TaskError):
            warm.run(what)

    assert garbage(run) == {}


def test_a_run_in_the_background(warm: flowy.LocalWorkflow) -> None:
    assert garbage(lambda: warm.start("fan").result()) == {}


def test_a_run_that_is_cancelled(warm: flowy.LocalWorkflow) -> None:
    def run() -> None:
        handle = warm.start("waits")
        handle.cancel()
        with pytest.raises(flowy.CancelRequested):
            handle.result()

    assert garbage(run) == {}


def test_a_traced_run(warm: flowy.LocalWorkflow, tmp_path: Path) -> None:
    assert garbage(lambda: warm.run("fan", _trace=tmp_path / "run.json")) == {}
