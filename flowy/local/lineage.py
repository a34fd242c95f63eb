"""The end of a process that this one has started, and of all that came of it.

Owns: who that is, also where a child leads a session or a process group of its own (`setsid`,
`start_new_session=True`). Each is stopped before its children are listed, so that nobody is born
meanwhile; a parent that is stopped waits for nobody, so no number is given to another process. And how
a process has ended, and with how much memory.

May not know: why it must end. Neighbours: `process` and `swf.child`. Only Linux tells who a process has
started; elsewhere its process group has to do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in which `ru_maxrss` counts (getrusage(2))."""


def end(pid: int) -> None:
    """Kill a process of ours that is not waited for yet, its process group, and all its descendants."""
    family = [pid]
    for member in family:
        _signal(member, signal.SIGSTOP)
        family += _children(member)
    end_group(pid)
    for member in family:
        _signal(member, signal.SIGKILL)


def end_group(pid: int) -> None:
    """Kill the group of a process of ours that is not waited for yet: its number is nobody else's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it may lead no group yet
        os.killpg(pid, signal.SIGKILL)


def has_ended(pid: int) -> bool:
    """Whether a child has ended; it can still be waited for after that."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except (AttributeError, ChildProcessError):  # macOS before Python 3.13 has no waitid
        return False


def reap(pid: int) -> tuple[int, int] | None:
    """Exit status (negative: a signal) and most memory, in bytes, of a child that has ended.

    None: it lives. Where somebody else has waited for it, both are 0.
    """
    try:
        reaped, status, usage = os.wait4(pid, os.WNOHANG)
    except ChildProcessError:
        return 0, 0
    return (os.waitstatus_to_exitcode(status), usage.ru_maxrss * _RSS_UNIT) if reaped else None


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
