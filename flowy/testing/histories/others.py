"""Child workflows, and signals and cancel requests to other executions, in a history.

Owns: which children are open and which messages are under way, and the events that may follow.

Its neighbours: `tasks`, which does the same for activities and timers, and `ledger`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowy.testing.histories.ledger import Ledger, Seconds, Type, execution, seconds, tags, type_of

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass
class Child:
    """An open child workflow, by event ids; 0 for what has not been."""

    type: dict[str, str]
    initiated: int
    started: int = 0
    run_id: str = ""


@dataclass
class Message:
    """A signal or cancel request to another execution that is under way."""

    initiated: int
    completed: int
    run_id: str | None
    control: str | None


class Others(Ledger):
    """A history with what a workflow has to do with other executions."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._children: dict[str, Child] = {}
        # Several may be under way to the same execution; they arrive in order.
        self._signals: dict[str, list[Message]] = {}
        self._cancels: dict[str, list[Message]] = {}

    def child_initiated(
        self,
        workflow_id: str,
        workflow_type: Type = "Workflow",
        input: str | None = None,
        *,
        control: str | None = None,
        task_list: str | None = None,
        priority: int | None = None,
        execution_start_to_close_timeout: Seconds = 3600,
        task_start_to_close_timeout: Seconds = 10,
        child_policy: str = "TERMINATE",
        tag_list: Sequence[str] | None = None,
        lambda_role: str | None = None,
    ) -> Self:
        """A decision asked for a child workflow."""
        self._not_open("child_initiated", "child workflow", workflow_id, self._children)
        completed = self._decided("child_initiated")
        initiated = self._add(
            "StartChildWorkflowExecutionInitiated",
            workflowId=workflow_id,
            workflowType=type_of(workflow_type),
            control=control,
            input=input,
            executionStartToCloseTimeout=seconds(execution_start_to_close_timeout),
            taskList={"name": self.task_list if task_list is None else task_list},
            taskPriority=seconds(priority),
            decisionTaskCompletedEventId=completed,
            childPolicy=child_policy,
            taskStartToCloseTimeout=seconds(task_start_to_close_timeout),
            tagList=tags(tag_list),
            lambdaRole=lambda_role,
        )
        self._children[workflow_id] = Child(type_of(workflow_type), initiated)
        return self

    def start_child_failed(
        self,
        workflow_id: str,
        workflow_type: Type = "Workflow",
        cause: str = "WORKFLOW_TYPE_DOES_NOT_EXIST",
        control: str | None = None,
    ) -> Self:
        """The service did not start a child workflow.

        One that was initiated and not started fails later and is news of its own; any other is
        refused in the decision, with `initiatedEventId` 0.
        """
        where = "start_child_failed"
        attributes = {"workflowType": type_of(workflow_type), "cause": cause, "workflowId": workflow_id}
        child = self._children.get(workflow_id)
        if child is None or child.started:
            return self._part_failed(
                where,
                "StartChildWorkflowExecutionFailed",
                **attributes,
                initiatedEventId=0,
                control=control,
            )
        completed = self._attributes(child.initiated)["decisionTaskCompletedEventId"]
        self._news(
            where,
            "StartChildWorkflowExecutionFailed",
            **attributes | {"workflowType": child.type},
            initiatedEventId=child.initiated,
            decisionTaskCompletedEventId=completed,
            control=control,
        )
        del self._children[workflow_id]
        return self

    def child_started(self, workflow_id: str, run_id: str | None = None) -> Self:
        """The child workflow began. The events of its end imply this."""
        where = "child_started"
        child = self._open(where, "child workflow", workflow_id, self._children)
        if child.started:
            self._refuse(where, f"child workflow {workflow_id!r} was started in event {child.started}")
        child.run_id = f"{workflow_id}-run" if run_id is None else run_id
        child.started = self._news(
            where,
            "ChildWorkflowExecutionStarted",
            workflowExecution=execution(workflow_id, child.run_id),
            workflowType=child.type,
            initiatedEventId=child.initiated,
        )
        return self

    def child_completed(self, workflow_id: str, result: str | None = None) -> Self:
        """The child workflow completed."""
        return self._end_child(
            "child_completed", "ChildWorkflowExecutionCompleted", workflow_id, result=result
        )

    def child_failed(
        self, workflow_id: str, reason: str | None = None, details: str | None = None
    ) -> Self:
        """The child workflow failed."""
        return self._end_child(
            "child_failed",
            "ChildWorkflowExecutionFailed",
            workflow_id,
            reason=reason,
            details=details,
        )

    def child_timed_out(self, workflow_id: str) -> Self:
        """The child workflow was not done in time."""
        return self._end_child(
            "child_timed_out",
            "ChildWorkflowExecutionTimedOut",
            workflow_id,
            timeoutType="START_TO_CLOSE",
        )

    def child_canceled(self, workflow_id: str, details: str | None = None) -> Self:
        """The child workflow canceled itself."""
        return self._end_child(
            "child_canceled", "ChildWorkflowExecutionCanceled", workflow_id, details=details
        )

    def child_terminated(self, workflow_id: str) -> Self:
        """The child workflow was terminated."""
        return self._end_child("child_terminated", "ChildWorkflowExecutionTerminated", workflow_id)

    def _end_child(self, where: str, event_type: str, workflow_id: str, **attributes: Any) -> Self:
        child = self._open(where, "child workflow", workflow_id, self._children)
        if not child.started:
            self.child_started(workflow_id)
        self._news(
            where,
            event_type,
            workflowExecution=execution(workflow_id, child.run_id),
            workflowType=child.type,
            **attributes,
            initiatedEventId=child.initiated,
            startedEventId=child.started,
        )
        del self._children[workflow_id]
        return self

    def signal_external_initiated(
        self,
        workflow_id: str,
        signal_name: str,
        input: str | None = None,
        *,
        run_id: str | None = None,
        control: str | None = None,
    ) -> Self:
        """A decision sent a signal to another execution."""
        completed = self._decided("signal_external_initiated")
        initiated = self._add(
            "SignalExternalWorkflowExecutionInitiated",
            workflowId=workflow_id,
            runId=run_id,
            signalName=signal_name,
            input=input,
            decisionTaskCompletedEventId=completed,
            control=control,
        )
        self._signals.setdefault(workflow_id, []).append(Message(initiated, completed, run_id, control))
        return self

    def external_signaled(self, workflow_id: str, run_id: str | None = None) -> Self:
        """The signal reached the other execution."""
        return self._arrived(
            "external_signaled",
            "ExternalWorkflowExecutionSignaled",
            "signal to",
            workflow_id,
            run_id,
            self._signals,
        )

    def signal_external_failed(
        self, workflow_id: str, cause: str = "UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION"
    ) -> Self:
        """The signal could not be delivered."""
        return self._lost(
            "signal_external_failed",
            "SignalExternalWorkflowExecutionFailed",
            "signal to",
            workflow_id,
            cause,
            self._signals,
        )

    def request_cancel_external_initiated(
        self, workflow_id: str, *, run_id: str | None = None, control: str | None = None
    ) -> Self:
        """A decision asked another execution to cancel."""
        completed = self._decided("request_cancel_external_initiated")
        initiated = self._add(
            "RequestCancelExternalWorkflowExecutionInitiated",
            workflowId=workflow_id,
            runId=run_id,
            decisionTaskCompletedEventId=completed,
            control=control,
        )
        self._cancels.setdefault(workflow_id, []).append(Message(initiated, completed, run_id, control))
        return self

    def external_cancel_requested(self, workflow_id: str, run_id: str | None = None) -> Self:
        """The cancel request reached the other execution."""
        return self._arrived(
            "external_cancel_requested",
            "ExternalWorkflowExecutionCancelRequested",
            "cancel request to",
            workflow_id,
            run_id,
            self._cancels,
        )

    def request_cancel_external_failed(
        self, workflow_id: str, cause: str = "UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION"
    ) -> Self:
        """The cancel request could not be delivered."""
        return self._lost(
            "request_cancel_external_failed",
            "RequestCancelExternalWorkflowExecutionFailed",
            "cancel request to",
            workflow_id,
            cause,
            self._cancels,
        )

    def _arrived(
        self,
        where: str,
        event_type: str,
        what: str,
        workflow_id: str,
        run_id: str | None,
        open: dict[str, list[Message]],
    ) -> Self:
        sent = self._take(where, what, workflow_id, open)
        reached = run_id or sent.run_id or f"{workflow_id}-run"
        self._news(
            where,
            event_type,
            workflowExecution=execution(workflow_id, reached),
            initiatedEventId=sent.initiated,
        )
        return self

    def _lost(
        self,
        where: str,
        event_type: str,
        what: str,
        workflow_id: str,
        cause: str,
        open: dict[str, list[Message]],
    ) -> Self:
        sent = self._take(where, what, workflow_id, open)
        self._news(
            where,
            event_type,
            workflowId=workflow_id,
            runId=sent.run_id,
            cause=cause,
            initiatedEventId=sent.initiated,
            decisionTaskCompletedEventId=sent.completed,
            control=sent.control,
        )
        return self

    def _take(self, where: str, what: str, workflow_id: str, open: dict[str, list[Message]]) -> Message:
        """The message that was sent first."""
        sent: list[Message] = self._open(where, what, workflow_id, open)
        self._begin(where)
        first = sent.pop(0)
        if not sent:
            del open[workflow_id]
        return first

    def _attributes(self, event_id: int) -> dict[str, Any]:
        """The attributes of an event of before."""
        event = self._events[event_id - 1]
        found: dict[str, Any] = next(v for k, v in event.items() if k.endswith("EventAttributes"))
        return found
