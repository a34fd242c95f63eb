"""What may be said of an activity: retries, time limits, how many at a time, how urgent.

Owns: `Retry`, `Options` and their checks, the same for every engine.

May not know: engines, clocks. Its neighbour is `config`, which keeps the options of each dependency.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from flowy._record import Record
from flowy.errors import Failure, TaskCancelled, TaskTimedout, UsageError

TIME_OUTS = ("schedule_to_start", "start_to_close", "schedule_to_close", "heartbeat")
_LONGEST = 10 * 365 * 86400.0


class Retry:
    """Try a task again when it fails.

    Args:
        attempts: how many in all, the first included.
        delay: seconds before the second attempt.
        backoff: each further delay is so many times the one before.
        max_delay: seconds; no delay is longer.
        jitter: a share from 0 to 1 of each delay that chance takes off, so that tasks that failed
            together don't come back together.
        on: exceptions that are worth another attempt. A time-out counts as `TaskTimedout`, the death of
            the worker as `WorkerDied`; one that can't be brought over from the worker as `Exception`.

    Raises:
        UsageError: an argument can't be used.

    A cancelled task and a misuse of flowy are never tried again.

    >>> r = Retry(attempts=4, delay=1, backoff=3, max_delay=5)
    >>> [r.delay_before(n) for n in range(5)]
    [0.0, 1.0, 3.0, 5.0, None]
    """

    def __init__(
        self,
        attempts: int = 3,
        delay: float = 0.0,
        backoff: float = 2.0,
        max_delay: float | None = None,
        jitter: float = 0.0,
        on: type[Exception] | tuple[type[Exception], ...] = Exception,
    ) -> None:
        if not _is_count(attempts):
            raise UsageError(f"Retry(attempts={attempts!r}): a number from 1 on, the first included")
        self.attempts = attempts
        self.delay = _seconds("Retry(delay=…)", delay, zero=True)
        self.backoff = _number("Retry(backoff=…)", backoff, 1.0, math.inf)
        self.max_delay = None if max_delay is None else _seconds("Retry(max_delay=…)", max_delay)
        self.jitter = _number("Retry(jitter=…)", jitter, 0.0, 1.0)
        self.on = on if isinstance(on, tuple) else (on,)
        kinds: tuple[Any, ...] = self.on
        for kind in kinds:
            if not isinstance(kind, type) or not issubclass(kind, Exception):
                raise UsageError(f"Retry(on=…) takes classes of exceptions, not {kind!r}")

    def __repr__(self) -> str:
        given = ("attempts", "delay", "backoff", "max_delay", "jitter", "on")
        return f"Retry({', '.join(f'{name}={getattr(self, name)!r}' for name in given)})"

    def delay_before(self, attempt: int) -> float | None:
        """Seconds to wait before this attempt, counted from 0; None if there is none."""
        if attempt >= self.attempts:
            return None
        if attempt == 0:
            return 0.0
        try:
            delay = self.delay * self.backoff ** (attempt - 1)
        except OverflowError:
            delay = _LONGEST
        delay = min(delay, _LONGEST if self.max_delay is None else self.max_delay)
        if not self.jitter:
            return delay
        import random  # here, because `import flowy` should be quick

        return delay * (1 - self.jitter * random.random())

    def covers(self, failure: Failure) -> bool:
        """Whether this failure is worth another attempt."""
        error = failure.error()
        if isinstance(error, (TaskCancelled, UsageError)):
            return False
        if failure.kind != "failed":
            return isinstance(error, self.on)
        return isinstance(failure.cause or Exception(), self.on)


class Delays(Record):
    """`retry=(0, 5, 30)`: the delay before each attempt; a further one follows a time-out only."""

    delays: tuple[float, ...]

    def delay_before(self, attempt: int) -> float | None:
        """Seconds to wait before this attempt, counted from 0; None if there is none."""
        return self.delays[attempt] if attempt < len(self.delays) else None

    def covers(self, failure: Failure) -> bool:
        """Whether this failure is worth another attempt."""
        return isinstance(failure.error(), TaskTimedout)


ONCE = Delays((0.0,))


class Options(Record):
    """How the calls of one activity are to be run. Times are in seconds, None is no limit."""

    retry: Retry | Delays = ONCE
    schedule_to_start: float | None = None
    start_to_close: float | None = None
    schedule_to_close: float | None = None
    heartbeat: float | None = None
    max_concurrency: int | None = None
    priority: int = 0
    rerun_on_worker_death: bool = True

    @property
    def running_limit(self) -> float | None:
        """The first limit that a running call can pass; None if it has none."""
        limits = [x for x in (self.start_to_close, self.heartbeat) if x is not None]
        return min(limits, default=None)

    @property
    def packing_limit(self) -> tuple[str, float] | None:
        """The first limit, by name, that a call can pass while its arguments are pickled."""
        names = ("start_to_close", "schedule_to_close")
        limits = [(x, name) for name in names if (x := getattr(self, name)) is not None]
        if not limits:
            return None
        seconds, name = min(limits)
        return name, seconds


PLAIN = Options()


def make_options(name: str, given: Mapping[str, Any]) -> Options:
    """The options of the activity `name`.

    Raises:
        UsageError: an option is unknown, or its value can't be used.
    """
    unknown = sorted(set(given) - set(Options._fields))
    if unknown:
        raise UsageError(
            f"unknown options for the activity {name!r}: {', '.join(unknown)}; there are "
            f"{', '.join(Options._fields)}"
        )
    made = dict(given)
    for limit in TIME_OUTS:
        if made.get(limit) is not None:
            made[limit] = _seconds(f"{limit} of {name!r}", made[limit])
    if "retry" in made:
        made["retry"] = _make_retry(name, made["retry"])
    cap = made.get("max_concurrency")
    if cap is not None and not _is_count(cap):
        raise UsageError(f"max_concurrency of {name!r} must be a number from 1 on, not {cap!r}")
    priority = made.get("priority", 0)
    if not isinstance(priority, int) or isinstance(priority, bool):
        raise UsageError(f"priority of {name!r} must be an integer (0 by default), not {priority!r}")
    if not isinstance(made.get("rerun_on_worker_death", True), bool):
        raise UsageError(f"rerun_on_worker_death of {name!r} must be True or False")
    return Options(**made)


def _make_retry(name: str, given: Any) -> Retry | Delays:
    if given is None:
        return ONCE
    if isinstance(given, Retry):
        return given
    if not isinstance(given, (tuple, list)) or not given:
        raise UsageError(
            f"retry of {name!r} is a tuple of delays, one before each attempt ((0,) is one attempt), or "
            f"flowy.Retry(…), not {given!r}"
        )
    return Delays(tuple(_seconds(f"retry of {name!r}", delay, zero=True) for delay in given))


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _seconds(what: str, value: Any, *, zero: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value <= _LONGEST:
        raise UsageError(f"{what} is a time in seconds, not {value!r}")
    if value < 0 or (value == 0 and not zero):
        raise UsageError(f"{what} is a time in seconds, more than 0, not {value!r}")
    return float(value)


def _number(what: str, value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise UsageError(f"{what} is a number from {least:g} to {most:g}, not {value!r}")
    return float(value)
