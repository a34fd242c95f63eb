"""Where activities run: one face over worker processes, threads, this thread, or a foreign executor.

Owns: `Executor`, what a driver asks of whatever runs its batches, and the choice from what the user
gave as `executor=`.

May not know: runs, graphs. Neighbours: `driver` asks, `pool` is the default, `threads` and
`foreign` have the others. `concurrent.futures` is imported only if one of its executors is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from flowy._sched import Run
from flowy.errors import UsageError
from flowy.local import batch, cpus
from flowy.local.large import Store
from flowy.local.logs import Habits
from flowy.local.mailbox import Mailbox, Parcel
from flowy.local.memory import check_limit
from flowy.local.pool import Pool
from flowy.local.process import START_METHODS, StartMethod

if TYPE_CHECKING:
    from concurrent import futures

ExecutorChoice: TypeAlias = "str | futures.Executor | Callable[..., futures.Executor]"


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

    def cancel_unwanted(self, mailbox: Mailbox) -> None:
        """The same for all tasks of a mailbox whose runs are over."""

    def abandon(self, parcel: Parcel) -> None:
        """Nobody waits for a parcel of one task any more: don't let it keep others from running."""

    def serves(self) -> bool:
        """Whether this thread is one that runs activities for it, which must not wait for others."""

    def move(self, seconds: float = 0.0) -> None:
        """Move bytes; waits until some can be moved, but for at most so many seconds."""

    def busy(self, mailbox: Mailbox) -> list[Parcel]:
        """The parcels of a mailbox that are being worked on."""

    def at_work(self, mailbox: Mailbox) -> list[Parcel]:
        """The same, for other threads to look at."""

    def pids(self) -> list[int]:
        """The processes that work for it alone, as far as they are on this machine."""

    def kill(self, mailbox: Mailbox) -> None:
        """End what is being worked on for a mailbox, if that can be done; from signal handlers too."""

    def end(self, mailbox: Mailbox) -> None:
        """End what is being worked on for a stopped mailbox, and be whole again after that."""

    def begin(self) -> None:
        """A run begins."""

    def close(self) -> None:
        """Let go of all that was started."""


class ProcessExecutor(Pool):
    """Worker processes of our own."""

    pickles = True
    ships = True


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
    elif not callable(choice) and not _is_executor(choice):
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
    # Imported here because few need one of these, and `import flowy` should be quick.
    if choice in ("inline", "threads"):
        from flowy.local.threads import InlineExecutor, ThreadExecutor

        return InlineExecutor() if choice == "inline" else ThreadExecutor(size)
    from flowy.local.foreign import make_foreign

    assert not isinstance(choice, str)
    return make_foreign(choice, workers, size)


def _is_executor(choice: Any) -> bool:
    from concurrent import futures

    return isinstance(choice, futures.Executor)
