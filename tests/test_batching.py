"""How many tasks travel together, and how many messages wait at a worker: the policy by itself.

Owns: `Batching`, fed with made-up times and sizes. No process and no clock.

May not know: drivers, pools. Its neighbour is test_engine.py, where batches really travel.
"""

from __future__ import annotations

import pytest

from flowy.local.batching import (
    BATCH_BYTES,
    BATCH_SECONDS,
    LARGEST,
    MOST_SECONDS,
    QUEUE_BELOW,
    REST,
    REST_MESSAGES,
    SHORT,
    WINDOW,
    Batching,
)

MANY = 10**6
WORKERS = 2


def told(*seconds: float, calls: int = 1) -> Batching:
    """A policy that heard so many replies about function 0, of these seconds a call."""
    batching = Batching()
    for each in seconds:
        batching.learn({0: (calls, each * calls)})
    return batching


def test_nothing_is_known() -> None:
    batching = Batching()
    assert batching.cost(0) is None
    assert batching.depth(0, MANY, WORKERS) == 1
    assert batching.depth(None, MANY, WORKERS) == 1
    assert batching.budget(None, MANY, WORKERS) == BATCH_SECONDS
    assert batching.limit(0, MANY, WORKERS) == LARGEST


def test_slow_first_calls_are_forgotten() -> None:
    cost = told(1.0, 1.0, *[1e-5] * WINDOW).cost(0)
    assert cost == pytest.approx(1e-5)


def test_a_rise_is_followed_at_once() -> None:
    """Also if many calls before it were quick: the next message carries few of them."""
    batching = told(*[1e-4] * WINDOW, calls=100)
    batching.learn({0: (1, 0.02)})
    cost = batching.cost(0)
    assert cost is not None
    assert cost > 20 * 1e-4


def test_replies_count_alike_whatever_number_of_calls_they_are_about() -> None:
    batching = Batching()
    batching.learn({0: (1000, 1.0)})
    batching.learn({0: (1, 0.003)})
    assert batching.cost(0) == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("waiting", "seconds"),
    [(1, BATCH_SECONDS), (40, BATCH_SECONDS), (100, 0.00625), (MANY, MOST_SECONDS)],
)
def test_messages_shrink_with_what_is_left(waiting: int, seconds: float) -> None:
    assert told(0.001).budget(0, waiting, WORKERS) == pytest.approx(seconds)


@pytest.mark.parametrize(("waiting", "limit"), [(1, 1), (4, 1), (5, 2), (4000, 1000), (MANY, LARGEST)])
def test_every_worker_gets_its_share(waiting: int, limit: int) -> None:
    assert told(1e-3).limit(0, waiting, WORKERS) == limit


@pytest.mark.parametrize(("waiting", "limit"), [(4, 200), (300, 200), (4000, 1000)])
def test_no_message_is_smaller_than_its_cost(waiting: int, limit: int) -> None:
    assert told(1e-6).limit(0, waiting, WORKERS) == limit


def test_a_message_is_not_too_large() -> None:
    batching = told(1e-6)
    batching.learn_size(0, 10, 10 * 1000)
    limit = batching.limit(0, MANY, WORKERS)
    assert limit == BATCH_BYTES // 1000
    batching.learn_size(0, 1, 10 * BATCH_BYTES)
    assert batching.limit(0, MANY, WORKERS) == 1
    assert batching.limit(1, MANY, WORKERS) == LARGEST
    for _ in range(50):
        batching.learn_size(0, 10, 10)
    assert batching.limit(0, MANY, WORKERS) == LARGEST


def test_nothing_waits_behind_a_long_task_at_the_end() -> None:
    """A second message only while there is work for the others, even if the task before it is long."""
    batching = told(*[0.001] * (WINDOW - 1), 0.02)  # 3.4 ms on average
    assert batching.depth(0, 1000, WORKERS) == 2
    assert batching.depth(0, 30, WORKERS) == 2
    assert batching.depth(0, 20, WORKERS) == 1
    assert batching.depth(0, 1, WORKERS) == 1


def test_tiny_tasks_may_always_wait_and_long_ones_never() -> None:
    assert told(1e-5).depth(0, MANY, WORKERS) == 2
    assert told(QUEUE_BELOW).depth(0, MANY, WORKERS) == 1
    assert told(0.0).depth(0, MANY, WORKERS) == REST_MESSAGES


def test_the_last_of_tiny_tasks_go_at_once() -> None:
    """The driver may not come to send them later, before the workers are idle."""
    few = int(REST / 1e-5) - 1
    assert told(1e-5).depth(0, few, WORKERS) == REST_MESSAGES
    assert told(1e-5).depth(0, few + 2, WORKERS) == 2
    assert told(SHORT).depth(0, 0, WORKERS) == 1
