"""How many CPUs this process may use.

Owns: the default number of workers. Counts what the kernel lets this process have (affinity mask,
cgroup quota), not what the machine has.

May not know: workers, pools.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def available() -> int:
    """CPUs that this process may use, at least 1.

    The affinity mask, further limited by the CPU quota of its cgroup and of those above it (files
    `cpu.max` of cgroup v2, `cpu.cfs_quota_us` of v1, see the kernel's admin guide on cgroups).
    """
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cpus = os.cpu_count() or 1
    quota = _quota()
    return max(1, cpus if quota is None else min(cpus, math.ceil(quota)))


def _quota() -> float | None:
    """The tightest CPU quota over this process, in CPUs; None if there is none."""
    quotas = []
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = _CGROUP if not controllers else _CGROUP / "cpu"
        place = root / path.lstrip("/")
        for folder in (place, *place.parents):
            quotas.append(_quota_of(folder))
            if folder == root:
                break
    found = [quota for quota in quotas if quota is not None]
    return min(found) if found else None


def _quota_of(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota in {"max", "-1"}:
        return None
    return int(quota) / int(period)
