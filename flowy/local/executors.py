"""Where activities run: one face over worker processes, threads, this thread, or a foreign executor.

Owns: `Executor`, what a driver asks of whatever runs its batches, and the choice from what the user
gave as `executor=`.

May not know: runs, graphs. Neighbours: `driver` asks, `pool` is the default.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any, Protocol

from flowy import activity, serialization
from flowy._sched import Run
from flowy.errors import UsageError
from flowy.local import batch, cpus
from flowy.local.batching import LARGEST
from flowy.local.functions import FunctionTable
from flowy.local.interrupts import Terminated, interrupts
from flowy.local.large import Store
from flowy.local.logs import Habits
from flowy.local.mailbox import Mailbox, Parcel, Reply, Tracked
from flowy.local.memory import check_limit
from flowy.local.pool import Pool
from flowy.local.process import START_METHODS, StartMethod
from flowy.local.status import Page

_here = threading.local()
"""`_here.above`: the executors whose activities are on this thread, the innermost last."""

LINGER = 0.5
"""Seconds that threads get to leave when their run is over."""

ExecutorChoice = str | futures.Executor | Callable[..., futures.Executor]


class Executor(Protocol):
    """Runs parcels and posts their replies to the mailbox of whoever sent them."""

    @property
    def size(self) -> int:
        """How many tasks run at a time."""

    @property
    def pickles(self) -> bool:
        """Whether calls travel as bytes."""

    @property
    def ships(self) -> bool:
        """Whether tasks may go along with what they wait for."""

    @property
    def supervises(self) -> bool:
        """Whether it looks after time limits of running calls itself."""

    @property
    def tells_start(self) -> bool:
        """Whether it tells when a call starts: in its page, or in `Tracked.began`."""

    @property
    def largest(self) -> int:
        """The most tasks of a parcel."""

    @property
    def store(self) -> Store | None:
        """Where large values go; None: they stay in calls and values."""

    def register(self, name: str, callable_: Callable[..., Any]) -> int:
        """The number of a function, the same in each run for the same function."""

    def release(self, function: int) -> None:
        """One run needs the function no more."""

    def room(self, depth: int) -> int:
        """How many more parcels fit, `depth` at a time for each of `size`."""

    def submit(self, parcel: Parcel) -> None:
        """Run a parcel; never waits."""

    def collect(self, mailbox: Mailbox, timeout: float | None) -> None:
        """Wait until something is in the mailbox, at most `timeout` seconds."""

    def has_started(self, parcel: Parcel) -> bool:
        """Whether the first of its tasks runs, or has run."""

    def expire(self, parcel: Parcel, at: int, trouble: batch.Trouble) -> bool:
        """Stop the task at this position; its outcome will be `trouble`. False if it can't be."""

    def cancel(self, parcel: Parcel, at: int) -> bool:
        """Tell the task at this position that it is cancelled; whether it is stopped if it goes on."""

    def cancel_task(self, run: Run, node: int) -> bool:
        """The same for a task of a run; False if it was not found."""

    def abandon(self, parcel: Parcel) -> None:
        """Nobody waits for a parcel of one task any more: don't let it keep others from running."""

    def serves(self) -> bool:
        """Whether this thread is one that runs activities for it, which must not wait for others."""

    def move(self, seconds: float = 0.0) -> None:
        """Move bytes; waits until some can be moved, but for at most so many seconds."""

    def begin(self) -> None:
        """A run begins."""

    def busy(self, mailbox: Mailbox) -> list[Parcel]:
        """The parcels of a mailbox that are being worked on."""

    def kill(self, mailbox: Mailbox) -> None:
        """End what is being worked on for a mailbox, if that can be done; from signal handlers too."""

    def end(self, mailbox: Mailbox) -> None:
        """End what is being worked on for a closed mailbox, and be whole again after that."""

    def close(self) -> None:
        """Let go of all that was started."""


def _above() -> tuple[Executor, ...]:
    above: tuple[Executor, ...] = getattr(_here, "above", ())
    return above


class Same:
    """A key that is equal only for the very same object, and keeps it alive."""

    __slots__ = ("_object",)

    def __init__(self, object_: Any) -> None:
        self._object = object_

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other._object is self._object

    def __hash__(self) -> int:
        return id(self._object)


class ProcessExecutor(Pool):
    """Worker processes of our own."""

    pickles = True
    ships = True


class Unsupervised:
    """What executors have in common that can't stop a task."""

    supervises = False
    tells_start = False
    largest = LARGEST
    store = None

    def has_started(self, parcel: Parcel) -> bool:
        return True

    def expire(self, parcel: Parcel, at: int, trouble: batch.Trouble) -> bool:
        return False

    def cancel(self, parcel: Parcel, at: int) -> bool:
        parcel.cancel(at)
        return False

    def cancel_task(self, run: Run, node: int) -> bool:
        return False

    def abandon(self, parcel: Parcel) -> None:
        pass


class InlineExecutor(Unsupervised):
    """Runs each task in the driver's thread when the driver would wait: for pdb and for tests."""

    size = 1
    pickles = False
    ships = False

    def __init__(self) -> None:
        self._functions: FunctionTable[Callable[..., Any]] = FunctionTable()
        self._waiting: deque[Parcel] = deque()

    def register(self, name: str, callable_: Callable[..., Any]) -> int:
        return self._functions.add(Same(callable_), batch.prepare(callable_))

    def release(self, function: int) -> None:
        self._functions.release(function)

    def room(self, depth: int) -> int:
        return 1 - len(self._waiting)

    def submit(self, parcel: Parcel) -> None:
        self._waiting.append(parcel)

    def collect(self, mailbox: Mailbox, timeout: float | None) -> None:
        for position, parcel in enumerate(self._waiting):
            if parcel.mailbox is mailbox:
                del self._waiting[position]
                # A Ctrl-C or an exit in an activity is meant for the whole program here.
                through = (KeyboardInterrupt, Terminated)
                table = {number: self._functions[number] for number in parcel.functions}
                with hosting(parcel) as page:
                    try:
                        interrupts.open()
                        outcomes = batch.run_calls(table, parcel.work(), through=through, page=page)
                    finally:
                        interrupts.shut()
                mailbox.put(Reply(parcel, outcomes))
                return
        mailbox.wait(timeout)

    def serves(self) -> bool:
        return False

    def move(self, seconds: float = 0.0) -> None:
        pass

    def begin(self) -> None:
        pass

    def busy(self, mailbox: Mailbox) -> list[Parcel]:
        return []

    def kill(self, mailbox: Mailbox) -> None:
        pass

    def end(self, mailbox: Mailbox) -> None:
        self._waiting = deque(p for p in self._waiting if p.mailbox is not mailbox)

    def close(self) -> None:
        self._waiting.clear()


class ThreadExecutor(Unsupervised):
    """Threads of our own: daemons, so that an activity that never ends does not keep the program."""

    pickles = False
    ships = True
    tells_start = True

    def __init__(self, size: int) -> None:
        self.size = size
        self._functions: FunctionTable[Callable[..., Any]] = FunctionTable()
        self._waiting: queue.SimpleQueue[Parcel | None] = queue.SimpleQueue()
        self._in_flight: set[Parcel] = set()
        self._begun: set[Parcel] = set()
        self._made_under = _above()
        self._threads: list[threading.Thread] = []
        self._abandoned: set[Parcel] = set()
        self._lock = threading.Lock()
        for _ in range(size):
            self._start_thread()

    def _start_thread(self) -> None:
        name = f"flowy-activity-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def register(self, name: str, callable_: Callable[..., Any]) -> int:
        return self._functions.add(Same(callable_), batch.prepare(callable_))

    def release(self, function: int) -> None:
        self._functions.release(function)

    def room(self, depth: int) -> int:
        return self.size * depth - len(self._in_flight)

    def submit(self, parcel: Parcel) -> None:
        self._in_flight.add(parcel)
        self._waiting.put(parcel)

    def collect(self, mailbox: Mailbox, timeout: float | None) -> None:
        mailbox.wait(timeout)

    def serves(self) -> bool:
        return self in _above()

    def move(self, seconds: float = 0.0) -> None:
        pass

    def begin(self) -> None:
        pass

    def busy(self, mailbox: Mailbox) -> list[Parcel]:
        return [parcel for parcel in self._begun.copy() if parcel.mailbox is mailbox]

    def kill(self, mailbox: Mailbox) -> None:
        pass

    def end(self, mailbox: Mailbox) -> None:
        pass

    def close(self) -> None:
        """Let the threads go; one that is in an activity leaves when that ends."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
        for _ in self._threads:
            self._waiting.put(None)
        end = time.monotonic() + LINGER
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def has_started(self, parcel: Parcel) -> bool:
        return getattr(parcel, "began", None) is not None

    def cancel_task(self, run: Run, node: int) -> bool:
        for parcel in list(self._in_flight):
            at = parcel.batch.find(run, node) - parcel.first
            if 0 <= at < parcel.size:
                parcel.cancel(at)
                return True
        return False

    def abandon(self, parcel: Parcel) -> None:
        """The thread that runs it is lost for others until it ends: another takes its place."""
        with self._lock:
            if parcel in self._in_flight:
                self._in_flight.discard(parcel)
                self._abandoned.add(parcel)
                if self.has_started(parcel):
                    self._start_thread()

    def _work(self) -> None:
        _here.above = (*self._made_under, self)
        while (parcel := self._waiting.get()) is not None:
            if parcel in self._abandoned:
                self._abandoned.discard(parcel)
                continue
            if parcel.mailbox.closed:
                self._in_flight.discard(parcel)
                continue
            self._begun.add(parcel)
            if isinstance(parcel, Tracked):
                parcel.began = time.monotonic()
            table = {number: self._functions[number] for number in parcel.functions}
            with hosting(parcel) as page:
                outcomes = batch.run_calls(table, parcel.work(), page=page)
            with self._lock:
                if parcel in self._abandoned:
                    self._abandoned.discard(parcel)
                    self._begun.discard(parcel)
                    return  # another thread has its place
                self._in_flight.discard(parcel)
            parcel.mailbox.put(Reply(parcel, outcomes))
            self._begun.discard(parcel)
            del parcel, table, outcomes


@contextlib.contextmanager
def hosting(parcel: Parcel) -> Iterator[Page]:
    """Answer the activities of a parcel that run in this thread; the page shows which does."""
    page = Page()
    activity.set_host(Host(parcel, page))
    try:
        yield page
    finally:
        activity.set_host(None)
        page.close()


class Host:
    """What answers activities in threads."""

    def __init__(self, parcel: Parcel, page: Page) -> None:
        self._parcel = parcel
        self._page = page

    def beat(self, details: Any) -> None:
        at = self._page.read().at
        if isinstance(self._parcel, Tracked):
            self._parcel.beat = time.monotonic()
            if details is not None:
                self._parcel.beats[at] = serialization.dumps(details)
        if self._parcel.is_cancelled(at):
            raise activity.cancelled()

    def last(self) -> Any:
        watched = self._parcel.watched if isinstance(self._parcel, Tracked) else {}
        data = watched.get(self._page.read().at)
        return None if data is None else serialization.loads(data)


class FutureExecutor(Unsupervised):
    """Batches on a `concurrent.futures.Executor`; threads share objects, others get bytes."""

    ships = True

    def __init__(self, executor: futures.Executor, size: int, *, owned: bool) -> None:
        self._executor = executor
        self._owned = owned
        self.size = size
        self.pickles = not isinstance(executor, futures.ThreadPoolExecutor)
        self._functions: FunctionTable[Any] = FunctionTable()
        self._in_flight: dict[futures.Future[Any], Parcel] = {}
        self._made_under = _above()

    def register(self, name: str, callable_: Callable[..., Any]) -> int:
        if self.pickles:
            data = serialization.dump_function(callable_, name)
            return self._functions.add(data, data)
        return self._functions.add(Same(callable_), batch.prepare(callable_))

    def release(self, function: int) -> None:
        self._functions.release(function)

    def room(self, depth: int) -> int:
        return self.size * depth - len(self._in_flight)

    def submit(self, parcel: Parcel) -> None:
        table = {number: self._functions[number] for number in parcel.functions}
        future: futures.Future[Any]
        if self.pickles:
            future = self._executor.submit(batch.run_message, table, parcel.message)
        else:
            future = self._executor.submit(self._run, parcel, table)
        self._in_flight[future] = parcel

        def done(future: futures.Future[Any]) -> None:
            reply = Reply(parcel, self._outcomes(parcel, future))
            self._in_flight.pop(future, None)
            if not (future.cancelled() and parcel.mailbox.closed):
                parcel.mailbox.put(reply)

        future.add_done_callback(done)

    def _outcomes(self, parcel: Parcel, future: futures.Future[Any]) -> batch.Outcomes:
        try:
            made = future.result()
            outcomes: batch.Outcomes = batch.load_outcomes(made) if self.pickles else made
        except (Exception, futures.CancelledError) as error:
            return parcel.all_failed(error)
        return outcomes

    def collect(self, mailbox: Mailbox, timeout: float | None) -> None:
        mailbox.wait(timeout)

    def serves(self) -> bool:
        return self in _above()

    def _run(self, parcel: Parcel, table: dict[int, Any]) -> batch.Outcomes:
        """The calls of a parcel, in a thread of the executor."""
        _here.above = (*self._made_under, self)
        try:
            with hosting(parcel) as page:
                return batch.run_calls(table, parcel.work(), page=page)
        finally:
            _here.above = ()

    def move(self, seconds: float = 0.0) -> None:
        pass

    def begin(self) -> None:
        pass

    def busy(self, mailbox: Mailbox) -> list[Parcel]:
        """Those that can't be called back; the others are."""
        mine = [each for each in self._in_flight.copy().items() if each[1].mailbox is mailbox]
        return [parcel for future, parcel in mine if not future.cancel() and not future.done()]

    def kill(self, mailbox: Mailbox) -> None:
        pass

    def end(self, mailbox: Mailbox) -> None:
        pass

    def close(self) -> None:
        for future in list(self._in_flight):
            future.cancel()
        if not self._owned:
            return
        try:
            interrupts.open()  # it may take as long as what it runs
            self._executor.shutdown(wait=not interrupts.stopping)
        finally:
            interrupts.shut()


def check_choice(choice: Any, start_method: Any, workers: Any) -> None:
    """Tell early what can't be an executor, a start method or a number of workers.

    Raises:
        UsageError: with what can be.
    """
    if isinstance(choice, str):
        if choice not in ("processes", "threads", "inline"):
            raise UsageError(
                f"executor={choice!r} is unknown: use 'processes', 'threads', 'inline', or a "
                "concurrent.futures.Executor class, factory or instance"
            )
    elif not isinstance(choice, futures.Executor) and not callable(choice):
        raise UsageError(
            f"executor={choice!r} is no executor: use 'processes', 'threads', 'inline', or a "
            "concurrent.futures.Executor class, factory or instance"
        )
    if start_method not in START_METHODS:
        raise UsageError(f"start_method={start_method!r} is unknown: use one of {START_METHODS}")
    if workers is not None and (
        not isinstance(workers, int) or isinstance(workers, bool) or workers < 1
    ):
        raise UsageError(f"activity_workers must be a number from 1 on, not {workers!r}")


def check_workers(choice: Any, memory_limit: Any, max_tasks: Any) -> None:
    """Raises `UsageError` if these can't limit the workers of this executor."""
    check_limit(memory_limit)
    if max_tasks is not None and (
        not isinstance(max_tasks, int) or isinstance(max_tasks, bool) or max_tasks < 1
    ):
        raise UsageError(f"max_tasks_per_worker must be a number from 1 on, not {max_tasks!r}")
    for name, value in (("memory_limit", memory_limit), ("max_tasks_per_worker", max_tasks)):
        if value is not None and choice != "processes":
            raise UsageError(f"{name} is one of worker processes: it needs executor='processes'")


def make_executor(
    choice: ExecutorChoice,
    workers: int | None,
    start_method: StartMethod,
    habits: Habits,
    memory_limit: float | None = None,
    max_tasks: int | None = None,
) -> Executor:
    """The executor that the user asked for, started."""
    size = workers or cpus.available()
    if choice == "processes":
        return ProcessExecutor(size, start_method, memory_limit, max_tasks, habits)
    if choice == "inline":
        return InlineExecutor()
    if choice == "threads":
        return ThreadExecutor(size)
    if isinstance(choice, futures.Executor):
        size = workers or getattr(choice, "_max_workers", None) or size
        return FutureExecutor(choice, size, owned=False)
    assert callable(choice)
    made = _call_factory(choice, size)
    if not hasattr(made, "submit"):
        raise UsageError(f"executor={choice!r} made {made!r}, which is no executor")
    return FutureExecutor(made, size, owned=True)


def _call_factory(factory: Callable[..., Any], size: int) -> Any:
    """Call an executor class or factory, telling it the number of workers if it wants to know."""
    import inspect  # here, because `import flowy` should be quick

    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return factory(max_workers=size)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if "max_workers" in parameters or takes_any:
        return factory(max_workers=size)
    return factory()
