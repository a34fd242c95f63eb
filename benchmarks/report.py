"""What `peers` measured, as JSON, as a table in Markdown and as a plot in SVG.

Owns: the medians, how a figure is written, and the drawing, which is a few dozen lines of SVG and so
needs no plotting library.

May not know how anything was measured. Its neighbours: `peers` gives it the measurements; labels,
titles and units are those of `engines` and `shapes`.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import statistics
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.engine_types import WORKERS
from benchmarks.engines import ENGINES
from benchmarks.shapes import MICROSECONDS, PERCENT, SHAPES

Measured = dict[str, Any]
Medians = dict[str, dict[str, tuple[float, int]]]
"""Of figures, by shape and engine, with the size."""

WIDTH, LABEL, ROW, BAR = 860, 300, 18, 12


def write(path: Path, measured: list[Measured]) -> None:
    """`path` gets the JSON; table and plot go beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"machine": machine(), "versions": versions(measured), "workers": WORKERS}
    text = json.dumps({**about, "measured": measured}, indent=1, ensure_ascii=False)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    found = medians(measured)
    path.with_suffix(".md").write_text("\n".join(table(found, measured)) + "\n", encoding="utf-8")
    path.with_suffix(".svg").write_text("\n".join(plot(found)) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    cpu, memory = platform.processor(), 0
    if os.path.exists("/proc/cpuinfo"):
        if found := re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()):
            cpu = found[1]
        if found := re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text()):
            memory = int(found[1]) * 1024
    system = f"{platform.system()} {platform.release()}"
    return {"cpu": cpu, "cpus": os.cpu_count(), "memory": memory, "system": system}


def versions(measured: list[Measured]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in measured:
        found |= one.get("versions", {})
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def medians(measured: list[Measured]) -> Medians:
    figures: dict[str, dict[str, list[Measured]]] = {}
    for one in measured:
        if "figure" in one:
            figures.setdefault(one["shape"], {}).setdefault(one["engine"], []).append(one)
    return {
        shape: {
            engine: (statistics.median(one["figure"] for one in ones), ones[0]["n"])
            for engine, ones in engines.items()
        }
        for shape, engines in figures.items()
    }


def number(figure: float) -> str:
    """Three digits, as many as tell something."""
    if figure >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.{max(0, 2 - math.floor(math.log10(figure)))}f}" if figure > 0 else "0"


def size(n: int) -> str:
    for power, letter in ((6, "M"), (3, "k")):
        if n >= 10**power:
            return f"{n / 10**power:g} {letter}"
    return str(n)


# ---- The table.


def table(found: Medians, measured: list[Measured]) -> Iterator[str]:
    """A table for each unit; the size where an engine can't do the full one."""
    for unit in dict.fromkeys(SHAPES[shape].unit for shape in found):
        shapes = [shape for shape in SHAPES if shape in found and SHAPES[shape].unit == unit]
        full = {shape: max(n for _, n in found[shape].values()) for shape in shapes}
        titles = [f"{SHAPES[shape].title}, n = {size(full[shape])}" for shape in shapes]
        yield f"| {unit} | {' | '.join(titles)} |"
        yield "|---" + "|---:" * len(shapes) + "|"
        for engine in ENGINES:
            cells = [cell(found[shape].get(engine), full[shape]) for shape in shapes]
            if any(cells):
                yield f"| {ENGINES[engine].label} | {' | '.join(c or '–' for c in cells)} |"
        yield ""
    about = machine()
    count = 1 + max((one["round"] for one in measured), default=0)
    yield f"Medians of {count}, {WORKERS} workers, on {about['cpus']} CPUs ({about['cpu']}),"
    yield f"{about['memory'] / 2**30:.0f} GiB, {about['system']}. In brackets: the size, if less."
    yield ", ".join(f"{name} {number}" for name, number in versions(measured).items()) + "."
    for one in measured:
        if "failed" in one:
            reason = one["failed"].strip().splitlines()[-1:] or ["ended without a word"]
            who, what = ENGINES[one["engine"]].label, SHAPES[one["shape"]].title
            yield f"\n{who} failed at {what}: `{reason[0]}`"


def cell(found: tuple[float, int] | None, full: int) -> str:
    if found is None:
        return ""
    figure, n = found
    return number(figure) + (f" ({size(n)})" if n < full else "")


# ---- The plot.


def plot(found: Medians) -> Iterator[str]:
    """Bars, a panel for each shape, the best on top; longer is better, each step of ten as wide."""
    height = sum(ROW * (len(engines) + 2) for engines in found.values()) + ROW
    yield f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
    yield f' viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">'
    yield '<rect width="100%" height="100%" fill="#fff"/>'
    y = ROW
    for shape in (shape for shape in SHAPES if shape in found):
        yield from panel(shape, found[shape], y)
        y += ROW * (len(found[shape]) + 2)
    yield "</svg>"


def panel(shape: str, engines: dict[str, tuple[float, int]], y: int) -> Iterator[str]:
    unit = SHAPES[shape].unit
    lower = unit == MICROSECONDS
    speeds = {name: 1 / figure if lower else figure for name, (figure, _) in engines.items()}
    best, worst = max(speeds.values()), min(speeds.values())
    yield text(0, y, f"{SHAPES[shape].title}, {unit}{' (log scale)' if unit != PERCENT else ''}", "bold")
    for name in sorted(speeds, key=lambda name: -speeds[name]):
        y += ROW
        if unit == PERCENT:
            share = speeds[name] / max(100.0, best)
        else:  # the slowest has a bar too
            share = (1 + math.log10(speeds[name] / worst)) / (1 + math.log10(best / worst))
        width = share * (WIDTH - LABEL - 70)
        colour = "#c2410c" if name.startswith("flowy") else "#94a3b8"
        yield text(LABEL - 8, y, ENGINES[name].label, anchor="end")
        yield f'<rect x="{LABEL}" y="{y - BAR + 2}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>'
        yield text(round(LABEL + width) + 6, y, number(engines[name][0]))


def text(x: int, y: int, words: str, weight: str = "normal", anchor: str = "start") -> str:
    place = f'x="{x}" y="{y}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'<text {place} fill="#111">{escape(words)}</text>'
