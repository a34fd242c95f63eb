"""A trace in a notebook: a small table and a timeline.

Owns: `html`, text without scripts, small however many tasks there are: the timeline has a lane for each
worker, divided into `COLUMNS` parts of the time, in the colour of what took most of each.

May not know: notebooks, and how else a trace is drawn. Its neighbour is `trace`.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Sequence
from html import escape

from flowy.trace import analysis
from flowy.trace.graph import shorten, show_seconds
from flowy.trace.record import Columns

COLUMNS = 300
LANES = 16
"""So many workers are drawn; more are told of."""
ROWS = 12
"""So many names are in the table; the others are one row."""
_WIDTH, _HEIGHT = 900, 14
_CELL = "text-align:right;padding:0 .8em 0 0"
HEAD = ("", "tasks", "mean", "p95", "in all", "failed", "retries")


def html(c: Columns, title: str, workers: int) -> str:
    """Escaped HTML with an SVG in it. `workers`: how many there were, 0: as many as are known."""
    parts = [f"<div><b>{escape(title)}</b></div>", _table(c)]
    path = analysis.critical_path(c)
    if path.tasks:
        names = ", ".join(f"{shorten(n)} {show_seconds(s)}" for n, s in list(path.by_name.items())[:5])
        parts.append(f"<div>critical path: {escape(show_seconds(path.seconds))}: {escape(names)}</div>")
    return f"<div>{''.join(parts)}{timeline(c, workers)}</div>"


def _table(c: Columns) -> str:
    rows: list[tuple[str, ...]] = [
        (
            shorten(row.name),
            f"{row.tasks:,}",
            show_seconds(row.mean),
            show_seconds(row.p95),
            show_seconds(row.total),
            f"{row.failures:,}" if row.failures else "",
            f"{row.retries:,}" if row.retries else "",
        )
        for row in analysis.summary(c)
    ]
    if len(rows) > ROWS:
        rows = [*rows[: ROWS - 1], (f"… and {len(rows) - ROWS + 1:,} more names", *[""] * 6)]
    return table(HEAD, rows, [colour(row[0]) for row in rows])


def table(head: Sequence[str], rows: Sequence[Sequence[str]], colours: Sequence[str] = ()) -> str:
    """A table whose first column is text, with a mark of its colour where there are some."""
    top = "".join(f"<th style='{_CELL}'>{escape(word)}</th>" for word in head)
    body = []
    for i, (first, *rest) in enumerate(rows):
        mark = f"<span style='color:{colours[i]}'>&#9632;</span> " if colours else ""
        cells = f"<td style='text-align:left;padding:0 .8em 0 0'>{mark}{escape(first)}</td>"
        cells += "".join(f"<td style='{_CELL}'>{escape(x)}</td>" for x in rest)
        body.append(f"<tr>{cells}</tr>")
    return f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def colour(name: str) -> str:
    """The same for the same name, in each run."""
    return f"hsl({zlib.crc32(name.encode(errors='replace')) % 360},55%,55%)"


def timeline(c: Columns, size: int) -> str:
    """Lanes of workers as SVG; nothing if no times are known."""
    began, ended = analysis.span(c)
    took = ended - began
    if not took > 0:
        return ""
    busy = _busy(c, began, took)
    workers = sorted(busy)[:LANES]
    height = _HEIGHT * len(workers) + 16
    drawn = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {height}' width='{_WIDTH}' "
        f"style='max-width:100%' role='img' font-size='10' font-family='sans-serif' fill='currentColor'>"
    ]
    for lane, worker in enumerate(workers):
        drawn += _lane(c, busy[worker], lane * _HEIGHT, took)
    more = f" · {len(busy) - LANES:,} more workers" if len(busy) > LANES else ""
    some = f" of {size:,}" if size > len(busy) else ""
    words = f"{len(workers):,}{some} worker{'' if max(size, len(workers)) == 1 else 's'}{more}"
    y = height - 4
    drawn.append(f"<text x='0' y='{y}'>{words}</text>")
    end = escape(show_seconds(took))
    drawn.append(f"<text x='{_WIDTH}' y='{y}' text-anchor='end'>{end}</text></svg>")
    return "".join(drawn)


def _busy(c: Columns, began: float, took: float) -> dict[int, list[dict[int, float]]]:
    """By worker, for each part of the time: how much of it each name has, as a share."""
    made: dict[int, list[dict[int, float]]] = {}
    scale = COLUMNS / took
    for row in range(len(c)):
        worker = c.worker[row]
        low, high = (c.started[row] - began) * scale, (c.ended[row] - began) * scale
        if not worker or not high >= low:
            continue
        parts = made.get(worker)
        if parts is None:
            parts = made[worker] = [defaultdict(float) for _ in range(COLUMNS)]
        name = c.name[row]
        for i in range(max(0, int(low)), min(COLUMNS - 1, int(high)) + 1):
            share = min(high, i + 1) - max(low, i)
            if share > 0 or low == high:
                parts[i][name] += share
    return made


def _lane(c: Columns, parts: list[dict[int, float]], y: int, took: float) -> list[str]:
    """Neighbouring parts of the same name and about the same share are one bar."""
    bars: list[tuple[int, int, int, float]] = []
    for i, shares in enumerate(parts):
        if not shares:
            continue
        name = max(shares, key=lambda n: shares[n])
        full = min(1.0, round(4 * sum(shares.values()) + 0.5) / 4)
        if bars and bars[-1][1] == i and bars[-1][2:] == (name, full):
            bars[-1] = (bars[-1][0], i + 1, name, full)
        else:
            bars.append((i, i + 1, name, full))
    unit = _WIDTH / COLUMNS
    drawn = []
    for low, high, name, full in bars:
        called, tall = shorten(c.names[name]), full * (_HEIGHT - 2)
        drawn.append(
            f"<rect x='{low * unit:g}' y='{y + _HEIGHT - 2 - tall:g}' width='{(high - low) * unit:g}' "
            f"height='{tall:g}' fill='{colour(called)}'><title>{escape(called)}, from "
            f"{escape(show_seconds(low * took / COLUMNS))}</title></rect>"
        )
    return drawn
