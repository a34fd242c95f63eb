"""One execution of a workflow on Amazon SWF: its history goes in, decisions come out.

Owns: `Execution`, which gives each event of a history its meaning for the run that the core keeps, and
what the run asks for its place among the decisions. Feed a fresh one a whole history, or go on with a
kept one and what came since: it stands at the same place. A history that has something else than what
the code asks for is a `NondeterminismError`.

    events ─> Execution ─> core ─> commands ─> Desk ─> decisions
                  ^                              │
                  └── what the history has of them

May not know: clocks, the service, or other executions. Its neighbours are `history` (what an event
says), `decisions` (what waits to be sent), and `decider` (which keeps executions).

What was decided at an event is what was known at its DecisionTaskStarted. Each of those is answered
here too in a replay, which costs little, and the history is then compared with the answer: what it has
must have been asked for by then, and what was asked for must be there, unless there was no room.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from flowy import events
from flowy._sched import Batch, Map, Outbox, Run
from flowy.config import Factory, describe
from flowy.errors import CancelRequested, Failure, NondeterminismError, TaskError, UsageError
from flowy.swf import decisions as d
from flowy.swf import payloads as p
from flowy.swf import serialization
from flowy.swf.config import Call, SWFWorkflowConfig
from flowy.swf.history import (
    ATTRIBUTES,
    CLOSINGS,
    Event,
    is_passing,
    key_of_child,
    time_of,
    timed_out,
)

__all__ = ["Execution", "Workflow"]

log = logging.getLogger("flowy.swf")

NOTE, CHANGE = "flowy-note-", "flowy-change-"
"""How the names of markers begin that keep the answers of side effects, and changes of the code."""
AGAIN = "@again-"
"""How the ids of timers begin that bring another try of what SWF refused."""
LONGEST_AGAIN = 300
"""Seconds between two tries at most."""
PER_TASK = 6
"""Events that a task may still bring: three of its own and three of the decision."""
_AT_THE_END = (d.MARKER, d.SIGNAL, d.CANCEL, d.OWN, d.CLOSE)
"""What still goes out once the code has ended: what has an effect outside of it."""
_TYPES = {
    d.ACTIVITY: "ScheduleActivityTask",
    d.CHILD: "StartChildWorkflowExecution",
    d.LAMBDA: "ScheduleLambdaFunction",
}


class Workflow(NamedTuple):
    """A workflow as a decider knows it."""

    config: SWFWorkflowConfig
    factory: Factory
    version: str
    name: str


class Task:
    """One call of a dependency, or a timer or message of the workflow."""

    __slots__ = (
        "attempt",
        "base",
        "call",
        "cancelled",
        "command",
        "input",
        "key",
        "letters",
        "name",
        "node",
        "run_id",
    )

    def __init__(self, key: str, name: str, node: int, call: Call | None) -> None:
        self.key = key
        self.name = name
        self.node = node
        self.call = call
        self.base = key.rpartition("-")[0]
        self.attempt = 0
        self.input = ""
        self.cancelled = False
        self.command: d.Command | None = None
        """What stands for it now: itself, or the timer before it."""
        self.run_id: str | None = None
        """Of the workflow that it is, once started."""
        self.letters: list[d.Command] = []
        """Signals to the workflow that it is, until it has started."""

    @property
    def id(self) -> str:
        """The key of its present attempt."""
        return f"{self.base}-{self.attempt}"


class Execution:
    """The run of one execution.

    Args:
        workflow: its type, as configured.
        workflow_id, run_id: of the execution; a replay of a bare history has none.
        store: where texts are that are too long for SWF.
        strict: other arguments than the history has are an error, not a warning.
        lines: keep the line of each call, to tell it in errors.
    """

    def __init__(
        self,
        workflow: Workflow,
        workflow_id: str = "",
        run_id: str = "",
        *,
        limits: d.Limits = d.Limits(),
        store: p.Payloads | None = None,
        strict: bool = False,
        lines: bool = False,
    ) -> None:
        self.workflow = workflow
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.last_event = 0
        self.started_event = 0
        """The last DecisionTaskStarted."""
        self.closed_by = ""
        """The type of the event that closed the execution."""
        self.load = 0
        """Characters of texts that came in."""
        self._limits = limits
        self._store = store
        self._strict = strict
        self._lines = lines
        self._warned = False
        self._desk = d.Desk(limits, workflow.config.rate_limit)
        self._outbox = Outbox()
        self._run: Run | None = None
        self._first: Mapping[str, Any] = {}
        self._decided = 0
        self._notes: dict[int, Any] = {}
        self._changes: set[str] = set()
        self._asked: dict[tuple[str, str], d.Command] = {}
        """What the history does not have yet."""
        self._open: dict[int, d.Command] = {}
        """What it has, by the event that opened it."""
        self._tasks: dict[int, Task] = {}
        """By node, until they are over."""
        self._children: dict[str, Task] = {}
        self._flight: list[d.Command] = []
        self._flight_at = 0
        self._notes_seen = 0
        self._group = 0
        """The DecisionTaskCompleted whose decisions come now."""
        self._group_place = -1
        self._group_places: dict[str, int] = {}
        self._group_deferred = False
        self._group_refused = False
        self._group_opened = False
        self._closing: d.Command | None = None
        self._broken_input = ""
        self._cancel_asked = False
        self._refused: list[d.Command] = []
        self._again: d.Command | None = None
        self._streak = 0
        self._tries = 0
        self._handlers: dict[str, Callable[[int, Mapping[str, Any], Event], None]] = {
            "WorkflowExecutionStarted": self._on_started,
            "DecisionTaskStarted": self._on_decision_started,
            "DecisionTaskCompleted": self._on_decision_completed,
            "DecisionTaskTimedOut": self._on_decision_timed_out,
            "WorkflowExecutionSignaled": self._on_signal,
            "WorkflowExecutionCancelRequested": self._on_cancel_request,
            "ActivityTaskScheduled": self._on_activity_scheduled,
            "ActivityTaskCompleted": self._on_completed,
            "ActivityTaskFailed": self._on_failed,
            "ActivityTaskTimedOut": self._on_timed_out,
            "ActivityTaskCanceled": self._on_canceled,
            "ScheduleActivityTaskFailed": self._on_activity_refused,
            "ActivityTaskCancelRequested": self._on_activity_cancel,
            "RequestCancelActivityTaskFailed": self._on_activity_cancel,
            "LambdaFunctionScheduled": self._on_lambda_scheduled,
            "LambdaFunctionCompleted": self._on_completed,
            "LambdaFunctionFailed": self._on_failed,
            "LambdaFunctionTimedOut": self._on_timed_out,
            "ScheduleLambdaFunctionFailed": self._on_lambda_refused,
            "StartLambdaFunctionFailed": self._on_lambda_not_started,
            "StartChildWorkflowExecutionInitiated": self._on_child_initiated,
            "StartChildWorkflowExecutionFailed": self._on_child_refused,
            "ChildWorkflowExecutionStarted": self._on_child_started,
            "ChildWorkflowExecutionCompleted": self._on_completed,
            "ChildWorkflowExecutionFailed": self._on_failed,
            "ChildWorkflowExecutionTimedOut": self._on_timed_out,
            "ChildWorkflowExecutionCanceled": self._on_canceled,
            "ChildWorkflowExecutionTerminated": self._on_terminated,
            "TimerStarted": self._on_timer_started,
            "TimerFired": self._on_timer_over,
            "TimerCanceled": self._on_timer_canceled,
            "StartTimerFailed": self._on_timer_refused,
            "CancelTimerFailed": self._on_timer_not_canceled,
            "MarkerRecorded": self._on_marker,
            "RecordMarkerFailed": self._on_marker_refused,
            "SignalExternalWorkflowExecutionInitiated": self._on_send_initiated,
            "SignalExternalWorkflowExecutionFailed": self._on_send_refused,
            "ExternalWorkflowExecutionSignaled": self._on_sent,
            "RequestCancelExternalWorkflowExecutionInitiated": self._on_child_cancel,
            "RequestCancelExternalWorkflowExecutionFailed": self._on_child_cancel_refused,
            "ExternalWorkflowExecutionCancelRequested": self._on_child_cancel_sent,
            "CompleteWorkflowExecutionFailed": self._on_close_refused,
            "FailWorkflowExecutionFailed": self._on_close_refused,
            "CancelWorkflowExecutionFailed": self._on_close_refused,
            "ContinueAsNewWorkflowExecutionFailed": self._on_close_refused,
            **dict.fromkeys(CLOSINGS, self._on_closed),
        }

    # ------------------------------------------------------------ the doors

    def apply(self, history: Iterable[Event]) -> None:
        """The next events of the history, in order, from the first on.

        Raises:
            NondeterminismError: the code asks for something else than the history has.
            OSError: a payload could not be read now.
        """
        history = list(history)
        self._know_ahead(history)
        handlers = self._handlers
        for event in history:
            kind = event["eventType"]
            self.last_event = event["eventId"]
            handler = handlers.get(kind)
            if handler is not None:
                handler(self.last_event, event.get(ATTRIBUTES[kind]) or {}, event)

    def decisions(self) -> d.Decisions:
        """What to answer to the last DecisionTaskStarted.

        Raises:
            OSError: a payload could not be stored now.
        """
        made = d.Decisions()
        room = self._limits.bytes
        for n, command in enumerate(self._flight):
            decision = self._write(command)
            room -= d.size_of(next(v for k, v in decision.items() if k != "decisionType"))
            full = n >= self._limits.decisions - 1 and n < len(self._flight) - 1
            if made and (full or room < d.FRAME):
                made.append(
                    d.write(
                        "StartTimer",
                        {"timerId": f"{d.MORE}{self.started_event}", "startToFireTimeout": "0"},
                    )
                )
                break
            made.append(decision)
        waiting = self._desk.waiting
        if waiting and self._closing is None:
            made.context = f"waiting: {waiting}"
        return made

    def close(self) -> None:
        """Discard the run."""
        if self._run is not None:
            self._run.close()

    @property
    def memory(self) -> int:
        """Bytes that it holds, about."""
        run = self._run.memory if self._run is not None else 0
        return 20_000 + run + self.load + 700 * (len(self._tasks) + len(self._asked) + len(self._open))

    @property
    def run(self) -> Run | None:
        """The run of the core, once started."""
        return self._run

    def _know_ahead(self, history: list[Event]) -> None:
        """What the code must be told when it asks, wherever the history has it."""
        for event in history:
            kind = event["eventType"]
            if kind == "MarkerRecorded":
                self._know_marker(event.get("markerRecordedEventAttributes") or {})
            elif kind == "DecisionTaskCompleted" and self._run is None:
                a = event.get("decisionTaskCompletedEventAttributes") or {}
                self._decided = max(self._decided, a.get("startedEventId") or 0)

    def _know_marker(self, a: Mapping[str, Any]) -> None:
        name = str(a.get("markerName") or "")
        if name.startswith(NOTE):
            try:
                value = serialization.loads(p.unpack(a.get("details") or "null", self._store))
                self._notes.setdefault(int(name[len(NOTE) :]), value)
            except (ValueError, KeyError) as error:
                raise UsageError(f"the marker {name!r} can't be read: {error}") from error
        elif name.startswith(CHANGE):
            self._changes.add(a.get("details") or name[len(CHANGE) :])

    # ------------------------------------------------------------ the run

    def _on_started(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        self._first = a
        config = self.workflow.config
        text = a.get("input")
        try:
            args, kwargs = (
                ((), {}) if text is None else config.deserialize_input(p.unpack(text, self._store))
            )
            args, kwargs = tuple(args), dict(kwargs)
        except OSError:
            raise
        except Exception as error:
            self._broken_input = f"the input can't be read: {type(error).__name__}: {error}"
            return
        self.load += len(text or "")
        run = self._run = Run(
            self.workflow.factory,
            tuple(config.calls),
            self._outbox,
            args=args,
            kwargs=kwargs,
            notes=self._notes,
            changes=self._changes,
        )
        run.seeder = self._seed
        run.recorder = _as_replayed
        run.suggest_at = self._limits.continue_at
        run.task_length = PER_TASK
        run.lines = {} if self._lines else None
        self._mark(run)
        run.start(time_of(event))
        self._collect()

    def _seed(self) -> int:
        """Of `random` and `uuid4`: another in each run, and the same when it is rebuilt."""
        text = f"{self.workflow_id}\n{self.run_id}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    def _mark(self, run: Run) -> None:
        run.length = self.last_event
        run.replaying = self.last_event <= self._decided

    def _finish(self, task: Task, value: Any, event: Event) -> None:
        """The event that a task is done; of a timer, that it is due."""
        run = self._run
        if run is None or self._tasks.pop(task.node, None) is not task:
            return
        self._mark(run)
        run.finish_node(task.node, value, time_of(event))
        self._collect()

    def _fail(self, task: Task, failure: Failure, event: Event | None) -> None:
        run = self._run
        if run is None or self._tasks.pop(task.node, None) is not task:
            return
        self._children.pop(task.key, None)
        self._drop_letters(task)
        self._mark(run)
        run.fail_node(task.node, failure, run.time if event is None else time_of(event))
        self._collect()

    def _failure(self, task: Task, message: str, **more: Any) -> Failure:
        return Failure(message, key=task.id, name=task.name, attempt=task.attempt, **more)

    def _collect(self) -> None:
        """What came out of an event: tasks in the order asked for, then all else."""
        run, outbox = self._run, self._outbox
        assert run is not None
        while True:
            if outbox.waiting:
                batch = outbox.take(1 << 30)
                if batch is not None:
                    for i in range(len(batch)):
                        self._ask(run, batch, i)
            elif outbox.broken:
                for _, node, error in outbox.take_broken():
                    key, name = run.key_of(node), run.name_of(node)
                    run.fail_node(node, Failure.of(error, key=key, name=name), run.time)
            elif outbox.restless:
                outbox.take_restless()
                for order, target in run.take_orders():
                    self._order(run, order, target)
            else:
                break
        if outbox.ended:
            outbox.take_ended()
            self._end(run)

    def _ask(self, run: Run, batch: Batch, i: int) -> None:
        key, name, node = batch.key(i), batch.name(i), batch.node(i)
        call = self.workflow.config.calls[name]
        task = Task(key, name, node, call)
        self._tasks[node] = task
        try:
            text = call.dump(*batch.arguments(i))
            if not isinstance(text, str):
                raise UsageError(f"serialize_input of {name!r} gave {text!r}, which is no string")
            if len(text) > p.MOST and self._store is None:
                raise UsageError(p.too_long(f"the input of {key}", len(text)))
        except Exception as error:
            del self._tasks[node]
            message = UsageError(f"the arguments of {key} can't be sent: {error}")
            message.__cause__ = error
            run.fail_node(node, Failure.of(message, key=key, name=name), run.time)
            return
        task.input = text if len(text) <= p.MOST else p.reference(text)
        if call.kind == d.CHILD:
            self._children[key] = task
        self._schedule(task, text if len(text) > p.MOST else None)

    def _schedule(self, task: Task, large: str | None = None) -> None:
        """The next attempt of a task, or first the timer before it."""
        call = task.call
        assert call is not None
        delay = call.retry.delay_before(task.attempt)
        if delay:
            command = d.Command(
                d.TIMER,
                "StartTimer",
                f"{task.id}-t",
                {"timerId": f"{task.id}-t", "startToFireTimeout": d.seconds(delay)},
                task,
            )
        else:
            command = d.Command(call.kind, _TYPES[call.kind], task.id, None, task)
        if large is not None:
            command.large = large
        task.command = command
        self._add(command)

    def _add(self, command: d.Command) -> None:
        self._asked[command.kind, command.id] = command
        self._desk.add(command, self.last_event)

    def _order(self, run: Run, order: events.Command, target: Any) -> None:
        if isinstance(order, events.StartTimer):
            self._start_timer(order, target)
        elif isinstance(order, events.CancelTask):
            self._cancel(run, target)
        elif isinstance(order, events.WantDraw):
            assert isinstance(target, Map)
            run.draw(target, order.room, run.time)  # at once: so it needs no record
        elif isinstance(order, events.Note):
            self._mark_down(f"{NOTE}{order.ordinal}", serialization.dumps(order.value))
        elif isinstance(order, events.Changed):
            self._mark_down(d.cut(f"{CHANGE}{order.name}", d.REASON), order.name)
        elif isinstance(order, events.SendSignal):
            self._send(run, order, target)

    def _start_timer(self, order: events.StartTimer, node: int) -> None:
        task = Task(order.key, "@timer", node, None)
        attributes = {"timerId": order.key, "startToFireTimeout": d.seconds(order.seconds)}
        task.command = d.Command(d.TIMER, "StartTimer", order.key, attributes, task)
        self._tasks[node] = task
        self._add(task.command)

    def _mark_down(self, name: str, details: str) -> None:
        """A marker, from which a replay gets the same answer."""
        command = d.Command(d.MARKER, "RecordMarker", name, {"markerName": name, "details": details})
        if len(details) > p.MOST:
            command.large = details
            command.attributes = {"markerName": name, "details": p.reference(details)}
        self._add(command)

    def _end(self, run: Run) -> None:
        """The run has ended: what it did not wait for is left; what it said goes out before."""
        config = self.workflow.config
        outcome = run.outcome
        large = None
        try:
            if isinstance(outcome, events.Complete):
                kind, attributes = "CompleteWorkflowExecution", {}
                text = config.serialize_result(outcome.value)
                attributes["result"], large = self._fit(text, "the result of the workflow")
            elif isinstance(outcome, events.Restart):
                kind, attributes = "ContinueAsNewWorkflowExecution", self._as_before()
                text = config.serialize_restart_input(outcome.args, outcome.kwargs)
                attributes["input"], large = self._fit(text, "the input of the restart")
            elif self._cancel_asked and isinstance(run.exception, CancelRequested):
                kind, attributes = "CancelWorkflowExecution", {}
            else:
                assert run.exception is not None
                kind, attributes = "FailWorkflowExecution", _reason(run.exception)
        except Exception as error:
            kind, attributes = "FailWorkflowExecution", _reason(error)
        self._close_with(kind, attributes, large)

    def _fit(self, text: Any, what: str) -> tuple[str, str | None]:
        """(what travels, what is to be stored)"""
        if not isinstance(text, str):
            raise UsageError(f"{what} was serialized to {text!r}, which is no string")
        if len(text) <= p.MOST:
            return text, None
        if self._store is None:
            raise UsageError(p.too_long(what, len(text)))
        return p.reference(text), text

    def _as_before(self) -> dict[str, Any]:
        """What a restart takes along."""
        same = (
            "childPolicy",
            "executionStartToCloseTimeout",
            "taskStartToCloseTimeout",
            "taskList",
            "taskPriority",
            "tagList",
            "lambdaRole",
        )
        kept = {name: self._first[name] for name in same if self._first.get(name) is not None}
        version = (self._first.get("workflowType") or {}).get("version") or self.workflow.version
        return {**kept, "workflowTypeVersion": version}

    def _close_with(self, kind: str, attributes: dict[str, Any], large: str | None = None) -> None:
        self._closing = d.Command(d.CLOSE, kind, kind, attributes)
        self._closing.large = large
        self._add(self._closing)

    # ------------------------------------------------------------ decisions

    def _write(self, command: d.Command) -> dict[str, Any]:
        """The decision that a command is; what is too long for it goes to the store first."""
        if command.large is not None and self._store is not None:
            self._store.put(p.key_of(p.reference(command.large)) or "", command.large)
        attributes = command.attributes
        if attributes is None:
            task, call = command.task, command.task.call
            attributes = {"input": task.input, **call.attributes}
            if call.kind == d.ACTIVITY:
                attributes.update(activityId=command.id, activityType=dict(call.type))
            elif call.kind == d.CHILD:
                attributes.update(workflowId=self._child_id(task), workflowType=dict(call.type))
            else:
                attributes.update(id=command.id, name=call.type["name"])
        return d.write(command.type, attributes)

    def _child_id(self, task: Task) -> str:
        return d.child_id(self.workflow_id, self.run_id, task.id)

    def _on_decision_started(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        self._end_group()
        if self._flight and self._flight_at:  # the one before never came to an end
            self._desk.put_back(c for c in self._flight if c.state is d.FLYING)
        if self._broken_input and self._closing is None:
            self._close_with("FailWorkflowExecution", {"reason": d.cut(self._broken_input, d.REASON)})
        if self._refused and self._again is None and self._closing is None:
            self._try_again_later()
        self.started_event = self._flight_at = id
        self._notes_seen = self._run.notes_asked if self._run is not None else 0
        kinds = d.KINDS if self._closing is None else _AT_THE_END
        self._flight = [c for c in self._desk.take(kinds) if self._still_wanted(c)]

    def _still_wanted(self, command: d.Command) -> bool:
        """Whether what is to be cancelled is still there."""
        if command.kind is not d.CANCEL or command.task.state is d.OPEN:
            return True
        command.state = d.OVER
        self._asked.pop((command.kind, command.id), None)
        return False

    def _on_decision_completed(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        self._end_group()
        self._group = id
        self._group_place = -1
        self._group_places.clear()
        self._group_refused = self._group_opened = False
        self._group_deferred = str(a.get("executionContext") or "").startswith("waiting:")
        started = a.get("startedEventId")
        if started and started != self._flight_at:
            self._desk.put_back(c for c in self._flight if c.state is d.FLYING)
            self._flight = []
        self._flight_at = 0

    def _on_decision_timed_out(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        if a.get("startedEventId") and self._flight_at:
            self._desk.put_back(c for c in self._flight if c.state is d.FLYING)
            self._flight = []
            self._flight_at = 0

    def _end_group(self) -> None:
        """All decisions of a response were seen: was everything there?"""
        if not self._group:
            return
        missing = [c for c in self._flight if c.state is d.FLYING]
        for command in missing:
            if not self._group_deferred or command.place < self._group_places.get(command.kind, -1):
                what = f"the code asks for {self._tell(command)}, which the history does not have"
                raise self._diverged(what, command, self._group)
        self._desk.put_back(missing)
        self._flight = []
        self._group = 0
        if self._group_refused:
            self._streak += 1
        elif self._group_opened:
            self._streak = 0

    def _recorded(
        self, kind: str, id: str, event_id: int, type: Any = None, input: Any = None
    ) -> d.Command:
        """The history has this decision: the command that it is."""
        command = self._asked.pop((kind, id), None)
        what = f"{kind} {id}"
        if command is None:
            raise self._diverged(
                f"the history has {what}, which the code did not ask for", None, event_id
            )
        if command.asked_at > self._seen_at():
            raise self._diverged(
                f"the history has {what} before the code asks for it", command, event_id
            )
        if command.state is d.WAITING:
            self._desk.remove(command)
        elif command.state is d.FLYING and self._strict and command.place < self._group_place:
            raise self._diverged(
                f"the history has {what} after what the code asks for later", command, event_id
            )
        elif command.state is d.FLYING:
            self._group_place = self._group_places[kind] = command.place
        self._compare(command, type, input, event_id)
        return command

    def _seen_at(self) -> int:
        """The last event that the decision knew whose events come now."""
        return self.started_event or self.last_event

    def _compare(self, command: d.Command, type: Any, input: Any, event_id: int) -> None:
        task = command.task
        call = task.call if isinstance(task, Task) else None
        if call is None or command.kind is d.TIMER or command.kind is d.CANCEL:
            return
        if call.type is not None and type is not None and type != call.type:
            raise self._diverged(
                f"the history has {command.id} as {_show_type(type)}, and the code has {_show_type(call.type)}",
                command,
                event_id,
            )
        if input is None or input == task.input or serialization.same_json(input, task.input):
            return
        message = (
            f"{command.id} had the input {d.cut(input, 200)} in the history, and the code asks for it with "
            f"{d.cut(task.input, 200)}"
        )
        if self._strict:
            raise self._diverged(message, command, event_id)
        if not self._warned:
            self._warned = True
            log.warning(
                "%s (%s): %s; what was sent stays. Further ones are not told",
                self.workflow_id,
                describe(self.workflow.factory),
                message,
            )

    def _opened(self, command: d.Command, event_id: int) -> None:
        withdrawn = command.state is d.WITHDRAWN
        command.state = d.OPEN
        self._open[event_id] = command
        self._desk.open[command.kind] += 1
        self._group_opened = True
        if withdrawn:
            self._cancel_open(command)

    def _over(self, event_id: Any) -> d.Command | None:
        """What an event closed that this one opened; None for what is not known."""
        command = self._open.pop(event_id, None)
        if command is not None:
            command.state = d.OVER
            self._desk.open[command.kind] -= 1
        return command

    def _closes(self, event_id: Any, id: int, event: Event) -> Task | None:
        """The task that an event finishes; None if the run does not wait for it any more."""
        command = self._over(event_id)
        if command is None:
            raise self._diverged(
                f"the history has {event['eventType']} of what was never started (event {event_id})",
                None,
                id,
            )
        task = command.task
        return task if isinstance(task, Task) and task.command is command else None

    # ------------------------------------------------------------ what SWF refused

    def _refuse(self, command: d.Command, cause: str, event: Event) -> None:
        """A decision was not carried out: try it again later, or tell the workflow."""
        if command.state is d.WITHDRAWN:
            return
        if is_passing(cause):
            self._group_refused = True
            command.state = "refused"
            self._asked[command.kind, command.id] = command
            self._refused.append(command)
            return
        command.state = d.OVER
        if isinstance(command.task, Task) and command.task.command is command:
            self._fail(command.task, self._failure(command.task, f"SWF refused it: {cause}"), event)

    def _try_again_later(self) -> None:
        """A timer before what was refused for want of room is asked for again; longer each time."""
        if all(c.kind is d.TIMER for c in self._refused):  # one more timer would be refused as well
            if not self._desk.open[d.TIMER]:
                self._retry_refused()
            return  # else they go again when one fires
        self._tries += 1
        delay = min(LONGEST_AGAIN, 1 << min(self._streak - 1, 20)) if self._streak else 1
        id = f"{AGAIN}{self._tries}"
        self._again = d.Command(
            d.OWN, "StartTimer", id, {"timerId": id, "startToFireTimeout": str(delay)}
        )
        self._add(self._again)

    def _retry_refused(self) -> None:
        refused, self._refused = self._refused, []
        self._again = None
        for command in refused:
            if command.state is not d.WITHDRAWN:
                command.asked_at = self.last_event
        self._desk.put_back(c for c in refused if c.state is not d.WITHDRAWN)

    # ------------------------------------------------------------ events: activities, Lambda functions

    def _on_activity_scheduled(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        command = self._recorded(
            d.ACTIVITY, a.get("activityId") or "", id, a.get("activityType"), a.get("input")
        )
        self._opened(command, id)

    def _on_lambda_scheduled(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        type = {"name": a.get("name")}
        self._opened(self._recorded(d.LAMBDA, a.get("id") or "", id, type, a.get("input")), id)

    def _on_activity_refused(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        command = self._recorded(d.ACTIVITY, a.get("activityId") or "", id, a.get("activityType"))
        self._refuse(command, a.get("cause") or "", event)

    def _on_lambda_refused(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        command = self._recorded(d.LAMBDA, a.get("id") or "", id, {"name": a.get("name")})
        self._refuse(command, a.get("cause") or "", event)

    def _on_lambda_not_started(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        task = self._closes(a.get("scheduledEventId"), id, event)
        if task is not None:
            cause = ": ".join(filter(None, (a.get("cause"), a.get("message"))))
            self._fail(task, self._failure(task, f"the function was not started: {cause}"), event)

    def _on_completed(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        task = self._closes(a.get("initiatedEventId") or a.get("scheduledEventId"), id, event)
        if task is None or task.call is None:
            return
        text = a.get("result")
        self.load += len(text or "")
        try:
            value = None if text is None else task.call.load(p.unpack(text, self._store))
        except OSError:
            raise
        except Exception as error:
            failure = self._failure(
                task, f"its result can't be read: {type(error).__name__}: {error}", cause=error
            )
            self._fail(task, failure, event)
            return
        if task.call.kind == d.CHILD:
            self._children.pop(task.key, None)
            self._drop_letters(task)
        self._finish(task, value, event)

    def _on_failed(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        task = self._closes(a.get("initiatedEventId") or a.get("scheduledEventId"), id, event)
        if task is not None:
            reason, details = a.get("reason") or "", self._details(a)
            self._retry(task, self._failure(task, reason, remote_traceback=details), event)

    def _on_timed_out(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        task = self._closes(a.get("initiatedEventId") or a.get("scheduledEventId"), id, event)
        if task is not None:
            details: Any = a.get("details")
            try:
                details = details and serialization.loads(details)
            except ValueError:
                pass  # not a heartbeat of flowy's: its text
            who = {"key": task.id, "name": task.name, "attempt": task.attempt}
            self._retry(task, timed_out(a, details, **who), event)

    def _on_canceled(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        task = self._closes(a.get("initiatedEventId") or a.get("scheduledEventId"), id, event)
        if task is not None:
            message = "by the workflow" if task.cancelled else d.cut(self._details(a), d.REASON)
            self._fail(task, self._failure(task, message, kind="cancelled"), event)

    def _on_terminated(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        task = self._closes(a.get("initiatedEventId"), id, event)
        if task is not None:
            self._fail(task, self._failure(task, "the workflow was terminated"), event)

    def _details(self, a: Mapping[str, Any]) -> str:
        """The details of an event, wherever they are kept."""
        try:
            return p.unpack(a.get("details") or "", self._store)
        except (UsageError, KeyError) as error:
            return str(error)

    def _retry(self, task: Task, failure: Failure, event: Event) -> None:
        """Another attempt, where the retries of the dependency cover the failure; else it is the end."""
        retry = task.call.retry if task.call is not None else None
        again = (
            retry is not None
            and not task.cancelled
            and retry.delay_before(task.attempt + 1) is not None
            and retry.covers(failure)
        )
        if not again or self._closing is not None:
            self._fail(task, failure, event)
            return
        task.attempt += 1
        task.run_id = None
        self._schedule(task)

    def _on_activity_cancel(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        self._recorded(d.CANCEL, f"activity {a.get('activityId')}", id).state = d.OVER

    # ------------------------------------------------------------ events: children, signals to others

    def _on_child_initiated(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        key = key_of_child(a.get("workflowId") or "")
        self._opened(self._recorded(d.CHILD, key, id, a.get("workflowType"), a.get("input")), id)

    def _on_child_refused(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        command = self._over(a.get("initiatedEventId"))  # 0 where it got no further than the decision
        if command is None:
            key = key_of_child(a.get("workflowId") or "")
            command = self._recorded(d.CHILD, key, id, a.get("workflowType"))
        self._refuse(command, a.get("cause") or "", event)

    def _on_child_started(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        command = self._open.get(a.get("initiatedEventId") or 0)
        if command is None or not isinstance(command.task, Task):
            return
        task: Task = command.task
        task.run_id = (a.get("workflowExecution") or {}).get("runId")
        letters, task.letters = task.letters, []
        for letter in letters:
            letter.attributes = {**(letter.attributes or {}), **self._address(task, a)}
            self._add(letter)

    def _address(self, task: Task, a: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Where the workflow is that a task is; by the id that the history has for it."""
        execution = (a or {}).get("workflowExecution") or {}
        address = {"workflowId": execution.get("workflowId") or self._child_id(task)}
        if task.run_id:
            address["runId"] = task.run_id
        return address

    def _send(self, run: Run, order: events.SendSignal, node: int) -> None:
        """A signal to another run; to a child once it has started."""
        task = Task(order.key, "@send", node, None)
        self._tasks[node] = task
        try:
            name = order.name
            if not isinstance(name, str) or not 0 < len(name) <= d.IDENTIFIER:
                raise UsageError(f"the name of a signal has 1 to 256 characters, and {name!r} has not")
            text, large = self._fit(
                serialization.dumps(order.value), f"the value of the signal {name!r}"
            )
        except UsageError as error:
            self._fail(task, Failure.of(error, key=order.key), None)
            return
        attributes = {"signalName": name, "input": text, "control": order.key}
        task.command = d.Command(
            d.SIGNAL, "SignalExternalWorkflowExecution", order.key, attributes, task
        )
        task.command.large = large
        if not order.child:
            attributes["workflowId"] = order.to
            if order.run_id:
                attributes["runId"] = order.run_id
            self._add(task.command)
            return
        child = self._children.get(order.to)
        if child is None:
            self._fail(task, self._failure(task, f"{order.to} is over, or no workflow"), None)
        elif child.run_id is None:
            child.letters.append(task.command)
        else:
            attributes.update(self._address(child))
            self._add(task.command)

    def _drop_letters(self, child: Task) -> None:
        letters, child.letters = child.letters, []
        for letter in letters:
            self._fail(letter.task, self._failure(letter.task, f"{child.id} is over"), None)

    def _on_send_initiated(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        self._opened(self._recorded(d.SIGNAL, a.get("control") or "", id), id)

    def _on_send_refused(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        command = self._over(a.get("initiatedEventId"))
        if command is None:
            command = self._recorded(d.SIGNAL, a.get("control") or "", id)
        self._refuse(command, a.get("cause") or "", event)

    def _on_sent(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        task = self._closes(a.get("initiatedEventId"), id, event)
        if task is not None:
            self._finish(task, None, event)

    def _on_child_cancel(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        command = self._recorded(d.CANCEL, f"child {a.get('control')}", id)
        command.state = d.OVER
        self._open[id] = command
        self._desk.open[d.CANCEL] += 1

    def _on_child_cancel_sent(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        self._over(a.get("initiatedEventId"))

    def _on_child_cancel_refused(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        command = self._over(a.get("initiatedEventId"))
        if command is None:
            command = self._recorded(d.CANCEL, f"child {a.get('control')}", id)
        if command.task.state is d.OPEN and is_passing(a.get("cause") or ""):
            self._refuse(command, a.get("cause") or "", event)

    # ------------------------------------------------------------ cancelling

    def _cancel(self, run: Run, node: int) -> None:
        """The workflow cancels a call or timer."""
        task = self._tasks.get(node)
        if task is None or task.command is None or task.cancelled:
            return
        task.cancelled = True
        command = task.command
        timer = command.kind is d.TIMER
        if command.state is d.OPEN:
            self._cancel_open(command)
            if not timer or task.call is None:
                return  # the history will tell
        else:
            command.state = d.WITHDRAWN
        task.command = None
        if task.call is None:
            self._tasks.pop(node)
            run.finish_node(node, None, run.time)  # gives the timer's id back
        else:
            self._fail(task, self._failure(task, "by the workflow", kind="cancelled"), None)

    def _cancel_open(self, command: d.Command) -> None:
        """Ask SWF to cancel what is open there."""
        if command.kind is d.ACTIVITY:
            self._add(
                d.Command(
                    d.CANCEL,
                    "RequestCancelActivityTask",
                    f"activity {command.id}",
                    {"activityId": command.id},
                    command,
                )
            )
        elif command.kind is d.TIMER:
            self._add(
                d.Command(
                    d.CANCEL, "CancelTimer", f"timer {command.id}", {"timerId": command.id}, command
                )
            )
        elif command.kind is d.CHILD:
            attributes = {**self._address(command.task), "control": command.id}
            self._add(
                d.Command(
                    d.CANCEL,
                    "RequestCancelExternalWorkflowExecution",
                    f"child {command.id}",
                    attributes,
                    command,
                )
            )

    # ------------------------------------------------------------ events: timers, markers

    def _on_timer_started(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        timer = a.get("timerId") or ""
        if timer.startswith(d.NEXT):
            self._group_deferred = True
            self._opened(d.Command(d.OWN, "StartTimer", timer), id)
        elif timer.startswith(AGAIN):
            command = self._asked.pop((d.OWN, timer), None)  # None: its maker had other limits
            self._opened(command or d.Command(d.OWN, "StartTimer", timer), id)
        else:
            self._opened(self._recorded(d.TIMER, _timer_id(timer), id), id)

    def _on_timer_over(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        command = self._over(a.get("startedEventId"))
        if command is None:
            return
        if command is self._again:
            self._retry_refused()
        elif self._again is None and any(c.kind is d.TIMER for c in self._refused):
            self._retry_refused()
        task = command.task
        if not isinstance(task, Task):
            return
        if task.call is None:
            self._finish(task, None, event)
        elif task.command is command and self._closing is None:
            task.command = d.Command(task.call.kind, _TYPES[task.call.kind], task.id, None, task)
            task.command.large = command.large
            self._add(task.command)

    def _on_timer_canceled(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        timer = _timer_id(a.get("timerId") or "")
        self._recorded(d.CANCEL, f"timer {timer}", id).state = d.OVER
        command = self._over(a.get("startedEventId"))
        if command is not None and isinstance(command.task, Task) and command.task.call is None:
            self._finish(command.task, None, event)  # gives the timer's id back

    def _on_timer_refused(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        timer = a.get("timerId") or ""
        if timer.startswith(d.NEXT):
            self._group_deferred = True
            return  # the refusal itself brings the next decision
        if timer.startswith(AGAIN):
            self._asked.pop((d.OWN, timer), None)
            if self._again is not None and self._again.id == timer:
                self._again.state = d.OVER
                self._retry_refused()
                self._group_refused = True
            return
        self._refuse(self._recorded(d.TIMER, _timer_id(timer), id), a.get("cause") or "", event)

    def _on_timer_not_canceled(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        timer = _timer_id(a.get("timerId") or "")
        self._recorded(d.CANCEL, f"timer {timer}", id).state = d.OVER  # it has fired

    def _on_marker(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        name = str(a.get("markerName") or "")
        if not name.startswith((NOTE, CHANGE)):
            return  # not flowy's: somebody else's decider left it
        command = self._asked.pop((d.MARKER, name), None)
        if command is not None:
            if command.state is d.WAITING:
                self._desk.remove(command)
            command.state = d.OVER
        elif name.startswith(NOTE) and int(name[len(NOTE) :]) >= self._notes_seen:
            raise self._diverged(
                f"the history has the side effect {name}, which the code did not ask for", None, id
            )

    def _on_marker_refused(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        name = str(a.get("markerName") or "")
        command = self._asked.pop((d.MARKER, name), None)
        if command is not None:
            command.state = d.OVER
            log.error(
                "%s: SWF refused the marker %s (%s): if this run is rebuilt, its side effect runs again",
                self.workflow_id,
                name,
                a.get("cause"),
            )

    # ------------------------------------------------------------ events: from outside, and the end

    def _on_signal(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        run = self._run
        if run is None:
            return
        text = a.get("input")
        value: Any = text
        try:
            value = text and serialization.loads(p.unpack(text, self._store))
        except ValueError:
            pass  # not from flowy: its text
        self.load += len(text or "")
        self._mark(run)
        run.receive_signal(a.get("signalName") or "", value, time_of(event))
        self._collect()

    def _on_cancel_request(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        self._cancel_asked = True
        if self._run is not None:
            self._mark(self._run)
            self._run.request_cancel(time_of(event))
            self._collect()

    def _on_close_refused(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        """Events came while the run was being closed, or it can't be closed so."""
        kind = str(event["eventType"])[: -len("Failed")]
        command = self._asked.pop((d.CLOSE, kind), None)
        if command is None:
            raise self._diverged(f"the history has {kind}, and the code has not ended so", None, id)
        cause = a.get("cause") or ""
        command.state = d.OVER
        if cause == "UNHANDLED_DECISION":
            self._add(command)
        elif is_passing(cause):
            self._group_refused = True
            self._closing = command
            command.state = "refused"
            self._asked[d.CLOSE, kind] = command
            self._refused.append(command)
            self._try_again_later()
        elif kind != "FailWorkflowExecution":
            reason = f"{kind} was refused: {cause}"
            self._close_with("FailWorkflowExecution", {"reason": d.cut(reason, d.REASON)})
        else:
            log.error("%s can't be closed: %s", self.workflow_id, cause)

    def _on_closed(self, id: int, a: Mapping[str, Any], event: Event) -> None:
        self.closed_by = event["eventType"]
        if self.closed_by in ("WorkflowExecutionTimedOut", "WorkflowExecutionTerminated"):
            return
        kind = _CLOSERS[self.closed_by]
        command = self._asked.pop((d.CLOSE, kind), None)
        if command is None:
            ended = f"ended with {self._closing.type}" if self._closing is not None else "has not ended"
            raise self._diverged(
                f"the history has {self.closed_by}, and the code {ended}", self._closing, id
            )
        if command.asked_at > self._seen_at():
            raise self._diverged(f"the history has {self.closed_by} before the code ends", command, id)
        command.state = d.OVER
        self._compare_end(command, a, id)
        self._end_group()

    def _compare_end(self, command: d.Command, a: Mapping[str, Any], id: int) -> None:
        for name in ("result", "input"):
            had, now = a.get(name), (command.attributes or {}).get(name)
            if (
                self._strict
                and had is not None
                and now is not None
                and not serialization.same_json(had, now)
            ):
                raise self._diverged(
                    f"the {name} was {d.cut(had, 200)} in the history, and the code gives {d.cut(now, 200)}",
                    command,
                    id,
                )

    # ------------------------------------------------------------ nondeterminism

    def _tell(self, command: d.Command) -> str:
        return command.type if command.kind is d.CLOSE else f"{command.kind} {command.id}"

    def _diverged(self, what: str, command: d.Command | None, event_id: int) -> NondeterminismError:
        """The error that tells where code and history part."""
        line = self._line(command)
        at = f" ({line})" if line else ""
        error = NondeterminismError(
            f"{describe(self.workflow.factory)} does not do what its history says, at event {event_id}: "
            f"{what}{at}. Nothing was scheduled. Run the code that made the history, or keep both ways "
            "apart with flowy.changed('name')"
        )
        error.event_id, error.line = event_id, line
        return error

    def _line(self, command: d.Command | None) -> str:
        run = self._run
        if run is None:
            return ""
        if command is not None and run.lines is not None and isinstance(command.task, Task):
            known = run.lines.get(command.task.key)
            if known is not None:
                return f"{known[0]}:{known[1]}"
        frame = run.waits_in
        if frame is None:
            return self._last_line(run)
        return f"{frame.f_code.co_filename}:{frame.f_lineno}"

    def _last_line(self, run: Run) -> str:
        """Where code that has ended raised, or asked for something last; else where it begins."""
        if run.exception is not None and (trace := run.exception.__traceback__) is not None:
            while trace.tb_next is not None:
                trace = trace.tb_next
            return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        if run.lines:
            file, line = next(reversed(run.lines.values()))
            return f"{file}:{line}"
        code = getattr(getattr(self.workflow.factory, "__call__", None), "__code__", None)
        return "" if code is None else f"{code.co_filename}:{code.co_firstlineno}"


_CLOSERS = {
    "WorkflowExecutionCompleted": "CompleteWorkflowExecution",
    "WorkflowExecutionFailed": "FailWorkflowExecution",
    "WorkflowExecutionCanceled": "CancelWorkflowExecution",
    "WorkflowExecutionContinuedAsNew": "ContinueAsNewWorkflowExecution",
}


def _timer_id(timer: str) -> str:
    """The id as it is now of a timer that flowy 0.4 may have started."""
    return f"{timer[:-2]}-t" if timer.endswith(":t") else timer


def _show_type(type: Mapping[str, Any]) -> str:
    return " ".join(str(part) for part in type.values())


def _as_replayed(value: Any) -> Any:
    """A value as it will come back from the history."""
    return serialization.loads(serialization.dumps(value))


def _reason(error: BaseException) -> dict[str, Any]:
    """How a run tells why it failed: what the error says, with all of it in the details if it is long."""
    details = ""
    if isinstance(error, TaskError):
        text, details = str(error.args[0] if error.args else ""), error.remote_traceback
    else:
        try:
            text = str(error)
        except Exception as broken:
            text = f"{type(error).__name__}, whose str() raised {type(broken).__name__}"
    text = text or type(error).__name__
    made: dict[str, Any] = {"reason": d.cut(text, d.REASON)}
    if len(text) > d.REASON:
        details = f"{text}\n\n{details}"
    if details:
        made["details"] = d.cut(details, d.DETAILS)
    return made
