"""What travels between a driver and its executor: parcels out, replies back into a mailbox.

Owns: `Parcel` (a batch on its way), `Reply` (what some of its tasks came to) and `Mailbox` (where the
driver's thread finds replies, and whatever other threads post to it).

May not know: processes, threads pools, runs. Neighbours: `driver` on one side, `pool` and
`executors` on the other.
"""

from __future__ import annotations

from _queue import Empty, SimpleQueue
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Any

from flowy import serialization
from flowy._sched import Batch
from flowy.local.batch import Outcomes, Trouble
from flowy.local.patience import within
from flowy.local.shelf import Hold, Shelf
from flowy.options import Options
from flowy.serialization import Work


class Mailbox:
    """A queue that one thread reads and any thread may post to."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        self._nudges: SimpleQueue[None] = SimpleQueue()  # a signal handler may put
        self._asleep = False
        self.stopped = False
        """Whether what has not started for the reader never will."""
        self.waker: Callable[[], None] | None = None
        """Set while the reader sleeps in something else than `wait`, which this interrupts."""
        self.shelf: Shelf | None = None
        """Where the large buffers go of what the reader sends; None: they travel in the message."""
        self.closed = False
        """Whether the reader is gone; what it has not taken is whoever's that takes it."""
        self.timed = False
        """Whether the reader wants to know when each call ran."""

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Any) -> None:
        """Post `item` and wake the reader."""
        self._items.append(item)
        if self._asleep:  # set before the reader looks for items: one of the two sees the other
            self.nudge()
        waker = self.waker
        if waker is not None:
            waker()

    def nudge(self) -> None:
        """Wake the reader out of `wait`, or keep it from sleeping there the next time."""
        if self._nudges.empty():
            self._nudges.put(None)

    def wait(self, timeout: float | None) -> None:
        """Wait for an item or a nudge, at most `timeout` seconds."""
        self._asleep = True
        try:
            if not self._items:
                self._nudges.get(timeout=timeout)
            while True:
                self._nudges.get_nowait()
        except Empty:
            self._asleep = False

    def take(self) -> list[Any]:
        """All items, oldest first."""
        items = []
        while self._items:
            items.append(self._items.popleft())
        return items


DEATHS_ALLOWED = 3
"""A task that was running when its worker died this often fails."""
EARLY_DEATHS_ALLOWED = 9
"""So does one that was the next when this many workers in a row died before they had begun with it: they
may die of its function. If they die of something else, as somebody kills them, it only was the next."""


class Parcel:
    """Tasks `first` to `first + size` of a batch, on their way to one worker."""

    __slots__ = (
        "batch",
        "cancelled",
        "deaths",
        "first",
        "functions",
        "hold",
        "linked",
        "mailbox",
        "message",
        "received",
        "sent_at",
        "sent_bytes",
        "size",
    )

    def __init__(self, batch: Batch, mailbox: Mailbox, first: int = 0, size: int | None = None) -> None:
        self.batch = batch
        self.mailbox = mailbox
        self.first = first
        self.size = len(batch) if size is None else size
        which = batch.which
        if isinstance(which, list):
            self.functions = frozenset(which[first : first + self.size])
        else:
            self.functions = frozenset((which,))
        self.linked = batch.linked and self.size > 1
        self.received = 0
        self.deaths = 0
        self.message = b""
        self.sent_at = 0.0
        """Seconds since the epoch, if the reader wants to know; and what the calls took then:"""
        self.sent_bytes = 0
        self.hold: Hold | None = None
        """The large buffers that the message speaks of; until its outcomes are back."""

    def work(self) -> Work:
        """The calls of the tasks."""
        batch, first, end = self.batch, self.first, self.first + self.size
        if self.size == len(batch):
            return Work(
                batch.which,
                batch.calls,
                batch.keywords,
                batch.flat,
                *batch.link_bytes,
                batch.patient,
                None,
                self.mailbox.timed,
            )
        which = batch.which[first:end] if isinstance(batch.which, list) else batch.which
        given = batch.keywords
        keywords = {i - first: given[i] for i in range(first, end) if i in given} if given else {}
        calls, timed = batch.calls[first:end], self.mailbox.timed
        return Work(which, calls, keywords, batch.flat, b"", b"", False, None, timed)

    def cancel(self, at: int) -> None:
        """Note that the task at this position is cancelled; where it runs, its next heartbeat tells."""
        self.cancelled = (*getattr(self, "cancelled", ()), at)

    def is_cancelled(self, at: int) -> bool:
        """Whether that was noted."""
        return at in getattr(self, "cancelled", ())

    def unwanted(self) -> list[int]:
        """The positions whose results have not come and are nobody's any more."""
        at = range(self.received, self.size)
        return [each for each in at if not self.batch.wanted(self.first + each)]

    def pack(self) -> None:
        """Pickle the calls; those of a whole batch are kept as bytes only from then on.

        Raises:
            Exception: something in them can't be pickled.
        """
        if not self._pack() and self.size == len(self.batch) and not self.linked:
            self.batch.forget_calls()

    def _pack(self) -> list[int]:
        """The positions of calls that hold objects: they are kept as they are, too."""
        objects = self._objects()
        work, shelf = self.work(), self.mailbox.shelf
        if shelf is None or not objects:
            self.message = serialization.dump_calls(work, objects)
        else:
            self.message, self.hold = shelf.pack(
                lambda apart: serialization.dump_calls(work, objects, apart)
            )
        return objects

    def _objects(self) -> list[int]:
        first, objects = self.first, self.batch.objects
        if self.size == len(self.batch):
            return objects
        objects = objects[bisect_left(objects, first) : bisect_left(objects, first + self.size)]
        return [i - first for i in objects]

    options: Options | None = None

    def beat_at(self, at: int, details: bytes) -> None:
        """The task at this position said how far it is."""

    def arrived(self) -> None:
        """All outcomes are back: what was large in the arguments can be used again.

        The reply may wait for long while the workflow's code goes on: it keeps no more than it needs.
        """
        self.hold = None
        self.message = b""
        if self.size == len(self.batch):
            self.batch.forget_calls()

    def call(self, at: int) -> tuple[Any, Any] | None:
        """(args, kwargs) of the task at this position; None where they are gone, or bytes only."""
        if self.batch.calls:
            return self.batch.arguments(self.first + at)
        return serialization.peek_call(self.message, at) if self.message else None

    def split(self) -> list[Parcel]:
        """A packed parcel for each task whose outcome has not come back."""
        singles = []
        for i, message in enumerate(serialization.split_calls(self.message, self.received)):
            single = Parcel(self.batch, self.mailbox, self.first + self.received + i, 1)
            single.deaths = self.deaths
            single.message, single.hold = message, self.hold
            single.sent_at = self.sent_at
            single.sent_bytes = self.sent_bytes // self.size
            singles.append(single)
        return singles

    def all_failed(self, trouble: Trouble | BaseException) -> Outcomes:
        """The outcomes if all that is left of this parcel failed with `trouble`."""
        self.hold = None
        left = self.size - self.received
        positions = range(self.received, self.size)
        return Outcomes(self.received, [None] * left, dict.fromkeys(positions, trouble), {})


class Tracked(Parcel):
    """Calls of one activity that has options; `attempts` looks after them.

    Args:
        options: those of the activity.
        watched: what the attempts before said last, by position.
    """

    __slots__ = (
        "applied",
        "beat",
        "beats",
        "began",
        "options",
        "watched",
    )

    def __init__(
        self,
        batch: Batch,
        mailbox: Mailbox,
        first: int,
        size: int,
        options: Options,
        watched: dict[int, bytes],
    ) -> None:
        super().__init__(batch, mailbox, first, size)
        self.options: Options = options
        self.watched = watched
        self.applied = 0
        """So many outcomes were taken in."""
        self.beats: dict[int, bytes] = {}
        """Pickled details of the latest heartbeats, by position."""
        self.began: float | None = None
        """When it began, where no worker process tells; and its latest heartbeat:"""
        self.beat: float | None = None

    def work(self) -> Work:
        work = super().work()
        return work._replace(watched=self.watched, links=b"", stay=b"", patient=False)

    def pack(self) -> None:
        """Pickle the calls, which stay: there may be further attempts.

        Raises:
            Overdue: an object takes longer than a time limit of the activity, or hangs.
            Exception: something in them can't be pickled.
        """
        limit = self.options.packing_limit
        if limit is None or not self._objects():
            self._pack()
        else:
            within(limit[1], self._pack)

    def arrived(self) -> None:
        self.hold = None
        self.message = b""

    def beat_at(self, at: int, details: bytes) -> None:
        self.beats[at] = details


class Reply:
    """What some tasks of a parcel came to."""

    __slots__ = ("outcomes", "parcel")

    def __init__(self, parcel: Parcel, outcomes: Outcomes) -> None:
        self.parcel = parcel
        self.outcomes = outcomes


class Lost:
    """A parcel that did not come back whole, and that its driver has to sort out.

    That are tasks that wait for each other, and those that have options.
    """

    __slots__ = ("at", "begun", "hopeless", "parcel", "stopped", "trouble")

    def __init__(
        self,
        parcel: Parcel,
        at: int | None = None,
        trouble: Trouble | None = None,
        *,
        begun: bool = False,
        stopped: bool = False,
        hopeless: bool = False,
    ) -> None:
        self.parcel = parcel
        self.at = at
        """The position of the task that was running when the worker died, or was the next; else None."""
        self.trouble = trouble or Trouble("its worker died", kind="worker died")
        self.begun = begun
        """Whether the worker had begun with the parcel."""
        self.stopped = stopped
        """Whether the worker was killed because of that task, for the reason that `trouble` tells."""
        self.hopeless = hopeless
        """Whether too many workers have died before they had begun with that task."""
