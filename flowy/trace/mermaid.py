"""A trace in the language of Mermaid, which GitHub and many wikis draw.

Owns: `mermaid`. The same picture as `dot`, as far as Mermaid can.

May not know: engines. Its neighbour is `graph`, which has what is drawn.
"""

from __future__ import annotations

from collections import defaultdict

from flowy.trace.graph import MOST, Box, Drawing, draw
from flowy.trace.trace import Trace

_SHAPES = {
    "activity": ("([", "])"),
    "workflow": ("[", "]"),
    "timer": ("{{", "}}"),
    "signal": (">", "]"),
    "reduce": ("((", "))"),
}


def quote(text: str) -> str:
    """A string of Mermaid: what is not a letter, a digit, a space or harmless is an entity.

    >>> print(quote('a "b" <i> #x;'))
    "a #34;b#34; #60;i#62; #35;x#59;"
    """
    plain = " .,-_×:…()+/='"
    made = (x if x.isalnum() or x in plain else f"#{ord(x)};" for x in text)
    return '"' + "".join(made) + '"'


def mermaid(trace: Trace, *, most: int = MOST) -> str:
    """The graph of a trace as the text of a Mermaid flowchart.

    Args:
        most: if it has more tasks than this, it is drawn by groups of the same name, level and parents.
    """
    drawing = draw(trace.columns, most)
    lines = ["flowchart TD"]
    lines += _frames(drawing)
    for (source, target), count in drawing.arrows.items():
        value = f"{count:,}" if count > 1 else "" if drawing.grouped else drawing.boxes[source].value
        arrow = f"-->|{quote(value)}|" if value else "-->"
        lines.append(f"  n{source} {arrow} n{target}")
    for frame in drawing.frames:
        if frame.box >= 0:
            lines.append(f"  n{frame.box} -.- f{frame.number}")
    failed = [f"n{box.number}" for box in drawing.boxes if box.failures]
    again = [f"n{box.number}" for box in drawing.boxes if box.retries and not box.failures]
    for name, numbers, colour in (("failed", failed, "red"), ("again", again, "orange")):
        if numbers:
            lines.append(f"  classDef {name} stroke:{colour},color:{colour}")
            lines.append(f"  class {','.join(numbers)} {name}")
    return "\n".join(lines) + "\n"


def _frames(drawing: Drawing) -> list[str]:
    boxes: dict[int, list[Box]] = defaultdict(list)
    below: dict[int, list[int]] = defaultdict(list)
    for box in drawing.boxes:
        boxes[box.run].append(box)
    for frame in drawing.frames:
        below[frame.parent].append(frame.number)
    lines = []
    stack = [(number, False) for number in reversed(below[-1])]
    while stack:
        number, leaving = stack.pop()
        frame = drawing.frames[number]
        if leaving:
            lines.append("  end")
            continue
        if frame.parent >= 0:
            count = f" × {frame.count:,}" if frame.count > 1 else ""
            lines.append(f"  subgraph f{number} [{quote(frame.label + count)}]")
            stack.append((number, True))
        for box in boxes[number]:
            before, behind = _SHAPES[box.kind]
            text = "<br/>".join(quote(line)[1:-1] for line in box.lines)
            lines.append(f'  n{box.number}{before}"{text}"{behind}')
        stack += [(inner, False) for inner in reversed(below[number])]
    return lines
