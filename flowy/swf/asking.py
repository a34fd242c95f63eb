"""What the run of an execution asks for: calls, timers, markers, signals, cancels.

Owns: `Asking`, which makes a command of each thing that the core asks for, and lets calls fail.

May not know: histories, or how a run starts and ends (`execution`, which is made on top of it). Its
other neighbours are `flowy._replay`, whose `Course` makes the commands of calls that need nothing
special, and `ledger`, which follows the commands.
"""

from __future__ import annotations

from typing import Any

from flowy import events
from flowy._replay import Command, Course, Task
from flowy._sched import Map, Outbox, Run
from flowy.errors import Failure, UsageError
from flowy.swf import decisions as d
from flowy.swf import payloads as p
from flowy.swf import serialization
from flowy.swf.history import Event, time_of
from flowy.swf.ledger import Ledger

__all__ = ["CHANGE", "NOTE", "Asking"]

NOTE, CHANGE = "flowy-note-", "flowy-change-"
"""How the names of markers begin that keep the answers of side effects, and changes of the code."""


class Asking(Course):
    """A run that asks.

    Args:
        ledger: follows what it asks for.
        calls: how each of its dependencies is reached, by name.
        workflow_id, run_id: of the execution; a replay of a bare history has none.
        store: where texts are that are too long for SWF.
    """

    ledger: Ledger

    def __init__(
        self,
        ledger: Ledger,
        calls: dict[str, Any],
        workflow_id: str,
        run_id: str,
        store: p.Payloads | None,
    ) -> None:
        super().__init__(ledger, Outbox(), calls, p.MOST, p.MARK, d.CONTEXT)
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.store = store

    # ------------------------------------------------------------ calls

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

    # ------------------------------------------------------------ all else

    def order(self, run: Run, order: events.Command, target: Any) -> None:
        """What the run asks for beside calls."""
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

    # ------------------------------------------------------------ calls that are workflows

    def child_id(self, task: Task) -> str:
        """The id of the workflow that a task is."""
        return task.workflow_id or d.child_id(self.workflow_id, self.run_id, task.id)

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
