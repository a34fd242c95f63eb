"""Faults on purpose: what a client of Amazon SWF meets on a bad day, when a test says so.

Owns: the kinds of faults, when each strikes, and what it does to a call.

May not know: sockets, botocore. It is a door before the service's door, the same over HTTP and in
process; how a broken connection looks is for `http` and `client`.

Where AWS documents a fault, its words are AWS's: "Rate exceeded" of throttling, and the expired page
token of GetWorkflowExecutionHistory's documentation.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from flowy.errors import UsageError
from flowy.testing.swf.faults import Fault
from flowy.testing.swf.model import load_model
from flowy.testing.swf.tasks import EMPTY
from flowy.testing.swf.wire import Cut, Door

POLLS = frozenset({"PollForDecisionTask", "PollForActivityTask"})
PAGED = frozenset(
    {
        "GetWorkflowExecutionHistory",
        "ListActivityTypes",
        "ListClosedWorkflowExecutions",
        "ListDomains",
        "ListOpenWorkflowExecutions",
        "ListWorkflowTypes",
        "PollForDecisionTask",
    }
)
HISTORY = frozenset({"GetWorkflowExecutionHistory"})
EVERY: frozenset[str] = frozenset()

KINDS: dict[str, frozenset[str]] = {
    "throttle": EVERY,
    "server_error": EVERY,
    "unavailable": EVERY,
    "reset": EVERY,
    "lost_reply": EVERY,
    "empty_poll": POLLS,
    "stale_history": HISTORY,
    "expired_token": PAGED,
}
"""Each kind of fault and the operations that it can strike; none named: all of them."""


class Injection:
    """One fault that strikes until it is used up or removed; a context manager that removes it.

    `hits` counts how often it struck.
    """

    def __init__(
        self,
        chaos: Chaos,
        kind: str,
        operations: frozenset[str],
        times: int | None,
        after: int,
        probability: float,
        seed: int | None,
        events: int,
    ) -> None:
        self._chaos, self.kind, self.operations = chaos, kind, operations
        self.times, self.after, self.probability, self.events = times, after, probability, events
        self.hits = 0
        self._random = random.Random(seed)

    def __repr__(self) -> str:
        where = ", ".join(sorted(self.operations)) or "all operations"
        return f"<{self.kind} of {where}, struck {self.hits} times>"

    def strikes(self, operation: str, request: Mapping[str, Any]) -> bool:
        """Whether it strikes this call. The chaos's lock is held."""
        if self.operations and operation not in self.operations:
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        if self.kind == "expired_token" and "nextPageToken" not in request:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        if self._random.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def remove(self) -> None:
        """Strike no more."""
        self._chaos.remove(self)

    def __enter__(self) -> Injection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


class Chaos:
    """A door that lets calls through to `door`, but for those that an injection strikes."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._injections: list[Injection] = []
        self._lock = threading.Lock()

    def inject(
        self,
        kind: str,
        operation: str | Iterable[str] | None = None,
        *,
        times: int | None = None,
        after: int = 0,
        probability: float = 1.0,
        seed: int | None = None,
        events: int = 1,
    ) -> Injection:
        """See `LocalSWF.inject`."""
        if kind not in KINDS:
            raise UsageError(f"there is no fault {kind!r}; there are {', '.join(KINDS)}")
        if not 0 <= probability <= 1:
            raise UsageError(f"inject(probability={probability!r}): a number from 0 to 1")
        for name, number, least in (("times", times, 1), ("after", after, 0), ("events", events, 1)):
            if number is not None and number < least:
                raise UsageError(f"inject({name}={number!r}): a whole number from {least} on")
        names = (operation,) if isinstance(operation, str) else tuple(operation or ())
        operations = frozenset(camel_case(name) for name in names)
        if strange := operations - load_model().operations:
            raise UsageError(f"SWF has no operation {', '.join(sorted(strange))}")
        for name in operations:
            if KINDS[kind] and name not in KINDS[kind]:
                fits = ", ".join(sorted(KINDS[kind]))
                raise UsageError(f"{kind!r} can't strike {name}; it can strike {fits}")
        made = Injection(self, kind, operations or KINDS[kind], times, after, probability, seed, events)
        with self._lock:
            self._injections.append(made)
        return made

    def remove(self, injection: Injection) -> None:
        with self._lock:
            if injection in self._injections:
                self._injections.remove(injection)

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The door. Of several injections that could strike, the first made does."""
        if not self._injections:  # the common way takes no lock
            return self._door(operation, request)
        with self._lock:
            struck = next((i for i in self._injections if i.strikes(operation, request)), None)
        if struck is None:
            return self._door(operation, request)
        return self._strike(struck, operation, request)

    def _strike(self, struck: Injection, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        kind = struck.kind
        if kind == "throttle":
            raise Fault("ThrottlingException", "Rate exceeded")
        if kind == "server_error":
            raise Fault("InternalFailure", "We encountered an internal error", status=500)
        if kind == "unavailable":
            raise Fault("ServiceUnavailable", "Service is unavailable", status=503)
        if kind == "reset":
            raise Cut(reset=True)
        if kind == "expired_token":
            raise Fault("ValidationException", "Specified token has exceeded its maximum lifetime")
        if kind == "lost_reply":
            self._door(operation, request)
            raise Cut(reset=False)
        if kind == "empty_poll":
            return dict(EMPTY[operation])
        return self._stale(struck.events, request)

    def _stale(self, hidden: int, request: Mapping[str, Any]) -> dict[str, Any]:
        """A read of a history that its newest events have not reached; the first always has."""
        newest = self._door(
            "GetWorkflowExecutionHistory",
            {
                "domain": request.get("domain"),
                "execution": request.get("execution"),
                "maximumPageSize": 1,
                "reverseOrder": True,
            },
        )
        last = max(1, newest["events"][0]["eventId"] - hidden)
        found = self._door("GetWorkflowExecutionHistory", request)
        shown = [event for event in found["events"] if event["eventId"] <= last]
        if len(shown) < len(found["events"]) and not request.get("reverseOrder"):
            found = {key: value for key, value in found.items() if key != "nextPageToken"}
        return {**found, "events": shown}


def camel_case(operation: str) -> str:
    """An operation's name, given as such or as the client's method."""
    if not re.fullmatch(r"[A-Za-z_]+", operation):
        raise UsageError(f"{operation!r} is no name of an operation")
    if "_" in operation or operation.islower():
        return "".join(part.capitalize() for part in operation.split("_"))
    return operation
