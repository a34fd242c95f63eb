"""`flowy.swf.replay`: code that no longer does what its history says is told, with event and line.

Owns: mutants of workflows (a call added, removed, moved, renamed, with other arguments; chance, the
clock and the order of sets let in), each replayed against the histories of what it was made from; and
the forms that a history comes in.

May not know: how divergences are found. Whether a mutant diverges within its history is found out here
by asking the core, event by event, what it asks for.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from swf_service import Execution, Service, attributes, play

import flowy
from flowy import events, swf
from flowy.swf import serialization

SOURCES = {
    "Sums": """\
import random, time
import flowy
class Sums:
    def __init__(self, square, add, order):
        self.square, self.add, self.order = square, add, order
    def __call__(self, n):
        first = self.square(n)
        second = self.square(n + 1)
        both = self.add(first, second)
        if flowy.wait(both) % 2:
            both = self.add(both, 1)
        flowy.sleep(3)
        parts = [self.square(i) for i in (1, 2, 3)]
        ordered = self.order(both)
        total = flowy.parallel_reduce(self.add, parts)
        return flowy.wait(self.add(total, ordered))
""",
    "Loop": """\
import random, time
import flowy
class Loop:
    def __init__(self, square, add, order):
        self.square, self.add, self.order = square, add, order
    def __call__(self, n):
        total = 0
        seen = flowy.side_effect(lambda: 5)
        for name in ('a', 'b', 'c', 'd'):
            total += self.add(ord(name), seen)
            self.order(name)
        timer = flowy.timer(60)
        go = flowy.signal('go')
        if flowy.wait(flowy.first(timer, go)) is None:
            flowy.wait(self.order('late'))
        flowy.cancel(timer)
        last = self.square(total)
        return flowy.wait(last)
""",
}

# (what is replaced, by what): each makes a mutant of the source that has it, at each place where it is.
EDITS = {
    "Sums": [
        ("first = self.square(n)", "first = self.square(n); self.square(9)"),
        ("first = self.square(n)", "self.add(9, 9); first = self.square(n)"),
        ("first = self.square(n)", "first = self.order(n)"),
        ("first = self.square(n)", "first = self.square(n + 5)"),
        ("first = self.square(n)", "first = n"),
        ("first = self.square(n)", "first = self.square(random.random())"),
        ("first = self.square(n)", "first = self.square(time.time())"),
        ("first = self.square(n)", "flowy.sleep(1); first = self.square(n)"),
        ("first = self.square(n)", "flowy.wait(self.square(n)); first = 1"),
        ("first = self.square(n)", "return 4"),
        ("first = self.square(n)", "raise ValueError(4)"),
        ("first = self.square(n)", "first = flowy.map(self.square, [n])[0]"),
        ("first = self.square(n)", "first = self.square(n=n)"),
        ("first = self.square(n)", "first = self.square((n,))"),
        ("second = self.square(n + 1)", "second = first"),
        ("second = self.square(n + 1)", "second = self.square(n + 2)"),
        ("second = self.square(n + 1)", "second = self.add(n, 1)"),
        ("second = self.square(n + 1)", "second = self.square(first)"),
        ("second = self.square(n + 1)", "flowy.wait(first); second = self.square(n + 1)"),
        ("both = self.add(first, second)", "both = self.add(second, first)"),
        ("both = self.add(first, second)", "both = self.add(first, second, 0)"),
        ("both = self.add(first, second)", "both = first + second"),
        ("both = self.add(first, second)", "both = self.order(first)"),
        ("both = self.add(first, second)", "both = self.add(first, second); self.add(second, first)"),
        ("% 2:", "% 2 == 0:"),
        ("both = self.add(both, 1)", "pass"),
        ("both = self.add(both, 1)", "both = self.add(both, 2)"),
        ("both = self.add(both, 1)", "both = self.add(self.add(both, 1), 1)"),
        ("flowy.sleep(3)", "pass"),
        ("flowy.sleep(3)", "flowy.sleep(3); flowy.sleep(3)"),
        ("flowy.sleep(3)", "flowy.timer(3)"),
        ("flowy.sleep(3)", "flowy.wait(self.order(3))"),
        ("flowy.sleep(3)", "flowy.side_effect(lambda: 3); flowy.sleep(3)"),
        ("flowy.sleep(3)", "flowy.uuid4(); flowy.sleep(3)"),
        ("flowy.sleep(3)", "flowy.signal('x') + 1"),
        ("flowy.sleep(3)", "flowy.sleep(3); both = flowy.now().timestamp()"),
        ("in (1, 2, 3)", "in (1, 2)"),
        ("in (1, 2, 3)", "in (1, 2, 3, 4)"),
        ("in (1, 2, 3)", "in (3, 2, 1)"),
        ("in (1, 2, 3)", "in (1, 3, 2)"),
        ("in (1, 2, 3)", "in set('abc')"),
        ("in (1, 2, 3)", "in random.sample(range(10**9), 3)"),
        ("ordered = self.order(both)", "ordered = both"),
        ("ordered = self.order(both)", "ordered = self.order(both + 1)"),
        ("ordered = self.order(both)", "ordered = self.order(time.monotonic())"),
        ("ordered = self.order(both)", "ordered = self.square(both)"),
        (
            "        parts = [self.square(i) for i in (1, 2, 3)]\n        ordered = self.order(both)\n",
            "        ordered = self.order(both)\n        parts = [self.square(i) for i in (1, 2, 3)]\n",
        ),
        (
            "        flowy.sleep(3)\n        parts = [self.square(i) for i in (1, 2, 3)]\n",
            "        parts = [self.square(i) for i in (1, 2, 3)]\n        flowy.sleep(3)\n",
        ),
        ("flowy.parallel_reduce(self.add, parts)", "flowy.parallel_reduce(self.add, parts[:2])"),
        ("flowy.parallel_reduce(self.add, parts)", "self.add(*parts)"),
        ("flowy.parallel_reduce(self.add, parts)", "flowy.parallel_reduce(self.add, parts, 1)"),
        ("flowy.parallel_reduce(self.add, parts)", "sum(parts)"),
        ("self.add(total, ordered)", "self.add(ordered, total)"),
        ("self.add(total, ordered)", "self.square(total)"),
        ("self.add(total, ordered)", "total"),
        ("return flowy.wait(self.add(total, ordered))", "return flowy.restart(5)"),
        (
            "return flowy.wait(self.add(total, ordered))",
            "return flowy.wait(self.add(total, ordered)) + 1",
        ),
        (
            "return flowy.wait(self.add(total, ordered))",
            "flowy.wait(self.add(total, ordered)); raise KeyError('end')",
        ),
        (
            "return flowy.wait(self.add(total, ordered))",
            "x = flowy.wait(self.add(total, ordered)); flowy.wait(self.square(x)); return x",
        ),
    ],
    "Loop": [
        ("total = 0", "total = 1"),
        ("total = 0", "total = self.add(0, 0)"),
        ("total = 0", "total = random.random()"),
        ("total = 0", "total = 0; flowy.random()"),
        ("total = 0", "total = 0; flowy.changed('x') and self.add(7, 7)"),
        ("seen = flowy.side_effect(lambda: 5)", "seen = 5"),
        ("seen = flowy.side_effect(lambda: 5)", "seen = 6"),
        (
            "seen = flowy.side_effect(lambda: 5)",
            "seen = flowy.side_effect(lambda: flowy.side_effect(lambda: 5))",
        ),
        (
            "seen = flowy.side_effect(lambda: 5)",
            "flowy.side_effect(lambda: 5); seen = flowy.side_effect(lambda: 5)",
        ),
        ("('a', 'b', 'c', 'd')", "('a', 'b', 'c')"),
        ("('a', 'b', 'c', 'd')", "('a', 'b', 'c', 'd', 'e')"),
        ("('a', 'b', 'c', 'd')", "('b', 'a', 'c', 'd')"),
        ("('a', 'b', 'c', 'd')", "('a', 'b', 'd', 'c')"),
        ("('a', 'b', 'c', 'd')", "{'a', 'b', 'c', 'd', 'e', 'f'}"),
        ("('a', 'b', 'c', 'd')", "random.sample('abcdefghijklmnop', 4)"),
        ("('a', 'b', 'c', 'd')", "[]"),
        ("total += self.add(ord(name), seen)", "total += self.add(seen, ord(name))"),
        ("total += self.add(ord(name), seen)", "total += self.add(ord(name), time.time_ns())"),
        ("total += self.add(ord(name), seen)", "total += self.square(ord(name))"),
        ("total += self.add(ord(name), seen)", "self.add(ord(name), seen)"),
        ("self.order(name)", "pass"),
        ("self.order(name)", "self.order(name.upper())"),
        ("self.order(name)", "flowy.wait(self.order(name))"),
        ("self.order(name)", "self.order(name); self.order(name)"),
        ("self.order(name)", "self.order(self.square(ord(name)))"),
        ("self.order(name)", "flowy.cancel(self.order(name))"),
        ("timer = flowy.timer(60)", "timer = flowy.timer(60); flowy.timer(1)"),
        ("timer = flowy.timer(60)", "timer = self.order(60)"),
        ("timer = flowy.timer(60)", "timer = flowy.signal('no')"),
        ("timer = flowy.timer(60)", "flowy.sleep(5); timer = flowy.timer(60)"),
        ("flowy.signal('go')", "flowy.signal('gone')"),
        ("flowy.signal('go')", "flowy.signal('go') or 1"),
        ("is None:", "is not None:"),
        ("flowy.wait(self.order('late'))", "pass"),
        ("flowy.wait(self.order('late'))", "self.order('later')"),
        ("flowy.wait(self.order('late'))", "self.order('late')"),
        ("flowy.wait(self.order('late'))", "flowy.wait(self.order('late')); self.add(1, 1)"),
        ("flowy.cancel(timer)", "pass"),
        ("flowy.cancel(timer)", "flowy.cancel(timer); flowy.sleep(1)"),
        ("last = self.square(total)", "last = self.square(total + 1)"),
        ("last = self.square(total)", "last = self.square(str(total))"),
        ("last = self.square(total)", "last = self.square(total); self.square(total)"),
        ("last = self.square(total)", "last = self.add(total, total)"),
        ("last = self.square(total)", "last = total"),
        ("return flowy.wait(last)", "return flowy.wait(last) + 1"),
        ("return flowy.wait(last)", "return None"),
        ("return flowy.wait(last)", "return flowy.restart(1)"),
        ("return flowy.wait(last)", "return flowy.wait(self.square(last))"),
        ("return flowy.wait(last)", "return time.time()"),
    ],
}
NAMES = ("square", "add", "order")
MUTANTS = [(name, *edit) for name, edits in EDITS.items() for edit in edits]


def load(source: str, name: str, folder: Path) -> Any:
    """The class that a source defines, from a file of its own."""
    file = folder / f"{name.lower()}.py"
    file.write_text(source)
    space: dict[str, Any] = {"__name__": name.lower()}
    exec(compile(source, str(file), "exec"), space)
    return space[name]


def worker(factory: Any, name: str, **options: Any) -> swf.SWFWorkflowWorker:
    config = swf.SWFWorkflowConfig()
    for dep in NAMES:
        config.conf_activity(dep, version=1)
    made = swf.SWFWorkflowWorker(keep=0, **options)
    made.register(config, factory, 1, name)
    return made


def work(name: str, text: str) -> tuple[str, str]:
    args, _ = serialization.load_call(text)
    made: Callable[..., Any] = {
        "square": lambda x: x * x,
        "add": lambda *x: sum(x),
        "order": lambda x: 1,
    }[name]
    return "Completed", serialization.dumps(made(*args))


def record(name: str, seed: int, folder: Path) -> Execution:
    """A history of the workflow as it was."""
    service = Service(work, random.Random(seed))
    execution = service.start("w", {"name": name, "version": "1"}, input=f"[[{2 + seed % 2}], {{}}]")
    decider = worker(load(SOURCES[name], name, folder), name)
    if seed % 3:
        execution.happen("WorkflowExecutionSignaled", signalName="go", input="1")
    play(service, lambda _, task: decider.decide(task), signals=("go",))
    assert execution.closed == "Completed"
    return execution


def asked(factory: Any, history: list[dict[str, Any]]) -> Iterator[list[Any]]:
    """What the core asks for, decision task by decision task, given the history's outcomes."""
    args, kwargs = serialization.load_call(attributes(history[0])["input"])
    notes = {
        int(attributes(e)["markerName"].rsplit("-", 1)[1]): serialization.loads(attributes(e)["details"])
        for e in history
        if e["eventType"] == "MarkerRecorded"
    }
    keys: dict[int, str] = {}
    with flowy.Replay(
        factory, NAMES, args, kwargs, time=history[0]["eventTimestamp"], notes=notes
    ) as replay:
        replay._run.seeder = lambda: 1
        replay._run.replaying = True  # all of it was decided
        out: list[Any] = []
        out += replay.start()
        for event in history:
            says, kind, time = attributes(event), event["eventType"], event["eventTimestamp"]
            if kind == "ActivityTaskScheduled":
                keys[event["eventId"]] = says["activityId"]
            elif kind == "DecisionTaskStarted":
                notes_asked = replay._run.notes_asked
                yield [*map(plain, sent(out)), ("notes", notes_asked)]
                out = []
            fed: Any = None
            if kind == "ActivityTaskCompleted":
                fed = events.TaskCompleted(
                    keys[says["scheduledEventId"]], serialization.loads(says["result"]), time
                )
            elif kind == "TimerFired" or kind == "TimerCanceled":
                fed = events.TimerFired(says["timerId"], time)
            elif kind == "WorkflowExecutionSignaled":
                fed = events.SignalReceived(says["signalName"], 1, time)
            if fed is not None and not replay.ended:
                out += replay.feed(fed)


def sent(commands: list[Any]) -> list[Any]:
    """Without what was cancelled before it could be sent."""
    asked = {c.key for c in commands if isinstance(c, (events.Schedule, events.StartTimer))}
    gone = {c.key for c in commands if isinstance(c, events.CancelTask) and c.key in asked}
    return [c for c in commands if getattr(c, "key", None) not in gone]


def plain(command: Any) -> Any:
    """A command to be compared, as SWF would see it."""
    if isinstance(command, events.Schedule):
        return command.key, serialization.dump_call(command.args, command.kwargs)
    if isinstance(command, events.Complete):
        return "complete", serialization.dumps(command.value)
    if isinstance(command, events.Fail):
        return ("fail",)
    if isinstance(command, events.Note):
        return ("note", command.ordinal)
    if isinstance(command, events.StartTimer):
        return ("timer", command.key)
    return command


def diverges(mutant: Any, original: Any, history: list[dict[str, Any]]) -> bool:
    """Whether the core asks for something else, as far as the history goes."""
    try:
        return list(asked(mutant, history)) != list(asked(original, history))
    except flowy.NondeterminismError:
        return True


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Execution]]:
    folder = tmp_path_factory.mktemp("original")
    return {name: [record(name, seed, folder) for seed in range(4)] for name in SOURCES}


def test_there_are_enough_mutants() -> None:
    assert len(MUTANTS) >= 100
    assert all(SOURCES[name].count(old) == 1 for name, old, _ in MUTANTS)


@pytest.mark.parametrize("name", SOURCES)
def test_the_code_itself_replays_clean(
    name: str, histories: dict[str, list[Execution]], tmp_path: Path
) -> None:
    factory = load(SOURCES[name], name, tmp_path)
    for execution in histories[name]:
        found = swf.replay(execution.events, worker(factory, name))
        assert found.closed == "WorkflowExecutionCompleted"
        assert found == swf.replay({"events": execution.events}, factory)
        assert not diverges(factory, factory, execution.events)


@pytest.mark.parametrize(("name", "old", "new"), MUTANTS, ids=itertools.count())
def test_a_mutant_that_diverges_is_told_with_event_and_line_and_schedules_nothing(
    name: str, old: str, new: str, histories: dict[str, list[Execution]], tmp_path: Path
) -> None:
    (tmp_path / "original").mkdir()
    original = load(SOURCES[name], name, tmp_path / "original")
    mutant = load(SOURCES[name].replace(old, new), name, tmp_path)
    for execution in histories[name]:
        history = execution.events
        decider = worker(mutant, name, strict=True)
        if not diverges(mutant, original, history):
            swf.replay(history, decider)
            continue
        with pytest.raises(flowy.NondeterminismError) as caught:
            swf.replay(history, decider)
        error = caught.value
        assert 0 < error.event_id <= len(history)
        assert f"event {error.event_id}:" in str(error)
        match = re.fullmatch(r"(.*):(\d+)", error.line)
        assert match
        assert match[1] == str(tmp_path / f"{name.lower()}.py")
        assert error.line in str(error)
        last = max(e["eventId"] for e in history if e["eventType"] == "DecisionTaskStarted")
        if error.event_id <= last:
            task = {
                "workflowType": {"name": name, "version": "1"},
                "startedEventId": last,
                "workflowExecution": {"workflowId": "w", "runId": "run-1"},
                "previousStartedEventId": 0,
                "events": history[:last],
            }
            with pytest.raises(flowy.NondeterminismError, match="Nothing was scheduled"):
                decider.decide(task)
