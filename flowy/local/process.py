"""One worker process as its driver has it: the pipes, what it holds, its life and its end.

Owns: how a process starts ('spawn', 'fork'), the bytes to and from it, and how it is ended.

May not know: other workers, parcels' contents, policy. Neighbours: `pool`, which has several of these,
and `worker`, the code at the other end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from flowy._record import Record
from flowy.errors import UsageError
from flowy.local import lineage
from flowy.local import worker as worker_process
from flowy.local.batch import Trouble
from flowy.local.large import Lease
from flowy.local.mailbox import Parcel
from flowy.local.output import Words
from flowy.local.status import Page, make_file
from flowy.local.worker import HEADER, LEAVE

if TYPE_CHECKING:
    import subprocess

StartMethod = Literal["spawn", "fork"]
Descriptors = tuple[int, int, int, int, int]
"""Those of a worker, as its `main` takes them."""
START_METHODS: tuple[StartMethod, ...] = ("spawn", "fork")

DESCRIPTORS = 6
"""What a worker takes of its driver's file descriptors."""
PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031
_SCRIPT = (
    "import sys; sys.path[:] = {path!r}; "
    "from flowy.local.worker import main; main({descriptors}, {driver})"
)


class Verdict(Record):
    """Why a worker was killed: for what its call at this position of this message did."""

    message: int
    at: int
    trouble: Trouble


class Worker:
    """One process, its pipes, and what it holds."""

    def __init__(self, method: StartMethod, others: Callable[[], set[int]], turns: int) -> None:
        """Start it.

        Args:
            method: how.
            others: tells what else this process has open that a forked worker must not keep open.
            turns: descriptor of the file by which workers take turns at printing.
        """
        self.held: dict[int, Parcel] = {}
        self.maker = 0
        """The number of this worker as a maker of segments."""
        self.mapped: dict[str, Lease] = {}
        """Segments that its activities have kept mapped."""
        self.functions: set[int] = set()
        self.output: deque[memoryview] = deque()
        self.input = bytearray()  # the beginning of a message
        self.wanted = HEADER.size  # bytes of that message, as far as is known
        self.busy = False
        opened, self.page, self.words = _open(turns)
        """What it shows of what it runs, and what it says; also after its end."""
        self.last_words = ""
        """What it had to say before its end; the pool notes it then."""
        child_reading, self.writing, self.reading, child_writing, lifeline, self.lifeline = opened[:6]
        mine = (self.writing, self.reading, self.lifeline)
        theirs = (child_reading, child_writing, lifeline, opened[6], opened[7])
        try:
            for descriptor in (self.writing, self.reading):
                os.set_blocking(descriptor, False)
                _widen(descriptor)
            start = _fork if method == "fork" else _spawn
            self.pid, self._process = start(theirs, lambda: others() | set(mine))
        except BaseException:
            for descriptor in mine:
                os.close(descriptor)
            self.page.close()
            self.words.close()
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self.status: int | None = None
        self.peak = 0
        """The most memory that it used, in bytes; once it has ended."""
        self.measured = 0.0
        """When its memory was last looked at, by the monotonic clock."""
        self.verdict: Verdict | None = None
        """Why it was killed, if that was for what a task did."""
        self.retiring = False
        """Whether it gets no more work, and leaves when it has done what it holds."""
        self.served = 0
        """Tasks that it was given."""
        self._reaping = threading.RLock()  # a signal handler may come in between
        self.sentinel = _sentinel(self.pid)

    def send(self, kind: int, number: int, payload: bytes) -> None:
        """Queue a message and write what the pipe takes."""
        header = HEADER.pack(kind, number, len(payload))
        if len(payload) < 1 << 16:
            self.output.append(memoryview(header + payload))
        else:
            self.output.append(memoryview(header))
            self.output.append(memoryview(payload))
        self.write()

    def write(self) -> None:
        """Write until the pipe is full; a worker that is gone is noticed when read from."""
        while self.output:
            data = self.output[0]
            try:
                written = os.write(self.writing, data)
            except BlockingIOError:
                return
            except BrokenPipeError:
                self.output.clear()
                return
            if written == len(data):
                self.output.popleft()
            else:
                self.output[0] = data[written:]

    def read(self, buffers: list[memoryview]) -> int:
        """Read into the buffers: the number of bytes, 0 at the end of the pipe, -1 if it is empty."""
        try:
            return os.readv(self.reading, buffers)
        except BlockingIOError:
            return -1

    def messages(self, data: memoryview) -> list[tuple[int, int, memoryview]]:
        """The messages (kind, number, payload) that are whole now that `data` has come in.

        Payloads are views: of `data`, or of what came in before and is nobody else's now.
        """
        if self.input:
            self.input += data
            if len(self.input) < self.wanted:
                return []
            data = memoryview(self.input)
            self.input = bytearray()
        found = []
        at, end = 0, len(data)
        self.wanted = HEADER.size
        while end - at >= HEADER.size:
            kind, number, length = HEADER.unpack_from(data, at)
            begin, after = at + HEADER.size, at + HEADER.size + length
            if after > end:
                self.wanted = HEADER.size + length
                break
            found.append((kind, number, data[begin:after]))
            at = after
        if at < end:
            self.input += data[at:]
        return found

    def dismiss(self) -> None:
        """Send nothing more: the worker leaves once it has done what it holds."""
        if not self.output:
            self.send(LEAVE, 0, b"")
        self._close("writing")

    def hang_up(self) -> None:
        """Close all pipes; a worker that is still there leaves at once, by its lifeline."""
        self._close("writing", "reading", "lifeline", "sentinel")
        self.page.close()
        self.words.close()

    def _close(self, *names: str) -> None:
        for name in names:
            descriptor = getattr(self, name)
            if descriptor >= 0:
                setattr(self, name, -1)
                os.close(descriptor)

    def polled(self) -> list[int]:
        """The descriptors that tell of this worker."""
        mine = (self.reading, self.writing, self.sentinel)
        return [descriptor for descriptor in mine if descriptor >= 0]

    def gone(self) -> bool:
        """Whether the process has ended; notes its exit status (negative: a signal) and its memory.

        What it had started goes with it, unless it was told to leave and did.
        """
        with self._reaping:
            if self.status is None:
                if self.writing >= 0 and lineage.has_ended(self.pid):
                    lineage.end_group(self.pid)
                self._reap()
            return self.status is not None

    def _reap(self) -> None:
        ended = lineage.reap(self.pid)
        if ended is not None:
            self.status, self.peak = ended
        if self._process is not None:
            self._process.returncode = self.status

    def is_stopped(self) -> bool:
        """Whether somebody has stopped the process (SIGSTOP)."""
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[0] in (b"T", b"t")
        except (OSError, IndexError):
            return False

    def see_off(self, end: float, listen: Callable[[], bool] = lambda: False) -> None:
        """Wait until the process has ended; at the time `end` it is killed.

        Args:
            listen: takes in what it still writes, so that no full pipe keeps it; False: that was all.
        """
        poll = select.poll()
        if self.sentinel >= 0:
            poll.register(self.sentinel, select.POLLIN)
        poll.register(self.reading, select.POLLIN)
        listening = True
        while not self.gone():
            left = end - time.monotonic()
            if left <= 0:
                self.kill()
            # Without a sentinel this is a sleep. It is short at the end too: a kill takes no time.
            poll.poll(max(1, int(left * 1000)) if self.sentinel >= 0 else 1)
            if listening and not listen():
                listening = False
                poll.unregister(self.reading)
        listen()

    def kill(self) -> None:
        """End the process now, and all that its activities have started.

        Any thread may do so, as it is not reaped meanwhile, and so may a signal handler.
        """
        with self._reaping:
            if self.status is None:
                lineage.end(self.pid)


def _open(turns: int) -> tuple[list[int], Page, Words]:
    """Three pipes, the file of what the worker shows, and its `turns`; nothing if not all can be had."""
    made: list[int] = []
    try:
        for _ in range(3):
            made += os.pipe()
        made += [make_file(), os.dup(turns)]
        return made, Page(made[6]), Words(made[6])
    except OSError:
        for descriptor in made:
            os.close(descriptor)
        raise


def advise(error: OSError, workers: int) -> UsageError | None:
    """What to change so that workers can start, if that is known."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        import resource  # here, because it is seldom needed

        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return UsageError(
            f"no room for {workers} worker processes, which take {DESCRIPTORS} file descriptors each: "
            f"this process may have {most} open; raise that limit (ulimit -n), or set "
            "activity_workers= to fewer"
        )
    if error.errno in (errno.EAGAIN, errno.ENOMEM):
        return UsageError(
            f"the system allows no further process ({error.strerror}) for {workers} workers: raise the "
            "limit (ulimit -u, or that of the container), or set activity_workers= to fewer"
        )
    return None


def _sentinel(pid: int) -> int:
    """A descriptor that is readable once the process has ended; -1 where there is none.

    The end of its pipe alone would not tell, if a process that an activity started lives on and
    still holds it (pidfd_open(2), Linux 5.3).
    """
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def _widen(descriptor: int) -> None:
    """Ask for a larger pipe; the kernel may refuse, and then a smaller one does."""
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, _F_SETPIPE_SZ, PIPE_BYTES)


def _spawn(
    descriptors: Descriptors, _: Callable[[], set[int]]
) -> tuple[int, subprocess.Popen[bytes] | None]:
    """A clean interpreter: safe beside threads, and it never imports the user's `__main__`."""
    import subprocess  # here, because workers import this module's neighbours, and never spawn

    script = _SCRIPT.format(
        path=_import_path(),
        descriptors=", ".join(map(str, descriptors)),
        driver=os.getpid(),
    )
    if not sys.executable:
        raise UsageError("no Python to start workers with (sys.executable is empty): use 'fork'")
    process = subprocess.Popen(
        [sys.executable, *_interpreter_flags(), "-c", script],
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    return process.pid, process


def _import_path() -> list[str]:
    """`sys.path` as it is here; "" is the working directory, which may be gone."""
    try:
        return [p or os.getcwd() for p in sys.path]
    except FileNotFoundError:
        return [p for p in sys.path if p]


def _interpreter_flags() -> list[str]:
    """The flags that this interpreter was started with, as far as they matter to workers."""
    flags: list[str] = []
    if sys.flags.optimize:
        flags.append("-" + "O" * sys.flags.optimize)
    if sys.flags.isolated:
        flags.append("-I")
    elif sys.flags.no_user_site:
        flags.append("-s")
    if sys.flags.dont_write_bytecode:
        flags.append("-B")
    if sys.flags.dev_mode:
        flags += ["-X", "dev"]
    if sys.flags.utf8_mode:
        flags += ["-X", "utf8"]
    return flags + [f"-W{option}" for option in sys.warnoptions]


def _fork(descriptors: Descriptors, others: Callable[[], set[int]]) -> tuple[int, None]:
    """A copy of this process, on request: fast, but unsafe where other threads hold locks."""
    sys.stdout.flush()
    sys.stderr.flush()
    driver = os.getpid()
    pid = os.fork()
    if pid:
        return pid, None
    code = 1
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        for descriptor in others():
            if descriptor not in descriptors:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        # As in a clean interpreter: else what `multiprocessing` starts in it would run the script again.
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        worker_process.main(*descriptors, driver)
        del main  # kept until now: functions that came with the fork use its names
        if "multiprocessing.util" in sys.modules:  # those that this process has registered, no others
            sys.modules["multiprocessing.util"]._run_finalizers()
        code = 0
    finally:
        os._exit(code)
