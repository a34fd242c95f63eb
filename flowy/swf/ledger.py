"""What a run asked for, and what the history has of it.

Owns: `Task`, and `Ledger`, which follows each command from being asked for to being over: what waits,
what is in flight with a response, what is open at SWF, what SWF refused for want of room. It compares
the history with what was asked for, and says where they part.

    asked ─> waiting ─> in flight ─> open ─> over        refused ─(a timer)─> waiting
                ^           │ lost, or no room for it
                └───────────┘

May not know: the core, or what events mean for a run: it is told of decisions, not of outcomes. Its
neighbours are `decisions` (what waits and in which order) and `execution`, whose it is.

What was decided at an event is what was known at its DecisionTaskStarted. `depart` is called at each
of those, in replays too; the events of the response are then compared with what departed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from flowy.errors import NondeterminismError
from flowy.swf import decisions as d
from flowy.swf import serialization
from flowy.swf.config import Call

__all__ = ["Ledger", "Task"]

log = logging.getLogger("flowy.swf")

AGAIN = "@again-"
"""How the ids of timers begin that bring another try of what SWF refused."""
LONGEST_AGAIN = 300
"""Seconds between two tries at most."""


class Task:
    """One call of a dependency, or a timer or message of the workflow."""

    __slots__ = (
        "attempt",
        "base",
        "call",
        "cancelled",
        "command",
        "input",
        "key",
        "letters",
        "name",
        "node",
        "started",
        "workflow_id",
    )

    def __init__(self, key: str, name: str, node: int, call: Call | None) -> None:
        self.key = key
        self.name = name
        self.node = node
        self.call = call
        """How it is reached; None for timers and messages."""
        self.base = key.rpartition("-")[0]
        self.attempt = 0
        self.input = ""
        self.cancelled = False
        self.command: d.Command | None = None
        """What stands for it now: itself, or the timer before it."""
        self.workflow_id = ""
        """Of the workflow that it is, as the history has it."""
        self.started = False
        """Whether that workflow has started."""
        self.letters: list[d.Command] = []
        """Signals to the workflow that it is, until it has started."""

    @property
    def id(self) -> str:
        """The key of its present attempt."""
        return f"{self.base}-{self.attempt}"


class Ledger:
    """The commands of one run.

    Args:
        diverged: makes the error that tells where code and history part, from what it is, the command
            that it is about, and the event.
        strict: another order or other arguments than the history has are such an error too.
    """

    def __init__(
        self,
        limits: d.Limits,
        rate_limit: int | None,
        diverged: Callable[[str, d.Command | None, int], NondeterminismError],
        *,
        strict: bool = False,
    ) -> None:
        self.strict = strict
        self.asked: dict[tuple[str, str], d.Command] = {}
        """What the history does not have yet."""
        self.open: dict[int, d.Command] = {}
        """What it has, by the event that opened it."""
        self.flight: list[d.Command] = []
        """What the last response has, or had no room for."""
        self.started_event = 0
        """The last DecisionTaskStarted."""
        self.previous_event = 0
        """The one before."""
        self.deferred = False
        """The response whose decisions come now had no room for all."""
        self._desk = d.Desk(limits, rate_limit)
        self._diverged = diverged
        self._warned = False
        self._flying = False
        self._group = 0
        """The DecisionTaskCompleted whose decisions come now."""
        self._place = -1
        self._places: dict[str, int] = {}
        self._was_refused = False
        self._was_opened = False
        self._refused: list[d.Command] = []
        self._again: d.Command | None = None
        self._streak = 0
        self._tries = 0

    @property
    def waiting(self) -> int:
        """How many commands wait for room."""
        return self._desk.waiting

    def add(self, command: d.Command, event_id: int) -> None:
        """The run asks for it, at this event."""
        self.asked[command.kind, command.id] = command
        self._desk.add(command, event_id)

    def withdraw(self, command: d.Command) -> None:
        """The run does not want it any more. If it was in flight, it may yet turn out to be open."""
        if command.state is d.WAITING:
            self._desk.remove(command)
        command.state = d.WITHDRAWN

    # ------------------------------------------------------------ responses

    def depart(self, event_id: int, kinds: tuple[str, ...]) -> None:
        """A decision task has started: what waits and has room is in flight from now on."""
        self.close_group()
        self.lose()
        if self._refused:
            self._refused = [c for c in self._refused if c.kind in kinds]
        if self._refused and self._again is None:
            self._try_again_later(event_id)
        self.previous_event, self.started_event = self.started_event, event_id
        self._flying = True
        taken = self._desk.take(kinds)
        self.flight = [c for c in taken if c.kind is not d.CANCEL or self._is_still_wanted(c)]

    def _is_still_wanted(self, command: d.Command) -> bool:
        """Whether what is to be cancelled is still there."""
        if command.task.state is d.OPEN:
            return True
        command.state = d.OVER
        self.asked.pop((command.kind, command.id), None)
        return False

    def lose(self) -> None:
        """The response did not arrive: all of it waits again."""
        if self._flying:
            self._desk.put_back(c for c in self.flight if c.state is d.FLYING)
            self.flight = []
            self._flying = False

    def arrive(self, event_id: int, started: int, context: str) -> None:
        """The response arrived: the events of its decisions come next."""
        self.close_group()
        if started and started != self.started_event:
            self.lose()
        self._flying = False
        self._group = event_id
        self._place = -1
        self._places.clear()
        self._was_refused = self._was_opened = False
        self.deferred = context.startswith(d.CONTEXT)

    def close_group(self) -> None:
        """All events of the response were seen: was everything there?

        Raises:
            NondeterminismError: something was not, and there was room for it.
        """
        if not self._group:
            return
        missing = [c for c in self.flight if c.state is d.FLYING]
        for command in missing:
            if not self.deferred or command.place < self._places.get(command.kind, -1):
                what = command.type if command.kind is d.CLOSE else f"{command.kind} {command.id}"
                raise self._diverged(
                    f"the code asks for {what}, which the history does not have", command, self._group
                )
        self._desk.put_back(missing)
        self.flight = []
        self._group = 0
        if self._was_refused:
            self._streak += 1
        elif self._was_opened:
            self._streak = 0

    # ------------------------------------------------------------ what the history has

    def recorded(
        self, kind: str, id: str, event_id: int, type: Any = None, input: Any = None
    ) -> d.Command:
        """The history has this decision: the command that it is.

        Raises:
            NondeterminismError: it was not asked for by then, or as something else.
        """
        command = self.asked.pop((kind, id), None)
        if command is None:
            raise self._diverged(
                f"the history has {kind} {id}, which the code did not ask for", None, event_id
            )
        if command.asked_at > self.started_event:
            raise self._diverged(
                f"the history has {kind} {id} before the code asks for it", command, event_id
            )
        if command.state is d.WAITING:
            self._desk.remove(command)
        elif command.state is d.WITHDRAWN and command.withdrawn_at <= self.started_event:
            raise self._diverged(
                f"the history has {kind} {id}, which the code had cancelled by then", command, event_id
            )
        elif command.state is d.FLYING:
            if self.strict and command.place < self._place:
                raise self._diverged(
                    f"the history has {kind} {id} after what the code asks for later", command, event_id
                )
            self._place = self._places[kind] = command.place
        self._compare(command, type, input, event_id)
        return command

    def _compare(self, command: d.Command, type: Any, input: Any, event_id: int) -> None:
        task = command.task
        if command.kind not in d.TASKS or task is None:
            return
        expected = task.call.type
        if expected is not None and type is not None and type != expected:
            raise self._diverged(
                f"the history has {command.id} as {_show(type)}, and the code has {_show(expected)}",
                command,
                event_id,
            )
        if input is None or input == task.input or serialization.same_json(input, task.input):
            return
        message = (
            f"{command.id} had the input {d.cut(input, 200)} in the history, and the code asks for it "
            f"with {d.cut(task.input, 200)}"
        )
        if self.strict:
            raise self._diverged(message, command, event_id)
        if not self._warned:
            self._warned = True
            told = "%s, at event %d; what was sent stays. More are not told"
            log.warning(told, message, event_id)

    def opened(self, command: d.Command, event_id: int) -> bool:
        """It is open at SWF from now on; whether it still should be."""
        wanted = command.state is not d.WITHDRAWN
        command.state = d.OPEN
        self.open[event_id] = command
        self._desk.open[command.kind] += 1
        self._was_opened |= command.kind is not d.OWN
        return wanted

    def over(self, event_id: Any) -> d.Command | None:
        """What an event closed that `event_id` opened; None for what is not known."""
        command = self.open.pop(event_id, None)
        if command is not None:
            command.state = d.OVER
            self._desk.open[command.kind] -= 1
        return command

    # ------------------------------------------------------------ what SWF refused

    def refused(self, command: d.Command) -> None:
        """SWF had no room for it: it is to be asked for again."""
        self._was_refused = True
        command.state = d.REFUSED
        self.asked[command.kind, command.id] = command
        self._refused.append(command)

    def _try_again_later(self, event_id: int) -> None:
        """A timer before what was refused is asked for again; longer each time."""
        if all(c.kind is d.TIMER for c in self._refused):  # one more timer would be refused as well
            if not self._desk.open[d.TIMER]:
                self.try_again(event_id)
            return  # else they go again when one fires
        self._tries += 1
        delay = min(LONGEST_AGAIN, 1 << min(max(self._streak - 1, 0), 20))
        id = f"{AGAIN}{self._tries}"
        says = {"timerId": id, "startToFireTimeout": str(delay)}
        self._again = d.Command(d.OWN, "StartTimer", id, says)
        self.add(self._again, event_id)

    def try_again(self, event_id: int) -> None:
        """What was refused waits again."""
        refused, self._refused = self._refused, []
        self._again = None
        again = [c for c in refused if c.state is d.REFUSED]
        for command in again:
            command.asked_at = event_id
        self._desk.put_back(again)

    def timer_over(self, command: d.Command, event_id: int) -> None:
        """A timer fired or was cancelled: there may be room for what was refused."""
        if command is self._again or (
            self._again is None and any(c.kind is d.TIMER for c in self._refused)
        ):
            self.try_again(event_id)

    def own_timer_opened(self, id: str, event_id: int) -> None:
        """A timer that only brings the next decision."""
        if id.startswith(d.NEXT):
            self.deferred = True
        command = self.asked.pop((d.OWN, id), None)  # None: its maker had other limits
        if command is not None and command.state is d.WAITING:
            self._desk.remove(command)
        self.opened(command or d.Command(d.OWN, "StartTimer", id), event_id)

    def own_timer_refused(self, id: str, event_id: int) -> None:
        """It will not fire; but its refusal brings the next decision as well."""
        if id.startswith(d.NEXT):
            self.deferred = True
            return
        command = self.asked.pop((d.OWN, id), None)
        if command is not None:
            command.state = d.OVER
        if command is self._again:
            self.try_again(event_id)
        self._was_refused = True


def _show(type: Mapping[str, Any]) -> str:
    return " ".join(str(part) for part in type.values())
