"""What activities print: whole lines, and the last words of a worker that dies.

Owns: `Output`, which puts whole lines on the descriptors that a worker has inherited, also where many
share them; `Words`, memory in which a worker leaves what its driver should know of its end.

    print ─> sys.stdout ─> Output ─ one line at a time, in turns ─> descriptor 1
    sys.stderr ─────────────┘ └─ the last 4 KiB ─> Words <── a traceback ── faulthandler

Descriptors 1 and 2 stay those of the driver: what C code writes there comes out at once, and nobody has
to read it. A pipe to the driver in their place was rejected: while the driver is idle or at work it
would fill up, and hold up activities.

May not know: messages, logging, pools. Neighbours: `worker` writes, `process` reads.
"""

from __future__ import annotations

import faulthandler
import fcntl
import io
import mmap
import os
import select
import struct
import sys
import threading
from typing import Any

from flowy.local import status

LAST = 4096
"""So many bytes of what a worker wrote to stderr are kept."""
LONGEST = 1 << 20
"""Bytes that may wait for the end of their line; longer ones come out in pieces."""

_COUNT = struct.Struct("=Q")
_RING = _COUNT.size
_DUMP = _RING + LAST
_SIZE = 1 << 16
_FATAL = b"Fatal Python error: "
_OUR_FRAME = b'  File "' + os.fsencode(os.path.dirname(__file__)) + b"/"


class Words:
    """The end of what a worker says, in memory that it shares with its driver.

    It lies behind the worker's `status.Page` in the same file: a ring of what came over `sys.stderr`,
    and then whatever faulthandler wrote.
    """

    def __init__(self, descriptor: int) -> None:
        os.ftruncate(descriptor, status.SIZE + _SIZE)
        self._buffer = mmap.mmap(descriptor, _SIZE, offset=status.SIZE)

    def overhear(self, data: bytes) -> None:
        """Keep the end of what is said."""
        (count,) = _COUNT.unpack_from(self._buffer)
        kept = data[-LAST:]
        at = (count + len(data) - len(kept)) % LAST
        head = kept[: LAST - at]
        self._buffer[_RING + at : _RING + at + len(head)] = head
        self._buffer[_RING : _RING + len(kept) - len(head)] = kept[len(head) :]
        _COUNT.pack_into(self._buffer, 0, count + len(data))

    def last(self) -> str:
        """The end of what came over `sys.stderr`, fit for a terminal."""
        (count,) = _COUNT.unpack_from(self._buffer)
        ring = self._buffer[_RING:_DUMP]
        if count <= LAST:
            return printable(ring[:count])
        at = count % LAST
        return printable(ring[at:] + ring[:at])

    def traceback(self) -> str:
        """What faulthandler wrote when it happened last, fit for a terminal; nothing if it never did."""
        text = self._buffer[_DUMP:].rstrip(b"\0")
        lines = text[max(0, text.rfind(_FATAL)) :].split(b"\n")
        frames = [i for i, line in enumerate(lines) if line.startswith(b"  File ")]
        ours = [i for i in frames if lines[i].startswith(_OUR_FRAME)]
        if ours and ours[0] > frames[0]:
            del lines[ours[0] :]  # who called the activity tells nothing
        # Nor do the names of all loaded extension modules, of which there are many lines.
        return printable(b"\n".join(x for x in lines if not x.startswith(b"Extension modules:"))[:LAST])

    def close(self) -> None:
        """Unmap it."""
        self._buffer.close()


def report_crashes(descriptor: int) -> None:
    """Let faulthandler write where `Words` finds it; in processes that are forked here, to stderr."""
    os.lseek(descriptor, status.SIZE + _DUMP, os.SEEK_SET)
    faulthandler.enable(descriptor, all_threads=False)
    os.register_at_fork(after_in_child=lambda: faulthandler.enable(2, all_threads=False))


def printable(data: bytes) -> str:
    r"""As text in which nothing can control a terminal.

    >>> printable(b'\x1b[31mred\n\xff')
    '\\x1b[31mred\n\ufffd'
    """
    text = data.decode("utf-8", "replace")
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


class Output:
    """Where the lines of this process meet: what waits for the end of its line, by stream and thread.

    Args:
        turns: descriptor of a file that all who print share; who locks it writes. The kernel alone keeps
            only lines of up to 4 KiB apart (PIPE_BUF).
        words: where to leave the end of what goes to `sys.stderr`.
    """

    def __init__(self, turns: int, words: Words) -> None:
        self.held: dict[tuple[int, int], bytearray] = {}
        self._turns = turns
        self._words = words
        self._lock = threading.Lock()  # the lock of a file is that of all threads of a process
        self._pid = os.getpid()
        self._before: list[Any] = []  # the streams in whose place ours are, which close their files
        os.register_at_fork(after_in_child=self._start_anew)

    def take_over(self) -> None:
        """Put streams that come here in the place of `sys.stdout` and `sys.stderr`."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if not isinstance(stream, io.TextIOWrapper):
                continue  # somebody else's, in a forked worker: of a notebook, say
            stream.flush()
            lines: Any = Lines(self, stream.fileno(), errors=name == "stderr")
            ours = io.TextIOWrapper(lines, stream.encoding, stream.errors, write_through=True)
            self._before.append(stream)
            setattr(sys, name, ours)
            setattr(sys, f"__{name}__", ours)

    def write(self, descriptor: int, data: bytes, errors: bool) -> None:
        """Write what is whole lines with this; the rest waits for the end of its line.

        A carriage return ends one too: progress bars live on it.
        """
        if errors:
            self._words.overhear(data)
        key = (descriptor, threading.get_ident())
        end = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        held = self.held.get(key)
        if end == 0:
            held = self.held.setdefault(key, bytearray())
            held += data
            if len(held) >= LONGEST:
                self._put(descriptor, self.held.pop(key))
            return
        lines: bytes | bytearray = data[:end]
        if held is not None:
            del self.held[key]
            lines = held + lines
        if end < len(data):
            self.held[key] = bytearray(data[end:])
        self._put(descriptor, lines)

    def end_lines(self) -> None:
        """End the lines that this thread has begun: what comes next is somebody else's."""
        me = threading.get_ident()
        for key in [key for key in self.held if key[1] == me]:
            self._put(key[0], self.held.pop(key) + b"\n")

    def flush(self) -> None:
        """A line waits for its end, whatever is flushed; but not in a process that an activity forked,
        or that is about to leave: it may end without a word."""
        if self.held and os.getpid() != self._pid:
            for key in list(self.held):
                self._put(key[0], self.held.pop(key, b""))

    def leave(self) -> None:
        """Let out what is held, and from now on whatever is flushed."""
        self._pid = 0
        self.flush()

    def _put(self, descriptor: int, data: bytes | bytearray) -> None:
        with self._lock:
            locked = self._take_turn()
            try:
                _write_all(descriptor, data)
            finally:
                if locked:
                    fcntl.lockf(self._turns, fcntl.LOCK_UN)

    def _take_turn(self) -> bool:
        try:
            fcntl.lockf(self._turns, fcntl.LOCK_EX)
        except OSError:  # an activity closed what is not its own, or the system has no more locks
            return False
        return True

    def _start_anew(self) -> None:
        """In a forked process: what had begun is the parent's to end, and other threads are gone."""
        self._lock = threading.Lock()
        self.held.clear()


class Lines(io.RawIOBase):
    """The binary layer of a stream whose lines come out whole."""

    def __init__(self, output: Output, descriptor: int, *, errors: bool) -> None:
        self._output = output
        self._descriptor = descriptor
        self._errors = errors

    def write(self, data: Any) -> int:
        data = bytes(data)
        self._output.write(self._descriptor, data, self._errors)
        return len(data)

    def flush(self) -> None:
        super().flush()
        self._output.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)


def _write_all(descriptor: int, data: bytes | bytearray) -> None:
    """All of it, also where somebody has made the descriptor non-blocking."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
