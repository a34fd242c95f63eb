"""Files in shared memory for large buffers: written, mapped, used again, swept up.

Owns: the files in /dev/shm (in the temporary folder where that is full or missing), their names, and
all that maps them. Fresh pages cost some twenty times what used ones do, so a maker keeps what comes
back to it and writes there again.

Files are named `flowy-TOKEN-MAKER-N`. The driver holds a lock on `flowy-TOKEN.lock` beside them; a lock
that can be had, or is missing, tells that the driver is gone, in whatever pid namespace it was.

May not know: what the buffers belong to, and when nobody needs a segment any more: that is `large`.
"""

from __future__ import annotations

import bisect
import contextlib
import fcntl
import mmap
import os
import pickle
import re
import sys
import threading
import weakref
from collections.abc import Sequence
from typing import Any

KEPT = 64 << 20
"""Bytes of free segments that a maker keeps for later."""
MAPPED_BELOW = 4 << 20
"""Segments up to this size stay mapped at their maker, together at most `KEPT` bytes."""
_ALIGN = 64
PREFIX = "flowy-"
MEMORY = "/dev/shm"
_NAME = r"flowy-([0-9a-f]{16})(?:\.lock|-\d+-\d+)"


def folders() -> list[str]:
    """Where segments may go, the best first."""
    found = [MEMORY] if os.access(MEMORY, os.W_OK | os.X_OK) else []
    temporary = _temporary()
    return found if temporary is None or temporary in found else [*found, temporary]


def _temporary() -> str | None:
    """The folder for temporary files, by the rules of `tempfile`, which takes long to import."""
    loaded = sys.modules.get("tempfile")
    if loaded is not None and loaded.tempdir:
        return os.fsdecode(loaded.tempdir)
    given = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    for folder in (*given, "/tmp", "/var/tmp", "/usr/tmp", os.curdir):
        if folder and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return os.path.abspath(folder)
    return None


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
        self._name = f"{PREFIX}{token}-{number}-"
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
                unlink(path)
                trouble = error
                continue
            except BaseException:
                unlink(path)
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
        unlink(segment.path)

    def close(self) -> None:
        """Let all mappings go; the files are the driver's to remove."""
        with self._lock:
            for segment in self._segments.values():
                segment.unmap()
            self._segments.clear()
            self._free.clear()
            self._places = ()  # nobody would remove what is written from now on


def _write_all(descriptor: int, part: memoryview, at: int) -> None:
    while part.nbytes:
        written = os.pwrite(descriptor, part, at)
        at += written
        part = part[written:]


def unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


# ---- Mappings.

_PRIVATE, _READ_WRITE, _READ = 2, 3, 1  # mmap(2), the same on Linux and macOS


class _C:
    """mmap(2) itself: Python's own keeps a descriptor for each mapping, of which there are too few."""

    def __init__(self) -> None:
        import ctypes  # here, because `import flowy` should be quick

        self.byte = ctypes.c_ubyte
        self.failed = ctypes.c_void_p(-1).value
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


def map_private(path: str, size: int, lease: Any) -> memoryview:
    """The first `size` bytes of a file, as memory of one's own; `lease` lives as long as they do."""
    global _c
    if _c is None:
        _c = _C()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        address = _c.map(None, size, _READ_WRITE, _PRIVATE, descriptor, 0)
        if address == _c.failed or address is None:  # too many mappings: a copy serves too
            return memoryview(bytearray(os.pread(descriptor, size, 0)))
    finally:
        os.close(descriptor)
    # A power of two: ctypes makes a class for each length, and never quite forgets it.
    memory = (_c.byte * (1 << size.bit_length())).from_address(address)
    weakref.finalize(memory, _unmap, address, size, lease).atexit = False
    return pickle.PickleBuffer(memory).raw()[:size]


def _unmap(address: int, size: int, lease: Any) -> None:
    if _c is not None:
        _c.unmap(address, size)
    del lease


def read(path: str, at: int, size: int) -> Any:
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


# ---- Litter.


def lock_path(place: str, token: str) -> str:
    return os.path.join(place, f"{PREFIX}{token}.lock")


def lock(path: str) -> int:
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


def paths(place: str, prefix: str) -> list[str]:
    try:
        return [os.path.join(place, name) for name in os.listdir(place) if name.startswith(prefix)]
    except OSError:
        return []


def remove(place: str, token: str) -> None:
    for path in paths(place, f"{PREFIX}{token}-"):
        unlink(path)
    unlink(lock_path(place, token))


def sweep(place: str, only: str = "") -> None:
    """Remove what drivers left that are gone; of one token only, if that is given."""
    tokens = set()
    for path in paths(place, PREFIX + only):
        match = re.fullmatch(_NAME, os.path.basename(path))
        if match:
            tokens.add(match[1])
    for token in tokens:
        try:
            descriptor = os.open(lock_path(place, token), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            remove(place, token)  # the lock is made before all others, and goes after them
            continue
        except OSError:
            continue  # another user's
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(place, token)
        except OSError:
            pass  # its driver lives
        finally:
            os.close(descriptor)
