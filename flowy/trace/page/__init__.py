"""A trace as one HTML page: timeline, graph, critical path, errors. It needs no network and no server.

Owns: `html`, which puts the page together, and its Content-Security-Policy: nothing may be loaded, and
no script or style runs but those two whose hashes stand in it.

May not know: engines; what is shown (that is in the `.js` files beside it) and how the numbers get
there: neighbours are `facts`, small and readable, and `packing`, the columns as compressed bytes.

Laws: nothing that comes from a run stands in the page as HTML. Names, values and errors are in blocks of
data that no browser runs, and the scripts put them on the screen as text only. The scripts are plain
files, joined here in the order in which they need each other; there is no build step.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from flowy.trace.page import facts, packing
from flowy.trace.trace import Trace

_HERE = Path(__file__).parent
SCRIPTS = (
    "format",
    "dom",
    "theme",
    "order",
    "data",
    "lanes",
    "bars",
    "timeline",
    "gestures",
    "overview",
    "whatif",
    "search",
    "details",
    "layers",
    "boxes",
    "graph",
    "tables",
    "panels",
    "main",
)
"""The files of the page's script, in their order."""


def html(trace: Trace) -> str:
    """A trace as the text of a self-contained HTML page."""
    shown = facts.collect(trace)
    packed = packing.pack(trace.columns, shown.began, shown.boxes)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(_script())}",
            f"style-src {_hash(_read('page.css'))}",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    parts = {
        "policy": policy,
        "style": _read("page.css"),
        "script": _script(),
        "facts": facts.as_script({**shown.record, "columns": packed.manifest}),
        "numbers": packed.numbers,
        "texts": packed.texts,
    }
    before, *pieces = _read("page.html").split("{{")
    made = [before]
    for piece in pieces:  # not str.replace: what is put in may hold such marks itself
        name, _, rest = piece.partition("}}")
        made += [parts[name], rest]
    return "".join(made)


@cache
def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    """All scripts in one function, so that nothing of them is global."""
    texts = "\n".join(_read(f"{name}.js") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{texts}}})();\n'


def _hash(text: str) -> str:
    """What a policy calls an inline script or style by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
