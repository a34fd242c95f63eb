"""The three families of errors, and the record of a failed task.

Owns: every exception that flowy raises on purpose, and `Failure`, the plain record from which
each look at a failed result raises a fresh `TaskError`.

May not know: anything else of flowy. This is the bottom layer, beside `events`.

* `TaskError` …: your task failed.
* `UsageError` …: you misused flowy; the message says what to do instead.
* `InternalError`: flowy has a bug; the message carries the story of the task.
"""

from __future__ import annotations

import traceback
from typing import Any, Literal

__all__ = [
    "CancelRequested",
    "Failure",
    "FlowyError",
    "InternalError",
    "NondeterminismError",
    "TaskCancelled",
    "TaskError",
    "TaskTimedout",
    "TaskUsageError",
    "UnknownLength",
    "UsageError",
    "WorkerDied",
]

FailureKind = Literal["failed", "timed out", "cancelled", "worker died"]


class FlowyError(Exception):
    """The root of all errors of flowy."""


class UsageError(FlowyError):
    """flowy was used in a way that can't work; the message names the culprit and the way out."""


class UnknownLength(UsageError, TypeError):
    """`len` of a lazy map whose inputs are not drawn to their end yet."""


class NondeterminismError(FlowyError):
    """A replay whose code asks for something else than its history recorded.

    Attributes:
        event_id: the event of the history at which it shows, where events are numbered; else 0.
        line: ``file:line`` of the code that asked, or that waits there; '' if it has ended.
    """

    event_id: int = 0
    line: str = ""


class InternalError(FlowyError):
    """A bug of flowy. Please report it with its message, which tells the story of the task."""

    def __init__(self, what: str, story: str = "") -> None:
        super().__init__(f"{what}. This is a bug of flowy, please report it. Story: {story}")
        self.what = what
        self.story = story

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, self.story)


class CancelRequested(FlowyError):
    """Raised where a workflow waits when its run was asked to cancel, and by `heartbeat` in a task that
    was cancelled; they may clean up."""


class TaskError(FlowyError):
    """A task failed.

    Attributes:
        key: the task's key, ``name-call-attempt``.
        name: the dependency's name.
        attempt: which attempt failed, counted from 0.
        remote_traceback: the traceback as text, from where the activity ran ('' if there is none).

    The original exception is the `__cause__`, where it could be brought over.
    """

    def __init__(
        self,
        message: str,
        key: str = "",
        name: str = "",
        attempt: int = 0,
        remote_traceback: str = "",
    ) -> None:
        super().__init__(message)
        self.key = key
        self.name = name
        self.attempt = attempt
        self.remote_traceback = remote_traceback

    def __reduce__(self) -> tuple[Any, ...]:
        message = str(self.args[0]) if self.args else ""
        return type(self), (message, self.key, self.name, self.attempt, self.remote_traceback)

    def __str__(self) -> str:
        return with_remote(super().__str__(), self.remote_traceback)


class TaskTimedout(TaskError):
    """A task was not done in time.

    Attributes:
        timeout: which limit it was: 'schedule_to_start', 'start_to_close', 'schedule_to_close' or
            'heartbeat'.
        details: what the task's last `flowy.heartbeat(details)` said, None if there was none.
    """

    timeout: str = ""
    details: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (*super().__reduce__(), {"timeout": self.timeout, "details": self.details})


class TaskCancelled(TaskError):
    """A task was cancelled."""


class WorkerDied(TaskError):
    """The worker process died each time it ran this task."""


class TaskUsageError(TaskError, UsageError):
    """A task failed because flowy was misused: it can be caught as either."""


_CLASSES: dict[str, type[TaskError]] = {
    "failed": TaskError,
    "timed out": TaskTimedout,
    "cancelled": TaskCancelled,
    "worker died": WorkerDied,
}


class Failure:
    """How a task failed: the record behind its `TaskError`s.

    A failure that passes from an argument to the calls that needed it stays the same record, so
    `looked` tells whether anyone ever saw it.
    """

    __slots__ = (
        "attempt",
        "cause",
        "details",
        "key",
        "kind",
        "looked",
        "message",
        "name",
        "remote_traceback",
        "timeout",
    )

    def __init__(
        self,
        message: str,
        *,
        key: str = "",
        name: str = "",
        attempt: int = 0,
        kind: FailureKind = "failed",
        cause: BaseException | None = None,
        remote_traceback: str = "",
        timeout: str = "",
        details: Any = None,
    ) -> None:
        self.message = message
        self.key = key
        self.name = name
        self.attempt = attempt
        self.kind: FailureKind = kind
        self.cause = cause
        self.remote_traceback = remote_traceback
        self.timeout = timeout
        self.details = details
        self.looked = False

    @property
    def story(self) -> str:
        """Message and remote traceback, as `str` of a `TaskError` has them."""
        return with_remote(str(self.message), self.remote_traceback)

    @classmethod
    def of(
        cls,
        exception: BaseException,
        *,
        key: str = "",
        name: str = "",
        attempt: int = 0,
        kind: FailureKind = "failed",
        remote_traceback: str | None = None,
    ) -> Failure:
        """The failure that `exception` is; its own traceback is kept as text if none is given."""
        if remote_traceback is None:
            remote_traceback = format_remote(exception)
        return cls(
            describe(exception),
            key=key,
            name=name,
            attempt=attempt,
            kind=kind,
            cause=exception,
            remote_traceback=remote_traceback,
        )

    def error(self) -> TaskError:
        """A fresh exception for one look at the failed task."""
        misused = isinstance(self.cause, UsageError) and self.kind == "failed"
        kind = TaskUsageError if misused else _CLASSES[self.kind]
        who = f"task {self.key} " if self.key else ""
        what = f"{self.kind}: {self.message}" if self.message else self.kind
        error = kind(f"{who}{what}", self.key, self.name, self.attempt, self.remote_traceback)
        error.__cause__ = self.cause
        if isinstance(error, TaskTimedout):
            error.timeout, error.details = self.timeout, self.details
        return error

    def __repr__(self) -> str:
        return f"<failure {self.key}, {self.kind}: {self.message}>"


def with_remote(message: str, remote_traceback: str) -> str:
    """A message, and below it the traceback from where the activity ran, if there is one."""
    return f"{message}\n\nwhere it ran:\n{remote_traceback.rstrip()}" if remote_traceback else message


def describe(exception: BaseException) -> str:
    """One line that says which exception this is; survives exceptions that can't be shown."""
    try:
        text = str(exception)
    except Exception as broken:
        text = f"<its str() raised {type(broken).__name__}>"
    name = type(exception).__qualname__
    return f"{name}: {text}" if text else name


def format_remote(exception: BaseException) -> str:
    """The traceback of `exception` as text, '' if it was never raised."""
    if exception.__traceback__ is None:
        return ""
    try:
        return "".join(traceback.format_exception(type(exception), exception, exception.__traceback__))
    except Exception as broken:
        return f"{type(exception).__qualname__} (its traceback could not be shown: {broken!r})"
