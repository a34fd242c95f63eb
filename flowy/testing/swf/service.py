"""The door of the local SWF: a request goes in, a response or a `Fault` comes out.

Owns: the lock, the order of checks, long polls, and when time moves on.

    call ─> model (is it well formed?) ─> throttle ─> operation on the world ─> settle ─> on_change

Laws: everything happens under one lock. Whatever is due is done, in the order of its deadlines, before
anything else is looked at, and carries the time at which it was due; so nobody has to watch the clock,
and there is no thread here. A poll waits on a condition of its own.

**Responses share structure with the state** (events are not copied): whoever gets one must not change
it. The faces serialise or copy it anyway.

**State.** `dump()` gives all of it as plain JSON and `load` takes it back; `on_change` gets each change
as it happens, under the lock and before the response leaves, as a `Changes`:

* `records`: ``{(table, key): record or None}``. Small plain dicts to be put under `key` (a string) in
  `table` (a string), in the place of what was there; None means that it is gone. When a record of
  the table "executions" goes, so do all events of that run; its key is the run's id.
* `events`: ``[(run id, event)]``, to be appended to those of the run; ``eventId`` counts from 1.

A dump is ``{"time": seconds, "records": {table: {key: record}}, "events": {run id: [event, …]}}``: the
changes added up. An execution is a function of its events, so its record is small and never rewritten:
what a change costs does not depend on how large the state is.

If `on_change` raises, what is here is ahead of what is kept, and an answer might be lost with the
process. So none is given any more: the call that it happened to fails with HTTP 500, those that wait and
all later ones with 503, until a state is loaded.

May not know: HTTP, files, boto3. Neighbours: `world` (the state), `model`, `clock`, `limits`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flowy.testing.swf.clock import Clock, SystemClock
from flowy.testing.swf.durations import check_text
from flowy.testing.swf.executions import Execution
from flowy.testing.swf.faults import Fault, not_permitted
from flowy.testing.swf.lifecycle import terminate
from flowy.testing.swf.limits import Limits, Throttle
from flowy.testing.swf.messages import MESSAGES
from flowy.testing.swf.model import load_model
from flowy.testing.swf.registry import REGISTRY
from flowy.testing.swf.requests import REQUESTS
from flowy.testing.swf.store import dump, load
from flowy.testing.swf.tasks import EMPTY, TASKS, more_history, start_activity, start_decision
from flowy.testing.swf.visibility import VISIBILITY, Histories
from flowy.testing.swf.waiting import Waiters
from flowy.testing.swf.world import Delays, Permits, World


@dataclass
class Changes:
    """What one call changed; see above."""

    records: dict[tuple[str, str], dict[str, Any] | None] = field(default_factory=dict)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class Service:
    """A local SWF.

    Args:
        clock: `SystemClock()` by default, or a `VirtualClock`.
        limits: AWS's by default, throttling included.
        on_change: gets each change of state, to keep it somewhere.
        permits: whether the caller may do this action, an operation or a decision, in this domain:
            ``permits(action, domain) -> bool``. What it forbids fails as IAM would have it.
        delays: how many seconds later than at once something happens of itself: ``delays(kind, said)``,
            where `said` names the execution or the message, and kind is "timer", "activity timeout",
            "decision timeout", "execution timeout", "activity task" or "decision task" (it comes into
            its list), or that of a message: "start child", "child started", "start failed",
            "child closed", "child policy", "signal", "cancel", "external reply". At AWS these are some
            10 to 200 ms; here nothing is late by default.

    Raises:
        UsageError: botocore is missing, whose model of SWF is needed.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        on_change: Callable[[Changes], None] | None = None,
        permits: Permits | None = None,
        delays: Delays | None = None,
    ) -> None:
        self.clock: Clock = SystemClock() if clock is None else clock
        self.limits = limits
        self.model = load_model()
        self._on_change = on_change
        self._permits = permits
        self._delays = delays
        self._lock = threading.RLock()
        self._waiters = Waiters(self._lock, self.clock)
        self._unkept: Exception | None = None
        self._throttle = Throttle(limits.operations)
        history = {} if limits.history_of_workflow is None else {"history": limits.history_of_workflow}
        self._operations: dict[str, Callable[[World, Mapping[str, Any]], dict[str, Any]]] = {
            **REGISTRY,
            **REQUESTS,
            **TASKS,
            **VISIBILITY,
            "GetWorkflowExecutionHistory": Histories(Throttle(history)).get,
        }
        self._world = self._new_world()
        self.clock.listen(self._moved)

    def _new_world(self) -> World:
        world = World(self.limits, MESSAGES, delays=self._delays, permits=self._permits)
        world.time = self.clock.now()
        return world

    def call(
        self,
        operation: str,
        request: Mapping[str, Any],
        *,
        alive: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        """Do one operation of the API.

        Args:
            operation: such as "PollForDecisionTask".
            request: as the API's JSON has it; times are seconds since the epoch.
            alive: whether the caller still listens. A poll asks before it hands out a task, and
                whenever it is woken; one whose caller is gone ends empty.

        Raises:
            Fault: it was refused.
        """
        self.model.validate(operation, request)
        with self._step():
            world = self._world
            self._waiters.saw_caller()
            if not self._throttle.take(operation, world.time):
                raise Fault("ThrottlingException", "Rate exceeded")
            if self._permits is not None:
                domain = request.get("domain") or request.get("name") or ""
                if not world.may(operation, domain):
                    raise not_permitted(f"The caller is not permitted to do {operation}")
            if operation in _POLLS:
                return self._poll(operation, request, alive)
            self._waiters.idle = 0
            return self._operations[operation](world, request)

    @contextmanager
    def _step(self) -> Iterator[None]:
        """Under the lock: what is due is done first, what follows is done last, changes are told."""
        with self._lock:
            self._catch_up()
            try:
                yield
            finally:
                self._catch_up()

    def _catch_up(self) -> None:
        """Do all that is due, in order, and what follows from it; then tell what changed."""
        if self._unkept is not None:
            told = f"The state can't be kept ({self._unkept}), so nothing is answered"
            raise Fault("ServiceUnavailable", told, status=503)
        world, now = self._world, self.clock.now()
        self._settle()
        while (action := world.next_due(now)) is not None:
            action()
            self._settle()
        world.time = max(world.time, now)
        self._waiters.watch(world.deadlines.first())
        if world.records or world.events:
            changes = Changes(world.records, world.events)
            world.records, world.events = {}, []
            if self._on_change is not None:
                self._keep(self._on_change, changes)

    def _keep(self, on_change: Callable[[Changes], None], changes: Changes) -> None:
        """Tell of what changed; if that fails, nothing is answered any more."""
        try:
            on_change(changes)
        except Exception as error:
            self._unkept = error
            self._waiters.wake()
            told = f"The state can't be kept: {error}"
            raise Fault("InternalFailure", told, status=500) from error

    def _settle(self) -> None:
        """End the executions that are too long, and deliver what executions sent one another.

        In turns: a message to one that is too long finds it closed.
        """
        world = self._world
        more = True
        while more:
            for execution in world.overfull:
                if execution.is_open:
                    terminate(world, execution, {"cause": "EVENT_LIMIT_EXCEEDED"})
            world.overfull.clear()
            more = world.deliver()

    def _moved(self) -> None:
        """Somebody moved the clock."""
        with self._step():
            self._waiters.look()

    def _poll(
        self, operation: str, request: Mapping[str, Any], alive: Callable[[], bool] | None
    ) -> dict[str, Any]:
        """Wait for a task. The lock is free meanwhile."""
        kind, hand_out = _POLLS[operation]
        check_text({"taskList": request["taskList"]}, longest=self.limits.execution_time)
        self._world.domain(request["domain"])
        page = more_history(self._world, request)
        if page is not None:
            return page
        tasks = self._world.lists.get(kind, request["domain"], request["taskList"]["name"])
        if tasks.polls >= self.limits.pollers:
            raise Fault("LimitExceededFault", f"{self.limits.pollers} pollers wait at this list already")
        end = round(self._world.time + self.limits.long_poll, 3)
        with self._waiters.poller(tasks, end) as waiter:
            while alive is None or alive():
                task = tasks.take()
                if task is not None:
                    response, item = hand_out(self._world, task, request)
                    self._waiters.hand_out(item)
                    return response
                if self._world.time >= waiter.end:
                    break
                waiter.wait(self._world.deadlines.first())
                self._catch_up()
        return dict(EMPTY[operation])

    def wake(self) -> None:
        """Let every poll that waits ask anew whether its caller still listens."""
        with self._lock:
            self._waiters.wake()

    def dump(self) -> dict[str, Any]:
        """All state, as plain JSON. It shares the events with the service, which never change."""
        with self._step():
            return dump(self._world)

    def load(self, state: Mapping[str, Any]) -> None:
        """Take this state, a `dump`, in the place of what is there.

        What came due since it was taken happens at the next call. `on_change` is not told of this.

        Raises:
            UsageError: somebody polls.
        """
        with self._lock:
            world = self._new_world()
            load(world, state)
            self._waiters.replaceable()
            self._world, self._unkept = world, None

    def execution(self, run_id: str) -> Execution | None:
        """What is known of a run, for tests that look inside. It must not be changed."""
        with self._lock:
            return self._world.executions.get(run_id)


_POLLS: Mapping[
    str, tuple[Any, Callable[[World, Any, Mapping[str, Any]], tuple[dict[str, Any], Any]]]
] = {
    "PollForDecisionTask": ("decision", start_decision),
    "PollForActivityTask": ("activity", start_activity),
}
