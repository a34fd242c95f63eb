"""Pictures of progress for the docs, of a real run: by rich and as plain text.

Owns: the run of a program on an emulated terminal, and what that shows at a good moment, as SVG.

May not know: the insides of progress. Neighbours: `test_progress`, which has the emulated terminal, and
`page_pictures`, which makes PNG of it.
"""

from __future__ import annotations

import tempfile
from html import escape
from pathlib import Path

from test_progress import Emulated, Session

PROGRAM = """
import random, time
import flowy

def fetch(page):
    time.sleep(random.uniform(0.01, 0.03))
    if page % 120 == 0:
        print(f"page {page} is large", flush=True)
    return page

def parse(page):
    time.sleep(0.004)
    if page % 97 == 5:
        raise ValueError(page)
    return page

def count(words):
    sum(i * i for i in range(100_000))
    return words

def merge(a, b):
    return a + b

class Chapter:
    def __init__(self, parse, count):
        self.parse, self.count = parse, count
    def __call__(self, page):
        return self.count(self.parse(page))

class Index:
    def __init__(self, fetch, chapter, merge):
        self.fetch, self.chapter, self.merge = fetch, chapter, merge
    def __call__(self, pages):
        found = [self.chapter(self.fetch(page)) for page in range(pages)]
        total = 0
        for one in found:
            try:
                total = self.merge(total, flowy.wait(one))
            except flowy.TaskError:
                pass
        return total

chapter = flowy.LocalWorkflow(Chapter)
chapter.conf_activity("parse", parse)
chapter.conf_activity("count", count)
index = flowy.LocalWorkflow(Index, 4)
index.conf_activity("fetch", fetch)
index.conf_activity("merge", merge)
index.conf_workflow("chapter", chapter)
"""
COLOURS = {
    "default": "#d6deeb",
    "red": "#ef6b73",
    "green": "#8bd17c",
    "cyan": "#6cc7d9",
    "magenta": "#c792ea",
    "brown": "#e5c07b",
    "blue": "#82aaff",
    "brightblack": "#3d4757",
}
_WIDE, _HIGH = 8.4, 18


def to_svg(terminal: Emulated) -> str:
    """What the terminal shows, cell by cell, as text in its colours."""
    rows, columns = terminal.screen.lines, terminal.screen.columns
    width, height = columns * _WIDE + 24, rows * _HIGH + 24
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" width="{width:g}" '
        f'font-family="DejaVu Sans Mono,Menlo,Consolas,monospace" font-size="14" xml:space="preserve">',
        f'<rect width="{width:g}" height="{height}" rx="8" fill="#11151c"/>',
    ]
    for y in range(rows):
        for x in range(columns):
            cell = terminal.screen.buffer[y][x]
            if cell.data.strip():
                colour = COLOURS.get(cell.fg, f"#{cell.fg}" if len(cell.fg) == 6 else COLOURS["default"])
                lines.append(
                    f'<text x="{12 + x * _WIDE:.1f}" y="{24 + y * _HIGH}" fill="{colour}">'
                    f"{escape(cell.data)}</text>"
                )
    return "\n".join([*lines, "</svg>"]) + "\n"


def screen(*, rich: bool) -> str:
    """What a terminal shows of the run when more than half is done, as SVG."""
    with tempfile.TemporaryDirectory(prefix="flowy-pictures-") as folder:
        Path(folder, "index.py").write_text(PROGRAM)
        session = Session(Path(folder), "-m", "flowy", "run", "index.py:index", "600", rich=rich)
        session.terminal.resize(14, 92)
        try:
            session.until(lambda shown: any("360 is large" in line for line in shown))
            session.until(lambda shown: any("fetch" in line and "/s" in line for line in shown))
            return to_svg(session.terminal)
        finally:
            session.close()
