"""No process, thread, file descriptor or /dev/shm entry is left, however a run ends.

Owns: runs that complete, fail, are abandoned, and interpreters that end in mid-run (by their own
exit, by `os._exit`, by SIGKILL), on each executor and start method.

May not know: how workers are told to go. It looks at the footprint of this process (`footprint`)
and at what descends from a script (`script`), and waits on conditions, not for times.
Its neighbour is conftest.py, which makes the same check after every test of the suite.
"""

from __future__ import annotations

import os
import signal
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import flowy

SOON = 5.0  # seconds: "a couple of seconds" on a busy machine

ENGINES: dict[str, dict[str, Any]] = {
    "inline": {"executor": "inline"},
    "threads": {"executor": "threads"},
    "spawn": {"executor": "processes", "start_method": "spawn"},
    "fork": {"executor": "processes", "start_method": "fork"},
    "ThreadPoolExecutor": {"executor": ThreadPoolExecutor},
    "ProcessPoolExecutor": {"executor": ProcessPoolExecutor},
}
OWN = ("inline", "threads", "spawn", "fork")
PROCESSES = ("spawn", "fork")


class Open:
    """A workflow that lets a function, its argument, be its code."""

    def __init__(self, do: Callable[..., Any]) -> None:
        self.do = do

    def __call__(self, body: Callable[[Open], Any]) -> Any:
        return body(self)


def do(f: Callable[..., Any], *args: Any) -> Any:
    return f(*args)


def fail(n: int) -> None:
    raise ValueError(n)


def make(kind: str) -> flowy.LocalWorkflow:
    w = flowy.LocalWorkflow(Open, activity_workers=2, **ENGINES[kind])
    w.conf_activity("do", do)
    return w


def complete(w: flowy.LocalWorkflow) -> None:
    assert w.run(lambda d: [d.do(abs, -n) for n in range(20)]) == list(range(20))


def fail_unhandled(w: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.TaskError):
        w.run(lambda d: [d.do(fail, n) for n in range(20)])


def abandon(w: flowy.LocalWorkflow) -> None:
    """The workflow's code raises while tasks wait, run, and have not been sent."""

    def body(d: Open) -> Any:
        rs = [d.do(abs, -n) for n in range(20)]
        rs.append(d.do(abs, rs[-1]))
        assert rs[0] == 0
        raise KeyError("abandoned")

    with pytest.raises(KeyError, match="abandoned"):
        w.run(body)


def return_early(w: flowy.LocalWorkflow) -> None:
    assert w.run(lambda d: [d.do(abs, n) for n in range(20)] and "early") == "early"


def misuse(w: flowy.LocalWorkflow) -> None:
    with pytest.raises(flowy.UsageError):
        w.run(lambda d: flowy.wait(flowy.signal("never")))


def restart(w: flowy.LocalWorkflow) -> None:
    def again(d: Open) -> Any:
        return flowy.restart(lambda d: d.do(abs, -2)) if d.do(abs, -1) == 1 else None

    assert w.run(again) == 2


def start(w: flowy.LocalWorkflow) -> None:
    run = w.start(lambda d: d.do(abs, -1))
    assert run.result(timeout=60) == 1


def cancel(w: flowy.LocalWorkflow) -> None:
    run = w.start(lambda d: flowy.wait(flowy.signal("never")))
    run.cancel()
    with pytest.raises(flowy.FlowyError):
        run.result(timeout=60)
    assert run.status == "cancelled"


ENDINGS = (complete, fail_unhandled, abandon, return_early, misuse, restart, start, cancel)


@pytest.mark.parametrize("end", ENDINGS, ids=lambda end: end.__name__)
@pytest.mark.parametrize("kind", ENGINES)
def test_nothing_is_left_after_a_run(
    kind: str, end: Callable[[flowy.LocalWorkflow], None], footprint: Any
) -> None:
    w = make(kind)
    left = footprint()
    end(w)
    assert left() == []


@pytest.mark.parametrize("kind", ENGINES)
def test_nothing_is_left_after_a_warm_engine(kind: str, footprint: Any) -> None:
    """Many runs, good and bad, one after another on the same workers."""
    w = make(kind)
    left = footprint()
    with w:
        for end in ENDINGS:
            end(w)
        complete(w)
    assert left() == []
    complete(w)
    assert left() == []


@pytest.mark.parametrize("kind", OWN)
def test_nothing_is_left_when_the_block_of_a_warm_engine_raises(kind: str, footprint: Any) -> None:
    left = footprint()

    def leave() -> None:
        with make(kind) as w:
            complete(w)
            raise KeyError("out of the block")

    with pytest.raises(KeyError):
        leave()
    assert left() == []


@pytest.mark.parametrize("kind", PROCESSES)
def test_nothing_is_left_when_a_busy_task_is_abandoned(
    kind: str, footprint: Any, tmp_path: Path, eventually: Any
) -> None:
    """The worker is in the middle of a long task when the run ends."""
    began = tmp_path / "began"

    def body(d: Open) -> Any:
        d.do(_begin_and_sleep, str(began))
        d.do(abs, -1) + 1
        assert eventually(began.exists)
        raise KeyError("abandoned")

    w = make(kind)
    left = footprint()
    with pytest.raises(KeyError, match="abandoned"):
        w.run(body)
    assert left() == []


def _begin_and_sleep(path: str) -> None:
    Path(path).touch()
    threading.Event().wait(60)


@pytest.mark.parametrize("kind", PROCESSES)
def test_nothing_is_left_when_workers_die(kind: str, footprint: Any) -> None:
    left = footprint()
    with make(kind) as w:
        with pytest.raises(flowy.TaskError):
            w.run(lambda d: d.do(os._exit, 3) or 1)
        complete(w)
    assert left() == []


@pytest.mark.parametrize("kind", OWN)
def test_many_runs_do_not_grow(kind: str, footprint: Any) -> None:
    with make(kind) as w:
        complete(w)
        left = footprint()
        for _ in range(30):
            complete(w)
        assert left() == []


# -- the interpreter ends ---------------------------------------------------------------------

RUN = """
    import os, sys, signal, threading, time
    import flowy

    def busy(path, how):
        open(path, 'w').close()
        if how == 'sleeping':
            time.sleep(60)
        while how == 'computing':
            pass

    class Two:
        def __init__(self, busy):
            self.busy = busy

        def __call__(self, folder, how):
            return [self.busy(f'{folder}/{n}', how) for n in range(2)]

    options = eval(sys.argv[1])
    how = sys.argv[2]
    w = flowy.LocalWorkflow(Two, activity_workers=2, **options)
    w.conf_activity('busy', busy)
    wanted = 1 if options['executor'] == 'inline' else 2

    def began():
        return len(os.listdir('.')) >= wanted
"""
START = """
    run = w.start('.', how)
    while not began():
        time.sleep(0.01)
"""
# In the main thread the run itself waits when the end comes, from another thread or from outside.
RUN_IN_MAIN = """
    def end():
        while not began():
            time.sleep(0.01)
        print('began', flush=True)
        {end}

    threading.Thread(target=end, daemon=True).start()
    w.run('.', how)
"""


def started(script: Any, code: str, kind: str, how: str = "sleeping") -> Any:
    return script("-c", textwrap.dedent(code), repr(ENGINES[kind]), how)


@pytest.mark.parametrize("kind", OWN)
def test_a_script_that_ends_well_leaves_nothing(kind: str, script: Any, eventually: Any) -> None:
    """Not even a helper process of the standard library, nor a word on stderr."""
    code = RUN + "    w.run('.', '')\n    print('done')\n    import psutil\n"
    code += "    print(psutil.Process().children(), threading.active_count())"
    run = started(script, code, kind)
    done = run.finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "done\n[] 1\n"
    assert eventually(lambda: not run.family(), SOON)


EXITS = {
    "the end of the script": ("", 0),
    "sys.exit": ("    sys.exit(7)", 7),
    "an exit with a message": ("    raise SystemExit('bye')", 1),
    "os._exit": ("    os._exit(7)", 7),
    "SIGKILL": ("    os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
    "SIGTERM": ("    os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM),
}


@pytest.mark.parametrize("how", EXITS)
@pytest.mark.parametrize("kind", OWN)
def test_an_interpreter_that_ends_in_mid_run(kind: str, how: str, script: Any, eventually: Any) -> None:
    """The run is in the background, its tasks sleep for a minute; nobody waits for them."""
    end, code = EXITS[how]
    run = started(script, RUN + START + end, kind)
    done = run.finish()
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert eventually(lambda: not run.family(), SOON), run.family()


@pytest.mark.parametrize("how", ["sleeping", "computing"])
@pytest.mark.parametrize("kind", PROCESSES)
def test_busy_workers_go_when_their_driver_is_killed(
    kind: str, how: str, script: Any, eventually: Any
) -> None:
    run = started(script, RUN + RUN_IN_MAIN.format(end="pass"), kind, how)
    assert run.process.stdout.readline() == "began\n"
    assert len(run.family()) >= 2
    run.process.kill()
    assert eventually(lambda: not run.family(), SOON), run.family()


@pytest.mark.parametrize("kind", PROCESSES)
def test_idle_warm_workers_go_when_their_driver_is_killed(
    kind: str, script: Any, eventually: Any
) -> None:
    code = RUN + "    with w:\n        w.run('.', '')\n        print('warm', flush=True)\n"
    run = started(script, code + "        time.sleep(60)", kind)
    assert run.process.stdout.readline() == "warm\n"
    assert len(run.family()) >= 1
    run.process.kill()
    assert eventually(lambda: not run.family(), SOON), run.family()


@pytest.mark.parametrize("kind", OWN)
def test_an_interrupt_ends_a_run_and_its_workers(kind: str, script: Any, eventually: Any) -> None:
    """Control-C while `run` waits: KeyboardInterrupt comes out of it, and nothing stays."""
    code = RUN + RUN_IN_MAIN.format(end="os.kill(os.getpid(), signal.SIGINT)")
    run = started(script, code, kind)
    done = run.finish()
    assert done.stdout == "began\n"
    assert done.returncode != 0
    assert "KeyboardInterrupt" in done.stderr
    assert eventually(lambda: not run.family(), SOON), run.family()


@pytest.mark.parametrize("kind", PROCESSES)
def test_an_interpreter_that_leaves_a_warm_engine(kind: str, script: Any, eventually: Any) -> None:
    """Entered and never closed."""
    run = started(script, RUN + "    w.__enter__().run('.', '')", kind)
    done = run.finish()
    assert (done.returncode, done.stderr) == (0, "")
    assert eventually(lambda: not run.family(), SOON), run.family()


@pytest.mark.parametrize("kind", PROCESSES)
def test_a_child_forked_by_the_user_does_not_hold_the_workers(
    kind: str, script: Any, eventually: Any
) -> None:
    """A process forked beside a warm engine lives on; the workers must go without it."""
    code = (
        RUN
        + """
    with w:
        w.run('.', '')
        if os.fork() == 0:
            os.close(1)
            os.close(2)
            time.sleep(60)
            os._exit(0)
    print('closed', flush=True)
    """
    )
    run = started(script, code, kind)
    done = run.finish()
    assert done.stdout == "closed\n"
    assert eventually(lambda: len(run.family()) == 1, SOON), run.family()
