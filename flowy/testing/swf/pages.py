"""Lists and histories, a page at a time.

Owns: the size of a page, its token, and the operation that reads a history.

May not know: what is listed. A page of a history costs what is on it, wherever it begins; a token is a
position, so the service remembers nobody who reads.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flowy.testing.swf.executions import Execution
from flowy.testing.swf.tokens import page_token, read_page_token
from flowy.testing.swf.world import World

Request = Mapping[str, Any]
T = TypeVar("T")


def page_size(request: Request, most: int) -> int:
    """How many to give: what is asked for, if it is not more than is given."""
    return min(request.get("maximumPageSize") or most, most)


def cut(
    world: World,
    operation: str,
    request: Request,
    found: Mapping[Any, T],
    member: str,
    show: Callable[[T], dict[str, Any]],
    *,
    descending: bool = False,
) -> dict[str, Any]:
    """A page of what was found, in the order of its keys (or the other way round).

    A page begins after the key at which the one before ended, so nothing is told twice or left out
    because something came or went meanwhile.
    """
    last = read_page_token(operation, request, world.time, world.limits.page_token_life)
    keys = sorted(found)
    if isinstance(last, list):
        last = tuple(last)
    size = page_size(request, world.limits.list_page)
    if descending != bool(request.get("reverseOrder")):
        end = len(keys) if last is None else bisect_left(keys, last)
        given = keys[max(0, end - size) : end][::-1]
        more = end > size
    else:
        begin = 0 if last is None else bisect_right(keys, last)
        given = keys[begin : begin + size]
        more = begin + size < len(keys)
    page: dict[str, Any] = {member: [show(found[key]) for key in given]}
    if more:
        page["nextPageToken"] = page_token(operation, request, world.time, given[-1])
    return page


def history_page(
    world: World,
    operation: str,
    request: Request,
    execution: Execution,
    where: list[Any],
    done: int,
) -> dict[str, Any]:
    """A page of a history.

    Args:
        where: ``[run id, begin, end, …]``: which events there are to give, by their indices, the second
            excluded. It comes back from `read_position`, with how many events were given so far.
        done: how many were on the pages before.
    """
    size = page_size(request, world.limits.history_page)
    begin, end = where[1:3]
    if request.get("reverseOrder"):
        last = end - done
        events = execution.events[max(begin, last - size) : last][::-1]
    else:
        events = execution.events[begin + done : min(end, begin + done + size)]
    page: dict[str, Any] = {"events": events}
    done += len(events)
    if begin + done < end:
        page["nextPageToken"] = page_token(operation, request, world.time, [*where, done])
    return page


def read_position(world: World, operation: str, request: Request) -> list[Any] | None:
    """Where the page that is asked for begins: `where` and `done` of `history_page`; None: the first."""
    position: list[Any] | None = read_page_token(
        operation, request, world.time, world.limits.page_token_life
    )
    return position
