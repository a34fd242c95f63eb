"""One execution of a workflow on Amazon SWF: the run that the core keeps, and what it asks for.

Owns: `Execution`: how a run starts from its history's first event, how outcomes reach the core, what
each thing that the run asks for becomes as a command, how its end is told, and where code and history
part in the user's source.

    events ─> meanings ─> Execution ─> core ─> Execution ─> Ledger ─> decisions

May not know: clocks, the service, or what each type of event means (`meanings`). Its other neighbours
are `flowy._replay`, whose `Course` has what happens at every event, `ledger`, which follows the
commands, and `parting`, which finds the line where code and history part.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from flowy import events
from flowy._replay import Command, Course, Task
from flowy._sched import Map, Outbox, Run
from flowy.config import Factory
from flowy.errors import CancelRequested, Failure, NondeterminismError, UsageError
from flowy.swf import decisions as d
from flowy.swf import payloads as p
from flowy.swf import serialization
from flowy.swf.config import SWFWorkflowConfig
from flowy.swf.history import Event, attributes_of, is_passing, time_of
from flowy.swf.ledger import Ledger
from flowy.swf.parting import diverged, reason_of

__all__ = ["CHANGE", "NOTE", "Execution", "Workflow"]

NOTE, CHANGE = "flowy-note-", "flowy-change-"
"""How the names of markers begin that keep the answers of side effects, and changes of the code."""
PER_TASK = 6
"""Events that a task may still bring: three of its own and three of the decision."""
_TAKEN_ALONG = (
    "childPolicy",
    "executionStartToCloseTimeout",
    "taskStartToCloseTimeout",
    "taskList",
    "taskPriority",
    "tagList",
    "lambdaRole",
)
"""What a restart has from the execution that it continues, beside the version of its type."""


class Workflow(NamedTuple):
    """A workflow as a decider knows it."""

    config: SWFWorkflowConfig
    factory: Factory
    version: str
    name: str


class Execution(Course):
    """The run of one execution.

    Args:
        workflow: its type, as configured.
        workflow_id, run_id: of the execution; a replay of a bare history has none.
        store: where texts are that are too long for SWF.
        strict: other arguments than the history has are an error, not a warning.
        lines: keep the line of each call, to tell it in errors.
    """

    ledger: Ledger

    def __init__(
        self,
        workflow: Workflow,
        workflow_id: str = "",
        run_id: str = "",
        *,
        limits: d.Limits = d.STANDARD,
        store: p.Payloads | None = None,
        strict: bool = False,
        lines: bool = False,
    ) -> None:
        ledger = Ledger(limits.open, workflow.config.rate_limit, self.diverged, strict=strict)
        super().__init__(ledger, Outbox(), workflow.config.calls, p.MOST, p.MARK, d.CONTEXT)
        self.workflow = workflow
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.store = store
        self.thread = threading.get_ident()
        """In which the run's code lives."""
        self.closed_by = ""
        """The type of the event that closed the execution."""
        self.cancel_asked = False
        self.notes: dict[int, Any] = {}
        self.changes: set[str] = set()
        self._limits = limits
        self._lines = lines
        self._first: Mapping[str, Any] = {}

    def close(self) -> None:
        """Discard the run; in another thread than its own it can only be let go."""
        if self.run is not None and self.thread == threading.get_ident():
            self.run.close()

    @property
    def memory(self) -> int:
        """Bytes that it holds, about."""
        run = self.run.memory if self.run is not None else 0
        return 20_000 + run + self.texts + 700 * (len(self.tasks) + self.ledger.expected)

    # ------------------------------------------------------------ the answer

    def decisions(self) -> d.Decisions:
        """What to answer to the last DecisionTaskStarted.

        Raises:
            OSError: a payload could not be stored now.
        """
        made = d.Decisions()
        flight = self.ledger.flight
        room = self._limits.bytes
        for n, command in enumerate(flight):
            decision = self._write(command)
            room -= d.size_of(attributes_of_decision(decision))
            full = n >= self._limits.decisions - 1 and n < len(flight) - 1
            if made and (full or room < d.FRAME):
                more = {"timerId": f"{d.MORE}{self.ledger.started_event}", "startToFireTimeout": "0"}
                made.append(d.write("StartTimer", more))
                break
            made.append(decision)
        waiting = self.ledger.waiting
        if waiting and self.closing is None:
            made.context = f"{d.CONTEXT} {waiting}"
        return made

    def _write(self, command: Command) -> dict[str, Any]:
        """The decision that a command is; what is too long for it goes to the store first."""
        if command.large is not None and self.store is not None:
            self.store.put(p.key_of(p.reference(command.large)) or "", command.large)
        attributes = command.attributes
        if attributes is None:
            task, call = command.task, command.task.call
            attributes = {"input": task.input, **call.attributes}
            if call.kind == d.ACTIVITY:
                attributes.update(activityId=command.id, activityType=dict(call.type))
            elif call.kind == d.CHILD:
                attributes.update(workflowId=self.child_id(task), workflowType=dict(call.type))
            else:
                attributes.update(id=command.id, name=call.type["name"])
        return d.write(command.type, attributes)

    def child_id(self, task: Task) -> str:
        """The id of the workflow that a task is."""
        return task.workflow_id or d.child_id(self.workflow_id, self.run_id, task.id)

    # ------------------------------------------------------------ what happens to the run

    def start(self, event: Event) -> None:
        """The first event: run the code until it first waits."""
        says = self._first = attributes_of(event)
        config = self.workflow.config
        text = says.get("input")
        try:
            args, kwargs = ((), {}) if text is None else config.deserialize_input(self.open_text(text))
            args, kwargs = tuple(args), dict(kwargs)
        except OSError:
            raise
        except Exception as error:
            reason = f"the input can't be read: {type(error).__name__}: {error}"
            self.close_with("FailWorkflowExecution", {"reason": d.cut(reason, d.REASON)})
            return
        run = self.run = Run(
            self.workflow.factory,
            tuple(config.calls),
            self.outbox,
            args=args,
            kwargs=kwargs,
            notes=self.notes,
            changes=self.changes,
        )
        run.seeder = self._seed
        run.recorder = _as_replayed
        run.suggest_at = self._limits.continue_at
        run.task_length = PER_TASK
        run.lines = {} if self._lines else None
        self.stand(run)
        run.start(time_of(event))
        self.collect(run)

    def _seed(self) -> int:
        """Of `random` and `uuid4`: another in each run, and the same when it is rebuilt."""
        text = f"{self.workflow_id}\n{self.run_id}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    def open_text(self, text: str) -> str:
        """A text of the history, wherever it is kept."""
        self.texts += len(text)
        return p.unpack(text, self.store)

    def read_time(self, event: Event) -> float:
        """When an event happened, if it does not say so in plain seconds."""
        return time_of(event)

    def cant_read(self, task: Task, error: Exception, event: Event) -> None:
        """The result of a task is no text that its dependency can read."""
        what = f"its result can't be read: {type(error).__name__}: {error}"
        self.fail(task, self.failure(task, what, cause=error), event)

    def fail(self, task: Task, failure: Failure, event: Event | None = None) -> None:
        """A task failed for good; without an event as an effect of the present one."""
        run = self.run
        if run is None or self.tasks.pop(task.node, None) is not task:
            return
        if self.children:
            self.leave_child(task)
        self.stand(run)
        run.fail_node(task.node, failure, run.time if event is None else time_of(event))
        self.collect(run)

    def failure(self, task: Task, message: str, **more: Any) -> Failure:
        """How the present attempt of a task failed."""
        return Failure(message, key=task.id, name=task.name, attempt=task.attempt, **more)

    def refuse(self, command: Command, cause: str, event: Event) -> None:
        """SWF did not carry out a decision: try it again later, or tell the workflow."""
        if command.state is d.WITHDRAWN:
            return
        if is_passing(cause):
            self.ledger.refused(command)
            return
        command.state = d.OVER
        task = command.task
        if isinstance(task, Task) and task.command is command:
            self.fail(task, self.failure(task, f"SWF refused it: {cause}"), event)

    def retry(self, task: Task, failure: Failure, event: Event) -> None:
        """Another attempt, where the retries of the dependency cover the failure; else it is the end."""
        retry = task.call.retry if task.call is not None else None
        again = (
            retry is not None
            and self.closing is None
            and not task.cancelled
            and retry.delay_before(task.attempt + 1) is not None
            and retry.covers(failure)
        )
        if not again:
            self.fail(task, failure, event)
            return
        task.attempt += 1
        task.started, task.workflow_id = False, ""
        self.schedule(task)

    def receive_signal(self, name: str, value: Any, event: Event) -> None:
        """Somebody sent the run a signal."""
        if self.run is not None:
            self.stand(self.run)
            self.run.receive_signal(name, value, time_of(event))
            self.collect(self.run)

    def request_cancel(self, event: Event) -> None:
        """Somebody asked the run to cancel."""
        self.cancel_asked = True
        if self.run is not None:
            self.stand(self.run)
            self.run.request_cancel(time_of(event))
            self.collect(self.run)

    # ------------------------------------------------------------ what the run asks for

    def tell_broken(self, run: Run) -> None:
        """The arguments of some calls could not be put together."""
        for _, node, error in self.outbox.take_broken():
            key, name = run.key_of(node), run.name_of(node)
            run.fail_node(node, Failure.of(error, key=key, name=name), run.time)

    def cant_ask(self, task: Task, error: Exception) -> None:
        """The arguments of a call can't travel."""
        assert self.run is not None
        misuse = UsageError(f"the arguments of {task.key} can't be sent: {error}")
        misuse.__cause__ = error
        self.run.fail_node(task.node, Failure.of(misuse, key=task.key, name=task.name), self.run.time)

    def fit(self, text: Any, what: str) -> tuple[str, str | None]:
        """(what travels for a text, what is to be stored for it)"""
        if not isinstance(text, str):
            raise UsageError(f"{what} was serialized to {text!r}, which is no string")
        if len(text) <= p.MOST:
            return text, None
        if self.store is None:
            raise UsageError(p.too_long(what, len(text)))
        return p.reference(text), text

    def schedule(self, task: Task, large: Any = None) -> None:
        """The next attempt of a task, or first the timer before it."""
        assert task.call is not None
        delay = task.call.retry.delay_before(task.attempt)
        if delay:
            id = f"{task.id}-t"
            says = {"timerId": id, "startToFireTimeout": d.seconds(delay)}
            command = Command(d.TIMER, "StartTimer", id, says, task)
            command.large = large
            task.command = command
            self.ledger.add(command, self.last_event)
        else:
            self.schedule_now(task, large)

    def order(self, run: Run, order: events.Command, target: Any) -> None:
        if isinstance(order, events.StartTimer):
            task = Task(order.key, "@timer", target)
            says = {"timerId": order.key, "startToFireTimeout": d.seconds(order.seconds)}
            task.command = Command(d.TIMER, "StartTimer", order.key, says, task)
            self.tasks[target] = task
            self.ledger.add(task.command, self.last_event)
        elif isinstance(order, events.CancelTask):
            self._cancel(run, target)
        elif isinstance(order, events.WantDraw):
            assert isinstance(target, Map)
            run.draw(target, order.room, run.time)  # at once: so it needs no record
        elif isinstance(order, events.Note):
            self._mark(run, f"{NOTE}{order.ordinal}", serialization.dumps(order.value))
        elif isinstance(order, events.Changed):
            self._mark(run, d.cut(f"{CHANGE}{order.name}", d.IDENTIFIER), order.name)
        elif isinstance(order, events.SendSignal):
            self._send(order, target)

    def _mark(self, run: Run, name: str, details: str) -> None:
        """A marker, from which a replay gets the same answer."""
        try:
            text, large = self.fit(details, f"what {name} is to keep")
        except UsageError as error:
            run.give_up(error)
            return
        command = Command(d.MARKER, "RecordMarker", name, {"markerName": name, "details": text})
        command.large = large
        self.ledger.add(command, self.last_event)

    def _send(self, order: events.SendSignal, node: int) -> None:
        """A signal to another run; to a child once it has started."""
        task = Task(order.key, "@send", node)
        self.tasks[node] = task
        try:
            name: object = order.name
            if not isinstance(name, str) or not 0 < len(name) <= d.IDENTIFIER:
                raise UsageError(f"a signal's name has 1 to 256 characters, and {order.name!r} has not")
            what = f"the value of the signal {order.name!r}"
            text, large = self.fit(serialization.dumps(order.value), what)
        except UsageError as error:
            self.fail(task, Failure.of(error, key=order.key))
            return
        says: dict[str, Any] = {"signalName": order.name, "input": text, "control": order.key}
        command = Command(d.SIGNAL, "SignalExternalWorkflowExecution", order.key, says, task)
        command.large = large
        task.command = command
        child = self.children.get(order.to) if order.child else None
        if not order.child:
            says["workflowId"] = order.to
            if order.run_id:
                says["runId"] = order.run_id
        elif child is None:
            self.fail(task, self.failure(task, f"{order.to} is over, or no workflow"))
            return
        elif not child.started:
            child.letters = [*(child.letters or ()), command]
            return
        else:
            says.update(self._address(child))
        self.ledger.add(command, self.last_event)

    def child_started(self, task: Task) -> None:
        """The workflow that a task is has started: it can get signals now."""
        task.started = True
        letters, task.letters = task.letters or (), None
        for letter in letters:
            letter.attributes = {**(letter.attributes or {}), **self._address(task)}
            self.ledger.add(letter, self.last_event)

    def _address(self, task: Task) -> dict[str, str]:
        """Where the workflow is that a task is."""
        return {"workflowId": self.child_id(task)}  # no runId: it may have continued as new since

    def leave_child(self, task: Task) -> None:
        """A task that may be a workflow is over: signals can't reach it."""
        if self.children.pop(task.key, None) is None:
            return
        letters, task.letters = task.letters or (), None
        for letter in letters:
            self.fail(letter.task, self.failure(letter.task, f"{task.id} is over"))

    def _cancel(self, run: Run, node: int) -> None:
        """The workflow cancels a call or timer."""
        task = self.tasks.get(node)
        if task is None or task.command is None or task.cancelled:
            return
        task.cancelled = True
        command = task.command
        if command.state is d.OPEN:
            self.cancel_open(command)
            if command.kind is not d.TIMER or task.call is None:
                return  # the history will tell
        else:
            self.ledger.withdraw(command)
            command.withdrawn_at = self.last_event
        task.command = None
        if task.call is None:
            del self.tasks[node]
            run.finish_node(node, None, run.time)  # gives the timer's id back
        else:
            self.fail(task, self.failure(task, "by the workflow", kind="cancelled"))

    def cancel_open(self, command: Command) -> None:
        """Ask SWF to cancel what is open there; a Lambda function can't be."""
        if command.kind is d.ACTIVITY:
            type, says = "RequestCancelActivityTask", {"activityId": command.id}
        elif command.kind is d.TIMER:
            type, says = "CancelTimer", {"timerId": command.id}
        elif command.kind is d.CHILD:
            type = "RequestCancelExternalWorkflowExecution"
            says = {**self._address(command.task), "control": command.id}
        else:
            return
        cancel = Command(d.CANCEL, type, f"{command.kind} {command.id}", says, command)
        self.ledger.add(cancel, self.last_event)

    # ------------------------------------------------------------ the end

    def end(self, run: Run) -> None:
        """The code has ended: tell how."""
        config, outcome = self.workflow.config, run.outcome
        if run.exception is not None and not isinstance(run.exception, Exception):
            raise run.exception  # an interrupt, or sys.exit(): of this process, not of the workflow
        large, attributes = None, dict[str, Any]()
        try:
            if isinstance(outcome, events.Complete):
                kind = "CompleteWorkflowExecution"
                text = config.serialize_result(outcome.value)
                attributes["result"], large = self.fit(text, "the result of the workflow")
            elif isinstance(outcome, events.Restart):
                kind = "ContinueAsNewWorkflowExecution"
                text = config.serialize_restart_input(outcome.args, outcome.kwargs)
                attributes["input"], large = self.fit(text, "the input of the restart")
                attributes.update(self._taken_along())
            elif self.cancel_asked and isinstance(run.exception, CancelRequested):
                kind = "CancelWorkflowExecution"
            else:
                assert run.exception is not None
                kind, attributes = "FailWorkflowExecution", reason_of(run.exception)
        except Exception as error:
            kind, attributes = "FailWorkflowExecution", reason_of(error)
        self.close_with(kind, attributes, large)

    def _taken_along(self) -> dict[str, Any]:
        """What a restart has from this execution."""
        kept = {name: self._first[name] for name in _TAKEN_ALONG if self._first.get(name) is not None}
        version = (self._first.get("workflowType") or {}).get("version") or self.workflow.version
        return {**kept, "workflowTypeVersion": version}

    def close_with(self, kind: str, attributes: dict[str, Any], large: str | None = None) -> None:
        """Close the execution by this decision."""
        self.closing = Command(d.CLOSE, kind, kind, attributes)
        self.closing.large = large
        self.ledger.add(self.closing, self.last_event)

    # ------------------------------------------------------------ where code and history part

    def diverged(self, what: str, command: Command | None, event_id: int) -> NondeterminismError:
        """The error that tells where."""
        key = command.task.key if command is not None and isinstance(command.task, Task) else None
        return diverged(self.workflow.factory, self.run, what, key, event_id)

    def unknown(self, opened_by: Any, event: Event) -> NondeterminismError:
        """The history ends what it did not begin."""
        what = f"the history has {event['eventType']} of what was not started (event {opened_by})"
        return self.diverged(what, None, event["eventId"])


def attributes_of_decision(decision: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a decision says beside its type."""
    return next(value for key, value in decision.items() if key != "decisionType")


def _as_replayed(value: Any) -> Any:
    """A value as it will come back from the history."""
    return serialization.loads(serialization.dumps(value))
