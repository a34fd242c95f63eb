"""Traces into files, by the ending of the name, and before somebody's eyes.

Owns: `write`, `check_target`, `to_svg` and `show`: the forms a trace has by ending, and Graphviz, which
draws SVG where it is installed.

May not know: engines. Neighbours: `trace`, whose drawings these are; the local engine and `cli` call it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from flowy.errors import UsageError
from flowy.trace import Trace, chrome, dot, html, mermaid

__all__ = ["ENDINGS", "check_target", "show", "to_svg", "write"]

LONGEST_DRAWING = 120.0
"""Seconds that Graphviz may take."""


def to_svg(trace: Trace) -> str:
    """The graph of a trace as SVG, drawn by Graphviz.

    Raises:
        UsageError: Graphviz is not installed, or can't draw it.
    """
    program = shutil.which("dot")
    if program is None:
        raise UsageError(
            "SVG is drawn by Graphviz, whose program `dot` is not on the PATH: install it (Debian: "
            "apt install graphviz; macOS: brew install graphviz), or use .html, .dot or .mmd"
        )
    try:
        done = subprocess.run(
            [program, "-Tsvg"],
            input=dot(trace).encode(),
            capture_output=True,
            timeout=LONGEST_DRAWING,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"Graphviz was not done after {LONGEST_DRAWING:g} s: use .dot, and draw it by hand"
        ) from None
    except OSError as error:
        raise UsageError(f"Graphviz could not be started: {program}: {error.strerror}") from error
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()
        raise UsageError(f"Graphviz failed ({done.returncode}): {words}")
    return done.stdout.decode(errors="replace")


ENDINGS: dict[str, Callable[[Trace], str]] = {
    ".dot": dot,
    ".gv": dot,
    ".mmd": mermaid,
    ".svg": to_svg,
    ".html": html,
    ".htm": html,
    ".chrome.json": chrome,
    ".perfetto.json": chrome,
}
"""What writes a trace, by the ending of the file. `.json` alone is the trace itself."""


def check_target(path: str | os.PathLike[str]) -> None:
    """Tell early what can't be written.

    Raises:
        UsageError: the ending is unknown, the directory is not there, or Graphviz is needed and missing.
    """
    target = Path(path)
    writer = _writer(target)
    if not target.parent.is_dir():
        raise UsageError(f"a trace can't be written to {target}: there is no directory {target.parent}")
    if target.is_dir():
        raise UsageError(f"a trace can't be written to {target}: it is a directory")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise UsageError(f"a trace can't be written to {target}: permission denied")
    if writer is to_svg and shutil.which("dot") is None:
        to_svg(Trace())  # says what is missing


def _writer(path: Path) -> Callable[[Trace], str] | None:
    """What makes the text of a file; None for the trace itself."""
    name = path.name.lower()
    for ending, writer in ENDINGS.items():
        if name.endswith(ending):
            return writer
    if name.endswith(".json"):
        return None
    raise UsageError(
        f"a trace can't be written to {str(path)!r}: it goes by the ending, which is one of "
        f"{', '.join(ENDINGS)}, or .json for the trace itself"
    )


def write(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Write a trace in the form that the ending of `path` tells.

    Raises:
        UsageError: see `check_target`.
        OSError: the file can't be written.
    """
    writer = _writer(Path(path))
    text = None if writer is None else writer(trace)
    try:
        if text is None:
            trace.save(path)
            return
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:  # a full disk is told without the file
        if error.filename is None:
            error.filename = os.fspath(path)
        raise


def show(trace: Trace) -> Path:
    """Make a page of a trace in a file of its own and open it in the browser. Returns the file."""
    descriptor, name = tempfile.mkstemp(prefix="flowy-", suffix=".html")
    os.close(descriptor)
    path = Path(name)
    write(trace, path)
    import webbrowser  # slow to import, and seldom needed

    webbrowser.open(path.as_uri())  # does nothing where there is no desktop
    return path
