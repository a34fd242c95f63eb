"""Control-C and SIGTERM: what still runs gets a moment, one word on what was done, nothing left.

Owns: the meaning of a first and a second signal, in workflow code, while bytes move, while activities
run here or there; handlers of the user's own; a warm pool after it; runs of other threads beside it.

May not know: when signals are held off. Random moments are for chaos/interrupts.py, of which
test_chaos.py runs a few; what is left when nobody catches anything is for test_leftovers.py.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import flowy
from flowy._swallowed import Again
from flowy.local import stopping
from flowy.local.interrupts import interrupts

EXECUTORS = ("inline", "threads", "processes")

PRELUDE = """
    import os, signal, sys, threading, time
    import flowy

    def quick(n):
        return n

    def signals(number, pid, ready):
        while not os.path.exists(ready):
            time.sleep(0.005)
        os.kill(pid, number)
        time.sleep(0.1)
        return 'went on'

    def sleep(path):
        open(path, 'w').close()
        time.sleep(600)

    def fail():
        raise ValueError

    class Code:
        def __init__(self, quick, signals, sleep, fail):
            self.quick, self.signals, self.sleep, self.fail = quick, signals, sleep, fail

        def __call__(self, number):
            flowy.wait([self.quick(n) for n in range(10)] + [flowy.timer(0)])
            r = self.fail()
            try:
                r + 1
            except flowy.TaskError:
                pass
            sleeping = [self.sleep('sleeps'), self.signals(int(number), os.getpid(), 'sleeps')]
            return flowy.wait(sleeping + [self.quick(r) for r in sleeping])

    w = flowy.LocalWorkflow(Code, 2, executor=sys.argv[1])
    for name in ('quick', 'signals', 'sleep', 'fail'):
        w.conf_activity(name, globals()[name])
"""


def started(script: Any, code: str, *arguments: object) -> Any:
    return script("-c", textwrap.dedent(PRELUDE) + textwrap.dedent(code), *map(str, arguments))


SUMMARY = """\
flowy: stopped by {}:
  quick: 10 done, 0 failed, 0 running when stopped, 2 not started
  signals: 1 done, 0 failed, 0 running when stopped, 0 not started
  sleep: 0 done, 0 failed, 1 running when stopped, 0 not started
  fail: 0 done, 1 failed, 0 running when stopped, 0 not started
"""


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_ctrl_c_tells_once_what_was_done(executor: str, script: Any, eventually: Any) -> None:
    run = started(script, "w.run(sys.argv[2])", executor, int(signal.SIGINT))
    done = run.finish()
    assert done.returncode == -signal.SIGINT
    assert done.stderr.startswith(SUMMARY.format("Ctrl-C"))
    assert done.stderr.endswith("KeyboardInterrupt\n")
    assert eventually(lambda: not run.family())


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_sigterm_does_the_same_and_then_what_it_does(
    executor: str, warm: bool, script: Any, eventually: Any
) -> None:
    code = "with w:\n    w.run(sys.argv[2])" if warm else "w.run(sys.argv[2])"
    run = started(script, code, executor, int(signal.SIGTERM))
    done = run.finish()
    assert done.returncode == -signal.SIGTERM
    assert done.stderr == SUMMARY.format("SIGTERM")
    assert eventually(lambda: not run.family())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_kills_at_once(number: int, script: Any, eventually: Any) -> None:
    """Without patience the run would not end before the day does."""
    code = """
        from flowy.local import stopping
        stopping.GRACE = 1e5

        def again():
            while not stopping.interrupts.stopping:
                time.sleep(0.005)
            os.kill(os.getpid(), int(sys.argv[2]))

        threading.Thread(target=again, daemon=True).start()
        w.run(sys.argv[2])
    """
    run = started(script, code, "processes", int(number))
    done = run.finish()
    assert done.returncode == -number
    assert "1 running when stopped" in done.stderr
    assert eventually(lambda: not run.family())


def test_another_sigterm_does_not_keep_the_end_from_tidying_up(script: Any, tmp_path: Path) -> None:
    """It comes when the workers are gone: nobody else would."""
    code = """
        from flowy.local import large, segments
        segments.MEMORY = sys.argv[3]
        close = large.Store.close

        def once_more(store):
            os.kill(os.getpid(), signal.SIGTERM)
            close(store)

        large.Store.close = once_more
        with w:
            w.run(sys.argv[2])
    """
    memory = tmp_path / "memory"
    memory.mkdir()
    done = started(script, code, "processes", int(signal.SIGTERM), memory).finish()
    assert done.returncode == -signal.SIGTERM
    assert not list(memory.iterdir())


def test_a_handler_of_the_user_is_the_users(script: Any) -> None:
    """One that does not raise only hears of it; the run goes on."""
    code = """
        def handler(number, frame):
            print('heard', signal.Signals(number).name, flush=True)

        signal.signal(signal.SIGINT, handler)
        signal.signal(signal.SIGTERM, handler)

        def code(quick, signals, **more):
            def run():
                open('ready', 'w').close()
                for number in (signal.SIGINT, signal.SIGTERM) * 3:
                    print(signals(int(number), os.getpid(), 'ready'), flush=True)
                return [quick(n) for n in range(3)]
            return run

        w = flowy.LocalWorkflow(code, 2, executor=sys.argv[1])
        for name in ('quick', 'signals', 'sleep', 'fail'):
            w.conf_activity(name, globals()[name])
        print(w.run())
        assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM) is handler
    """
    for executor in EXECUTORS:
        done = started(script, code, executor).finish()
        heard = ["heard SIGINT", "went on", "heard SIGTERM", "went on"] * 3
        assert done.stdout.splitlines() == [*heard, "[0, 1, 2]"]
        assert (done.returncode, done.stderr) == (0, "")


# -- in this process ----------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """No patience with tasks that don't end."""
    monkeypatch.setattr(stopping, "GRACE", 0.05)


@pytest.fixture(autouse=True)
def handlers_are_given_back() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    yield
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert not interrupts.here()


class Open:
    """A workflow that lets a function, its argument, be its code."""

    def __init__(self, do: Callable[..., Any]) -> None:
        self.do = do

    def __call__(self, body: Callable[[Callable[..., Any]], Any]) -> Any:
        return body(self.do)


def do(f: Callable[..., Any], *args: Any) -> Any:
    return f(*args)


def begin_and_sleep(path: str) -> None:
    Path(path).touch()
    time.sleep(600)


def interrupt_when(path: Path) -> None:
    """Interrupt this process once the file is there."""

    def watch() -> None:
        while not path.exists():
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    path.unlink(missing_ok=True)
    threading.Thread(target=watch, daemon=True).start()


def make(executor: str = "processes") -> flowy.LocalWorkflow:
    w = flowy.LocalWorkflow(Open, 2, executor=executor)
    w.conf_activity("do", do)
    return w


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_warm_pool_is_whole_after_it(method: Any, tmp_path: Path) -> None:
    """Workers whose tasks did not end are others now; the rest is as it was."""

    def stuck(do: Any, pid: Any) -> Any:
        interrupt_when(path)
        return flowy.wait(do(begin_and_sleep, str(path)))

    path = tmp_path / "began"
    w = flowy.LocalWorkflow(Two, 2, start_method=method)
    w.conf_activity("do", do)
    w.conf_activity("pid", nap_and_tell)
    with w:
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                w.run(stuck)
            assert w.run(lambda do, pid: [do(abs, -n) for n in range(50)]) == list(range(50))
            assert len(set(w.run(lambda do, pid: flowy.wait([pid() for _ in range(8)])))) == 2


class Two:
    def __init__(self, do: Callable[..., Any], pid: Callable[..., Any]) -> None:
        self.do, self.pid = do, pid

    def __call__(self, body: Callable[..., Any]) -> Any:
        return body(self.do, self.pid)


def nap_and_tell() -> int:
    time.sleep(0.05)
    return os.getpid()


def test_tasks_that_end_in_time_are_counted_and_their_workers_stay(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begun, path = tmp_path / "begun", tmp_path / "done"

    def body(do: Any) -> Any:
        interrupt_when(begun)
        return flowy.wait(do(_end_soon, str(begun), str(path)))

    with make() as w:
        pids = set(w.run(lambda do: [do(os.getpid) for _ in range(100)]))
        with pytest.raises(KeyboardInterrupt):
            w.run(body)
        assert path.exists()
        assert pids <= {worker.pid for worker in w._executor._workers}  # type: ignore[union-attr]
    assert capfd.readouterr().err == (
        "flowy: stopped by Ctrl-C:\n  do: 1 done, 0 failed, 0 running when stopped, 0 not started\n"
    )


def _end_soon(begun: str, path: str) -> None:
    Path(begun).touch()
    time.sleep(0.3)
    Path(path).touch()


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("executor", EXECUTORS)
def test_workflow_code_is_interrupted_where_it_is(
    executor: str, capfd: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def body(do: Any) -> Any:
        do(abs, -1) + 1
        try:
            signal.raise_signal(signal.SIGINT)
            seen.append("after")
        except KeyboardInterrupt:
            seen.append("caught")
            return "caught"
        finally:
            seen.append("finally")

    with make(executor) as w:
        assert w.run(body) == "caught"
        assert seen == ["caught", "finally"]
        assert capfd.readouterr().err == ""
        with pytest.raises(KeyboardInterrupt):
            w.run(lambda do: signal.raise_signal(signal.SIGINT))
        assert w.run(lambda do: do(abs, -3)) == 3


@pytest.mark.usefixtures("short")
def test_code_that_only_calls_is_interrupted_too() -> None:
    """It never waits; flowy's own code, which moves bytes meanwhile, is on its way most of the time."""

    def body(do: Any) -> None:
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        while True:
            do(abs, -1)

    with make() as w:
        with pytest.raises(KeyboardInterrupt):
            w.run(body)
        assert w.run(lambda do: do(abs, -3)) == 3


class Raises:
    """What raises SIGINT as soon as it is dropped; a cycle also when the collector finds it."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)


def in_a_finalizer() -> object:
    return Raises()


def in_a_callback_of_a_reference() -> object:
    dropped = {signal.SIGINT}
    return weakref.ref(dropped, lambda _: signal.raise_signal(signal.SIGINT))


def in_a_callback_of_the_collector() -> object:
    def callback(phase: str, info: dict[str, int]) -> None:
        gc.callbacks.remove(callback)
        signal.raise_signal(signal.SIGINT)

    gc.callbacks.append(callback)
    return gc.collect()


def in_two_finalizers() -> object:
    class Outer:
        def __del__(self) -> None:
            Raises()
            seen.append("the outer one went on")

    seen: list[str] = []
    return Outer()


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "happen",
    [
        in_a_finalizer,
        in_a_callback_of_a_reference,
        in_a_callback_of_the_collector,
        in_two_finalizers,
    ],
)
def test_a_signal_that_python_swallows_comes_again(
    happen: Callable[[], object], capfd: pytest.CaptureFixture[str]
) -> None:
    """It takes effect in the code that was interrupted, though that never calls flowy."""

    def body(do: Any) -> str:
        kept = happen()
        del kept
        for _ in range(10):
            pass
        return "never interrupted"

    with make() as w:
        with pytest.raises(KeyboardInterrupt):
            w.run(body)
        assert w.run(lambda do: do(abs, -3)) == 3
    assert "ignored" not in capfd.readouterr().err
    assert not isinstance(sys.unraisablehook, Again)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_other_exceptions_of_finalizers_go_where_they_went(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __del__(self) -> None:
            raise KeyboardInterrupt("of its own")

    heard: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: heard.append(str(found.exc_value)))

    def body(do: Any) -> int:
        Broken()
        return 3

    with make("inline") as w:
        assert w.run(body) == 3
    assert heard == ["of its own"]


@pytest.mark.usefixtures("short")
def test_a_sub_workflow_is_stopped_with_all_above_it(capfd: pytest.CaptureFixture[str]) -> None:
    ended: list[str] = []

    def inner(do: Any) -> Any:
        def body() -> Any:
            do(abs, -1) + 1
            signal.raise_signal(signal.SIGINT)

        return body

    def outer(inner: Any, do: Any) -> Any:
        def body() -> Any:
            do(abs, -2) + 1
            try:
                return inner() + 1
            finally:
                ended.append("outer")

        return body

    below = flowy.LocalWorkflow(inner)
    below.conf_activity("do", do)
    w = flowy.LocalWorkflow(outer, 2)
    w.conf_activity("do", do)
    w.conf_workflow("inner", below)
    with pytest.raises(KeyboardInterrupt):
        w.run()
    assert ended == ["outer"]
    assert capfd.readouterr().err == (
        "flowy: stopped by Ctrl-C:\n"
        "  do: 1 done, 0 failed, 0 running when stopped, 0 not started\n"
        "  inner: 0 done, 0 failed, 1 running when stopped, 0 not started\n"
    )


def test_an_inline_activity_is_interrupted_where_it_is() -> None:
    began = time.monotonic()
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        make("inline").run(lambda do: do(time.sleep, 600) or 1)
    assert time.monotonic() - began < 60


@pytest.mark.usefixtures("short")
def test_a_run_of_another_thread_goes_on_beside_it(tmp_path: Path, eventually: Any) -> None:
    """It shares the workers; its tasks that were lost with one run again."""

    def slowly(do: Any) -> Any:
        return flowy.wait([do(_tick, str(tmp_path), n) for n in range(40)])

    def stuck(do: Any) -> Any:
        path = tmp_path / "began"
        interrupt_when(path)
        return flowy.wait(do(begin_and_sleep, str(path)))

    with make() as w:
        run = w.start(slowly)
        assert eventually(lambda: list(tmp_path.glob("tick-*")))
        with pytest.raises(KeyboardInterrupt):
            w.run(stuck)
        assert run.result(timeout=60) == list(range(40))


def _tick(folder: str, n: int) -> int:
    Path(folder, f"tick-{n}").touch()
    time.sleep(0.02)
    return n


def test_ctrl_c_between_runs_closes_a_warm_engine() -> None:
    with pytest.raises(KeyboardInterrupt), make() as w:
        w.run(lambda do: do(abs, -1))
        signal.raise_signal(signal.SIGINT)


def test_a_fork_of_the_user_leaves_the_workers_alone() -> None:
    with make() as w:
        assert w.run(lambda do: do(abs, -1)) == 1
        pid = os.fork()
        if pid == 0:
            w.__exit__(None, None, None)
            os._exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
        pids = {worker.pid for worker in w._executor._workers}  # type: ignore[union-attr]
        assert set(w.run(lambda do: [do(os.getpid) for _ in range(20)])) <= pids


def test_an_exit_with_runs_in_the_background_leaves_no_shared_memory(
    script: Any, eventually: Any
) -> None:
    """The fixture of all tests looks at /dev/shm after this one."""
    code = """
        import re
        def large(n):
            return bytes(n)
        def hold(path):
            open(path, 'w').close()
            re.match(r'(a+)+$', 'a' * 60 + 'b')
        w = flowy.LocalWorkflow(lambda large, hold: lambda: [hold(str(i)) for i in range(2)] + [
            large(1 << 20) for _ in range(20)], 2)
        w.conf_activity('large', large)
        w.conf_activity('hold', hold)
        w.start()
        while not (os.path.exists('0') and os.path.exists('1')):
            time.sleep(0.01)
    """
    run = started(script, code, "processes")
    done = run.finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert eventually(lambda: not run.family())
