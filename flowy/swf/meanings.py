"""What each type of event in a history of Amazon SWF means for a run.

Owns: one function for each meaning that is not common, the table `MEANINGS` of which type has which,
and `apply`, which gives a run the next events of its history. Types that are not in the table mean
nothing to a run.

May not know: how commands are followed (`ledger`) or how a run goes on (`execution`). Its other
neighbours are `flowy._replay`, which has the meanings of common events, and `markers`.

Events apply in the order of their numbers. So what lands between a DecisionTaskStarted and its
DecisionTaskCompleted comes before that decision's own events, though the decider did not know it: what
was in flight then counts as not sent yet, in a kept run as in a replay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from flowy._replay import COMMON, Command, Task
from flowy.errors import UsageError
from flowy.swf import decisions as d
from flowy.swf import serialization
from flowy.swf.execution import Execution
from flowy.swf.history import ATTRIBUTES, CLOSINGS, Event, is_passing, key_of_child, timed_out
from flowy.swf.ledger import AGAIN
from flowy.swf.markers import know_marker, marker, marker_refused

__all__ = ["MEANINGS", "apply"]

log = logging.getLogger("flowy.swf")

Says = dict[str, Any]
"""The attributes of an event. Any of them may be missing."""
Meaning = Callable[[Execution, int, Says, Event], None]


def apply(x: Execution, events: list[Event]) -> None:
    """Give a run the next events of its history, in order, from the first on.

    Raises:
        NondeterminismError: the code asks for something else than the history has.
        OSError: a payload could not be read now.
    """
    x.follow(events, _TABLE, know_marker)


# ---------------------------------------------------------------- the execution and its decisions


def _start(x: Execution, id: int, says: Says, event: Event) -> None:
    x.start(event)


def _decision_timed_out(x: Execution, id: int, says: Says, event: Event) -> None:
    if says.get("startedEventId"):  # 0 where nobody took it in time: nothing departed
        x.ledger.lose()


def _signal(x: Execution, id: int, says: Says, event: Event) -> None:
    text = says.get("input")
    value: Any = text
    try:
        value = text and serialization.loads(x.open_text(text))
    except ValueError:
        pass  # not from flowy: its text
    x.receive_signal(str(says.get("signalName") or ""), value, event)


def _cancel_request(x: Execution, id: int, says: Says, event: Event) -> None:
    x.request_cancel(event)


def _closed(x: Execution, id: int, says: Says, event: Event) -> None:
    x.closed_by = event["eventType"]
    kind = _CLOSERS.get(x.closed_by)
    if kind is None:
        return  # terminated or timed out: not the code's doing
    if not x.ledger.expects(d.CLOSE, kind):
        ended = f"ended with {x.closing.type}" if x.closing is not None else "has not ended"
        raise x.diverged(f"the history has {x.closed_by}, and the code {ended}", x.closing, id)
    command = x.ledger.recorded(d.CLOSE, kind, id)
    command.state = d.OVER
    for name in ("result", "input"):
        had, now = says.get(name), (command.attributes or {}).get(name)
        if x.ledger.strict and had and now and not serialization.same_json(had, now):
            what = (
                f"the {name} was {d.cut(had, 200)} in the history, and the code gives {d.cut(now, 200)}"
            )
            raise x.diverged(what, command, id)
    x.ledger.close_group()


def _close_refused(x: Execution, id: int, says: Says, event: Event) -> None:
    """Events came while the run was being closed, or it can't be closed so."""
    kind = str(event["eventType"])[: -len("Failed")]
    command = x.ledger.recorded(d.CLOSE, kind, id)
    cause = str(says.get("cause") or "")
    command.state = d.OVER
    if cause == "UNHANDLED_DECISION":
        x.ledger.add(command, id)
    elif is_passing(cause):
        x.ledger.refused(command)
    elif kind != "FailWorkflowExecution":
        reason = d.cut(f"{kind} was refused: {cause}", d.REASON)
        x.close_with("FailWorkflowExecution", {"reason": reason})
    else:
        log.error("%s can't be closed: %s", x.workflow_id, cause)


# ---------------------------------------------------------------- activities and Lambda functions


def _activity_refused(x: Execution, id: int, says: Says, event: Event) -> None:
    key, type = str(says.get("activityId") or ""), says.get("activityType")
    x.refuse(x.ledger.recorded(d.ACTIVITY, key, id, type), str(says.get("cause") or ""), event)


def _activity_cancel(x: Execution, id: int, says: Says, event: Event) -> None:
    x.ledger.recorded(d.CANCEL, f"activity {says.get('activityId')}", id).state = d.OVER


def _lambda_scheduled(x: Execution, id: int, says: Says, event: Event) -> None:
    key, type = str(says.get("id") or ""), {"name": says.get("name")}
    _opened(x, x.ledger.recorded(d.LAMBDA, key, id, type, says.get("input")), id)


def _lambda_refused(x: Execution, id: int, says: Says, event: Event) -> None:
    key, type = str(says.get("id") or ""), {"name": says.get("name")}
    x.refuse(x.ledger.recorded(d.LAMBDA, key, id, type), str(says.get("cause") or ""), event)


def _lambda_not_started(x: Execution, id: int, says: Says, event: Event) -> None:
    task = x.ended(says, event)
    if task is not None:
        cause = ": ".join(filter(None, (says.get("cause"), says.get("message"))))
        x.fail(task, x.failure(task, f"the function was not started: {cause}"), event)


def _opened(x: Execution, command: Command, id: int) -> None:
    if not x.ledger.opened(command, id):
        x.cancel_open(command)


# ---------------------------------------------------------------- how tasks end


def _failed(x: Execution, id: int, says: Says, event: Event) -> None:
    task = x.ended(says, event)
    if task is not None:
        reason = str(says.get("reason") or "")
        x.retry(task, x.failure(task, reason, remote_traceback=_details(x, says)), event)


def _timed_out(x: Execution, id: int, says: Says, event: Event) -> None:
    task = x.ended(says, event)
    if task is not None:
        details: Any = says.get("details")
        try:
            details = details and serialization.loads(details)
        except ValueError:
            pass  # not a heartbeat of flowy's: its text
        who = {"key": task.id, "name": task.name, "attempt": task.attempt}
        x.retry(task, timed_out(says, details, **who), event)


def _canceled(x: Execution, id: int, says: Says, event: Event) -> None:
    task = x.ended(says, event)
    if task is not None:
        message = "by the workflow" if task.cancelled else d.cut(_details(x, says), d.REASON)
        x.fail(task, x.failure(task, message, kind="cancelled"), event)


def _terminated(x: Execution, id: int, says: Says, event: Event) -> None:
    task = x.ended(says, event)
    if task is not None:
        x.fail(task, x.failure(task, "the workflow was terminated"), event)


def _details(x: Execution, says: Says) -> str:
    """The details of an event, wherever they are kept."""
    try:
        return x.open_text(str(says.get("details") or ""))
    except (UsageError, KeyError) as error:
        return str(error)


# ---------------------------------------------------------------- children, and signals to others


def _child_initiated(x: Execution, id: int, says: Says, event: Event) -> None:
    workflow_id = str(says.get("workflowId") or "")
    key, type = key_of_child(workflow_id), says.get("workflowType")
    command = x.ledger.recorded(d.CHILD, key, id, type, says.get("input"))
    command.task.workflow_id = workflow_id
    _opened(x, command, id)


def _child_refused(x: Execution, id: int, says: Says, event: Event) -> None:
    command = x.ledger.over(says.get("initiatedEventId"))  # 0 where the decision itself was refused
    if command is None:
        key, type = key_of_child(str(says.get("workflowId") or "")), says.get("workflowType")
        command = x.ledger.recorded(d.CHILD, key, id, type)
    x.refuse(command, str(says.get("cause") or ""), event)


def _child_started(x: Execution, id: int, says: Says, event: Event) -> None:
    command = x.ledger.open.get(says.get("initiatedEventId") or 0)
    if command is not None and isinstance(command.task, Task):
        x.child_started(command.task)


def _child_cancel(x: Execution, id: int, says: Says, event: Event) -> None:
    x.ledger.opened(x.ledger.recorded(d.CANCEL, f"child {says.get('control')}", id), id)


def _child_cancel_sent(x: Execution, id: int, says: Says, event: Event) -> None:
    x.ledger.over(says.get("initiatedEventId"))


def _child_cancel_refused(x: Execution, id: int, says: Says, event: Event) -> None:
    command = x.ledger.over(says.get("initiatedEventId"))
    if command is None:
        command = x.ledger.recorded(d.CANCEL, f"child {says.get('control')}", id)
    command.state = d.OVER
    if command.task.state is d.OPEN and is_passing(str(says.get("cause") or "")):
        x.ledger.refused(command)  # else the child is over: its own event tells how


def _send_initiated(x: Execution, id: int, says: Says, event: Event) -> None:
    x.ledger.opened(x.ledger.recorded(d.SIGNAL, str(says.get("control") or ""), id), id)


def _send_refused(x: Execution, id: int, says: Says, event: Event) -> None:
    command = x.ledger.over(says.get("initiatedEventId"))
    if command is None:
        command = x.ledger.recorded(d.SIGNAL, str(says.get("control") or ""), id)
    x.refuse(command, str(says.get("cause") or ""), event)


def _sent(x: Execution, id: int, says: Says, event: Event) -> None:
    task = x.ended(says, event)
    if task is not None:
        x.finish(task, None, event)


# ---------------------------------------------------------------- timers and markers


def _timer_started(x: Execution, id: int, says: Says, event: Event) -> None:
    timer = str(says.get("timerId") or "")
    if timer.startswith((*d.NEXT, AGAIN)):
        x.ledger.own_timer_opened(timer, id)
    else:
        _opened(x, x.ledger.recorded(d.TIMER, _timer_key(timer), id), id)


def _timer_refused(x: Execution, id: int, says: Says, event: Event) -> None:
    timer = str(says.get("timerId") or "")
    if timer.startswith((*d.NEXT, AGAIN)):
        x.ledger.own_timer_refused(timer, id)
    else:
        x.refuse(x.ledger.recorded(d.TIMER, _timer_key(timer), id), str(says.get("cause") or ""), event)


def _timer_fired(x: Execution, id: int, says: Says, event: Event) -> None:
    command = x.ledger.over(says.get("startedEventId"))
    if command is None:
        return
    x.ledger.timer_over(command, id)
    task, large = command.task, command.large
    if not isinstance(task, Task):
        return  # it only brought this decision
    if task.call is None:
        x.finish(task, None, event)
    elif task.command is command and x.closing is None:
        x.schedule_now(task, large)


def _timer_canceled(x: Execution, id: int, says: Says, event: Event) -> None:
    timer = _timer_key(str(says.get("timerId") or ""))
    x.ledger.recorded(d.CANCEL, f"timer {timer}", id).state = d.OVER
    command = x.ledger.over(says.get("startedEventId"))
    if command is None:
        return
    x.ledger.timer_over(command, id)
    if isinstance(command.task, Task) and command.task.call is None:
        x.finish(command.task, None, event)  # gives the timer's id back to the core


def _timer_not_canceled(x: Execution, id: int, says: Says, event: Event) -> None:
    timer = _timer_key(str(says.get("timerId") or ""))
    x.ledger.recorded(d.CANCEL, f"timer {timer}", id).state = d.OVER  # it has fired


def _timer_key(timer: str) -> str:
    """The id as it is now of a timer that flowy 0.4 may have started."""
    return f"{timer[:-2]}-t" if timer.endswith(":t") else timer


_CLOSERS = {
    "WorkflowExecutionCompleted": "CompleteWorkflowExecution",
    "WorkflowExecutionFailed": "FailWorkflowExecution",
    "WorkflowExecutionCanceled": "CancelWorkflowExecution",
    "WorkflowExecutionContinuedAsNew": "ContinueAsNewWorkflowExecution",
}

MEANINGS: Mapping[str, Meaning | int] = {
    **COMMON,
    "WorkflowExecutionStarted": _start,
    "WorkflowExecutionSignaled": _signal,
    "WorkflowExecutionCancelRequested": _cancel_request,
    **dict.fromkeys(CLOSINGS, _closed),
    "CompleteWorkflowExecutionFailed": _close_refused,
    "FailWorkflowExecutionFailed": _close_refused,
    "CancelWorkflowExecutionFailed": _close_refused,
    "ContinueAsNewWorkflowExecutionFailed": _close_refused,
    "DecisionTaskTimedOut": _decision_timed_out,
    "ScheduleActivityTaskFailed": _activity_refused,
    "ActivityTaskFailed": _failed,
    "ActivityTaskTimedOut": _timed_out,
    "ActivityTaskCanceled": _canceled,
    "ActivityTaskCancelRequested": _activity_cancel,
    "RequestCancelActivityTaskFailed": _activity_cancel,
    "LambdaFunctionScheduled": _lambda_scheduled,
    "ScheduleLambdaFunctionFailed": _lambda_refused,
    "StartLambdaFunctionFailed": _lambda_not_started,
    "LambdaFunctionFailed": _failed,
    "LambdaFunctionTimedOut": _timed_out,
    "StartChildWorkflowExecutionInitiated": _child_initiated,
    "StartChildWorkflowExecutionFailed": _child_refused,
    "ChildWorkflowExecutionStarted": _child_started,
    "ChildWorkflowExecutionFailed": _failed,
    "ChildWorkflowExecutionTimedOut": _timed_out,
    "ChildWorkflowExecutionCanceled": _canceled,
    "ChildWorkflowExecutionTerminated": _terminated,
    "SignalExternalWorkflowExecutionInitiated": _send_initiated,
    "SignalExternalWorkflowExecutionFailed": _send_refused,
    "ExternalWorkflowExecutionSignaled": _sent,
    "RequestCancelExternalWorkflowExecutionInitiated": _child_cancel,
    "RequestCancelExternalWorkflowExecutionFailed": _child_cancel_refused,
    "ExternalWorkflowExecutionCancelRequested": _child_cancel_sent,
    "TimerStarted": _timer_started,
    "StartTimerFailed": _timer_refused,
    "TimerFired": _timer_fired,
    "TimerCanceled": _timer_canceled,
    "CancelTimerFailed": _timer_not_canceled,
    "MarkerRecorded": marker,
    "RecordMarkerFailed": marker_refused,
}
"""A number stands for a meaning that `flowy._replay` has. Not here: DecisionTaskScheduled,
ActivityTaskStarted and LambdaFunctionStarted. Nothing depends on when a task was taken; time-outs have
events of their own."""

_TABLE = {type: (ATTRIBUTES[type], meaning) for type, meaning in MEANINGS.items()}
