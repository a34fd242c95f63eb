"""Calls of activities with options: their attempts, delays, limits of time and number, and cancels.

Owns: every such call from when it is ready until its outcome is an event of its run. They wait here in
queues by activity instead of in the outbox, because each may wait for a delay, a cap or its turn.

    outbox ─ add ─> delayed ─ due ─> queued ─ next ─> running ─ apply ─> event
                       ^───────────── another attempt ───────────┘

A time limit on what runs in a worker process is `supervisor`'s; here are the limits of what has not
started, and those of threads and foreign executors.

May not know: runs, processes. Neighbours: `driver` asks, `batching` tells how many travel together.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Callable

from flowy import _sched, serialization
from flowy._sched import Batch
from flowy.errors import Failure
from flowy.local.batch import Trouble, to_failure
from flowy.local.batching import Batching
from flowy.local.deaths import CANCELLED, amend, show_call, tell_deaths
from flowy.local.executors import Executor
from flowy.local.mailbox import DEATHS_ALLOWED, EARLY_DEATHS_ALLOWED, Lost, Mailbox, Reply, Tracked
from flowy.local.supervisor import GRACE
from flowy.options import Options

log = logging.getLogger("flowy")

_PURGE = 1000


class Attempt:
    """One call, and the attempt that it is at."""

    __slots__ = (
        "alone",
        "at",
        "batch",
        "cancelled",
        "deaths",
        "details",
        "number",
        "over",
        "parcel",
        "queue",
        "queued",
    )

    def __init__(self, batch: Batch, at: int, queue: Queue) -> None:
        self.batch = batch
        self.at = at
        """Its position in the batch."""
        self.queue = queue
        self.number = 0
        self.alone = not _may_share(queue.options)
        """Whether it travels alone."""
        self.deaths = 0
        """How often its worker died while it ran."""
        self.queued = False
        self.parcel: Tracked | None = None
        """Where it is while it runs."""
        self.details: bytes | None = None
        """Pickled details of the latest heartbeat."""
        self.cancelled = False
        self.over = False

    @property
    def options(self) -> Options:
        return self.queue.options

    def is_wanted(self) -> bool:
        """Whether its run still waits for it."""
        return not self.over and self.batch.wanted(self.at)


class Queue:
    """The calls of one activity that wait for their turn."""

    def __init__(self, function: int, options: Options) -> None:
        self.function = function
        self.options = options
        self.waiting: deque[Attempt] = deque()
        self.messages = 0
        """How many are at the workers: each runs its calls one after the other."""

    def is_capped(self) -> bool:
        cap = self.options.max_concurrency
        return cap is not None and self.messages >= cap


class Attempts:
    """The calls of one driver whose activities have options.

    Args:
        executor: runs them.
        batching: how many calls travel together.
        mailbox: where their replies go.
    """

    def __init__(self, executor: Executor, batching: Batching, mailbox: Mailbox) -> None:
        self.running = 0
        """Calls that are at the executor."""
        self._executor = executor
        self._batching = batching
        self._mailbox = mailbox
        self._queues: dict[int, Queue] = {}
        self._by_priority: list[Queue] = []
        self._timers: list[tuple[float, int, Callable[..., None], Attempt, int]] = []
        self._past = 0
        """About so many timers are of attempts that are over."""
        self._order = itertools.count()
        self._parcels: dict[Tracked, list[Attempt]] = {}
        self._open: dict[tuple[_sched.Run, int], Attempt] = {}
        """By their nodes."""
        self._turn = True

    # what the driver asks

    def __bool__(self) -> bool:
        """Whether any call is under way here."""
        return bool(self._open)

    def add(self, batch: Batch, at: int, function: int, options: Options) -> None:
        """A call is ready."""
        queue = self._queues.get(function)
        if queue is None:
            queue = self._queues[function] = Queue(function, options)
            self._by_priority = sorted(self._queues.values(), key=lambda q: -q.options.priority)
        attempt = self._open[batch.run(at), batch.node(at)] = Attempt(batch, at, queue)
        self._schedule(attempt)

    def choose(self, others: int) -> Queue | None:
        """Whose turn it is; None: that of the `others`, which have no options, or nobody's.

        Higher priority first. Among equals the two kinds take turns.
        """
        if not self._open:
            return None
        for queue in self._by_priority:
            if others and queue.options.priority < 0:
                return None
            if queue.waiting and not queue.is_capped() and self._drop_unwanted(queue):
                if others and queue.options.priority == 0 and not self._turn:
                    return None
                return queue
        return None

    def take_turn(self) -> None:
        """One of the others was sent."""
        self._turn = True

    def depth(self, queue: Queue) -> int:
        """How many messages may be at one worker, if the next is of this queue."""
        if not _may_share(queue.options):
            return 1
        if queue.options.running_limit is not None and not self._executor.supervises:
            return 1  # what waits there can't be told from what runs
        return self._batching.depth(queue.function, len(queue.waiting), self._executor.size)

    def next(self, queue: Queue) -> Tracked:
        """The next calls of a queue as a parcel, to be packed and sent."""
        first = queue.waiting.popleft()
        taken = [first]
        if not self._is_alone(first):
            most = self._most(queue)
            while len(taken) < most and queue.waiting and self._follows(taken[-1], queue.waiting[0]):
                taken.append(queue.waiting.popleft())
        said = {} if first.details is None else {0: first.details}
        size = len(taken)
        parcel = Tracked(first.batch, self._mailbox, first.at, size, queue.options, said)
        self._parcels[parcel] = taken
        for attempt in taken:
            attempt.queued, attempt.parcel = False, parcel
        return parcel

    def sent(self, parcel: Tracked) -> None:
        """The parcel is at the executor."""
        attempt = self._parcels[parcel][0]
        attempt.queue.messages += 1
        self.running += parcel.size
        self._turn = False
        if not self._executor.supervises and (limit := attempt.options.running_limit):
            parcel.began = parcel.beat = None if self._executor.tells_start else time.monotonic()
            self._at(time.monotonic() + limit, self._check_running, attempt)

    def apply(self, reply: Reply) -> None:
        """Outcomes of a parcel of this desk become events, or further attempts."""
        parcel, outcomes = reply.parcel, reply.outcomes
        assert isinstance(parcel, Tracked)
        known = self._parcels.get(parcel)
        if known is None:
            return  # given up before
        self._received(parcel, len(outcomes.values))
        first = outcomes.first
        attempts = known[first : first + len(outcomes.values)]
        if not outcomes.failures and all(_is_current(attempt, parcel) for attempt in attempts):
            for attempt in attempts:
                self._close(attempt)
            parcel.batch.complete(parcel.first + first, outcomes.values, None, time.time())
            return
        for i, attempt in enumerate(attempts, first):
            if not _is_current(attempt, parcel):
                continue
            trouble = outcomes.failures.get(i)
            if trouble is None:
                self._close(attempt)
                attempt.batch.complete(attempt.at, [outcomes.values[i - first]], None, time.time())
            else:
                attempt.details = parcel.beats.get(i, attempt.details)
                self._failed(attempt, self._failure(attempt, trouble))

    def lost(self, lost: Lost) -> None:
        """The worker that had a parcel died: what did not come back goes again, if it may."""
        parcel = lost.parcel
        assert isinstance(parcel, Tracked)
        known = self._parcels.get(parcel)
        if known is None:
            return
        back = []
        for at, attempt in enumerate(known[parcel.received :], parcel.received):
            if not _is_current(attempt, parcel):
                continue
            attempt.details = parcel.beats.get(at, attempt.details)
            attempt.alone |= lost.at is None or at == lost.at
            if at == lost.at:
                if lost.stopped:
                    self._failed(attempt, self._failure(attempt, lost.trouble))
                    continue
                attempt.deaths += lost.begun
                if attempt.deaths >= DEATHS_ALLOWED or lost.hopeless:
                    times = EARLY_DEATHS_ALLOWED if lost.hopeless else attempt.deaths
                    trouble = tell_deaths(lost.trouble, times)
                    self._failed(attempt, self._failure(attempt, trouble))
                    continue
            if lost.begun and not attempt.options.rerun_on_worker_death:
                self._failed(attempt, self._failure(attempt, lost.trouble))
                continue
            back.append(attempt)
        for attempt in reversed(back):
            attempt.parcel, attempt.queued = None, True
            attempt.queue.waiting.appendleft(attempt)
        self._received(parcel, parcel.size - parcel.applied)

    def due(self) -> float | None:
        """When `fire` has something to do, by the monotonic clock."""
        return self._timers[0][0] if self._timers else None

    def fire(self, now: float) -> None:
        """Do what is due."""
        while self._timers and self._timers[0][0] <= now:
            _, _, action, attempt, number = heapq.heappop(self._timers)
            if not attempt.over and attempt.number == number:
                action(attempt)
            else:
                self._past = max(0, self._past - 1)

    def cancel(self, run: _sched.Run, node: int) -> bool:
        """Cancel a call; whether it is one of these.

        It is over at once if it does not run. Else it is told by its next heartbeat, and killed if it
        does not end soon.
        """
        attempt = self._open.get((run, node))
        if attempt is None:
            return False
        attempt.cancelled = True
        parcel = attempt.parcel
        if parcel is None or (parcel.size == 1 and not self._executor.has_started(parcel)):
            self._give_up(attempt)
        elif not self._executor.cancel(parcel, attempt.at - parcel.first):
            self._at(time.monotonic() + GRACE, self._give_up, attempt)
        return True

    def fail(self, parcel: Tracked, failures: dict[int, Failure]) -> None:
        """A parcel could not be packed: its calls go one by one, or fail for good."""
        for attempt in reversed(self._parcels.pop(parcel)):
            attempt.parcel = None
            if attempt.at in failures:
                self._fail_for_good(attempt, failures[attempt.at])
            else:
                attempt.alone = attempt.queued = True
                attempt.queue.waiting.appendleft(attempt)

    def forget(self) -> None:
        """Nothing of it is wanted any more."""
        for attempt in self._open.values():
            attempt.over = True
        self._open.clear()
        self._queues.clear()
        self._by_priority.clear()
        self._timers.clear()
        self._parcels.clear()
        self.running = 0

    def unsent(self, run: _sched.Run) -> int:
        """How many calls of a run are not at the executor."""
        return sum(a.parcel is None and owner is run for (owner, _), a in self._open.items())

    # one call

    def _schedule(self, attempt: Attempt) -> None:
        """The attempt starts after its delay."""
        delay = attempt.options.retry.delay_before(attempt.number) or 0.0
        if delay:
            self._at(time.monotonic() + delay, self._enqueue, attempt)
        else:
            self._enqueue(attempt)

    def _enqueue(self, attempt: Attempt) -> None:
        options = attempt.options
        attempt.queued = True
        attempt.queue.waiting.append(attempt)
        if options.schedule_to_start is None and options.schedule_to_close is None:
            return
        now = time.monotonic()
        if options.schedule_to_start is not None:
            self._at(now + options.schedule_to_start, self._not_started, attempt)
        if options.schedule_to_close is not None:
            self._at(now + options.schedule_to_close, self._not_closed, attempt)

    def _at(self, due: float, action: Callable[[Attempt], None], attempt: Attempt) -> None:
        heapq.heappush(self._timers, (due, next(self._order), action, attempt, attempt.number))

    def _failed(self, attempt: Attempt, failure: Failure) -> None:
        """Another attempt, or the failure is an event."""
        retry, number = attempt.options.retry, attempt.number + 1
        sent = attempt.parcel.sent_at if attempt.parcel is not None else math.nan
        attempt.parcel = None
        if attempt.cancelled or not attempt.is_wanted():
            delay = None
        else:
            delay = retry.delay_before(number)
        if delay is None or not retry.covers(failure):
            if sent > 0:
                attempt.batch.stopped(attempt.at, sent, time.time())
            self._fail_for_good(attempt, failure)
            return
        when = f"in {delay:g} s" if delay else "now"
        log.info("%s; attempt %d comes %s", failure.error().args[0], number, when)
        attempt.number = number
        attempt.batch.set_attempt(attempt.at, number, failure, sent, time.time())
        if attempt.queued:
            attempt.queue.waiting.remove(attempt)
            attempt.queued = False
        self._schedule(attempt)

    def _failure(self, attempt: Attempt, trouble: Trouble | BaseException) -> Failure:
        batch, at = attempt.batch, attempt.at
        failure = to_failure(trouble, batch.key(at), batch.name(at))
        if failure.kind == "worker died":
            failure.message = amend(failure.message, f"called with {show_call(*batch.arguments(at))}")
        failure.attempt = attempt.number
        if failure.kind == "timed out" and attempt.details is not None:
            failure.details = serialization.loads(attempt.details)
        return failure

    def _fail_for_good(self, attempt: Attempt, failure: Failure) -> None:
        self._close(attempt)
        attempt.batch.complete(attempt.at, [None], {attempt.at: failure}, time.time())

    def _close(self, attempt: Attempt) -> None:
        attempt.over = True
        attempt.parcel = None
        del self._open[attempt.batch.run(attempt.at), attempt.batch.node(attempt.at)]
        attempt.batch.drop_call(attempt.at)
        if _has_timers(attempt.options):
            self._past += 1
            if self._past > _PURGE and self._past > len(self._timers) // 2:
                self._purge()

    def _purge(self) -> None:
        """Forget the timers of attempts that are over: millions of calls may have a limit of hours."""
        self._timers = [t for t in self._timers if not t[3].over and t[3].number == t[4]]
        heapq.heapify(self._timers)
        self._past = 0

    def _received(self, parcel: Tracked, n: int) -> None:
        self.running -= n
        parcel.applied += n
        if parcel.applied == parcel.size:
            self._parcels.pop(parcel)[0].queue.messages -= 1

    # limits

    def _not_started(self, attempt: Attempt) -> None:
        parcel = attempt.parcel
        if parcel is None or not self._executor.has_started(parcel):
            limit = attempt.options.schedule_to_start
            self._time_out(attempt, "schedule_to_start", f"it did not start within {limit:g} s")

    def _not_closed(self, attempt: Attempt) -> None:
        limit = attempt.options.schedule_to_close
        self._time_out(attempt, "schedule_to_close", f"it was not done within {limit:g} s")

    def _check_running(self, attempt: Attempt) -> None:
        """Look whether what runs where nobody else looks has passed a limit."""
        parcel, options, now = attempt.parcel, attempt.options, time.monotonic()
        assert parcel is not None
        limit = options.running_limit
        assert limit is not None
        if parcel.began is None:
            self._at(now + limit, self._check_running, attempt)
            return
        ends = []
        if options.start_to_close is not None:
            ends.append((parcel.began + options.start_to_close, "start_to_close"))
        if options.heartbeat is not None:
            ends.append(((parcel.beat or parcel.began) + options.heartbeat, "heartbeat"))
        end, which = min(ends)
        if now < end:
            self._at(end, self._check_running, attempt)
            return
        self._time_out(attempt, which, told(which, options))

    def _time_out(self, attempt: Attempt, which: str, message: str) -> None:
        trouble = Trouble(message, kind="timed out", timeout=which)
        parcel = attempt.parcel
        if parcel is not None:
            if self._executor.expire(parcel, attempt.at - parcel.first, trouble):
                return  # the reply will say so
            attempt.details = parcel.beats.get(attempt.at - parcel.first, attempt.details)
            self._abandon(parcel)
        self._failed(attempt, self._failure(attempt, trouble))

    def _give_up(self, attempt: Attempt) -> None:
        """A cancelled call does not run, or goes on where it can't be killed."""
        if attempt.parcel is not None:
            self._abandon(attempt.parcel)
        self._failed(attempt, self._failure(attempt, CANCELLED))

    def _abandon(self, parcel: Tracked) -> None:
        """What it comes to is nobody's business any more."""
        self._received(parcel, parcel.size - parcel.applied)
        self._executor.abandon(parcel)

    # how many go together

    def _drop_unwanted(self, queue: Queue) -> bool:
        """Whether something is left once those are gone that are over, or whose runs have ended."""
        while queue.waiting and not queue.waiting[0].is_wanted():
            attempt = queue.waiting.popleft()
            if not attempt.over:
                self._close(attempt)
        return bool(queue.waiting)

    def _is_alone(self, attempt: Attempt) -> bool:
        if attempt.alone or attempt.number or attempt.details is not None:
            return True
        return not self._executor.supervises and attempt.options.running_limit is not None

    def _most(self, queue: Queue) -> int:
        left = (queue.function, len(queue.waiting) + 1, self._executor.size)
        cost = self._batching.cost(queue.function)
        if cost is None:
            return 1
        most = self._batching.limit(*left)
        most = min(most, self._executor.largest)
        return most if cost <= 0 else min(most, max(1, int(self._batching.budget(*left) / cost)))

    def _follows(self, attempt: Attempt, other: Attempt) -> bool:
        return (
            other.batch is attempt.batch
            and other.at == attempt.at + 1
            and other.is_wanted()
            and not self._is_alone(other)
        )


def told(which: str, options: Options) -> str:
    """What passed, in words."""
    limit = getattr(options, which)
    if which == "heartbeat":
        return f"no heartbeat came for {limit:g} s (flowy.heartbeat() in the activity sends one)"
    return f"it ran for more than {limit:g} s"


def overdue(parcel: Tracked) -> Trouble:
    """What became of a call whose arguments were not pickled in time."""
    limit = parcel.options.packing_limit
    assert limit is not None
    message = f"its arguments were not pickled within {limit[1]:g} s ({limit[0]})"
    return Trouble(message, kind="timed out", timeout=limit[0])


def _is_current(attempt: Attempt, parcel: Tracked) -> bool:
    """Whether the attempt is still in this parcel."""
    return attempt.parcel is parcel


def _may_share(options: Options) -> bool:
    """Whether several calls may be in one message: not if one must be stopped before it starts."""
    return (
        options.schedule_to_start is None
        and options.schedule_to_close is None
        and options.rerun_on_worker_death
    )


def _has_timers(options: Options) -> bool:
    limits = (options.schedule_to_start, options.schedule_to_close, options.running_limit)
    return any(limit is not None for limit in limits)
