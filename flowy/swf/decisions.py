"""What a run asks for, as decisions of Amazon SWF, within its limits.

Owns: the names of what may be decided and of how far it is; SWF's limits; and how decisions become the
dicts of `RespondDecisionTaskCompleted`, with texts cut where SWF would refuse them.

May not know: histories, or why something is asked for. Its neighbours are `flowy._replay`, where
commands wait for their turn, and `execution`, which writes them.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from flowy._replay import KINDS, STATES

__all__ = [
    "ACTIVITY",
    "AT_THE_END",
    "CANCEL",
    "CHILD",
    "CLOSE",
    "LAMBDA",
    "MARKER",
    "MORE",
    "NEXT",
    "OPEN",
    "OVER",
    "OWN",
    "REFUSED",
    "SIGNAL",
    "STANDARD",
    "TIMER",
    "UNKNOWN",
    "WITHDRAWN",
    "Decisions",
    "Limits",
    "child_id",
    "cut",
    "seconds",
    "write",
]

ACTIVITY, CHILD, LAMBDA, TIMER, MARKER, SIGNAL, CANCEL, OWN, CLOSE = KINDS
"""`OWN` are timers that only bring another decision."""
AT_THE_END = (MARKER, SIGNAL, CANCEL, OWN, CLOSE)
"""What still goes out once the code has ended: what has an effect outside of it."""

WAITING, FLYING, OPEN, OVER, REFUSED, WITHDRAWN = STATES
"""States of a command. One that is withdrawn may yet turn out to be open: then it is cancelled."""
CONTEXT = "waiting:"
"""How the `executionContext` of a response begins that leaves some for later, for want of room."""

REASON = 256
DETAILS = 32_768
IDENTIFIER = 256
LONGEST_TIMER = 99_999_999  # seconds: a duration has at most 8 digits
FRAME = 200
"""Bytes that a decision takes beside its texts, at most: names of fields, punctuation."""

MORE, UNKNOWN = NEXT = ("@more-", "@unknown-")
"""How the ids of timers begin that only bring the next decision: of what had no room in a response, and
of a workflow that the decider did not know."""


class Limits(NamedTuple):
    """What SWF takes."""

    decisions: int = 100
    """In a response; AWS's own framework keeps to it."""
    bytes: int = 1_000_000
    """Of a response; 1 MB."""
    open: int = 1000
    """Activities, timers, children, Lambda functions of a run, each."""
    continue_at: int = 10_000
    """Events of a history from which on `continue_suggested`."""


STANDARD = Limits()


class Decisions(list[dict[str, Any]]):
    """The decisions that answer a task, and the `executionContext` that goes with them, if any."""

    context: str | None = None


def write(type: str, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A decision as SWF takes it.

    >>> write('CancelTimer', {'timerId': 't'})
    {'decisionType': 'CancelTimer', 'cancelTimerDecisionAttributes': {'timerId': 't'}}
    """
    return {"decisionType": type, f"{type[0].lower()}{type[1:]}DecisionAttributes": attributes}


def size_of(attributes: Mapping[str, Any]) -> int:
    """Bytes that a decision with these attributes takes in a request, at most."""
    size = FRAME
    for value in attributes.values():
        if isinstance(value, str):
            if value.isascii() and value.isprintable():
                size += len(value) + value.count('"') + value.count("\\")
            else:
                size += len(json.dumps(value))
        else:
            size += len(json.dumps(value))
    return size


def cut(text: str, most: int, mark: str = " … (cut)") -> str:
    """`text`, or as much of it as fits with a mark at its end.

    >>> cut('a long reason', 12)
    'a lo … (cut)'
    """
    return text if len(text) <= most else text[: most - len(mark)] + mark


def seconds(duration: float) -> str:
    """The delay of a timer, in whole seconds, never shorter than asked.

    >>> seconds(0.2), seconds(3)
    ('1', '3')
    """
    return str(min(LONGEST_TIMER, math.ceil(duration - 1e-9)))


def child_id(workflow_id: str, run_id: str, key: str) -> str:
    """The id of the workflow that the task `key` of a run is.

    It tells who started it and what for, and is another in each run of the same workflow.

    >>> child_id('order-7', '22oCiV57Ja39nfJWOEGwDJ5X9O6hzK3Djk', 'ship-0-0')
    'order-7-e753a150-ship-0-0'
    """
    tail = f"-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}-{key}"
    if len(workflow_id) + len(tail) > IDENTIFIER:
        workflow_id = hashlib.sha256(workflow_id.encode()).hexdigest()[:32]
    return workflow_id + tail
