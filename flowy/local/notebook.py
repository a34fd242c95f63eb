"""Workflows and runs in a notebook.

Owns: `workflow_html` and `run_html`: small tables, escaped, without scripts.

May not know: engines. Neighbours: `engine`, whose objects these are, and `progress.text` and
`trace.notebook`, which have tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from flowy.config import describe
from flowy.options import PLAIN, Options
from flowy.progress import Row, Snapshot
from flowy.progress.text import html
from flowy.trace.graph import shorten
from flowy.trace.notebook import table


def workflow_html(
    factory: Any,
    activities: Mapping[str, Callable[..., Any]],
    options: Mapping[str, Options],
    workflows: Mapping[str, Any],
) -> str:
    """What stands behind each name."""
    rows = [
        (name, "activity", shorten(describe(activity)), shorten(_changed(options.get(name, PLAIN))))
        for name, activity in activities.items()
    ]
    rows += [(name, "workflow", shorten(describe(inner)), "") for name, inner in workflows.items()]
    return f"<div><b>{escape(shorten(describe(factory)))}</b>{table(('', '', '', ''), rows)}</div>"


def _changed(options: Options) -> str:
    """Those that are not as they are by default."""
    pairs = zip(Options._fields, options, PLAIN, strict=True)
    return ", ".join(f"{name}={value!r}" for name, value, usual in pairs if value != usual)


def run_html(
    title: str, progress: Iterable[tuple[str, tuple[int, int, int]]], seconds: float, workers: int
) -> str:
    """How far a run is."""
    rows = tuple(Row(name, *counts, running=0) for name, counts in progress)
    return f"<div><b>{escape(title)}</b>{html(Snapshot(seconds, rows, workers))}</div>"
