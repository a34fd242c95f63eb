"""Random programs on a random Amazon SWF: however a decider comes to its decisions, they are the same.

Owns: the proof that full replays, kept runs and runs evicted at any time answer each decision task
alike; that what comes out is what the core gives for the same events, and what plain Python gives where
order is nothing; and that every history replays clean.

May not know: SWF beyond what `swf_service` plays, or how decisions are made.
"""

from __future__ import annotations

import dataclasses
import logging
import random
from collections.abc import Iterator
from typing import Any

import oracle as o
import programs as p
import pytest
from hypothesis import given
from hypothesis import strategies as st
from swf_service import Execution, Service, attributes, play
from test_property import end_word, examples, form

import flowy
from flowy import events, swf
from flowy.errors import Failure
from flowy.swf import serialization
from flowy.swf.config import SWFWorkflowConfig

CLASSES = {kind.__name__: kind for kind in (p.Pair, p.Point, p.Spot)}


def pack(value: Any) -> Any:
    """Values of the programs as JSON has them; tags are dicts of one key that begins with '='."""
    kind = type(value)
    if kind.__name__ in CLASSES:
        parts = (
            list(value)
            if kind is p.Pair
            else [getattr(value, f.name) for f in dataclasses.fields(value)]
        )
        return {f"={kind.__name__}": [pack(part) for part in parts]}
    if kind in (set, frozenset):  # their items may be packed to dicts
        return {f"={kind.__name__}": sorted(map(pack, value), key=repr)}
    if kind in (list, tuple):
        return kind(pack(item) for item in value)
    if kind is dict:
        return {key: pack(item) for key, item in value.items()}
    return value


def unpack(value: Any) -> Any:
    if type(value) in (list, tuple):
        return type(value)(unpack(item) for item in value)
    if type(value) is dict:
        ((tag, parts),) = value.items() if len(value) == 1 else (("", []),)
        if tag in ("=set", "=frozenset"):
            return (set if tag == "=set" else frozenset)(map(unpack, parts))
        if tag[:1] == "=":
            return CLASSES[tag[1:]](*map(unpack, parts))
        return {key: unpack(item) for key, item in value.items()}
    return value


def dump_input(*args: Any, **kwargs: Any) -> str:
    return serialization.dump_call(tuple(pack(arg) for arg in args), pack(kwargs))


def load_input(text: str) -> Any:
    args, kwargs = serialization.load_call(text)
    return [unpack(arg) for arg in args], {name: unpack(arg) for name, arg in kwargs.items()}


def dump(value: Any) -> str:
    return serialization.dumps(pack(value))


def load(text: str) -> Any:
    return unpack(serialization.loads(text))


def work(name: str, text: str) -> tuple[str, str]:
    args, kwargs = load_input(text)
    try:
        return "Completed", dump(p.ACTIVITIES[name](*args, **kwargs))
    except ValueError as error:
        return "Failed", str(error)


class Deciders:
    """Several deciders for one program that must agree on every task."""

    def __init__(self, program: p.Program, rate_limit: int | None) -> None:
        self.program = program
        self.rate_limit = rate_limit
        self.full = self.worker(keep=0)
        self.kept = self.worker()
        self.evicted = self.worker()
        self.limits = swf.Limits(decisions=2 + rate_limit % 3) if rate_limit else swf.Limits()
        for worker in (self.full, self.kept, self.evicted):
            worker.limits = self.limits

    def worker(self, **options: Any) -> swf.SWFWorkflowWorker:
        made = swf.SWFWorkflowWorker(strict=True, **options)
        named: dict[str, Any] = {
            "rate_limit": self.rate_limit,
            "deserialize_input": load_input,
            "serialize_result": dump,
            "serialize_restart_input": dump_input,
        }
        inner, outer = SWFWorkflowConfig(**named), SWFWorkflowConfig(**named)
        for config in (inner, outer):
            for name in p.ACTIVITIES:
                config.conf_activity(
                    name, 1, serialize_input=dump_input, deserialize_result=load, retry=(0, 3, 0)
                )
        sub = self.program.sub or self.program
        outer.conf_workflow("sub", 1, serialize_input=dump_input, deserialize_result=load)
        made.register(inner, p.workflow(lambda: sub, sub=False), 1, "sub")
        made.register(outer, p.workflow(lambda: self.program), 1, "main")
        return made

    def from_tail(self, task: dict[str, Any]) -> swf.Decisions:
        """What the decider says that keeps runs, and reads whole histories only where it must."""
        try:
            return self.kept.decide(dict(task, events=tail(task)))
        except swf.Incomplete:
            return self.kept.decide(task)

    def decide(self, execution: Execution, task: dict[str, Any]) -> list[dict[str, Any]]:
        chance = execution.service.chance
        decisions = self.full.decide(task)
        for answer in (self.from_tail(task), self.evicted.decide(task)):
            assert answer == decisions
            assert answer.context == decisions.context
        if chance.random() < 0.3:
            self.evicted.forget(task)
        if decisions and decisions[-1]["decisionType"].startswith(("Complete", "Fail", "Continue")):
            for worker in (self.kept, self.evicted):
                worker.forget(task)
        return decisions


def tail(task: dict[str, Any]) -> list[dict[str, Any]]:
    """The window as SWF gives it: from the previous DecisionTaskStarted on, that included."""
    return [event for event in task["events"] if event["eventId"] >= task["previousStartedEventId"]]


def run(
    program: p.Program, inputs: tuple[int, ...], seed: int, faults: bool, rate: int | None
) -> Execution:
    """The last execution of the program, which others may have been continued as."""
    service = Service(work, random.Random(seed), faults=faults)
    deciders = Deciders(program, rate)
    service.start("main", {"name": "main", "version": "1"}, input=dump_input(*inputs))
    try:
        play(service, deciders.decide, signals=("s", "t"))
    finally:
        deciders.kept.kept.clear()
        deciders.evicted.kept.clear()
    for execution in service.executions:
        swf.replay(execution.events, deciders.full)
    return [execution for execution in service.executions if execution.workflow_id == "main"][-1]


def end_of(execution: Execution) -> Any:
    says = attributes(execution.events[-1])
    if execution.closed == "Completed":
        return "Complete", form(load(says["result"]))
    return "Fail", says["reason"]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


SEEDS = st.integers(0, 1 << 30)
RATES = st.none() | st.integers(1, 4)


@examples(60)
@given(
    program=p.programs(p.Grammar(orders=False)),
    inputs=p.INPUTS,
    seed=SEEDS,
    faults=st.booleans(),
    rate=RATES,
)
def test_programs_where_order_is_nothing_have_the_value_of_plain_python(
    program: p.Program, inputs: tuple[int, ...], seed: int, faults: bool, rate: int | None
) -> None:
    got = end_of(run(program, inputs, seed, faults, rate))
    wanted = end_word(o.play(program, inputs, {}, o.oldest))
    assert got[0] == wanted[0]
    if got[0] == "Complete":
        assert got == wanted
        functions = dict(p.ACTIVITIES)
        if program.sub is not None:
            inner = program.sub
            functions["sub"] = flowy.plain(p.workflow(lambda: inner, sub=False), **p.ACTIVITIES)
        else:
            functions["sub"] = flowy.plain(p.workflow(lambda: program, sub=False), **p.ACTIVITIES)
        assert got[1] == form(flowy.plain(p.workflow(lambda: program), **functions)(*inputs))


@examples(100)
@given(
    program=p.programs(p.Grammar(outside=True)),
    inputs=p.INPUTS,
    seed=SEEDS,
    faults=st.booleans(),
    rate=RATES,
)
def test_all_deciders_agree_and_every_history_replays_clean(
    program: p.Program, inputs: tuple[int, ...], seed: int, faults: bool, rate: int | None
) -> None:
    execution = run(program, inputs, seed, faults, rate)
    assert execution.closed in ("Completed", "Failed")


@examples(60)
@given(program=p.programs(p.Grammar()), inputs=p.INPUTS, seed=SEEDS, rate=RATES)
def test_the_end_is_what_the_core_gives_for_the_same_events(
    program: p.Program, inputs: tuple[int, ...], seed: int, rate: int | None
) -> None:
    execution = run(program, inputs, seed, False, rate)
    args, kwargs = load_input(attributes(execution.events[0])["input"])
    with flowy.Replay(
        p.workflow(lambda: program), [*p.ACTIVITIES, "sub"], tuple(args), kwargs
    ) as replay:
        commands = replay.start()
        for event in outcomes(execution.events):
            if not replay.ended:
                commands = replay.feed(event)
        assert replay.ended
    end = commands[-1]
    if isinstance(end, events.Complete):
        assert end_of(execution) == ("Complete", form(end.value))
    else:
        assert isinstance(end, events.Fail)
        assert execution.closed == "Failed"


def outcomes(history: list[dict[str, Any]]) -> Iterator[events.Event]:
    """The outcomes of activities and children, read as plainly as can be."""
    keys = {}
    for event in history:
        says, kind = attributes(event), event["eventType"]
        if kind == "ActivityTaskScheduled":
            keys[event["eventId"]] = says["activityId"]
        elif kind == "StartChildWorkflowExecutionInitiated":
            keys[event["eventId"]] = "-".join(says["workflowId"].split("-")[-3:])
        elif kind in ("ActivityTaskCompleted", "ChildWorkflowExecutionCompleted"):
            key = keys[says.get("initiatedEventId") or says["scheduledEventId"]]
            yield events.TaskCompleted(key, load(says["result"]))
        elif kind in ("ActivityTaskFailed", "ChildWorkflowExecutionFailed"):
            key = keys[says.get("initiatedEventId") or says["scheduledEventId"]]
            yield events.TaskFailed(key, Failure(says["reason"], key=key))
