"""What is to happen when: one heap of deadlines.

Owns: `Deadlines`. May not know: clocks, nor what happens at a deadline.

A cancelled one stays in the heap until it is due or half of the heap is cancelled: each costs O(log n)
over its life, and the heap is never more than twice what is alive.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

Action = Callable[[], None]


class Deadline:
    """Something that is to happen at a time, unless it is cancelled."""

    __slots__ = ("action", "due", "hoped_for")

    def __init__(self, due: float, action: Action, hoped_for: bool) -> None:
        self.due = due
        self.hoped_for = hoped_for
        self.action: Action | None = action


class Deadlines:
    """Deadlines in the order of their times; those of the same time in the order in which they came."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Deadline]] = []
        self._count = 0
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def add(self, due: float, action: Action, *, hoped_for: bool = False) -> Deadline:
        """Do this at that time; `hoped_for`: it is waited for, as a time-out is not."""
        deadline = Deadline(due, action, hoped_for)
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, deadline))
        return deadline

    def cancel(self, deadline: Deadline | None) -> None:
        """Don't do it. One that was done or cancelled already may be given, and None."""
        if deadline is None or deadline.action is None:
            return
        deadline.action = None
        self._cancelled += 1
        if self._cancelled > 64 and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def first(self) -> Deadline | None:
        """The earliest, None if there is none."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heapq.heappop(heap)
            self._cancelled -= 1
        return heap[0][2] if heap else None

    def pop(self) -> Action:
        """What is to be done at the earliest; it counts as done."""
        deadline = heapq.heappop(self._heap)[2]
        action, deadline.action = deadline.action, None
        assert action is not None
        return action
