"""Traces of real runs on the local engine.

Owns: that a trace is what the run did: its tasks, what went where, when and by whom. `test_trace` has
what is made of one.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import programs as p
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from oracle import Oracle, answer, nodes_in

import flowy
from flowy import LocalWorkflow, Retry, UsageError
from flowy.trace import Trace


class Workflow:
    def __init__(self, f: Any, g: Any) -> None:
        self.f, self.g = f, g


def add(*xs: Any) -> int:
    return sum(add(*x) if isinstance(x, (list, tuple)) else x for x in xs)


def nap(seconds: float, *_: Any) -> int:
    time.sleep(seconds)
    return 1


def meet(here: Path, me: int) -> int:
    """Runs until another one runs."""
    (here / str(me)).touch()
    while len(list(here.iterdir())) < 2:
        time.sleep(0.001)
    return 1


def traced(code: Any, f: Any = add, g: Any = add, executor: Any = "inline", **options: Any) -> Trace:
    """The trace of a workflow whose code is `code(f, g)`."""

    class Made(Workflow):
        def __call__(self) -> Any:
            return code(self.f, self.g)

    w = LocalWorkflow(Made, 2, executor=executor)
    w.conf_activity("f", f, **options)
    w.conf_activity("g", g)
    try:
        run(w)
    finally:
        trace = w.trace
        assert trace is not None
        check(trace)
    return trace


def run(w: LocalWorkflow, *args: Any) -> Any:
    return w.run(*args, _trace="t.json")


@pytest.fixture(autouse=True)
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "t.json"


def check(trace: Trace) -> None:
    """What holds of every trace."""
    for task in trace:
        assert all(0 <= source < task.number for source in task.depends_on)
        assert -1 <= task.after < task.number
        if task.outcome == "completed" and task.kind == "activity":
            assert task.ready <= task.sent + 1e-3
            assert task.sent <= task.started + 1e-3 <= task.ended + 2e-3
            assert task.worker > 0
            for source in task.depends_on:
                if trace[source].outcome == "completed":
                    assert trace[source].ended <= task.started + 1e-3
    again = trace.columns
    assert len(again.first) == len(trace) + 1


def graph(trace: Trace) -> dict[str, set[str]]:
    return {task.key: {trace[source].key for source in task.depends_on} for task in trace}


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_results_among_arguments_are_dependencies(executor: str) -> None:
    def code(f: Any, g: Any) -> Any:
        a, b = f(1), f(2)
        c = g(a, [b, (a,)])
        flowy.wait(c)
        return g(a, c)  # known by now

    trace = traced(code, executor=executor)
    assert graph(trace) == {
        "f-0-0": set(),
        "f-1-0": set(),
        "g-0-0": {"f-0-0", "f-1-0"},
        "g-1-0": {"f-0-0", "g-0-0"},
    }
    assert trace[3].after == 2
    assert trace[2].after == -1
    assert trace[0].value == "1"
    assert {task.outcome for task in trace} == {"completed"}
    assert trace.workers == (1 if executor == "inline" else 2)


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_members_of_maps_are_tasks(executor: str) -> None:
    def code(f: Any, g: Any) -> Any:
        many = flowy.map(f, range(5))
        pairs = flowy.map(g, [many[0], 7, many[1]])
        return g(many, pairs)

    found = graph(traced(code, executor=executor))
    assert found["g-0.0-0"] == {"f-0.0-0"}
    assert found["g-0.1-0"] == set()
    assert found["g-0.2-0"] == {"f-0.1-0"}
    assert found["g-1-0"] == {f"f-0.{i}-0" for i in range(5)} | {f"g-0.{i}-0" for i in range(3)}
    assert len(found) == 9


def test_first_and_reductions_stand_for_what_they_took() -> None:
    def code(f: Any, g: Any) -> Any:
        a, b = f(1), f(2)
        one = flowy.first([a, b])
        whole = flowy.parallel_reduce(f, [f(i) for i in range(3)])
        plain = flowy.parallel_reduce(lambda x, y: x + y, [a, b])
        return g(one), g(whole), g(plain)

    found = graph(traced(code))
    assert found["g-0-0"] == {"f-0-0"}
    (last,) = found["g-1-0"]
    assert found[last]
    assert all(found[last])
    assert len(found[last]) == 2
    assert found["g-2-0"] == {"f-0-0", "f-1-0"}


def test_times_are_those_of_each_task(tmp_path: Path) -> None:
    here = tmp_path / "meeting"
    here.mkdir()

    def code(f: Any, g: Any) -> Any:
        a, b = f(here, 1), f(here, 2)
        return g(0.02, a, b)

    trace = traced(code, meet, nap, "processes")
    a, b, c = trace
    assert c.seconds >= 0.019
    assert a.worker != b.worker
    assert max(a.started, b.started) < min(a.ended, b.ended)
    assert trace.critical_path().tasks[-1].key == "g-0-0"
    one, two = trace.predict([1, 2])
    assert one.seconds == pytest.approx(a.seconds + b.seconds + c.seconds)
    assert two.seconds == pytest.approx(max(a.seconds, b.seconds) + c.seconds)


def test_short_tasks_of_one_message_follow_each_other() -> None:
    trace = traced(lambda f, g: [x + 0 for x in flowy.map(f, range(3000))], executor="processes")
    assert len(trace) == 3000
    by_worker: dict[int, float] = {}
    for task in sorted(trace, key=lambda t: t.started):
        assert task.started >= by_worker.get(task.worker, 0.0) - 1e-3
        by_worker[task.worker] = task.ended
    assert trace.nbytes <= 64 * len(trace)
    known = sum(row.total for row in trace.summary())
    assert known > 3000 * 10e-9, "the times of short tasks add up, whatever each is rounded to"


def test_failures_and_retries() -> None:
    def fails(x: int) -> int:
        raise ValueError(f"no {x}")

    def code(f: Any, g: Any) -> Any:
        a = f(1)
        b = g(a)
        try:
            return b + 0
        except flowy.TaskError:
            return 0

    trace = traced(code, f=fails, retry=Retry(attempts=2, delay=0))
    a, b = trace
    assert (a.outcome, a.attempts, a.key) == ("failed", 2, "f-0-1")
    assert "no 1" in a.error
    assert (b.outcome, b.depends_on) == ("failed", (0,))
    assert b.started != b.started


def test_sub_workflows_have_their_own_runs(tmp_path: Path) -> None:
    class Inner:
        def __init__(self, f: Any) -> None:
            self.f = f

        def __call__(self, x: int) -> Any:
            return self.f(self.f(x))

    class Outer:
        def __init__(self, sub: Any, f: Any) -> None:
            self.sub, self.f = sub, f

        def __call__(self) -> Any:
            return self.f(self.sub(1), self.sub(2))

    inner = LocalWorkflow(Inner)
    inner.conf_activity("f", add)
    w = LocalWorkflow(Outer, 2)
    w.conf_workflow("sub", inner)
    w.conf_activity("f", add)
    assert run(w) == 3
    trace = w.trace
    assert trace is not None
    check(trace)
    assert [run.parent for run in trace.runs] == [-1, 0, 1]
    assert [task.kind for task in trace][:3] == ["workflow", "workflow", "activity"]
    for task in trace:
        if task.run:
            assert trace[task.parent].ended >= task.ended
            assert trace[task.parent].started <= task.started
    assert Trace.load(tmp_path / "t.json") == trace


def test_the_trace_of_a_failed_run_is_written(target: Path) -> None:
    def code(f: Any, g: Any) -> Any:
        flowy.wait(f(1))
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        traced(code)
    assert [task.key for task in Trace.load(target)] == ["f-0-0"]


def test_pictures_by_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w = LocalWorkflow(lambda f: lambda: f(1), executor="inline")
    w.conf_activity("f", add)
    assert w.trace is None
    assert w.run(_trace=str(tmp_path / "x.dot")) == 1
    assert "f-0-0" in (tmp_path / "x.dot").read_text()
    with pytest.raises(UsageError, match="goes by the ending"):
        w.run(_trace="x.png")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert w.run(_trace=True) == 1
    assert len(list(tmp_path.glob("flowy-*"))) == 1
    before = w.trace
    assert w.run() == 1
    assert w.trace is before


@pytest.mark.parametrize("kind", [set, frozenset])
def test_a_result_in_a_set_is_a_dependency(kind: type) -> None:
    def code(f: Any, total: Any) -> Any:
        return total([kind([f(1), f(2)])])

    w = LocalWorkflow(lambda f, total: lambda: code(f, total), executor="inline")
    w.conf_activity("f", lambda x: x)
    w.conf_activity("total", lambda sets: sum(sets[0]))
    assert run(w) == 3
    assert w.trace is not None
    assert graph(w.trace)["total-0-0"] == {"f-0-0", "f-1-0"}


@given(program=p.programs(p.Grammar(orders=False, fails=False)))
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_graph_is_that_of_the_oracle(program: p.Program) -> None:
    """What the oracle put into each call is what the trace says that the task depends on.

    Reductions and sets are left out: there the oracle puts values of what is known in place of nodes.
    """
    assume(not re.search(r"Reduce\(|kind='(frozen)?set'", repr(program)))
    oracle = Oracle(program, (), {})
    running = oracle.start()
    while not oracle.ended:
        command = running.pop(0)
        running += oracle.feed(answer(program, command))
    expected = {
        node.key: {source.key for source in nodes_in(node.call)} for node in oracle.nodes if node.call
    }
    assume(all("@" not in key and key for sources in expected.values() for key in sources))
    w = LocalWorkflow(p.workflow(lambda: program, sub=False), executor="inline")
    for name in ("inc", "add", "join", "flaky"):
        w.conf_activity(name, p.ACTIVITIES[name])
    assume(not any(key.startswith("sub-") for key in expected))
    try:
        run(w)
    except (ValueError, TypeError):
        pass
    assert w.trace is not None
    check(w.trace)
    found = graph(w.trace)
    assert found.keys() <= expected.keys()
    assert found == {key: expected[key] for key in found}
    event("with dependencies" if any(found.values()) else "without")
