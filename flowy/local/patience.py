"""Code of the user's that may hang, on a thread of its own: whoever waits for it can stop waiting.

Owns: `within`. What hangs may be a loop, a lock or a sleep in a method such as `__reduce__`. Python
can't end a thread, so it is left behind, with an exception that ends it as soon as it goes on.

May not know: what the work is. Its neighbour is `mailbox`: arguments are pickled this way if their
activity has a time limit.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any


class Overdue(Exception):
    """It was not done in time."""


class LeftBehind(BaseException):
    """Ends work that nobody waits for any more."""


def within(seconds: float, work: Callable[[], Any]) -> None:
    """Do `work`, for at most so many seconds.

    Raises:
        Overdue: it was not done in time; it is left behind.
        BaseException: what it raised.
    """
    raised: list[BaseException] = []

    def do() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(do,), name="flowy-patience", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        _end(thread)
        raise Overdue
    if raised:
        try:
            raise raised[0]
        finally:
            del raised[:]  # a traceback that holds its own exception is a cycle


def _end(thread: threading.Thread) -> None:
    import ctypes  # here, because `import flowy` should be quick

    ident = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(LeftBehind))
