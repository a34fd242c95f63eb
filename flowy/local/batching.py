"""How many tasks travel together: the one place for this policy.

Owns: the estimate of each activity's time, and from it the size of the next batch and how many may
wait at a worker. A message carries some milliseconds of work; a task that takes longer than that, or
whose time is not known yet, travels alone; what is left is shared evenly.

May not know: runs, processes. Its neighbour is `driver`, which asks it before each send.
"""

from __future__ import annotations

from collections.abc import Mapping

BATCH_SECONDS = 0.004
"""Work in one message: some 50 times what it costs to send and wake (about 50 µs)."""
QUEUE_BELOW = 0.01
"""A worker gets a second message while it works on the first only if tasks are shorter than this,"""
SHORT = 0.001
"""and than this when few tasks are left. Seconds."""
LARGEST = 4096


class Batching:
    """Estimates by function, in seconds a call."""

    budget = BATCH_SECONDS
    along = LARGEST

    def __init__(self) -> None:
        self.seconds: dict[int, float] = {}

    def learn(self, spent: Mapping[int, tuple[int, float]]) -> None:
        """Take in measured times; follows a fall faster than a rise, as first calls import things."""
        for function, (calls, seconds) in spent.items():
            new = seconds / calls
            old = self.seconds.get(function)
            if old is not None:
                weight = 0.7 if new < old else 0.3
                new = old + weight * (new - old)
            self.seconds[function] = new

    def limit(self, waiting: int, workers: int) -> int:
        """The most tasks for the next message, so that every worker gets its share."""
        return max(1, min(LARGEST, -(-waiting // (2 * workers))))

    def depth(self, function: int | None, waiting: int, workers: int) -> int:
        """How many messages may be at one worker at a time, if the next starts with `function`.

        A second one spares the worker a pause between two; but nothing waits behind a task that takes
        long, nor at the end, when another worker could be free first.
        """
        seconds = self.seconds.get(function, 1.0) if function is not None else 1.0
        return 2 if seconds < (QUEUE_BELOW if waiting > workers else SHORT) else 1
