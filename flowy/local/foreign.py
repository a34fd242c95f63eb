"""Activities on an executor of somebody else's: anything with the face of `concurrent.futures.Executor`.

Owns: `FutureExecutor`, and how one is made of what the user gave.

May not know: runs, graphs. Neighbours: `executors` chooses, `threads` has what it shares with threads of
our own. Imported when it is asked for: `import flowy` should be quick.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent import futures
from typing import Any

from flowy import serialization
from flowy.errors import UsageError
from flowy.local import batch
from flowy.local.functions import FunctionTable
from flowy.local.interrupts import interrupts
from flowy.local.mailbox import Mailbox, Parcel, Reply
from flowy.local.threads import Same, Threaded, hosting


class FutureExecutor(Threaded):
    """Batches on a `concurrent.futures.Executor`; threads share objects, others get bytes."""

    ships = True

    def __init__(self, executor: futures.Executor, size: int, *, owned: bool) -> None:
        super().__init__()
        self._executor = executor
        self._owned = owned
        self.size = size
        self.pickles = not isinstance(executor, futures.ThreadPoolExecutor)
        self._functions: FunctionTable[Any] = FunctionTable()
        self._in_flight: dict[futures.Future[Any], Parcel] = {}

    def register(self, name: str, callable_: Callable[..., Any]) -> int:
        if self.pickles:
            data = serialization.dump_function(callable_, name)
            return self._functions.add(data, data)
        return self._functions.add(Same(callable_), batch.prepare(callable_))

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
            if not (future.cancelled() and parcel.mailbox.stopped):
                parcel.mailbox.put(reply)

        future.add_done_callback(done)

    def _outcomes(self, parcel: Parcel, future: futures.Future[Any]) -> batch.Outcomes:
        try:
            made = future.result()
            outcomes: batch.Outcomes = batch.load_outcomes(made) if self.pickles else made
        except (Exception, futures.CancelledError) as error:
            return parcel.all_failed(error)
        return outcomes

    def _run(self, parcel: Parcel, table: dict[int, Any]) -> batch.Outcomes:
        """The calls of a parcel, in a thread of the executor."""
        with self.serving(), hosting(parcel) as page:
            return batch.run_calls(table, parcel.work(), page=page)

    def busy(self, mailbox: Mailbox) -> list[Parcel]:
        """Those that can't be called back; the others are."""
        mine = [each for each in self._in_flight.copy().items() if each[1].mailbox is mailbox]
        return [parcel for future, parcel in mine if not future.cancel() and not future.done()]

    def at_work(self, mailbox: Mailbox) -> list[Parcel]:
        mine = [parcel for parcel in self._in_flight.copy().values() if parcel.mailbox is mailbox]
        return mine[: self.size]

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


def make_foreign(
    choice: futures.Executor | Callable[..., futures.Executor], workers: int | None, cpus: int
) -> FutureExecutor:
    """The executor around the one that the user gave, or that what was given makes.

    Raises:
        UsageError: what it makes is no executor.
    """
    if isinstance(choice, futures.Executor):
        size = workers or getattr(choice, "_max_workers", None) or cpus
        return FutureExecutor(choice, size, owned=False)
    made = _call_factory(choice, cpus)
    if not hasattr(made, "submit"):
        raise UsageError(f"executor={choice!r} made {made!r}, which is no executor")
    return FutureExecutor(made, cpus, owned=True)


def _call_factory(factory: Callable[..., Any], size: int) -> Any:
    """Call an executor class or factory, telling it the number of workers if it wants to know."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return factory(max_workers=size)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if "max_workers" in parameters or takes_any:
        return factory(max_workers=size)
    return factory()
