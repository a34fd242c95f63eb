"""Saved histories, replayed against the code as it is now.

Owns: `replay`, which finds out whether a workflow still does what a history of it says, and `Replayed`,
what it found.

May not know: the service. Nothing is scheduled or stored, whatever the code asks for.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

from flowy.config import check_factory, describe
from flowy.errors import Failure, UsageError
from flowy.swf import serialization
from flowy.swf.config import Call, SWFWorkflowConfig
from flowy.swf.decider import SWFWorkflowWorker, as_store, type_of
from flowy.swf.decisions import ACTIVITY, CHILD, LAMBDA, TIMER, Limits
from flowy.swf.execution import Execution, Workflow
from flowy.swf.history import Event, attributes_of, check_contiguous, key_of_child, read_events
from flowy.swf.meanings import apply

__all__ = ["Replayed", "replay"]


class Replayed(NamedTuple):
    """A history that the code still agrees with."""

    events: int
    """How many there were."""
    decisions: int
    """How many decision tasks were answered in it."""
    closed: str
    """How the execution ended, as the type of the event; '' if it has not."""
    waiting_for: str | None
    """The key of what the code waits for at the end of the history."""


def replay(
    history: Any,
    workflow: Any,
    *,
    payloads: Any = None,
    strict: bool = True,
    workflow_id: str = "",
    run_id: str = "",
) -> Replayed:
    """Replay a saved history: does the workflow still do what the history says?

    Args:
        history: what ``aws swf get-workflow-execution-history`` prints, what the API returns, a decision
            task, or the bare events; also as JSON text.
        workflow: an `SWFWorkflowWorker` with which it is registered, a pair (config, factory), or the
            bare factory: then what its dependencies are is taken from the history.
        payloads: where texts are that were too long for SWF: a folder or a store.
        strict: other arguments, results or order than the history has are errors too, not only other
            calls.
        workflow_id, run_id: of the execution; random numbers are taken from them until they are on
            record.

    Returns:
        What was replayed.

    Raises:
        NondeterminismError: the code does not do what the history says: with the event's id
            (`event_id`) and the line of the code (`line`).
        UsageError: this is no history, or no workflow, or the workflow is not registered.
    """
    events = read_events(history)
    check_contiguous(events, 1)
    if not events or events[0]["eventType"] != "WorkflowExecutionStarted":
        raise UsageError("a history begins with WorkflowExecutionStarted")
    execution = Execution(
        _find(history, events, workflow),
        workflow_id,
        run_id,
        limits=workflow.limits if isinstance(workflow, SWFWorkflowWorker) else Limits(),
        store=workflow.payloads if isinstance(workflow, SWFWorkflowWorker) else as_store(payloads),
        strict=strict,
        lines=True,
    )
    try:
        apply(execution, events)
        execution.ledger.close_group()
        run = execution.run
        return Replayed(
            len(events),
            sum(event["eventType"] == "DecisionTaskCompleted" for event in events),
            execution.closed_by,
            None if run is None else run.waiting_for,
        )
    finally:
        execution.close()


def _find(history: Any, events: list[Event], workflow: Any) -> Workflow:
    """The workflow as a decider knows it."""
    name, version = type_of(history if isinstance(history, dict) else {}, events)
    if isinstance(workflow, SWFWorkflowWorker):
        found = workflow.workflows.get((name, version))
        if found is None:
            raise UsageError(f"the history is of {name} {version}, which the worker does not know")
        return found
    if isinstance(workflow, tuple) and len(workflow) == 2:
        config, factory = workflow
        if isinstance(factory, SWFWorkflowConfig):
            config, factory = factory, config
        if not isinstance(config, SWFWorkflowConfig):
            raise UsageError(f"a workflow to replay is given as (config, factory), not as {workflow!r}")
    else:
        config, factory = _guess(events, workflow), workflow
    check_factory(factory)
    return Workflow(config, factory, version, name)


class _AsRecorded(NamedTuple):
    """The retries that a history has, of one dependency."""

    attempts: frozenset[str]
    """Keys of all attempts."""
    delayed: frozenset[int]
    """The attempts, counted from 0, before which a timer stood."""

    def delay_before(self, attempt: int) -> float | None:
        """How long the timer was does not show in ids: a second stands for any."""
        return float(attempt in self.delayed)

    def covers(self, failure: Failure) -> bool:
        base, _, attempt = failure.key.rpartition("-")
        return f"{base}-{int(attempt) + 1}" in self.attempts


def _guess(events: list[Event], factory: Any) -> SWFWorkflowConfig:
    """A configuration from a history: what each dependency is that the factory takes."""
    check_factory(factory)
    kinds: dict[str, str] = {}
    attempts: dict[str, set[str]] = {}
    delayed: dict[str, set[int]] = {}
    for event in events:
        kind, key = _task_of(event)
        name = key.partition("-")[0]
        if kind:
            attempts.setdefault(name, set()).add(key)
        if kind == TIMER:
            delayed.setdefault(name, set()).add(int(key.rpartition("-")[2]))
        elif kind:
            kinds[name] = kind
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except (TypeError, ValueError):
        raise UsageError(
            f"{describe(factory)} does not tell its dependencies: give (config, factory)"
        ) from None
    config = SWFWorkflowConfig(rate_limit=None)
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        name = parameter.name
        retry = _AsRecorded(frozenset(attempts.get(name, ())), frozenset(delayed.get(name, ())))
        config.calls[name] = Call(
            kinds.get(name, ACTIVITY), None, {}, retry, serialization.dump_call, serialization.loads
        )
    return config


def _task_of(event: Event) -> tuple[str, str]:
    """(kind, key) of what an event schedules; the kind is '' if it schedules nothing."""
    says, type = attributes_of(event), event["eventType"]
    if type in ("ActivityTaskScheduled", "ScheduleActivityTaskFailed"):
        return ACTIVITY, says.get("activityId") or ""
    if type in ("StartChildWorkflowExecutionInitiated", "StartChildWorkflowExecutionFailed"):
        return CHILD, key_of_child(says.get("workflowId") or "")
    if type in ("LambdaFunctionScheduled", "ScheduleLambdaFunctionFailed"):
        return LAMBDA, says.get("id") or ""
    timer = says.get("timerId") or ""
    if type == "TimerStarted" and timer[-2:] in ("-t", ":t"):
        return TIMER, timer[:-2]
    return "", ""
