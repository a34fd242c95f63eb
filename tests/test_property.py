"""Random programs: the core and the engines against the oracle, and rebuilding at every cut.

Owns: the properties that hold for every workflow. (a) Each event gives the commands that the law
says; (b) a run rebuilt from any prefix of its events stands where the first one stood, and goes on
alike; (c) plain Python gives the same value; (d) so does the local engine, on every executor;
(e) when references are dropped and when garbage is collected shows in no command.

May not know: how flowy is made inside.

Its neighbours: `programs` writes the programs, `oracle` says what they must do. `FLOWY_LONG=1`
tries many more of them.
"""

from __future__ import annotations

import dataclasses
import gc
import itertools
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import oracle as o
import programs as p
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

import flowy
from flowy.errors import Failure
from flowy.events import (
    CancelRequested,
    Command,
    Complete,
    Event,
    Fail,
    Restart,
    Schedule,
    SignalReceived,
    StartTimer,
    TaskCancelled,
    TaskTimedOut,
)

LONG = bool(os.environ.get("FLOWY_LONG"))
ALL_EVENTS = 200  # more than any turn of a program can take
SEED = 1
ORDERS = 50  # orders of completion that are tried for one program
NOISE = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def examples(usual: int) -> settings:
    """So many examples; with `FLOWY_LONG=1`, ten times and a bit."""
    return settings(
        max_examples=usual * 11 if LONG else usual,
        deadline=None,
        print_blob=True,
        suppress_health_check=NOISE,
        phases=[phase for phase in Phase if phase is not Phase.explain],
    )


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Runs that leave tasks and failures behind warn; here most do."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def draw_all() -> list[float]:
    """The random numbers of a run of the seed `SEED`: they depend on nothing else."""
    replay = flowy.Replay(lambda: lambda: [flowy.random() for _ in range(p.FUEL)], [], seed=SEED)
    (end,) = replay.start()
    assert isinstance(end, Complete)
    assert isinstance(end.value, list)
    return end.value


DRAWS = draw_all()


# Comparing.


def form(value: Any) -> Any:
    """The value with the types of its containers spelled out, to be compared exactly."""
    if isinstance(value, dict):
        return "dict", tuple((name, form(item)) for name, item in value.items())
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, tuple(sorted(value, key=repr))
    items = o.items_of(value)
    return (type(value).__name__, *map(form, items)) if items else (type(value).__name__, value)


def word(command: Command) -> Any:
    """A command to be compared; of a failure counts which task it came from, or its class."""
    if not isinstance(command, Fail):
        return (type(command).__name__, *map(form, command))
    cause = command.failure.cause
    return "Fail", blame(cause) if isinstance(cause, flowy.TaskError) else (
        command.failure.key or type(cause).__name__
    )


def blame(error: BaseException) -> str:
    return error.key if isinstance(error, flowy.TaskError) else type(error).__name__


# (a) and (b): one turn of a run.

HOWS = st.sampled_from(["done"] * 12 + ["timed out", "cancelled", "s", "t", "s", "t", "stop"])
Moves = list[tuple[int, str]]
Test = Callable[..., None]
MOVES = st.lists(st.tuples(st.integers(0, 9), HOWS), max_size=30)


def next_event(program: p.Program, running: list[Command], moves: Moves, count: int) -> Event:
    """The event number `count`: of a command that runs, or for the run. Time may jump back."""
    index, how = moves[count] if count < len(moves) else (0, "done")
    time = float(count * 7 % 20)
    if how == "stop":
        return CancelRequested(time)
    if how in ("s", "t") or not running:
        name = how if how in ("s", "t") else "st"[count % 2]
        return SignalReceived(name, count, time)
    command = running.pop(index % len(running))
    if isinstance(command, Schedule):
        key, name = command.key, command.name
        if how == "timed out":
            return TaskTimedOut(key, Failure("late", key=key, name=name, kind="timed out"), time)
        if how == "cancelled":
            return TaskCancelled(key, time)
    return o.answer(program, command, time)


class Step(NamedTuple):
    """What one event gave, and where it left the run."""

    commands: list[Any]
    waiting_for: str | None
    ended: bool


@dataclasses.dataclass
class Turn:
    """The input of one turn of a run, what happened in it, and what came of it."""

    program: p.Program
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    events: list[Event] = dataclasses.field(default_factory=list)
    steps: list[Step] = dataclasses.field(default_factory=list)
    end: Command | None = None

    def replay(self, known: int = 0, **options: Any) -> flowy.Replay:
        """A run of it. The side effects of its first `known` steps are on record."""
        notes = {
            command[1][1]: command[2][1]
            for each in self.steps[:known]
            for command in each.commands
            if command[0] == "Note"
        }
        effect = itertools.count(o.EFFECT + len(notes)).__next__
        sub = self.program.sub is not None
        factory = p.workflow(lambda: self.program, sub=sub, options=p.Options(effect=effect, **options))
        names = [*p.ACTIVITIES, *["sub"] * sub]
        return flowy.Replay(factory, names, args=self.args, kwargs=self.kwargs, seed=SEED, notes=notes)


def step(replay: flowy.Replay, event: Event | None) -> Step:
    commands = replay.start() if event is None else replay.feed(event)
    replay.check()
    return Step([word(command) for command in commands], replay.waiting_for, replay.ended)


def drive(turn: Turn, moves: Moves, **options: Any) -> None:
    """Do the turn, and compare each step with the oracle's."""
    oracle = o.Oracle(turn.program, turn.args, turn.kwargs, DRAWS)
    replay = turn.replay(**options)
    running: list[Command] = []
    event = None
    while True:
        wanted = oracle.start() if event is None else oracle.feed(event)
        turn.steps.append(step(replay, event))
        assert turn.steps[-1].commands == [word(command) for command in wanted]
        assert turn.steps[-1].ended == oracle.ended
        check_wait(turn.steps[-1].waiting_for, oracle)
        if oracle.ended:
            break
        running += [each for each in wanted if isinstance(each, (Schedule, StartTimer))]
        event = next_event(turn.program, running, moves, len(turn.events))
        turn.events.append(event)
        assert len(turn.events) < ALL_EVENTS
    replay.close()
    turn.end = wanted[-1]


def check_wait(waiting_for: str | None, oracle: o.Oracle) -> None:
    waits = [node for node in oracle.waits or [] if not o.come(node)]
    assert (waiting_for is None) == (not waits)
    if waiting_for and not waiting_for.startswith("@"):
        assert waiting_for in [node.key for node in waits]


def turns(program: p.Program, args: tuple[Any, ...], moves: Moves) -> Iterator[Turn]:
    """Drive a run from its start through its restarts."""
    turn = Turn(program, args, {})
    while True:
        drive(turn, moves)
        yield turn
        if not isinstance(turn.end, Restart):
            return
        turn = Turn(program, turn.end.args, dict(turn.end.kwargs))


def rebuild(turn: Turn, cut: int) -> flowy.Replay:
    """A fresh run fed the first `cut` events; each step is the one that the first run took.

    But for side effects: what they answered is on record, so none is asked again.
    """
    replay = turn.replay(known=cut + 1)
    for number, event in enumerate([None, *turn.events[:cut]]):
        wanted = turn.steps[number]
        commands = [command for command in wanted.commands if command[0] != "Note"]
        assert step(replay, event) == wanted._replace(commands=commands)
    return replay


ANY = p.programs(p.Grammar(outside=True))


def kept(result: int, *body: p.Statement) -> Callable[[Test], Test]:
    """A program that found a bug once, as an example. It returns the variable `result`."""
    return example(program=p.Program(body, at(result), None), inputs=(0,), moves=[])


def at(number: int) -> p.Var:
    """The variable `number`; 0 is the input."""
    return p.Var(-1 - number)


def call(*numbers: int) -> p.Call:
    return p.Call("inc", tuple(map(at, numbers)), ())


@examples(200)
@given(program=ANY, inputs=p.INPUTS, moves=MOVES)
# A cancelled call has failed at once: for a reduction, for a finish_order, for who fails with it.
@kept(4, call(0), call(1), p.Cancel(-3), p.Reduce("add", (at(2), at(0), at(0)), None), call(1))
@kept(4, call(0), call(1), p.Cancel(-3), call(2), p.First((at(3), at(2)), True))
# Nodes that finish in one event go by creation number, not by the order of their causes.
@kept(
    6, call(0), call(1), call(1), call(2), call(3), p.Cancel(-4), p.Cancel(-3),
    p.Try((p.Wait(p.Box("list", (at(5), at(4)))),), (), named=True),
)  # fmt: skip
def test_commands_are_those_of_the_law_and_any_prefix_rebuilds_the_run(
    program: p.Program, inputs: tuple[int, ...], moves: Moves
) -> None:
    for turn in turns(program, inputs, moves):
        for cut in range(len(turn.events) + 1):
            rebuild(turn, cut).close()


@examples(50)
@given(program=ANY, inputs=p.INPUTS, moves=MOVES, cuts=st.lists(st.integers(0, 40), max_size=3))
def test_runs_rebuilt_side_by_side_go_on_alike(
    program: p.Program, inputs: tuple[int, ...], moves: Moves, cuts: list[int]
) -> None:
    for turn in turns(program, inputs, moves):
        alive = [(cut, rebuild(turn, cut)) for cut in (min(cut, len(turn.events)) for cut in cuts)]
        for number, event in enumerate(turn.events):
            for cut, replay in alive:
                if number >= cut:
                    assert step(replay, event) == turn.steps[number + 1]
        for _, replay in alive:
            replay.close()


# (e)


@examples(100)
@given(
    program=ANY,
    inputs=p.INPUTS,
    moves=MOVES,
    tie=st.booleans(),
    collect=st.sets(st.integers(0, 40), max_size=8),
)
def test_dropping_results_changes_no_command(
    program: p.Program, inputs: tuple[int, ...], moves: Moves, tie: bool, collect: set[int]
) -> None:
    first = Turn(program, inputs, {})
    budget = p.Reads(Counter(), Counter())
    drive(first, moves, log=budget)
    gc.disable()
    gc.freeze()  # what is here already is out of the collector's sight: collecting is cheap
    try:
        replay = first.replay(budget=budget, tie=tie)
        for number, event in enumerate([None, *first.events]):
            assert step(replay, event) == first.steps[number]
            if number in collect:
                gc.collect()
        replay.close()
    finally:
        gc.unfreeze()
        gc.enable()


# (c)


def ending(run: Callable[[], Any]) -> Any:
    """How a run ends: its value, or the class of its error."""
    try:
        return "Complete", form(run())
    except (flowy.TaskError, ValueError, TypeError) as error:
        return "Fail", blame(error)


def end_word(command: Command) -> Any:
    """The same of the oracle's last command."""
    if isinstance(command, Complete):
        return "Complete", form(command.value)
    return word(command)


def alike(one: Any, other: Any) -> bool:
    """Equal ends; which of several tasks a failure is blamed on depends on the order."""
    if one[0] == other[0] == "Fail":
        return ("-" in one[1]) == ("-" in other[1])
    return bool(one == other)


SETTLED = p.programs(p.Grammar(orders=False))
SETTLED_AND_SAFE = p.programs(p.Grammar(orders=False, fails=False))


ORDER = st.lists(st.integers(0, 9), max_size=30)


def end_under(order: list[int], program: p.Program, inputs: tuple[int, ...]) -> Any:
    """How a run ends when each time that open task finishes which `order` says."""
    *_, last = turns(program, inputs, [(index, "done") for index in order])
    assert last.end is not None
    return end_word(last.end)


@examples(200)
@given(program=SETTLED_AND_SAFE, inputs=p.INPUTS, order=ORDER)
def test_bare_python_gives_the_same_value(
    program: p.Program, inputs: tuple[int, ...], order: list[int]
) -> None:
    functions = dict(p.ACTIVITIES)
    if program.sub is not None:
        inner = program.sub
        functions["sub"] = p.workflow(lambda: inner, sub=False)(**p.ACTIVITIES)
    run = p.workflow(lambda: program, sub=program.sub is not None)(**functions)
    value = ending(lambda: run(*inputs))
    if value[0] == "Complete":  # nothing is promised where something fails
        assert value == end_under(order, program, inputs)


@examples(200)
@given(program=SETTLED, inputs=p.INPUTS, order=ORDER)
def test_plain_python_gives_the_same_value(
    program: p.Program, inputs: tuple[int, ...], order: list[int]
) -> None:
    functions = dict(p.ACTIVITIES)
    if program.sub is not None:
        inner = program.sub
        functions["sub"] = flowy.plain(p.workflow(lambda: inner, sub=False), **p.ACTIVITIES)
    run = flowy.plain(p.workflow(lambda: program, sub=program.sub is not None), **functions)
    value = ending(lambda: run(*inputs))
    assert alike(value, end_under(order, program, inputs))


# (d)


class Engine:
    """A warm engine that runs one program after the other; all activities have the options."""

    def __init__(self, executor: str, **options: Any) -> None:
        self.program = p.Program((), p.Const(0), None)
        child = flowy.LocalWorkflow(p.workflow(self.inner, sub=False), executor=executor)
        self.workflow = flowy.LocalWorkflow(
            p.workflow(lambda: self.program), activity_workers=2, executor=executor
        )
        for name, function in p.ACTIVITIES.items():
            child.conf_activity(name, function, **options)
            self.workflow.conf_activity(name, function, **options)
        self.workflow.conf_workflow("sub", child)

    def inner(self) -> p.Program:
        assert self.program.sub is not None
        return self.program.sub

    def run(self, program: p.Program, inputs: tuple[int, ...]) -> Any:
        self.program = program
        return ending(lambda: self.workflow.run(*inputs))


EXECUTORS = {"inline": 100, "threads": 40, "processes": 30}


def check_settled(engine: Engine, how_many: settings) -> None:
    """Programs whose value no order can change have it on this engine too."""

    @how_many
    @given(program=SETTLED, inputs=p.INPUTS)
    def check(program: p.Program, inputs: tuple[int, ...]) -> None:
        wanted = end_word(o.play(program, inputs, {}, o.oldest))
        assert alike(engine.run(program, inputs), wanted)

    with engine.workflow:
        check()


@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_local_engine_gives_the_value_of_programs_where_order_is_nothing(executor: str) -> None:
    check_settled(Engine(executor), examples(EXECUTORS[executor]))


@pytest.mark.parametrize("executor", EXECUTORS)
def test_the_local_engine_gives_what_some_order_gives(executor: str) -> None:
    engine = Engine(executor)

    @examples(EXECUTORS[executor])
    @given(program=p.programs(p.Grammar()), inputs=p.INPUTS)
    def check(program: p.Program, inputs: tuple[int, ...]) -> None:
        end = engine.run(program, inputs)
        ends = o.all_ends(program, inputs, ORDERS)
        if ends is not None:
            assert end in [end_word(each) for each in ends]

    with engine.workflow:
        check()
