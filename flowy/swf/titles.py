"""What processes are called, for `ps` and `top`.

Owns: `set_title`. With the package `setproctitle`, if it is installed, all of the title shows; else on
Linux its first 15 characters, as the name of the process (prctl(2), PR_SET_NAME), and elsewhere
nothing.

May not know: what the processes do.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["set_title"]

_PR_SET_NAME = 15
_set: Any = None


def set_title(title: str) -> None:
    """Name this process; must be called in its main thread."""
    global _set
    if _set is None:
        _set = _find()
    _set(title)


def _find() -> Any:
    try:
        return importlib.import_module("setproctitle").setproctitle
    except Exception:  # not there, or of no use here: a title is no reason to fail
        return _by_prctl if sys.platform == "linux" else _not_at_all


def _by_prctl(title: str) -> None:
    import ctypes

    try:
        ctypes.CDLL(None).prctl(_PR_SET_NAME, title.encode("utf-8", "replace")[:15], 0, 0, 0)
    except (OSError, AttributeError):
        pass


def _not_at_all(title: str) -> None:
    pass
