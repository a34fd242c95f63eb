"""What commands print, whatever stdout is: closed, full, or of few characters.

Owns: `say`, for what a command was asked for, and `OutputError`, that it could not be said; and
`fill_streams`, which lets the rest of the program rely on stdin, stdout and stderr.

May not know: commands. Its neighbour is `cli`, which turns the error into a message and an exit status.
"""

from __future__ import annotations

import os
import sys


class OutputError(OSError):
    """Stdout can't be written to, for another reason than that its reader has gone."""


def say(text: str) -> None:
    """Write to stdout, now. What its encoding can't say stands there as backslashes.

    Raises:
        OutputError: it can't be written, as on a full disk.
        BrokenPipeError: its reader has gone.
    """
    stream = sys.stdout
    try:
        if not sayable(text):
            encoding = stream.encoding or "ascii"
            text = text.encode(encoding, "backslashreplace").decode(encoding)
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(error.errno, error.strerror) from None


def sayable(text: str) -> bool:
    """Whether stdout has all characters of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def fill_streams() -> None:
    """Put the null device where the shell has closed a descriptor (`>&-`). What else is opened would get
    its number, and `print(…, file=None)` writes to stdout."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def silence() -> None:
    """Nothing more can be said: without this Python complains at exit of what it still holds."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
