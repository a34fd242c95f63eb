"""What is said of activities and workflows on Amazon SWF.

Owns: `SWFActivityConfig` and `SWFWorkflowConfig`, with the names and arguments of flowy 0.4; `Call`,
which is how a workflow reaches one dependency; and how configurations are bound to functions and
classes, to be found by `worker.scan()`.

May not know: SWF's service, histories, or how a decision is made. Its neighbour is `checking`, which
checks what they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from flowy.errors import Failure, UsageError
from flowy.options import make_options
from flowy.swf import serialization
from flowy.swf.checking import (
    as_child_policy,
    as_duration,
    as_priority,
    as_tags,
    as_task_list,
    check_dependency,
    type_key,
)

__all__ = [
    "CATEGORIES",
    "Call",
    "SWFActivityConfig",
    "SWFWorkflowConfig",
]

CATEGORIES = ("swf_activity", "swf_workflow")
"""Under which configurations are found by a scan."""
RATE_LIMIT = 64
"""Tasks that a run has open at a time, if nothing else is said; as in flowy 0.4."""

Function = Callable[..., Any]


class Retries(Protocol):
    """Whether there is another attempt, and when: `flowy.Retry` or a tuple of delays."""

    def delay_before(self, attempt: int) -> float | None:
        """Seconds before this attempt, counted from 0; None if there is none."""

    def covers(self, failure: Failure) -> bool:
        """Whether this failure is worth another attempt."""


class Call(NamedTuple):
    """How a workflow reaches one dependency."""

    kind: str
    """'activity', 'child' or 'lambda'."""
    type: Mapping[str, str] | None
    """Name and version; None where a replay takes what the history has."""
    attributes: Mapping[str, Any]
    """What each decision of it says beside its id and input."""
    retry: Retries
    dump: Callable[[tuple[Any, ...], Mapping[str, Any]], str]
    load: Callable[[str], Any]


class _Config:
    """What the configurations of activities and workflows share."""

    category = ""

    def __call__(self, version: Any, name: str | None = None) -> Callable[[Any], Any]:
        """Bind this configuration to a function or class, which is left as it is.

        >>> add = SWFActivityConfig(default_start_to_close=10)
        >>> add(version=1)(print) is print  # doctest: +SKIP
        True

        Raises:
            ImportError: venusian is not installed.
        """
        key = type_key(version, name)

        def bind(bound: Any) -> Any:
            try:
                import venusian
            except ImportError:
                raise ImportError(
                    "configurations are bound through venusian: pip install 'flowy[swf]'"
                ) from None

            def found(scanner: Any, called: str, bound: Any) -> None:
                scanner.register(self, bound, *reversed(key))

            venusian.attach(bound, found, category=self.category)
            return bound

        return bind


class SWFActivityConfig(_Config):
    """How an activity is registered, and how its input and result travel.

    Args:
        default_task_list: where its tasks wait for workers.
        default_heartbeat, default_schedule_to_close, default_schedule_to_start, default_start_to_close:
            seconds, rounded up, or 'NONE'. None leaves it to each workflow to say.
        deserialize_input: text -> (args, kwargs); JSON by default.
        serialize_result: value -> text.
        default_priority: a number, more is more urgent.

    Raises:
        UsageError: an argument can't be used.
    """

    category = CATEGORIES[0]

    def __init__(
        self,
        default_task_list: str | None = None,
        default_heartbeat: Any = None,
        default_schedule_to_close: Any = None,
        default_schedule_to_start: Any = None,
        default_start_to_close: Any = None,
        deserialize_input: Callable[[str], Any] | None = None,
        serialize_result: Callable[[Any], str] | None = None,
        *,
        default_priority: int | None = None,
    ) -> None:
        self.defaults = _given(
            defaultTaskList=as_task_list(default_task_list),
            defaultTaskHeartbeatTimeout=as_duration("default_heartbeat", default_heartbeat),
            defaultTaskScheduleToCloseTimeout=as_duration(
                "default_schedule_to_close", default_schedule_to_close
            ),
            defaultTaskScheduleToStartTimeout=as_duration(
                "default_schedule_to_start", default_schedule_to_start
            ),
            defaultTaskStartToCloseTimeout=as_duration("default_start_to_close", default_start_to_close),
            defaultTaskPriority=as_priority(default_priority),
        )
        """Arguments of RegisterActivityType, beside domain, name and version."""
        self.deserialize_input = deserialize_input or serialization.load_call
        self.serialize_result = serialize_result or serialization.dumps


class SWFWorkflowConfig(_Config):
    """How a workflow is registered, its dependencies, and how its input and result travel.

    Args:
        default_task_list: where its decision tasks wait for deciders.
        default_workflow_duration, default_decision_duration: seconds for a run, and for a decision.
        default_child_policy: 'TERMINATE', 'REQUEST_CANCEL' or 'ABANDON'.
        rate_limit: tasks that a run has open at a time; None is SWF's 1,000 of each kind.
        deserialize_input: text -> (args, kwargs); JSON by default.
        serialize_result: value -> text.
        serialize_restart_input: (*args, **kwargs) -> text.
        default_priority: a number, more is more urgent.
        default_lambda_role: an IAM role for Lambda functions.

    Raises:
        UsageError: an argument can't be used.
    """

    category = CATEGORIES[1]

    def __init__(
        self,
        default_task_list: str | None = None,
        default_workflow_duration: Any = None,
        default_decision_duration: Any = None,
        default_child_policy: str | None = None,
        rate_limit: int | None = RATE_LIMIT,
        deserialize_input: Callable[[str], Any] | None = None,
        serialize_result: Callable[[Any], str] | None = None,
        serialize_restart_input: Callable[..., str] | None = None,
        *,
        default_priority: int | None = None,
        default_lambda_role: str | None = None,
    ) -> None:
        if rate_limit is not None and (type(rate_limit) is not int or rate_limit < 1):
            raise UsageError(f"rate_limit is a number from 1 on or None, not {rate_limit!r}")
        self.rate_limit = rate_limit
        self.defaults = _given(
            defaultTaskList=as_task_list(default_task_list),
            defaultExecutionStartToCloseTimeout=as_duration(
                "default_workflow_duration", default_workflow_duration
            ),
            defaultTaskStartToCloseTimeout=as_duration(
                "default_decision_duration", default_decision_duration
            ),
            defaultChildPolicy=as_child_policy(default_child_policy),
            defaultTaskPriority=as_priority(default_priority),
            defaultLambdaRole=default_lambda_role,
        )
        """Arguments of RegisterWorkflowType, beside domain, name and version."""
        self.deserialize_input = deserialize_input or serialization.load_call
        self.serialize_result = serialize_result or serialization.dumps
        self.serialize_restart_input = _dumper(serialize_restart_input)
        self.calls: dict[str, Call] = {}

    def conf_activity(
        self,
        dep_name: str,
        version: Any,
        name: str | None = None,
        task_list: str | None = None,
        heartbeat: Any = None,
        schedule_to_close: Any = None,
        schedule_to_start: Any = None,
        start_to_close: Any = None,
        serialize_input: Callable[..., str] | None = None,
        deserialize_result: Callable[[str], Any] | None = None,
        retry: Any = (0, 0, 0),
        *,
        priority: int | None = None,
    ) -> None:
        """Say which activity a dependency is.

        Args:
            dep_name: the parameter of the workflow's constructor.
            version, name: of the activity's type; the name is `dep_name` if none is given.
            task_list: instead of the activity's own.
            heartbeat, schedule_to_close, schedule_to_start, start_to_close: seconds, rounded up, or
                'NONE'; instead of the activity's own.
            serialize_input: (*args, **kwargs) -> text; JSON by default.
            deserialize_result: text -> value.
            retry: delays in seconds before each attempt (a further one follows a time-out only), or
                `flowy.Retry(…)`.
            priority: a number, more is more urgent.

        Raises:
            UsageError: an argument can't be used.
        """
        attributes = _given(
            taskList=as_task_list(task_list),
            heartbeatTimeout=as_duration("heartbeat", heartbeat),
            scheduleToCloseTimeout=as_duration("schedule_to_close", schedule_to_close),
            scheduleToStartTimeout=as_duration("schedule_to_start", schedule_to_start),
            startToCloseTimeout=as_duration("start_to_close", start_to_close),
            taskPriority=as_priority(priority),
        )
        self._add(
            dep_name, "activity", (version, name), attributes, retry, serialize_input, deserialize_result
        )

    def conf_workflow(
        self,
        dep_name: str,
        version: Any,
        name: str | None = None,
        task_list: str | None = None,
        workflow_duration: Any = None,
        decision_duration: Any = None,
        child_policy: str | None = None,
        serialize_input: Callable[..., str] | None = None,
        deserialize_result: Callable[[str], Any] | None = None,
        retry: Any = (0, 0, 0),
        *,
        priority: int | None = None,
        lambda_role: str | None = None,
        tags: Any = None,
    ) -> None:
        """Say which workflow a dependency is; the rest as for `conf_activity`.

        Args:
            workflow_duration, decision_duration: seconds for a run, and for a decision.
            child_policy: 'TERMINATE', 'REQUEST_CANCEL' or 'ABANDON'.
            lambda_role: an IAM role for Lambda functions.
            tags: up to five strings.
        """
        attributes = _given(
            taskList=as_task_list(task_list),
            executionStartToCloseTimeout=as_duration("workflow_duration", workflow_duration),
            taskStartToCloseTimeout=as_duration("decision_duration", decision_duration),
            childPolicy=as_child_policy(child_policy),
            taskPriority=as_priority(priority),
            lambdaRole=lambda_role,
            tagList=as_tags(tags),
        )
        self._add(
            dep_name, "child", (version, name), attributes, retry, serialize_input, deserialize_result
        )

    def conf_lambda(
        self,
        dep_name: str,
        name: str | None = None,
        start_to_close: Any = None,
        serialize_input: Callable[..., str] | None = None,
        deserialize_result: Callable[[str], Any] | None = None,
        retry: Any = (0, 0, 0),
    ) -> None:
        """Say which AWS Lambda function a dependency is: called with `[args, kwargs]` as JSON.

        The run needs a Lambda role (`default_lambda_role`, or that which it was started with).
        """
        attributes = _given(startToCloseTimeout=as_duration("start_to_close", start_to_close))
        self._add(
            dep_name, "lambda", (None, name), attributes, retry, serialize_input, deserialize_result
        )

    def _add(
        self,
        dep_name: str,
        kind: str,
        type: tuple[Any, str | None],
        attributes: dict[str, Any],
        retry: Any,
        serialize_input: Callable[..., str] | None,
        deserialize_result: Callable[[str], Any] | None,
    ) -> None:
        check_dependency(dep_name, self.calls)
        version, name = type
        if kind == "lambda":
            called = {"name": name or dep_name}
        else:
            name, version = type_key(version, name or dep_name)
            called = {"name": name, "version": version}
        self.calls[dep_name] = Call(
            kind,
            called,
            attributes,
            make_options(dep_name, {"retry": retry}).retry,
            _dumper(serialize_input),
            deserialize_result or serialization.loads,
        )


def _dumper(
    serialize: Callable[..., str] | None,
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], str]:
    if serialize is None:
        return serialization.dump_call

    def dump(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
        return serialize(*args, **kwargs)

    return dump


def _given(**attributes: Any) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}
