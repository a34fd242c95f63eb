"""Histories are read whole, whichever requests fail.

Owns: any size of a page and any place of a fault, against pages made here; what ends it all the same.

May not know: tasks, or SWF. Whole runs with such faults are in test_conformance_faults.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowy import swf
from flowy.swf import reading
from flowy.swf.history import Incomplete
from flowy.swf.reading import Reader, time_limit

EXPIRED = swf.Refused("history", "ValidationException", "Specified token has exceeded its lifetime")


class Clock:
    """A time that goes on only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Pages:
    """A history whose every answer has new tokens, each for the place of its page.

    Args:
        fails: what befalls a request: the error, or None; asked with its number and its token.
        stale: so many requests do not see the newest event.
    """

    def __init__(
        self,
        count: int,
        size: int,
        fails: Callable[[int, str | None], Exception | None] = lambda number, token: None,
        stale: int = 0,
    ) -> None:
        self.count, self.size, self.fails, self.stale = count, size, fails, stale
        self.asked: list[str | None] = []

    def __call__(self, token: str | None) -> dict[str, Any]:
        self.asked.append(token)
        number = len(self.asked)
        if error := self.fails(number, token):
            raise error
        begin = int(token.split(" ")[0]) if token else 1
        last = self.count - (number <= self.stale)
        end = min(begin + self.size, last + 1)
        page: dict[str, Any] = {"events": [{"eventId": n} for n in range(begin, end)]}
        if end <= last:
            page["nextPageToken"] = f"{end} {number}"
        return page


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(reading, "time", made)
    return made


def read(
    pages: Pages,
    first: str | None = None,
    known: Any = (),
    *,
    last: int | None = None,
    until: float = float("inf"),
    **given: Any,
) -> list[int]:
    events = {number: {"eventId": number} for number in known}
    last = pages.count if last is None else last
    Reader(pages, first, events, last, 20, until).read(**given)
    return sorted(events)


@pytest.mark.parametrize("size", [1, 2, 7, 10, 100, 1000])
def test_one_token_or_another_is_always_dead(size: int) -> None:
    """A fifth of all tokens have expired when they are used, and stay so."""
    for seed in range(5):
        chance = random.Random(seed)
        dead: dict[str, bool] = {}

        def fails(number: int, token: str | None, chance: Any = chance, dead: Any = dead) -> Any:
            return EXPIRED if token and dead.setdefault(token, chance.random() < 0.2) else None

        pages = Pages(300, size, fails)
        assert read(pages) == list(range(1, 301))
        # Of ten steps two go back, of one page most times: so many requests and not their square.
        assert len(pages.asked) <= 3 * (300 / size + 3)


@given(
    st.integers(1, 60),
    st.integers(1, 20),
    st.sets(st.integers(1, 200), max_size=15),
    st.sampled_from([EXPIRED, swf.Unreachable("reset")]),
    st.integers(0, 4),
    st.sets(st.integers(1, 60)),
)
def test_any_page_size_and_any_place_of_a_fault(
    count: int, size: int, struck: set[int], error: Exception, stale: int, known: set[int]
) -> None:
    pages = Pages(count, size, lambda number, token: error if number in struck else None, stale)
    known = {number for number in known if number <= count}
    assert read(pages, known=known) == list(range(1, count + 1))
    if not struck and not stale:
        assert len(pages.asked) <= -(-count // size)


def test_all_tokens_of_a_process_that_slept_are_dead() -> None:
    """Few of them are tried before it begins at the start, which can't expire."""
    asleep_at = 41

    def fails(number: int, token: str | None) -> Exception | None:
        old = token is not None and int(token.split(" ")[1]) < asleep_at
        return EXPIRED if number >= asleep_at and old else None

    pages = Pages(500, 10, fails)
    assert read(pages) == list(range(1, 501))
    assert len(pages.asked) == 40 + 6 + 50  # 1, 2, 4, 8, 16 and the rest back; then all pages


def test_what_is_known_is_not_read_and_what_came_since_is_not_kept() -> None:
    pages = Pages(50, 10)
    assert read(pages, known=range(21, 31), last=30) == list(range(1, 31))
    assert len(pages.asked) == 2


def test_newest_events_that_are_late_cost_their_page_only() -> None:
    pages = Pages(45, 10, stale=6)
    assert read(pages) == list(range(1, 46))
    assert pages.asked[4:] == ["41 4"] * 3


def test_a_page_that_stays_as_it_was_is_not_asked_for_for_ever() -> None:
    pages = Pages(45, 10, stale=6)
    given: dict[str, Any] = {}

    def frozen(token: str | None) -> Any:
        page = pages(token)
        return given.setdefault(token, page) if token else page

    known: dict[int, Any] = {}
    Reader(frozen, None, known, 45, 20, float("inf")).read()
    assert sorted(known) == list(range(1, 46))
    assert len(pages.asked) == 5 + 2 + 5


def test_pages_of_a_task_are_given_up_where_there_is_nothing_to_step_back_to() -> None:
    pages = Pages(45, 10, lambda number, token: EXPIRED)
    with pytest.raises(Incomplete, match="Specified token"):
        read(pages, "11 0", known=range(1, 11), to_the_end=True)
    assert pages.asked == ["11 0"]


@pytest.mark.parametrize("error", [EXPIRED, swf.Unreachable("reset by peer")])
def test_without_progress_it_ends(error: Exception, clock: Clock) -> None:
    pages = Pages(45, 10, lambda number, token: error if number > 2 else None)
    with pytest.raises(Incomplete, match=r"20 of 45 events .* no more in 20 tries: .*(reset|token)"):
        read(pages)
    assert len(pages.asked) == 22
    assert 10 < clock.now < 60  # no storm


def test_what_never_comes_is_not_waited_for_for_ever() -> None:
    with pytest.raises(Incomplete, match=r"45 of 46 events .*newest events were not there"):
        read(Pages(45, 10), last=46)
    with pytest.raises(Incomplete, match="a page without events"):
        endless: Any = lambda token: {"events": [], "nextPageToken": "more"}  # noqa: E731
        Reader(endless, None, {}, 5, 20, float("inf")).read()


def test_it_ends_with_the_time_of_the_task(clock: Clock) -> None:
    pages = Pages(45, 10, lambda number, token: EXPIRED if number > 2 else None)
    with pytest.raises(Incomplete, match=r"20 of 45 events .*before the time of the decision task"):
        read(pages, until=2.0)
    assert 0.5 < clock.now < 2.0


def test_how_long_a_decision_task_may_take() -> None:
    def started(said: str) -> dict[str, Any]:
        kind = "WorkflowExecutionStarted"
        says = {"taskStartToCloseTimeout": said}
        return {"eventType": kind, "workflowExecutionStartedEventAttributes": says}

    def scheduled(**says: str) -> dict[str, Any]:
        kind = "DecisionTaskScheduled"
        return {"eventType": kind, "decisionTaskScheduledEventAttributes": says}

    assert time_limit([started("30")]) == 30
    assert time_limit([started("30"), scheduled(startToCloseTimeout="60")]) == 60
    assert time_limit([started("30"), scheduled()]) == 30
    assert time_limit([started("NONE")]) == time_limit([]) == float("inf")
