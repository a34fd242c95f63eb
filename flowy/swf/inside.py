"""The inside of a process that works for a decider or an activity worker.

Owns: `main`; what an activity process does with tasks and cancels, what a decider process does until it
leaves, and how both notice that their parent is gone.

May not know: who the parent is, or SWF's answers to it. Neighbours: `child`, the parent's side of the
wire, and `performing`.

What goes over the wire, a letter each:

    to a child    S setup (JSON: import path and such), W work (pickle), T task, C cancel, L leave
    from a child  R ready, X can't start, B heartbeat (its details as JSON), A answer, G going (replace
                  me), D done for good
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from typing import Any

from flowy import activity as running
from flowy._lifeline import guard
from flowy.errors import describe
from flowy.local.cpus import limit_threads
from flowy.serialization import loads
from flowy.swf.child import Gone, Wire
from flowy.swf.performing import Activity, details_text, perform
from flowy.swf.titles import set_title

SETUP, WORK, TASK, CANCEL, LEAVE = b"S", b"W", b"T", b"C", b"L"
READY, BROKEN, BEAT, ANSWER, GOING, DONE = b"R", b"X", b"B", b"A", b"G", b"D"

ORPHANED = 0.5
"""Seconds that a child lives on without its parent."""
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def main(arguments: list[str]) -> int:
    """What the interpreter runs; the arguments are those that `Child` gives."""
    kind, title = arguments[1:3]
    end, lifeline, dump, parent = map(int, arguments[3:7])
    for descriptor in (end, lifeline, dump):
        os.set_inheritable(descriptor, False)  # not for what activities start
    faulthandler.enable(dump, all_threads=False)
    guard(lifeline, parent, ORPHANED)
    for number in (signal.SIGTERM, signal.SIGINT):
        # For the parent. Not SIG_IGN, which what an activity starts would inherit.
        signal.signal(number, lambda *_: None)
    set_title(title)
    wire = Wire(socket.socket(fileno=end))
    try:
        return _KINDS[kind](wire, title, _begin(wire))
    except Gone:
        return 0


def _begin(wire: Wire) -> bytes:
    """Set this process up; gives the work, which can be loaded then."""
    setup = json.loads(_expect(wire, SETUP))
    sys.path[:] = setup["path"]
    limit_threads(setup["threads"])  # of libraries, which read it when they are loaded
    logging.basicConfig(level=setup["level"], format=FORMAT)
    return _expect(wire, WORK)


def _expect(wire: Wire, kind: bytes) -> bytes:
    frame = wire.receive()
    if frame is None or frame.kind != kind:
        raise Gone(f"{frame!r} came instead of {kind!r}")
    return frame.data


def _load(wire: Wire, work: bytes) -> Any:
    """What the parent has sent; it is told if that can't be loaded."""
    try:
        return loads(work)
    except (Exception, SystemExit) as error:
        wire.send(BROKEN, describe(error).encode("utf-8", "replace"))
        sys.exit(1)


# ------------------------------------------------------------------ activities


def _activities(wire: Wire, title: str, work: bytes) -> int:
    activities: Mapping[tuple[str, str], Activity] = _load(wire, work)
    host = Host(wire)
    tasks: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(
        target=_listen, args=(wire, host, tasks), name="flowy-swf-wire", daemon=True
    ).start()
    wire.send(READY)
    while (data := tasks.get()) is not None:
        name, version, text, called = json.loads(data)
        set_title(called)
        answer = perform(activities[name, version], text, host, whole_process=True)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        set_title(title)
        wire.send(ANSWER, json.dumps(answer).encode())
    return 0


def _listen(wire: Wire, host: Host, tasks: queue.SimpleQueue[bytes | None]) -> None:
    """Take what the parent says, also while an activity runs."""
    while True:
        try:
            frame = wire.receive()
        except Gone:
            tasks.put(None)
            return
        assert frame is not None
        if frame.kind == TASK:
            host.cancelled = False
            tasks.put(frame.data)
        elif frame.kind == CANCEL:
            host.cancelled = True
        elif frame.kind == LEAVE:
            tasks.put(None)


class Host:
    """What answers an activity here: heartbeats go to the parent, cancels come from it."""

    def __init__(self, wire: Wire) -> None:
        self.cancelled = False
        self._wire = wire

    def beat(self, details: Any) -> None:
        """What `flowy.heartbeat` does."""
        if details is not None:
            self._wire.send(BEAT, details_text(details).encode())
        if self.cancelled:
            raise running.cancelled()

    def last(self) -> Any:
        """SWF does not tell an attempt of the one before."""
        return None


# ------------------------------------------------------------------ deciders


def _decider(wire: Wire, title: str, work: bytes) -> int:
    worker, given, limits = _load(wire, work)
    leaving = Leaving(worker, wire, **limits)
    wire.send(READY)
    thread = threading.Thread(target=leaving.run, args=(given,), name="flowy-swf-decider", daemon=True)
    thread.start()
    while thread.is_alive():
        try:
            frame = wire.receive(0.2)
        except Gone:
            return 0
        if frame is not None and frame.kind == LEAVE:
            leaving.asked = True
            worker.stop()
    thread.join()
    return leaving.status


class Leaving:
    """A decider at work in this process, and when it leaves: asked, used up, or by its own will.

    Args:
        tasks: so many tasks it answers, if that is limited.
        memory: bytes that it may use.
    """

    def __init__(
        self, worker: Any, wire: Wire, tasks: int | None = None, memory: int | None = None
    ) -> None:
        self.asked = False
        self.status = 0
        self._worker = worker
        self._wire = wire
        self._most = tasks
        self._memory = memory
        self._done = 0
        self._own_will = worker.break_loop
        self._make = worker.tasks
        self._process: Any = None
        worker.break_loop = self._shall_break
        worker.tasks = self._counted

    def run(self, given: Mapping[str, Any]) -> None:
        try:
            self._worker.run_forever(**given, register_remote=False, setup_log=False)
        except Exception as error:
            self._wire.send(BROKEN, describe(error).encode("utf-8", "replace"))
            self.status = 1
        else:
            self._wire.send(DONE)

    def _counted(self, *given: Any) -> Any:
        polls, answer = self._make(*given)

        def count(task: Any) -> None:
            self._done += 1
            answer(task)

        return polls, count

    def _shall_break(self) -> bool:
        if self.asked:
            return True
        if self._is_used_up():
            self._wire.send(GOING)
            return True
        return bool(self._own_will())

    def _is_used_up(self) -> bool:
        if self._most is not None and self._done >= self._most:
            return True
        if self._memory is None:
            return False
        if self._process is None:
            import psutil

            self._process = psutil.Process()
        return bool(self._process.memory_info().rss > self._memory)


_KINDS = {"activities": _activities, "decider": _decider}
