"""Attempts, time limits, caps and priorities, on each kind of executor.

Activities note what they do in files, a line each, because they may run in other processes.
"""

from __future__ import annotations

import contextvars
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_property import Engine, check_settled, examples

import flowy

LONG = 60.0
"""Seconds that no test waits for."""
SHORT = 0.3
"""A limit that is passed."""


def note(path: Any, text: object = "x") -> int:
    """Write a line; how many there are now."""
    with open(path, "a") as file:
        file.write(f"{text}\n")
    return len(Path(path).read_text().splitlines())


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


class All:
    """Calls the activity with each input; what became of each."""

    def __init__(self, do: Callable[..., Any]) -> None:
        self.do = do

    def __call__(self, *inputs: Any) -> list[Any]:
        results = [self.do(x) for x in inputs]
        return [outcome(result) for result in results]


def outcome(result: Any) -> Any:
    try:
        return flowy.wait(result)
    except flowy.TaskError as error:
        return error


class One:
    def __init__(self, do: Callable[..., Any]) -> None:
        self.do = do

    def __call__(self, *args: Any) -> Any:
        return self.do(*args)


def make(factory: Any, do: Callable[..., Any], executor: Any, workers: int = 2, **options: Any) -> Any:
    w = flowy.LocalWorkflow(factory, workers, executor=executor)
    w.conf_activity("do", do, **options)
    return w


def pool_of_threads(max_workers: int) -> futures.Executor:
    return futures.ThreadPoolExecutor(max_workers)


anywhere = pytest.mark.parametrize("executor", ["inline", "threads", "processes", pool_of_threads])
stoppable = pytest.mark.parametrize("executor", ["threads", "processes"])


def flaky(path: str, good_at: int) -> int:
    n = note(path)
    if n < good_at:
        raise OSError(f"attempt {n - 1}")
    return n


def hang_once(path: str) -> str:
    if note(path) == 1:
        time.sleep(LONG if os.getpid() != DRIVER else 3 * SHORT)
    return "done"


DRIVER = os.getpid()
"""In a worker process it is another: there a call may hang, as it can be killed."""


def hang(x: float) -> float:
    time.sleep(x if os.getpid() != DRIVER else min(x, 3 * SHORT))
    return x


@anywhere
def test_a_failed_task_is_tried_again(executor: Any, tmp_path: Path) -> None:
    w = make(One, flaky, executor, retry=flowy.Retry(attempts=3))
    assert w.run(str(tmp_path / "calls"), 3) == 3


@anywhere
def test_the_last_attempt_tells_its_number(executor: Any, tmp_path: Path) -> None:
    w = make(One, flaky, executor, retry=flowy.Retry(attempts=3))
    with pytest.raises(flowy.TaskError, match="attempt 2") as caught:
        w.run(str(tmp_path / "calls"), 9)
    assert (caught.value.key, caught.value.attempt) == ("do-0-2", 2)
    assert isinstance(caught.value.__cause__, OSError)
    assert len(lines(tmp_path / "calls")) == 3


@anywhere
def test_other_exceptions_are_not_tried_again(executor: Any, tmp_path: Path) -> None:
    w = make(One, flaky, executor, retry=flowy.Retry(attempts=3, on=ValueError))
    with pytest.raises(flowy.TaskError):
        w.run(str(tmp_path / "calls"), 9)
    assert len(lines(tmp_path / "calls")) == 1


def test_each_further_attempt_is_told_in_the_log(tmp_path: Path, caplog: Any) -> None:
    with caplog.at_level(logging.INFO, "flowy"):
        make(One, flaky, "inline", retry=flowy.Retry(attempts=2, delay=0.01)).run(
            str(tmp_path / "calls"), 2
        )
    assert "task do-0-0 failed: OSError: attempt 0; attempt 1 comes in 0.01 s" in caplog.text


def test_a_task_that_waits_for_its_next_attempt_holds_no_worker(tmp_path: Path) -> None:
    """The second call runs in the delay of the first, on the only worker."""

    def do(path: str, name: str) -> str:
        note(path, name)
        if name == "flaky" and lines(Path(path)).count("flaky") == 1:
            raise OSError
        return name

    class Two(One):
        def __call__(self, path: str) -> Any:
            return [self.do(path, "flaky"), self.do(path, "other")]

    w = make(Two, do, "threads", 1, retry=flowy.Retry(delay=0.1))
    assert w.run(str(tmp_path / "calls")) == ["flaky", "other"]
    assert lines(tmp_path / "calls") == ["flaky", "other", "flaky"]


def test_maps_are_tried_again_member_by_member(tmp_path: Path) -> None:
    def do(x: int) -> int:
        if note(tmp_path / str(x)) == 1 and x % 3 == 0:
            raise OSError
        return x

    class Map(One):
        def __call__(self, n: int) -> Any:
            return list(flowy.map(self.do, range(n)))

    assert make(Map, do, "processes", retry=flowy.Retry()).run(20) == list(range(20))
    assert [len(lines(tmp_path / str(x))) for x in range(20)] == [2 - (x % 3 != 0) for x in range(20)]


def test_arguments_travel_again_as_they_were(tmp_path: Path) -> None:
    def do(path: str, values: list[int]) -> int:
        values.append(0)
        if note(path) < 3:
            raise OSError
        return len(values)

    class Two(One):
        def __call__(self, path: str) -> Any:
            return self.do(path, self.do(path + "0", [1]) and [1, 2])

    w = make(Two, do, "processes", retry=flowy.Retry(), start_to_close=LONG)
    assert w.run(str(tmp_path / "calls")) == 3


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
@pytest.mark.parametrize(
    "options", [{"priority": 1}, {"schedule_to_close": LONG}, {"heartbeat": LONG, "max_concurrency": 1}]
)
def test_programs_have_their_value_whatever_options_their_activities_have(
    executor: str, options: dict[str, Any]
) -> None:
    check_settled(Engine(executor, **options), examples(25))


# time limits


@stoppable
def test_a_call_that_runs_too_long_fails_and_the_others_go_on(executor: str) -> None:
    w = make(All, hang, executor, start_to_close=SHORT)
    good, bad, other = w.run(0.01, LONG, 0.02)
    assert (good, other) == (0.01, 0.02)
    assert isinstance(bad, flowy.TaskTimedout)
    assert (bad.key, bad.timeout) == ("do-1-0", "start_to_close")


@stoppable
def test_a_time_out_is_followed_by_the_next_attempt(executor: str, tmp_path: Path) -> None:
    w = make(One, hang_once, executor, start_to_close=SHORT, retry=(0, 0.01))
    assert w.run(str(tmp_path / "calls")) == "done"
    assert len(lines(tmp_path / "calls")) == 2


def test_a_foreign_executor_is_not_waited_for(tmp_path: Path) -> None:
    w = make(All, hang, pool_of_threads, start_to_close=SHORT)
    bad, good = w.run(LONG, 0.01)
    assert isinstance(bad, flowy.TaskTimedout)
    assert good == 0.01


def start_and_hang(folder: str, *session: bool) -> None:
    """Starts a process that starts the next one, each in a session of its own or not; the last hangs."""
    code = (
        "import os, subprocess, sys, time\n"
        "folder, *sessions = sys.argv[1:]\n"
        "if sessions:\n"
        "    subprocess.Popen([sys.executable, '-c', os.environ['CODE'], folder, *sessions[1:]],\n"
        "                     start_new_session=sessions[0] == 'True')\n"
        "open(os.path.join(folder, str(os.getpid())), 'w').close()\n"
        "time.sleep(60)\n"
    )
    words = [sys.executable, "-c", code, folder, *map(str, session)]
    subprocess.run(words, env=os.environ | {"CODE": code}, check=True)


@pytest.mark.parametrize("sessions", [(), (False,), (True,), (True, True), (True, False)])
def test_a_killed_activity_takes_along_all_that_it_has_started(
    sessions: tuple[bool, ...], tmp_path: Path, eventually: Any
) -> None:
    ready = 1 + len(sessions)
    w = make(One, start_and_hang, "processes", start_to_close=LONG)
    with w:
        run = w.start(str(tmp_path), *sessions)
        assert eventually(lambda: len(list(tmp_path.iterdir())) == ready)
        run.cancel()
        with pytest.raises(flowy.CancelRequested):
            run.result(LONG)
        assert eventually(
            lambda: not any(psutil.pid_exists(int(path.name)) for path in tmp_path.iterdir())
        )


def test_inline_a_time_out_shows_when_the_call_is_over() -> None:
    (bad,) = make(All, hang, "inline", start_to_close=SHORT / 3).run(SHORT)
    assert isinstance(bad, flowy.TaskTimedout)


@stoppable
def test_a_time_out_ends_the_run_though_the_call_goes_on(executor: str) -> None:
    with pytest.raises(flowy.TaskTimedout):
        make(One, hang, executor, start_to_close=SHORT).run(LONG)


@stoppable
def test_who_waits_too_long_for_a_worker_never_starts(executor: str, tmp_path: Path) -> None:
    def do(x: int) -> int:
        note(tmp_path / "started", x)
        time.sleep(3 * SHORT)
        return x

    w = make(All, do, executor, 1, schedule_to_start=2 * SHORT)
    with w:
        while w.run(9) != [9]:
            pass  # the start of a worker counts
        before = lines(tmp_path / "started")
        first, second, third = w.run(0, 1, 2)
    assert first == 0
    for late in (second, third):
        assert isinstance(late, flowy.TaskTimedout)
        assert late.timeout == "schedule_to_start"
    assert lines(tmp_path / "started") == [*before, "0"]


def test_who_was_late_at_a_busy_worker_does_not_start_behind_it(tmp_path: Path) -> None:
    """The worker is busy with another run's task when the call is sent to it."""

    def block(path: str) -> None:
        note(path)
        while len(lines(Path(path))) < 2:
            time.sleep(0.01)

    class Late:
        def __init__(self, do: Any, block: Any) -> None:
            self.do, self.block = do, block

        def __call__(self, path: str, late: bool) -> Any:
            return outcome(self.do(path)) if late else self.block(path)

    w = flowy.LocalWorkflow(Late, 1)
    w.conf_activity("do", lambda path: note(path + "-late"), schedule_to_start=SHORT)
    w.conf_activity("block", block)
    path = tmp_path / "log"
    with w:
        other = w.start(str(path), False)
        while not lines(path):
            time.sleep(0.01)
        assert isinstance(w.run(str(path), True), flowy.TaskTimedout)
        note(path)
        other.result(LONG)
    assert not os.path.exists(f"{path}-late")


@stoppable
def test_waiting_and_running_together_have_a_limit(executor: str) -> None:
    w = make(All, hang, executor, 1, schedule_to_close=2 * SHORT)
    with w:
        while w.run(0.0) != [0.0]:
            pass  # the start of a worker counts
        first, second = w.run(0.5 * SHORT, LONG)
    assert first == 0.5 * SHORT
    assert isinstance(second, flowy.TaskTimedout)
    assert second.timeout == "schedule_to_close"


def beat_then_hang(beats: int) -> int:
    for i in range(beats):
        flowy.heartbeat({"done": i})
        time.sleep(SHORT / 4)
    time.sleep(LONG if os.getpid() != DRIVER else 3 * SHORT)
    return beats


@stoppable
def test_without_a_heartbeat_a_call_fails_with_what_it_said_last(executor: str) -> None:
    (bad,) = make(All, beat_then_hang, executor, heartbeat=SHORT).run(8)
    assert isinstance(bad, flowy.TaskTimedout)
    assert (bad.timeout, bad.details) == ("heartbeat", {"done": 7})


@anywhere
def test_with_heartbeats_a_call_may_take_longer(executor: Any) -> None:
    def do(n: int) -> int:
        for _ in range(n):
            flowy.heartbeat()
            time.sleep(SHORT / 4)
        return n

    assert make(All, do, executor, heartbeat=SHORT).run(8, 8) == [8, 8]


@stoppable
def test_the_next_attempt_goes_on_from_the_last_heartbeat(executor: str) -> None:
    def do() -> list[int]:
        done: list[int] = flowy.last_heartbeat() or []
        for i in range(len(done), 6):
            done.append(i)
            flowy.heartbeat(done)
            if i == 2:
                raise OSError
        return done

    w = make(One, do, executor, retry=flowy.Retry(attempts=2))
    assert w.run() == list(range(6))


def test_heartbeats_are_nothing_without_an_engine() -> None:
    flowy.heartbeat("x")
    assert flowy.last_heartbeat() is None


def test_details_that_cant_be_pickled_fail_their_task_only() -> None:
    def do(x: int) -> int:
        if x:
            flowy.heartbeat(threading.Lock())
        return x

    good, bad = make(All, do, "processes", heartbeat=LONG).run(0, 1)
    assert good == 0
    assert "pickle" in str(bad)


def test_a_value_whose_pickling_hangs_is_over_time_too() -> None:
    class Hangs:
        def __reduce__(self) -> Any:
            time.sleep(LONG)
            raise NotImplementedError

    inputs = [i == 15 for i in range(30)]
    got = make(All, lambda x: Hangs() if x else x, "processes", start_to_close=SHORT).run(*inputs)
    bad = got.pop(15)
    assert isinstance(bad, flowy.TaskTimedout)
    assert bad.key == "do-15-0"
    assert got == [False] * 29


class HangsInPickling:
    """An argument that can't be sent, for as long as the test lasts."""

    def __init__(self, hang: Callable[[], Any]) -> None:
        self.hang = hang

    def __reduce__(self) -> Any:
        self.hang()
        raise NotImplementedError


def loop() -> None:
    while not TEST_IS_OVER.is_set():
        pass


TEST_IS_OVER = threading.Event()


@pytest.fixture
def nothing_hangs_on() -> Iterator[None]:
    yield
    TEST_IS_OVER.set()
    for thread in threading.enumerate():
        if thread.name == "flowy-patience":
            thread.join(LONG)
    TEST_IS_OVER.clear()


@pytest.mark.usefixtures("nothing_hangs_on")
@pytest.mark.parametrize("wait", [loop, TEST_IS_OVER.wait], ids=["in a loop", "for a lock"])
def test_an_argument_whose_pickling_hangs_fails_its_task(wait: Callable[[], Any]) -> None:
    """Nothing else does: the driver goes on, and the worker never heard of it."""
    inputs: list[Any] = [[i] for i in range(10)]
    inputs[5] = HangsInPickling(wait)
    options: dict[str, Any] = {"start_to_close": 3 * SHORT, "retry": flowy.Retry(attempts=3)}
    got = make(All, lambda x: x, "processes", **options).run(*inputs)
    bad = got.pop(5)
    assert isinstance(bad, flowy.TaskTimedout)
    assert (bad.key, bad.timeout) == ("do-5-0", "start_to_close")
    assert "its arguments were not pickled within 0.9 s" in str(bad)
    assert got == [[i] for i in range(10) if i != 5]


@pytest.mark.usefixtures("nothing_hangs_on")
def test_the_first_limit_counts_for_an_argument_whose_pickling_hangs() -> None:
    w = make(All, lambda x: x, "processes", schedule_to_close=SHORT, start_to_close=LONG)
    (bad,) = w.run(HangsInPickling(TEST_IS_OVER.wait))
    assert (type(bad), bad.timeout) == (flowy.TaskTimedout, "schedule_to_close")


def test_an_argument_is_pickled_in_the_context_of_its_run() -> None:
    class Tells:
        def __reduce__(self) -> Any:
            return (str, (VARIABLE.get(),))

    VARIABLE.set("here")
    try:
        assert make(One, lambda x: x, "processes", start_to_close=LONG).run(Tells()) == "here"
    finally:
        VARIABLE.set("")


VARIABLE = contextvars.ContextVar("VARIABLE", default="")


def test_a_limit_holds_while_workflow_code_keeps_the_driver_busy(tmp_path: Path) -> None:
    """The worker is dead before the code goes on, so its last line is older than that."""

    def do(path: str) -> None:
        while True:
            note(path, time.monotonic())
            time.sleep(0.01)

    class Busy(One):
        def __call__(self, path: str) -> Any:
            result = self.do(path)
            flowy.sleep(0.01)
            while not lines(Path(path)):
                time.sleep(0.01)  # in workflow code: nothing else moves in this thread
            began = time.monotonic()
            while time.monotonic() < began + 4 * SHORT:
                time.sleep(0.01)
            self.end = time.monotonic()
            return [self.end, outcome(result)]

    end, error = make(Busy, do, "processes", start_to_close=SHORT).run(str(tmp_path / "alive"))
    assert isinstance(error, flowy.TaskTimedout)
    assert float(lines(tmp_path / "alive")[-1]) < end - SHORT


def test_a_stopped_worker_is_noticed_and_its_work_moves(tmp_path: Path) -> None:
    def do(path: str, x: int) -> int:
        if x == 1 and note(path, os.getpid()) == 1:
            os.kill(os.getpid(), signal.SIGSTOP)
        return x

    class Some(One):
        def __call__(self, path: str) -> Any:
            return [self.do(path, x) for x in range(4)]

    w = make(Some, do, "processes", heartbeat=SHORT, retry=(0, 0))
    assert w.run(str(tmp_path / "stopped")) == [0, 1, 2, 3]
    assert len(set(lines(tmp_path / "stopped"))) == 2


@pytest.mark.parametrize("year", [-1, 1])
def test_a_step_of_the_wall_clock_is_no_time(year: int, monkeypatch: Any) -> None:
    real, stepped = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + stepped[0])

    def do(x: float) -> float:
        time.sleep(x)
        return x

    class Step(One):
        def __call__(self) -> Any:
            good = self.do(SHORT)
            bad = self.do(LONG)
            flowy.wait(self.do(0))
            stepped[0] = year * 365 * 86400.0
            flowy.sleep(0.01)
            return [flowy.wait(good), outcome(bad)]

    good, bad = make(Step, do, "processes", 3, start_to_close=4 * SHORT, heartbeat=LONG).run()
    assert good == SHORT
    assert isinstance(bad, flowy.TaskTimedout)


# caps and priorities


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_no_more_run_at_a_time_than_the_cap_allows(executor: str, tmp_path: Path) -> None:
    def do(x: int) -> int:
        note(tmp_path / "calls", "in")
        time.sleep(0.005)
        note(tmp_path / "calls", "out")
        return x

    assert make(All, do, executor, 4, max_concurrency=1).run(*range(12)) == list(range(12))
    assert lines(tmp_path / "calls") == ["in", "out"] * 12


def test_the_higher_priority_goes_first(tmp_path: Path) -> None:
    class Mixed:
        def __init__(self, low: Any, plain: Any, high: Any) -> None:
            self.low, self.plain, self.high = low, plain, high

        def __call__(self) -> Any:
            return [f(i) for i in range(6) for f in (self.low, self.plain, self.high)]

    w = flowy.LocalWorkflow(Mixed, 1, executor="inline")
    for name, priority in (("low", -1), ("plain", 0), ("high", 5)):

        def do(x: int, name: str = name) -> str:
            note(tmp_path / "order", name)
            return name

        w.conf_activity(name, do, priority=priority)
    assert w.run() == ["low", "plain", "high"] * 6
    assert lines(tmp_path / "order") == ["high"] * 6 + ["plain"] * 6 + ["low"] * 6


def test_those_with_options_and_those_without_take_turns(tmp_path: Path) -> None:
    class Mixed:
        def __init__(self, plain: Any, tried: Any) -> None:
            self.plain, self.tried = plain, tried

        def __call__(self) -> Any:
            return [f(i) for f in (self.plain, self.tried) for i in range(50)]

    w = flowy.LocalWorkflow(Mixed, 1, executor="inline")
    w.conf_activity("plain", lambda x: note(tmp_path / "order", "plain"))
    w.conf_activity("tried", lambda x: note(tmp_path / "order", "tried"), retry=flowy.Retry())
    w.run()
    order = lines(tmp_path / "order")
    assert len(order) == 100
    assert {"plain", "tried"} == set(order[:50]) == set(order[-10:])


# deaths


def die_of(x: int) -> int:
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@pytest.mark.parametrize("options", [{}, {"priority": 1}, {"start_to_close": LONG}])
def test_a_task_that_kills_its_workers_fails_alone(options: dict[str, Any]) -> None:
    got = make(All, die_of, "processes", **options).run(*range(12))
    error = got.pop(3)
    assert got == [x for x in range(12) if x != 3]
    assert isinstance(error, flowy.WorkerDied)
    assert error.key == "do-3-0"
    for part in ("SIGKILL", "pid", "memory", "3 workers died", "called with (3)"):
        assert part in str(error)


def test_a_task_that_may_not_run_twice_does_not(tmp_path: Path) -> None:
    def do(x: int) -> int:
        note(tmp_path / str(x))
        return die_of(x)

    got = make(All, do, "processes", rerun_on_worker_death=False).run(*range(6))
    assert isinstance(got.pop(3), flowy.WorkerDied)
    assert got == [0, 1, 2, 4, 5]
    assert [len(lines(tmp_path / str(x))) for x in range(6)] == [1] * 6


def test_the_death_of_a_worker_uses_up_no_attempt(tmp_path: Path) -> None:
    def do(path: str) -> int:
        n = note(path)
        if n == 1:
            os._exit(3)
        if n == 2:
            raise OSError
        return n

    w = make(One, do, "processes", retry=flowy.Retry(attempts=2))
    assert w.run(str(tmp_path / "calls")) == 3


def test_arguments_that_kill_whoever_unpickles_them_fail_their_task() -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os._exit, (7,)

    for options in ({}, {"priority": 1}):
        good, bad, other = make(All, repr, "processes", **options).run(1, Bomb(), 2)
        assert (good, other) == ("1", "2")
        assert isinstance(bad, flowy.WorkerDied)
        assert "exited with code 7" in str(bad)


def test_an_activity_that_kills_whoever_loads_it_ends_the_run() -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os._exit, (7,)

        def __call__(self, x: int) -> int:
            return x

    with pytest.raises(flowy.WorkerDied, match="exited with code 7"):
        make(One, Bomb(), "processes").run(1)


@pytest.mark.parametrize("options", [{}, {"priority": 1}, {"rerun_on_worker_death": False}])
def test_workers_that_die_before_they_begin_with_a_task_are_not_its_fault(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """As when somebody kills them at random: five in a row, though three fail a task that runs."""

    class Late:
        def __reduce__(self) -> Any:
            return load_late, (str(tmp_path / "loads"), os.getpid())

        def __call__(self, x: int) -> int:
            raise NotImplementedError

    def load_late(path: str, driver: int) -> Any:
        if note(path) <= 5 and os.getpid() != driver:
            os.kill(os.getpid(), signal.SIGKILL)
        return lambda x: x + 1

    assert make(All, Late(), "processes", 1, **options).run(1, 2, 3) == [2, 3, 4]


# memory, and the end of workers that did enough


def test_a_task_that_uses_too_much_memory_fails_alone() -> None:
    def do(megabytes: int) -> int:
        data = bytearray(megabytes << 20)
        data[:: 1 << 12] = b"x" * len(data[:: 1 << 12])
        if megabytes > 100:
            time.sleep(LONG)
        return megabytes

    w = flowy.LocalWorkflow(All, 2, memory_limit=250 << 20)
    w.conf_activity("do", do)
    small, large, other = w.run(1, 400, 2)
    assert (small, other) == (1, 2)
    assert isinstance(large, flowy.WorkerDied)
    assert "memory_limit (262 MB)" in str(large)


def test_a_worker_that_keeps_much_memory_is_replaced_between_tasks() -> None:
    def do(x: int) -> int:
        import builtins

        if x == 0:
            kept = bytearray(170 << 20)
            kept[:: 1 << 12] = b"x" * len(kept[:: 1 << 12])
            builtins.kept = kept  # type: ignore[attr-defined]
            time.sleep(2 * SHORT)  # long enough to be measured
        return os.getpid()

    class InTurn(One):
        def __call__(self) -> Any:
            return [flowy.wait(self.do(x)) for x in range(3)]

    w = flowy.LocalWorkflow(InTurn, 1, memory_limit=200 << 20)
    w.conf_activity("do", do)
    first, second, third = w.run()
    assert first != second
    assert second == third


@pytest.mark.parametrize("options", [{}, {"priority": 1}])
def test_a_worker_is_replaced_after_so_many_tasks(options: dict[str, Any]) -> None:
    w = flowy.LocalWorkflow(All, 2, max_tasks_per_worker=5)
    w.conf_activity("do", lambda x: os.getpid(), **options)
    pids = w.run(*range(30))
    assert max(pids.count(pid) for pid in pids) <= 5
    assert len(set(pids)) >= 6
