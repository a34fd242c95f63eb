"""A client in the manner of boto3's that goes straight to the local SWF, and checks what comes back.

Owns: `Direct`. Neighbours: `swf_scenarios`, which are played through it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from flowy.testing.swf import Fault

MODEL = Loader().load_service_model("swf", "service-2")
_SERVICE = ServiceModel(MODEL)
_OPERATIONS = {xform_name(name): name for name in MODEL["operations"]}


class Door(Protocol):
    """What a service is to a client."""

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Do an operation."""


def check_response(operation: str, response: dict[str, Any]) -> None:
    """It must be what the model says: each member known, of its type, and there if it is required."""
    shape = _SERVICE.operation_model(operation).output_shape
    if shape is None:
        assert response == {}
        return
    if operation.startswith("Poll") and "taskToken" not in response:
        assert set(response) <= {"startedEventId", "previousStartedEventId"}
        return
    report = ParamValidator().validate(response, shape)
    assert not report.has_errors(), report.generate_report()


class Direct:
    """A client that goes straight to the service."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def __getattr__(self, method: str) -> Callable[..., dict[str, Any]]:
        operation = _OPERATIONS[method]

        def call(**request: Any) -> dict[str, Any]:
            try:
                response = self._door.call(operation, request)
            except Fault as fault:
                error = {"Error": {"Code": fault.kind, "Message": fault.message}}
                raise ClientError(error, operation) from fault
            check_response(operation, response)
            return response

        return call
