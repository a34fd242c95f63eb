"""A worker process: reads batches of calls from a pipe, runs them, writes back what they came to.

Owns: the child's end of the pipes, the form of the messages on them, and the child's life: it leaves
at the end of the file, and at once when its driver is gone, busy or not.

May not know: runs, graphs, or the user's `__main__`, which it never imports. Its neighbour is `pool`,
the other end.

A message is a header (kind, number, length) and a payload. To the worker: SETUP (first of all: how
to log, to print and to share the CPUs), STORE (next: where large values go), FUNCTION (number: its id;
without payload: forget it), BATCH (number: the driver's), FREE (segments that nobody needs any more),
LEVELS (below which the driver wants no log records now) and LEAVE. Back: OUTCOMES, several for one batch
if it takes long, GARBLED if the batch could not be unpickled, BEAT (details of a heartbeat), LOG at any
time (number: the batch that runs), and HOLDS, before the last OUTCOMES, if what segments are mapped here
after the batch has changed.
"""

from __future__ import annotations

import os
import select
import signal
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from flowy import _lifeline, activity, serialization
from flowy._record import Record
from flowy.errors import describe
from flowy.local import batch, cpus, large, output
from flowy.local.logs import Forward, Levels
from flowy.local.status import Page

PATIENCE = 2.0
"""Seconds for the end of a driver to show in all of its pipes."""
TIDYING = 0.3
"""Seconds that a worker gets to tidy up behind its driver before it is killed."""
HEADER = struct.Struct("<B3xIQ")
FUNCTION, BATCH, OUTCOMES, GARBLED, STORE, FREE, HOLDS, LEAVE, BEAT, SETUP, LEVELS, LOG = range(12)
SPIN = 50e-6
"""Seconds that an end looks for a message before it sleeps, if its latest wait was short:"""
QUICK = 150e-6
"""no longer than this, sleep and waking included."""


class Setup(Record):
    """What a worker is told first."""

    threads: int
    """How many the libraries of an activity may start."""
    lines: bool
    """Whether what is printed comes out in whole lines."""
    forked: bool
    level: int
    levels: Levels | None
    """None: log records stay here."""


def main(reading: int, writing: int, lifeline: int, status: int, turns: int, driver: int) -> None:
    """Serve until the pipe `reading` ends.

    Args:
        reading: descriptor of the pipe that brings functions and batches.
        writing: descriptor of the pipe that takes the outcomes.
        lifeline: descriptor of a pipe that nobody writes to; its end is the driver's end.
        status: descriptor of the memory in which to show what runs, and to leave last words.
        turns: descriptor of the file by which workers take turns at printing.
        driver: the process id of the driver.
    """
    _keep_freed_memory()
    page = Page(status)
    printed = output.Output(turns, output.Words(status))
    output.report_crashes(status)
    outgoing = Outgoing(writing)
    host = Host(page, outgoing)
    activity.set_host(host, whole_process=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _lifeline.guard(lifeline, driver, TIDYING)
    desks: list[large.Desk] = []
    watched = (lifeline, driver, desks)
    watch = threading.Thread(target=_watch, args=watched, name="flowy-lifeline", daemon=True)
    watch.start()
    functions: dict[int, Callable[..., Any]] = {}
    incoming = Incoming(reading)
    forward: list[Forward] = []
    page.start(0)
    while (message := incoming.take()) is not None:
        kind, number, payload = message
        if kind == LEAVE:
            break
        if kind == FUNCTION and payload:
            functions[number] = _load(payload)
        elif kind == FUNCTION:
            functions.pop(number, None)
        elif kind == STORE:
            desks.append(large.Desk(payload))
        elif kind == FREE:
            desks[0].take_back(serialization.loads(payload))
        elif kind == SETUP:
            forward += _set_up(Setup(*serialization.loads(payload)), outgoing, page, printed)
        elif kind == LEVELS:
            forward[0].set_levels(serialization.loads(payload))
        else:
            page.start(number)
            if page.is_dropped(number):
                outgoing.send(OUTCOMES, number, batch.dump_outcomes(batch.nothing()))
                continue
            _serve(functions, number, payload, desks[0], host, printed)
        del message, payload
    else:
        watch.join(PATIENCE)  # the driver was killed: tidy up behind it
    _flush_output()
    printed.leave()


def _keep_freed_memory() -> None:
    """Let the allocator keep up to 32 MiB that is free: fresh pages cost more than to fill them.

    glibc does so once a chunk that was mapped for itself has been freed: twice its size (mallopt(3),
    M_MMAP_THRESHOLD). `bytes` of a size has memory that is never touched.
    """
    bytes((16 << 20) - (1 << 16))


def _set_up(setup: Setup, outgoing: Outgoing, page: Page, printed: output.Output) -> list[Forward]:
    """Do as the driver says, before any code of the user is loaded; returns what brings it records."""
    cpus.limit_threads(setup.threads)
    if setup.lines:
        printed.take_over()
    if setup.levels is None:
        return []
    forward = Forward(lambda message, record: outgoing.send(LOG, message, record), page, setup.level)
    forward.install(setup.levels, forked=setup.forked)
    return [forward]


class Host:
    """What answers the activities here when they ask who runs them."""

    def __init__(self, page: Page, outgoing: Outgoing) -> None:
        self.page = page
        self.outgoing = outgoing
        self.details: dict[int, bytes] | None = None

    def beat(self, details: Any) -> None:
        self.page.beat(time.monotonic())
        if details is not None:
            running = self.page.read()
            data = serialization.dumps((running.at, serialization.dumps(details)))
            self.outgoing.send(BEAT, running.message, data)
        if self.page.cancelled():
            raise activity.cancelled()

    def last(self) -> Any:
        data = (self.details or {}).get(self.page.read().at)
        return None if data is None else serialization.loads(data)


class Incoming:
    """The messages that the driver sends."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        self._data = b""
        self._at = 0
        self._spin = SPIN if cpus.available() > 1 else 0.0
        self._quick = False

    def take(self) -> tuple[int, int, bytes | bytearray] | None:
        """The next message: kind, number, payload. None when no more will come."""
        while len(self._data) - self._at < HEADER.size:
            more = self._read()
            if not more:
                return None
            self._data = self._data[self._at :] + more
            self._at = 0
        kind, number, length = HEADER.unpack_from(self._data, self._at)
        begin = self._at + HEADER.size
        end = self._at = begin + length
        if end > len(self._data):
            payload = self._fill(self._data[begin:], length)
            return None if payload is None else (kind, number, payload)
        return kind, number, self._data[begin:end]

    def _fill(self, start: bytes, length: int) -> bytearray | None:
        """The rest of a message that begins with `start`."""
        self._data, self._at = b"", 0
        payload = bytearray(length)
        payload[: len(start)] = start
        left = memoryview(payload)[len(start) :]
        while left:
            try:
                size = os.readv(self._descriptor, [left])
            except BlockingIOError:
                self._poll.poll()
                continue
            if not size:
                return None
            left = left[size:]
        return payload

    def _read(self) -> bytes:
        """What is there, after a wait if need be; nothing at the end.

        To sleep and be woken takes some 50 µs. So while messages come within microseconds, it looks a
        few times before it sleeps.
        """
        began = now = time.monotonic()
        while True:
            try:
                return os.read(self._descriptor, 1 << 16)
            except BlockingIOError:
                pass
            if self._quick and now - began < self._spin:
                os.sched_yield()
                now = time.monotonic()
                continue
            self._poll.poll()
            self._quick = time.monotonic() - began < QUICK


def _load(payload: bytes | bytearray) -> Callable[..., Any]:
    """The function, or one that fails each call with what hindered its loading."""
    batch.unpacking.on = True
    try:
        return batch.prepare(serialization.loads(payload))
    except BaseException as error:
        problem = error

        def broken(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(
                f"the activity could not be loaded in the worker: {describe(problem)}"
            ) from problem

        return broken
    finally:
        batch.unpacking.on = False


def _serve(
    functions: dict[int, Callable[..., Any]],
    number: int,
    payload: bytes | bytearray,
    desk: large.Desk,
    host: Host,
    printed: output.Output,
) -> None:
    outgoing = host.outgoing
    batch.unpacking.on = True
    try:
        work = serialization.load_calls(payload)
    except BaseException as error:
        trouble = batch.to_trouble(error)
        outgoing.send(GARBLED, number, serialization.dumps(trouble))
        return
    finally:
        batch.unpacking.on = False

    host.details = work.watched
    keep = desk.keep if desk.places else None

    def flush(outcomes: batch.Outcomes) -> None:
        outgoing.send(OUTCOMES, number, batch.dump_outcomes(outcomes, keep))

    outcomes = batch.run_calls(functions, work, flush=flush, isolate=True, page=host.page)
    data = batch.dump_outcomes(outcomes, keep)
    if printed.held:
        printed.end_lines()
    del outcomes, work  # what they had mapped is free, unless the activities kept it
    came, went = desk.holdings()
    if came or went:
        outgoing.send(HOLDS, number, serialization.dumps((came, went)))
    outgoing.send(OUTCOMES, number, data)


class Outgoing:
    """The messages to the driver, each in one piece whatever thread it is from."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._mine = True
        self._lock = threading.RLock()
        self._writing = False
        self._later: deque[bytes] = deque()
        os.register_at_fork(after_in_child=self._disown)

    def _disown(self) -> None:
        """In a process that an activity forked: these are not its messages."""
        self._mine = False

    def send(self, kind: int, number: int, payload: bytes) -> None:
        """Write a message; waits while the pipe is full."""
        if not self._mine:
            if kind != BEAT:
                os._exit(0)  # it came back from the activity that forked it, and has nothing to do here
            return
        data = HEADER.pack(kind, number, len(payload)) + payload
        with self._lock:
            if self._writing:  # a finalizer logged while this very thread was writing
                self._later.append(data)
                return
            self._writing = True
            try:
                self._write(data)
                while self._later:
                    self._write(self._later.popleft())
            finally:
                self._writing = False

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, memoryview(data)[written:])
        except BrokenPipeError:
            os._exit(0)  # the driver is gone


def _watch(lifeline: int, driver: int, desks: list[large.Desk]) -> None:
    """Leave at once when the driver is gone, also in the middle of a task; tidy up behind it.

    What the activities have started goes too, as far as it is in this process's group.
    """
    _lifeline.wait_for_end(lifeline, driver)
    try:
        for desk in desks:
            desk.sweep()
    finally:
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os._exit(1)


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue
