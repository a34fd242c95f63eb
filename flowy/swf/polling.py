"""Long polls, and the end of a worker that waits in them.

Owns: `Poller`, a thread that polls one list; `Worker`, the loop around them: one task at a time, in
the thread that called; SIGTERM; how a worker is known to SWF.

May not know: what a task is. Its neighbours are `deciding` and `activities`, which answer them.

A poller has one task in hand at most: it polls again when that one was answered, so no task waits in
this process while its time runs and another worker is free.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flowy.errors import UsageError
from flowy.swf.client import Refused, Unreachable
from flowy.swf.rates import Backoff

__all__ = ["GRACE", "Poller", "Worker", "default_identity", "persist", "signals"]

log = logging.getLogger("flowy.swf")

GRACE = 20.0
"""Seconds that polls under way get at the end: SWF may be handing them a task."""
QUICK = 0.05
"""Seconds in which an empty reply is no long poll: the next one waits a little."""

Task = dict[str, Any]
Poll = Callable[[], Task]


class Poller:
    """Polls one list in a thread of its own, and hands over what it gets."""

    def __init__(self, name: str, poll: Poll, box: queue.SimpleQueue[Any], stop: threading.Event):
        self.failed: Exception | None = None
        self._poll = poll
        self._box = box
        self._stop = stop
        self._answered = threading.Event()
        self.thread = threading.Thread(target=self._run, name=f"flowy-swf-{name}", daemon=True)
        self.thread.start()

    def answered(self) -> None:
        """The task in hand was answered: poll again."""
        self._answered.set()

    def _run(self) -> None:
        try:
            self._loop()
        except Exception as error:
            self.failed = error
        self._box.put((self, None))

    def _loop(self) -> None:
        trouble, empty = Backoff(0.1, 20.0), Backoff(0.01, 1.0)
        since = None
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                task = self._poll()
            except UsageError:
                raise  # it will not get better
            except Exception as error:
                # Refused too: rights, domains and keys are put right while workers run.
                if not isinstance(error, (Unreachable, Refused)):
                    log.exception("a poll failed in a way that is not known")
                pause, since = trouble.pause(), since or began
                log.warning("polling for tasks failed, next try in %.1f s: %s", pause, str(error))
                self._stop.wait(pause)
                continue
            trouble.reset()
            if since is not None:
                log.info("polling for tasks works again, after %.1f s", time.monotonic() - since)
                since = None
            if not task.get("taskToken"):
                if time.monotonic() - began < QUICK:
                    self._stop.wait(empty.pause())
                else:
                    empty.reset()
                continue
            empty.reset()
            self._answered.clear()
            self._box.put((self, task))
            self._answered.wait()


class Worker:
    """Takes tasks from its pollers, one at a time, until it is stopped.

    Args:
        polls: what polls, by name.
        answer: answers a task; what it raises is logged.
        stopping: set when it shall stop.
        asked: whether to stop, asked after each task and every second.
        grace: seconds that polls under way get at the end.
    """

    def __init__(
        self,
        polls: dict[str, Poll],
        answer: Callable[[Task], None],
        stopping: threading.Event,
        asked: Callable[[], Any] = lambda: False,
        grace: float = GRACE,
    ) -> None:
        self.stopping = stopping
        self._polls = polls
        self._answer = answer
        self._asked = asked
        self._grace = grace
        self._box: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def stop(self) -> None:
        """Begin no more polls; from any thread, or a signal handler."""
        self.stopping.set()
        self._box.put((None, None))

    def run(self) -> None:
        """Answer tasks until it is stopped and nothing is in hand."""
        pollers = [Poller(name, poll, self._box, self.stopping) for name, poll in self._polls.items()]
        running = set(pollers)
        end = float("inf")
        try:
            while running and time.monotonic() < end:
                if not self.stopping.is_set() and self._asked():
                    self.stop()
                if self.stopping.is_set():
                    end = min(end, time.monotonic() + self._grace)
                poller, task = self._next(end)
                if poller is not None and task is None:
                    running.discard(poller)
                    if poller.failed is not None:
                        raise poller.failed
                elif poller is not None and task is not None:
                    self._answer_one(task)
                    poller.answered()
        finally:
            self.stopping.set()
            for poller in pollers:
                poller.answered()

    def _answer_one(self, task: Task) -> None:
        try:
            self._answer(task)
        except Exception:
            # One task shall not end a worker of many: this one comes again, or times out.
            log.exception("a task could not be answered")

    def _next(self, end: float) -> tuple[Poller | None, Task | None]:
        try:
            return self._box.get(timeout=max(0.0, min(1.0, end - time.monotonic())))  # type: ignore[no-any-return]
        except queue.Empty:
            return None, None


@contextmanager
def signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGTERM and SIGINT stop; the second one ends the process as it would have."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def stopped(number: int, frame: Any) -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        stop()

    for number in before:
        signal.signal(number, stopped)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def persist(what: str, call: Callable[[], Any], *, tries: int, most: float = 20.0) -> Any:
    """Make a call until there is an answer.

    Raises:
        Refused: that was the answer.
        Unreachable: there was none in so many tries.
    """
    backoff = Backoff(0.1, most)
    for left in reversed(range(tries)):
        try:
            return call()
        except Unreachable as error:
            if not left:
                raise
            pause = backoff.pause()
            log.warning("%s failed, next try in %.1f s: %s", what, pause, str(error))
            time.sleep(pause)
    raise AssertionError("tries is at least 1")


def default_identity() -> str:
    """How this process shows in histories: its machine and id."""
    return f"{socket.gethostname()}-{os.getpid()}"[-256:]
