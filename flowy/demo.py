"""The demo: an index of Python's own standard library, made by a workflow on all cores.

Owns the job (three activities and a workflow), its two runs, on the local engine and as plain
Python, and the report that compares them. It is a user of flowy as any other: it may know only
the public names of the package. Its neighbour is `cli`, which parses the options.

The job's grain: a file takes some milliseconds to parse, a merge of two summaries a small part of
one, because a summary holds totals and an entry for each imported package, nothing that grows
with the lines read.
"""

from __future__ import annotations

import ast
import os
import platform
import re
import shutil
import sys
import sysconfig
import time
import tokenize
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TextIO

import flowy

TOP = 10
"""How many packages are asked about."""

INSTALLED = ("site-packages", "dist-packages")
"""Directories inside the library that are not the library."""

UNREADABLE = (OSError, SyntaxError, ValueError, RecursionError, MemoryError)
"""What a file that is no Python, or not this Python, raises; the last two: nested too deep."""


# ---- What is found.


@dataclass(frozen=True, order=True)
class Function:
    """A function. The order is by length, then by place, so that exactly one is the longest."""

    lines: int
    path: str
    line: int
    name: str


@dataclass(frozen=True)
class Summary:
    """What is known of some files: of one, as `index` gives it, or of many, as `merge` does."""

    files: int = 0
    lines: int = 0
    functions: int = 0
    classes: int = 0
    imports: int = 0
    importers: Counter[str] = field(default_factory=Counter)  # package: files that import it
    longest: Function | None = None
    broken: tuple[str, ...] = ()  # paths of the files that can't be read or parsed


@dataclass(frozen=True)
class Importers:
    """Who imports a package, and what they use of it."""

    package: str
    files: int
    places: Counter[str]  # top-level package or module: its files that import the package
    names: Counter[str]  # name: how often they write `package.name`


@dataclass(frozen=True)
class Library:
    """The index: the value of the workflow."""

    total: Summary
    importers: tuple[Importers, ...]


# ---- The activities.


def index(root: str, path: str) -> Summary:
    """Parse one file and count what is in it. One that can't be parsed is counted as broken."""
    try:
        with tokenize.open(os.path.join(root, path)) as file:
            source = file.read()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the library's code, not ours
            tree = ast.parse(source)
    except UNREADABLE:
        return Summary(files=1, broken=(path,))
    functions: list[Function] = []
    packages: set[str] = set()
    classes = imports = 0
    for node in statements(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            functions.append(Function(lines, path, node.lineno, node.name))
        elif isinstance(node, ast.ClassDef):
            classes += 1
        elif isinstance(node, ast.Import):
            imports += 1
            packages.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imports += 1
            if node.module and not node.level:  # a relative import stays inside its package
                packages.add(node.module.partition(".")[0])
    return Summary(
        files=1,
        lines=source.count("\n"),
        functions=len(functions),
        classes=classes,
        imports=imports,
        importers=Counter(packages),
        longest=max(functions, default=None),
    )


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Every statement below `tree`. Unlike `ast.walk`, does not go through the expressions too."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        for block in ("body", "orelse", "finalbody", "handlers", "cases"):
            todo.extend(getattr(node, block, ()))


def merge(a: Summary, b: Summary) -> Summary:
    """Two summaries as one. Neither order nor grouping matters, so any two may be merged."""
    return Summary(
        files=a.files + b.files,
        lines=a.lines + b.lines,
        functions=a.functions + b.functions,
        classes=a.classes + b.classes,
        imports=a.imports + b.imports,
        importers=a.importers + b.importers,
        longest=max((s.longest for s in (a, b) if s.longest), default=None),
        broken=tuple(sorted(a.broken + b.broken)),
    )


def find_importers(package: str, root: str, paths: Sequence[str]) -> Importers:
    """Who imports `package`, and what they use of it: scans their files, without parsing again."""
    places = Counter(path.partition(os.sep)[0].removesuffix(".py") for path in paths)
    names: Counter[str] = Counter()
    use = re.compile(rb"\b%s\.([A-Za-z_]\w*)" % package.encode())
    for path in paths:
        with open(os.path.join(root, path), "rb") as file:
            names.update(name.decode() for name in use.findall(file.read()))
    return Importers(package, len(paths), places, names)


# ---- The workflow.


class IndexLibrary:
    """Index all files, merge what comes, then look, and ask who imports the top packages."""

    def __init__(
        self,
        index: Callable[[str, str], Summary],
        merge: Callable[[Summary, Summary], Summary],
        find_importers: Callable[[str, str, Sequence[str]], Importers],
    ) -> None:
        self.index = index
        self.merge = merge
        self.find_importers = find_importers

    def __call__(self, root: str, paths: Sequence[str]) -> Library:
        summaries = {path: self.index(root, path) for path in paths}
        total = flowy.parallel_reduce(self.merge, summaries.values())
        importers = []
        for package in top(total.importers, TOP):  # looks at the total: here the workflow waits
            files = [path for path in paths if package in summaries[path].importers]
            importers.append(self.find_importers(package, root, files))
        return Library(total, tuple(importers))


def top(counts: Mapping[str, int], size: int) -> list[str]:
    """The names with the largest counts; by name where equal, so not by the order of counting."""
    return sorted(counts, key=lambda name: (-counts[name], name))[:size]


# ---- Its two runs.


@dataclass(frozen=True)
class Measured:
    """A run of the workflow: its value, how long it took, and the work in it (in seconds)."""

    library: Library
    elapsed: float
    busy: float = 0.0
    workers: int = 1
    tasks: int = 0


def run_plain(root: str, paths: Sequence[str]) -> Measured:
    """The workflow as plain Python: its class, called with the functions themselves."""
    started = time.perf_counter()
    library = IndexLibrary(index, merge, find_importers)(root, paths)
    return Measured(library, time.perf_counter() - started)


def run_local(root: str, paths: Sequence[str], workers: int | None, err: TextIO) -> Measured:
    """The workflow on the local engine, timed from before its workers start till they have left."""
    started = time.perf_counter()
    w = flowy.LocalWorkflow(IndexLibrary, activity_workers=workers)
    w.conf_activity("index", index)
    w.conf_activity("merge", merge)
    w.conf_activity("find_importers", find_importers)
    with w:
        run = w.start(root, paths)
        try:
            library = follow(run, Progress(err))
        except KeyboardInterrupt:
            run.cancel()
            raise
        usage = run.usage()
    elapsed = time.perf_counter() - started
    return Measured(library, elapsed, usage.busy, usage.workers, usage.tasks)


def follow(run: flowy.Run, progress: Progress) -> Library:
    """Show the run's progress until it ends; its value."""
    try:
        while True:
            progress.show(run.progress())
            try:
                library: Library = run.result(timeout=progress.interval)
            except TimeoutError:
                continue
            return library
    finally:
        progress.clear()


class Progress:
    """What a run has done so far: a line that is drawn over on a terminal, else a line a second."""

    def __init__(self, err: TextIO) -> None:
        self.err = err
        self.live = err.isatty()
        self.interval = 0.1 if self.live else 1.0
        self.started = time.monotonic()

    def show(self, counts: Mapping[str, flowy.Progress]) -> None:
        parts = [f"{time.monotonic() - self.started:.1f} s"]
        parts += [f"{name} {count.done:,}/{count.asked:,}" for name, count in counts.items()]
        line = "   ".join(parts)
        if self.live:
            width = shutil.get_terminal_size().columns - 1  # a longer line could not be drawn over
            self.err.write(f"\r\x1b[K{line[:width]}")
        else:
            self.err.write(f"{line}\n")
        self.err.flush()

    def clear(self) -> None:
        if self.live:
            self.err.write("\r\x1b[K")
            self.err.flush()


# ---- The files, and the report.


def demo(limit: int | None = None, workers: int | None = None, compare: bool = True) -> int:
    """Index the library, print the report, and give the exit status: 1 if the two runs differ."""
    root = sysconfig.get_path("stdlib")
    sizes = {path: size_of(os.path.join(root, path)) for path in find_files(root)[:limit]}
    if not sizes:
        print(f"no Python files found in {printable(root)}", file=sys.stderr)
        return 1
    print(f"The standard library of Python {platform.python_version()}, in {printable(root)}:")
    print(f"{len(sizes):,} files, {sum(sizes.values()) / 1e6:.1f} MB\n", flush=True)
    # The big ones first, so that no worker is left alone with one at the end.
    paths = sorted(sizes, key=lambda path: (-sizes[path], path))
    local = run_local(root, paths, workers, sys.stderr)
    print(*report(local.library), sep="\n")
    share = local.busy / (local.workers * local.elapsed)
    print(
        f"\nflowy, {local.workers} workers: {local.elapsed:.2f} s for {local.tasks:,} tasks,"
        f" workers busy {share:.0%} of the time",
        flush=True,
    )
    if not compare:
        return 0
    plain = run_plain(root, paths)
    equal = plain.library == local.library
    print(f"plain Python, one process: {plain.elapsed:.2f} s, {'' if equal else 'NOT '}equal result")
    print(f"speed-up: {plain.elapsed / local.elapsed:.2f}")
    return 0 if equal else 1


def find_files(root: str) -> list[str]:
    """The `.py` files below `root`, relative to it, without packages installed beside them."""
    found: list[str] = []
    for place, directories, names in os.walk(root):
        directories[:] = [name for name in directories if name not in INSTALLED]
        below = os.path.relpath(place, root)
        found += [os.path.normpath(os.path.join(below, n)) for n in names if n.endswith(".py")]
    return sorted(found)


def size_of(path: str) -> int:
    """The size of a file in bytes. Reads it, so that both runs find the file in the page cache."""
    try:
        with open(path, "rb") as file:
            return len(file.read())
    except OSError:
        return 0


def report(library: Library) -> Iterator[str]:
    """The index in words, line by line."""
    total = library.total
    for name in ("files", "lines", "functions", "classes", "imports"):
        yield f"{name:>16}  {getattr(total, name):>9,}"
    yield f"{'packages':>16}  {len(total.importers):>9,}   are imported by some file"
    some = ", ".join(total.broken[:3]) + (", ..." if len(total.broken) > 3 else "")
    yield f"{'not parsed':>16}  {len(total.broken):>9,}   {printable(some)}".rstrip()
    if total.longest:
        where = f"{total.longest.path}:{total.longest.line} {total.longest.name}"
        yield f"{'longest function':>16}  {total.longest.lines:>9,}   lines: {printable(where)}"
    yield f"\n{'most imported':>16}  {'files':>9}   {'most of them in':36}  most used"
    for found in library.importers:
        places = ", ".join(f"{place} {found.places[place]}" for place in top(found.places, 3))
        names = ", ".join(top(found.names, 3))
        line = f"{printable(found.package):>16}  {found.files:>9,}   {printable(places):36}"
        yield f"{line}  {printable(names)}".rstrip()


def printable(text: str) -> str:
    """The text, with an escape for all that a terminal may obey or an ASCII stream refuse.

    >>> printable("d\\x1b[2J\\xe9.py")
    'd\\\\x1b[2J\\\\xe9.py'
    """
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in text)
