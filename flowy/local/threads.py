"""Activities in this process: in threads, or in the driver's own.

Owns: `InlineExecutor`, `ThreadExecutor`, and what all executors have in common that can't stop a task
once it runs; the answers to activities in threads (`flowy.heartbeat`).

May not know: runs, graphs, pickles of calls. Neighbours: `executors` chooses, `foreign` has the
executors of others.
"""

from __future__ import annotations

import contextlib
import threading
import time
from _queue import Empty, SimpleQueue
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from flowy import activity, serialization
from flowy._sched import Run
from flowy.local import batch
from flowy.local.batching import LARGEST
from flowy.local.functions import FunctionTable
from flowy.local.interrupts import Terminated, interrupts
from flowy.local.mailbox import Mailbox, Parcel, Reply, Tracked
from flowy.local.status import Page

_here = threading.local()
"""`_here.above`: the executors whose activities are on this thread, the innermost last."""

LINGER = 0.5
"""Seconds that threads get to leave when their run is over."""


class Same:
    """A key that is equal only for the very same object, and keeps it alive."""

    __slots__ = ("_object",)

    def __init__(self, object_: Any) -> None:
        self._object = object_

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other._object is self._object

    def __hash__(self) -> int:
        return id(self._object)


class Unsupervised:
    """What executors have in common that can't stop a task, and move no bytes."""

    supervises = False
    tells_start = False
    largest = LARGEST
    store = None
    _functions: FunctionTable[Any]

    def begin(self) -> None:
        pass

    def release(self, function: int) -> None:
        self._functions.release(function)

    def collect(self, mailbox: Mailbox, timeout: float | None) -> None:
        mailbox.wait(timeout)

    def move(self, seconds: float = 0.0) -> None:
        pass

    def has_started(self, parcel: Parcel) -> bool:
        return True

    def expire(self, parcel: Parcel, at: int, trouble: batch.Trouble) -> bool:
        return False

    def cancel(self, parcel: Parcel, at: int) -> bool:
        parcel.cancel(at)
        return False

    def cancel_task(self, run: Run, node: int) -> bool:
        return False

    def cancel_unwanted(self, mailbox: Mailbox) -> None:
        pass

    def abandon(self, parcel: Parcel) -> None:
        pass

    def at_work(self, mailbox: Mailbox) -> list[Parcel]:
        return []

    def pids(self) -> list[int]:
        return []

    def kill(self, mailbox: Mailbox) -> None:
        pass

    def end(self, mailbox: Mailbox) -> None:
        pass


class Threaded(Unsupervised):
    """The same where activities run on threads, which may run workflows of their own."""

    def __init__(self) -> None:
        self._made_under: tuple[Threaded, ...] = getattr(_here, "above", ())

    def serves(self) -> bool:
        return self in getattr(_here, "above", ())

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """This thread runs activities."""
        _here.above = (*self._made_under, self)
        try:
            yield
        finally:
            _here.above = ()


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

    def busy(self, mailbox: Mailbox) -> list[Parcel]:
        return []

    def end(self, mailbox: Mailbox) -> None:
        self._waiting = deque(p for p in self._waiting if p.mailbox is not mailbox)

    def close(self) -> None:
        self._waiting.clear()


class ThreadExecutor(Threaded):
    """Threads of our own: daemons, so that an activity that never ends does not keep the program."""

    pickles = False
    ships = True
    tells_start = True

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self._functions: FunctionTable[Callable[..., Any]] = FunctionTable()
        self._waiting: SimpleQueue[Parcel | None] = SimpleQueue()
        self._in_flight: set[Parcel] = set()
        self._begun: set[Parcel] = set()
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

    def room(self, depth: int) -> int:
        return self.size * depth - len(self._in_flight)

    def submit(self, parcel: Parcel) -> None:
        self._in_flight.add(parcel)
        self._waiting.put(parcel)

    def busy(self, mailbox: Mailbox) -> list[Parcel]:
        return [parcel for parcel in self._begun.copy() if parcel.mailbox is mailbox]

    at_work = busy

    def close(self) -> None:
        """Let the threads go; one that is in an activity leaves when that ends."""
        with contextlib.suppress(Empty):
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

    def cancel_unwanted(self, mailbox: Mailbox) -> None:
        for parcel in list(self._in_flight):
            if parcel.mailbox is mailbox:
                for at in parcel.unwanted():
                    parcel.cancel(at)

    def abandon(self, parcel: Parcel) -> None:
        """The thread that runs it is lost for others until it ends: another takes its place."""
        with self._lock:
            if parcel in self._in_flight:
                self._in_flight.discard(parcel)
                self._abandoned.add(parcel)
                if self.has_started(parcel):
                    self._start_thread()

    def _work(self) -> None:
        with self.serving():
            while (parcel := self._waiting.get()) is not None:
                if not self._run(parcel):
                    return
                del parcel

    def _run(self, parcel: Parcel) -> bool:
        """Run a parcel; whether this thread is still needed."""
        if parcel in self._abandoned:
            self._abandoned.discard(parcel)
            return True
        if parcel.mailbox.stopped:
            self._in_flight.discard(parcel)
            return True
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
                return False  # another thread has its place
            self._in_flight.discard(parcel)
        parcel.mailbox.put(Reply(parcel, outcomes))
        self._begun.discard(parcel)
        return True


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
