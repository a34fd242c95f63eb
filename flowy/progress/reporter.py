"""Shows progress from a thread of its own, as seldom as keeps it cheap.

Owns: `reporting`, the choice of a display and the thread's life: it looks and draws, and rests so long
after that that it takes at most a part of `SHARE` of the time. A run that ends before the first picture
pays for a thread, and for nothing that could have been shown.

May not know: runs (it is given a function to look with). Neighbours: the displays in `terminal` and
`others`, and the local engine, which calls.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias

from flowy.errors import UsageError
from flowy.progress.counts import Snapshot
from flowy.progress.others import Calls, LogLines, Notebook, in_notebook
from flowy.progress.terminal import Terminal

log = logging.getLogger("flowy")

Choice: TypeAlias = "bool | Callable[[Snapshot], Any]"

SHARE = 200
"""Each look is followed by a rest that is so many times as long: it costs a part of this of a CPU."""


class Display(Protocol):
    """Where snapshots are shown."""

    first: float
    """Seconds until the first."""
    least: float
    """Seconds between two, at least."""

    @property
    def ends(self) -> bool:
        """Whether it has something to show at the end: where nothing was drawn, some have not."""

    def draw(self, snapshot: Snapshot) -> Any:
        """Show it in place of the one before."""

    def end(self, snapshot: Snapshot | None) -> None:
        """Show the last; None: it is not known."""


def check_choice(choice: Any) -> None:
    """Raises `UsageError` if `_progress` can't be this."""
    if not isinstance(choice, bool) and not callable(choice):
        raise UsageError(
            f"_progress is True, or a function that is called with snapshots, not {choice!r}"
        )


def choose(choice: Choice) -> Display:
    """What fits to where this program runs."""
    if not isinstance(choice, bool):
        return Calls(choice)
    if in_notebook():
        return Notebook()
    stream = sys.stderr
    if stream is None:  # as under pythonw
        return Calls(lambda snapshot: None)
    return Terminal.take(stream) or LogLines(stream)


@contextlib.contextmanager
def reporting(choice: Choice, look: Callable[[], Snapshot]) -> Iterator[None]:
    """While this lasts, what `look` gives is shown; at the end the last of it, on errors too.

    `look` is called from another thread, and at the end from this one.
    """
    if not choice:
        yield
        return
    reporter = _Reporter(choose(choice), look)
    reporter.start()
    try:
        yield
    finally:
        reporter.stop()


class _Reporter:
    def __init__(self, display: Display, look: Callable[[], Snapshot]) -> None:
        self._display = display
        self._look = look
        self._over = threading.Event()
        self._broken = False
        self._thread = threading.Thread(target=self._work, name="flowy-progress", daemon=True)

    def start(self) -> None:
        try:
            self._thread.start()
        except BaseException:
            self._display.end(None)
            raise

    def stop(self) -> None:
        self._over.set()
        self._thread.join()
        self._last: Snapshot | None = None
        if not self._broken and self._display.ends:
            self._try(self._look_last)
        self._try(lambda: self._display.end(self._last))

    def _look_last(self) -> None:
        self._last = self._look()

    def _work(self) -> None:
        """The first look, at half of the way, shows nothing: what is used can be told from two on."""
        rest = self._display.first / 2
        if self._over.wait(rest):
            return
        self._try(self._look)
        while not self._broken and not self._over.wait(rest):
            began = time.thread_time()
            self._try(lambda: self._display.draw(self._look()))
            rest = max(self._display.least, SHARE * (time.thread_time() - began))

    def _try(self, show: Callable[[], Any]) -> None:
        """A run must not fail for what is only shown of it."""
        try:
            show()
        except Exception as error:
            if not self._broken:
                self._broken = True
                log.warning("progress is shown no more: %s: %s", type(error).__name__, error)
