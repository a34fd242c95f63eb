"""A process that works for this one: how it is started, spoken with, and ended.

Owns: `Child`: the interpreter, the socket and the lifeline between them, its process tree, and how it
ended, in words; `Wire`, frames on a socket, which both ends use.

May not know: what is said. Neighbours: `inside`, the code at the other end, `slots` and `supervising`.

    Child ── socket: frames, both ways ──> inside
          ── lifeline: a pipe that ends with this process ──> the child is killed, whatever it does
          <── dump: memory in which faulthandler leaves the traceback of a crash

A child starts clean (no fork of a process with threads), in a session of its own: Ctrl-C is for its
parent, and to kill it is to kill what it has started. SIGTERM is for its parent too: who ends a whole
group of processes, as service managers do, ends none of these before their work is handed over.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from flowy.errors import UsageError
from flowy.local import lineage
from flowy.local.deaths import how_ended

__all__ = ["Child", "Frame", "Gone", "Wire"]

_HEADER = struct.Struct("=cQ")
_SEND = 30.0
"""Seconds in which the other end must take a frame."""
_SCRIPT = (
    "import sys; sys.path.insert(0, {path!r}); from flowy.swf.inside import main; "
    "sys.exit(main(sys.argv))"
)
_NOISE = ("Extension modules:", f'  File "{Path(__file__).parent}{os.sep}', '  File "<string>"')
"""How lines begin that tell nothing: who called the activity, and the names of all modules in C."""
_CRASH = 4000
"""Characters that are kept of the traceback of a crash."""


class Frame(NamedTuple):
    """What is said: a letter, and what goes with it."""

    kind: bytes
    data: bytes


class Gone(Exception):
    """The other end is not there any more, or does not listen."""


class Wire:
    """Frames on a socket."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._input = bytearray()
        self._sending = threading.Lock()
        end.settimeout(_SEND)

    def send(self, kind: bytes, data: bytes = b"") -> None:
        """Say something; raises `Gone`."""
        try:
            with self._sending:  # activities may have threads
                self.end.sendall(_HEADER.pack(kind, len(data)) + data)
        except (OSError, ValueError) as error:
            raise Gone(str(error)) from None

    def receive(self, timeout: float | None = None) -> Frame | None:
        """What was said next; None if nothing was in so many seconds. Raises `Gone`."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            frame = self._take()
            if frame is not None:
                return frame
            left = None if end is None else max(0.0, end - time.monotonic())
            if not _readable(self.end, left):
                return None
            try:
                data = self.end.recv(1 << 16)
            except OSError as error:
                raise Gone(str(error)) from None
            if not data:
                raise Gone("it has closed its end")
            self._input += data

    def _take(self) -> Frame | None:
        if len(self._input) < _HEADER.size:
            return None
        kind, size = _HEADER.unpack_from(self._input)
        end = _HEADER.size + size
        if len(self._input) < end:
            return None
        frame = Frame(kind, bytes(self._input[_HEADER.size : end]))
        del self._input[:end]
        return frame

    def close(self) -> None:
        self.end.close()


def _readable(end: socket.socket, timeout: float | None) -> bool:
    """As select(2), which takes no descriptor above 1,023, and this does."""
    if end.fileno() < 0:
        raise Gone("it was closed")
    poll = select.poll()
    poll.register(end, select.POLLIN)
    return bool(poll.poll(None if timeout is None else 1000 * timeout))


class Child:
    """One process. Its methods are for one thread, but `send`.

    Args:
        kind: which function of `inside` it runs.
        title: what it is called.
    """

    def __init__(self, kind: str, title: str) -> None:
        mine, theirs = socket.socketpair()
        watched, self._lifeline = os.pipe()
        self._dump = _memory()
        script = _SCRIPT.format(path=str(Path(__file__).parents[2]))
        given = [kind, title, theirs.fileno(), watched, self._dump, os.getpid()]
        try:
            self._process = subprocess.Popen(
                [_python(), *_flags(), "-c", script, *map(str, given)],
                pass_fds=(theirs.fileno(), watched, self._dump),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            mine.close()
            os.close(self._lifeline)
            os.close(self._dump)
            raise
        finally:
            theirs.close()
            os.close(watched)
        self.wire = Wire(mine)
        self.pid = self._process.pid
        self.status: int | None = None
        """Its exit status, once it has ended; negative: the signal that killed it."""
        self.peak = 0
        """Bytes of memory that it used at most, once it has ended."""
        self._closed = False

    def send(self, kind: bytes, data: bytes = b"") -> None:
        """Say something to it; that it is gone shows elsewhere."""
        with contextlib.suppress(Gone):
            self.wire.send(kind, data)

    def ended(self) -> bool:
        """Whether it has ended. What it had started is ended with it."""
        if self.status is None:
            if lineage.has_ended(self.pid):
                lineage.end_group(self.pid)
            ended = lineage.reap(self.pid)
            if ended is None:
                return False
            self.status, self.peak = ended
            self._process.returncode = self.status
        return True

    def wait(self, seconds: float) -> bool:
        """Wait for its end so long; whether it has ended."""
        end = time.monotonic() + seconds
        pause = 0.001
        while not self.ended():
            if time.monotonic() >= end:
                return False
            time.sleep(pause)
            pause = min(0.05, 2 * pause)
        return True

    def kill(self) -> None:
        """End it at once, with all that descends from it, and clear away."""
        if not self.ended():
            lineage.end(self.pid)
            self.wait(10.0)
        self.close()

    def dismiss(self, kind: bytes, seconds: float) -> None:
        """Let it end by itself, but not longer than so many seconds."""
        self.send(kind)
        self.wait(seconds)
        self.kill()

    def close(self) -> None:
        """Close what leads to it; may be called again."""
        if not self._closed:
            self._closed = True
            self.wire.close()
            os.close(self._lifeline)
            os.close(self._dump)

    def memory(self) -> int:
        """Bytes of memory that it uses now; 0 if that can't be told."""
        import psutil

        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def how_ended(self) -> str:
        """For people: how, and what that usually means."""
        return how_ended(self.status)

    def crash(self) -> str:
        """The traceback that faulthandler left of a crash; '' if there was none."""
        if self._closed:
            return ""
        size = os.fstat(self._dump).st_size
        text = os.pread(self._dump, size, 0).decode("utf-8", "replace")
        lines = [line for line in text.splitlines() if not line.startswith(_NOISE)]
        return "\n".join(lines)[:_CRASH]


def _python() -> str:
    if not sys.executable:
        raise UsageError("no Python to start processes with (sys.executable is empty)")
    return sys.executable


def _flags() -> list[str]:
    """Those that this interpreter was started with."""
    found: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return found


def _memory() -> int:
    """A file that has no name."""
    try:
        return os.memfd_create("flowy-crash")
    except (AttributeError, OSError):  # not Linux
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
