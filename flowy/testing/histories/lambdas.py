"""Lambda functions in a history.

Owns: which of them are open, and the events that each may have next. The local service has no
Lambda; a decider that uses it can be tested with these events all the same.

Its neighbours: `tasks`, which does the same for activities and timers, and `ledger`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowy.testing.histories.ledger import Ledger, Seconds, seconds
from flowy.testing.histories.tasks import Task

if TYPE_CHECKING:
    from typing_extensions import Self


class Lambdas(Ledger):
    """A history with the Lambda functions of a workflow."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._functions: dict[str, Task] = {}

    def lambda_scheduled(
        self,
        id: str,
        name: str,
        input: str | None = None,
        *,
        control: str | None = None,
        start_to_close_timeout: Seconds = None,
    ) -> Self:
        """A decision scheduled a Lambda function."""
        self._not_open("lambda_scheduled", "Lambda function", id, self._functions)
        completed = self._decided("lambda_scheduled")
        self._functions[id] = Task(
            self._add(
                "LambdaFunctionScheduled",
                id=id,
                name=name,
                control=control,
                input=input,
                startToCloseTimeout=seconds(start_to_close_timeout),
                decisionTaskCompletedEventId=completed,
            )
        )
        return self

    def schedule_lambda_failed(
        self, id: str, name: str, cause: str = "LAMBDA_SERVICE_NOT_AVAILABLE_IN_REGION"
    ) -> Self:
        """The service refused to schedule a Lambda function."""
        return self._part_failed(
            "schedule_lambda_failed", "ScheduleLambdaFunctionFailed", id=id, name=name, cause=cause
        )

    def lambda_started(self, id: str) -> Self:
        """The service called the function. The events of its end imply this."""
        task = self._open("lambda_started", "Lambda function", id, self._functions)
        if task.started:
            self._refuse("lambda_started", f"Lambda function {id!r} was started in event {task.started}")
        self._begin("lambda_started")
        task.started = self._add("LambdaFunctionStarted", scheduledEventId=task.scheduled)
        return self

    def start_lambda_failed(
        self, id: str, cause: str = "ASSUME_ROLE_FAILED", message: str | None = None
    ) -> Self:
        """The service could not call the function."""
        where = "start_lambda_failed"
        task = self._open(where, "Lambda function", id, self._functions)
        if task.started:
            self._refuse(where, f"Lambda function {id!r} was started in event {task.started}")
        self._news(
            where,
            "StartLambdaFunctionFailed",
            scheduledEventId=task.scheduled,
            cause=cause,
            message=message,
        )
        del self._functions[id]
        return self

    def lambda_completed(self, id: str, result: str | None = None) -> Self:
        """The function returned."""
        return self._end_lambda("lambda_completed", "LambdaFunctionCompleted", id, result=result)

    def lambda_failed(self, id: str, reason: str | None = None, details: str | None = None) -> Self:
        """The function failed."""
        return self._end_lambda(
            "lambda_failed", "LambdaFunctionFailed", id, reason=reason, details=details
        )

    def lambda_timed_out(self, id: str, timeout_type: str = "START_TO_CLOSE") -> Self:
        """The function was not done in time."""
        return self._end_lambda(
            "lambda_timed_out", "LambdaFunctionTimedOut", id, timeoutType=timeout_type
        )

    def _end_lambda(self, where: str, event_type: str, id: str, **attributes: Any) -> Self:
        task = self._open(where, "Lambda function", id, self._functions)
        if not task.started:
            self.lambda_started(id)
        self._news(
            where,
            event_type,
            scheduledEventId=task.scheduled,
            startedEventId=task.started,
            **attributes,
        )
        del self._functions[id]
        return self
