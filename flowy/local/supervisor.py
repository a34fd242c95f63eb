"""Looks after what runs in worker processes, from a thread of its own.

Owns: time limits of running calls, cancelled calls that do not end, and memory. It reads the page in
which each worker shows what it runs (`status`), and kills the worker if need be; who finds it dead sees
in its `verdict` why. So a limit holds too while workflow code keeps the driver's thread busy.

May not know: runs, drivers. It never touches pipes or the core. Its neighbour is `pool`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from flowy.local.batch import Trouble
from flowy.local.mailbox import Parcel, Tracked
from flowy.local.memory import EVERY, MemoryLimit
from flowy.local.process import Verdict, Worker
from flowy.local.status import IDLE, Running

GRACE = 2.0
"""Seconds that a cancelled activity gets to end by itself."""
_SHARE = 20
"""A limit is looked at so often while it lasts,"""
_MOST_SECONDS, _LEAST_SECONDS = 0.25, 0.01
"""but not more seldom or more often than this."""


class Supervisor:
    """The thread, which starts when there is something to look after.

    Args:
        workers: tells those that there are.
        memory: what each may use, None: what it likes.
    """

    def __init__(
        self, workers: Callable[[], Sequence[Worker]], memory: MemoryLimit | None = None
    ) -> None:
        self._workers = workers
        self._memory = memory
        self._pause = _MOST_SECONDS if memory is None else EVERY
        self._doomed: dict[tuple[Parcel, int], float | None] = {}
        """Cancelled calls, and when their grace is over, once they run."""
        self._thread: threading.Thread | None = None
        self._changed = threading.Event()
        self._closed = False

    def need(self, limit: float) -> None:
        """From now on calls run that have this limit of seconds, or are cancelled."""
        pause = min(_MOST_SECONDS, max(_LEAST_SECONDS, limit / _SHARE))
        if pause < self._pause or self._thread is None:
            self._pause = min(pause, self._pause)
            self._start()
        if not self._changed.is_set():
            self._changed.set()

    def cancel(self, parcel: Parcel, at: int) -> None:
        """A call that is at a worker is cancelled: it hears so when it runs, and is killed later."""
        self._doomed[parcel, at] = None
        self.need(_LEAST_SECONDS * _SHARE)

    def expire(self, parcel: Parcel, at: int, trouble: Trouble) -> bool:
        """Kill the worker of a call for the reason `trouble`; False if it does not run."""
        for worker in list(self._workers()):
            running = worker.page.read()
            if worker.held.get(running.message) is parcel:
                running = running._replace(at=_position(parcel, running))
                return running.at == at and self._kill(worker, running, trouble)
        return False

    def forget(self, parcel: Parcel) -> set[int]:
        """A parcel is at no worker any more; the positions in it that were cancelled."""
        found = {at for one, at in list(self._doomed) if one is parcel}
        for at in found:
            self._doomed.pop((parcel, at), None)
        return found

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._changed.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _start(self) -> None:
        if self._thread is None and not self._closed:
            self._thread = threading.Thread(target=self._watch, name="flowy-supervisor", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        while not self._closed:
            busy = False
            for worker in list(self._workers()):
                busy |= self._look(worker)
            if busy or self._memory is not None:
                time.sleep(self._pause)
            else:
                self._changed.wait()
                self._changed.clear()

    def _look(self, worker: Worker) -> bool:
        """Look at one worker; whether it has to be looked at again."""
        held = list(worker.held.values())
        tracked = any(isinstance(parcel, Tracked) for parcel in held)
        if not tracked and not self._doomed and self._memory is None:
            return False
        try:
            running = worker.page.read()
        except ValueError:
            return False  # it was replaced meanwhile
        parcel = worker.held.get(running.message)
        now = time.monotonic()
        if self._doomed:
            self._forget_done()
        if parcel is not None and (running.at >= 0 or running.began):
            running = running._replace(at=_position(parcel, running))
            trouble = self._judge(worker, parcel, running, now)
            if trouble is not None:
                self._kill(worker, running, trouble)
        elif tracked and worker.is_stopped():
            self._kill(worker, running, _STOPPED)
        return tracked or bool(self._doomed)

    def _judge(self, worker: Worker, parcel: Parcel, running: Running, now: float) -> Trouble | None:
        """What the running call has done wrong."""
        if (parcel, running.at) in self._doomed:
            worker.page.cancel(running.message, running.at)
            end = self._doomed[parcel, running.at]
            if end is None:
                self._doomed[parcel, running.at] = now + GRACE
            elif now >= end:
                message = f"by the workflow; it went on for {GRACE:g} s more, and was killed"
                return Trouble(message, kind="cancelled")
        if isinstance(parcel, Tracked):
            options = parcel.options
            if options.start_to_close is not None and now - running.began > options.start_to_close:
                what = f"it ran for more than {options.start_to_close:g} s"
                return _timed_out("start_to_close", what, worker)
            if options.heartbeat is not None and now - running.beat > options.heartbeat:
                what = f"no heartbeat came for {options.heartbeat:g} s"
                return _timed_out("heartbeat", what, worker)
        if self._memory is not None:
            return self._memory.judge(worker, now)
        return None

    def _kill(self, worker: Worker, running: Running, trouble: Trouble) -> bool:
        """Kill a worker, if it still does what is held against it."""
        try:
            now = worker.page.read()
            same = (now.message, now.began) == (running.message, running.began)
            if not same or now.at not in (IDLE, running.at):
                return False
        except ValueError:
            return False
        worker.verdict = Verdict(running.message, running.at, trouble)
        worker.kill()
        return True

    def _forget_done(self) -> None:
        for parcel, at in list(self._doomed):
            if parcel.received > at:
                self._doomed.pop((parcel, at), None)


_STOPPED = Trouble("its worker was stopped", kind="worker died")


def _position(parcel: Parcel, running: Running) -> int:
    """The call that a worker is at; `IDLE` while it pickles what several have come to.

    If that takes too long, the calls go again one by one, and so the culprit is found.
    """
    if running.at == IDLE and running.began and parcel.size - parcel.received == 1:
        return parcel.received
    return running.at


def _timed_out(which: str, what: str, worker: Worker) -> Trouble:
    return Trouble(
        f"{what}; its worker (pid {worker.pid}) was killed", "", None, False, "timed out", which
    )
