"""The verbs of workflow code that tell or take time, and those of chance.

Owns: `now`, `sleep`, `timer`, `random` and `uuid4`. In a run they are answered from its events and its
seed, so replays get the same answers; in plain Python they ask the machine.

May not know: engines. Its neighbour is `results`, which has the verbs that need no clock.
"""

from __future__ import annotations

import time as _time
from typing import TYPE_CHECKING, Any

from flowy._sched import current
from flowy.errors import UsageError
from flowy.results import wait

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

__all__ = ["now", "random", "sleep", "timer", "uuid4"]


def now() -> datetime:
    """The time, aware, in UTC. In a run it is the time of the latest event and never goes back."""
    from datetime import datetime, timezone  # here, because `import flowy` should be quick

    run = current()
    here = None if run is None or run.is_plain else run  # without events time would stand
    return datetime.fromtimestamp(_time.time() if here is None else here.time, timezone.utc)


def timer(seconds: float) -> Any:
    """A result that is known (None) when `seconds` have passed; in plain Python they pass at once.

    Raises:
        UsageError: `seconds` is negative or no number.
    """
    run = current()
    if run is not None and not run.is_plain:
        return run.timer(seconds)
    if not seconds >= 0:
        raise UsageError(f"a timer needs a number of seconds from 0 on, not {seconds}")
    _time.sleep(seconds)
    return None


def sleep(seconds: float) -> None:
    """Wait for `seconds`. In a run this holds no worker.

    Raises:
        UsageError: `seconds` is negative or no number.
    """
    wait(timer(seconds))


def random() -> float:
    """A random number in [0, 1), the same in every replay of a run."""
    import random as chance  # here, because `import flowy` should be quick

    run = current()
    return chance.random() if run is None else run.random.random()


def uuid4() -> UUID:
    """A random UUID, the same in every replay of a run."""
    import uuid

    run = current()
    if run is None:
        return uuid.uuid4()
    return uuid.UUID(int=run.random.getrandbits(128), version=4)
