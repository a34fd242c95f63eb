"""What activities log, warn and print arrives, and says where it is from.

Owns: log records and warnings from worker processes, whole lines of output, the last words of workers.

May not know: how they travel. It sees loggers of this process, and the output of scripts.
"""

from __future__ import annotations

import ctypes
import logging
import logging.handlers
import os
import sys
import tempfile
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import flowy
from flowy.local.output import LAST, Words, printable
from flowy.local.status import make_file
from flowy.local.worker import HEADER, LOG, Outgoing

PROCESSES = ("spawn", "fork")
act = logging.getLogger("act")


class Each:
    """Runs `work` once for each argument."""

    def __init__(self, work: Callable[..., Any]) -> None:
        self.work = work

    def __call__(self, *args: Any) -> Any:
        return [self.work(a) for a in args]


class Parent:
    def __init__(self, child: Callable[..., Any]) -> None:
        self.child = child

    def __call__(self, *args: Any) -> Any:
        return self.child(*args)


def make(work: Callable[..., Any], method: str = "spawn", /, **given: Any) -> flowy.LocalWorkflow:
    options: Any = {"activity_workers": 2, "start_method": method, **given}
    w = flowy.LocalWorkflow(Each, **options)
    w.conf_activity("work", work)
    return w


class Keeper(logging.Handler):
    """Keeps the records that it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def messages(self) -> list[str]:
        return sorted(record.getMessage() for record in self.records)


@pytest.fixture
def kept() -> Iterator[Keeper]:
    """What comes to the root logger from INFO on."""
    keeper, before = Keeper(), logging.root.level
    logging.root.addHandler(keeper)
    logging.root.setLevel(logging.INFO)
    yield keeper
    logging.root.setLevel(before)
    logging.root.removeHandler(keeper)


def greet(n: int) -> int:
    act.info("hello %d", n)
    return n


@pytest.mark.parametrize("method", PROCESSES)
def test_a_record_says_where_it_is_from(method: str, kept: Keeper) -> None:
    assert make(greet, method).run(*range(20)) == list(range(20))
    assert kept.messages() == sorted(f"hello {n}" for n in range(20))
    for record in kept.records:
        assert (record.name, record.levelname, record.funcName) == ("act", "INFO", "greet")
        assert record.filename == "test_logs.py"
        assert record.process != os.getpid()
        assert record.flowy_worker in (1, 2)
        assert record.flowy_attempt == 0
    assert {r.flowy_task: r.getMessage() for r in kept.records} == {
        f"work-{n}-0": f"hello {n}" for n in range(20)
    }
    assert len({record.flowy_run for record in kept.records}) == 1


def test_members_of_a_map_and_batches_are_told_apart(kept: Keeper) -> None:
    class Map:
        def __init__(self, work: Any) -> None:
            self.work = work

        def __call__(self) -> Any:
            return flowy.map(self.work, range(500))

    w = flowy.LocalWorkflow(Map, 2)
    w.conf_activity("work", greet)
    w.run()
    found = {record.flowy_task: record.getMessage() for record in kept.records}
    assert found == {f"work-0.{n}-0": f"hello {n}" for n in range(500)}


def test_the_run_is_that_of_the_handle_and_the_way_to_a_sub_workflow(kept: Keeper) -> None:
    w = flowy.LocalWorkflow(Parent, 1)
    w.conf_workflow("child", make(greet))
    run = w.start(7)
    assert run.result(60) == [7]
    (record,) = kept.records
    assert (record.flowy_run, record.flowy_task) == (f"{run.id}/child-0-0", "work-0-0")


def fail_twice(path: str) -> int:
    with open(path, "a") as file:
        file.write("x")
    act.info("tried")
    if os.path.getsize(path) < 3:
        raise ValueError("not yet")
    return 7


def test_attempts_are_told_apart(kept: Keeper, tmp_path: Path) -> None:
    w = flowy.LocalWorkflow(Each, 1)
    w.conf_activity("work", fail_twice, retry=flowy.Retry(attempts=3))
    assert w.run(str(tmp_path / "tries")) == [7]
    found = [(r.flowy_task, r.flowy_attempt) for r in kept.records if r.name == "act"]
    assert found == [("work-0-0", 0), ("work-0-1", 1), ("work-0-2", 2)]


def enabled(name: str) -> list[bool]:
    return [logging.getLogger(name).isEnabledFor(level) for level in (10, 20, 30, 40)]


@pytest.mark.parametrize("method", PROCESSES)
def test_what_the_driver_does_not_want_is_not_made(method: str, kept: Keeper) -> None:
    quiet = logging.getLogger("act.quiet")
    with make(enabled, method) as w:
        assert w.run("act") == [[False, True, True, True]]
        try:
            quiet.setLevel(logging.ERROR)
            act.setLevel(logging.DEBUG)
            assert w.run("act", "act.quiet") == [[True] * 4, [False, False, False, True]]
            logging.disable(logging.INFO)
            assert w.run("act") == [[False, False, True, True]]
        finally:
            quiet.setLevel(logging.NOTSET)
            act.setLevel(logging.NOTSET)
            logging.disable(logging.NOTSET)
        assert w.run("act", "act.quiet") == [[False, True, True, True]] * 2


def say_all(name: str) -> None:
    for level in (10, 20, 30, 40):
        logging.getLogger(name).log(level, "%d", level)


def test_a_level_is_the_least_that_comes(kept: Keeper) -> None:
    make(say_all, logs="WARNING").run("act")
    assert kept.messages() == ["30", "40"]
    make(say_all, logs=logging.ERROR).run("act")
    assert kept.messages() == ["30", "40", "40"]
    assert make(enabled, logs="ERROR").run("act") == [[False, False, False, True]]


def test_the_loggers_of_the_driver_have_the_last_word(kept: Keeper) -> None:
    def loud(n: int) -> None:
        act.setLevel(logging.DEBUG)
        act.debug("a level of its own")

    make(loud).run(1)
    assert kept.messages() == []


@pytest.mark.parametrize("method", PROCESSES)
def test_logs_may_stay_in_the_workers(method: str, kept: Keeper) -> None:
    make(greet, method, logs=False).run(1)
    assert [r for r in kept.records if r.process != os.getpid()] == []


def warn_often(n: int) -> None:
    for _ in range(3):
        warnings.warn("careful", stacklevel=1)


def test_warnings_come_once_for_each_place(kept: Keeper) -> None:
    make(warn_often, activity_workers=1).run(1, 2)
    (record,) = kept.records
    assert (record.name, record.levelname, record.flowy_task) == ("py.warnings", "WARNING", "work-0-0")
    assert "test_logs.py" in record.getMessage()
    assert "UserWarning: careful" in record.getMessage()


class Odd:
    """Pickles, but can't be loaded."""

    def __reduce__(self) -> Any:
        return int, ("not a number",)


def log_oddly(n: int) -> None:
    odd = threading.Lock()
    try:
        raise ValueError("deep")
    except ValueError:
        act.exception("%s failed", Odd(), extra={"lock": odd, "odd": Odd(), "set": {1}, "n": n})
    act.info("x" * (5 << 20), extra={"huge": ["y" * (5 << 20)]})
    act.info("bad %d", "arguments")
    act.info("still here", stack_info=True)


def test_odd_and_huge_records_come_as_far_as_they_can(kept: Keeper) -> None:
    make(log_oddly).run(3)
    failed, huge, here = kept.records
    assert failed.getMessage().endswith("Odd object at " + failed.getMessage().split()[-2] + " failed")
    assert "in log_oddly\n" in logging.Formatter().format(failed)
    assert "ValueError: deep" in failed.exc_text
    assert (failed.set, failed.n) == ({1}, 3)
    assert "lock" in failed.lock
    assert "can't be unpickled" in failed.odd
    assert len(huge.getMessage()) == 5 << 20
    assert huge.huge.startswith("['yyy")
    assert "log_oddly" in here.stack_info


def go_on(folder: str) -> None:
    def later() -> None:
        act.info("beside")
        while not Path(folder, "over").exists():
            time.sleep(0.01)
        act.info("later")
        Path(folder, "said").touch()

    act.info("now")
    threading.Thread(target=later).start()


def test_records_between_calls_come_without_a_task(
    kept: Keeper, tmp_path: Path, eventually: Any
) -> None:
    with make(go_on, activity_workers=1) as w:
        w.run(str(tmp_path))
        (tmp_path / "over").touch()
        assert eventually((tmp_path / "said").exists)
    found = {r.getMessage(): (r.flowy_task, r.flowy_attempt, r.flowy_worker) for r in kept.records}
    assert found["now"] == ("work-0-0", 0, 1)
    assert found["later"] == (None, None, 1)
    assert "beside" in found


def flood(n: int) -> None:
    def talk() -> None:
        for i in range(15):
            act.info("%d %s", i, "x" * 100_000)

    threading.Thread(target=talk).start()


def test_a_worker_with_more_to_say_than_a_pipe_holds_can_leave(kept: Keeper) -> None:
    with make(flood, activity_workers=1) as w:
        w.run(1)
    assert [int(r.getMessage().split()[0]) for r in kept.records] == list(range(15))


def say_and_stay(folder: str) -> None:
    act.info("said")
    Path(folder, "said").touch()
    threading.Event().wait(60)


def test_the_records_of_a_task_that_is_left_running_come(
    kept: Keeper, tmp_path: Path, eventually: Any
) -> None:
    class Leave:
        def __init__(self, work: Any) -> None:
            self.work = work

        def __call__(self) -> None:
            self.work(str(tmp_path))
            first = flowy.timer(0)
            flowy.wait(first)
            assert eventually((tmp_path / "said").exists)

    w = flowy.LocalWorkflow(Leave, 1)
    w.conf_activity("work", say_and_stay)
    w.run()
    assert [r.flowy_task for r in kept.records if r.getMessage() == "said"] == ["work-0-0"]


@pytest.mark.parametrize("how", ["filter", "handler", "factory"])
def test_logging_that_raises_does_not_harm_the_run(
    how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("broken logging")

    monkeypatch.setattr(act, "filters", [broken] if how == "filter" else [])
    handler = Keeper()
    handler.emit = broken  # type: ignore[method-assign]
    monkeypatch.setattr(act, "handlers", [handler] if how == "handler" else [])
    monkeypatch.setattr(act, "level", logging.INFO)
    if how == "factory":
        monkeypatch.setattr(logging, "_logRecordFactory", broken)
    assert make(greet).run(1, 2) == [1, 2]
    assert capsys.readouterr().err.count("broken logging") >= 2


def configure(path: str) -> None:
    logging.basicConfig(level=logging.DEBUG, filename=path + "/root")
    handler = logging.FileHandler(path + "/own")
    act.addHandler(handler)
    act.info("to both")
    act.removeHandler(handler)
    handler.close()


def test_an_activity_may_have_handlers_of_its_own(kept: Keeper, tmp_path: Path) -> None:
    make(configure).run(str(tmp_path))
    assert kept.messages() == ["to both"]
    assert (tmp_path / "own").read_text() == "to both\n"


def configure_by_force(path: str) -> None:
    logging.basicConfig(force=True, level=logging.DEBUG, filename=path + "/root")
    act.debug("mine")


def test_an_activity_may_take_logging_over(kept: Keeper, tmp_path: Path) -> None:
    make(configure_by_force).run(str(tmp_path))
    assert kept.messages() == []
    assert (tmp_path / "root").read_text() == "DEBUG:act:mine\n"


def log_from_fork(n: int) -> int:
    pid = os.fork()
    if pid == 0:
        act.warning("from a fork")
        flowy.heartbeat("from a fork")
        return -1  # comes back from the activity, which only its parent should
    os.waitpid(pid, 0)
    act.warning("from the worker")
    return n


def test_a_process_that_an_activity_forked_leaves_the_pipe_alone(kept: Keeper) -> None:
    assert make(log_from_fork).run(1, 2, 3) == [1, 2, 3]
    assert kept.messages() == ["from the worker"] * 3


@pytest.mark.parametrize("wrong", [{"logs": "LOUD"}, {"logs": 1.5}, {"logs": None}, {"output": "x"}])
def test_wrong_options_are_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(flowy.UsageError, match=next(iter(wrong))):
        flowy.LocalWorkflow(Each, **wrong)


def test_a_record_made_while_a_message_is_written_comes_after_it() -> None:
    """A finalizer may log at any moment, in the thread that is writing too."""
    reading, writing = os.pipe()
    outgoing = Outgoing(writing)
    write = outgoing._write

    def write_and_log(data: bytes) -> None:
        outgoing._write = write  # type: ignore[method-assign]
        write(data[:10])
        outgoing.send(LOG, 2, b"record")
        write(data[10:])

    outgoing._write = write_and_log  # type: ignore[method-assign]
    outgoing.send(LOG, 1, b"outcomes")
    data = os.read(reading, 1000)
    assert data == HEADER.pack(LOG, 1, 8) + b"outcomes" + HEADER.pack(LOG, 2, 6) + b"record"
    os.close(reading)
    os.close(writing)


# -- what is printed ---------------------------------------------------------------------------

SCRIPT = """
    import contextlib, io, os, sys, threading
    import flowy

    class Each:
        def __init__(self, work): self.work = work
        def __call__(self, *args): return [self.work(a) for a in args]

    def run(work, *args, **options):
        w = flowy.LocalWorkflow(Each, 2, **options)
        w.conf_activity('work', work)
        return w.run(*args)
"""


def output_of(script: Any, code: str, *arguments: str, **environment: str) -> tuple[str, str]:
    one = script("-c", textwrap.dedent(SCRIPT) + textwrap.dedent(code), *arguments, **environment)
    done = one.finish()
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("method", PROCESSES)
def test_lines_of_any_length_come_out_whole(method: str, script: Any) -> None:
    code = """
        def work(n):
            for i in range(20):
                print(n, end='', flush=True)
                print('', *[n] * 30_000)
                print(n, 'to stderr', file=sys.stderr)
        run(work, *range(8), start_method=sys.argv[1])
    """
    out, err = output_of(script, code, method)
    lines = out.splitlines()
    assert sorted(lines) == sorted(" ".join([str(n)] * 30_001) for n in range(8) for _ in range(20))
    assert sorted(err.splitlines()) == sorted(f"{n} to stderr" for n in range(8) for _ in range(20))


def test_threads_of_an_activity_do_not_mix_their_lines(script: Any) -> None:
    code = """
        def talk(n):
            for i in range(200):
                print(n, n, n)
        def work(_):
            threads = [threading.Thread(target=talk, args=(n,)) for n in range(8)]
            sys.setswitchinterval(1e-6)
            [t.start() for t in threads]
            [t.join() for t in threads]
        run(work, 1)
    """
    out, _ = output_of(script, code)
    assert sorted(out.splitlines()) == sorted(f"{n} {n} {n}" for n in range(8) for _ in range(200))


def test_a_line_without_an_end_is_ended_with_the_message(script: Any) -> None:
    code = """
        def work(n):
            print('begun', end='')
            sys.stderr.write('\\rat 1')
            sys.stderr.write('\\rat 2')
        with flowy.LocalWorkflow(Each, 1) as w:
            w.conf_activity('work', work)
            w.run(1)
            print('after', flush=True)
    """
    assert output_of(script, code) == ("begun\nafter\n", "\nat 1\nat 2\n")  # read as text


def test_what_a_thread_has_begun_comes_out_when_its_worker_leaves(script: Any) -> None:
    code = """
        def work(n):
            threading.Thread(target=lambda: print('begun', end='')).start()
        run(work, 1)
    """
    assert output_of(script, code)[0].strip() == "begun"


def test_output_may_be_left_as_it_is(script: Any) -> None:
    code = """
        def work(n):
            return type(sys.stdout.buffer).__name__, sys.stdout.write_through
        print(run(work, 1, output='inherit'))
        print(run(work, 1))
    """
    assert output_of(script, code)[0] == "[('BufferedWriter', False)]\n[('Lines', True)]\n"


@pytest.mark.parametrize("method", PROCESSES)
def test_streams_may_be_replaced_and_closed(method: str, script: Any) -> None:
    code = """
        def redirected(n):
            text = io.StringIO()
            with contextlib.redirect_stdout(text):
                print('inside')
            print('outside')
            return text.getvalue()

        def binary(n):
            sys.stdout.buffer.write(b'bytes\\n')
            sys.stdout.flush()
            print(sys.stdout.fileno(), sys.stdout.isatty(), sys.stdout.encoding)

        def beside(n):
            import subprocess
            subprocess.run([sys.executable, '-c', 'print("subprocess")'], stdout=sys.stdout)
            os.write(1, b'below\\n')

        def close(n):
            os.close(1)
            os.close(2)
            return n

        def leave(n):
            print('leaving')
            sys.exit(n)

        for work in redirected, binary, beside, close:
            print(run(work, 1, start_method=sys.argv[1]), flush=True)
        try:
            run(leave, 1, start_method=sys.argv[1])
        except flowy.TaskError as error:
            print(type(error).__name__, repr(error.__cause__))
    """
    out, err = output_of(script, code, method, PYTHONUTF8="1")
    assert out == (
        "outside\n['inside\\n']\nbytes\n1 False utf-8\n[None]\nsubprocess\nbelow\n[None]\n[1]\n"
        "leaving\nTaskError SystemExit(1)\n"
    )
    assert err == ""


# -- last words --------------------------------------------------------------------------------


def crash(n: int) -> None:
    print("about to \x1b[31mcrash", file=sys.stderr)
    ctypes.string_at(0)


def give_up(n: int) -> None:
    sys.stderr.write("no way out")
    os._exit(3)


@pytest.mark.parametrize("method", PROCESSES)
def test_the_last_words_of_a_worker_are_told(method: str, kept: Keeper) -> None:
    with pytest.raises(flowy.WorkerDied) as died:
        make(crash, method).run(1)
    message = str(died.value)
    assert "its last words on stderr:\n    about to \\x1b[31mcrash\n" in message
    assert "Fatal Python error: Segmentation fault" in message
    assert message.endswith(" in crash")
    assert "\x1b" not in message
    assert "run_calls" not in message
    told = [r for r in kept.records if r.name == "flowy" and "SIGSEGV" in r.getMessage()]
    assert len(told) == 3
    assert all(record.getMessage().rstrip().endswith(" in crash") for record in told)


def test_a_worker_that_leaves_without_a_line_end_is_heard() -> None:
    with pytest.raises(flowy.WorkerDied) as died:
        make(give_up).run(1)
    assert "exited with code 3" in str(died.value)
    assert "no way out" in str(died.value)


def test_only_the_end_of_what_was_said_is_kept() -> None:
    descriptor = make_file()
    words, same = Words(descriptor), Words(descriptor)
    os.close(descriptor)
    said = b""
    assert same.last() == ""
    for n in (10, LAST - 20, 7, 300, LAST, 1, 3 * LAST + 5):
        more = bytes(97 + (i * n) % 26 for i in range(n))
        words.overhear(more)
        said += more
        assert same.last() == said[-LAST:].decode()
    assert same.traceback() == ""
    words.close()
    same.close()


def test_nothing_in_last_words_controls_a_terminal() -> None:
    text = printable(bytes(range(256)) + "\u202e\u009b".encode())
    assert all(c.isprintable() or c in "\n\t" for c in text)
    assert tempfile.gettempdir() == printable(tempfile.gettempdir().encode())
