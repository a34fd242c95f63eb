"""What a run asks for, as decisions of Amazon SWF, within its limits.

Owns: `Command`, one thing that is to be decided; `Desk`, where commands wait for their turn, first
come first served within each kind, so that no more is open than may be; and how commands become the
dicts of `RespondDecisionTaskCompleted`, with texts cut where SWF would refuse them.

May not know: histories, or why something is asked for. Its neighbour is `ledger`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = [
    "ACTIVITY",
    "CANCEL",
    "CHILD",
    "CLOSE",
    "KINDS",
    "LAMBDA",
    "MARKER",
    "MORE",
    "NEXT",
    "OWN",
    "SIGNAL",
    "STANDARD",
    "TASKS",
    "TIMER",
    "UNKNOWN",
    "Command",
    "Decisions",
    "Desk",
    "Limits",
    "child_id",
    "cut",
    "seconds",
    "write",
]

ACTIVITY, CHILD, LAMBDA, TIMER, MARKER, SIGNAL, CANCEL, OWN, CLOSE = KINDS = (
    "activity",
    "child",
    "lambda",
    "timer",
    "marker",
    "signal",
    "cancel",
    "own",
    "close",
)
"""`OWN` are timers that only bring another decision."""
TASKS = (ACTIVITY, CHILD, LAMBDA)

WAITING, FLYING, OPEN, OVER, REFUSED, WITHDRAWN = (
    "waiting",
    "in flight",
    "open",
    "over",
    "refused",
    "withdrawn",
)
"""States of a command. One that is withdrawn may yet turn out to be open: then it is cancelled."""
CONTEXT = "waiting:"
"""How the `executionContext` of a response begins that leaves some for later, for want of room."""

REASON = 256
DETAILS = 32_768
IDENTIFIER = 256
LONGEST_TIMER = 99_999_999  # seconds: a duration has at most 8 digits
FRAME = 200
"""Bytes that a decision takes beside its texts, at most: names of fields, punctuation."""

MORE, UNKNOWN = NEXT = ("@more-", "@unknown-")
"""How the ids of timers begin that only bring the next decision: of what had no room in a response, and
of a workflow that the decider did not know."""


class Limits(NamedTuple):
    """What SWF takes."""

    decisions: int = 100
    """In a response; AWS's own framework keeps to it."""
    bytes: int = 1_000_000
    """Of a response; 1 MB."""
    open: int = 1000
    """Activities, timers, children, Lambda functions of a run, each."""
    continue_at: int = 10_000
    """Events of a history from which on `continue_suggested`."""


STANDARD = Limits()


class Decisions(list[dict[str, Any]]):
    """The decisions that answer a task, and the `executionContext` that goes with them, if any."""

    context: str | None = None


class Command:
    """One thing that is to be decided."""

    __slots__ = (
        "asked_at",
        "attributes",
        "id",
        "kind",
        "large",
        "number",
        "place",
        "state",
        "task",
        "type",
        "withdrawn_at",
    )

    def __init__(
        self,
        kind: str,
        type: str,
        id: str,
        attributes: Mapping[str, Any] | None = None,
        task: Any = None,
    ) -> None:
        self.kind = kind
        self.type = type
        """Of the decision."""
        self.id = id
        """By which it is found again in the history: of the activity, timer, task of a child …"""
        self.attributes = attributes
        """Of the decision; None: made from the task when it is sent."""
        self.task = task
        """For whom it is."""
        self.state = WAITING
        self.large: str | None = None
        """The text that is to be stored before it is sent."""
        self.asked_at = 0
        """The event that asked for it."""
        self.number = 0
        self.place = 0
        """Its place in the last flight."""
        self.withdrawn_at = 0
        """The event at which the run did not want it any more."""

    def __repr__(self) -> str:
        return f"<{self.type} {self.id}, {self.state}>"


class Desk:
    """Commands that wait, and how many are open."""

    def __init__(self, limits: Limits, rate_limit: int | None) -> None:
        self.limits = limits
        self.rate_limit = rate_limit or 1 << 30
        self.open = dict.fromkeys(KINDS, 0)
        self._most = {
            # of timers two are kept for those that only bring the next decision
            kind: limits.open - 2 * (kind == TIMER) if kind in (*TASKS, TIMER) else 1 << 30
            for kind in KINDS
        }
        self._queues: dict[str, deque[Command]] = {kind: deque() for kind in KINDS}
        self._made = 0

    def add(self, command: Command, event_id: int) -> None:
        """It waits from now on."""
        self._made += 1
        command.number = self._made
        command.asked_at = event_id
        command.state = WAITING
        self._queues[command.kind].append(command)

    def put_back(self, commands: Iterable[Command]) -> None:
        """What was in flight did not arrive: it waits again, before all others."""
        for command in sorted(commands, key=lambda c: -c.number):
            command.state = WAITING
            self._queues[command.kind].appendleft(command)

    @property
    def waiting(self) -> int:
        """How many wait, for room or for the next response."""
        return sum(map(len, self._queues.values()))

    def take(self, kinds: Iterable[str] = KINDS) -> list[Command]:
        """What goes out now, in the order asked for, as far as there is room; what closes comes last."""
        taken: list[Command] = []
        queues = {kind: queue for kind in kinds if (queue := self._queues[kind])}
        if not queues:
            return taken
        coming = dict.fromkeys(queues, 0)
        tasks = self.open[ACTIVITY] + self.open[CHILD] + self.open[LAMBDA]
        while queues:
            kind = next(iter(queues))
            if len(queues) > 1:
                kind = min(queues, key=lambda kind: (kind is CLOSE, queues[kind][0].number))
            queue = queues[kind]
            full = self.open[kind] + coming[kind] >= self._most[kind]
            if full or (kind in TASKS and tasks >= self.rate_limit):
                del queues[kind]
                continue
            command = queue.popleft()
            if command.state is WAITING:
                coming[kind] += 1
                tasks += kind in TASKS
                command.state = FLYING
                command.place = len(taken)
                taken.append(command)
            if not queue:
                del queues[kind]
        return taken

    def remove(self, command: Command) -> None:
        """The history has it, though it was not sent from here."""
        try:
            self._queues[command.kind].remove(command)
        except ValueError:
            pass


def write(type: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A decision as SWF takes it.

    >>> write('CancelTimer', {'timerId': 't'})
    {'decisionType': 'CancelTimer', 'cancelTimerDecisionAttributes': {'timerId': 't'}}
    """
    return {"decisionType": type, f"{type[0].lower()}{type[1:]}DecisionAttributes": attributes}


def size_of(attributes: Mapping[str, Any]) -> int:
    """Bytes that a decision with these attributes takes in a request, at most."""
    size = FRAME
    for value in attributes.values():
        if isinstance(value, str):
            if value.isascii() and value.isprintable():
                size += len(value) + value.count('"') + value.count("\\")
            else:
                size += len(json.dumps(value))
        else:
            size += len(json.dumps(value))
    return size


def cut(text: str, most: int, mark: str = " … (cut)") -> str:
    """`text`, or as much of it as fits with a mark at its end.

    >>> cut('a long reason', 12)
    'a lo … (cut)'
    """
    return text if len(text) <= most else text[: most - len(mark)] + mark


def seconds(duration: float) -> str:
    """The delay of a timer, in whole seconds, never shorter than asked.

    >>> seconds(0.2), seconds(3)
    ('1', '3')
    """
    return str(min(LONGEST_TIMER, math.ceil(duration - 1e-9)))


def child_id(workflow_id: str, run_id: str, key: str) -> str:
    """The id of the workflow that the task `key` of a run is.

    It tells who started it and what for, and is another in each run of the same workflow.

    >>> child_id('order-7', '22oCiV57Ja39nfJWOEGwDJ5X9O6hzK3Djk', 'ship-0-0')
    'order-7-e753a150-ship-0-0'
    """
    tail = f"-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}-{key}"
    if len(workflow_id) + len(tail) > IDENTIFIER:
        workflow_id = hashlib.sha256(workflow_id.encode()).hexdigest()[:32]
    return workflow_id + tail
