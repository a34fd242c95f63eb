"""Large values in shared memory: written once by who made them, mapped by who needs them.

Owns: the files in /dev/shm (in the temporary folder where that is full or missing), their names, their
use again, their end, and the sweeping up after drivers that were killed.

    who makes a value ── write ──> segment <── map, copy on write ── who needs it
                                      │
        driver: a Lease; as long as it lives somebody may need the segment, then its maker has it back

Fresh pages cost some twenty times what used ones do, so segments are kept and used again. That is safe
only when no mapping is left, as a private mapping shows what is written below it. The driver's
bookkeeping is Python's own: the arguments of tasks on their way, mappings in this process, and for each
worker what it said that it still has mapped hold a `Lease`; the last of them to go frees the segment.

Files are named `flowy-TOKEN-MAKER-N`. The driver holds a lock on `flowy-TOKEN.lock` beside them; a lock
that can be had, or is missing, tells that the driver is gone, in whatever pid namespace it was.

May not know: runs, batches, pipes. Neighbours: `pool` and `worker`, which carry the messages, and
`serialization`, which takes values apart.
"""

from __future__ import annotations

import bisect
import contextlib
import copyreg
import ctypes
import fcntl
import logging
import mmap
import os
import pickle
import re
import sys
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from flowy import serialization
from flowy._sched import Shared, Unopened, address_of
from flowy.serialization import LARGE, Parts

log = logging.getLogger("flowy")

KEPT = 64 << 20
"""Bytes of free segments that a maker keeps for later."""
MAPPED_BELOW = 4 << 20
"""Segments up to this size stay mapped at their maker, together at most `KEPT` bytes."""
_ALIGN = 64
_PREFIX = "flowy-"
_MEMORY = "/dev/shm"
_NAME = re.compile(r"flowy-([0-9a-f]{16})(?:\.lock|-\d+-\d+)")


class Recipe(NamedTuple):
    """How to make a value: its pickle and where its buffers are."""

    head: bytes | None
    """None: the pickle is the last span. Empty: the value is the bytes of the only span."""
    buffers: int
    """So many of the spans are pickle's own buffers, the others whole bytes objects."""
    spans: list[tuple[str, int, int]]
    """(path, offset, size) of each."""


def folders() -> list[str]:
    """Where segments may go, the best first."""
    found = [_MEMORY] if os.access(_MEMORY, os.W_OK | os.X_OK) else []
    try:
        temporary = tempfile.gettempdir()
    except FileNotFoundError:
        return found
    return found if temporary in found else [*found, temporary]


# ---- The maker's side.


class Segment:
    """A file that its maker may write to whenever nobody else needs it."""

    __slots__ = ("map", "number", "path", "size")

    def __init__(self, number: int, path: str, size: int) -> None:
        self.number = number
        self.path = path
        self.size = size
        self.map: mmap.mmap | None = None

    def __lt__(self, other: Segment) -> bool:
        return self.size < other.size

    def unmap(self) -> int:
        """Let the mapping go; how many bytes that were."""
        if self.map is None:
            return 0
        self.map.close()
        self.map = None
        return self.size


class Maker:
    """Writes segments, for one process; those that come back are used again."""

    def __init__(self, token: str, number: int, places: Sequence[str]) -> None:
        self.written = 0
        """How many buffers were written, for tests."""
        self._name = f"{_PREFIX}{token}-{number}-"
        self._places = places
        self._made = 0
        self._segments: dict[int, Segment] = {}  # all, used or free
        self._free: list[Segment] = []  # by size
        self._free_bytes = 0
        self._mapped_bytes = 0
        self._lock = threading.Lock()

    def write(self, parts: Sequence[memoryview]) -> tuple[Segment, list[tuple[str, int, int]]]:
        """Put buffers into one segment; returns it and where they are.

        Raises:
            OSError: there is no room anywhere.
        """
        offsets, end = [], 0
        for part in parts:
            offsets.append(end)
            end += -(-part.nbytes // _ALIGN) * _ALIGN
        end = offsets[-1] + parts[-1].nbytes
        with self._lock:
            segment = self._again(end)
        if segment is None:
            segment = self._fresh(parts, offsets, end)
        else:
            self._overwrite(segment, parts, offsets)
        self.written += len(parts)
        path = segment.path
        return segment, [(path, at, part.nbytes) for at, part in zip(offsets, parts, strict=True)]

    def _again(self, size: int) -> Segment | None:
        """The smallest free segment that is large enough, and not much too large."""
        at = bisect.bisect_left(self._free, size, key=lambda segment: segment.size)
        if at == len(self._free) or self._free[at].size > 2 * size:
            return None
        segment = self._free.pop(at)
        self._free_bytes -= segment.size
        return segment

    def _overwrite(self, segment: Segment, parts: Sequence[memoryview], offsets: list[int]) -> None:
        if segment.map is None and segment.size <= MAPPED_BELOW:
            descriptor = os.open(segment.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                made = mmap.mmap(descriptor, segment.size)
            finally:
                os.close(descriptor)
            if self._mapped_bytes + segment.size <= KEPT:
                segment.map = made
                self._mapped_bytes += segment.size
            else:
                with made:
                    for at, part in zip(offsets, parts, strict=True):
                        made[at : at + part.nbytes] = part
                return
        if segment.map is not None:
            for at, part in zip(offsets, parts, strict=True):
                segment.map[at : at + part.nbytes] = part
            return
        descriptor = os.open(segment.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            for at, part in zip(offsets, parts, strict=True):
                _write_all(descriptor, part, at)
        finally:
            os.close(descriptor)

    def _fresh(self, parts: Sequence[memoryview], offsets: list[int], size: int) -> Segment:
        """A new file; written to, never only made longer: no room is an error then, not a SIGBUS."""
        with self._lock:
            self._made += 1
            number = self._made
        trouble: OSError | None = None
        for place in self._places:
            path = os.path.join(place, f"{self._name}{number}")
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except OSError as error:
                trouble = error
                continue
            try:
                for at, part in zip(offsets, parts, strict=True):
                    _write_all(descriptor, part, at)
            except OSError as error:
                _unlink(path)
                trouble = error
                continue
            except BaseException:
                _unlink(path)
                raise
            finally:
                os.close(descriptor)
            segment = Segment(number, path, size)
            with self._lock:
                self._segments[number] = segment
            return segment
        why = trouble.strerror if trouble is not None else "there is no folder"
        raise OSError(
            f"no room for a large value of {size / 1e6:.1f} MB in {' or '.join(self._places)}: {why}"
        ) from trouble

    def take_back(self, number: int, keep: bool = True) -> None:
        """Nobody needs a segment any more: keep it for later, or let it go."""
        with self._lock:
            segment = self._segments.get(number)
            if segment is None:
                return
            if keep and self._free_bytes + segment.size <= KEPT:
                bisect.insort(self._free, segment)
                self._free_bytes += segment.size
                return
            del self._segments[number]
            self._mapped_bytes -= segment.unmap()
        _unlink(segment.path)

    def close(self) -> None:
        """Let all mappings go; the files are the driver's to remove."""
        with self._lock:
            for segment in self._segments.values():
                segment.unmap()
            self._segments.clear()
            self._free.clear()


def _write_all(descriptor: int, part: memoryview, at: int) -> None:
    while part.nbytes:
        written = os.pwrite(descriptor, part, at)
        at += written
        part = part[written:]


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


# ---- Mappings.

_PRIVATE, _READ_WRITE, _READ = 2, 3, 1  # mmap(2), the same on Linux and macOS


class _C:
    """mmap(2) itself: Python's own keeps a descriptor for each mapping, of which there are too few."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self.map = library.mmap
        self.map.restype = ctypes.c_void_p
        self.map.argtypes = (
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_long,
        )
        self.unmap = library.munmap
        self.unmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)


_c: _C | None = None
_FAILED = ctypes.c_void_p(-1).value


def _map(path: str, size: int, lease: Any) -> memoryview:
    """The first `size` bytes of a file, as memory of one's own; `lease` lives as long as they do."""
    global _c
    if _c is None:
        _c = _C()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        address = _c.map(None, size, _READ_WRITE, _PRIVATE, descriptor, 0)
        if address == _FAILED or address is None:  # too many mappings: a copy serves too
            return memoryview(bytearray(os.pread(descriptor, size, 0)))
    finally:
        os.close(descriptor)
    # A power of two: ctypes makes a class for each length, and never quite forgets it.
    memory = (ctypes.c_ubyte * (1 << size.bit_length())).from_address(address)
    weakref.finalize(memory, _unmap, address, size, lease).atexit = False
    return pickle.PickleBuffer(memory).raw()[:size]


def _unmap(address: int, size: int, lease: Any) -> None:
    if _c is not None:
        _c.unmap(address, size)
    del lease


def _read(path: str, at: int, size: int) -> Any:
    """A part of a file as bytes: one copy, which page faults of a mapping would make dearer."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(descriptor, size, at)
        if len(data) == size:
            return data
        with mmap.mmap(descriptor, at + size, access=mmap.ACCESS_READ) as whole:  # over 2 GiB
            return whole[at : at + size]
    finally:
        os.close(descriptor)


def _open(recipe: Recipe, lease_of: Callable[[str], Any]) -> Any:
    """The value that a recipe tells of."""
    head, buffers, spans = recipe
    sizes: dict[str, int] = {}
    for path, at, size in spans[:buffers]:
        sizes[path] = max(sizes.get(path, 0), at + size)
    memory = {path: _map(path, size, lease_of(path)) for path, size in sizes.items()}
    views = [memory[path][at : at + size] for path, at, size in spans[:buffers]]
    blobs = [_read(*span) for span in spans[buffers:]]
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
            return _identity, (self._value,)
        return restore, tuple(self._recipe)


def _identity(value: Any) -> Any:
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
        for place in folders():
            sweep(place)
            with contextlib.suppress(OSError):
                self._locks.append(_lock(_lock_path(place, self.token)))
                self.places.append(place)
        self.maker = Maker(self.token, 0, self.places)
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
        name = f"{_PREFIX}{self.token}-{maker}-"
        for place in self.places:
            for path in _paths(place, name):
                if path not in self._leases:
                    _unlink(path)
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
                keep = told is not None and self._free_bytes[maker] + size <= KEPT
                if told is not None:
                    told.append((number, keep))
                    self._free_bytes[maker] += size if keep else 0
            if not keep:
                _unlink(path)

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
            _remove(place, self.token)
        for lock in self._locks:
            os.close(lock)
        self._locks.clear()

    def _tell(self, path: str) -> None:
        if not self._warned and os.path.dirname(path) != _MEMORY:
            self._warned = True
            log.warning(
                "large values go through files in %s, which may be slower: %s is missing, too small or "
                "full",
                os.path.dirname(path),
                _MEMORY,
            )


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
        self._hold = Hold(self)
        self.loose = False
        """Whether something may be free that was needed."""

    def pack(self, dump: Callable[[Callable[[Any], bytes]], bytes]) -> tuple[bytes, Hold | None]:
        """What `dump` makes when it is given how to pickle objects, and what that needs."""
        with self._lock:
            self.tidy()
            hold = self._hold = Hold(self)
            before = getattr(_here, "shelf", None)
            _here.shelf = self
            try:
                return dump(self._dumps), hold if hold else None
            finally:
                _here.shelf = before
                self._hold = Hold(self)

    def _dumps(self, value: Any) -> bytes:
        """(args, kwargs) as bytes that a worker can load, large buffers beside them."""
        for x in value[0]:
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
        recipe, lease = _store_parts(serialization.dump_parts(shared.value), self._store.write)
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
        return _identity, (shared.value,)
    recipe = shared.place[0] if shared.place is not None else shelf.place_shared(shared)
    return restore, tuple(recipe)


copyreg.pickle(Shared, _reduce_shared)


def _store_parts(
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

    def __init__(self, told: bytes) -> None:
        self.token, number, self.places = serialization.loads(told)
        self._maker = Maker(self.token, number, self.places)
        self._told: set[str] = set()

    def keep(self, parts: Parts) -> Recipe:
        """Write a value that was taken apart.

        Raises:
            OSError: there is no room anywhere.
        """
        return _store_parts(parts, self._maker.write)[0]

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
                sweep(place, self.token)
                if not os.path.exists(_lock_path(place, self.token)):
                    break
                time.sleep(0.002)


# ---- Litter.


def _lock_path(place: str, token: str) -> str:
    return os.path.join(place, f"{_PREFIX}{token}.lock")


def _lock(path: str) -> int:
    """A descriptor that holds the lock of a new file."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except FileNotFoundError:  # swept up before it was locked
            pass
        except BlockingIOError:  # somebody looks whether it is litter
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _paths(place: str, prefix: str) -> list[str]:
    try:
        return [os.path.join(place, name) for name in os.listdir(place) if name.startswith(prefix)]
    except OSError:
        return []


def _remove(place: str, token: str) -> None:
    for path in _paths(place, f"{_PREFIX}{token}-"):
        _unlink(path)
    _unlink(_lock_path(place, token))


def sweep(place: str, only: str = "") -> None:
    """Remove what drivers left that are gone; of one token only, if that is given."""
    tokens = set()
    for path in _paths(place, _PREFIX + only):
        match = _NAME.fullmatch(os.path.basename(path))
        if match:
            tokens.add(match[1])
    for token in tokens:
        try:
            descriptor = os.open(_lock_path(place, token), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            _remove(place, token)  # the lock is made before all others, and goes after them
            continue
        except OSError:
            continue  # another user's
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(place, token)
        except OSError:
            pass  # its driver lives
        finally:
            os.close(descriptor)
