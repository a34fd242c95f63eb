"""The page of memory in which a worker shows which call it runs.

Owns: `Page`, its form, and the memory that a process and its driver share. A worker writes it at each
call, without a system call; the driver reads it when a worker died, and while calls have time limits.

May not know: processes, messages, limits. Neighbours: `worker` and `_loop` write, `process` makes one
for each worker, `supervisor` and `pool` read.
"""

from __future__ import annotations

import mmap
import os
import struct

from flowy._record import Record

_FORM = struct.Struct("=Qqdd")
_CANCEL = struct.Struct("=Qq")
_DROPPED = struct.Struct("=8Q")
_DROPPED_AT = _FORM.size + _CANCEL.size
SIZE = mmap.PAGESIZE
IDLE = -1


class Running(Record):
    """What a worker is at."""

    message: int
    """The number of the message, 0 before the first."""
    at: int
    """The position of the call that runs; `IDLE` between calls."""
    began: float
    """When it began, by the monotonic clock; only where calls are watched."""
    beat: float
    """When its last heartbeat was; its beginning, if there was none."""


class Page:
    """What a worker shows, and what it is told without a message.

    Args:
        descriptor: of the file that a process shares with its driver; None: memory of this process.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.buffer = mmap.mmap(-1 if descriptor is None else descriptor, SIZE)

    def start(self, message: int) -> None:
        """A message is there; none of its calls runs yet. 0: the worker is up."""
        _FORM.pack_into(self.buffer, 0, message, IDLE, 0.0, 0.0)

    @property
    def is_up(self) -> bool:
        """Whether the worker has come as far as to look for messages."""
        return self.read()[:2] != (0, 0)

    def beat(self, now: float) -> None:
        """The running call is alive."""
        struct.pack_into("=d", self.buffer, 24, now)

    def read(self) -> Running:
        """What runs now. Written without a lock: a call that just began may look as if it were older
        than the one before, never the other way round."""
        while True:
            before = _FORM.unpack_from(self.buffer)
            after = _FORM.unpack_from(self.buffer)
            if before[:2] == after[:2]:
                return Running(*before)

    def cancel(self, message: int, at: int) -> None:
        """Tell the call at this position of the message that it is cancelled."""
        _CANCEL.pack_into(self.buffer, _FORM.size, message, at)

    def cancelled(self) -> bool:
        """Whether the running call was told so."""
        message, at, _, _ = _FORM.unpack_from(self.buffer)
        return message != 0 and _CANCEL.unpack_from(self.buffer, _FORM.size) == (message, at)

    def drop(self, message: int) -> bool:
        """Tell the worker not to begin with a message; False if it has begun."""
        dropped = _DROPPED.unpack_from(self.buffer, _DROPPED_AT)
        _DROPPED.pack_into(self.buffer, _DROPPED_AT, message, *dropped[:-1])
        return self.read().message < message  # asked after it was told: it can't be both

    def is_dropped(self, message: int) -> bool:
        """Whether that was told of a message, at least of one of the last few."""
        return message in _DROPPED.unpack_from(self.buffer, _DROPPED_AT)

    def close(self) -> None:
        """Unmap it."""
        self.buffer.close()


def make_file() -> int:
    """A descriptor of fresh memory for a page; it has no name that anybody must remove."""
    try:
        descriptor = os.memfd_create("flowy-status")
    except (AttributeError, OSError):
        import tempfile  # here, because `import flowy` should be quick

        descriptor, path = tempfile.mkstemp(prefix="flowy-status-")
        os.unlink(path)
    os.ftruncate(descriptor, SIZE)
    return descriptor
