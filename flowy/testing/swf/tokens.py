"""Tokens: of tasks, and of pages.

Owns: how they are made and read. Both can be read without any state, so they outlive a restart.

May not know: what they stand for. A token is nobody's business but the service's: its inside may change.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from flowy.testing.swf.faults import invalid

_NOT_ASKED = ("nextPageToken", "maximumPageSize", "identity")


class TaskToken(NamedTuple):
    """What a task token says."""

    kind: str
    run_id: str
    scheduled_id: int
    started_id: int


def task_token(kind: str, run_id: str, scheduled_id: int, started_id: int) -> str:
    """The token of a started task."""
    text = f"{kind} {run_id} {scheduled_id} {started_id}"
    return base64.b64encode(text.encode()).decode()


def read_task_token(token: str, kind: str) -> TaskToken:
    """What a token of this kind of task says.

    Raises:
        Fault: ValidationException: it is no such token.
    """
    try:
        found, run_id, scheduled, started = base64.b64decode(token, validate=True).decode().split(" ")
        read = TaskToken(found, run_id, int(scheduled), int(started))
    except (ValueError, binascii.Error):
        raise invalid("Invalid token") from None
    if found != kind:
        raise invalid("Invalid token")
    return read


def page_token(operation: str, request: Mapping[str, Any], now: float, position: Any) -> str:
    """The token of the page that begins at this position."""
    text = json.dumps([_print(operation, request), now, position])
    return base64.urlsafe_b64encode(text.encode()).decode()


def read_page_token(operation: str, request: Mapping[str, Any], now: float, life: float) -> Any:
    """The position at which the page begins that this request asks for; None if it is the first.

    Raises:
        Fault: ValidationException: the token is not one for this request, or too old.
    """
    token = request.get("nextPageToken")
    if not token:
        return None
    try:
        asked, made, position = json.loads(base64.urlsafe_b64decode(token))
        fresh = now - made <= life
    except (ValueError, TypeError):
        raise invalid("Invalid token") from None
    if asked != _print(operation, request):
        raise invalid("Invalid token: it is of another request")
    if not fresh:
        raise invalid("Invalid token: it has expired")
    return position


def _print(operation: str, request: Mapping[str, Any]) -> int:
    """A number for what is asked for, whatever the page."""
    asked = {name: value for name, value in request.items() if name not in _NOT_ASKED}
    return zlib.crc32(f"{operation} {json.dumps(asked, sort_keys=True)}".encode())
