"""What is drawn of a trace: boxes on levels, and arrows.

Owns: `Drawing` and `draw`, which every form of graph is written from: a box for each task, or beyond
`MOST` tasks one for each group of the same name, level and parents.

May not know: how a form spells anything. Its neighbours are `dot` and `mermaid`.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

from flowy import _passes
from flowy.trace.record import KINDS, OUTCOMES, Columns

MOST = 500
"""So many tasks are drawn one by one; more are drawn by groups."""
_OPEN, _COMPLETED = OUTCOMES.index("open"), OUTCOMES.index("completed")
LONGEST = 40
"""Characters of a text that are shown."""


@dataclass
class Box:
    """A task, or a group of tasks."""

    number: int
    label: str
    kind: str
    level: int
    run: int
    """The number of its frame: a run, or a group of runs."""
    count: int = 1
    seconds: float = 0.0
    failures: int = 0
    retries: int = 0
    open: int = 0
    value: str = ""
    error: str = ""

    @property
    def lines(self) -> list[str]:
        """What is written in it."""
        lines = [self.label]
        if self.count > 1:
            lines[0] += f" × {self.count:,}"
        if self.seconds:
            lines.append(
                f"{show_seconds(self.seconds)} in all" if self.count > 1 else show_seconds(self.seconds)
            )
        if self.failures and self.count > 1:
            lines.append(f"{self.failures:,} failed")
        if self.retries:
            lines.append(f"{self.retries:,} retr{'y' if self.retries == 1 else 'ies'}")
        if self.error:
            lines.append(self.error)
        return lines


@dataclass
class Frame:
    """The box around the tasks of a run, or of a group of runs."""

    number: int
    label: str
    parent: int
    """The frame that it is in, -1 at the root."""
    box: int
    """The box of the task that it is, -1 at the root."""
    count: int = 1


@dataclass
class Drawing:
    boxes: list[Box] = field(default_factory=list)
    arrows: Counter[tuple[int, int]] = field(default_factory=Counter)
    """(from, to) and how many dependencies that stands for."""
    frames: list[Frame] = field(default_factory=list)
    grouped: bool = False
    box_of: array[int] = field(default_factory=lambda: array("i"))
    """For each task the number of its box."""


def show_seconds(seconds: float) -> str:
    """
    >>> [show_seconds(x) for x in (0.0000123, 0.0123, 1.5, 90, 7200)]
    ['12.3 µs', '12.3 ms', '1.5 s', '90 s', '2 h']
    """
    for unit, size in (("µs", 1e-6), ("ms", 1e-3)):
        if seconds < 1000 * size:
            return f"{seconds / size:.3g} {unit}"
    if seconds < 1000:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def shorten(text: str) -> str:
    """The first line of a text, no longer than is shown, with nothing in it that does not print.

    >>> shorten('a' * 100)[-3:], shorten('one' + chr(10) + 'two'), shorten(chr(27) + '[31m')
    ('aa…', 'one…', '\\ufffd[31m')
    """
    line, newline, _ = text[: LONGEST + 1].partition("\n")
    line = "".join(x if x.isprintable() else "\ufffd" for x in line)
    if len(line) > LONGEST or (newline and len(line) < LONGEST + 1):
        return line[: LONGEST - 1] + "…"
    return line


def levels(c: Columns) -> array[int]:
    """For each task the length of the longest chain of what it had to wait for: the order of time."""
    return _passes.levels(c.first, c.sources, c.after, c.run, c.parents())


def draw(c: Columns, most: int = MOST) -> Drawing:
    """The graph of a trace; by groups if it has more than `most` tasks."""
    grouped = len(c) > most
    drawing = Drawing(grouped=grouped, box_of=array("i", bytes(4 * len(c))))
    level = levels(c)
    frames: dict[object, int] = {}
    frame_of: list[int] = []

    def enter() -> None:
        _enter(c, drawing, frames, frame_of)

    def add(row: int, frame: int) -> None:
        drawing.boxes.append(_box(c, row, len(drawing.boxes), level[row], frame, grouped))

    name = c.name if grouped else array("i", range(len(c)))  # each task is a group by itself
    drawing.arrows.update(
        _passes.group(
            name, c.kind, level, c.run, c.first, c.sources, drawing.box_of, frame_of, enter, add
        )
    )
    sums = _passes.sums(
        len(drawing.boxes), drawing.box_of, c.started, c.ended, c.outcome, c.attempts, _OPEN, _COMPLETED
    )
    for box, counted in zip(drawing.boxes, sums, strict=True):
        box.count, box.seconds, box.failures, box.retries, box.open = counted
    return drawing


def _enter(c: Columns, drawing: Drawing, frames: dict[object, int], frame_of: list[int]) -> None:
    """The frame of the next run: its own, or that of its group."""
    number = len(frame_of)
    run = c.runs[number] if number < len(c.runs) else None
    box = drawing.box_of[run.parent] if run is not None and run.parent >= 0 else -1
    key: object = box if drawing.grouped else number
    frame = frames.get(key)
    if frame is None:
        frame = frames[key] = len(drawing.frames)
        above = drawing.boxes[box].run if box >= 0 else -1
        name = shorten(run.name) if run is not None else ""
        drawing.frames.append(Frame(frame, name, above, box))
    else:
        drawing.frames[frame].count += 1
    frame_of.append(frame)


def _box(c: Columns, row: int, number: int, level: int, frame: int, grouped: bool) -> Box:
    label = shorten(c.names[c.name[row]] if grouped else c.key(row))
    box = Box(number, label, KINDS[c.kind[row]], level, frame)
    if not grouped:
        box.value = shorten(c.values.get(row, ""))
        box.error = shorten(c.errors.get(row, ""))
    return box
