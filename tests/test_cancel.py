"""Cancelling: what has not started never does, what runs is told, and stopped if it does not listen."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_attempts import LONG, lines, note, outcome

import flowy


class Cancels:
    """Starts an activity, waits until it runs, cancels it; what it and a dependant came to."""

    def __init__(self, do: Callable[..., Any], ask: Callable[..., Any]) -> None:
        self.do = do
        self.ask = ask

    def __call__(self, path: str, how: str) -> Any:
        result = self.do(path, how)
        dependant = self.ask(result)
        while not flowy.wait(self.ask(path)):
            pass
        flowy.cancel(result)
        return [outcome(result), outcome(dependant)]


def do(path: str, how: str) -> str:
    note(path)
    if how == "deaf":
        time.sleep(LONG if os.getpid() != DRIVER else 4)
    try:
        while True:
            flowy.heartbeat()
            time.sleep(0.01)
    except flowy.CancelRequested:
        if how == "polite":
            note(path, "cleaned up")
            raise
    return how


def ask(path: str) -> bool:
    return os.path.exists(path)


DRIVER = os.getpid()
where = pytest.mark.parametrize("executor", ["threads", "processes"])
how_looked_after = pytest.mark.parametrize("options", [{}, {"priority": 1}])


def make(executor: str, options: dict[str, Any]) -> flowy.LocalWorkflow:
    w = flowy.LocalWorkflow(Cancels, 3, executor=executor)
    w.conf_activity("do", do, **options)
    w.conf_activity("ask", ask)
    return w


@where
@how_looked_after
def test_a_running_activity_is_told_by_its_heartbeat(
    executor: str, options: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "log"
    for error in make(executor, options).run(str(path), "polite"):
        assert isinstance(error, flowy.TaskCancelled)
        assert error.key == "do-0-0"
    assert lines(path) == ["x", "cleaned up"]


@where
@how_looked_after
def test_one_that_ends_all_the_same_has_its_value(
    executor: str, options: dict[str, Any], tmp_path: Path
) -> None:
    got = make(executor, options).run(str(tmp_path / "log"), "stubborn")
    assert got[0] == "stubborn"


@pytest.mark.parametrize(
    ("executor", "options"),
    [("processes", {}), ("processes", {"priority": 1}), ("threads", {"priority": 1})],
)
def test_one_that_does_not_listen_is_stopped(
    executor: str, options: dict[str, Any], tmp_path: Path
) -> None:
    for error in make(executor, options).run(str(tmp_path / "log"), "deaf"):
        assert isinstance(error, flowy.TaskCancelled)


class Late:
    """Cancels what waits behind the only worker."""

    def __init__(self, do: Callable[..., Any]) -> None:
        self.do = do

    def __call__(self, path: str) -> Any:
        first = self.do(path, 1)
        others = [self.do(path, 0) for _ in range(3)]
        for other in others:
            flowy.cancel(other)
        return [flowy.wait(first), *map(outcome, others)]


@where
def test_one_that_waits_never_starts(executor: str, tmp_path: Path) -> None:
    def slow(path: str, x: int) -> int:
        note(path)
        time.sleep(0.3 * x)
        return x

    w = flowy.LocalWorkflow(Late, 1, executor=executor)
    w.conf_activity("do", slow, schedule_to_start=LONG)
    first, *others = w.run(str(tmp_path / "log"))
    assert first == 1
    assert all(isinstance(error, flowy.TaskCancelled) for error in others)
    assert lines(tmp_path / "log") == ["x"]


def test_one_between_two_attempts_is_over_at_once(tmp_path: Path) -> None:
    def fail(path: str) -> None:
        note(path)
        raise OSError

    class Wait:
        def __init__(self, do: Callable[..., Any], ask: Callable[..., Any]) -> None:
            self.do, self.ask = do, ask

        def __call__(self, path: str) -> Any:
            result = self.do(path)
            while not flowy.wait(self.ask(path)):
                pass
            flowy.sleep(0.05)
            flowy.cancel(result)
            return outcome(result)

    w = flowy.LocalWorkflow(Wait, 2, executor="threads")
    w.conf_activity("do", fail, retry=flowy.Retry(delay=LONG))
    w.conf_activity("ask", ask)
    assert isinstance(w.run(str(tmp_path / "log")), flowy.TaskCancelled)
    assert len(lines(tmp_path / "log")) == 1


def test_the_losers_of_first_can_be_cancelled(tmp_path: Path) -> None:
    def race(path: str, x: int) -> int:
        if x:
            do(path, "polite")
        return x

    class Race:
        def __init__(self, do: Callable[..., Any]) -> None:
            self.do = do

        def __call__(self, path: str) -> Any:
            runners = [self.do(path, x) for x in (1, 0)]
            winner = flowy.wait(flowy.first(runners))
            flowy.cancel(runners[0])
            return [winner, outcome(runners[0])]

    w = flowy.LocalWorkflow(Race, 2)
    w.conf_activity("do", race)
    winner, loser = w.run(str(tmp_path / "log"))
    assert winner == 0
    assert isinstance(loser, flowy.TaskCancelled)


class Returns:
    """Its code is over at once; what it returned is waited for."""

    def __init__(self, do: Callable[..., Any]) -> None:
        self.do = do

    def __call__(self, path: str, mapped: bool) -> Any:
        if mapped:
            return list(flowy.map(self.do, [path], ["polite"]))
        return [self.do(path, "polite")]


@where
@how_looked_after
@pytest.mark.parametrize("mapped", [True, False])
def test_a_run_that_has_returned_can_be_cancelled(
    executor: str, options: dict[str, Any], mapped: bool, tmp_path: Path, eventually: Any
) -> None:
    path = tmp_path / "log"
    w = flowy.LocalWorkflow(Returns, 2, executor=executor)
    w.conf_activity("do", do, **options)
    with w:
        run = w.start(str(path), mapped)
        assert eventually(path.exists)
        run.cancel()
        with pytest.raises(flowy.CancelRequested):
            run.result(LONG)
        assert run.status == "cancelled"
        assert eventually(lambda: lines(path) == ["x", "cleaned up"])


class Hears:
    """Waits for what never comes, in its code or in what it returned."""

    def __call__(self, waits: bool) -> Any:
        never = flowy.signal("never")
        return flowy.wait(never) if waits else [never]


@pytest.mark.parametrize("waits", [True, False])
def test_a_sub_workflow_that_is_cancelled(waits: bool) -> None:
    class Parent:
        def __init__(self, sub: Callable[..., Any]) -> None:
            self.sub = sub

        def __call__(self) -> Any:
            child = self.sub(waits)
            flowy.sleep(0)
            flowy.cancel(child)
            return outcome(child)

    w = flowy.LocalWorkflow(Parent, executor="inline")
    w.conf_workflow("sub", flowy.LocalWorkflow(Hears))
    assert isinstance(w.run(), flowy.TaskCancelled)


@pytest.mark.parametrize("waits", [True, False])
def test_a_run_that_is_asked_to_cancel(waits: bool) -> None:
    run = flowy.LocalWorkflow(Hears, executor="inline").start(waits)
    run.cancel()
    with pytest.raises(flowy.CancelRequested):
        run.result(LONG)
