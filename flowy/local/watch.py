"""How far the runs of a driver are, for whoever watches from another thread.

Owns: `Watch`, which sums what each run counts anyway, by dependency, over sub-workflows and restarts;
and `Meter`, what the workers take of CPU and memory, by psutil. Nothing here is called for a task.

May not know: how it is shown. Neighbours: `driver` tells of runs, `executors` of workers, `progress`
shows.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from flowy._sched import Run
from flowy.config import Plan, describe
from flowy.local.executors import Executor
from flowy.local.mailbox import Mailbox
from flowy.progress.counts import Rates, Row, Snapshot

_Place = tuple[int, str]
"""A dependency: its plan, by id, and its name there."""


class Watch:
    """What is known of all runs under a root.

    Args:
        plans: of the root and of all sub-workflows, the root's first.
    """

    def __init__(self, plans: list[Plan]) -> None:
        self._plans = plans
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._live: dict[Run, tuple[Plan, _Place | None]] = {}
        """With the dependency that it is the sub-workflow of."""
        self._over: dict[_Place, tuple[int, int, int]] = {}
        """(asked, done, failed) of runs that have ended."""
        self._rates = Rates()
        self._meter: Meter | None = None
        self._labels = _labels(plans)
        self._executor: Executor | None = None
        self._mailbox: Mailbox | None = None
        self._names: dict[tuple[int, int], str] = {}
        """By plan and function. A function that has two names in a plan counts as the first."""

    def attend(
        self, executor: Executor, mailbox: Mailbox, functions: Mapping[tuple[int, str], int]
    ) -> None:
        """Where a driver's work is done, and the numbers of functions by plan and name."""
        self._executor, self._mailbox = executor, mailbox
        self._meter = Meter(executor.pids)  # what it imports it does while workers start
        for (plan, name), function in functions.items():
            self._names.setdefault((plan, function), name)

    # the driver tells

    def begin(self, run: Run, plan: Plan, parent: Plan | None, name: str) -> None:
        """A run begins; for a sub-workflow: under which name of which plan."""
        with self._lock:
            self._live[run] = plan, None if parent is None else (id(parent), name)

    def end(self, run: Run) -> None:
        """A run is over, and its counts are final."""
        with self._lock:
            plan, _ = self._live.pop(run, (None, None))
            if plan is not None:
                _add(self._over, run, plan)

    # another thread asks

    def look(self) -> Snapshot:
        """What there is now."""
        now = time.monotonic() - self._began
        counts, running = self._counts()
        rows = []
        for place, label in self._labels.items():
            asked, done, failed = counts.get(place, (0, 0, 0))
            rate = self._rates.of(label, now, done + failed)
            rows.append(Row(label, asked, done, failed, running.get(place, 0), rate))
        if self._executor is None or self._meter is None:
            return Snapshot(now, tuple(rows), 0)
        return Snapshot(now, tuple(rows), self._executor.size, *self._meter.measure())

    def _counts(self) -> tuple[dict[_Place, tuple[int, int, int]], dict[_Place, int]]:
        """What came of the calls of each dependency, and how many run."""
        running: dict[_Place, int] = {}
        at_work = self._at_work()
        with self._lock:
            counts = self._over.copy()
            for run, (plan, place) in self._live.items():
                _add(counts, run, plan)
                if place is not None:
                    running[place] = running.get(place, 0) + 1
            for run, function in at_work:
                if run in self._live:
                    of = id(self._live[run][0])
                    here = of, self._names.get((of, function), "")
                    running[here] = running.get(here, 0) + 1
        return counts, running

    def _at_work(self) -> list[tuple[Run, int]]:
        """The function that each worker is at: of the first task of its parcel that is not back.

        Nodes of the run are not looked at: they are the driver's thread's, and may be gone.
        """
        if self._executor is None or self._mailbox is None:
            return []
        found = []
        for parcel in self._executor.at_work(self._mailbox):
            at, which = parcel.first + parcel.received, parcel.batch.which
            if at < parcel.first + parcel.size:
                function = which[at] if isinstance(which, list) else which
                found.append((parcel.batch.run(at), function))
        return found


def _add(counts: dict[_Place, tuple[int, int, int]], run: Run, plan: Plan) -> None:
    for name, (asked, done, failed) in run.progress().items():
        place = id(plan), name
        before = counts.get(place, (0, 0, 0))
        counts[place] = before[0] + asked, before[1] + done, before[2] + failed


def _labels(plans: list[Plan]) -> dict[_Place, str]:
    """What each dependency is called: its name, with that of its workflow where others have it too."""
    taken: dict[str, int] = {}
    for plan in plans:
        for name in plan.names:
            taken[name] = taken.get(name, 0) + 1
    labels: dict[_Place, str] = {}
    for plan in plans:
        for name in plan.names:
            label = name if taken[name] == 1 else f"{describe(plan.factory)}.{name}"
            while label in labels.values():
                label += "'"
            labels[id(plan), name] = label
    return labels


FIRST, LEAST = 0.2, 1.0
"""Seconds to measure over, until something is known and after that. The system counts hundredths of a
second, and asking it is the dearest part of a look."""


class Meter:
    """What worker processes take; without any, what this process takes.

    Args:
        pids: tells those that there are.
    """

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        import psutil  # here, because `import flowy` should be quick

        self._pids = pids
        self._process = psutil.Process
        self._errors: tuple[type[Exception], ...] = (psutil.Error, OSError)
        self._known: dict[int, Any] = {}
        self._used: dict[int, float] = {}
        self._measured = 0.0
        self._last: tuple[float | None, int | None] = None, None

    def measure(self) -> tuple[float | None, int | None]:
        """(CPUs in use since the last time, bytes of memory); None where it can't be told."""
        now = time.monotonic()
        if self._used and now - self._measured < (FIRST if self._last[0] is None else LEAST):
            return self._last
        used: dict[int, float] = {}
        memory = 0
        for pid in self._pids() or [os.getpid()]:
            try:
                process = self._known.get(pid)
                if process is None:
                    process = self._known[pid] = self._process(pid)
                with process.oneshot():
                    times = process.cpu_times()
                    used[pid] = times.user + times.system
                    memory += process.memory_info().rss
            except self._errors:
                continue  # it has just ended
        spent = sum(seconds - self._used.get(pid, seconds) for pid, seconds in used.items())
        passed, known = now - self._measured, bool(self._used)
        self._known = {pid: self._known[pid] for pid in used}
        self._used, self._measured = used, now
        self._last = (spent / passed if known else None), memory or None
        return self._last
