"""What may be said of an activity: every option is checked, and every mistake is explained."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flowy
from flowy.errors import Failure
from flowy.options import ONCE, PLAIN, Delays, Options, make_options


def test_nothing_said_is_one_attempt_without_limits() -> None:
    assert make_options("do", {}) == PLAIN == Options()
    assert make_options("do", {"retry": None, "heartbeat": None}) == PLAIN
    assert ONCE.delay_before(0) == 0.0
    assert ONCE.delay_before(1) is None


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"retries": 3}, "there are retry, schedule_to_start, start_to_close"),
        ({"retry": 3}, "tuple of delays"),
        ({"retry": ()}, "tuple of delays"),
        ({"retry": "12"}, "tuple of delays"),
        ({"retry": (0, -1)}, "more than 0, not -1"),
        ({"retry": (0, None)}, "a time in seconds, not None"),
        ({"heartbeat": 0}, "more than 0, not 0"),
        ({"start_to_close": "NONE"}, "a time in seconds, not 'NONE'"),
        ({"start_to_close": math.nan}, "a time in seconds, not nan"),
        ({"schedule_to_start": math.inf}, "a time in seconds, not inf"),
        ({"schedule_to_close": True}, "a time in seconds, not True"),
        ({"max_concurrency": 0}, "a number from 1 on, not 0"),
        ({"max_concurrency": 1.5}, "a number from 1 on, not 1.5"),
        ({"priority": 0.5}, "must be an integer"),
        ({"rerun_on_worker_death": 1}, "must be True or False"),
    ],
)
def test_a_wrong_option_is_explained(given: dict[str, Any], hint: str) -> None:
    with pytest.raises(flowy.UsageError) as caught:
        make_options("do", given)
    assert hint in str(caught.value)
    assert "'do'" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"attempts": 0}, "a number from 1 on"),
        ({"attempts": 2.0}, "a number from 1 on"),
        ({"delay": -1}, "a time in seconds"),
        ({"backoff": 0.5}, "a number from 1 to inf"),
        ({"max_delay": 0}, "a time in seconds"),
        ({"jitter": 1.1}, "a number from 0 to 1"),
        ({"on": "OSError"}, "classes of exceptions"),
        ({"on": KeyboardInterrupt}, "classes of exceptions"),
    ],
)
def test_a_wrong_retry_is_explained(given: dict[str, Any], hint: str) -> None:
    with pytest.raises(flowy.UsageError, match="Retry") as caught:
        flowy.Retry(**given)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"memory_limit": 0}, "a share"),
        ({"memory_limit": 1000}, "at least 1 MB"),
        ({"memory_limit": "1G"}, "bytes"),
        ({"memory_limit": 0.5, "executor": "threads"}, "needs executor='processes'"),
        ({"max_tasks_per_worker": 0}, "a number from 1 on"),
        ({"max_tasks_per_worker": 5, "executor": "inline"}, "needs executor='processes'"),
    ],
)
def test_a_wrong_limit_of_workers_is_explained(given: dict[str, Any], hint: str) -> None:
    with pytest.raises(flowy.UsageError) as caught:
        flowy.LocalWorkflow(lambda: lambda: None, **given)
    assert hint in str(caught.value)


@given(
    attempts=st.integers(1, 3000),
    delay=st.floats(0, 100),
    backoff=st.floats(1, 10),
    most=st.none() | st.floats(0.1, 1000),
    jitter=st.floats(0, 1),
)
def test_delays_grow_to_the_largest_and_end(
    attempts: int, delay: float, backoff: float, most: float | None, jitter: float
) -> None:
    full = flowy.Retry(attempts, delay, backoff, most)
    some = flowy.Retry(attempts, delay, backoff, most, jitter)
    before = 0.0
    for attempt in range(min(attempts, 50)):
        wanted = full.delay_before(attempt)
        assert wanted is not None
        assert wanted >= before
        assert most is None or wanted <= most
        drawn = some.delay_before(attempt)
        assert drawn is not None
        assert wanted * (1 - jitter) - 1e-9 <= drawn <= wanted
        before = wanted
    assert full.delay_before(attempts - 1) is not None
    assert full.delay_before(attempts) is None


def failure(kind: Any, cause: BaseException | None = None) -> Failure:
    return Failure("", kind=kind, cause=cause)


def test_a_tuple_of_delays_follows_time_outs_only() -> None:
    delays = Delays((0.0, 1.0))
    assert delays.covers(failure("timed out"))
    assert not delays.covers(failure("failed", OSError()))
    assert not delays.covers(failure("worker died"))


def test_a_retry_covers_the_exceptions_it_names() -> None:
    some = flowy.Retry(on=(OSError, flowy.TaskTimedout))
    assert some.covers(failure("failed", ConnectionError()))
    assert some.covers(failure("timed out"))
    assert not some.covers(failure("failed", ValueError()))
    assert not some.covers(failure("failed"))
    assert not some.covers(failure("worker died"))
    every = flowy.Retry()
    assert every.covers(failure("failed"))
    assert every.covers(failure("worker died"))
    assert not every.covers(failure("cancelled"))
    assert not every.covers(failure("failed", flowy.UsageError("x")))
    assert not every.covers(failure("failed", KeyboardInterrupt()))
