"""How a run that can't go on tells why: where code and history part, and what a failure says.

Owns: the error of a nondeterminism, with the line of the user's code; and the reason and details with
which a failed execution is closed.

May not know: what is compared with what (`ledger`), or when a run ends (`execution`, its neighbour).
"""

from __future__ import annotations

from typing import Any

from flowy._sched import Run
from flowy.config import Factory, describe
from flowy.errors import NondeterminismError, TaskError, format_remote
from flowy.swf import decisions as d

__all__ = ["diverged", "reason_of", "where_of"]


def diverged(
    factory: Factory, run: Run | None, what: str, key: str | None, event_id: int
) -> NondeterminismError:
    """The error that tells where a run and its history part.

    Args:
        what: how they part.
        key: of the task that it is about, if it is about one.
        event_id: at which event.
    """
    line = _line(factory, run, key)
    at = f" ({line})" if line else ""
    error = NondeterminismError(
        f"{describe(factory)} does not do what its history says, at event {event_id}: "
        f"{what}{at}. Nothing was scheduled. Run the code that made the history, or keep both ways "
        "apart with flowy.changed('name')"
    )
    error.event_id, error.line = event_id, line
    return error


def _line(factory: Factory, run: Run | None, key: str | None) -> str:
    """The line that asked for a task, or where the code waits, or where it ended."""
    if run is None:
        return ""
    if key is not None and run.lines is not None:
        known = run.lines.get(key)
        if known is not None:
            return f"{known[0]}:{known[1]}"
    frame = run.waits_in
    if frame is not None:
        return f"{frame.f_code.co_filename}:{frame.f_lineno}"
    if run.exception is not None and (trace := run.exception.__traceback__) is not None:
        while trace.tb_next is not None:
            trace = trace.tb_next
        if not trace.tb_frame.f_globals.get("__name__", "").startswith("flowy."):
            return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
    if run.lines:
        file, line = next(reversed(run.lines.values()))
        return f"{file}:{line}"
    code = getattr(getattr(factory, "__call__", None), "__code__", None)  # noqa: B004
    return "" if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def where_of(error: BaseException) -> str:
    """The traceback of an error that the code raised, without the frame of who called it; '' if it is
    that of a task, or flowy's."""
    trace = error.__traceback__ and error.__traceback__.tb_next
    if trace is None or isinstance(error, TaskError):
        return ""
    return format_remote(error.with_traceback(trace))


def reason_of(error: BaseException) -> dict[str, Any]:
    """How a run tells why it failed: what the error says, and all of it in the details if it is long."""
    details = ""
    if isinstance(error, TaskError):
        text, details = str(error.args[0] if error.args else ""), error.remote_traceback
    else:
        try:
            text = str(error)
        except Exception as broken:
            text = f"{type(error).__name__}, whose str() raised {type(broken).__name__}"
    text = text or type(error).__name__
    made: dict[str, Any] = {"reason": d.cut(text, d.REASON)}
    if len(text) > d.REASON:
        details = f"{text}\n\n{details}"
    if details:
        made["details"] = d.cut(details, d.DETAILS)
    return made
