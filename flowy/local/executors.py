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
from collections.abc import Callable
from concurrent import futures
from typing import Any, Protocol

from flowy import serialization
from flowy.errors import UsageError
from flowy.local import batch, cpus
from flowy.local.functions import FunctionTable
from flowy.local.large import Store
from flowy.local.logs import Habits
from flowy.local.mailbox import Mailbox, Parcel, Reply
from flowy.local.pool import Pool
from flowy.local.process import START_METHODS, StartMethod

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

    def serves(self) -> bool:
        """Whether this thread is one that runs activities for it, which must not wait for others."""

    def move(self, seconds: float = 0.0) -> None:
        """Move bytes; waits until some can be moved, but for at most so many seconds."""

    def begin(self) -> None:
        """A run begins."""

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


class InlineExecutor:
    """Runs each task in the driver's thread when the driver would wait: for pdb and for tests."""

    size = 1
    pickles = False
    ships = False
    store = None

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
                through = (KeyboardInterrupt,)
                table = {number: self._functions[number] for number in parcel.functions}
                outcomes = batch.run_calls(table, parcel.work(), through=through)
                mailbox.put(Reply(parcel, outcomes))
                return
        mailbox.wait(timeout)

    def serves(self) -> bool:
        return False

    def move(self, seconds: float = 0.0) -> None:
        pass

    def begin(self) -> None:
        pass

    def close(self) -> None:
        self._waiting.clear()


class ThreadExecutor:
    """Threads of our own: daemons, so that an activity that never ends does not keep the program."""

    pickles = False
    ships = True
    store = None

    def __init__(self, size: int) -> None:
        self.size = size
        self._functions: FunctionTable[Callable[..., Any]] = FunctionTable()
        self._waiting: queue.SimpleQueue[Parcel | None] = queue.SimpleQueue()
        self._in_flight: set[Parcel] = set()
        self._made_under = _above()
        self._threads = [
            threading.Thread(target=self._work, name=f"flowy-activity-{i}", daemon=True)
            for i in range(size)
        ]
        for thread in self._threads:
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

    def _work(self) -> None:
        _here.above = (*self._made_under, self)
        while (parcel := self._waiting.get()) is not None:
            table = {number: self._functions[number] for number in parcel.functions}
            outcomes = batch.run_calls(table, parcel.work())
            self._in_flight.discard(parcel)
            parcel.mailbox.put(Reply(parcel, outcomes))
            del parcel, table, outcomes


class FutureExecutor:
    """Batches on a `concurrent.futures.Executor`; threads share objects, others get bytes."""

    ships = True
    store = None

    def __init__(self, executor: futures.Executor, size: int, *, owned: bool) -> None:
        self._executor = executor
        self._owned = owned
        self.size = size
        self.pickles = not isinstance(executor, futures.ThreadPoolExecutor)
        self._functions: FunctionTable[Any] = FunctionTable()
        self._in_flight: set[futures.Future[Any]] = set()
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
            future = self._executor.submit(self._run, table, parcel.work())
        self._in_flight.add(future)

        def done(future: futures.Future[Any]) -> None:
            self._in_flight.discard(future)
            parcel.mailbox.put(Reply(parcel, self._outcomes(parcel, future)))

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

    def _run(self, *args: Any) -> batch.Outcomes:
        """The calls of a parcel, in a thread of the executor."""
        _here.above = (*self._made_under, self)
        try:
            return batch.run_calls(*args)
        finally:
            _here.above = ()

    def move(self, seconds: float = 0.0) -> None:
        pass

    def begin(self) -> None:
        pass

    def close(self) -> None:
        for future in list(self._in_flight):
            future.cancel()
        if self._owned:
            self._executor.shutdown(wait=True)


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


def make_executor(
    choice: ExecutorChoice, workers: int | None, start_method: StartMethod, habits: Habits
) -> Executor:
    """The executor that the user asked for, started."""
    size = workers or cpus.available()
    if choice == "processes":
        return ProcessExecutor(size, start_method, habits)
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
