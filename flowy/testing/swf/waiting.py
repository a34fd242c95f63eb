"""How polls wait, and who moves the clock meanwhile.

Owns: `Waiters`: everybody who waits in a poll, each on a condition of its own under the service's lock.

May not know: tasks, executions. Neighbours: `service`, which owns the loop of a poll; `tasklists`, which
wakes whose turn it is; `clock`.

A clock that moves itself is watched by one of those who wait, the leader: it wakes at the next
deadline, does what is due (in the loop of its poll), and goes on waiting. The others sleep until they
are woken or their time is up. A clock that does not is moved to the next deadline by whoever comes to
wait last, when everybody waits: every poll does, and nobody else has a task in hand. A thread has a task
in hand from the poll that gave it until it is answered (by anybody) or over, while it lives and does not
wait in a poll. Who else has called lately may do so again: it gets a moment of real time first.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from flowy.errors import UsageError
from flowy.testing.swf.clock import Clock
from flowy.testing.swf.deadlines import Deadline
from flowy.testing.swf.executions import Open
from flowy.testing.swf.tasklists import TaskList

_LOOK = 0.05
"""Real seconds between two looks at whether a thread with a task in hand has died."""
_SILENCE = 0.02
"""Real seconds in which somebody else may call before the clock is moved."""
_IDLE = 0.01
"""Real seconds that an empty poll takes when nothing is due: who polls in a loop shall not spin."""
_PATIENCE = 10
"""Polls end by their own time so many times in a row; then the clock goes on to the next time-out,
however far."""


class Waiter:
    """Who waits in one poll."""

    def __init__(self, waiters: Waiters, tasks: TaskList, end: float) -> None:
        self.end = end
        self.thread = threading.current_thread()
        self.waiting = False
        self.condition = threading.Condition(waiters.lock)
        self._tasks = tasks
        self._waiters = waiters

    def wake(self) -> None:
        """Let it look again. One that is woken counts as one that does not wait."""
        self.waiting = False
        self.condition.notify()

    def wait(self, due: Deadline | None) -> None:
        """Wait until there is a task, something is due (`due` is next), or the end."""
        pollers = self._tasks.pollers
        pollers.append(self)
        self.waiting = True
        try:
            self._waiters.pause(self, due)
        finally:
            self.waiting = False
            if self in pollers:
                pollers.remove(self)


class Waiters:
    """All who wait."""

    def __init__(self, lock: threading.RLock, clock: Clock) -> None:
        self.lock = lock
        self._clock = clock
        self._all: list[Waiter] = []
        self.idle = 0
        """How many polls ended by their own time since something else happened."""
        self._leader: Waiter | None = None
        self._leader_until = 0.0
        self._in_hand: dict[threading.Thread, list[Open]] = {}
        self._callers: set[threading.Thread] = set()
        self._calls = 0

    @contextmanager
    def poller(self, tasks: TaskList, end: float) -> Iterator[Waiter]:
        """A poll of this list that waits until this time at most."""
        waiter = Waiter(self, tasks, end)
        self._all.append(waiter)
        tasks.polls += 1
        try:
            yield waiter
        finally:
            tasks.polls -= 1
            self._all.remove(waiter)
            tasks.nudge()
            if self._leader is None and self._clock.moves_itself:
                heir = next((each for each in self._all if each.waiting), None)
                if heir is not None:
                    heir.wake()

    def saw_caller(self) -> None:
        """This thread has called the service: it may call again at any moment."""
        if not self._clock.moves_itself:
            self._calls += 1
            self._callers.add(threading.current_thread())

    def wake(self) -> None:
        """Let everybody look again."""
        for waiter in self._all:
            waiter.wake()

    def hand_out(self, item: Open) -> None:
        """This thread has been given this task."""
        self.idle = 0
        if not self._clock.moves_itself:
            self._in_hand.setdefault(threading.current_thread(), []).append(item)

    def replaceable(self) -> None:
        """Make sure that nobody waits.

        Raises:
            UsageError: somebody does.
        """
        if self._all:
            raise UsageError("state is loaded into a local SWF that is being polled: load it first")
        self._in_hand.clear()

    def pause(self, waiter: Waiter, due: Deadline | None) -> None:
        """Wait once: for a task, for the next deadline, or for the end."""
        if self._clock.moves_itself:
            self._lead_or_sleep(waiter, due)
        elif not self._everybody_waits():
            waiter.condition.wait(_LOOK)
        elif due is None and waiter.condition.wait(_IDLE):
            pass  # woken, by a task or by the clock
        elif not self._everybody_waits() or not self._silent(waiter) or self._jump(waiter, due):
            pass
        else:
            waiter.condition.wait()  # until somebody moves the clock

    def _lead_or_sleep(self, waiter: Waiter, due: Deadline | None) -> None:
        until = waiter.end
        if self._leader is None:
            self._leader = waiter
            until = self._leader_until = until if due is None else min(until, due.due)
        waiter.condition.wait(max(0.0, until - self._clock.now()))
        if self._leader is waiter:
            self._leader = None

    def watch(self, due: Deadline | None) -> None:
        """This is the next deadline now: the leader must not sleep longer."""
        if self._leader is not None and due is not None and due.due < self._leader_until:
            self._leader.wake()

    def _everybody_waits(self) -> bool:
        if not all(waiter.waiting for waiter in self._all):
            return False
        waiting = {waiter.thread for waiter in self._all}
        for thread, items in list(self._in_hand.items()):
            items[:] = [item for item in items if item.open]
            if not items or not thread.is_alive():
                del self._in_hand[thread]
            elif thread not in waiting:
                return False
        return True

    def _silent(self, waiter: Waiter) -> bool:
        """Whether those who neither wait nor have a task in hand are silent for a moment.

        Each gets that moment once after each of its calls: who only waits for the end costs no more.
        """
        waiting = {each.thread for each in self._all}
        self._callers = {thread for thread in self._callers if thread.is_alive()}
        if self._callers <= waiting:
            return True
        calls = self._calls
        if waiter.condition.wait(_SILENCE) or self._calls != calls:
            return False
        self._callers &= waiting
        return self._everybody_waits()

    def _jump(self, waiter: Waiter, due: Deadline | None) -> bool:
        """Move the clock to what comes next, if it may be moved; whether it was.

        What is hoped for comes next however far it is: a workflow of a year is not half a million empty
        polls. A time-out does not, at first: an empty poll shall not be the end of a workflow.
        """
        to = min(each.end for each in self._all)
        if due is not None and (due.due <= to or due.hoped_for or self.idle >= _PATIENCE):
            to = due.due
        else:
            self.idle += 1
        if not self._clock.jump(to):
            return False
        waiter.waiting = False
        self.look()
        return True

    def look(self) -> None:
        """The clock was moved: wake those whose time is up."""
        now = self._clock.now()
        for waiter in self._all:
            if waiter.waiting and waiter.end <= now:
                waiter.wake()
