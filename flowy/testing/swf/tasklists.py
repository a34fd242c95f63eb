"""Task lists: what waits for a poller, and the pollers that wait for it.

Owns: `Task`, `TaskList` and `TaskLists`. A list gives the highest priority first, and within one the
oldest; a task is given once.

May not know: what a task is about, or how a poller waits: it is woken through its `wake`.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Literal, Protocol

Kind = Literal["decision", "activity"]


class Poller(Protocol):
    """Who waits at a list."""

    def wake(self) -> None:
        """There is a task."""


class Task:
    """A decision or an activity that waits in a list, by the run it is of and the id of its event."""

    __slots__ = ("list", "run_id", "scheduled_id")

    def __init__(self, run_id: str, scheduled_id: int) -> None:
        self.run_id = run_id
        self.scheduled_id = scheduled_id
        self.list: TaskList | None = None


class TaskList:
    """The tasks of one list, and who waits for them."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Task]] = []
        self._count = 0
        self._waiting = 0
        self.pollers: deque[Poller] = deque()
        """Those to be woken. One that is woken is out of it, and comes back if it waits again."""
        self.polls = 0
        """How many poll, woken ones included."""

    def __len__(self) -> int:
        return self._waiting

    def put(self, task: Task, priority: int) -> None:
        """Let a task wait here, and wake who has waited longest."""
        self._count += 1
        self._waiting += 1
        task.list = self
        heapq.heappush(self._heap, (-priority, self._count, task))
        self.nudge()

    def nudge(self) -> None:
        """Wake who has waited longest, if a task waits: the one woken for it may have left."""
        if self._waiting and self.pollers:
            self.pollers.popleft().wake()

    def take(self) -> Task | None:
        """The task whose turn it is, which is then out of the list."""
        while self._heap:
            task = heapq.heappop(self._heap)[2]
            if task.list is self:
                self._waiting -= 1
                task.list = None
                return task
        return None

    def withdraw(self, task: Task) -> None:
        """Take this one out."""
        task.list = None
        self._waiting -= 1
        if len(self._heap) > 64 and len(self._heap) > 2 * self._waiting:
            self._heap = [entry for entry in self._heap if entry[2].list is self]
            heapq.heapify(self._heap)


class TaskLists:
    """All lists, by kind, domain and name. One comes to be when it is named."""

    def __init__(self) -> None:
        self._lists: dict[tuple[str, str, str], TaskList] = {}

    def get(self, kind: Kind, domain: str, name: str) -> TaskList:
        """The list of this name."""
        key = (kind, domain, name)
        found = self._lists.get(key)
        if found is None:
            found = self._lists[key] = TaskList()
        return found

    def count(self, kind: Kind, domain: str, name: str) -> int:
        """How many tasks wait in the list of this name, which need not exist."""
        found = self._lists.get((kind, domain, name))
        return len(found) if found is not None else 0


def withdraw(task: Task | None) -> None:
    """Take a task out of the list it waits in, if it waits in one."""
    if task is not None and task.list is not None:
        task.list.withdraw(task)
