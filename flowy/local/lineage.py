"""A process and all that came of it, ended together.

Owns: who that is, also where a child leads a session or a process group of its own (`setsid`,
`start_new_session=True`). Each is stopped before its children are listed, so that nobody is born
meanwhile; a parent that is stopped waits for nobody, so no number is given to another process.

May not know: why it must end. Its neighbour is `process`. Linux only: elsewhere nobody tells who a
process has started, and its process group has to do.
"""

from __future__ import annotations

import contextlib
import os
import signal


def end(pid: int) -> None:
    """Kill a process of ours that is not waited for yet, its process group, and all its descendants."""
    family = [pid]
    for member in family:
        _signal(member, signal.SIGSTOP)
        family += _children(member)
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it may lead no group yet
        os.killpg(pid, signal.SIGKILL)
    for member in family:
        _signal(member, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it may have become another user's
        os.kill(pid, number)


def _children(pid: int) -> list[int]:
    """Each thread of a process has its own list of those that it started (proc(5))."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    return found
