"""A trace in the language of Graphviz, as flowy has always drawn it.

Owns: `dot`. Activities are round, sub-workflows boxed, with their own tasks in a frame; results stand on
the arrows; what failed is red, what was tried again orange; levels are in the order of time.

May not know: whether Graphviz is there. Neighbours: `graph`, which has what is drawn, and the engine's
`pictures`, which calls Graphviz.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from flowy.trace.graph import MOST, Box, Drawing, draw
from flowy.trace.trace import Trace

_SHAPES = {
    "activity": "ellipse",
    "workflow": "box",
    "timer": "diamond",
    "signal": "cds",
    "reduce": "point",
}


def quote(text: str) -> str:
    r"""A string of DOT. Only quotes and backslashes mean something in one.

    >>> print(quote('say "no" \\N'))
    "say \"no\" \\N"
    """
    text = "".join(x if x.isprintable() else "\ufffd" for x in text)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _label(lines: list[str]) -> str:
    return '"' + "\\n".join(quote(line)[1:-1] for line in lines) + '"'


def dot(trace: Trace, *, most: int = MOST) -> str:
    """The graph of a trace as DOT text.

    Args:
        most: if it has more tasks than this, it is drawn by groups of the same name, level and parents.
    """
    drawing = draw(trace.columns, most)
    lines = [
        "digraph flowy {",
        "  graph [newrank=true, fontname=Helvetica];",
        "  node [fontname=Helvetica, fontsize=11];",
        "  edge [fontname=Helvetica, fontsize=9];",
    ]
    below = defaultdict(list)
    for frame in drawing.frames:
        below[frame.parent].append(frame.number)
    for number in below[-1]:
        lines += _frame(drawing, below, number, "  ")
    lines += _levels(drawing)
    lines += _arrows(drawing)
    return "\n".join([*lines, "}"]) + "\n"


def _frame(drawing: Drawing, below: dict[int, list[int]], root: int, indent: str) -> Iterator[str]:
    """A run and the runs below it. Frames may nest deeper than Python calls may."""
    stack: list[tuple[int, bool]] = [(root, False)]
    boxes: dict[int, list[Box]] = defaultdict(list)
    for box in drawing.boxes:
        boxes[box.run].append(box)
    while stack:
        number, leaving = stack.pop()
        frame = drawing.frames[number]
        if leaving:
            yield f"{indent}}}"
            continue
        if frame.parent >= 0:
            count = f" × {frame.count:,}" if frame.count > 1 else ""
            yield f"{indent}subgraph cluster_{number} {{"
            yield f"{indent}  label={quote(frame.label + count)}; style=rounded; color=gray60;"
            stack.append((number, True))
        for box in boxes[number]:
            yield f"{indent}  n{box.number} [{_attributes(box)}];"
        stack += [(inner, False) for inner in reversed(below.get(number, []))]


def _attributes(box: Box) -> str:
    parts = [f"label={_label(box.lines)}", f"shape={_SHAPES[box.kind]}"]
    if box.failures:
        parts += ["color=red", "fontcolor=red"]
    elif box.retries:
        parts += ["color=orange", "fontcolor=orange3"]
    if box.open == box.count:
        parts.append("style=dashed")
    if box.count > 1:
        parts.append("peripheries=2")
    return ", ".join(parts)


def _levels(drawing: Drawing) -> Iterator[str]:
    """Boxes of one level stand side by side, and each level below the one before."""
    rows: dict[int, list[Box]] = defaultdict(list)
    for box in drawing.boxes:
        rows[box.level].append(box)
    before: Box | None = None
    for level in sorted(rows):
        names = "; ".join(f"n{box.number}" for box in rows[level])
        yield f"  {{ rank=same; {names}; }}"
        if before is not None:
            yield f"  n{before.number} -> n{rows[level][0].number} [style=invis];"
        before = rows[level][0]


def _arrows(drawing: Drawing) -> Iterator[str]:
    for (source, target), count in drawing.arrows.items():
        box = drawing.boxes[source]
        parts = []
        if count > 1:
            parts.append(f"label={quote(f'{count:,}')}")
        elif box.value and not drawing.grouped:
            parts.append(f"label={quote(box.value)}")
        if box.failures and box.failures == box.count:
            parts.append("color=red")
        yield f"  n{source} -> n{target}" + (f" [{', '.join(parts)}];" if parts else ";")
    for frame in drawing.frames:
        if frame.box >= 0:
            first = next((box.number for box in drawing.boxes if box.run == frame.number), None)
            if first is not None:
                yield f"  n{frame.box} -> n{first} [style=dotted, arrowhead=none, color=gray60];"
