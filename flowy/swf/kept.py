"""Runs kept in memory between their decisions.

Owns: `KeptRuns`: which are kept, whether one of them can go on with what a task brings, and which goes
when there is no more room.

May not know: what an execution does with its events, or the service. It takes no locks: a run belongs
to the thread that started it, so each thread that decides needs a `KeptRuns` of its own.

A kept run goes on only if it stands exactly where the task's events begin: its last
DecisionTaskStarted is the one before the task's, and the events from there on are there without a gap.
On any doubt it is dropped, and the run is rebuilt from its whole history.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from flowy.swf.execution import Execution
from flowy.swf.history import Event

__all__ = ["KeptRuns", "RunKey", "run_key"]

RunKey = tuple[str, str]
"""(workflowId, runId)"""


def run_key(task: Mapping[str, Any]) -> RunKey:
    """Which run a decision task is of; both '' if it does not say."""
    execution = task.get("workflowExecution") or {}
    return str(execution.get("workflowId") or ""), str(execution.get("runId") or "")


class KeptRuns:
    """The runs of one thread, those decided on last at the end.

    Args:
        count: how many are kept at most; 0 keeps none.
        memory: bytes that they take together at most, about.

    >>> kept = KeptRuns(count=100)
    >>> len(kept)
    0
    """

    def __init__(self, count: int = 1000, memory: int = 512 << 20) -> None:
        self.count = count
        self.memory = memory
        self.hits = 0
        self.misses = 0
        """Tasks of runs that were not kept, or could not go on; first decisions do not count."""
        self._runs: OrderedDict[RunKey, Execution] = OrderedDict()
        self._used: dict[RunKey, int] = {}
        self._total = 0

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, key: RunKey) -> bool:
        return key in self._runs

    @property
    def used(self) -> int:
        """Bytes that the runs take, about."""
        return self._total

    def take(self, key: RunKey, previous: int, started: int, events: list[Event]) -> Execution | None:
        """The run that goes on with `events`, and those of them that it has not seen; None: rebuild.

        Whoever takes a run puts it back after the decision, or it is lost. `events` is cut to what is
        new. A run that can't go on is dropped.
        """
        execution = self._runs.get(key)
        if execution is None:
            self.misses += previous > 0
            return None
        fresh = [event for event in events if event["eventId"] > execution.last_event]
        number = execution.last_event
        for event in fresh:
            number += 1
            if event["eventId"] != number:
                break
        else:
            here = execution.thread == threading.get_ident()
            if here and fresh and number == started and execution.ledger.started_event == previous:
                self.hits += 1
                self._forget(key)
                events[:] = fresh
                return execution
        self.misses += 1
        self.evict(key)
        return None

    def keep(self, key: RunKey, execution: Execution) -> None:
        """Keep a run that was decided on; others may have to go, the longest unused first."""
        if not self.count:
            execution.close()
            return
        if key in self._runs:
            self.evict(key)
        self._runs[key] = execution
        self._used[key] = execution.memory
        self._total += self._used[key]
        while len(self._runs) > self.count or (self._total > self.memory and len(self._runs) > 1):
            self.evict(next(iter(self._runs)))

    def evict(self, key: RunKey) -> bool:
        """Drop a run: it is closed, its response was refused, or it is in doubt. Whether it was kept."""
        execution = self._runs.get(key)
        if execution is None:
            return False
        self._forget(key)
        execution.close()
        return True

    def clear(self) -> None:
        """Drop all."""
        for key in list(self._runs):
            self.evict(key)

    def _forget(self, key: RunKey) -> None:
        del self._runs[key]
        self._total -= self._used.pop(key)
