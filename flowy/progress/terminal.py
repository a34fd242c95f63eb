"""Progress at the foot of a terminal.

Owns: `Screen`, which keeps the last lines of a terminal for itself: everything that anybody else
writes, worker processes and C code too, scrolls above them (the margins of the VT100, DECSTBM; apt
does the same). To move the cursor up over what was drawn, as most do, was rejected: it wipes out what
others have written meanwhile. And `Terminal`, which draws there, by rich where that is installed.

May not know: runs. Neighbours: `text`, which has the plain form, and `reporter`, which calls.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from typing import TextIO, TypeAlias

from flowy.progress import text
from flowy.progress.counts import Snapshot

Painter: TypeAlias = Callable[[Snapshot, int], list[str]]

LEAST_ROWS = 8
"""A terminal with fewer rows gets log lines instead."""
_SAVE, _RESTORE = "\x1b7", "\x1b8"
_DOWN = "\x1bD"  # scrolls at the last line, and leaves the column as it is
_PLAIN_SIGNS = str.maketrans("━·…", "#..")
_STYLES = {
    "head": "dim",
    "foot": "dim",
    "running": "cyan",
    "failed": "red",
    "rate": "green",
    "left": "magenta",
    "begun": "cyan",
    "full": "green",
    "empty": "bright_black",
}
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"


class Screen:
    """The last lines of the terminal behind a descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._layout: tuple[int, int, int] | None = None
        """Columns, rows, and how many of them are ours; None while none is."""

    def size(self) -> tuple[int, int]:
        """(columns, rows)."""
        size = os.get_terminal_size(self._descriptor)
        return size.columns or 80, size.lines or 24

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, which hold no commands but colours."""
        columns, rows = self.size()
        most = max(1, rows // 2)
        if len(lines) > most:
            left = f"… and {len(lines) - most + 1:,} more"
            lines = [*lines[: most - 2], left, lines[-1]] if most > 2 else [lines[-1]]
        layout = columns, rows, len(lines)
        commands = ""
        if layout != self._layout:
            commands += self._closing() + self._opening(layout)
            self._layout = layout
        commands += _SAVE + _NO_WRAP
        for row, line in enumerate(lines, rows - len(lines) + 1):
            commands += f"\x1b[{row};1H{line}\x1b[0m\x1b[K"
        self._write(commands + _WRAP + _RESTORE)

    def clear(self) -> None:
        """Give the lines back, empty."""
        if self._layout is not None:
            commands, self._layout = self._closing(), None
            self._write(commands)

    def _opening(self, layout: tuple[int, int, int]) -> str:
        _, rows, ours = layout
        room = _DOWN * ours + f"\x1b[{ours}A"  # the cursor's line may have to go up
        return f"{room}{_SAVE}\x1b[1;{rows - ours}r{_RESTORE}"

    def _closing(self) -> str:
        if self._layout is None:
            return ""
        _, rows, ours = self._layout
        return f"{_SAVE}\x1b[r\x1b[{rows - ours + 1};1H\x1b[J{_RESTORE}"

    def _write(self, commands: str) -> None:
        data = commands.encode(errors="replace")
        while data:  # as one piece wherever the terminal takes it
            data = data[os.write(self._descriptor, data) :]


class Terminal:
    """Draws snapshots at the foot of the terminal, and leaves the last one as text."""

    first, least = 0.5, 0.4
    _taken = threading.Lock()
    """There is one foot of a terminal: who comes second gets log lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._screen = Screen(stream.fileno())
        self._paint: Painter | None = None
        """Made for the first picture: many runs end before that."""

    @classmethod
    def take(cls, stream: TextIO) -> Terminal | None:
        """The foot of the terminal behind a stream; None where there is none to be had."""
        try:
            fits = stream.isatty() and os.get_terminal_size(stream.fileno()).lines >= LEAST_ROWS
        except (OSError, ValueError, AttributeError):
            return None
        if (
            not fits
            or os.environ.get("TERM", "") in ("", "dumb", "unknown")
            or not cls._taken.acquire(False)
        ):
            return None
        with contextlib.suppress(ImportError):
            import rich.console  # slow, once; the workers are starting meanwhile
            import rich.style  # noqa: F401
        return cls(stream)

    @property
    def ends(self) -> bool:
        return self._paint is not None

    def draw(self, snapshot: Snapshot) -> None:
        if self._paint is None:
            self._paint = painter(self._stream)
        self._screen.draw(self._paint(snapshot, self._screen.size()[0] - 1))

    def end(self, snapshot: Snapshot | None) -> None:
        """Leave what is there now as text that scrolls on; None: leave nothing."""
        try:
            if self._paint is not None:
                self._screen.clear()
                if snapshot is not None:
                    lines = self._paint(snapshot, self._screen.size()[0] - 1)
                    self._stream.write("".join(f"{line}\n" for line in lines))
                    self._stream.flush()
        finally:
            self._taken.release()


def painter(stream: TextIO) -> Painter:
    """How lines of a width are made of a snapshot: in colours if rich is there."""
    encoding = (getattr(stream, "encoding", None) or "ascii").lower()
    if encoding.replace("-", "") != "utf8":
        return _paint_ascii
    try:
        return _make_rich_painter(stream)
    except ImportError:
        return text.table


def _paint_ascii(snapshot: Snapshot, width: int) -> list[str]:
    """For terminals that show no more."""
    made = [line.translate(_PLAIN_SIGNS) for line in text.table(snapshot, width)]
    return [line.encode("ascii", "replace").decode() for line in made]


def _make_rich_painter(stream: TextIO) -> Painter:
    """Rich tells which colours the terminal has. The table is not laid out by it: that took some
    milliseconds a frame, fifty times as long as this, and progress is to cost nothing."""
    from rich.console import Console
    from rich.style import Style

    console = Console(file=stream)
    colours = console._color_system
    if colours is None or console.no_color:
        return text.table
    codes: dict[str, tuple[str, str]] = {}
    for what, style in _STYLES.items():
        before, _, after = Style.parse(style).render("\0", color_system=colours).partition("\0")
        codes[what] = before, after

    def paint(what: str, cell: str) -> str:
        before, after = codes.get(what, ("", ""))
        return f"{before}{cell}{after}" if cell.strip() else cell

    def draw_bar(part: float, size: int) -> str:
        full = int(part * size)
        return paint("full" if part >= 1 else "begun", "━" * full) + paint("empty", "━" * (size - full))

    return lambda snapshot, width: text.table(snapshot, width, paint, draw_bar)
