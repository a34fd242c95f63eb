"""The list of events that a history is, and the rules that hold for every event in it.

Owns: event ids and times, the decision tasks between the other events, and the refusal of what no
service would have written. Two rules put the decision tasks where SWF puts them:

* News (whatever a decider should hear of) schedules a decision task at once, unless one is scheduled
  and not yet started; also while another one is being decided.
* News that a decision itself makes (a `…Failed` of one of its parts) schedules it after the last
  event of that decision.

May not know: activities, timers, children. Its neighbours `tasks` and `others` know those, and the
package's `HistoryBuilder` is all of them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NoReturn

from flowy.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

Event = dict[str, Any]
Seconds = int | str | None
"""Whole seconds, `"NONE"` for without end, or None to leave it out."""
Type = str | tuple[str, str]
"""A name and a version; a name alone has version "1"."""

TICK = 0.001  # seconds from one event to the next, so that their order shows in their times


def type_of(given: Type) -> dict[str, str]:
    """The JSON of an activity's or a workflow's type."""
    name, version = (given, "1") if isinstance(given, str) else given
    return {"name": name, "version": version}


def seconds(given: Seconds) -> str | None:
    """A duration as SWF writes it."""
    return None if given is None else str(given)


def execution(workflow_id: str, run_id: str) -> dict[str, str]:
    """The JSON of a workflow execution."""
    return {"workflowId": workflow_id, "runId": run_id}


class Ledger:
    """Events of one execution; each method adds one or more and returns the builder itself.

    Raises (all methods that add): UsageError: the service could not have written this event here.
    """

    def __init__(
        self,
        workflow_id: str = "workflow",
        run_id: str = "run",
        workflow_type: Type = "Workflow",
        task_list: str = "tasks",
        start_time: float = 1_700_000_000.0,
    ) -> None:
        self.workflow_id, self.run_id = workflow_id, run_id
        self.workflow_type, self.task_list = type_of(workflow_type), task_list
        self._time = start_time
        self._events: list[Event] = []
        self._closed = False
        self._decision_timeout: str | None = "10"
        self._priority: str | None = None
        self._waiting = 0  # the decision task that is scheduled and not started
        self._deciding: tuple[int, int] | None = None  # scheduled and started, not completed
        self._completed = 0  # the decision whose own events are still being added
        self._owed = False  # that decision made news itself
        self._context: dict[str, Any] = {}  # of the sticky list that holds
        self._processed = 0  # the started event of the last decision that was completed

    def after(self, seconds: float) -> Self:
        """Let time go by before the next event."""
        if seconds < 0:
            self._refuse("after", f"time does not go back by {-seconds} seconds")
        self._time += seconds
        return self

    def decision_started(self, identity: str | None = "decider") -> Self:
        """A decider takes the decision task. Events added now come while it decides."""
        self._begin("decision_started")
        if self._deciding:
            self._refuse("decision_started", f"the decision of {self._deciding[1]} is still open")
        if not self._waiting:
            self._refuse("decision_started", "no decision task is scheduled: nothing is new")
        started = self._add("DecisionTaskStarted", identity=identity, scheduledEventId=self._waiting)
        self._deciding, self._waiting = (self._waiting, started), 0
        return self

    def decision(
        self,
        context: str | None = None,
        task_list: str | None = None,
        task_list_timeout: Seconds = None,
    ) -> Self:
        """The decision task is completed; the decider's own events follow.

        Args:
            context: the execution context that it leaves.
            task_list: where decision tasks go from now on (the sticky list), until another decision
                says otherwise.
            task_list_timeout: seconds after which one that nobody takes goes back to the list that the
                execution was started with, and those after it.
        """
        if task_list is None and task_list_timeout is not None:
            self._refuse("decision", "a task_list_timeout needs a task_list")
        if not self._deciding:
            self.decision_started()
        assert self._deciding is not None
        self._begin("decision")
        scheduled, started = self._deciding
        sticky = {"name": task_list} if task_list is not None else None
        self._completed = self._add(
            "DecisionTaskCompleted",
            executionContext=context,
            scheduledEventId=scheduled,
            startedEventId=started,
            taskList=sticky,
            taskListScheduleToStartTimeout=seconds(task_list_timeout),
        )
        self._deciding = None
        self._processed = started
        if sticky:
            self._context = {"taskList": sticky, "scheduleToStartTimeout": seconds(task_list_timeout)}
        return self

    def decision_timed_out(self, timeout_type: str = "START_TO_CLOSE") -> Self:
        """The decision task timed out: its decider kept silent, or (`"SCHEDULE_TO_START"`) nobody
        took it from its sticky list. The next one is scheduled at once."""
        where = "decision_timed_out"
        self._begin(where)
        if timeout_type == "SCHEDULE_TO_START":
            if not self._waiting or not self._is_limited(self._waiting):
                told = "only a decision task on a sticky list with a time-out times out before its start"
                self._refuse(where, told)
            scheduled, started, self._waiting = self._waiting, 0, 0
        else:
            if not self._deciding:
                self.decision_started()
            assert self._deciding is not None
            scheduled, started = self._deciding
            self._deciding = None
        if self._context.get("scheduleToStartTimeout"):
            self._context = {}  # one without a time-out is for good
        self._add(
            "DecisionTaskTimedOut",
            timeoutType=timeout_type,
            scheduledEventId=scheduled,
            startedEventId=started,
        )
        self._schedule()
        return self

    def _is_limited(self, scheduled: int) -> bool:
        """Whether the decision task that this event scheduled must be started in time."""
        return (
            "scheduleToStartTimeout"
            in self._events[scheduled - 1]["decisionTaskScheduledEventAttributes"]
        )

    def events(self) -> list[Event]:
        """The history so far, as GetWorkflowExecutionHistory gives it (a copy of your own)."""
        found = deepcopy(self._events)
        if self._owed and not self._waiting and not self._closed:
            attributes = self._decision_attributes()
            found.append(_event(len(found) + 1, self._time + TICK, "DecisionTaskScheduled", attributes))
        return found

    def history(self) -> dict[str, Any]:
        """The answer of GetWorkflowExecutionHistory."""
        return {"events": self.events()}

    def poll(self, start_at_previous_started_event: bool = False) -> dict[str, Any]:
        """The answer of PollForDecisionTask: starts the decision task, if it isn't, and gives it."""
        if not self._deciding:
            self.decision_started()
        assert self._deciding is not None
        started, previous = self._deciding[1], self._processed
        first = previous if start_at_previous_started_event and previous else 1
        return {
            "taskToken": f"{self.run_id}-{started}",
            "startedEventId": started,
            "previousStartedEventId": previous,
            "workflowExecution": execution(self.workflow_id, self.run_id),
            "workflowType": dict(self.workflow_type),
            "events": deepcopy(self._events[first - 1 : started]),
        }

    def _begin(self, where: str) -> None:
        """An event from outside: the decision before it has had its last event."""
        if self._closed:
            self._refuse(where, f"the execution is over since event {len(self._events)}")
        if not self._events and where != "started":
            self._refuse(where, "a history begins with started()")
        if self._completed:
            self._completed = 0
            if self._owed:
                self._schedule()
        self._owed = False

    def _news(self, where: str, event_type: str, **attributes: Any) -> int:
        """Add what a decider should hear of."""
        self._begin(where)
        added = self._add(event_type, **attributes)
        self._schedule()
        return added

    def _decided(self, where: str) -> int:
        """The DecisionTaskCompleted that the next event belongs to; makes one if need be."""
        if self._closed:
            self._refuse(where, f"the execution is over since event {len(self._events)}")
        if not self._completed:
            if not self._deciding and not self._waiting:
                self._refuse(where, "no decision task is open; say first what happened")
            self.decision()
        return self._completed

    def _part_failed(self, where: str, event_type: str, **attributes: Any) -> Self:
        """Add that a part of a decision was refused, which the decider will hear of."""
        completed = self._decided(where)
        self._add(event_type, **attributes, decisionTaskCompletedEventId=completed)
        self._owed = True
        return self

    def _schedule(self) -> None:
        if not self._waiting and not self._closed:
            self._waiting = self._add("DecisionTaskScheduled", **self._decision_attributes())

    def _decision_attributes(self) -> dict[str, Any]:
        return {
            "taskList": {"name": self.task_list},
            "taskPriority": self._priority,
            "startToCloseTimeout": self._decision_timeout,
            **self._context,
        }

    def _add(self, event_type: str, **attributes: Any) -> int:
        self._time += TICK
        number = len(self._events) + 1
        self._events.append(_event(number, self._time, event_type, attributes))
        return number

    def _refuse(self, where: str, why: str) -> NoReturn:
        last = f" (last event: {self._events[-1]['eventType']})" if self._events else ""
        raise UsageError(f"{where}() can't be event {len(self._events) + 1}: {why}{last}")

    def _open(self, where: str, what: str, key: str, known: Mapping[str, Any]) -> Any:
        """What is open under `key`."""
        if key not in known:
            names = ", ".join(map(repr, list(known)[:10])) or "none"
            self._refuse(where, f"no {what} {key!r} is open; open: {names}")
        return known[key]

    def _not_open(self, where: str, what: str, key: str, known: Mapping[str, Any]) -> None:
        if key in known:
            self._refuse(where, f"{what} {key!r} is open already")


def _event(number: int, time: float, event_type: str, attributes: Mapping[str, Any]) -> Event:
    name = f"{event_type[0].lower()}{event_type[1:]}EventAttributes"
    given = {key: value for key, value in attributes.items() if value is not None}
    return {
        "eventId": number,
        "eventTimestamp": round(time, 3),
        "eventType": event_type,
        name: given,
    }


def tags(given: Sequence[str] | None) -> list[str] | None:
    """A list of tags; none at all when there are none."""
    return list(given) if given else None
