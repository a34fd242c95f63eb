"""Progress: what is counted, how it is shown, and that it leaves the terminal as it was.

Owns: the counts of real runs, the terminal by an emulator of one (pyte), log lines, notebooks, and that
it is looked at no more often than is cheap. What it costs is measured in `benchmarks.progress`.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import logging
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyte
import pytest

import flowy
from flowy import LocalWorkflow, UsageError
from flowy.local.watch import LEAST, Meter
from flowy.progress import Row, Snapshot, reporter, reporting, terminal, text
from flowy.progress.others import Calls, LogLines, Notebook, in_notebook
from flowy.progress.terminal import Screen, Terminal

ROWS, COLUMNS = 24, 90


def snapshot(*rows: Row, seconds: float = 75.0) -> Snapshot:
    return Snapshot(seconds, rows or (Row("f", 10, 4, 1, 2, 0.5),), 2, 1.5, 123_000_000)


# ---- What is counted.


class Inner:
    def __init__(self, f: Any) -> None:
        self.f = f

    def __call__(self, x: int) -> Any:
        return self.f(self.f(x))


class Outer:
    def __init__(self, sub: Any, f: Any, g: Any) -> None:
        self.sub, self.f, self.g = sub, f, g

    def __call__(self, n: int, again: bool = True) -> Any:
        made = [self.sub(i) for i in range(n)]
        bad = self.g(1)
        with contextlib.suppress(flowy.TaskError):
            flowy.wait(bad)
        total = sum(self.f(x) for x in made)
        return flowy.restart(n, False) if again else total


def add_one(x: int) -> int:
    return x + 1


def fails(x: int) -> int:
    raise ValueError(x)


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_the_last_snapshot_has_all_of_it(executor: str) -> None:
    """Over sub-workflows, which are counted by name, and restarts."""
    inner = LocalWorkflow(Inner)
    inner.conf_activity("f", add_one)
    w = LocalWorkflow(Outer, 2, executor=executor)
    w.conf_workflow("sub", inner)
    w.conf_activity("f", add_one)
    w.conf_activity("g", fails)
    seen: list[Snapshot] = []
    assert w.run(3, _progress=seen.append) == 3 * 3 + 3
    last = {row.name: (row.asked, row.done, row.failed, row.running, row.left) for row in seen[-1].rows}
    assert last == {
        "Outer.f": (6, 6, 0, 0, 0),
        "g": (2, 0, 2, 0, 0),
        "sub": (6, 6, 0, 0, 0),
        "Inner.f": (12, 12, 0, 0, 0),
    }
    assert seen[-1].seconds_left == 0.0


def hold(here: Path, name: str) -> str:
    """Runs until it is told to end."""
    (here / f"{name}.began").touch()
    while not (here / "end").exists():
        time.sleep(0.001)
    return name


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_what_runs_is_told_from_what_waits(executor: str, tmp_path: Path) -> None:
    class Two:
        def __init__(self, f: Any, sub: Any) -> None:
            self.f, self.sub = f, sub

        def __call__(self) -> Any:
            return [self.f(tmp_path, str(i)) for i in range(5)], self.sub(tmp_path, "sub")

    w = LocalWorkflow(Two, 2, executor=executor)
    w.conf_activity("f", hold)
    inner = LocalWorkflow(lambda g: lambda here, name: g(here, name))
    inner.conf_activity("g", hold)
    w.conf_workflow("sub", inner)
    right = threading.Event()

    def look(now: Snapshot) -> None:
        rows = {row.name: row for row in now.rows}
        at_work = rows["f"].running + rows["g"].running
        if at_work == 2 and rows["sub"].running == 1 and len(list(tmp_path.iterdir())) >= 2:
            assert rows["f"].waiting == rows["f"].asked - rows["f"].running
            assert now.workers == 2
            assert now.memory
            right.set()
            (tmp_path / "end").touch()

    assert w.run(_progress=look)[1] == "sub"
    assert right.is_set()


def test_a_run_in_the_background_is_shown_too() -> None:
    seen: list[Snapshot] = []
    w = LocalWorkflow(lambda f: lambda: [f(1), f(2)], executor="threads")
    w.conf_activity("f", add_one)
    assert w.start(_progress=seen.append).result(20) == [2, 3]
    assert [row.done for row in seen[-1].rows] == [2]


def test_failing_runs_are_shown_to_their_end() -> None:
    seen: list[Snapshot] = []
    w = LocalWorkflow(lambda f: lambda: f(1) + 1, executor="inline")
    w.conf_activity("f", fails)
    with pytest.raises(flowy.TaskError):
        w.run(_progress=seen.append)
    assert [(row.asked, row.failed) for row in seen[-1].rows] == [(1, 1)]


def test_what_progress_can_not_be() -> None:
    w = LocalWorkflow(lambda f: lambda: f(1), executor="inline")
    w.conf_activity("f", add_one)
    with pytest.raises(UsageError, match="_progress is True, or a function"):
        w.run(_progress="yes")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="_progress is True"):
        w.start(_progress=3)  # type: ignore[arg-type]


def test_a_function_that_fails_fails_no_run(caplog: pytest.LogCaptureFixture) -> None:
    def broken(now: Snapshot) -> None:
        raise KeyError("mine")

    w = LocalWorkflow(lambda f: lambda: f(1), executor="inline")
    w.conf_activity("f", add_one)
    assert w.run(_progress=broken) == 2
    assert [r.getMessage() for r in caplog.records] == ["progress is shown no more: KeyError: 'mine'"]


def test_cpu_and_memory_of_workers() -> None:
    busy = "while True: pass"
    process = subprocess.Popen([sys.executable, "-c", busy])
    try:
        meter = Meter(lambda: [process.pid, 2**22 + 1])  # the other is not there
        assert meter.measure()[0] is None
        end = time.monotonic() + 60
        while time.monotonic() < end:
            cpu, memory = meter.measure()
            if cpu and memory:
                break
            time.sleep(0.05)
        assert cpu
        assert memory
        assert memory > 1_000_000
    finally:
        process.kill()
        process.wait()
    meter._measured -= LEAST
    assert meter.measure()[1] is None


def test_too_short_a_time_tells_nothing_of_cpus() -> None:
    """The system counts hundredths of a second: over less, one of them would be a whole CPU or more."""
    meter = Meter(list)
    meter.measure()
    meter._measured -= 60
    known = meter.measure()
    assert known[0] is not None
    meter._used = {pid: seconds - 0.01 for pid, seconds in meter._used.items()}
    meter._measured = time.monotonic() + 60
    assert meter.measure() == known


# ---- How it is written.


def test_a_table_has_a_line_for_each_dependency() -> None:
    lines = text.table(snapshot(Row("fetch", 5000, 1203, 1, 2, 312.0), Row("parse", 0, 0, 0, 0)))
    assert lines[0].split() == ["done", "running", "waiting", "failed", "rate", "left"]
    assert lines[1].split()[0] == "fetch"
    assert lines[1].split()[2:] == ["1,203/5,000", "2", "3,794", "1", "312/s", "0:12"]
    assert lines[2].split()[2:] == ["0/0"]
    assert lines[3] == "1:15 · 2 workers · 150 % CPU · 123 MB"


@pytest.mark.parametrize("rich", [True, False])
@pytest.mark.parametrize("width", [1, 5, 12, 30, 47, 79, 120])
def test_a_table_is_no_wider_than_the_terminal(
    width: int, rich: bool, emulated: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wider would wrap, once it is left as text. Names are of characters of two columns too."""
    monkeypatch.setenv("TERM", "xterm-256color")
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    rows = Row("fetch", 5000, 1203, 1, 2, 312.0), Row("\u65e5\u672c" * 8, 10**5, 10**4, 7, 4, 1e6)
    with open(emulated.slave, "w", closefd=False, encoding="utf-8") as stream:
        lines = terminal.painter(stream)(snapshot(*rows), width)
    assert rich == ("\x1b" in "".join(lines))
    shown = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert all(text.breadth(line) <= max(width, 28) for line in shown)
    assert len(shown) == 4
    assert "1,203/5,000" in shown[1]
    assert ("\u2501" in shown[1]) == (width == 120)


HOSTILE = "\x1b[2J\x1b]0;title\x07</td><script>alert(1)</script>\n'\""


@pytest.mark.parametrize("make", [text.table, lambda now: [text.line(now)]])
def test_names_can_not_move_the_cursor(make: Callable[[Snapshot], list[str]]) -> None:
    for line in make(snapshot(Row(HOSTILE, 3, 1, 0, 0))):
        assert line.isprintable()


def test_names_can_not_end_a_tag() -> None:
    made = text.html(snapshot(Row(HOSTILE, 3, 1, 0, 0)))
    assert "<script" not in made
    assert "\x1b" not in made


@pytest.mark.parametrize("rich", [True, False])
def test_no_painter_lets_commands_through(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    paint = terminal.painter(io.StringIO())
    lines = paint(snapshot(Row(HOSTILE + "[red]", 3, 1, 0, 0)), 80)
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 3


# ---- The terminal.


class Emulated:
    """A terminal of which this test sees the screen."""

    def __init__(self, rows: int = ROWS, columns: int = COLUMNS) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def read(self) -> list[str]:
        """The lines of the screen, once all that was written has come."""
        while select.select([self.master], [], [], 0.05)[0]:
            self._stream.feed(os.read(self.master, 65536))
        return [line.rstrip() for line in self.screen.display]

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def emulated() -> Iterator[Emulated]:
    made = Emulated()
    yield made
    made.close()


def test_what_others_write_scrolls_above(emulated: Emulated) -> None:
    screen = Screen(emulated.slave)
    os.write(emulated.slave, b"before\r\nhalf a li")
    for turn in range(40):
        screen.draw([f"one {turn}", f"two {turn}", "three"])
        os.write(emulated.slave, b"ne\r\n" if not turn else b"line %d\r\n" % turn)
    shown = emulated.read()
    assert shown[-3:] == ["one 39", "two 39", "three"]
    assert shown[: ROWS - 4] == [f"line {i}" for i in range(40 - (ROWS - 4), 40)]
    screen.clear()
    os.write(emulated.slave, b"after")
    shown = emulated.read()
    assert shown[ROWS - 5 :] == ["line 39", "after", "", "", ""]
    assert emulated.screen.margins is None


def test_a_line_that_was_begun_goes_on(emulated: Emulated) -> None:
    os.write(emulated.slave, b"half a li")
    screen = Screen(emulated.slave)
    screen.draw(["one", "two"])
    os.write(emulated.slave, b"ne\r\n")
    screen.clear()
    assert [line for line in emulated.read() if line] == ["half a line"]


def test_it_follows_a_terminal_that_changes(emulated: Emulated) -> None:
    screen = Screen(emulated.slave)
    screen.draw(["one", "two"])
    emulated.read()
    emulated.resize(12, 40)
    screen.draw(["one", "two", "three"])
    shown = emulated.read()
    assert shown[-3:] == ["one", "two", "three"]
    assert shown.count("one") == 1
    screen.clear()
    assert "one" not in emulated.read()


def test_no_more_than_half_of_the_screen(emulated: Emulated) -> None:
    Screen(emulated.slave).draw([f"line {i}" for i in range(100)])
    shown = [line for line in emulated.read() if line]
    assert shown == [*[f"line {i}" for i in range(ROWS // 2 - 2)], "… and 89 more", "line 99"]


PROGRAM = """
import sys, time, logging
import flowy

def work(i):
    time.sleep(0.01)
    if i % 10 == 0:
        print("from worker", i, flush=True)
    return i

def bad(x):
    raise ValueError("mine")

class Flow:
    def __init__(self, work, bad):
        self.work, self.bad = work, bad
    def __call__(self, n, how):
        total = sum([self.work(i) for i in range(n)])
        print("from workflow", flush=True)
        if how == "fails":
            return self.bad(total) + 1
        while how == "hangs":
            flowy.wait(self.work(1))
        return total

w = flowy.LocalWorkflow(Flow, 2)
w.conf_activity("work", work)
w.conf_activity("bad", bad)
if __name__ == "__main__":
    print("first line", flush=True)
    try:
        print("value", w.run(int(sys.argv[1]), sys.argv[2], _progress=True))
    except flowy.TaskError as error:
        print("failed", error.__cause__)
    except KeyboardInterrupt:
        print("interrupted by the user")
    print("last line")
"""


class Session:
    """A program on an emulated terminal, with all that it ever showed."""

    def __init__(self, folder: Path, *words: str, rich: bool = True) -> None:
        (folder / "flow.py").write_text(PROGRAM)
        if not rich:
            (folder / "rich.py").write_text("raise ImportError('not here')\n")
        self.terminal = Emulated()
        env = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, *words],
            cwd=folder,
            env=env,
            stdin=self.terminal.slave,
            stdout=self.terminal.slave,
            stderr=self.terminal.slave,
            start_new_session=True,
        )
        self.seen: list[list[str]] = []

    def until(self, condition: Callable[[list[str]], bool]) -> list[str]:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            shown = self.terminal.read()
            if not self.seen or self.seen[-1] != shown:
                self.seen.append(shown)
            if condition(shown):
                return shown
            if self.process.poll() is not None and self.terminal.read() == shown:
                break
        raise AssertionError("\n".join(self.seen[-1]))

    def end(self) -> list[str]:
        shown = self.until(lambda _: self.process.poll() is not None)
        return self.terminal.read() or shown

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.terminal.close()


@contextlib.contextmanager
def session(folder: Path, *words: str, rich: bool = True) -> Iterator[Session]:
    made = Session(folder, *words, rich=rich)
    try:
        yield made
    finally:
        made.close()


def is_live(shown: list[str]) -> bool:
    return shown[-1].startswith("0:0") and "workers" in shown[-1] and "work" in shown[-3]


@pytest.mark.parametrize("rich", [True, False])
def test_a_run_on_a_terminal(rich: bool, tmp_path: Path) -> None:
    with session(tmp_path, "flow.py", "150", "ends", rich=rich) as program:
        program.until(is_live)
        shown = [line for line in program.end() if line]
        assert program.terminal.screen.margins is None
    assert ("···" in "".join(map("".join, program.seen))) != rich  # what is left of a bar
    assert shown[-2:] == ["value 11175", "last line"]
    assert shown[-3].endswith("MB")
    assert any(line.split()[:1] == ["work"] and "150/150" in line for line in shown)
    written = {line for shot in program.seen for line in shot if line.startswith("from worker")}
    assert written == {f"from worker {i}" for i in range(0, 150, 10)}


def test_a_failing_run_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    with session(tmp_path, "flow.py", "300", "fails") as program:
        program.until(is_live)
        shown = [line for line in program.end() if line]
        assert program.terminal.screen.margins is None
    assert shown[-2:] == ["failed mine", "last line"]


def test_control_c_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    with session(tmp_path, "flow.py", "10", "hangs") as program:
        program.until(is_live)
        os.kill(program.process.pid, signal.SIGINT)
        shown = [line for line in program.end() if line]
        assert program.terminal.screen.margins is None
    assert shown[-2:] == ["interrupted by the user", "last line"]
    assert any("done" in line and "failed" in line for line in shown)


def test_sigterm_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    with session(tmp_path, "flow.py", "10", "hangs") as program:
        program.until(is_live)
        os.kill(program.process.pid, signal.SIGTERM)
        program.end()
        assert program.process.returncode == -signal.SIGTERM
        assert program.terminal.screen.margins is None


@pytest.mark.parametrize(
    ("options", "live"), [([], True), (["--progress"], True), (["--no-progress"], False)]
)
def test_the_command_line_shows_it_on_a_terminal(options: list[str], live: bool, tmp_path: Path) -> None:
    words = ["-m", "flowy", "run", *options, "flow:w", "300", "ends"]
    with session(tmp_path, *words) as program:
        shown = [line for line in program.end() if line]
        assert program.process.returncode == 0
    assert shown[-1] == "44850"
    assert any("workers" in line for line in shown) == live
    assert any(is_live(shot) for shot in program.seen) == live


# ---- Where there is no terminal.


def test_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    stream = io.StringIO()
    lines = LogLines(stream)
    with caplog.at_level(logging.WARNING):
        lines.draw(snapshot())
    assert stream.getvalue() == (
        "flowy: 1:15 · 2 workers · 150 % CPU · 123 MB: f 4 of 10 done, 1 failed, 2 running, 0.5/s, "
        "0:10 left\n"
    )
    first = lines.least
    with caplog.at_level(logging.INFO, "flowy.progress"):
        for _ in range(9):
            lines.draw(snapshot())
        lines.end(snapshot())
    assert len(caplog.records) == 10
    assert stream.getvalue().count("\n") == 1
    assert first < lines.least <= 120


def test_a_pipe_gets_lines_and_no_commands(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(PROGRAM)
    words = [sys.executable, "-m", "flowy", "run", "--progress", "flow:w", "20", "ends"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.startswith("flowy: 0:0")
    assert "work 20 of 20 done" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
    quiet = [word for word in words if word != "--progress"]
    done = subprocess.run(quiet, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""


def test_a_notebook_shows_one_table_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, Any]] = []

    def display(x: Any, display_id: bool) -> Any:
        shown.append(("new", x))
        return SimpleNamespace(update=lambda x: shown.append(("changed", x)))

    ipython, parts = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.__dict__["get_ipython"] = lambda: SimpleNamespace(kernel=object())
    parts.__dict__.update(HTML=str, display=display)
    assert not in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", parts)
    assert in_notebook()
    assert isinstance(reporter.choose(True), Notebook)
    notebook = Notebook()
    notebook.draw(snapshot())
    notebook.draw(snapshot())
    notebook.end(snapshot())
    assert [how for how, _ in shown] == ["new", "changed", "changed"]
    assert all("<table" in x and "4/10" in x for _, x in shown)


# ---- How often.


def test_it_rests_as_long_as_looking_is_dear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking takes a second of CPU here: the rests are of minutes, by a clock of this test."""
    spent, rests = [0.0], []

    def look() -> Snapshot:
        spent[0] += 1.0
        return snapshot()

    def wait(seconds: float) -> bool:
        rests.append(seconds)
        return len(rests) > 3

    monkeypatch.setattr("time.thread_time", lambda: spent[0])
    made = reporter._Reporter(Calls(lambda now: None), look)
    made._over = SimpleNamespace(wait=wait)  # type: ignore[assignment]
    made._work()
    assert rests == [Calls.first / 2, Calls.first / 2, *[reporter.SHARE] * 2]


def test_what_ends_at_once_is_not_looked_at(emulated: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million small tasks take a tenth of a second, of which a look would be a part to be seen."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(Terminal, "first", 600.0)
    with open(emulated.slave, "w", closefd=False) as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with reporting(True, lambda: pytest.fail("looked")):
            assert [t for t in threading.enumerate() if t.name == "flowy-progress"]
    assert emulated.read() == [""] * ROWS


def test_nothing_is_looked_at_unless_asked_for() -> None:
    with reporting(False, lambda: pytest.fail("looked")):
        assert not [t for t in threading.enumerate() if t.name == "flowy-progress"]
