"""Histories, page by page, whatever fails on the way.

Owns: `Reader`: which page is asked for next, what is kept of those that came, and when it is given up;
`time_limit`, how long a decision task may take.

May not know: what pages are of (a decision task, an execution), or the network. Its neighbour is
`deciding`.

Events that came are kept for good: no failure costs more than its own page. A token that is refused
(they live 24 hours, whatever is done with them) can't be asked for again, but the page before gives a
new one: reading steps back a page, and twice as far each time that this is refused too, so the tokens
of a process that slept for days cost few requests. What counts as a try is a failure since the last new
event, so neither the length of a history nor the size of its pages makes one unreadable.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flowy.errors import UsageError
from flowy.swf.client import Refused, Unreachable
from flowy.swf.history import Incomplete, attributes_of
from flowy.swf.rates import Backoff

__all__ = ["Reader", "time_limit"]

Event = dict[str, Any]
Page = Mapping[str, Any]

FRESH = 3
"""At every third end of a history whose newest events are not there yet it is read from its start, for
the case that a page is not given otherwise than it was before."""


class Reader:
    """Gathers the events 1 … `last`, or those of them that its pages hold.

    Args:
        ask: gives the page of a token.
        first: the token of the first page; None: the pages begin with the history.
        known: events that are there already, by id; further ones are put in.
        last: the id of the last one that is wanted; 0 if that is not known.
        tries: so many failures without a new event between them are the end.
        until: when it is too late, by the monotonic clock.
    """

    def __init__(
        self,
        ask: Callable[[str | None], Page],
        first: str | None,
        known: dict[int, Event],
        last: int,
        tries: int,
        until: float,
    ) -> None:
        self._ask = ask
        self._tokens = [first]
        self._known = known
        self._last = last
        self._left = self._tries = tries
        self._until = until
        self._backoff = Backoff(0.02, 2.0)
        self._step = 1
        self._ends = 0

    def whole(self) -> bool:
        """Whether all events are there: their ids are 1 … last, so none is missing."""
        return 0 < self._last == len(self._known)

    def read(self, to_the_end: bool = False) -> None:
        """Ask for pages until all events are there, or `to_the_end`: of the pages.

        Raises:
            Incomplete: there was no getting on, or it took too long.
            UsageError: a request was wrong in itself.
        """
        while not self.whole():
            try:
                page = self._ask(self._tokens[-1])
            except Refused as error:
                self._step_back(error)
            except Unreachable as error:
                self._failed(str(error))
            else:
                token = self._take(page)
                if token:
                    self._tokens.append(token)
                elif to_the_end:
                    return
                else:
                    self._came_to_the_end()

    def _take(self, page: Page) -> str | None:
        """Keep what a page brings; the token of the next, if that may hold what is missing."""
        self._step = 1
        known = len(self._known)
        events: Iterable[Event] = page.get("events") or ()
        behind = False
        for event in events:
            if self._last and event["eventId"] > self._last:
                behind = True
            else:
                self._known.setdefault(event["eventId"], event)
        if len(self._known) > known:
            self._left = self._tries
            self._backoff.reset()
        elif not events:
            self._failed("a page without events came")
        return None if behind else page.get("nextPageToken")

    def _step_back(self, error: Refused) -> None:
        if len(self._tokens) == 1:
            if self._tokens[0] is not None:
                raise Incomplete(str(error))  # it can't be had again
        else:
            del self._tokens[max(1, len(self._tokens) - self._step) :]
            self._step *= 2
        self._failed(str(error))

    def _came_to_the_end(self) -> None:
        """The newest events are not there to be read yet: the last page is asked for again."""
        self._ends += 1
        if self._ends % FRESH == 0:
            del self._tokens[1:]
        self._failed("its newest events were not there yet")

    def _failed(self, why: str) -> None:
        self._left -= 1
        pause = self._backoff.pause()
        if not self._left:
            raise Incomplete(f"{self._so_far()}, and no more in {self._tries} tries: {why}")
        if time.monotonic() + pause > self._until:
            raise Incomplete(f"{self._so_far()} before the time of the decision task was up: {why}")
        time.sleep(pause)

    def _so_far(self) -> str:
        wanted = f" of {self._last:,}" if self._last else ""
        return f"{len(self._known):,}{wanted} events of the history could be read"


def time_limit(events: Iterable[Event]) -> float:
    """Seconds that a decision task may take, as these events of its history say; infinity if they do
    not, or there is no limit."""
    said = None
    for event in events:
        if event["eventType"] == "DecisionTaskScheduled":
            said = attributes_of(event).get("startToCloseTimeout") or said
        elif event["eventType"] == "WorkflowExecutionStarted":
            said = attributes_of(event).get("taskStartToCloseTimeout") or said
    try:
        return float(said) if said and said != "NONE" else float("inf")
    except ValueError:
        raise UsageError(f"a time-out of the history is no number of seconds: {said!r}") from None
