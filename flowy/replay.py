"""The keyed door to the core: a run that is fed events one at a time and answers with commands.

Owns: `Replay`, which rebuilds a run from recorded events. Feed a fresh one the events of another, up
to any cut, and it stands exactly where the other stood: same commands, same waits. Deciders, journals
and tests are built on it.

May not know: clocks, processes, or where histories come from. Its neighbour is the core's fast door,
which the local driver uses and which means the same (`_sched`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

from flowy import events
from flowy._sched import Outbox, Run
from flowy.errors import Failure, InternalError, NondeterminismError

__all__ = ["Replay"]


class Replay:
    """One run of a workflow, driven by hand.

    Args:
        factory: takes the dependencies by name and returns the workflow.
        dependencies: their names.
        args, kwargs: the workflow's input.
        seed: of `flowy.random` and `flowy.uuid4`.
        time: of the start event, seconds since the epoch.
        notes: answers of side effects that an earlier run recorded, by ordinal.

    >>> def factory(inc): return lambda n: inc(inc(n))
    >>> replay = Replay(factory, ['inc'], (1,))
    >>> replay.start()
    [Schedule(key='inc-0-0', name='inc', args=(1,), kwargs={})]
    >>> replay.feed(events.TaskCompleted('inc-0-0', 2))
    [Schedule(key='inc-1-0', name='inc', args=(2,), kwargs={})]
    >>> replay.feed(events.TaskCompleted('inc-1-0', 3))
    [Complete(value=3)]
    """

    def __init__(
        self,
        factory: Callable[..., Any],
        dependencies: Iterable[str],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        time: float = 0.0,
        notes: Mapping[int, Any] | None = None,
    ) -> None:
        self._outbox = Outbox()
        self._run = Run(
            factory,
            tuple(dependencies),
            self._outbox,
            args=args,
            kwargs=kwargs,
            seed=seed,
            notes=notes,
        )
        self._time = time
        self._open: dict[str, Any] = {}
        self._exception: BaseException | None = None

    def start(self) -> list[events.Command]:
        """Apply the start event; returns its commands."""
        self._run.start(self._time)
        return self._commands()

    def feed(self, event: events.Event) -> list[events.Command]:
        """Apply one event; returns its commands.

        Raises:
            NondeterminismError: the event is about something that the code did not ask for.
        """
        run = self._run
        if isinstance(event, events.TaskCompleted):
            run.finish_node(self._take(event.key, event), event.value, event.time)
        elif isinstance(event, (events.TaskFailed, events.TaskTimedOut)):
            run.fail_node(self._take(event.key, event), event.failure, event.time)
        elif isinstance(event, events.TaskCancelled):
            name = event.key.rsplit("-", 2)[0]
            failure = Failure("", key=event.key, name=name, kind="cancelled")
            run.fail_node(self._take(event.key, event), failure, event.time)
        elif isinstance(event, events.TimerFired):
            run.finish_node(self._take(event.key, event), None, event.time)
        elif isinstance(event, events.SignalReceived):
            run.receive_signal(event.name, event.value, event.time)
        elif isinstance(event, events.CancelRequested):
            run.request_cancel(event.time)
        elif isinstance(event, events.Drawn):
            run.draw(self._take(event.key, event), event.items, event.time)
        else:
            raise InternalError(f"unknown event {event!r}")
        return self._commands()

    @property
    def waiting_for(self) -> str | None:
        """The key of what the code waits for; None when it does not wait."""
        return self._run.waiting_for

    @property
    def ended(self) -> bool:
        """Whether the run completed, failed or asked for a restart."""
        return self._run.ended

    @property
    def exception(self) -> BaseException | None:
        """What the workflow raised, if the run failed."""
        return self._exception

    def check(self) -> None:
        """Validate the core's invariants; raises `InternalError`."""
        self._run.check()

    def close(self) -> None:
        """Discard the run and all that it holds."""
        self._run.close()

    def __enter__(self) -> Replay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self, key: str, event: events.Event) -> Any:
        """What the core knows `key` by; an event closes it."""
        try:
            return self._open.pop(key)
        except KeyError:
            pass
        asked = ", ".join(sorted(self._open)[:10]) or "nothing"
        raise NondeterminismError(
            f"history has {type(event).__name__} of {key}, which the workflow's code did not ask for "
            f"or which was over already; open now: {asked}{self._where()}"
        )

    def _where(self) -> str:
        frame = self._run.waits_in
        if frame is None:
            return ""
        return f" (the code waits at {frame.f_code.co_filename}:{frame.f_lineno})"

    def _commands(self) -> list[events.Command]:
        """What came out of the event: tasks in the order asked for, then all else."""
        out: list[events.Command] = []
        run, outbox = self._run, self._outbox
        while (batch := outbox.take(1 << 30)) is not None or outbox.broken:
            if batch is not None:
                for i in range(len(batch)):
                    key = batch.key(i)
                    self._open[key] = batch.node(i)
                    out.append(events.Schedule(key, batch.name(i), *batch.arguments(i)))
            for _, node, error in outbox.take_broken():
                failure = Failure.of(error, key=run.key_of(node), name=run.name_of(node))
                run.fail_node(node, failure, run.time)
        for order, target in run.take_orders():
            if isinstance(order, (events.StartTimer, events.WantDraw, events.SendSignal)):
                self._open[order.key] = target
            out.append(order)
        if outbox.take_ended() and run.outcome is not None:
            out.append(run.outcome)
            self._exception = run.exception  # a closed run has none
        return out
