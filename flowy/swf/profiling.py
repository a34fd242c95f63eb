"""What a history weighs: how long, how large, how near to the limits of Amazon SWF.

Owns: `measure`, which counts, and `Profile`, what it found.

May not know: runs, clocks, or where histories come from. Its neighbour is `history`. How long a replay
takes is measured by who has a clock.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flowy.swf.history import Event, attributes_of, time_of
from flowy.swf.payloads import MOST

__all__ = ["LIMITS", "Profile", "measure"]

LIMITS = {
    "events": 25_000,
    "open activities": 1000,
    "open timers": 1000,
    "open children": 1000,
    "longest text": MOST,
    "decisions in a response": 100,
    "seconds": 31_536_000,
}
"""What SWF takes [AWS]; of decisions, what AWS's own framework sends at most."""
_TEXTS = ("input", "result", "details", "control", "reason", "executionContext")
_OPENS = {
    "ActivityTaskScheduled": "open activities",
    "TimerStarted": "open timers",
    "StartChildWorkflowExecutionInitiated": "open children",
}
_ENDS = ("Completed", "Failed", "TimedOut", "Canceled", "Terminated", "Fired")


class Profile(NamedTuple):
    """What a history weighs."""

    counts: dict[str, int]
    """Events by type."""
    most: dict[str, float]
    """The largest of what has a limit, by the names of `LIMITS`."""
    largest: tuple[int, str]
    """The event with the longest text, and the text's name; (0, '') if there is none."""
    payload_bytes: int
    """Of all inputs, results, details, controls, reasons and contexts, in UTF-8."""
    history_bytes: int
    """Of all of it, as JSON."""
    decisions: int
    """Decision tasks that were answered."""
    lost_decisions: int
    """Decision tasks that timed out."""

    @property
    def used(self) -> dict[str, float]:
        """Which part of each limit is used up."""
        return {name: self.most.get(name, 0) / limit for name, limit in LIMITS.items()}


def measure(events: Sequence[Event]) -> Profile:
    """Count and weigh the events of a history."""
    counts: Counter[str] = Counter()
    made: Counter[int] = Counter()
    texts: list[tuple[int, int, str]] = [(0, 0, "")]
    payload = 0
    for event in events:
        says = attributes_of(event)
        counts[event["eventType"]] += 1
        made[says.get("decisionTaskCompletedEventId") or 0] += 1
        for name in _TEXTS:
            text = says.get(name)
            if isinstance(text, str) and text:
                payload += len(text.encode("utf-8", "surrogatepass"))
                texts.append((len(text), event["eventId"], name))
    del made[0]
    longest = max(texts, key=lambda text: text[0])
    most: dict[str, float] = {
        "events": len(events),
        "longest text": longest[0],
        "decisions in a response": max(made.values(), default=0),
        "seconds": time_of(events[-1]) - time_of(events[0]) if events else 0.0,
        **_most_open(events),
    }
    return Profile(
        dict(counts.most_common()),
        most,
        longest[1:],
        payload,
        len(json.dumps(list(events), default=str)),
        counts["DecisionTaskCompleted"],
        counts["DecisionTaskTimedOut"],
    )


def _most_open(events: Sequence[Event]) -> dict[str, int]:
    """How many tasks of each kind were open at a time, at most."""
    kinds: dict[int, str] = {}
    now: Counter[str] = Counter()
    most: dict[str, int] = dict.fromkeys(_OPENS.values(), 0)
    for event in events:
        kind = _OPENS.get(event["eventType"])
        if kind is not None:
            kinds[event["eventId"]] = kind
            now[kind] += 1
            most[kind] = max(most[kind], now[kind])
        elif event["eventType"].endswith(_ENDS):
            ended = kinds.pop(_begun_at(attributes_of(event), event), None)
            if ended is not None:
                now[ended] -= 1
    return most


def _begun_at(says: Mapping[str, Any], event: Event) -> int:
    """The event that opened what an event ends."""
    keys = ("scheduledEventId", "initiatedEventId")
    if event["eventType"].startswith("Timer"):
        keys = ("startedEventId", "startedEventId")
    return int(says.get(keys[0]) or says.get(keys[1]) or 0)
