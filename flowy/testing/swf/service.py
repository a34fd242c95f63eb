"""The door of the local SWF: a request goes in, a response or a `Fault` comes out.

Owns: the lock, the order of checks, long polls, and when time moves on.

    call ─> model (is it well formed?) ─> throttle ─> operation on the world ─> settle ─> on_change

Laws: everything happens under one lock. Whatever is due is done, in the order of its deadlines, before
anything else is looked at, and carries the time at which it was due; so nobody has to watch the clock,
and there is no thread here. A poll waits on a condition of its own.

**Responses share structure with the state** (events are not copied): whoever gets one must not change
it. The faces serialise or copy it anyway.

**State.** `dump()` gives all of it as plain JSON and `load` takes it back; `on_change` gets each change
as it happens, under the lock and before the response leaves, as a `Changes`:

* `records`: ``{(table, key): record or None}``. Small plain dicts to be put under `key` (a string) in
  `table` (a string), in the place of what was there; None means that it is gone. When a record of the
  table "executions" goes, so do all events of that run; its key is the run's id.
* `events`: ``[(run id, event)]``, to be appended to those of the run; ``event["eventId"]`` counts from 1.

A dump is ``{"time": seconds, "records": {table: {key: record}}, "events": {run id: [event, …]}}``: the
changes added up. An execution is a function of its events, so its record is small and never rewritten:
what a change costs does not depend on how large the state is.

May not know: HTTP, files, boto3. Neighbours: `world` (the state), `model`, `clock`, `limits`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowy.testing.swf.clock import Clock
from flowy.testing.swf.limits import Limits


@dataclass
class Changes:
    """What one call changed; see above."""

    records: dict[tuple[str, str], dict[str, Any] | None] = field(default_factory=dict)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class Service:
    """A local SWF.

    Args:
        clock: `SystemClock()` by default, or a `VirtualClock`.
        limits: AWS's by default, throttling included.
        on_change: gets each change of state, to keep it somewhere.
        permits: whether the caller may do this action, an operation or a decision, in this domain:
            ``permits(action, domain) -> bool``. What it forbids fails as IAM would have it.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        on_change: Callable[[Changes], None] | None = None,
        permits: Callable[[str, str], bool] | None = None,
    ) -> None:
        raise NotImplementedError

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do one operation of the API.

        Args:
            operation: such as "PollForDecisionTask".
            request: as the API's JSON has it; times are seconds since the epoch.

        Raises:
            Fault: it was refused.
        """
        raise NotImplementedError

    def dump(self) -> dict[str, Any]:
        """All state, as plain JSON."""
        raise NotImplementedError

    def load(self, state: Mapping[str, Any]) -> None:
        """Take this state, a `dump`, in the place of what is there."""
        raise NotImplementedError
