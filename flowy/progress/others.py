"""Progress where there is no terminal: log lines, notebooks, functions.

Owns: one class for each, with the same face as `terminal.Terminal`.

May not know: runs. Neighbours: `text`, which has the words, and `reporter`, which calls.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, TextIO

from flowy.progress import text
from flowy.progress.counts import Snapshot

log = logging.getLogger("flowy.progress")
LOG_EVERY = 10.0
"""Seconds between log lines at first; it doubles with each,"""
LOG_AT_LEAST_EVERY = 120.0
"""up to this."""


class LogLines:
    """A line now and then: to the log if that lets `flowy.progress` through, else to a stream."""

    ends = True

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.first = self.least = LOG_EVERY

    def draw(self, snapshot: Snapshot) -> None:
        self.least = min(2 * self.least, LOG_AT_LEAST_EVERY)
        self._say(text.line(snapshot))

    def end(self, snapshot: Snapshot | None) -> None:
        if snapshot is not None:
            self._say(text.line(snapshot))

    def _say(self, words: str) -> None:
        if log.isEnabledFor(logging.INFO) and log.hasHandlers():
            log.info("%s", words)
            return
        self._stream.write(f"flowy: {words}\n")
        self._stream.flush()


class Notebook:
    """A table under the cell, which changes in place."""

    first, least = 0.3, 0.5

    def __init__(self) -> None:
        self._handle: Any = None

    @property
    def ends(self) -> bool:
        return self._handle is not None

    def draw(self, snapshot: Snapshot) -> None:
        from IPython.display import HTML, display

        if self._handle is None:
            self._handle = display(HTML(text.html(snapshot)), display_id=True)
        else:
            self._handle.update(HTML(text.html(snapshot)))

    def end(self, snapshot: Snapshot | None) -> None:
        if snapshot is not None and self._handle is not None:
            self.draw(snapshot)


def in_notebook() -> bool:
    """Whether this program is the kernel of a notebook. IPython is never imported for it."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and getattr(shell, "kernel", None) is not None


class Calls:
    """Snapshots for a function of the user's; the last one too, however short the run."""

    first, least, ends = 0.2, 0.2, True

    def __init__(self, function: Callable[[Snapshot], Any]) -> None:
        self.draw = function

    def end(self, snapshot: Snapshot | None) -> None:
        if snapshot is not None:
            self.draw(snapshot)
