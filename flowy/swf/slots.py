"""Activities in processes of their own: one for each that may run at a time.

Owns: `Slot`, a child process that stays, and what becomes of a task in it: done, cancelled, over for
SWF, dead; `Slots`, all of them, each with its poll.

May not know: how an activity is run (`inside`), or what polls are. Neighbours: `child`, `activities`,
which gives the polls and sends the answers, and `polling`.

    poll ──> Slot ── task, cancel ──> child          no poll without a child that is ready
                  <── heartbeats, answer ──
    Beats ──> SWF, at a third of the heartbeat time-out: is it cancelled, is it over?

What is over for SWF, by its word or by the clock of `beats` where it can't be heard, is told so (as a
cancel), has `CLEAN_UP` seconds, and is killed with all it has started. SWF has given the task's outcome
by then, and no answer is sent. A child that dies takes its task with it as little as on the local
engine: the task is run again, and fails when it was there at the death of `DEATHS` of them.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from flowy.errors import UsageError
from flowy.local.cpus import available
from flowy.local.memory import show_bytes
from flowy.serialization import dumps, explain
from flowy.swf.checking import TypeKey
from flowy.swf.child import Child, Gone
from flowy.swf.inside import ANSWER, BEAT, BROKEN, CANCEL, LEAVE, READY, SETUP, TASK, WORK
from flowy.swf.performing import Activity, Answer, failed
from flowy.swf.polling import Poll, Task, Worker
from flowy.swf.rates import Backoff
from flowy.swf.remote import Recycling

__all__ = ["Slot", "Slots", "setup"]

log = logging.getLogger("flowy.swf")

CLEAN_UP = 5.0
"""Seconds that an activity gets that is over for SWF."""
DEATHS = 3
"""A task that so many children died of fails."""
SLOW = 60.0
"""Seconds after which it is told that a process takes long to start."""
LOOK = 0.1
"""Seconds between two looks at a child that says nothing."""
LEAVING = 2.0
"""Seconds that a child gets to leave when it has nothing to do."""


class Beating(Protocol):
    """Heartbeats of a task under way."""

    why: str

    @property
    def cancelled(self) -> bool: ...

    @property
    def over(self) -> bool: ...

    def note(self, details: str) -> None: ...


def setup(work: object, what: str, children: int) -> tuple[bytes, bytes]:
    """What each of so many children is sent first; they share the CPUs.

    Raises:
        UsageError: `work` can't travel; `what` says what it is.
    """
    threads = max(1, available() // children)
    level = logging.getLogger().getEffectiveLevel()
    try:
        return json.dumps({"path": sys.path, "level": level, "threads": threads}).encode(), dumps(work)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(explain(error, work, what, "a process of its own")) from error


class Slot:
    """A child process that stays, and the task in it.

    Args:
        first: what a child is sent first.
        stopping: set when no further task is wanted.
        end: when what runs is given up, by the monotonic clock.
    """

    def __init__(
        self,
        number: int,
        first: tuple[bytes, bytes],
        recycling: Recycling,
        stopping: threading.Event,
        end: Callable[[], float],
        rerun: bool = True,
    ) -> None:
        self.child: Child | None = None
        self._number = number
        self._first = first
        self._recycling = recycling
        self._stopping = stopping
        self._end = end
        self._deaths = DEATHS if rerun else 1
        self._served = 0
        self._trouble = Backoff(0.2, 60.0)
        self._lock = threading.Lock()
        self._closed = False

    # ------------------------------------------------------------ the process

    def ready(self) -> bool:
        """See to it that there is a child that can take a task; False: it is time to end."""
        with self._lock:  # at the end a poll may still be under way
            return not self._closed and self._has_child()

    def _has_child(self) -> bool:
        while self.child is None or self.child.ended():
            if self.child is not None:
                log.warning("activity process %d %s", self.child.pid, self.child.how_ended())
            self._clear()
            if self._given_up():
                return False
            if self._start():
                self._trouble.reset()
                break
            self._clear()
            if self._given_up():
                return False
            pause = self._trouble.pause()
            log.warning("the next activity process is started in %.1f s", pause)
            if self._stopping.wait(pause):
                return False
        return True

    def _given_up(self) -> bool:
        return time.monotonic() >= self._end()

    def _start(self) -> bool:
        self._served = 0
        try:
            child = self.child = Child("activities", f"flowy-act-{self._number}")
        except OSError as error:  # no more processes or descriptors for now
            log.error("an activity process could not be started: %s", str(error))
            return False
        child.send(SETUP, self._first[0])
        child.send(WORK, self._first[1])
        began, warned = time.monotonic(), False
        while not self._given_up():
            if not warned and time.monotonic() > began + SLOW:
                log.warning("activity process %d is not ready after %.0f s", child.pid, SLOW)
                warned = True
            try:
                frame = child.wire.receive(LOOK)
            except Gone:
                child.wait(LEAVING)
                log.error("an activity process %s before it was ready", child.how_ended())
                return False
            if frame is None:
                continue
            if frame.kind == READY:
                return True
            assert frame.kind == BROKEN
            log.error("an activity process could not start: %s", frame.data.decode("utf-8", "replace"))
            return False
        return False

    def _clear(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child = None

    def close(self, seconds: float = LEAVING) -> None:
        """End the child, for good; it gets so long to leave."""
        with self._lock:
            self._closed = True
            self._dismiss(seconds)

    def _dismiss(self, seconds: float) -> None:
        if self.child is not None:
            self.child.dismiss(LEAVE, seconds)
            self.child = None

    def _recycle(self) -> None:
        """Replace the child if it has done or grown enough."""
        child = self.child
        if child is None:
            return
        most = self._recycling.memory
        if self._recycling.tasks is not None and self._served >= self._recycling.tasks:
            log.info("activity process %d is replaced after %d tasks", child.pid, self._served)
        elif most is not None and (used := child.memory()) > most:
            log.info("activity process %d is replaced: it uses %s", child.pid, show_bytes(used))
        else:
            return
        self._dismiss(LEAVING)

    # ------------------------------------------------------------ a task

    def run(self, key: TypeKey, text: str | None, name: str, beats: Beating) -> Answer | None:
        """Run a task; None: it is over for SWF, or given up, and nothing is to be told.

        Args:
            key: of its activity.
            text: its input.
            name: for messages and titles.
        """
        data = json.dumps([*key, text, f"flowy {name}"]).encode()
        last = failed("no process could be started")
        for _ in range(self._deaths):
            if not self.ready():
                log.warning("%s is given up, and left to its time-out", name)
                return None
            answer = self._run_once(data, name, beats)
            if not isinstance(answer, _Died):
                self._recycle()
                return answer
            last = answer.told
            self._clear()
            if beats.over:
                return None
            log.warning("%s: %s", name, last.given["reason"])
        return last

    def _run_once(self, data: bytes, name: str, beats: Beating) -> Answer | _Died | None:
        child = self.child
        assert child is not None
        self._served += 1
        child.send(TASK, data)
        told, kill_at = False, math.inf
        while True:
            try:
                frame = child.wire.receive(LOOK)
            except Gone:
                return self._died(child)
            if frame is not None and frame.kind == ANSWER:
                kind, given = json.loads(frame.data)
                return Answer(kind, given)
            if frame is not None and frame.kind == BEAT:
                beats.note(frame.data.decode())
            if frame is None and child.ended():
                return self._died(child)
            if beats.cancelled and not told:
                child.send(CANCEL)
                told = True
            if beats.over:
                kill_at = min(kill_at, time.monotonic() + CLEAN_UP)
            if time.monotonic() >= min(kill_at, self._end()):
                why = beats.why if beats.over else "this worker ends"
                log.warning("%s is killed: %s; it is left to its time-out", name, why)
                self._clear()
                return None

    def _died(self, child: Child) -> _Died:
        if child.wait(LEAVING):
            reason = f"its process {child.how_ended()}"
        else:
            child.kill()
            reason = "its process closed what connects it with its worker, and was killed"
        details = "\n".join(filter(None, (f"It used up to {show_bytes(child.peak)}.", child.crash())))
        return _Died(failed(reason, details))


class _Died(NamedTuple):
    """The child died with the task in it."""

    told: Answer


class Slots:
    """All slots of a worker, each with a thread that polls and one that waits for its child.

    Args:
        activities: what the children know.
        polls: what to poll, by name.
        answer: answers a task, by means of the slot that it is for.
        asked: whether to stop, asked now and then.
        grace: seconds that polls and tasks under way get at the end.
    """

    def __init__(
        self,
        count: int,
        activities: Mapping[TypeKey, Activity],
        polls: Mapping[str, Poll],
        answer: Callable[[Task, Slot], None],
        stopping: threading.Event,
        asked: Callable[[], bool],
        grace: float,
        recycling: Recycling,
        rerun: bool,
    ) -> None:
        first = setup(dict(activities), "the activities", count)
        self._asked = asked
        self._grace = grace
        self._stopping = stopping
        self._end = math.inf
        self._failed: list[BaseException] = []
        self._slots = [
            Slot(n, first, recycling, stopping, lambda: self._end, rerun) for n in range(1, count + 1)
        ]
        self._workers = [self._worker(slot, polls, answer) for slot in self._slots]

    def _worker(
        self, slot: Slot, polls: Mapping[str, Poll], answer: Callable[[Task, Slot], None]
    ) -> Worker:
        def when_ready(poll: Poll) -> Poll:
            return lambda: poll() if slot.ready() else {}

        ready = {name: when_ready(poll) for name, poll in polls.items()}
        return Worker(ready, lambda task: answer(task, slot), self._stopping, grace=self._grace)

    def stop(self) -> None:
        """Poll no more; what runs has the grace period left. From any thread, or a signal handler."""
        self._end = min(self._end, time.monotonic() + self._grace)
        for worker in self._workers:
            worker.stop()

    def run(self) -> None:
        """Work until it is stopped and nothing is in hand.

        Raises:
            Exception: what a poll raised that will not get better.
        """
        threads = [
            threading.Thread(target=self._run, args=(each,), name="flowy-swf-slot", daemon=True)
            for each in zip(self._workers, self._slots, strict=True)
        ]
        try:
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads):
                for thread in threads:
                    thread.join(LOOK)
                if not self._stopping.is_set() and (self._failed or self._asked()):
                    self.stop()
        except BaseException:
            self._end = 0.0  # in a hurry: what runs is killed
            self.stop()
            for thread in threads:
                thread.join()
            raise
        if self._failed:
            raise self._failed[0]

    def _run(self, both: tuple[Worker, Slot]) -> None:
        worker, slot = both
        try:
            worker.run()
        except Exception as error:
            self._failed.append(error)
        finally:
            slot.close(0.0 if self._end == 0.0 else LEAVING)
