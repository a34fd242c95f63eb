"""Histories made by hand, for unit tests of deciders: `HistoryBuilder`.

Owns: the events of the execution itself, from its start to its end.

May not know: the local service, boto3. What is common to all events is in `ledger`; activities, timers
and markers are in `tasks`, Lambda functions in `lambdas`, children and messages to other executions
in `others`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowy.testing.histories.lambdas import Lambdas
from flowy.testing.histories.ledger import Ledger, Seconds, Type, execution, seconds, tags, type_of
from flowy.testing.histories.others import Others
from flowy.testing.histories.tasks import Tasks

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["HistoryBuilder"]


class HistoryBuilder(Tasks, Lambdas, Others, Ledger):
    """Builds the history of one execution, as Amazon SWF would have written it.

    There is a method for each type of event. Event ids, times, references from one event to another and
    the decision tasks between them are put in as the service does. What the service could not have
    written (an activity that completes and was not scheduled, an event after the end) is a `UsageError`.

    Args:
        workflow_id, run_id: of the execution.
        workflow_type: a name, or name and version.
        task_list: of decisions, and of activities that say no other.
        start_time: of the first event, seconds since the epoch.

    >>> h = HistoryBuilder().started(input='[1]')
    >>> h = h.activity_scheduled('square-0-0', ('square', '1'), '[1]')
    >>> h = h.activity_completed('square-0-0', '1').completed('1')
    >>> for event in h.events(): print(event['eventId'], event['eventType'])
    1 WorkflowExecutionStarted
    2 DecisionTaskScheduled
    3 DecisionTaskStarted
    4 DecisionTaskCompleted
    5 ActivityTaskScheduled
    6 ActivityTaskStarted
    7 ActivityTaskCompleted
    8 DecisionTaskScheduled
    9 DecisionTaskStarted
    10 DecisionTaskCompleted
    11 WorkflowExecutionCompleted
    """

    def started(
        self,
        input: str | None = None,
        *,
        execution_start_to_close_timeout: Seconds = 3600,
        task_start_to_close_timeout: Seconds = 10,
        child_policy: str = "TERMINATE",
        priority: int | None = None,
        tag_list: Sequence[str] | None = None,
        continued_from: str | None = None,
        parent: tuple[str, str] | None = None,
        parent_initiated_event_id: int = 0,
        lambda_role: str | None = None,
    ) -> Self:
        """The execution began: always the first event.

        Args:
            continued_from: the run that was continued as this one.
            parent: workflow id and run id of the parent, for a child.
            parent_initiated_event_id: where the parent's history has its start.
        """
        if self._events:
            self._refuse("started", "a history begins once")
        if parent_initiated_event_id and not parent:
            self._refuse("started", "an execution without parent has no event in a parent")
        self._decision_timeout = seconds(task_start_to_close_timeout)
        self._priority = seconds(priority)
        self._news(
            "started",
            "WorkflowExecutionStarted",
            input=input,
            executionStartToCloseTimeout=seconds(execution_start_to_close_timeout),
            taskStartToCloseTimeout=self._decision_timeout,
            childPolicy=child_policy,
            taskList={"name": self.task_list},
            taskPriority=self._priority,
            workflowType=self.workflow_type,
            tagList=tags(tag_list),
            continuedExecutionRunId=continued_from,
            parentWorkflowExecution=execution(*parent) if parent else None,
            parentInitiatedEventId=parent_initiated_event_id,
            lambdaRole=lambda_role,
        )
        return self

    def signaled(
        self,
        signal_name: str,
        input: str | None = None,
        *,
        by: tuple[str, str] | None = None,
        by_event_id: int = 0,
    ) -> Self:
        """Somebody signaled the execution.

        Args:
            by: workflow id and run id of the execution that did, if it was one.
            by_event_id: where its history has this.
        """
        self._news(
            "signaled",
            "WorkflowExecutionSignaled",
            signalName=signal_name,
            input=input,
            externalWorkflowExecution=execution(*by) if by else None,
            externalInitiatedEventId=by_event_id,
        )
        return self

    def cancel_requested(
        self,
        *,
        by: tuple[str, str] | None = None,
        by_event_id: int = 0,
        cause: str | None = None,
    ) -> Self:
        """Somebody asked the execution to cancel: `cause` is `"CHILD_POLICY_APPLIED"` or none."""
        self._news(
            "cancel_requested",
            "WorkflowExecutionCancelRequested",
            externalWorkflowExecution=execution(*by) if by else None,
            externalInitiatedEventId=by_event_id,
            cause=cause,
        )
        return self

    def completed(self, result: str | None = None) -> Self:
        """A decision completed the execution."""
        return self._close("completed", "WorkflowExecutionCompleted", result=result)

    def complete_failed(self, cause: str = "UNHANDLED_DECISION") -> Self:
        """The service refused to complete the execution."""
        return self._close_failed("complete_failed", "CompleteWorkflowExecutionFailed", cause)

    def failed(self, reason: str | None = None, details: str | None = None) -> Self:
        """A decision failed the execution."""
        return self._close("failed", "WorkflowExecutionFailed", reason=reason, details=details)

    def fail_failed(self, cause: str = "UNHANDLED_DECISION") -> Self:
        """The service refused to fail the execution."""
        return self._close_failed("fail_failed", "FailWorkflowExecutionFailed", cause)

    def canceled(self, details: str | None = None) -> Self:
        """A decision canceled the execution."""
        return self._close("canceled", "WorkflowExecutionCanceled", details=details)

    def cancel_failed(self, cause: str = "UNHANDLED_DECISION") -> Self:
        """The service refused to cancel the execution."""
        return self._close_failed("cancel_failed", "CancelWorkflowExecutionFailed", cause)

    def continued_as_new(
        self,
        new_run_id: str = "next-run",
        input: str | None = None,
        *,
        workflow_type: Type | None = None,
        task_list: str | None = None,
        priority: int | None = None,
        execution_start_to_close_timeout: Seconds = 3600,
        task_start_to_close_timeout: Seconds = 10,
        child_policy: str = "TERMINATE",
        tag_list: Sequence[str] | None = None,
        lambda_role: str | None = None,
    ) -> Self:
        """A decision ended the execution and began it anew, as another run with another history."""
        return self._close(
            "continued_as_new",
            "WorkflowExecutionContinuedAsNew",
            input=input,
            newExecutionRunId=new_run_id,
            executionStartToCloseTimeout=seconds(execution_start_to_close_timeout),
            taskList={"name": self.task_list if task_list is None else task_list},
            taskPriority=seconds(priority),
            taskStartToCloseTimeout=seconds(task_start_to_close_timeout),
            childPolicy=child_policy,
            tagList=tags(tag_list),
            workflowType=self.workflow_type if workflow_type is None else type_of(workflow_type),
            lambdaRole=lambda_role,
        )

    def continue_as_new_failed(self, cause: str = "UNHANDLED_DECISION") -> Self:
        """The service refused to continue the execution as new."""
        return self._close_failed(
            "continue_as_new_failed", "ContinueAsNewWorkflowExecutionFailed", cause
        )

    def timed_out(self, child_policy: str = "TERMINATE") -> Self:
        """The execution was not done in time."""
        return self._end(
            "timed_out",
            "WorkflowExecutionTimedOut",
            timeoutType="START_TO_CLOSE",
            childPolicy=child_policy,
        )

    def terminated(
        self,
        reason: str | None = None,
        details: str | None = None,
        *,
        child_policy: str = "TERMINATE",
        cause: str | None = "OPERATOR_INITIATED",
    ) -> Self:
        """Somebody, a child policy or a limit terminated the execution."""
        return self._end(
            "terminated",
            "WorkflowExecutionTerminated",
            reason=reason,
            details=details,
            childPolicy=child_policy,
            cause=cause,
        )

    def _close(self, where: str, event_type: str, **attributes: Any) -> Self:
        """End it by a decision."""
        completed = self._decided(where)
        if self._waiting:  # a refused part of this very decision is no such news
            self._refuse(
                where,
                "something happened that this decision did not see, so the service refuses to close "
                "(UNHANDLED_DECISION); let a decision() follow, or add the event of the refusal",
            )
        self._add(event_type, **attributes, decisionTaskCompletedEventId=completed)
        self._closed = True
        return self

    def _close_failed(self, where: str, event_type: str, cause: str) -> Self:
        completed = self._decided(where)
        if cause == "UNHANDLED_DECISION" and not self._waiting:
            self._refuse(
                where,
                "nothing happened that this decision did not see; let decision_started(), "
                "then news, come before",
            )
        self._add(event_type, cause=cause, decisionTaskCompletedEventId=completed)
        self._owed = True
        return self

    def _end(self, where: str, event_type: str, **attributes: Any) -> Self:
        """End it from outside."""
        self._begin(where)
        self._add(event_type, **attributes)
        self._closed = True
        return self
