"""An activity carried out: text in, what is to be answered out.

Owns: `perform`, the same in the process of a worker and in a child of it; `Activity`, `Answer`; the
details of heartbeats as text.

May not know: SWF's service, processes, or where long texts are kept. Neighbours: `activities` and
`inside`, which call it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from flowy import activity as running
from flowy.errors import CancelRequested, UsageError, describe, format_remote
from flowy.swf import serialization
from flowy.swf.config import SWFActivityConfig
from flowy.swf.decisions import DETAILS, REASON, cut

__all__ = ["Activity", "Answer", "details_text", "failed", "perform"]

BEAT_DETAILS = 2048
"""Characters [AWS]."""


class Activity(NamedTuple):
    """One that a worker knows."""

    config: SWFActivityConfig
    func: Callable[..., Any]


class Answer(NamedTuple):
    """What is told of a task: the name of the operation, and its arguments."""

    kind: str
    """'completed', 'failed' or 'canceled'."""
    given: Mapping[str, str]


class Hosting(running.Host, Protocol):
    """Who runs an activity, and knows whether it was cancelled."""

    @property
    def cancelled(self) -> bool: ...


def perform(activity: Activity, text: str | None, host: Hosting, whole_process: bool = False) -> Answer:
    """Run an activity.

    Args:
        text: its input; None is no arguments.
        host: what answers it meanwhile, in this thread, or in all if it has the `whole_process`.
    """
    try:
        args, kwargs = ((), {}) if text is None else activity.config.deserialize_input(text)
    except Exception as error:
        return failed(f"the input can't be read: {describe(error)}")
    running.set_host(host, whole_process=whole_process)
    try:
        value = activity.func(*args, **kwargs)
        if inspect.iscoroutine(value):
            import asyncio

            value = asyncio.run(value)
    except CancelRequested as error:
        if host.cancelled:
            return Answer("canceled", {"details": cut(str(error), DETAILS)})
        return failed(describe(error), _where(error))
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and not whole_process:
            raise  # Ctrl-C is for the worker; in a process of its own only the activity can raise it
        return failed(describe(error), _where(error))
    finally:
        running.set_host(None, whole_process=whole_process)
    return _result(activity, value)


def _result(activity: Activity, value: Any) -> Answer:
    try:
        text = activity.config.serialize_result(value)
        if not isinstance(text, str):
            raise UsageError(f"serialize_result gives a string, and gave {type(text).__name__}")
    except UsageError as error:  # says all; where flowy found it out helps nobody
        return failed(f"its result can't be sent: {describe(error)}")
    except (Exception, SystemExit) as error:
        return failed(f"its result can't be sent: {describe(error)}", _where(error))
    return Answer("completed", {"result": text})


def _where(error: BaseException) -> str:
    """Its traceback, without the frame of who called the activity; '' if that is all there is."""
    trace = error.__traceback__ and error.__traceback__.tb_next
    return format_remote(error.with_traceback(trace)) if trace is not None else ""


def failed(reason: str, details: str = "") -> Answer:
    """The answer that it failed, within SWF's limits."""
    if len(reason) > REASON:
        details = f"{reason}\n\n{details}"
    given = {"reason": cut(reason, REASON)}
    if details:
        given["details"] = cut(details, DETAILS)
    return Answer("failed", given)


def details_text(details: Any) -> str:
    """The details of a heartbeat as SWF takes them. Raises `UsageError`."""
    text = serialization.dumps(details)
    if len(text) > BEAT_DETAILS:
        raise UsageError(
            f"the details of a heartbeat have {len(text):,} characters as JSON, and Amazon SWF "
            f"takes {BEAT_DETAILS:,}: tell less of it"
        )
    return text
