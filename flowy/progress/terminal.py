"""Progress at the foot of a terminal.

Owns: `Screen`, which keeps the last lines of a terminal for itself: everything that anybody else
writes, worker processes and C code too, scrolls above them (the margins of the VT100, DECSTBM; apt
does the same). To move the cursor up over what was drawn, as most do, was rejected: it wipes out what
others have written meanwhile. And `Terminal`, which draws there, by rich where that is installed.

May not know: runs. Neighbours: `text`, which has the plain form, and `reporter`, which calls.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Sequence
from typing import TextIO

from flowy.progress import text
from flowy.progress.counts import Row, Snapshot

LEAST_ROWS = 8
"""A terminal with fewer rows gets log lines instead."""
_SAVE, _RESTORE = "\x1b7", "\x1b8"
_DOWN = "\x1bD"  # scrolls at the last line, and leaves the column as it is
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

    first, least = 0.5, 0.2
    _warm = False
    """Whether a frame was painted in this process: the first takes twice as long."""
    _taken = threading.Lock()
    """There is one foot of a terminal: who comes second gets log lines."""

    def __init__(self, stream: TextIO, paint: Callable[[Snapshot, int], list[str]]) -> None:
        self._stream = stream
        self._screen = Screen(stream.fileno())
        self._paint = paint
        self._drawn = False

    @classmethod
    def take(cls, stream: TextIO) -> Terminal | None:
        """The foot of the terminal behind a stream; None where there is none to be had."""
        try:
            fits = stream.isatty() and os.get_terminal_size(stream.fileno()).lines >= LEAST_ROWS
        except (OSError, ValueError, AttributeError):
            return None
        if not fits or os.environ.get("TERM", "dumb") == "dumb" or not cls._taken.acquire(False):
            return None
        paint = painter(stream)
        if not cls._warm:
            paint(Snapshot(0.0, (Row("", 2, 1, 0, 0),), 0), 80)
            cls._warm = True
        return cls(stream, paint)

    @property
    def ends(self) -> bool:
        return self._drawn

    def draw(self, snapshot: Snapshot) -> None:
        self._drawn = True
        self._screen.draw(self._paint(snapshot, self._screen.size()[0]))

    def end(self, snapshot: Snapshot | None) -> None:
        """Leave what is there now as text that scrolls on; None: leave nothing."""
        try:
            if self._drawn:
                self._screen.clear()
                if snapshot is not None:
                    lines = self._paint(snapshot, self._screen.size()[0])
                    self._stream.write("".join(f"{line}\n" for line in lines))
                    self._stream.flush()
        finally:
            self._taken.release()


def painter(stream: TextIO) -> Callable[[Snapshot, int], list[str]]:
    """How lines of a width are made of a snapshot: in colours if rich is there."""
    try:
        return _make_rich_painter(stream)
    except ImportError:
        encoding = (getattr(stream, "encoding", None) or "ascii").lower()
        if encoding.replace("-", "") == "utf8":
            return lambda snapshot, width: text.table(snapshot)
        return lambda snapshot, width: [
            line.replace("█", "#").replace("·", ".").encode("ascii", "replace").decode()
            for line in text.table(snapshot)
        ]


def _make_rich_painter(stream: TextIO) -> Callable[[Snapshot, int], list[str]]:
    from rich.console import Console
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    colours = Console(file=stream).color_system  # as the stream and NO_COLOR have it
    styles = ("", "", "cyan", "", "red", "green", "magenta")

    def paint(snapshot: Snapshot, width: int) -> list[str]:
        made = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        for i, (word, style) in enumerate(zip(text.HEAD, styles, strict=True)):
            made.add_column(word, style=style, justify="right" if i else "left", no_wrap=True)
            if not i:
                made.add_column("", width=text.BAR * 2 if width >= 90 else text.BAR)
        for row in snapshot.rows:
            name, *rest = text.cells(row)
            drawn = ProgressBar(
                total=max(1, row.asked),
                completed=row.done + row.failed,
                complete_style="cyan",
                finished_style="green",
            )
            made.add_row(Text(name), drawn, *map(Text, rest))
        console = Console(
            file=io.StringIO(),
            force_terminal=colours is not None,
            color_system=colours or "auto",  # type: ignore[arg-type]
            width=max(20, width - 1),
            legacy_windows=False,
        )
        console.print(made)
        console.print(Text(text.foot(snapshot), style="dim"))
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        return [line.rstrip() for line in shown.splitlines()]

    return paint
