"""The local engine beyond the laws: timers, cancels, signals, threads, executors, restarts.

Owns: what only an engine does: it waits for time and for other threads, and shares its workers.

May not know: pipes and processes (`test_leftovers`), misuse (`test_misuse`).
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import flowy
from flowy.local.pool import Pool

Body = Callable[..., Any]
EXECUTORS = ["inline", "threads", "processes"]


def inc(x: int) -> int:
    return x + 1


def add(x: int, y: int) -> int:
    return x + y


def fail(x: Any) -> Any:
    raise ValueError(x)


class Calls:
    """Hands its dependencies to the function that is its input."""

    def __init__(self, inc: Any, add: Any, fail: Any) -> None:
        self.inc = inc
        self.add = add
        self.fail = fail

    def __call__(self, body: Body) -> Any:
        return body(self)


def engine(executor: Any, **options: Any) -> flowy.LocalWorkflow:
    w = flowy.LocalWorkflow(Calls, 2, executor=executor, **options)
    w.conf_activity("inc", inc)
    w.conf_activity("add", add)
    w.conf_activity("fail", fail)
    return w


@pytest.fixture(params=EXECUTORS)
def warm(request: pytest.FixtureRequest) -> Iterator[flowy.LocalWorkflow]:
    with engine(request.param) as w:
        yield w


def test_timers_fire_in_their_order(warm: flowy.LocalWorkflow) -> None:
    def body(d: Calls) -> Any:
        late, soon = flowy.timer(0.05), flowy.timer(0.0)
        order = [repr(r) for r in flowy.finish_order(late, soon) if flowy.wait(r) is None]
        assert "None" in repr(soon)
        return flowy.wait([late, soon]), len(order)

    assert warm.run(body) == ([None, None], 2)


def test_a_cancelled_timer_leaves_its_place_alone(warm: flowy.LocalWorkflow) -> None:
    """Its node is not taken by a task, which the timer would then finish when its time comes."""

    def body(d: Calls) -> Any:
        timer = flowy.timer(0.02)
        flowy.cancel(timer)
        with pytest.raises(flowy.TaskCancelled):
            flowy.wait(timer)
        del timer
        waits = flowy.timer(0.1)
        values: list[int] = []
        while not values or len(values) < 30:
            values.append(flowy.wait(d.inc(len(values))))
        flowy.wait(waits)
        return values

    assert warm.run(body) == list(range(1, 31))


def test_cancelling_a_call(warm: flowy.LocalWorkflow) -> None:
    def body(d: Calls) -> Any:
        r = d.inc(d.inc(1))
        flowy.cancel(r)
        with pytest.raises(flowy.TaskCancelled) as error:
            flowy.wait(d.add(r, 1))
        assert error.value.key == "inc-1-0"
        done = d.inc(1)
        flowy.wait(done)
        flowy.cancel(done)
        flowy.cancel(3)
        return done

    assert warm.run(body) == 2


def test_cancelling_a_sub_workflow() -> None:
    def waits() -> Body:
        def body() -> str:
            try:
                return str(flowy.wait(flowy.signal("never")))
            except flowy.CancelRequested:
                return "cleaned up"

        return body

    def factory(sub: Any) -> Body:
        def body() -> Any:
            r = sub()
            flowy.sleep(0.01)
            flowy.cancel(r)
            return r

        return body

    w = flowy.LocalWorkflow(factory, executor="inline")
    w.conf_workflow("sub", waits)
    assert w.run() == "cleaned up"


def test_signals_reach_a_run_in_the_background(warm: flowy.LocalWorkflow) -> None:
    def body(d: Calls) -> Any:
        first = flowy.signal("number")
        second = flowy.signal("number")
        return d.add(first, second)

    run = warm.start(body)
    run.signal("other")
    run.signal("number", 3)
    run.signal("number", 4)
    assert run.result(timeout=30) == 7
    assert run.status == "completed"
    with pytest.raises(flowy.UsageError, match="ended"):
        run.signal("number", 5)


def test_a_run_in_the_background_can_be_cancelled(warm: flowy.LocalWorkflow) -> None:
    def body(d: Calls) -> Any:
        try:
            return flowy.wait(flowy.signal("never"))
        finally:
            cleaned.append(flowy.wait(d.inc(1)))

    cleaned: list[int] = []
    run = warm.start(body)
    with pytest.raises(TimeoutError, match=run.id):
        run.result(timeout=0.01)
    statuses = [run.status]
    run.cancel()
    with pytest.raises(flowy.CancelRequested):
        run.result(timeout=30)
    statuses.append(run.status)
    assert statuses == ["running", "cancelled"]
    assert cleaned == [2]
    run.cancel()


def test_many_threads_share_the_workers(warm: flowy.LocalWorkflow) -> None:
    def body(d: Calls) -> Any:
        total = flowy.parallel_reduce(d.add, [d.inc(n) for n in range(100)])
        return total + flowy.wait(d.inc(0))

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        runs = [threads.submit(warm.run, body) for _ in range(24)]
        assert [run.result(timeout=60) for run in runs] == [5051] * 24


def test_progress_and_usage(warm: flowy.LocalWorkflow) -> None:
    def body(d: Calls) -> Any:
        flowy.wait([d.inc(n) for n in range(10)])
        with pytest.raises(flowy.TaskError):
            flowy.wait(d.fail(1))
        return flowy.wait(flowy.signal("go"))

    run = warm.start(body)
    expected = {"inc": (10, 10, 0), "add": (0, 0, 0), "fail": (1, 0, 1)}
    wait = threading.Event()
    while run.progress() != expected:
        assert not wait.wait(0.001)
        assert run.status == "running"
    run.signal("go", 1)
    assert run.result(timeout=30) == 1
    assert run.progress() == expected
    usage = run.usage()
    assert usage.tasks == 11
    assert usage.busy > 0
    assert usage.workers in (1, 2)


@pytest.mark.parametrize("how", ["class", "factory", "instance"])
@pytest.mark.parametrize(
    "kind", [concurrent.futures.ThreadPoolExecutor, concurrent.futures.ProcessPoolExecutor]
)
def test_executors_of_the_standard_library(kind: Any, how: str) -> None:
    def body(d: Calls) -> Any:
        with pytest.raises(flowy.TaskError, match="ValueError: no"):
            flowy.wait(d.fail("no"))
        return flowy.parallel_reduce(d.add, [d.inc(n) for n in range(50)])

    if how == "instance":
        with kind(2) as executor:
            w = engine(executor)
            assert w.run(body) == w.run(body) == 1275
            assert executor.submit(inc, 1).result() == 2
        return
    w = engine(kind if how == "class" else lambda: kind(2))
    assert w.run(body) == 1275


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def test_context_variables_of_sub_workflows_and_restarts(warm: flowy.LocalWorkflow) -> None:
    def child() -> Body:
        def body() -> str:
            seen = variable.get()
            variable.set("child's own")
            return seen

        return body

    class Parent:
        def __init__(self, child: Any) -> None:
            self.child = child

        def __call__(self, again: bool) -> Any:
            seen = variable.get()
            variable.set("parent's own")
            if again:
                return flowy.restart(False)
            return [seen, self.child(), self.child()]

    w = flowy.LocalWorkflow(Parent, executor="inline")
    w.conf_workflow("child", child)
    variable.set("caller's")
    assert w.run(False) == ["caller's", "parent's own", "parent's own"]
    assert variable.get() == "caller's"
    assert w.run(True)[1:] == ["parent's own"] * 2


def test_the_end_waits_for_what_nobody_needs_only_if_asked(warm: flowy.LocalWorkflow) -> None:
    def body(d: Calls) -> Any:
        flowy.timer(0.05)
        runs.append(d.inc.run)
        d.add(d.inc(1), d.inc(2))
        return "ended"

    runs: list[Any] = []
    assert warm.run(body) == "ended"
    assert runs.pop().progress()["add"] == (1, 0, 0)
    assert warm.run(body, _wait=True) == "ended"
    assert runs.pop().progress()["add"] == (1, 1, 0)


def test_failures_that_nobody_looked_at_are_told(
    warm: flowy.LocalWorkflow, caplog: pytest.LogCaptureFixture
) -> None:
    def body(d: Calls) -> Any:
        lost = [d.fail(n) for n in range(3)]
        seen = d.fail("seen")
        with pytest.raises(flowy.TaskError):
            flowy.wait(seen)
        while len([r for r in lost if "failed" in repr(r)]) < 3:
            flowy.wait(d.inc(1))
        return "done"

    assert warm.run(body) == "done"
    assert "3 failed tasks" in caplog.text
    assert "the first: <failure fail-" in caplog.text


def test_nested_runs_in_workflow_code(warm: flowy.LocalWorkflow) -> None:
    def inner(d: Calls) -> Any:
        return d.add(d.inc(1), d.inc(2))

    def outer(d: Calls) -> Any:
        r = d.inc(10)
        return r + warm.run(inner) + flowy.wait(d.inc(1))

    assert warm.run(outer) == 11 + 5 + 2


def test_sub_workflows_that_fail_and_restart() -> None:
    class Child:
        def __init__(self, inc: Any) -> None:
            self.inc = inc

        def __call__(self, n: int) -> Any:
            if n == 0:
                raise KeyError("zero")
            return flowy.restart(n - 2) if n > 2 else self.inc(n)

    class Parent:
        def __init__(self, child: Any) -> None:
            self.child = child

        def __call__(self) -> Any:
            good = [self.child(n) for n in (1, 3, 5)]
            with pytest.raises(flowy.TaskError, match="KeyError") as error:
                flowy.wait(self.child(0))
            assert isinstance(error.value.__cause__, KeyError)
            assert error.value.key == "child-3-0"
            return good

    child = flowy.LocalWorkflow(Child, executor="inline")
    child.conf_activity("inc", inc)
    w = flowy.LocalWorkflow(Parent, executor="threads")
    w.conf_workflow("child", child)
    assert w.run() == [2, 2, 2]


def test_a_thousand_workflows_deep() -> None:
    def factory(inc: Any, deeper: Any) -> Body:
        return lambda n: inc(deeper(n - 1)) if n else inc(0)

    w = flowy.LocalWorkflow(factory, executor="inline")
    w.conf_activity("inc", inc)
    w.conf_workflow("deeper", w)
    assert w.run(1000) == 1001


class Liar:
    """Pickles well, and raises when it is unpickled."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


def lie(n: int) -> Any:
    return Liar() if n == 7 else n


@pytest.mark.parametrize("executor", ["processes", concurrent.futures.ProcessPoolExecutor])
def test_a_value_that_cannot_be_unpickled_fails_its_own_task(executor: Any) -> None:
    def factory(lie: Any) -> Body:
        def body() -> Any:
            flowy.wait([lie(0) for _ in range(500)])  # now they travel together
            failed = []
            for n in range(200):
                try:
                    assert flowy.wait(lie(n)) == n
                except flowy.TaskUsageError as error:
                    failed.append((n, error.key, "can't be unpickled" in str(error)))
            results = [lie(n) for n in range(200)]
            for n, r in enumerate(results):
                try:
                    assert flowy.wait(r) == n
                except flowy.TaskUsageError as error:
                    failed.append((n, error.key, "can't be unpickled" in str(error)))
            return failed

        return body

    w = flowy.LocalWorkflow(factory, 1, executor=executor)
    w.conf_activity("lie", lie)
    assert w.run() == [(7, "lie-507-0", True), (7, "lie-707-0", True)]


def test_a_timer_longer_than_any_wait(warm: flowy.LocalWorkflow) -> None:
    def body(d: Calls) -> Any:
        return flowy.wait(flowy.first(flowy.timer(1e12), d.inc(1)))

    assert warm.run(body) == 2


def die_with_a_child(path: str) -> str:
    """Dies the first time, and leaves a process behind that holds the worker's pipes."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "second time"
    child = os.fork()
    if child == 0:
        os.setsid()  # what stays in the worker's group goes with it
        with open(path, "w") as file:
            file.write(str(os.getpid()))
        signal.pause()
    while not os.path.getsize(path):
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def test_a_worker_that_dies_is_noticed_though_its_child_lives(tmp_path: Path) -> None:
    w = flowy.LocalWorkflow(lambda die: lambda path: die(path), 1)
    w.conf_activity("die", die_with_a_child)
    path = tmp_path / "child"
    try:
        assert w.run(str(path)) == "second time"
    finally:
        os.kill(int(path.read_text()), signal.SIGKILL)


def interrupt(pid: int) -> int:
    os.kill(pid, signal.SIGINT)
    return pid


@pytest.mark.parametrize("executor", EXECUTORS[1:])
def test_an_interrupt_ends_its_own_run_only(executor: str) -> None:
    def factory(interrupt: Any, inc: Any) -> Body:
        def body(interrupted: bool) -> Any:
            results = [inc(n) for n in range(300)]
            if interrupted:
                interrupt(os.getpid())
                flowy.sleep(60)
            return sum(flowy.wait(results))

        return body

    w = flowy.LocalWorkflow(factory, 2, executor=executor)
    w.conf_activity("interrupt", interrupt)
    w.conf_activity("inc", inc)
    before = signal.getsignal(signal.SIGINT)
    with w:
        for _ in range(5):
            with pytest.raises(KeyboardInterrupt):
                w.run(True)
            assert w.run(False) == sum(range(1, 301))
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("executor", ["threads", concurrent.futures.ThreadPoolExecutor])
def test_an_activity_may_run_its_own_workflow(executor: Any) -> None:
    def deeper(n: int) -> int:
        value: int = w.run(n - 1) + 1 if n else 0
        return value

    w = flowy.LocalWorkflow(lambda deeper: lambda n: deeper(n), 1, executor=executor)
    w.conf_activity("deeper", deeper)
    assert w.run(5) == 5


def test_an_error_above_many_live_sub_workflows() -> None:
    def factory(inc: Any, deeper: Any) -> Body:
        def body(n: int, root: bool = True) -> Any:
            if n == 0:
                return flowy.wait(flowy.timer(3600))
            r = deeper(n - 1, False)
            if root:
                flowy.sleep(0.01)
                raise LookupError("the user's own")
            return r

        return body

    w = flowy.LocalWorkflow(factory, executor="inline")
    w.conf_activity("inc", inc)
    w.conf_workflow("deeper", w)
    with pytest.raises(LookupError, match="the user's own"):
        w.run(2000)


@pytest.mark.parametrize("threads", [1, 3])
def test_waiting_is_not_spinning(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """While all workers are busy, drivers sleep: also with tasks ready, also with others waiting."""
    moves: list[int] = []
    move = Pool._move

    def counted(pool: Pool, timeout: float | None) -> None:
        moves.append(1)
        move(pool, timeout)

    monkeypatch.setattr(Pool, "_move", counted)
    w = flowy.LocalWorkflow(lambda nap: lambda: flowy.wait([nap(0.05) for _ in range(8)]), 2)
    w.conf_activity("nap", time.sleep)
    with w, concurrent.futures.ThreadPoolExecutor(threads) as callers:
        runs = [callers.submit(w.run) for _ in range(threads)]
        assert [run.result(timeout=60) for run in runs] == [[None] * 8] * threads
    assert len(moves) < 40 * 8 * threads


@pytest.mark.parametrize("how", ["calls", "map"])
def test_tasks_begin_while_slow_code_still_calls(how: str, tmp_path: Path) -> None:
    """Code that takes its time between calls, so that few of them come to many milliseconds."""
    began = tmp_path / "began"
    made = 0

    def inputs() -> Iterator[str]:
        nonlocal made
        while made < 1500 and not began.exists():
            made += 1
            time.sleep(0.005)
            yield str(began)

    def body(calls: Any) -> Any:
        return (
            [calls.touch(x) for x in inputs()]
            if how == "calls"
            else list(flowy.map(calls.touch, inputs()))
        )

    class Touches:
        def __init__(self, touch: Any) -> None:
            self.touch = touch

        def __call__(self) -> Any:
            return body(self)

    w = flowy.LocalWorkflow(Touches, 2)
    w.conf_activity("touch", lambda path: Path(path).touch())
    with w:
        w.run()
    assert made < 1500


@pytest.mark.parametrize("ends", ["returns", "raises", "restarts"])
def test_sub_workflows_that_end_together_with_their_parent(ends: str) -> None:
    """They are discarded with it; that they ended too is nobody's business."""

    def child(inc: Any) -> Any:
        return lambda n: int(inc(n))

    def parent(inc: Any, sub: Any) -> Any:
        def body(again: bool = True) -> Any:
            for n in range(50):
                sub(n)
            flowy.wait(flowy.first([inc(n) for n in range(3)]))  # comes along with what they wait for
            if ends == "raises":
                raise KeyError
            return flowy.restart(False) if again and ends == "restarts" else 7

        return body

    below = flowy.LocalWorkflow(child)
    w = flowy.LocalWorkflow(parent, executor="inline")
    w.conf_activity("inc", inc)
    below.conf_activity("inc", inc)
    w.conf_workflow("sub", below)
    with w:
        for _ in range(5):
            if ends == "raises":
                with pytest.raises(KeyError):
                    w.run()
            else:
                assert w.run() == 7


def test_tasks_begin_while_code_that_was_fast_calls_slowly(tmp_path: Path) -> None:
    began = tmp_path / "began"
    made = 0

    def factory(touch: Any) -> Any:
        def body(slowly: bool) -> Any:
            nonlocal made
            fast = [touch("") for _ in range(20_000)]
            while slowly and made < 1500 and not began.exists():
                made += 1
                time.sleep(0.005)
                touch(str(began))
            return fast

        return body

    w = flowy.LocalWorkflow(factory, executor="threads")
    w.conf_activity("touch", lambda path: os.close(os.open(path, os.O_CREAT)) if path else None)
    with w:
        w.run(False)  # how long a task takes is known from here on
        w.run(True)
    assert made < 1500


def test_slow_inputs_hold_nothing_up() -> None:
    """Another map's members are drawn and run meanwhile."""
    seen: list[int] = []
    late = 0

    def slow() -> Iterator[int]:
        nonlocal late
        for n in range(300):
            if n > 100:  # it was fast until here
                late += 1
                time.sleep(0.005)
                if 1000 in seen:
                    return
            yield n

    def factory(see: Any) -> Any:
        return lambda: [flowy.map(see, slow()), flowy.map(see, iter(range(1000, 1100)))]

    w = flowy.LocalWorkflow(factory, 2, executor="threads")
    w.conf_activity("see", seen.append)
    with w:
        w.run()
    assert sorted(seen)[-100:] == list(range(1000, 1100))
    assert late < 150


def test_the_handle_of_a_run_that_ends_can_be_asked_from_other_threads() -> None:
    w = flowy.LocalWorkflow(lambda inc: lambda: [inc(n) for n in range(5)], executor="inline")
    w.conf_activity("inc", inc)
    with w, concurrent.futures.ThreadPoolExecutor(3) as askers:
        for _ in range(50):
            run = w.start()

            def ask(run: flowy.Run = run) -> None:
                while run.status == "running":
                    run.progress(), run.usage()

            asked = [askers.submit(ask) for _ in range(3)]
            assert run.result() == [1, 2, 3, 4, 5]
            for each in asked:
                each.result()
            assert run.progress()["inc"].done == 5
