"""Traces of real runs on the local engine.

Owns: that a trace is what the run did: its tasks, what went where, when and by whom. `test_trace` has
what is made of one.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import programs as p
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from oracle import Oracle, answer, nodes_in

import flowy
from flowy import LocalWorkflow, Retry, UsageError
from flowy._sched import Outbox, Run
from flowy._trace import Tracer
from flowy.local.tracing import take
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
            assert task.sent <= task.started + 1e-3
            assert task.started <= task.ended
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


# ---- What a trace has beside the graph.


def line_of(marker: str) -> str:
    """Where this file has a comment, as a trace names it."""
    lines = Path(__file__).read_text().splitlines()
    return f"{__file__}:{1 + next(i for i, line in enumerate(lines) if line.endswith(f'# {marker}'))}"


def test_calls_know_their_lines() -> None:
    def code(f: Any, g: Any) -> Any:
        for i in range(3):
            f(i)  # one
            g(i)  # two
        lazy = flowy.map(f, iter(range(20)), window=4)  # three
        flowy.sleep(0)  # four
        return flowy.parallel_reduce(g, [*lazy, f(1), f(2)])  # five

    trace = traced(code)
    lines = {(task.name, task.line) for task in trace if "." not in task.key}
    assert lines >= {("f", line_of("one")), ("g", line_of("two")), ("f", line_of("five"))}
    assert {task.line for task in trace if task.kind == "timer"} == {line_of("four")}
    members = [task for task in trace if task.key.startswith("f-3.")]
    assert len(members) == 20
    assert {task.line for task in members} == {line_of("three")}


def test_reductions_made_by_events_have_no_line() -> None:
    trace = traced(lambda f, g: flowy.parallel_reduce(g, [f(1), f(2)]))
    assert [task.line for task in trace if task.name == "g"] == [""]


def test_waits_tell_where_and_whether_anything_else_was_under_way() -> None:
    def code(f: Any, g: Any) -> Any:
        for i in range(5):
            len(str(f(i)))  # in turn
        beside = [g(i) for i in range(8)]
        return flowy.wait(beside[0])  # beside

    waits = {wait.line: wait for wait in traced(code).waits()}
    alone, beside = waits[line_of("in turn")], waits[line_of("beside")]
    assert (alone.name, alone.times, alone.alone) == ("f", 5, 5)
    assert (beside.name, beside.times, beside.alone) == ("g", 1, 0)


def test_seconds_of_waits_add_up() -> None:
    trace = traced(lambda f, g: [f(0.02) + 0 for _ in range(3)], f=nap, executor="threads")
    (wait,) = trace.waits()
    assert wait.times == 3
    assert wait.seconds >= 0.06 - 1e-3
    assert wait.seconds <= trace.seconds + 1e-3


def test_timers_and_signals_are_tasks(target: Path) -> None:
    def code(f: Any, g: Any) -> Any:
        timer = flowy.timer(0.01)
        a = f(timer)
        flowy.wait(a)
        early, late = flowy.signal("early"), flowy.signal("late")
        return g(early, late)

    class Made(Workflow):
        def __call__(self) -> Any:
            return code(self.f, self.g)

    w = LocalWorkflow(Made, 1, executor="threads")
    w.conf_activity("f", lambda x: 1)
    w.conf_activity("g", add)
    run = w.start(_trace=target)
    run.signal("early", 2)
    run.signal("late", 3)
    assert run.result(20) == 5
    trace = run.trace
    assert trace is not None
    check(trace)
    assert graph(trace) == {
        "@timer-0-0": set(),
        "f-0-0": {"@timer-0-0"},
        "@signal-early-0-0": set(),
        "@signal-late-1-0": set(),
        "g-0-0": {"@signal-early-0-0", "@signal-late-1-0"},
    }
    timer = trace[0]
    assert timer.seconds >= 0.009
    assert timer.worker == 0
    assert trace.critical_path().tasks[0].key == "@timer-0-0"
    assert Trace.load(target) == trace
    assert w.trace == trace


def test_a_run_in_the_background_shows_what_was_done_so_far(tmp_path: Path) -> None:
    w = LocalWorkflow(lambda f, g: lambda: g(flowy.signal("go"), f(1) + 0), executor="threads")
    w.conf_activity("f", add)
    w.conf_activity("g", add)
    other = w.start()
    assert other.trace is None
    other.signal("go", 2)
    assert other.result(20) == 3
    run = w.start(_trace=tmp_path / "late.dot")
    while run.progress().get("f", (0, 0, 0))[1] < 1:
        time.sleep(0.001)
    trace = run.trace
    assert trace is not None
    assert "f-0-0" in graph(trace)
    run.signal("go", 1)
    assert run.result(20) == 2
    assert "g-0-0" in (tmp_path / "late.dot").read_text()
    with pytest.raises(UsageError, match="goes by the ending"):
        w.start(_trace="x.png")


def test_earlier_attempts_are_kept() -> None:
    def fails(x: int) -> int:
        raise ValueError(f"no {x}")

    def code(f: Any, g: Any) -> Any:
        try:
            return f(1) + 0
        except flowy.TaskError:
            return 0

    trace = traced(code, f=fails, executor="threads", retry=Retry(attempts=3, delay=0.01))
    (task,) = trace
    assert [(one.outcome, one.worker > 0) for one in task.earlier] == [("failed", True)] * 2
    assert all("no 1" in one.error for one in task.earlier)
    ends = [time for one in task.earlier for time in (one.sent, one.started, one.ended)]
    assert ends == sorted(ends)
    assert ends[-1] <= task.ready <= task.started
    assert task.started - task.earlier[-1].ended >= 0.009


def test_an_attempt_that_timed_out_is_kept_too() -> None:
    def code(f: Any, g: Any) -> Any:
        try:
            return f(30) + 0
        except flowy.TaskTimedout:
            return 0

    trace = traced(code, f=nap, executor="processes", retry=(0, 0), start_to_close=0.1)
    (task,) = trace
    assert (task.outcome, task.attempts) == ("timed out", 2)
    assert task.seconds >= 0.099
    assert [one.outcome for one in task.earlier] == ["timed out"]
    assert task.earlier[0].ended - task.earlier[0].started >= 0.099
    assert "0.1 s" in task.earlier[0].error


def test_sizes_are_those_of_what_travelled() -> None:
    def code(f: Any, g: Any) -> Any:
        return [f(10), f(3_000_000), g(b"x" * 500_000)]

    small, large, given = traced(code, f=bytes, g=len, executor="processes")
    assert 0 < small.argument_bytes < 200
    assert 10 <= small.result_bytes < 300
    assert large.result_bytes == pytest.approx(3_000_000, rel=0.01)
    assert given.argument_bytes == pytest.approx(500_000, rel=0.01)
    assert traced(code, f=bytes, g=len)[1].result_bytes == 0


def test_what_tracing_takes() -> None:
    """At most 64 bytes a task with one dependency, its line and sizes too."""

    def code(f: Any, g: Any) -> Any:
        x = 0
        for _ in range(2000):
            x = f(x)
        return x

    trace = traced(code)
    assert len(trace) == 2000
    assert trace.nbytes <= 64 * len(trace) + 64
    assert {task.line for task in trace} == {trace[0].line} != {""}


def in_turn(f: Any, g: Any) -> Any:
    return [f(i) + 0 for i in range(N)]


def by_turns(f: Any, g: Any) -> Any:
    return [(f(i), g(i)) for i in range(N)]


def chain(f: Any, g: Any) -> Any:
    x = 0
    for _ in range(N):
        x = f(x)
    return x


def stream(f: Any, g: Any) -> Any:
    return [g(x) for x in flowy.map(f, iter(range(N)), window=3)]


N = 600


@pytest.mark.parametrize("executor", ["inline", "processes"])
@pytest.mark.parametrize("code", [in_turn, by_turns, chain, stream])
def test_what_the_notes_take_while_a_run_goes(code: Any, executor: str) -> None:
    """At most 64 bytes a task too, in whichever order tasks are asked for and come back."""

    class Made(Workflow):
        def __call__(self) -> Any:
            return code(self.f, self.g)

    w = LocalWorkflow(Made, 2, executor=executor)
    w.conf_activity("f", add)
    w.conf_activity("g", add)
    with w:
        run = w.start(_trace="t.json")
        run.result(60)
    assert run._tracer is not None
    assert N <= len(run._tracer) <= 2 * N
    assert 0 < run._tracer.nbytes <= 64 * len(run._tracer) + 64


def test_calls_of_one_place_are_one_note() -> None:
    """Tasks that differ by their numbers only take a byte each, as single calls and in maps."""
    tracer = Tracer()
    outbox = Outbox()
    outbox.tracer = tracer

    def code(f: Any) -> Any:
        return [f(i) for i in range(N)], flowy.map(f, range(N))

    started = Run(lambda f: lambda: code(f), ["f"], outbox)
    started.traced_as = tracer.add_run("", "code", -1)
    started.start(1.0)
    assert len(tracer) == 2 * N
    assert tracer.nbytes <= 2 * N + 200
    keys = [task.key for task in take(tracer, 1)]
    assert keys == [f"f-{i}-0" for i in range(N)] + [f"f-{N}.{i}-0" for i in range(N)]
    started.close()


def test_a_chain_that_travels_whole_has_the_times_of_each() -> None:
    w = LocalWorkflow(lambda f: lambda: chain(f, f), 1)
    w.conf_activity("f", add)
    with w:
        run(w)  # from now on it is known how short they are
        run(w)
    trace = w.trace
    assert trace is not None
    check(trace)
    for before, task in itertools.pairwise(trace):
        assert before.ended <= task.started + 1e-6
        assert task.ready <= task.sent
    together = [task for task in trace if task.sent == trace[N - 1].sent]
    assert len(together) > 1, "none went along"
    assert sum(task.seconds for task in trace) <= trace.seconds


def test_members_are_in_the_order_in_which_they_were_drawn() -> None:
    """A lazy map with calls between its members, some of which wait for others."""

    def code(f: Any, g: Any) -> Any:
        first = f(0)
        lazy = flowy.map(f, iter([1, first, 3, [4], 5, first]), window=2)
        return g([g(x) for x in lazy]), g(lazy)

    trace = traced(code)
    order = [task.key for task in trace]
    assert order.index("f-1.0-0") < order.index("g-0-0") < order.index("f-1.5-0"), "drawn as it went"
    found = graph(trace)
    assert found["f-1.1-0"] == found["f-1.5-0"] == {"f-0-0"}
    assert found["f-1.0-0"] == found["f-1.3-0"] == set()
    members = [task for task in trace if task.key.startswith("f-1.")]
    assert [task.key for task in members] == [f"f-1.{i}-0" for i in range(6)]
    assert {task.outcome for task in trace} == {"completed"}
    assert [found[f"g-{i}-0"] for i in range(6)] == [{f"f-1.{i}-0"} for i in range(6)]
    assert found["g-7-0"] == {task.key for task in members}


def test_to_look_at_notes_changes_none(tmp_path: Path) -> None:
    def sometimes(x: int) -> int:
        if not (tmp_path / str(x)).exists():
            (tmp_path / str(x)).touch()
            raise ValueError(x)
        return x

    w = LocalWorkflow(lambda f: lambda: [f(i) for i in range(5)], executor="inline")
    w.conf_activity("f", sometimes, retry=Retry(attempts=2, delay=0))
    handle = w.start(_trace="t.json")
    handle.result(20)
    before, again = handle.trace, handle.trace
    assert before is not None
    assert before == again
    assert [len(task.earlier) for task in before] == [1] * 5
    assert [task.outcome for task in before] == ["completed"] * 5


def test_a_sub_workflow_that_never_began_took_no_time() -> None:
    def fails(x: int) -> int:
        raise ValueError(x)

    inner = LocalWorkflow(lambda: lambda x: x)
    w = LocalWorkflow(lambda f, sub: lambda: flowy.wait(sub(f(1))), executor="inline")
    w.conf_activity("f", fails)
    w.conf_workflow("sub", inner)
    with pytest.raises(flowy.TaskError):
        run(w)
    assert w.trace is not None
    _, sub = w.trace
    assert (sub.kind, sub.outcome, sub.seconds) == ("workflow", "failed", 0.0)


@given(program=p.programs(p.Grammar(orders=False, fails=False)))
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_graph_is_that_of_the_oracle(program: p.Program) -> None:
    """What the oracle put into each call is what the trace says that the task depends on.

    Reductions and sets are left out: there the oracle puts values of what is known in place of nodes.
    """
    program = p.without_reductions(program)
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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("way", ["run", "start"])
def test_a_full_disk_costs_no_value_and_hides_no_failure(
    way: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def half(x: int) -> float:
        if x == 3:
            raise ValueError("odd")
        return x / 2

    full = tmp_path / "full.json"
    full.symlink_to("/dev/full")
    w = LocalWorkflow(lambda half: half, executor="inline")
    w.conf_activity("half", half)

    def run(x: int) -> Any:
        return w.run(x, _trace=full) if way == "run" else w.start(x, _trace=full).result(60)

    assert run(4) == 2.0
    with pytest.raises(flowy.TaskError, match="odd"):
        run(3)
    told = [record.getMessage() for record in caplog.records if record.name == "flowy.trace"]
    assert len(told) == 2
    assert all("No space left on device" in words and str(full) in words for words in told)
    assert w.trace is not None
    assert w.trace[0].outcome == "failed"
