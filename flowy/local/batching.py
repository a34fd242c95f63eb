"""How many tasks travel together: the one place for this policy.

Owns: what is known of each activity's time and size, and from it the size of the next batch and how
many may wait at a worker. A message carries some milliseconds of work and at most a megabyte; a task
that takes longer than that, or whose time is not known yet, travels alone; the tail is shared evenly.

May not know: runs, processes. Its neighbour is `driver`, which asks it before each send.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

BATCH_SECONDS = 0.004
"""Work in one message: some 50 times what it costs to send and wake (about 50 µs);"""
MOST_SECONDS = 0.07
"""up to this while there is much more left than one message, so that no worker ends late by it;"""
ALONE = 0.008
"""but tasks that take longer than this on average travel alone."""
LEAST_SECONDS = 200e-6
"""No message holds less work than this while there is more: it would cost as much as its work. So the
last tasks are shared evenly but for as much."""
BATCH_BYTES = 1 << 20
"""Arguments in one message: what a pipe holds, and no more of the driver's time than that of a batch."""
QUEUE_BELOW = 0.05
"""A worker gets a second message while it works on the first only if tasks are shorter than this;"""
SHORT = 0.001
"""and also when few tasks are left, if they are shorter than this. Seconds."""
REST = 500e-6
"""Tiny tasks that make less work than this in all don't wait for a worker to be done with others: while
the workers use all CPUs, the driver may not come to send more before they are idle."""
REST_MESSAGES = 4
"""So many messages may be at one worker then."""
LARGEST = 16_384
WINDOW = 8
"""Estimates are made of so many latest replies."""


class Estimate:
    """One function's calls, as far as its latest replies tell."""

    __slots__ = ("cost", "latest", "longest", "size")

    def __init__(self) -> None:
        self.latest: deque[float] = deque(maxlen=WINDOW)
        self.cost = 0.0
        """Seconds a call: the average of what the latest replies tell, whatever number of calls each
        is about. So it rises as soon as a few calls were slow, though many before them were not, and
        forgets slow first calls, which import things."""
        self.longest = 0.0
        self.size = 0.0
        """Bytes of a call's arguments."""

    def add(self, seconds: float) -> None:
        self.latest.append(seconds)
        latest = list(self.latest)  # other threads may add meanwhile
        self.cost = sum(latest) / len(latest)
        self.longest = max(latest)


class Batching:
    """Estimates by function."""

    along = LARGEST
    """So many tasks may be in a message with those that go along with what they wait for."""

    def __init__(self) -> None:
        self._known: dict[int, Estimate] = {}

    def learn(self, spent: Mapping[int, tuple[int, float]]) -> None:
        """Take in the number of calls and the seconds measured for them, by function."""
        for function, (calls, seconds) in spent.items():
            known = self._known.get(function)
            if known is None:
                known = self._known[function] = Estimate()
            known.add(seconds / calls)

    def learn_size(self, function: int, calls: int, size: int) -> None:
        """Take in how many bytes the arguments of some calls came to."""
        known = self._known.get(function)
        if known is not None:
            known.size = max(size / calls, 0.5 * known.size)

    def cost(self, function: int | None) -> float | None:
        """What a call counts in a batch, in seconds; None if nothing is known."""
        known = self._of(function)
        return None if known is None else known.cost

    def limit(self, function: int | None, waiting: int, workers: int) -> int:
        """The most tasks for the next message, if it starts with `function`.

        Every worker gets its share, but no message is too small or too large.
        """
        limit = -(-waiting // (2 * workers))
        known = self._of(function)
        if known is not None and known.cost > 0:  # less work than this is not worth a message
            limit = max(limit, int(LEAST_SECONDS / known.cost))
        limit = min(LARGEST, limit)
        if known is not None and known.size * limit > BATCH_BYTES:
            limit = int(BATCH_BYTES / known.size)
        return max(1, limit)

    def budget(self, function: int | None, waiting: int, workers: int) -> float:
        """Seconds of work for the next message, if it starts with `function`."""
        cost = self.cost(function) or 0.0
        if cost > ALONE:
            return BATCH_SECONDS
        return min(MOST_SECONDS, max(BATCH_SECONDS, waiting * cost / workers / 8))

    def depth(self, function: int | None, waiting: int, workers: int) -> int:
        """How many messages may be at one worker at a time, if the next starts with `function`.

        A second one spares the worker a pause between two. But it may have to wait for the longest of
        tasks, and then lasts as long itself: so there must be work for the others meanwhile. Nothing
        waits behind a task that takes so long that a pause is nothing to it.
        """
        known = self._of(function)
        if known is None or known.cost >= QUEUE_BELOW:
            return 1
        if known.longest < SHORT and waiting * known.cost < REST:
            return REST_MESSAGES
        if known.longest < SHORT or waiting * known.cost > 2 * workers * known.longest:
            return 2
        return 1

    def _of(self, function: int | None) -> Estimate | None:
        return None if function is None else self._known.get(function)
