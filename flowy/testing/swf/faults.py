"""What the service refuses with.

Owns: `Fault`, the one exception that leaves the service, and the few that are not in SWF's own model.

May not know: state, operations, the wire. The faces turn a `Fault` into HTTP 400 or 500 with
``{"__type": type, "message": message}``, or into the exception that boto3 raises.
"""

from __future__ import annotations

_MODEL = "com.amazonaws.swf.base.model#"
_OUTSIDE = {
    # Not faults of SWF but of the framework it is built on.
    "ThrottlingException": "com.amazon.coral.availability#",
    "ValidationException": "com.amazon.coral.validate#",
    "SerializationException": "com.amazon.coral.service#",
    "UnknownOperationException": "com.amazon.coral.service#",
    "InternalFailure": "com.amazon.coral.service#",
    "ServiceUnavailable": "com.amazon.coral.service#",
}


class Fault(Exception):
    """A refused request.

    Args:
        kind: the name of the fault, such as "UnknownResourceFault": boto3's error code.
        message: what is wrong, as SWF words it.
        type: what the wire says in ``__type``; by default the kind under the name space it comes from.
        status: of HTTP: 400, or 5xx where the service itself is to blame.
    """

    def __init__(self, kind: str, message: str, type: str = "", status: int = 400) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.type = type or _OUTSIDE.get(kind, _MODEL) + kind
        self.status = status


def unknown(message: str) -> Fault:
    """Something named does not exist, or no longer."""
    return Fault("UnknownResourceFault", message)


def invalid(message: str) -> Fault:
    """A request that breaks a rule."""
    return Fault("ValidationException", message)


def not_permitted(message: str) -> Fault:
    """A request that the caller may not make."""
    return Fault("OperationNotPermittedFault", message)
