"""JSON 1.0, the wire of Amazon SWF: a request's target and bytes in, a reply's status and bytes out.

Owns: how requests are read, how answers and faults are written, and how large a request may be.

May not know: sockets, botocore, or what the operations mean. Its neighbours: `http` puts a socket
before it, `client` a botocore client without one; behind it stands a door, which is the service or
`chaos` around it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flowy.testing.swf.faults import Fault
from flowy.testing.swf.limits import Limits

CONTENT_TYPE = "application/x-amz-json-1.0"
TARGET_PREFIX = "SimpleWorkflowService."
LARGEST_REQUEST = Limits().request  # bytes

Door = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""Takes an operation and its request, gives its answer; raises `Fault` or `Cut`."""


class Cut(Exception):
    """The connection breaks before the reply.

    Args:
        reset: whether by a reset, or by an orderly end without a reply.
    """

    def __init__(self, reset: bool) -> None:
        super().__init__(reset)
        self.reset = reset


class Reply(NamedTuple):
    """What goes back."""

    status: int
    body: bytes
    headers: dict[str, str]


def answer(door: Door, target: str, body: bytes, largest: int = LARGEST_REQUEST) -> Reply:
    """The reply to a request.

    Args:
        target: the header X-Amz-Target.
        largest: how many bytes a request may have.

    Raises:
        Cut: there is none; the connection is to be broken.
    """
    try:
        if len(body) > largest:
            raise too_large(len(body), largest)
        operation, request = read(target, body)
        return reply(200, door(operation, request))
    except Fault as fault:
        return failure(fault)


def read(target: str, body: bytes) -> tuple[str, dict[str, Any]]:
    """The operation and its request; raises `Fault` for what is none."""
    operation = target.removeprefix(TARGET_PREFIX)
    if operation == target or not operation:
        raise Fault("UnknownOperationException", f"X-Amz-Target {target!r} names no operation of SWF")
    try:
        request = json.loads(body or b"{}")
        if b"\\ud" in body.lower():
            # Half of a surrogate pair is JSON, but no text: no file could keep it. Then this raises.
            json.dumps(request, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Fault("SerializationException", f"the request is not JSON: {error}") from None
    if not isinstance(request, dict):
        raise Fault("SerializationException", "Start of structure or map expected")
    return operation, request


def too_large(size: int, largest: int) -> Fault:
    """A request of more than 1 MB."""
    return Fault(
        "RequestEntityTooLargeException",
        f"the request has {size} bytes; at most {largest} are taken (1 MB at AWS)",
        type="com.amazon.coral.service#RequestEntityTooLargeException",
        status=413,
    )


def reply(status: int, content: Mapping[str, Any] | None) -> Reply:
    # An operation that returns nothing has no body at AWS.
    body = json.dumps(content, separators=(",", ":")).encode() if content else b""
    headers = {"x-amzn-RequestId": str(uuid.uuid4()), "Content-Type": CONTENT_TYPE}
    return Reply(status, body, headers)


def failure(fault: Fault) -> Reply:
    """The reply that a fault is."""
    return reply(fault.status, {"__type": fault.type, "message": fault.message})
