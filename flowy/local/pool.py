"""A pool of worker processes: who holds what, and the moving of bytes between them and drivers.

Owns: the workers, what each of them holds, and when bytes move. Descriptors are unbuffered and never
block, so a full pipe never stops the reading of results.

    driver ─ submit ─> waiting ─ one at a time ─> worker's pipe ─> worker
       <──── mailbox of whoever sent it <──────── replies <────────┘

One thread at a time leads: it moves bytes for all drivers and puts each reply into the mailbox of the
driver that sent the batch. Whoever waits for replies becomes the leader when there is none, so a lone
driver never needs another thread.

May not know: runs, graphs, policy. Neighbours: `driver` above, `process` below.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import mmap
import os
import select
import signal
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from flowy import serialization
from flowy._sched import Run
from flowy.errors import describe
from flowy.local import cpus
from flowy.local.batch import Trouble, load_outcomes
from flowy.local.batching import LARGEST
from flowy.local.deaths import CANCELLED, how_ended, tell_death, tell_deaths
from flowy.local.functions import FunctionTable
from flowy.local.interrupts import interrupts
from flowy.local.large import Store
from flowy.local.logs import Arrival, Habits, origin
from flowy.local.mailbox import DEATHS_ALLOWED, EARLY_DEATHS_ALLOWED, Lost, Mailbox, Parcel, Reply
from flowy.local.memory import limit_of
from flowy.local.output import LAST
from flowy.local.process import PIPE_BYTES, StartMethod, Worker, advise
from flowy.local.status import make_file
from flowy.local.supervisor import Supervisor
from flowy.local.worker import (
    BATCH,
    BEAT,
    FREE,
    FUNCTION,
    GARBLED,
    HOLDS,
    LEVELS,
    LOG,
    OUTCOMES,
    QUICK,
    SETUP,
    SPIN,
    STORE,
    Setup,
)

log = logging.getLogger("flowy")

STILLBORN = 10
"""So many workers in a row that die as they start, and the pool gives up."""
PATIENCE = 2.0
"""Seconds that an idle worker gets to leave before it is killed."""

_LAST = 1 << 20
"""Longer than any queue of a worker."""

_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _open_descriptors() -> set[int]:
    """All descriptors of all pools, which a forked worker must not keep open."""
    return {d for pool in list(_pools) for d in pool.descriptors()}


def end_all() -> None:
    """The process ends: end all workers and remove all shared memory, whoever still uses them."""
    for pool in list(_pools):
        pool.desert()


atexit.register(end_all)


class Pool:
    """`size` workers, and the parcels on their way.

    Args:
        size: how many.
        method: how they start.
        memory_limit: see `memory.check_limit`.
        max_tasks: a worker is replaced after so many tasks.
        habits: how they log and print.
    """

    supervises = True
    tells_start = True

    def __init__(
        self,
        size: int,
        method: StartMethod,
        memory_limit: float | None = None,
        max_tasks: int | None = None,
        habits: Habits | None = None,
    ) -> None:
        self.size = size
        self._method = method
        self._habits = habits or Habits()
        self._levels = self._habits.levels()
        self._stale = False  # whether workers are to be told of other levels
        self._strays: deque[Callable[[], None]] = deque()  # what to log for no driver in particular
        self._max_tasks = max_tasks
        self.largest = LARGEST if max_tasks is None else min(LARGEST, max_tasks)
        self._stillborn = 0  # workers that died in a row before they did anything
        memory = limit_of(memory_limit, size)
        self._supervisor = Supervisor(lambda: self._workers, memory)
        self._early: dict[int, int] = {}  # by function: see `_count_early`
        self._broken: Trouble | None = None
        """Why no worker ever lives."""
        self._leaving: list[Worker] = []
        self._turns = make_file()
        self._dropped: deque[int] = deque()  # functions of which the leader tells the workers
        self._functions: FunctionTable[bytes] = FunctionTable(self._dropped.append)
        self._workers: list[Worker] = []
        self._by_descriptor: dict[int, Worker] = {}
        self._waiting: deque[Parcel] = deque()
        self._in_flight = 0
        self._numbers = 0
        self._lead = threading.Lock()
        self._leader = 0  # the thread that has it
        self._buffer = memoryview(mmap.mmap(-1, PIPE_BYTES))  # what the leader reads into
        self._spin = SPIN if cpus.available() > 1 else 0.0
        self._quick = False  # whether the latest wait was a short one
        self._count = threading.Lock()  # of `_in_flight`, which is not the leader's alone
        self._followers: list[Mailbox] = []
        self._wake_reading, self._wake_writing = os.pipe()
        os.set_blocking(self._wake_reading, False)
        os.set_blocking(self._wake_writing, False)
        self._poll = select.poll()
        self._poll.register(self._wake_reading, select.POLLIN)
        self._closed = False
        self._owner = os.getpid()
        self._hired = 0
        self.store = Store()
        _pools.add(self)
        if method == "fork":
            serialization.prepare()  # once, instead of in each worker
        try:
            for _ in range(size):
                self._hire()
                if interrupts.came:
                    interrupts.check()
            if memory is not None:
                self._supervisor.need(math.inf)
        except BaseException as error:
            self.close()
            advice = advise(error, size) if isinstance(error, OSError) else None
            if advice is not None:
                raise advice from error
            raise

    # what drivers ask

    def begin(self) -> None:
        """A run begins: from now on workers log what this process's loggers let through now."""
        levels = self._habits.levels()
        if levels != self._levels:
            self._levels = levels
            self._stale = True

    def register(self, name: str, callable_: Callable[..., Any]) -> int:
        """The number of a function; it travels once to each worker.

        Raises:
            UsageError: it can't be pickled.
        """
        data = serialization.dump_function(callable_, name)
        return self._functions.add(data, data)

    def release(self, function: int) -> None:
        """One run needs the function no more."""
        self._functions.release(function)
        if self._strays:  # at the end of a run, after which nobody may wait here for long
            self._log_strays()

    def serves(self) -> bool:
        """Whether this thread is one that runs activities."""
        return False

    def room(self, depth: int) -> int:
        """How many more parcels the workers can take, with `depth` of them at each."""
        return self.size * depth - self._in_flight

    def submit(self, parcel: Parcel) -> None:
        """Send a parcel to the least busy worker; its replies come to its mailbox."""
        interrupts.hold(self._wake)
        try:
            with self._count:
                self._in_flight += 1
            self._waiting.append(parcel)
            if self._led(self._hand_out):
                self._pass_lead()
            else:
                self._wake()
        finally:
            interrupts.let_go()

    def collect(self, mailbox: Mailbox, timeout: float | None) -> None:
        """Wait until something is in `mailbox`, at most `timeout` seconds; may lead meanwhile."""
        end = None if timeout is None else time.monotonic() + timeout
        self._followers.append(mailbox)
        mailbox.waker = self._wake_other
        try:
            while not mailbox and not (interrupts.pending and interrupts.here()):
                if self._strays:  # later than what was in the mailbox before
                    self._log_strays()
                left = None if end is None else max(0.0, end - time.monotonic())
                interrupts.hold(self._wake)
                try:
                    led = self._led(self._move, left)
                finally:
                    interrupts.let_go()
                if not led:
                    mailbox.wait(left)
                if end is not None and time.monotonic() >= end:
                    return
        finally:
            mailbox.waker = None
            self._followers.remove(mailbox)
            self._pass_lead()

    def has_started(self, parcel: Parcel) -> bool:
        """Whether a worker has begun with the parcel."""
        for worker in list(self._workers):
            message = worker.page.read().message
            if worker.held.get(message) is parcel:
                return True
        return False

    def expire(self, parcel: Parcel, at: int, trouble: Trouble) -> bool:
        """Kill the worker that runs a call; its reply will be `trouble`. False if none does."""
        return self._supervisor.expire(parcel, at, trouble)

    def cancel(self, parcel: Parcel, at: int) -> bool:
        """Tell a call that it is cancelled, and kill it if it does not end soon."""
        self._supervisor.cancel(parcel, at)
        return True

    def cancel_task(self, run: Run, node: int) -> bool:
        """The same for a task of a run; whether a worker has it."""
        for worker in list(self._workers):
            for parcel in list(worker.held.values()):
                at = parcel.batch.find(run, node) - parcel.first
                if parcel.received <= at < parcel.size:
                    return self.cancel(parcel, at)
        return False

    def cancel_unwanted(self, mailbox: Mailbox) -> None:
        """The same for all tasks of a mailbox whose runs are over."""
        for worker in list(self._workers):
            for parcel in list(worker.held.values()):
                if parcel.mailbox is mailbox:
                    for at in parcel.unwanted():
                        self.cancel(parcel, at)

    def abandon(self, parcel: Parcel) -> None:
        """Nobody waits for a parcel of one task any more: it does not start, unless it has."""
        with contextlib.suppress(ValueError):
            self._waiting.remove(parcel)
            self._settle(1)
            return
        for worker in list(self._workers):
            for number, held in list(worker.held.items()):
                if held is parcel:
                    worker.page.drop(number)

    def move(self, seconds: float = 0.0) -> None:
        """Move what can be moved; waits for that, but for at most so many seconds."""
        interrupts.hold(self._wake)
        try:
            if self._led(self._move, seconds):
                self._pass_lead()
            elif seconds:
                time.sleep(min(seconds, 0.001))
        finally:
            interrupts.let_go()

    def _led(self, step: Callable[..., None], *args: Any) -> bool:
        """Take a step as the leader; False if somebody else leads."""
        if not self._lead.acquire(blocking=False):
            return False
        self._leader = threading.get_ident()
        try:
            step(*args)
        finally:
            self._leader = 0
            self._lead.release()
        return True

    def busy(self, mailbox: Mailbox) -> list[Parcel]:
        """The parcels of a mailbox that are being worked on: of each worker the first it holds."""
        held = [next(iter(worker.held.copy().values()), None) for worker in self._everyone()]
        return [parcel for parcel in held if parcel is not None and parcel.mailbox is mailbox]

    at_work = busy

    def pids(self) -> list[int]:
        """The processes of the workers."""
        return [worker.pid for worker in self._everyone()]

    def kill(self, mailbox: Mailbox) -> None:
        """Kill the workers that hold something of a mailbox; signal handlers may call this."""
        for worker in self._holding(mailbox):
            worker.kill()

    def end(self, mailbox: Mailbox) -> None:
        """Kill what runs for a stopped mailbox; others take the places when there is work for them."""
        doomed = self._holding(mailbox)
        self.kill(mailbox)
        interrupts.hold(self._wake)
        try:
            if self._led(self._bury, doomed):  # else the leader notices
                self._pass_lead()
        finally:
            interrupts.let_go()

    def _holding(self, mailbox: Mailbox) -> list[Worker]:
        return [
            worker
            for worker in self._everyone()
            if any(parcel.mailbox is mailbox for parcel in worker.held.copy().values())
        ]

    def _bury(self, doomed: list[Worker]) -> None:
        for worker in doomed:
            if worker in self._everyone():
                self._replace(worker)

    def close(self) -> None:
        """Let the workers go: idle ones leave, busy ones are killed; all of them if a signal comes."""
        if os.getpid() != self._owner:
            return  # this is a fork made by the user: the workers are its parent's
        self._closed = True
        interrupts.hold(self._kill_all)
        try:
            self._supervisor.close()
            if interrupts.pending or interrupts.hurried:
                self._kill_all()
            self._see_off()
        finally:
            for worker in self._everyone():
                worker.see_off(0.0, partial(self._hear_last, worker))
                worker.hang_up()
            self._workers.clear()
            self._leaving.clear()
            self.store.close()
            self._close_wakers()
            _pools.discard(self)
            interrupts.let_go()
        self._log_strays()

    def _see_off(self) -> None:
        for worker in self._workers:
            if worker.held:
                worker.kill()
            worker.dismiss()
        end = time.monotonic() + PATIENCE
        for worker in self._everyone():
            worker.see_off(end, partial(self._hear_last, worker))

    def _kill_all(self) -> None:
        for worker in self._everyone():
            worker.kill()

    def _everyone(self) -> list[Worker]:
        """All workers, those too that get no more work."""
        return [*self._workers, *self._leaving]

    def _close_wakers(self) -> None:
        for descriptor in (self._wake_reading, self._wake_writing, self._turns):
            if descriptor >= 0:
                os.close(descriptor)
        self._wake_reading = self._wake_writing = self._turns = -1

    def desert(self) -> None:
        """This process ends, perhaps while other threads use the pool: leave nothing behind."""
        if os.getpid() != self._owner:
            return
        self._closed = True
        self._kill_all()
        end = time.monotonic() + PATIENCE
        while not all(worker.gone() for worker in self._everyone()) and time.monotonic() < end:
            time.sleep(0.001)
        self.store.close()

    def descriptors(self) -> list[int]:
        """All that this pool holds open."""
        mine = [self._wake_reading, self._wake_writing, self._turns, *self.store.descriptors()]
        for worker in self._everyone():
            mine += [worker.writing, worker.reading, worker.lifeline, worker.sentinel]
        return [descriptor for descriptor in mine if descriptor >= 0]

    # what the leader does

    def _move(self, timeout: float | None) -> None:
        """Hand out what waits, wait for the pipes, read the replies, hand out again."""
        self._hand_out()
        for descriptor, event in self._await(timeout):
            if descriptor == self._wake_reading:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_reading, 4096)
                continue
            worker = self._by_descriptor.get(descriptor)
            if worker is None:
                continue
            if event & select.POLLOUT:
                worker.write()
                self._watch_output(worker)
            if event & (select.POLLIN | select.POLLHUP | select.POLLERR):
                self._hear(worker, descriptor)
        self._hand_out()

    def _await(self, timeout: float | None) -> list[tuple[int, int]]:
        """The descriptors that have something to tell, after at most `timeout` seconds.

        To sleep and be woken takes some 50 µs. So while replies come within microseconds, it looks a
        few times before it sleeps; never when more tasks run than there are other cores to run them.
        """
        if timeout is not None and timeout <= 0:
            return self._poll.poll(0)
        began = now = time.monotonic()
        if self._quick and self._in_flight == 1:
            while now - began < self._spin:
                found = self._poll.poll(0)
                if found:
                    return found
                os.sched_yield()  # the worker may have been woken on this very core
                now = time.monotonic()
        found = self._poll.poll(None if timeout is None else int(timeout * 1000 + 0.999))
        self._quick = time.monotonic() - began < QUICK
        return found

    def _hear(self, worker: Worker, descriptor: int) -> None:
        """Take in what a worker has to tell; replace it if it is gone.

        Only its end, or an end of its pipe, makes it worth asking the system whether it is gone.
        """
        ended = descriptor != worker.reading or worker.sentinel < 0
        ended = ended and worker.gone()  # asked first: what it wrote before its end is there to be read
        while (size := worker.read([self._buffer])) > 0:
            for kind, number, payload in worker.messages(self._buffer[:size]):
                if kind == LOG:
                    self._take_record(worker, number, payload)
                    continue
                parcel = worker.held[number]
                if kind == OUTCOMES:
                    self._deliver(worker, parcel, number, payload)
                elif kind == BEAT:
                    at, details = serialization.loads(payload)
                    parcel.beat_at(at, details)
                elif kind == HOLDS:
                    self._note_mapped(worker, *serialization.loads(payload))
                elif kind == GARBLED:
                    del worker.held[number]
                    self._unpack(parcel, serialization.loads(payload))
            if size < len(self._buffer) and not ended:
                return
        if ended or size == 0:
            self._replace(worker)

    def _hear_last(self, worker: Worker) -> bool:
        """Take in the records that a leaving worker still has; False at the end of its pipe."""
        while (size := worker.read([self._buffer])) > 0:
            for kind, number, payload in worker.messages(self._buffer[:size]):
                if kind == LOG:
                    self._take_record(worker, number, payload)
        return size != 0

    def _take_record(self, worker: Worker, number: int, payload: memoryview) -> None:
        """A log record goes to the driver whose task it is from, and is handled when that has time."""
        parcel = worker.held.get(number)
        arrival = Arrival(payload, worker.maker, parcel)
        if parcel is None:
            self._strays.append(arrival.handle)
            return
        parcel.mailbox.put(arrival)
        if parcel.mailbox.closed:  # asked after: the driver closes it before it takes what is there
            self._strays += [item.handle for item in parcel.mailbox.take() if type(item) is Arrival]

    def _log_strays(self) -> None:
        """Log what no driver will; never as the leader, for a handler may take any time."""
        if self._strays:
            self._pass_lead()
        while self._strays:
            self._strays.popleft()()

    def _deliver(self, worker: Worker, parcel: Parcel, number: int, payload: memoryview) -> None:
        try:
            outcomes = load_outcomes(payload, self.store.arrive)
        except Exception as error:
            outcomes = parcel.all_failed(
                Trouble(
                    f"the values of its batch could not be unpickled: {describe(error)}",
                    "",
                    None,
                    True,
                )
            )
        parcel.received += len(outcomes.values)
        if self._early:
            for function in parcel.functions:
                self._early.pop(function, None)
        if parcel.received == parcel.size:
            del worker.held[number]
            parcel.arrived()
            self._settle(1)
        parcel.mailbox.put(Reply(parcel, outcomes))

    def _note_mapped(self, worker: Worker, came: list[str], went: list[str]) -> None:
        """Segments that a worker's activities have kept mapped, or no longer have."""
        for path in went:
            worker.mapped.pop(path, None)
        for path in came:
            lease = self.store.lease(path)
            if lease is not None:
                worker.mapped[path] = lease

    def _unpack(self, parcel: Parcel, trouble: Trouble) -> None:
        """A batch that could not be unpickled goes again, task by task, to find the culprit."""
        self._settle(1)
        if parcel.size == 1:
            message = f"its arguments could not be unpickled in the worker: {trouble.message}"
            trouble = trouble._replace(message=message, misused=True)
            parcel.mailbox.put(Reply(parcel, parcel.all_failed(trouble)))
            return
        if parcel.linked or parcel.options is not None:
            parcel.mailbox.put(Lost(parcel))
            return
        for single in parcel.split():
            self._again(single)

    def _settle(self, parcels: int) -> None:
        with self._count:
            self._in_flight -= parcels

    def _again(self, single: Parcel) -> None:
        """Send a task once more, ahead of the others."""
        self._settle(-1)
        self._waiting.appendleft(single)

    def _replace(self, worker: Worker) -> None:
        """A worker has ended: what had not come back goes again, which starts another."""
        (self._leaving if worker in self._leaving else self._workers).remove(worker)
        worker.mapped.clear()
        for descriptor in worker.polled():
            del self._by_descriptor[descriptor]
            with contextlib.suppress(KeyError):
                self._poll.unregister(descriptor)
        worker.kill()
        running, was_up = worker.page.read(), worker.page.is_up
        crash, worker.last_words = worker.words.traceback(), worker.words.last()
        worker.hang_up()
        while not worker.gone():
            time.sleep(0.001)  # it was killed: no time at all, but its sentinel is closed
        if crash and worker.status is not None and worker.status < 0:
            worker.last_words = worker.last_words[-max(1, LAST - len(crash)) :] + crash
            self._strays.append(partial(_tell_of_crash, worker, crash))
        self.store.bury(worker.maker)
        self._count_stillborn(worker, was_up)
        held, worker.held = worker.held, {}
        for position, (number, parcel) in enumerate(held.items()):
            self._settle(1)
            if parcel.mailbox.stopped:
                self._supervisor.forget(parcel)
                continue
            begun = number == running.message
            at = running.at if begun and running.at >= parcel.received else None
            left = parcel.size - parcel.received
            if not position and at is None and was_up and left == 1:
                # With nothing running it died of the first thing that it was to do, or to send back.
                at = parcel.received
            self._return(worker, parcel, at, begun)

    def _return(self, worker: Worker, parcel: Parcel, at: int | None, begun: bool) -> None:
        """What a dead worker had not sent back of a parcel goes again, or fails.

        Args:
            at: what it died of, or may have died of, if it had not `begun` with the parcel.
        """
        verdict = worker.verdict
        stopped = verdict is not None and verdict.at == at
        trouble = verdict.trouble if verdict is not None and stopped else tell_death(worker)
        cancelled = self._supervisor.forget(parcel)
        early = 0 if begun or at is None else self._count_early(parcel)
        hopeless = early >= EARLY_DEATHS_ALLOWED
        if parcel.linked or parcel.options is not None:
            lost = Lost(parcel, at, trouble, begun=begun, stopped=stopped, hopeless=hopeless)
            parcel.mailbox.put(lost)
            return
        for position, single in enumerate(parcel.split(), parcel.received):
            if position == at and verdict is None and begun:
                single.deaths += 1
            if position == at and stopped:
                single.mailbox.put(Reply(single, single.all_failed(trouble)))
            elif position in cancelled:
                single.mailbox.put(Reply(single, single.all_failed(CANCELLED)))
            elif single.deaths >= DEATHS_ALLOWED or (hopeless and position == at):
                told = tell_deaths(trouble, max(single.deaths, early))
                single.mailbox.put(Reply(single, single.all_failed(told)))
            else:
                self._again(single)

    def _count_early(self, parcel: Parcel) -> int:
        """A worker died before it had begun with a task: how often, since the function last ran."""
        for function in parcel.functions:
            self._early[function] = self._early.get(function, 0) + 1
        return max(self._early[function] for function in parcel.functions)

    def _retire(self, worker: Worker) -> None:
        """Let an idle worker go; another will take its place."""
        self._workers.remove(worker)
        self._leaving.append(worker)
        del self._by_descriptor[worker.writing]
        worker.dismiss()

    def _count_stillborn(self, worker: Worker, was_up: bool) -> None:
        """Where workers don't even start, nothing that waits will ever run."""
        if was_up or worker.status == -signal.SIGKILL:
            self._stillborn = 0
            return
        self._stillborn += 1
        if self._stillborn >= STILLBORN:
            trouble = tell_death(worker)
            message = f"{STILLBORN} workers in a row died as they started; {trouble.message}"
            self._broken = trouble._replace(message=message)

    def _hire(self) -> None:
        worker = Worker(self._method, _open_descriptors, self._turns)
        self._workers.append(worker)
        for descriptor in worker.polled():
            self._by_descriptor[descriptor] = worker
            if descriptor != worker.writing:
                self._poll.register(descriptor, select.POLLIN)
        self._hired += 1
        worker.maker = self._hired
        worker.send(SETUP, 0, serialization.dumps(self._setup()))
        worker.send(STORE, 0, self.store.hire(worker.maker))

    def _setup(self) -> Setup:
        threads = max(1, cpus.available() // self.size)
        level = self._habits.level or logging.NOTSET
        return Setup(threads, self._habits.lines, self._method == "fork", level, self._levels)

    def _hand_out(self) -> None:
        """Give each waiting parcel to the worker that holds the fewest; hire for those that died."""
        while self._dropped:
            self._drop(self._dropped.popleft())
        self.store.take_back()
        if self._stale:
            self._stale = False
            self._tell_levels()
        while self._waiting and not self._closed:
            if self._waiting[0].mailbox.stopped:
                self._waiting.popleft()
                self._settle(1)
                continue
            if self._broken is not None:
                self._fail(self._waiting.popleft(), self._broken)
                continue
            if len(self._workers) < self.size:
                self._hire_another()
            worker = min(self._workers, key=_load)
            if self._is_done(worker, self._waiting[0]):
                if worker.held:
                    return
                self._retire(worker)
                continue
            self._give(worker, self._waiting.popleft())

    def _is_done(self, worker: Worker, parcel: Parcel) -> bool:
        """Whether a worker is to be replaced before it gets more work."""
        most = self._max_tasks
        if most is not None and worker.served and worker.served + parcel.size > most:
            worker.retiring = True
        return worker.retiring

    def _fail(self, parcel: Parcel, trouble: Trouble) -> None:
        self._settle(1)
        parcel.mailbox.put(Reply(parcel, parcel.all_failed(trouble)))

    def _hire_another(self) -> None:
        """For one that died; if that can't be now, the others do, as long as there are some."""
        try:
            self._hire()
        except OSError as error:
            if not self._workers:
                raise (advise(error, 1) or OSError(f"no worker can start: {error}")) from error

    def _tell_levels(self) -> None:
        data = serialization.dumps(self._levels)
        for worker in self._workers:
            worker.send(LEVELS, 0, data)
            self._watch_output(worker)

    def _drop(self, function: int) -> None:
        """Let the workers forget a function."""
        for worker in self._workers:
            if function in worker.functions:
                worker.functions.discard(function)
                worker.send(FUNCTION, function, b"")
                self._watch_output(worker)

    def _give(self, worker: Worker, parcel: Parcel) -> None:
        for function in parcel.functions:
            if function not in worker.functions:
                worker.functions.add(function)
                worker.send(FUNCTION, function, self._functions[function])
        free = self.store.free_for(worker.maker)
        if free:
            worker.send(FREE, 0, serialization.dumps(free))
        if parcel.options is not None and (limit := parcel.options.running_limit) is not None:
            self._supervisor.need(limit)
        worker.served += parcel.size
        self._numbers = self._numbers % 0xFFFFFFFF + 1
        worker.held[self._numbers] = parcel
        worker.send(BATCH, self._numbers, parcel.message)
        self._watch_output(worker)

    def _watch_output(self, worker: Worker) -> None:
        """Poll for room in the pipe only while something waits to be written."""
        if worker.output and not worker.busy:
            worker.busy = True
            self._poll.register(worker.writing, select.POLLOUT)
        elif worker.busy and not worker.output:
            worker.busy = False
            self._poll.unregister(worker.writing)

    def _pass_lead(self) -> None:
        """Wake somebody who waits for replies, so that there is always a leader."""
        for follower in self._followers:
            follower.nudge()
            break

    def _wake_other(self) -> None:
        """Wake the leader, unless it is this thread that leads: then it is awake."""
        if self._leader != threading.get_ident():
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_writing, b"\0")


def _load(worker: Worker) -> int:
    return len(worker.held) + _LAST * worker.retiring


def _tell_of_crash(worker: Worker, traceback: str) -> None:
    """Its calls may well succeed elsewhere: then nothing else would tell of it."""
    text = "a worker (pid %d) %s:\n%s"
    log.warning(text, worker.pid, how_ended(worker.status), traceback, extra=origin(worker.maker))
