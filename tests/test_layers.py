"""The architecture as a test: who may import whom, and who may touch the outside.

Owns two tables: `LAYERS`, the layer of each module, and `ROOMS`, the modules that each outside
thing is for. Sources are read, never imported, the `.pyx` too. A new module goes into `LAYERS`;
a new import that fails here is a question about the design, not about the table.

Its neighbour is ARCHITECTURE.md, which draws the same picture for people.
"""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "flowy"

# Imports go down, or sideways where that makes no cycle. Anyone may import `_version`.
LAYERS = {
    module: layer
    for layer, modules in enumerate(
        (
            "_record errors events",
            "_vectors _sched _trace _passes _loop _lifeline _swallowed _replay serialization",
            "results config options settings activity replay"
            " testing.histories testing.histories.ledger testing.histories.tasks"
            " testing.histories.lambdas testing.histories.others"
            " swf.asking swf.checking swf.config swf.decisions swf.execution swf.history swf.ledger"
            " swf.markers swf.meanings swf.parting swf.payloads"
            " swf.serialization swf.timeline swf.profiling"
            " trace trace.analysis trace.chrome trace.dot trace.files trace.graph trace.histories"
            " trace.mermaid trace.notebook trace.page trace.page.facts trace.page.packing trace.record"
            " trace.trace",
            "clock pictures swf.client swf.polling swf.rates swf.reading swf.registering"
            " swf.remote swf.stores"
            " swf.beats swf.operating swf.child swf.inside swf.performing swf.titles"
            " local local.pool local.process local.worker local.executors local.batch"
            " local.threads local.foreign local.patience"
            " local.batching local.status local.logs local.output local.stopping"
            " local.supervisor local.memory local.deaths local.attempts"
            " local.functions local.interrupts local.lineage local.mailbox local.cpus"
            " local.large local.segments local.shelf local.tracing local.watch local.notebook"
            " progress progress.counts progress.others progress.reporter progress.terminal progress.text"
            " testing.swf.clock testing.swf.deadlines testing.swf.decisions testing.swf.durations"
            " testing.swf.executions testing.swf.faults testing.swf.lifecycle testing.swf.limits"
            " testing.swf.messages testing.swf.model testing.swf.pages testing.swf.registry"
            " testing.swf.requests testing.swf.service testing.swf.store testing.swf.tasklists"
            " testing.swf.tasks testing.swf.tokens testing.swf.visibility testing.swf.waiting"
            " testing.swf.world",
            "local.engine local.driver plain swf swf.activities swf.decider swf.deciding swf.kept"
            " swf.replaying swf.slots swf.starter swf.supervising"
            " testing.swf.local testing.swf.serve"
            " testing.swf.chaos testing.swf.client testing.swf.http testing.swf.statefile"
            " testing.swf.wire",
            "__init__ __main__ cli saying command completion demo swf_options"
            " swf.finding swf.verbs swf.looking _version testing testing.swf",
        )
    )
    for module in modules.split()
}

PROCESSES = frozenset({"local.process", "local.worker"})
OUTSIDE = frozenset(module for module, layer in LAYERS.items() if layer >= 3)

# What is imported or named, anything inside it included, and the modules that may.
ROOMS = {
    "cloudpickle": frozenset({"serialization"}),
    "multiprocessing": PROCESSES,
    "subprocess": PROCESSES | {"pictures", "swf.child"},
    "os.fork": PROCESSES,
    "os.forkpty": PROCESSES,
    "os.posix_spawn": PROCESSES,
    "os.posix_spawnp": PROCESSES,
    "os.popen": PROCESSES,
    "os.system": PROCESSES,
    "IPython": frozenset({"progress.others"}),
    "rich": frozenset({"progress.terminal"}),
    "sqlite3": frozenset({"testing.swf.statefile"}),
    "boto3": frozenset({"swf.client"}),
    "botocore": frozenset(
        {"swf.client", "testing.swf.client", "testing.swf.local", "testing.swf.model"}
    ),
    "time": OUTSIDE,
    "datetime.date.today": OUTSIDE,
    "datetime.datetime.now": OUTSIDE,
    "datetime.datetime.today": OUTSIDE,
    "datetime.datetime.utcnow": OUTSIDE,
}


@dataclass
class Source:
    """What a module imports and names, as full dotted names."""

    imports: set[str] = field(default_factory=set)  # of this package: its module names
    outside: set[str] = field(default_factory=set)  # "os", "os.fork", "datetime.datetime.now"


def module_name(path: Path, package: Path) -> str:
    """`local.pool` for flowy/local/pool.py, `local` for flowy/local/__init__.py."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def modules_of(package: Path) -> dict[str, Path]:
    paths = [path for suffix in ("pxd", "py", "pyx") for path in sorted(package.rglob(f"*.{suffix}"))]
    return {module_name(path, package): path for path in paths}  # a `.pxd` where it stands alone


def cython_trees(text: str) -> tuple[list[ast.AST], list[str]]:
    """The import statements of a `.pyx` as Python's, and the dotted names in the rest."""
    text = re.sub(r'"""(?:\\.|[^\\])*?"""', '""', text, flags=re.DOTALL)
    text = re.sub(r"#.*", "", text).replace("\\\n", " ")
    statement = r"^[ \t]*(?:from[ \t]+\S+[ \t]+)?c?import\b[ \t]*(?:\([^)]*\)|.*)"
    trees: list[ast.AST] = []
    for match in re.finditer(statement, text, flags=re.MULTILINE):
        trees.append(ast.parse(re.sub(r"\bcimport\b", "import", match[0]).strip()))
    return trees, re.findall(r"\b[^\W\d]\w*(?:\.[^\W\d]\w*)+", text)


def dotted(node: ast.AST) -> str:
    """`a.b.c` for the nodes that spell it, else nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (head := dotted(node.value)):
        return f"{head}.{node.attr}"
    return ""


def imported(trees: list[ast.AST], name: str, path: Path) -> Iterator[tuple[str, str]]:
    """(full dotted name, the name it is bound to here) for each import, wherever it stands."""
    package = ["flowy", *name.split(".")[: None if path.stem == "__init__" else -1]]
    if name == "__init__":
        package = ["flowy"]
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, alias.asname or alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{origin}.{alias.name}", alias.asname or alias.name


def read(name: str, path: Path, modules: dict[str, Path]) -> Source:
    text = path.read_text()
    if path.suffix in (".pyx", ".pxd"):
        beside = path.with_suffix(".pxd")
        if beside != path and beside.exists():
            text += "\n" + beside.read_text()
        trees, names = cython_trees(text)
    else:
        trees = [ast.parse(text)]
        names = [dotted(node) for node in ast.walk(trees[0]) if isinstance(node, ast.Attribute)]
    source = Source()
    bound = {}
    for full, short in imported(trees, name, path):
        # `import a.b` binds `a`; `import a.b as c` and `from a import b` bind the whole.
        bound[short] = short if full.startswith(f"{short}.") else full
        if full.split(".")[0] == "flowy":
            source.imports.add(target(full, modules))
        else:
            source.outside.add(full)
    for used in names:
        head, _, rest = used.partition(".")
        if head in bound:
            source.outside.add(f"{bound[head]}.{rest}")
    return source


def target(full: str, modules: dict[str, Path]) -> str:
    """The module that an imported dotted name is, or is in."""
    inner = full.split(".")[1:]
    while inner and ".".join(inner) not in modules:
        inner.pop()
    return ".".join(inner) or "__init__"


def violations(package: Path) -> Iterator[str]:
    """One line for each import or name that the tables don't allow."""
    modules = modules_of(package)
    sources = {name: read(name, path, modules) for name, path in modules.items()}
    for name, source in sources.items():
        if name not in LAYERS:
            yield f"{name} is in no layer: give it one in LAYERS"
            continue
        for other in sorted(source.imports):
            if other != "_version" and LAYERS.get(other, 0) > LAYERS[name]:
                yield f"{name} (L{LAYERS[name]}) imports {other} (L{LAYERS[other]}), upward"
        for thing, allowed in ROOMS.items():
            if name not in allowed and any(
                used == thing or used.startswith(f"{thing}.") for used in source.outside
            ):
                yield f"{name} uses {thing}, which is for {', '.join(sorted(allowed)) or 'nobody'}"
    try:
        graphlib.TopologicalSorter(
            {name: source.imports - {name} for name, source in sources.items()}
        ).prepare()
    except graphlib.CycleError as error:
        yield f"import cycle: {' -> '.join(reversed(error.args[1]))}"


def test_imports_keep_to_the_layers_and_rooms() -> None:
    assert list(violations(PACKAGE)) == []


def test_the_sources_are_found() -> None:
    found = modules_of(PACKAGE)
    assert {"__init__", "_sched", "errors", "local.pool"} <= set(found)
    assert found["_sched"].suffix == ".pyx"
    assert "errors" in read("_sched", found["_sched"], found).imports


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("news.py", "", "news is in no layer"),
        ("errors.py", "def f():\n    from . import config", "errors (L0) imports config (L2)"),
        ("errors.py", "from flowy import wait", "errors (L0) imports __init__ (L5)"),
        ("local/pool.py", "from .engine import run", "local.pool (L3) imports local.engine (L4)"),
        ("local/pool.py", "from .. import plain", "local.pool (L3) imports plain (L4)"),
        ("_sched.pyx", "from flowy.config cimport (\n    a,\n    b)", "_sched (L1) imports config"),
        ("_sched.pyx", "import os\ncdef int f():\n    return os.fork()", "_sched uses os.fork"),
        ("_sched.pyx", "cimport cython, time\n", "_sched uses time"),
        ("_sched.pxd", "from flowy.config cimport a\n", "_sched (L1) imports config"),
        ("results.py", "from datetime import datetime as d\nd.now()", "uses datetime.datetime.now"),
        ("results.py", "import datetime\ndatetime.date.today()", "uses datetime.date.today"),
        ("local/cpus.py", "import multiprocessing.connection", "local.cpus uses multiprocessing"),
        ("plain.py", "from os import fork as f", "plain uses os.fork"),
        ("config.py", "from cloudpickle import dumps", "config uses cloudpickle"),
        (
            "config.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .replay import Replay",
            "import cycle: ",
        ),
    ],
)
def test_a_violation_is_seen(file: str, text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    allowed = {
        "__init__.py": "from ._version import __version__",
        "_version.py": "",
        "_sched.pyx": '"""\nimport nothing, or\n"""\nfrom .errors import E\nimport os # or time',
        "config.py": "from ._version import __version__\nfrom datetime import datetime, timezone",
        "errors.py": "",
        "plain.py": "import time\nfrom .config import C",
        "replay.py": "from .config import C\nfrom ._sched import S",
        "results.py": "def now(): ...\nnow()",
        "local/__init__.py": "",
        "local/cpus.py": "import os\nos.cpu_count()",
        "local/engine.py": "from . import cpus\nfrom .pool import P",
        "local/pool.py": "from .process import W",
        "local/process.py": "from .cpus import count\nimport subprocess, datetime",
    }
    for name, good in allowed.items():
        (tmp_path / name).write_text(good)
    assert list(violations(tmp_path)) == []
    (tmp_path / file).write_text(text)
    assert complaint in "\n".join(violations(tmp_path))
