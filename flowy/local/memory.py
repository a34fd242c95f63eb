"""How much memory a worker may use, and whether it does.

Owns: what `memory_limit=` means, and the measuring, by psutil. Above a soft limit a worker is replaced
between two tasks; above the hard one it is killed and its task fails.

May not know: messages, tasks. Its neighbour is `supervisor`, which asks now and then.
"""

from __future__ import annotations

import os
from typing import Any

from flowy.errors import UsageError
from flowy.local.batch import Trouble
from flowy.local.process import Worker

SOFT = 0.8
"""The share of its limit from which a worker is replaced between two tasks."""
EVERY = 0.1
"""Seconds between two looks at one worker."""
_LEAST = 1 << 20
_CGROUP = "/sys/fs/cgroup"


class MemoryLimit:
    """What each worker may use.

    Args:
        most: bytes.
    """

    def __init__(self, most: int) -> None:
        import psutil  # here, because `import flowy` should be quick

        self._process = psutil.Process
        self._errors: tuple[type[Exception], ...] = (psutil.Error, OSError)
        self.most = most

    def judge(self, worker: Worker, now: float) -> Trouble | None:
        """Measure a worker, if that was not done just now; what is to be said if it uses too much."""
        if now - worker.measured < EVERY:
            return None
        worker.measured = now
        try:
            used: int = self._process(worker.pid).memory_info().rss
        except self._errors:
            return None  # it has just ended
        if used > SOFT * self.most:
            worker.retiring = True
        if used <= self.most:
            return None
        what = f"its worker (pid {worker.pid}) used {show_bytes(used)} of memory, more than memory_limit"
        return Trouble(
            f"{what} ({show_bytes(self.most)}), and was killed", "", None, False, "worker died"
        )


def check_limit(limit: Any) -> None:
    """Raises `UsageError` if `limit` is neither bytes nor a share."""
    good = isinstance(limit, (int, float)) and not isinstance(limit, bool)
    if limit is None or (good and (0 < limit <= 1 or (limit >= _LEAST and int(limit) == limit))):
        return
    raise UsageError(
        f"memory_limit={limit!r}: give the bytes that each worker may use (at least 1 MB), or a share "
        "from 0 to 1 of the memory that this program may use, for all workers together"
    )


def limit_of(limit: float | None, workers: int) -> MemoryLimit | None:
    """The limit of each worker; a share is one of what this process may use, for all workers."""
    if limit is None:
        return None
    return MemoryLimit(int(limit) if limit > 1 else int(limit * available() / workers))


def available() -> int:
    """Bytes of memory that this process may use: those of the machine, or fewer by its cgroup.

    Files `memory.max` of cgroup v2 and `memory.limit_in_bytes` of v1, as in the kernel's admin guide.
    """
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for folder in _cgroups():
        for name in ("memory.max", "memory.limit_in_bytes"):
            try:
                with open(f"{folder}/{name}") as file:
                    text = file.read().strip()
            except OSError:
                continue
            if text.isdigit():
                most = min(most, int(text))
    return most


def _cgroups() -> list[str]:
    """The folders of this process's memory cgroup and of those above it."""
    try:
        with open("/proc/self/cgroup") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = f"{_CGROUP}/memory" if controllers else _CGROUP
        while True:
            folders.append(root + path.rstrip("/"))
            if path in ("/", ""):
                break
            path = os.path.dirname(path)
    return folders


def show_bytes(n: float) -> str:
    """Bytes for people: '1.5 GB'."""
    for unit in ("bytes", "kB", "MB"):
        if n < 1000:
            return f"{n:.3g} {unit}"
        n /= 1000
    return f"{n:.3g} GB"
