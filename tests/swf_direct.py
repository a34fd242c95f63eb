"""A client in the manner of boto3's that goes straight to the local SWF, and checks what comes back.

Owns: `Direct`; and `Kept`, which keeps a service's state from what it tells of its changes. Neighbours:
`swf_scenarios`, which are played through it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from flowy.testing.swf import Fault
from flowy.testing.swf.service import Changes

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


class Kept:
    """What is kept of a service, from its changes alone."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.events: dict[str, list[Any]] = {}
        self.written = 0

    def __call__(self, changes: Changes) -> None:
        told = json.loads(json.dumps([[*key, record] for key, record in changes.records.items()]))
        for table, key, record in told:
            self.written += 1
            if record is not None:
                self.records.setdefault(table, {})[key] = record
                if table == "executions":
                    self.events.setdefault(key, [])
            else:
                self.records.get(table, {}).pop(key, None)
                if table == "executions":
                    self.events.pop(key, None)
        for run_id, event in changes.events:
            self.written += 1
            if run_id in self.events:
                self.events[run_id].append(json.loads(json.dumps(event)))

    def state(self) -> dict[str, Any]:
        records = {table: rows for table, rows in self.records.items() if rows}
        return {"records": records, "events": self.events}


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
