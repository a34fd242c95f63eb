"""The large buffers among the arguments that a driver sends: each is written once.

Owns: which object stands where, and how long that is true.

May not know: files, pipes, what a task is. Neighbours: `large`, whose store it writes to, and
`mailbox`, whose parcels hold what they need.
"""

from __future__ import annotations

import copyreg
import sys
import threading
from collections.abc import Callable
from typing import Any

from flowy import serialization
from flowy._sched import Shared, address_of
from flowy.local.large import Lease, Packed, Recipe, Store, identity, restore, store_parts
from flowy.local.segments import KEPT
from flowy.serialization import LARGE


class Placed:
    """A buffer among the arguments of tasks, written once."""

    __slots__ = ("holds", "lease", "raw", "span", "turn")

    def __init__(self, raw: memoryview, lease: Lease, span: tuple[str, int, int]) -> None:
        self.raw = raw
        self.lease = lease
        self.span = span
        self.turn = -1
        """When it was last asked for."""
        self.holds: set[int] = set()
        """What is on its way and needs it."""


class Hold:
    """The buffers that a parcel needs for as long as it is on its way."""

    __slots__ = ("_placed", "_shelf")

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._placed: list[Placed] = []

    def add(self, placed: Placed) -> None:
        placed.holds.add(id(self))
        self._placed.append(placed)

    def __bool__(self) -> bool:
        return bool(self._placed)

    @property
    def nbytes(self) -> int:
        """Of all of them."""
        return sum(placed.raw.nbytes for placed in self._placed)

    def __del__(self) -> None:
        for placed in self._placed:
            placed.holds.discard(id(self))
            self._shelf.loose = True


class Shelf:
    """The large buffers among the arguments that one driver sends: each is written once.

    What was written stands for its object while a task that got it is on its way, and until workflow
    code has gone on after that: only such code can change the object.

    Args:
        turn: counts how often workflow code has gone on.
    """

    def __init__(self, store: Store, turn: Callable[[], int]) -> None:
        self._store = store
        self._turn = turn
        self._placed: dict[tuple[int, int], Placed] = {}  # by address and size, the oldest first
        self._lock = threading.RLock()
        self._hold: Hold | None = None  # only while something is packed: it knows the shelf
        self.loose = False
        """Whether something may be free that was needed."""

    def pack(self, dump: Callable[[Callable[[Any], bytes]], bytes]) -> tuple[bytes, Hold | None]:
        """What `dump` makes when it is given how to pickle objects, and what that needs."""
        with self._lock:
            self.tidy()
            outer, hold = self._hold, Hold(self)
            before = getattr(_here, "shelf", None)
            _here.shelf, self._hold = self, hold
            try:
                return dump(self._dumps), hold if hold else None
            finally:
                _here.shelf, self._hold = before, outer

    def _dumps(self, value: Any) -> bytes:
        """(arguments or the only one, keyword arguments) as bytes that a worker can load, large buffers
        beside them."""
        args = value[0] if type(value[0]) is tuple else value[:1]
        for x in args:
            if type(x) is bytes and len(x) >= LARGE:
                break
        else:
            data = serialization.dumps_light(value)
            if data is not None and (len(data) < LARGE or not serialization.holds_blob(value)):
                return data
        parts = serialization.dump_parts(value)
        assert isinstance(parts.head, bytes)
        if not parts.buffers and not parts.blobs:
            return parts.head
        spans = [self._place(part) for part in (*parts.buffers, *parts.blobs)]
        return serialization.dumps(Packed(Recipe(parts.head, len(parts.buffers), spans)))

    def _place(self, raw: memoryview) -> tuple[str, int, int]:
        key = (address_of(raw), raw.nbytes)
        turn = self._turn()
        placed = self._placed.pop(key, None)
        if placed is None or (placed.turn != turn and not placed.holds):
            placed = None  # first, so that its segment can be used again
            lease, spans = self._store.write([raw])
            placed = Placed(raw, lease, spans[0])
        if type(raw.obj) is not bytearray:  # could not grow while it is held
            self._placed[key] = placed
        placed.turn = turn
        assert self._hold is not None
        self._hold.add(placed)
        return placed.span

    def tidy(self) -> None:
        """Let go of what no task needs and what may have changed, or is never asked for again."""
        if not self._placed or not self.loose:
            return
        self.loose = False
        turn, unused = self._turn(), 0
        with self._lock:
            for key, placed in reversed(list(self._placed.items())):
                if placed.holds:
                    continue
                size = placed.raw.nbytes
                unused += size
                if placed.turn != turn or unused > max(KEPT, size) or _forgotten(placed):
                    del self._placed[key]

    def place_shared(self, shared: Shared) -> Recipe:
        """Write the whole of a shared value, once."""
        recipe, lease = store_parts(serialization.dump_parts(shared.value), self._store.write)
        shared.place = (recipe, lease)
        return recipe

    def close(self) -> None:
        """The driver has ended."""
        with self._lock:
            self._placed.clear()


def _forgotten(placed: Placed) -> bool:
    """Whether nothing but its buffer has its object: nobody can pass it again."""
    return sys.getrefcount(placed.raw.obj) <= 2


_here = threading.local()
"""`_here.shelf`: where what this thread pickles puts its large buffers."""


def _reduce_shared(shared: Shared) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    shelf: Shelf | None = getattr(_here, "shelf", None)
    if shelf is None:
        return identity, (shared.value,)
    recipe = shared.place[0] if shared.place is not None else shelf.place_shared(shared)
    return restore, tuple(recipe)


copyreg.pickle(Shared, _reduce_shared)
