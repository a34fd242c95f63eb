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
_SAID = "; its last words on stderr:\n"
_USUALLY = {
    "SIGKILL": " (usually the kernel's out-of-memory killer, or somebody's kill -9)",
    "SIGSEGV": " (usually a bug in a C extension, or too deep a recursion in C)",
    "SIGABRT": " (usually a failed assertion in a C library)",
    "SIGBUS": " (usually a file that shrank under a memory map, or a full /dev/shm)",
    "SIGTERM": " (somebody asked it to stop)",
}


def tell_death(worker: Worker) -> Trouble:
    """What is known of a worker's end, its last words at the end."""
    message = f"its worker (pid {worker.pid}) {how_ended(worker.status)}"
    if worker.peak:
        message += f"; it had used up to {show_bytes(worker.peak)} of memory"
    words = worker.last_words.strip()
    if words:
        message += _SAID + "\n".join(f"    {line}" for line in words.splitlines())
    return Trouble(message, kind="worker died")


def how_ended(status: int | None) -> str:
    """How a process with this exit status (negative: a signal) ended, and what that usually means."""
    if status is None:
        return "left no exit status"
    if status >= 0:
        return f"exited with code {status} (os._exit or sys.exit in the activity, or a fatal error)"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was killed by {name}{_USUALLY.get(name, '')}"


def amend(message: str, more: str) -> str:
    """Say more of a death, before the last words."""
    what, said, words = message.partition(_SAID)
    return f"{what}; {more}{said}{words}"


def tell_deaths(trouble: Trouble, times: int) -> Trouble:
    """The last of several deaths that one task was there at."""
    return trouble._replace(message=amend(trouble.message, f"{times} workers died so of this task"))


def show_call(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """The arguments of a call, shortened.

    >>> show_call((list(range(1000)), "x"), {"n": 3})
    "([0, 1, 2, 3, 4, 5, ...], 'x', n=3)"
    """
    shown = [reprlib.repr(arg) for arg in args[:_SHOWN]]
    shown += [f"{name}={reprlib.repr(value)}" for name, value in list(kwargs.items())[:_SHOWN]]
    if len(args) > _SHOWN or len(kwargs) > _SHOWN:
        shown.append("…")
    return f"({', '.join(shown)})"
