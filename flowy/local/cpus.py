"""How many CPUs this process may use.

Owns: the default number of workers, and how many threads each may start inside libraries. Counts what
the kernel lets this process have (affinity mask, cgroup quota), not what the machine has.

May not know: workers, pools.
"""

from __future__ import annotations

import math
import os

_CGROUP = "/sys/fs/cgroup"

_OMP = "OMP_NUM_THREADS"
_AS_OMP = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Where these are not set, their libraries do what `OMP_NUM_THREADS` says."""
_OTHERS = ("VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS", "RAYON_NUM_THREADS")


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


def limit_threads(most: int) -> None:
    """Let libraries that are loaded from now on start so many threads, unless the user said how many.

    By the variables that they read when they are loaded; processes that are started here inherit them.
    """
    names = [_OMP, *_AS_OMP] if _OMP not in os.environ else []
    for name in (*names, *_OTHERS):
        os.environ.setdefault(name, str(most))


def _quota() -> float | None:
    """The tightest CPU quota over this process, in CPUs; None if there is none."""
    quotas = []
    try:
        lines = _read("/proc/self/cgroup").splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = _CGROUP if not controllers else f"{_CGROUP}/cpu"
        folder = path.strip("/")
        while True:
            quotas.append(_quota_of(f"{root}/{folder}"))
            if not folder:
                break
            folder = os.path.dirname(folder)
    found = [quota for quota in quotas if quota is not None]
    return min(found) if found else None


def _quota_of(folder: str) -> float | None:
    try:
        quota, period = _read(f"{folder}/cpu.max").split()
    except (OSError, ValueError):
        try:
            quota = _read(f"{folder}/cpu.cfs_quota_us").strip()
            period = _read(f"{folder}/cpu.cfs_period_us").strip()
        except OSError:
            return None
    if quota in {"max", "-1"}:
        return None
    return int(quota) / int(period)


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()
