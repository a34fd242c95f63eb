"""What an activity may say to whoever runs it: that it is alive, and how far it is.

Owns: `heartbeat`, `last_heartbeat`, and the place where an engine puts what answers them.

May not know: engines. Its neighbours are the loops that run activities, which set `host` around them.
"""

from __future__ import annotations

import threading
from typing import Any, Protocol

from flowy.errors import CancelRequested


class Host(Protocol):
    """Who runs an activity."""

    def beat(self, details: Any) -> None:
        """The running call is alive; raises what `heartbeat` raises."""

    def last(self) -> Any:
        """The details of the last heartbeat of the attempt before."""


class _Here(threading.local):
    host: Host | None = None


_here = _Here()
_process: Host | None = None


def heartbeat(details: Any = None) -> None:
    """Tell that this activity is alive; call it now and then where a task may take long.

    Args:
        details: how far it is: anything small that can be pickled. The last ones come with the error of
            a time-out (`TaskTimedout.details`) and to the next attempt (`last_heartbeat`).

    Raises:
        CancelRequested: the task was cancelled. Clean up and let it through; soon after, the worker is
            killed.
        Exception: the details can't be pickled.

    Costs about a microsecond without details. Does nothing where no engine runs the activity.
    """
    host = _here.host or _process
    if host is not None:
        host.beat(details)


def last_heartbeat() -> Any:
    """The details of the last heartbeat of the attempt before this one; None if there were none.

    An activity that wrote down how far it was goes on from there:

    >>> def copy(files):
    ...     for i in range(last_heartbeat() or 0, len(files)):
    ...         heartbeat(i)
    """
    host = _here.host or _process
    return None if host is None else host.last()


def set_host(host: Host | None, *, whole_process: bool = False) -> None:
    """What answers the activities of this thread; or of all threads, where a process runs one only."""
    global _process
    if whole_process:
        _process = host
    else:
        _here.host = host


def cancelled() -> CancelRequested:
    """What `heartbeat` raises in a cancelled task."""
    return CancelRequested("this task was cancelled: clean up and let this through")
