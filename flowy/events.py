"""The words between a run and its driver: events go in, commands come out.

Owns: the events that a history is made of and the commands that a run asks for, as plain named
tuples that can be stored, compared and printed.

May not know: anything else of flowy. The core's fast door passes the same meanings as arrays of
ids; these are their keyed form, for histories, journals, deciders and tests (see `replay`).

A task's key is ``name-call-attempt`` (``square-0-0``), a member of a map ``name-call.index-attempt``,
a timer ``@timer-number-0``. Times are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowy._record import Record
from flowy.errors import Failure


class TaskCompleted(Record):
    """The task `key` returned `value`."""

    key: str
    value: object
    time: float = 0.0


class TaskFailed(Record):
    """The task `key` failed for good."""

    key: str
    failure: Failure
    time: float = 0.0


class TaskTimedOut(Record):
    """The task `key` was not done in time."""

    key: str
    failure: Failure
    time: float = 0.0


class TaskCancelled(Record):
    """The task `key` was cancelled."""

    key: str
    time: float = 0.0


class TimerFired(Record):
    """The timer `key` is due."""

    key: str
    time: float = 0.0


class SignalReceived(Record):
    """Somebody sent the run the signal `name`."""

    name: str
    value: object = None
    time: float = 0.0


class CancelRequested(Record):
    """Somebody asked the run to cancel."""

    time: float = 0.0


class Drawn(Record):
    """`items` more items are to be drawn from the inputs of the lazy map `key`."""

    key: str
    items: int
    time: float = 0.0


Event = (
    TaskCompleted
    | TaskFailed
    | TaskTimedOut
    | TaskCancelled
    | TimerFired
    | SignalReceived
    | CancelRequested
    | Drawn
)


class Schedule(Record):
    """Run the task `key`: dependency `name` with these arguments."""

    key: str
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


class StartTimer(Record):
    """Fire the timer `key` in `seconds`."""

    key: str
    seconds: float


class CancelTask(Record):
    """Cancel the task `key`, if it can still be."""

    key: str


class WantDraw(Record):
    """The lazy map `key` has room for `room` more items."""

    key: str
    room: int


class Note(Record):
    """The answer of the run's side effect number `ordinal`, to be kept for replays."""

    ordinal: int
    value: object


class Changed(Record):
    """The code is past the change `name`, to be kept for replays."""

    name: str


class SendSignal(Record):
    """Send another run the signal `name`; `key` is done when it has it.

    `to` is the key of the task that the other run is, or, if it is no `child`, its id outside. `node` is
    the core's number of that task.
    """

    key: str
    to: str
    name: str
    value: object
    child: bool = False
    run_id: str | None = None
    node: int = -1


class Complete(Record):
    """The run ended with this value."""

    value: object


class Fail(Record):
    """The run ended with this failure."""

    failure: Failure


class Restart(Record):
    """The run ended and asks to be started anew with this input."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


Ending = Complete | Fail | Restart
Command = Schedule | StartTimer | CancelTask | WantDraw | Note | Changed | SendSignal | Ending
