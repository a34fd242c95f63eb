"""Large values: written once by who made them, opened by who needs them, freed at their last use.

Owns: what stands for a value that is elsewhere, and who may still need a segment.

    who makes a value ── write ──> segment <── map, copy on write ── who needs it
                                      │
        driver: a Lease; as long as it lives somebody may need the segment, then its maker has it back

A segment is written to again only when no mapping is left, as a private mapping shows what is written
below it. The driver's bookkeeping is Python's own: the arguments of tasks on their way, mappings in this
process, and for each worker what it said that it still has mapped hold a `Lease`; the last of them to
go frees the segment.

May not know: runs, batches, pipes. Neighbours: `segments`, which has the files, `shelf`, for arguments
made in the driver, `serialization`, which takes values apart, and `pool` and `worker`, which carry
what one side tells the other.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flowy import serialization
from flowy._record import Record
from flowy._sched import Unopened
from flowy.local import segments
from flowy.serialization import LARGE, Parts

log = logging.getLogger("flowy")


class Recipe(Record):
    """How to make a value: its pickle and where its buffers are."""

    head: bytes | None
    """None: the pickle is the last span. Empty: the value is the bytes of the only span."""
    buffers: int
    """So many of the spans are pickle's own buffers, the others whole bytes objects."""
    spans: list[tuple[str, int, int]]
    """(path, offset, size) of each."""


def _open(recipe: Recipe, lease_of: Callable[[str], Any]) -> Any:
    """The value that a recipe tells of."""
    head, buffers, spans = recipe
    sizes: dict[str, int] = {}
    for path, at, size in spans[:buffers]:
        sizes[path] = max(sizes.get(path, 0), at + size)
    memory = {path: segments.map_private(path, size, lease_of(path)) for path, size in sizes.items()}
    views = [memory[path][at : at + size] for path, at, size in spans[:buffers]]
    blobs = [segments.read(*span) for span in spans[buffers:]]
    if head is None:
        head = blobs.pop()
    return serialization.load_parts(Parts(head, views, blobs))


# ---- The driver's side.


class Lease:
    """Somebody may need a segment for as long as this lives."""

    __slots__ = ("__weakref__", "size")

    def __init__(self, size: int) -> None:
        self.size = size


class Stored(Unopened):
    """A value that a worker made, not opened yet. A worker that gets it opens it."""

    __slots__ = ("_leases", "_recipe", "_value")

    def __init__(self, recipe: Recipe, leases: dict[str, Lease]) -> None:
        self._recipe = recipe
        self._leases = leases
        self._value: Any = None

    def load(self) -> Any:
        """The value itself; the same object each time."""
        if self._leases:
            self._value = _open(self._recipe, self._leases.__getitem__)
            self._leases = {}
        return self._value

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if not self._leases:
            return identity, (self._value,)
        return restore, tuple(self._recipe)


def identity(value: Any) -> Any:
    return value


class Packed:
    """What pickles as a recipe, for the other side to open."""

    __slots__ = ("_recipe",)

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return restore, tuple(self._recipe)


class Store:
    """All segments of one pool, as its driver sees them."""

    def __init__(self) -> None:
        self.token = os.urandom(8).hex()
        self.places = []
        self._locks = []
        for place in segments.folders():
            segments.sweep(place)
            with contextlib.suppress(OSError):
                self._locks.append(segments.lock(segments.lock_path(place, self.token)))
                self.places.append(place)
        self.maker = segments.Maker(self.token, 0, self.places)
        self._returned: deque[tuple[int, int, str, int]] = deque()
        self._leases: weakref.WeakValueDictionary[str, Lease] = weakref.WeakValueDictionary()
        self._free: dict[int, list[tuple[int, bool]]] = {}  # by maker: what to tell it
        self._free_bytes: dict[int, int] = {}
        self._lock = threading.Lock()
        self._warned = False
        self._closed = False

    def descriptors(self) -> list[int]:
        """The locks, which only the driver may hold."""
        return list(self._locks)

    def write(self, parts: Sequence[memoryview]) -> tuple[Lease, list[tuple[str, int, int]]]:
        """Put buffers into a segment of the driver's own.

        Raises:
            OSError: there is no room anywhere.
        """
        self.take_back()
        segment, spans = self.maker.write(parts)
        return self._new_lease(segment.path, segment.size, 0, segment.number), spans

    def _new_lease(self, path: str, size: int, maker: int, number: int) -> Lease:
        lease = self._leases[path] = Lease(size)
        # Not `__del__`: while that runs, `_leases` still finds what is about to go.
        returned = self._returned.append
        weakref.finalize(lease, returned, (maker, number, path, size)).atexit = False
        self._tell(path)
        return lease

    def arrive(self, recipe: Sequence[Any]) -> Stored:
        """A value that a worker has written."""
        made = Recipe(*recipe)
        leases = {}
        for path, at, size in made.spans:
            lease = self._leases.get(path)
            if lease is None:
                maker, number = path.rsplit("-", 2)[1:]
                last, offset, length = made.spans[-1]
                end = offset + length if last == path else at + size
                lease = self._new_lease(path, end, int(maker), int(number))
            leases[path] = lease
        return Stored(made, leases)

    def lease(self, path: str) -> Lease | None:
        """The lease of a segment that somebody may still need."""
        return self._leases.get(path)

    def hire(self, maker: int) -> bytes:
        """Another maker, and what it has to know, for `Desk`."""
        self._free[maker] = []
        self._free_bytes[maker] = 0
        return serialization.dumps((self.token, maker, self.places))

    def bury(self, maker: int) -> None:
        """A maker is dead: remove what it wrote and nobody can ever ask for."""
        with self._lock:
            self._free.pop(maker, None)
            self._free_bytes.pop(maker, None)
        name = f"{segments.PREFIX}{self.token}-{maker}-"
        for place in self.places:
            for path in segments.paths(place, name):
                if path not in self._leases:
                    segments.unlink(path)
        self.take_back()

    def take_back(self) -> None:
        """Sort what nobody needs any more: to be used again by its maker, or gone."""
        while self._returned:
            try:
                maker, number, path, size = self._returned.popleft()
            except IndexError:
                return
            if self._closed:
                continue
            if maker == 0:
                self.maker.take_back(number)
                continue
            with self._lock:
                told = self._free.get(maker)
                keep = told is not None and self._free_bytes[maker] + size <= segments.KEPT
                if told is not None:
                    told.append((number, keep))
                    self._free_bytes[maker] += size if keep else 0
            if not keep:
                segments.unlink(path)

    def free_for(self, maker: int) -> list[tuple[int, bool]]:
        """What to tell a maker: numbers of its segments, and whether it may use them again."""
        told = self._free.get(maker)
        if not told:
            return []
        with self._lock:
            self._free[maker] = []
            self._free_bytes[maker] = 0
        return told

    def close(self) -> None:
        """Remove everything; what is mapped somewhere stays there until it is dropped."""
        self._closed = True
        self.maker.close()
        for place in self.places:
            segments.remove(place, self.token)
        while self._locks:
            os.close(self._locks.pop())

    def _tell(self, path: str) -> None:
        if not self._warned and os.path.dirname(path) != segments.MEMORY:
            self._warned = True
            log.warning(
                "large values go through files in %s, which may be slower: %s is missing, too small or "
                "full",
                os.path.dirname(path),
                segments.MEMORY,
            )


def store_parts(
    parts: Parts, write: Callable[[Sequence[memoryview]], tuple[Any, list[tuple[str, int, int]]]]
) -> tuple[Recipe, Any]:
    """All parts of a value in one segment, the pickle too if that is large."""
    head: Any = parts.head
    rest = []
    if len(head) >= LARGE:
        head, rest = None, [memoryview(head)]
    buffers = [*parts.buffers, *parts.blobs, *rest]
    if not buffers:
        return Recipe(head, 0, []), None
    made, spans = write(buffers)
    return Recipe(head, len(parts.buffers), spans), made


# ---- The worker's side.


class Borrowed:
    """A segment that this worker has mapped."""

    __slots__ = ("__weakref__",)


_borrowed: weakref.WeakValueDictionary[str, Borrowed] = weakref.WeakValueDictionary()


def _borrow(path: str) -> Borrowed:
    lease = _borrowed.get(path)
    if lease is None:
        lease = _borrowed[path] = Borrowed()
    return lease


def restore(head: bytes | None, buffers: int, spans: list[tuple[str, int, int]]) -> Any:
    """The value behind a recipe, private to whoever asks."""
    return _open(Recipe(head, buffers, spans), _borrow)


class Desk:
    """What one worker writes, and what it has told of its mappings."""

    def __init__(self, told: bytes | bytearray) -> None:
        self.token, number, self.places = serialization.loads(told)
        self._maker = segments.Maker(self.token, number, self.places)
        self._told: set[str] = set()

    def keep(self, parts: Parts) -> Recipe:
        """Write a value that was taken apart.

        Raises:
            OSError: there is no room anywhere.
        """
        return store_parts(parts, self._maker.write)[0]

    def take_back(self, told: Iterable[tuple[int, bool]]) -> None:
        """Segments that nobody needs any more."""
        for number, keep in told:
            self._maker.take_back(number, keep)

    def holdings(self) -> tuple[list[str], list[str]]:
        """Segments that are mapped here, and that are no more, since last asked."""
        if not self._told and not _borrowed:
            return [], []
        now = set(_borrowed.keys())
        came, went = now - self._told, self._told - now
        self._told = now
        return list(came), list(went)

    def sweep(self) -> None:
        """The driver is gone: remove what it left, once its locks are gone too."""
        for place in self.places:
            for _ in range(50):
                segments.sweep(place, self.token)
                if not os.path.exists(segments.lock_path(place, self.token)):
                    break
                time.sleep(0.002)
