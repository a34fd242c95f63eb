"""One execution of a workflow on Amazon SWF: the run that the core keeps.

Owns: `Execution`: how a run starts from its history's first event, how outcomes reach the core, the
decisions that answer a task, and how the end of a run is told.

    events ─> meanings ─> Execution ─> core ─> Asking ─> Ledger ─> Execution ─> decisions

May not know: clocks, the service, or what each type of event means (`meanings`). Its other neighbours
are `asking`, which it is made on top of, `ledger`, which follows the commands, and `parting`, which
finds the line where code and history part.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from flowy import events
from flowy._replay import Command, Task
from flowy._sched import Run
from flowy.config import Factory
from flowy.errors import CancelRequested, Failure, NondeterminismError
from flowy.swf import decisions as d
from flowy.swf import payloads as p
from flowy.swf import serialization
from flowy.swf.asking import Asking
from flowy.swf.config import SWFWorkflowConfig
from flowy.swf.history import Event, attributes_of, is_passing, time_of
from flowy.swf.ledger import Ledger
from flowy.swf.parting import diverged, reason_of, where_of

__all__ = ["Execution", "Workflow"]

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


class Execution(Asking):
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
        limits: d.Limits = d.STANDARD,
        store: p.Payloads | None = None,
        strict: bool = False,
        lines: bool = False,
    ) -> None:
        ledger = Ledger(limits.open, workflow.config.rate_limit, self.diverged, strict=strict)
        super().__init__(ledger, workflow.config.calls, workflow_id, run_id, store)
        self.workflow = workflow
        self.thread = threading.get_ident()
        """In which the run's code lives."""
        self.closed_by = ""
        """The type of the event that closed the execution."""
        self.where = ""
        """The traceback of the error by which the code failed the run, until it is told."""
        self.cancel_asked = False
        self.notes: dict[int, Any] = {}
        self.changes: set[str] = set()
        self._limits = limits
        self._lines = lines
        self._first: Mapping[str, Any] = {}

    def close(self) -> None:
        """Discard the run; in another thread than its own it can only be let go."""
        run = self.run
        if run is not None and self.thread == threading.get_ident():
            run.close()
            run.seeder = None  # what still holds the run shall not hold all of this

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
                self.where = where_of(run.exception)
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
