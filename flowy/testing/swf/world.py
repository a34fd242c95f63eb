"""All that the service knows: domains and what is registered in them, executions, lists, deadlines.

Owns: `World`, the state, and the four ways in which it changes: `append` (an event), `put` and `drop` (a
record), `send` (a message from one execution to another). Each change is noted for `on_change`.

May not know: operations, locks, clocks: `time` is set by `service` before anything happens.
Neighbours: everything that happens is a function of a `World`: `lifecycle`, `decisions`, `messages` and
the operations.

Executions don't touch one another: what one has to say to another (start, you have started, a signal,
it has closed) goes as a message, which arrives when what is going on is done (or later, if `delays` says
so, as at AWS, where nobody knows the order in which five children start).
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from flowy.testing.swf.deadlines import Action, Deadline, Deadlines
from flowy.testing.swf.executions import Attributes, Execution, attributes_of
from flowy.testing.swf.faults import unknown
from flowy.testing.swf.limits import Limits, Throttle
from flowy.testing.swf.tasklists import TaskLists

Record = dict[str, Any]
Delays = Callable[[str, Mapping[str, Any]], float]
Permits = Callable[[str, str], bool]
MessageHandler = Callable[["World", Mapping[str, Any]], None]


class Kind:
    """An activity or workflow type."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.key: tuple[str, str] = (record["name"], record["version"])

    @property
    def deprecated(self) -> bool:
        """Whether nothing new may be made of it."""
        return "deprecationDate" in self.record

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What it says for those who say nothing, as the API names it ("defaultTaskList")."""
        defaults: Record = self.record["configuration"]
        return defaults


class Domain:
    """A domain: its types, its executions."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.kinds: dict[str, dict[tuple[str, str], Kind]] = {"activity": {}, "workflow": {}}
        self.runs: dict[str, Execution] = {}
        """All that are kept, in the order of their starts."""
        self.closed: dict[str, Execution] = {}
        """Those that are closed, in the order in which they closed."""
        self.open: dict[str, Execution] = {}
        """Those that are open, by workflow id."""

    @property
    def name(self) -> str:
        """Its name."""
        name: str = self.record["name"]
        return name

    @property
    def deprecated(self) -> bool:
        """Whether nothing new may start in it."""
        return bool(self.record["deprecated"])


class World:
    """The state of the service."""

    def __init__(
        self,
        limits: Limits,
        handlers: Mapping[str, MessageHandler],
        *,
        delays: Delays | None = None,
        permits: Permits | None = None,
    ) -> None:
        self.limits = limits
        self.delays = delays
        self.permits = permits
        self.time = 0.0
        self.domains: dict[str, Domain] = {}
        self.executions: dict[str, Execution] = {}
        self.deadlines = Deadlines()
        self.housekeeping = Deadlines()
        """When what is closed is forgotten: nothing that anybody waits for."""
        self.lists = TaskLists()
        self.decision_rates = Throttle(limits.decisions)
        self.starts = 0
        self.closes = 0
        self.records: dict[tuple[str, str], Record | None] = {}
        """What changed since it was last taken, and the events since then."""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.overfull: list[Execution] = []
        """Those that have come to the last event they may have."""
        self._handlers = handlers
        self.under_way: dict[str, tuple[float, str, Mapping[str, Any]]] = {}
        """Messages that arrive later, by the keys of their records."""
        self._messages = 0
        self._outbox: deque[tuple[str, Mapping[str, Any]]] = deque()

    def append(self, execution: Execution, event_type: str, attributes: Attributes) -> int:
        """Let this event happen now; its id."""
        number = len(execution.events) + 1
        event = {
            "eventId": number,
            "eventTimestamp": self.time,
            "eventType": event_type,
            attributes_of[event_type]: attributes,
        }
        execution.apply(event)
        self.events.append((execution.run_id, event))
        if number == self.limits.events - 1 and execution.is_open:
            self.overfull.append(execution)
        return number

    def put(self, table: str, key: str, record: Record) -> None:
        """Keep this record in the place of what was there."""
        self.records[table, key] = record

    def drop(self, table: str, key: str) -> None:
        """Keep this record no more."""
        self.records[table, key] = None

    def send(self, kind: str, said: Mapping[str, Any]) -> None:
        """Let this message arrive when what is going on is done, or later."""
        delay = self.late(kind, said)
        if delay <= 0:
            self._outbox.append((kind, said))
        else:
            self._messages += 1
            self.send_at(self.time + delay, str(self._messages), kind, said)

    def send_at(self, due: float, key: str, kind: str, said: Mapping[str, Any]) -> None:
        """Let this message arrive at that time; it is kept under this key until then."""
        self._messages = max(self._messages, int(key))
        self.put("messages", key, {"due": due, "kind": kind, "said": dict(said)})
        self.under_way[key] = due, kind, said

        def arrive() -> None:
            self.drop("messages", key)
            del self.under_way[key]
            self._outbox.append((kind, said))

        self.deadlines.add(due, arrive, hoped_for=True)

    def deliver(self) -> bool:
        """Let the next message arrive, if one was sent; whether there was one."""
        if not self._outbox:
            return False
        kind, said = self._outbox.popleft()
        self._handlers[kind](self, said)
        return True

    def next_due(self, now: float) -> Action | None:
        """The earliest thing that is due by then, with `time` set to it; None if there is none."""
        earliest: Deadlines | None = None
        due = now
        for deadlines in (self.housekeeping, self.deadlines):
            first = deadlines.first()
            if first is not None and first.due <= due:
                earliest, due = deadlines, first.due
        if earliest is None:
            return None
        self.time = max(self.time, due)
        return earliest.pop()

    def late(self, kind: str, said: Mapping[str, Any]) -> float:
        """How many seconds later than at once something of this kind happens."""
        return self.delays(kind, said) if self.delays is not None else 0.0

    def at(self, due: float, action: Action, kind: str, said: Mapping[str, Any]) -> Deadline:
        """Do this at that time, or as much later as is usual for this kind."""
        late = self.late(kind, said)
        return self.deadlines.add(round(due + late, 3), action, hoped_for=kind == "timer")

    def may(self, action: str, domain: str) -> bool:
        """Whether the caller may do this there."""
        return self.permits is None or self.permits(action, domain)

    def domain(self, name: str, *, active: bool = False) -> Domain:
        """The domain of this name; `active` if something new is to be made in it.

        Raises:
            Fault: UnknownResourceFault.
        """
        domain = self.domains.get(name)
        if domain is None:
            raise unknown(f"Unknown domain: {name}")
        if active and domain.deprecated:
            raise unknown(f"Domain is deprecated: {name}")
        return domain

    def find(self, domain: str, workflow_id: str, run_id: str | None) -> Execution | None:
        """The open execution of this workflow id, if it is that run."""
        execution = self.domains[domain].open.get(workflow_id)
        if execution is not None and run_id and execution.run_id != run_id:
            return None
        return execution


def key_of(*names: str) -> str:
    """The key of a record with more than one name."""
    return json.dumps(names, ensure_ascii=False)
