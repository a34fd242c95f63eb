"""The default number of workers counts what the kernel lets this process have.

Owns: affinity and cgroup quotas, on trees of files made here.

May not know: the machine that the tests run on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from flowy.local import cpus


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`kernel(own, files)`: /proc/self/cgroup and files below /sys/fs/cgroup, 8 CPUs allowed."""
    monkeypatch.setattr(cpus, "_CGROUP", str(tmp_path))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def make(own: str, files: dict[str, str]) -> int:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        read = cpus._read
        monkeypatch.setattr(cpus, "_read", lambda p: own if p == "/proc/self/cgroup" else read(p))
        return cpus.available()

    return make


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/a/b\n", {}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000"}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "250000 100000"}, 3),
        ("0::/a/b\n", {"a/cpu.max": "100000 100000", "a/b/cpu.max": "max 100000"}, 1),
        ("0::/\n", {"cpu.max": "50000 100000"}, 1),
        (
            "4:cpu,cpuacct:/x\n",
            {"cpu/x/cpu.cfs_quota_us": "200000", "cpu/x/cpu.cfs_period_us": "100000"},
            2,
        ),
        ("4:memory:/x\n", {"cpu/x/cpu.cfs_quota_us": "200000", "cpu/x/cpu.cfs_period_us": "100000"}, 8),
        ("4:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, 8),
        ("0::/a\n", {"a/cpu.max": "1600000 100000"}, 8),
    ],
)
def test_quotas(kernel: Any, own: str, files: dict[str, str], expected: int) -> None:
    assert kernel(own, files) == expected
