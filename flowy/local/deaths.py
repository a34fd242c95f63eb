"""How a worker ended, in words.

Owns: what is said of a task whose worker died: how, what that usually means, how much memory it used.

May not know: pools, messages. Its neighbour is `pool`.
"""

from __future__ import annotations

import reprlib
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from flowy.local.batch import Trouble
from flowy.local.memory import show_bytes
from flowy.local.process import Worker

CANCELLED = Trouble("by the workflow", kind="cancelled")
_SHOWN = 5
_USUALLY = {
    "SIGKILL": " (usually the kernel's out-of-memory killer, or somebody's kill -9)",
    "SIGSEGV": " (usually a bug in a C extension, or too deep a recursion in C)",
    "SIGABRT": " (usually a failed assertion in a C library)",
    "SIGBUS": " (usually a file that shrank under a memory map, or a full /dev/shm)",
    "SIGTERM": " (somebody asked it to stop)",
}


def tell_death(worker: Worker) -> Trouble:
    """What is known of a worker's end, and what it usually means."""
    status = worker.status
    if status is None:
        how = "left no exit status"
    elif status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        how = f"was killed by {name}{_USUALLY.get(name, '')}"
    else:
        how = f"exited with code {status} (os._exit or sys.exit in the activity, or a fatal error)"
    memory = f"; it had used up to {show_bytes(worker.peak)} of memory" if worker.peak else ""
    return Trouble(f"its worker (pid {worker.pid}) {how}{memory}", kind="worker died")


def tell_deaths(trouble: Trouble, times: int) -> Trouble:
    """The last of several deaths that one task was there at."""
    return trouble._replace(message=f"{trouble.message}; {times} workers died so of this task")


def show_call(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The arguments of a call, shortened.

    >>> show_call(("x" * 1000, [1, 2]), {"n": 3})
    "('xxxxxxxxxxxxx...xxxxxxxxxxxxxx', [1, 2], n=3)"
    """
    shown = [reprlib.repr(arg) for arg in args[:_SHOWN]]
    shown += [f"{name}={reprlib.repr(value)}" for name, value in list(kwargs.items())[:_SHOWN]]
    if len(args) > _SHOWN or len(kwargs) > _SHOWN:
        shown.append("…")
    return f"({', '.join(shown)})"
