"""What a run asked for, and what the history has of it.

Owns: `Ledger`, which follows each command from being asked for to being over: what waits, what is in
flight with a response, what is open at SWF, what SWF refused for want of room. It compares the history
with what was asked for, and says where they part.

    asked ─> waiting ─> in flight ─> open ─> over        refused ─(a timer)─> waiting
                ^           │ lost, or no room for it
                └───────────┘

May not know: the core, or what events mean for a run: it is told of decisions, not of outcomes. Its
neighbours are `flowy._replay`, which has the way of what goes well (`Books`), and `execution`, whose
it is.

What was decided at an event is what was known at its DecisionTaskStarted. `depart` is called at each
of those, in replays too; the events of the response are then compared with what departed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from flowy._replay import Books, Command
from flowy.errors import NondeterminismError
from flowy.swf import decisions as d
from flowy.swf import serialization

__all__ = ["AGAIN", "Ledger"]

log = logging.getLogger("flowy.swf")

AGAIN = "@again-"
"""How the ids of timers begin that bring another try of what SWF refused."""
LONGEST_AGAIN = 300
"""Seconds between two tries at most."""


class Ledger(Books):
    """The commands of one run.

    Args:
        most: how many of a kind may be open.
        rate_limit: how many tasks in all; None for no limit.
        diverged: makes the error that tells where code and history part, from what it is, the command
            that it is about, and the event.
        strict: another order or other arguments than the history has are such an error too.
    """

    def __init__(
        self,
        most: int,
        rate_limit: int | None,
        diverged: Callable[[str, Command | None, int], NondeterminismError],
        *,
        strict: bool = False,
    ) -> None:
        self._diverged = diverged
        self.warned = False
        """It was told that an input is another one than in the history."""
        self._again: Command | None = None
        self._tries = 0

    # ------------------------------------------------------------ where code and history part

    def missing(self, command: Command, event_id: int) -> NondeterminismError:
        """It was in the response, and the history does not have it."""
        what = command.type if command.kind is d.CLOSE else f"{command.kind} {command.id}"
        return self._diverged(
            f"the code asks for {what}, which the history does not have", command, event_id
        )

    def unasked(self, kind: str, id: str, command: Command | None, event_id: int) -> NondeterminismError:
        """The history has what was not asked for by then, or not at all."""
        if command is None:
            what = f"the history has {kind} {id}, which the code did not ask for"
        else:
            what = f"the history has {kind} {id} before the code asks for it"
        return self._diverged(what, command, event_id)

    def misplaced(self, command: Command, event_id: int) -> NondeterminismError:
        """The history has it in another place."""
        what = f"the history has {command.kind} {command.id} after what the code asks for later"
        return self._diverged(what, command, event_id)

    def unwanted(self, command: Command, event_id: int) -> NondeterminismError:
        """The history has what the run did not want any more."""
        what = f"the history has {command.kind} {command.id}, which the code had cancelled by then"
        return self._diverged(what, command, event_id)

    def mistyped(self, command: Command, type: Any, event_id: int) -> NondeterminismError:
        """The history has it as a task of another type."""
        expected = command.task.call.type
        return self._diverged(
            f"the history has {command.id} as {_show(type)}, and the code has {_show(expected)}",
            command,
            event_id,
        )

    def check_input(self, command: Command, input: Any, event_id: int) -> None:
        """The text of its input is another one: perhaps only the text."""
        task = command.task
        if serialization.same_json(input, task.input):
            return
        message = (
            f"{command.id} had the input {d.cut(input, 200)} in the history, and the code asks for it "
            f"with {d.cut(task.input, 200)}"
        )
        if self.strict:
            raise self._diverged(message, command, event_id)
        if not self.warned:
            self.warned = True
            told = "%s, at event %d; what was sent stays. More are not told"
            log.warning(told, message, event_id)

    # ------------------------------------------------------------ what SWF refused

    def refused(self, command: Command) -> None:
        """SWF had no room for it: it is to be asked for again."""
        self.was_refused = True
        command.state = d.REFUSED
        self.keep(command)
        self.turned_away.append(command)

    def before_departure(self, event_id: int, ended: bool) -> None:
        """Something was refused: see that it is asked for again, unless the code ended without it."""
        if ended:
            self.turned_away = [c for c in self.turned_away if c.kind in d.AT_THE_END]
        if self.turned_away and self._again is None:
            self._try_again_later(event_id)

    def _try_again_later(self, event_id: int) -> None:
        """A timer before what was refused is asked for again; longer each time."""
        if all(c.kind is d.TIMER for c in self.turned_away):  # one more timer would be refused as well
            if not self.is_open(d.TIMER):
                self.try_again(event_id)
            return  # else they go again when one fires
        self._tries += 1
        delay = min(LONGEST_AGAIN, 1 << min(max(self.streak - 1, 0), 20))
        id = f"{AGAIN}{self._tries}"
        says = {"timerId": id, "startToFireTimeout": str(delay)}
        self._again = Command(d.OWN, "StartTimer", id, says)
        self.add(self._again, event_id)

    def try_again(self, event_id: int) -> None:
        """What was refused waits again."""
        refused, self.turned_away = self.turned_away, []
        self._again = None
        again = [c for c in refused if c.state is d.REFUSED]
        for command in again:
            command.asked_at = event_id
        self.add_again(again)

    def timer_over(self, command: Command, event_id: int) -> None:
        """A timer fired or was cancelled: there may be room for what was refused."""
        if command is self._again or (
            self._again is None and any(c.kind is d.TIMER for c in self.turned_away)
        ):
            self.try_again(event_id)

    def own_timer_opened(self, id: str, event_id: int) -> None:
        """A timer that only brings the next decision."""
        if id.startswith(d.NEXT):
            self.deferred = True
        command = self.drop(d.OWN, id)  # None: its maker had other limits
        self.opened(command or Command(d.OWN, "StartTimer", id), event_id)

    def own_timer_refused(self, id: str, event_id: int) -> None:
        """It will not fire; but its refusal brings the next decision as well."""
        if id.startswith(d.NEXT):
            self.deferred = True
            return
        command = self.drop(d.OWN, id)
        if command is not None:
            command.state = d.OVER
        if command is self._again:
            self.try_again(event_id)
        self.was_refused = True


def _show(type: Mapping[str, Any]) -> str:
    return " ".join(str(part) for part in type.values())
