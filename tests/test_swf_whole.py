"""Workflows from start to end on an Amazon SWF in memory, with faults and without.

Owns: the features together: sub-workflows that are signalled and cancelled, clean-up, restarts,
fan-outs that are wider than what may be open, and runs that are longer than a history may be.

May not know: how decisions are made. Single events are tested in `test_swf_decide`.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable
from typing import Any

import pytest
from swf_service import Execution, Service, attributes, check_decisions, play

import flowy
from flowy import swf
from flowy.swf import serialization

Body = Callable[..., Any]


def work(name: str, text: str) -> tuple[str, str]:
    args, _ = serialization.load_call(text)
    return "Completed", serialization.dumps(args[0] + 1)


def workers(factory: Any, sub: Any = None, **options: Any) -> list[swf.SWFWorkflowWorker]:
    """One that keeps runs, and one that does not."""
    made = []
    for keep in (1000, 0):
        worker = swf.SWFWorkflowWorker(keep=keep, strict=True, **options)
        for name, code in (("main", factory), ("sub", sub)):
            if code is None:
                continue
            config = swf.SWFWorkflowConfig(rate_limit=None)
            config.conf_activity("inc", version=1)
            if name == "main" and sub is not None:
                config.conf_workflow("sub", version=1)
            worker.register(config, code, 1, name)
        made.append(worker)
    return made


def run(
    factory: Any,
    sub: Any = None,
    *,
    input: str = "[[], {}]",
    seed: int = 0,
    faults: bool = False,
    compare: float = 1.0,
    limit: int = 20_000,
    often: float = 0.5,
    **options: Any,
) -> tuple[Any, Service]:
    """(what the last execution of the workflow gave, the service)"""
    kept, full = workers(factory, sub, **options)
    service = Service(work, random.Random(seed), faults=faults)
    service.start("main", {"name": "main", "version": "1"}, input=input)

    def decide(execution: Execution, task: dict[str, Any]) -> Any:
        made = kept.decide(task)
        check_decisions(made)
        if service.chance.random() < compare:
            assert full.decide(task) == made
        return made

    play(service, decide, limit=limit, often=often)
    kept.kept.clear()
    for execution in service.executions:
        swf.replay(execution.events, full)
    last = [e for e in service.executions if e.workflow_id == "main"][-1]
    says = attributes(last.events[-1])
    return (
        serialization.loads(says["result"]) if last.closed == "Completed" else (last.closed, says)
    ), service


class Listening:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        try:
            total = 0
            while (value := flowy.wait(flowy.signal("add"))) is not None:
                total += flowy.wait(self.inc(value)) * n
        except flowy.CancelRequested:
            flowy.wait(self.inc(0))  # cleans up
            raise
        return total


class Leading:
    def __init__(self, inc: Any, sub: Any) -> None:
        self.inc = inc
        self.sub = sub

    def __call__(self) -> Any:
        heard, left = self.sub(1), self.sub(2)
        for value in (3, 4, None):
            flowy.wait(flowy.send_signal(heard, "add", value))
        slow = flowy.timer(1000)
        flowy.cancel(left)
        with pytest.raises(flowy.TaskCancelled):
            flowy.wait(left)
        flowy.cancel(slow)
        token = flowy.uuid4()
        before = flowy.now()
        flowy.sleep(2)
        assert flowy.now() > before
        chosen = flowy.side_effect(lambda: token.hex)
        return [heard, chosen == token.hex, flowy.changed("x"), self.inc(1)]


@pytest.mark.parametrize("faults", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_features_together(seed: int, faults: bool) -> None:
    value, service = run(Leading, Listening, seed=seed, faults=faults)
    assert value == [9, True, True, 2]
    assert sorted(e.closed for e in service.executions) == ["Canceled", "Completed", "Completed"]


def test_a_fan_out_wider_than_what_may_be_open() -> None:
    class Wide:
        def __init__(self, inc: Any) -> None:
            self.inc = inc

        def __call__(self) -> Any:
            return sum(flowy.wait([self.inc(n) for n in range(3000)]))

    value, service = run(Wide, compare=0.02, limit=40_000, often=0.05)
    assert value == sum(range(1, 3001))
    assert len(service.executions[0].events) < 25_000


def test_more_tasks_than_a_history_may_have_events() -> None:
    class Long:
        def __init__(self, inc: Any) -> None:
            self.inc = inc

        def __call__(self, done: int = 0, total: int = 0) -> Any:
            while done < 5000:
                if flowy.continue_suggested():
                    return flowy.restart(done, total)
                parts = [self.inc(0) for _ in range(100)]
                total += sum(flowy.wait(parts))
                done += 100
            return total

    value, service = run(
        Long, compare=0.1, limit=60_000, often=0.05, limits=swf.Limits(continue_at=2500)
    )
    assert value == 5000
    assert len(service.executions) > 3
    assert max(len(execution.events) for execution in service.executions) < 3200


class Chain:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, length: int) -> Any:
        value = 0
        for _ in range(length):
            value = flowy.wait(self.inc(value))
        return value


def count_calls(function: Callable[[], Any]) -> int:
    """How many calls of Python and C functions it makes: the same each time, unlike seconds."""
    calls = 0

    def count(frame: Any, event: str, arg: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def test_a_replay_is_linear_and_a_kept_decision_costs_the_same_anywhere() -> None:
    full: dict[int, float] = {}
    for length in (50, 400):
        kept, whole = workers(Chain)
        service = Service(work, random.Random(1))
        service.start("main", {"name": "main", "version": "1"}, input=f"[[{length}], {{}}]")
        costs: list[int] = []

        def decide(
            execution: Execution, task: dict[str, Any], kept: Any = kept, costs: list[int] = costs
        ) -> Any:
            made: list[Any] = []
            tail = [e for e in task["events"] if e["eventId"] >= task["previousStartedEventId"]]
            costs.append(count_calls(lambda: made.append(kept.decide(dict(task, events=tail)))))
            return made[0]

        play(service, decide)
        history = service.executions[0].events
        full[length] = count_calls(lambda: swf.replay(history, whole)) / len(history)  # noqa: B023
        kept.kept.clear()
        assert kept.kept.misses == 0
        assert statistics.median(costs[-20:]) <= 1.1 * statistics.median(costs[5:25])
    assert full[400] <= 1.1 * full[50]
