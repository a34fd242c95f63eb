"""The examples say what they do, and their workflows mean the same with and without an engine.

Owns two tables: `PRINTS`, what each script must have printed, and `CASES`, each workflow of the
examples with arguments to run it. Every script runs as a user would run it; every workflow runs
as plain Python and on each executor of the local engine, with its sleeps cut short. Knows nothing
of the engine's inside. Its neighbour is `examples/`.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import flowy
from flowy.events import Complete, Schedule, TaskCompleted

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py"))

# What each script prints, line by line. What depends on which call finished first may differ.
PRINTS = {
    "conditional": ["Dear Ada, we send you a card.", "Dear Edsger, we send you a book."],
    "error_handling": [
        "half of 10 / 4 is 1.25",
        r"half of 1 / 0 is unknown: ZeroDivisionError\('division by zero'\)",
        r"the run failed: ZeroDivisionError\('division by zero'\)",
    ],
    "first": ["published: answer of the (near|far) mirror"],
    "first_two": ["decided by (Quick|Steady|Slow) and (Quick|Steady|Slow)"],
    "map_reduce": [
        rf"{name} +\d+\.\d\d s +{{'i': 10, 'n': 6, 's': 5}}"
        for name in ("InOrder", "InFinishOrder", "Parallel")
    ],
    "parallel_and_wait": [
        "warmest: Bucharest, 24.5 degrees",
        r"four measurements of 0.1 s each took \d+\.\d s",
    ],
    "parallel_sum": ["sum of 1 to 100: 5050"],
    "restart": [
        r"collected: \['ant', 'bee', 'cat', 'dog', 'elk', 'fox'\]",
        r"plain: +\['ant', 'bee', 'cat', 'dog', 'elk', 'fox'\]",
    ],
    "sequence": [
        "words: {'best': 1, 'it': 2, 'of': 2, 'the': 2, 'times': 2, 'was': 2, 'worst': 1}",
    ],
    "subworkflows": ["most varied: wind"],
    "sum_of_squares": ["104"],
}


@dataclass(frozen=True)
class Case:
    """A workflow of an example: the names of its activities, its sub-workflows, its arguments."""

    example: str
    factory: str
    activities: tuple[str, ...]
    args: tuple[Any, ...] = ()
    children: dict[str, Case] = field(default_factory=dict)
    any_order: bool = False  # the value depends on which calls finish first
    engine_meaning: bool = False  # failures and restarts: plain Python needs `flowy.plain`

    def __str__(self) -> str:
        return f"{self.example}-{self.factory}"


WORDS = ["one", "three", "eleven", "one"]
MIRRORS = [("far", 0.5), ("near", 0.05)]
JUDGES = [("Slow", 0.6), ("Quick", 0.05), ("Steady", 0.25)]
VARIANCE = Case("subworkflows", "Variance", ("mean", "squares"), ([1, 2, 3, 6],))
CASES = [
    Case("conditional", "Conditional", ("score", "greeting", "offer"), ("Ada",)),
    Case("conditional", "Conditional", ("score", "greeting", "offer"), ("Edsger",)),
    Case("error_handling", "ErrorHandling", ("divide", "half"), (10, 4)),
    Case("error_handling", "ErrorHandling", ("divide", "half"), (1, 0), engine_meaning=True),
    Case("first", "First", ("ask", "publish"), (MIRRORS,), any_order=True),
    Case("first_two", "FirstTwo", ("vote", "agree"), (JUDGES,), any_order=True),
    Case("map_reduce", "InOrder", ("letters", "merge"), (WORDS,)),
    Case("map_reduce", "InFinishOrder", ("letters", "merge"), (WORDS,)),
    Case("map_reduce", "Parallel", ("letters", "merge"), (WORDS,)),
    Case("parallel_and_wait", "Warmest", ("measure",), (["Oslo", "Perth", "Quito"],)),
    Case("parallel_sum", "ParallelSum", ("subtotal",), (range(10), 3)),
    Case("restart", "Collect", ("fetch",), engine_meaning=True),
    Case("sequence", "Sequence", ("fetch", "split", "count"), ("jokes",)),
    VARIANCE,
    Case("subworkflows", "MostVaried", (), ({"a": [1, 2], "b": [1, 9]},), {"variance": VARIANCE}),
    Case("sum_of_squares", "SumOfSquares", ("square", "add"), (2, 10)),
]
VALUES = {
    "First": [f"published: answer of {mirror}" for mirror, _ in MIRRORS],
    "FirstTwo": [f"decided by {a} and {b}" for a, _ in JUDGES for b, _ in JUDGES if a != b],
}


def load(example: str) -> dict[str, Any]:
    """The functions and classes of an example, whose running part is left out, in a hurry."""
    path = EXAMPLES / f"{example}.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kept = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    tree.body = [node for node in tree.body if isinstance(node, kept)]
    names: dict[str, Any] = {"__name__": "example"}  # no module's name: it can't be imported
    exec(compile(tree, path, "exec"), names)
    names["time"] = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / 20))
    return names


def plain_function(case: Case) -> Callable[..., Any]:
    """The workflow as plain Python: the class, constructed with plain functions."""
    names = load(case.example)
    functions = {name: names[name] for name in case.activities}
    functions |= {name: plain_function(child) for name, child in case.children.items()}
    if case.engine_meaning:
        return flowy.plain(names[case.factory], **functions)
    workflow: Callable[..., Any] = names[case.factory](**functions)
    return workflow


def local_workflow(case: Case, executor: str) -> flowy.LocalWorkflow:
    """The workflow on the local engine."""
    names = load(case.example)
    w = flowy.LocalWorkflow(names[case.factory], activity_workers=2, executor=executor)
    for name in case.activities:
        w.conf_activity(name, names[name])
    for name, child in case.children.items():
        w.conf_workflow(name, local_workflow(child, executor))
    return w


@pytest.mark.parametrize("script", SCRIPTS)
def test_script_prints_what_it_does(script: str, tmp_path: Path) -> None:
    found = os.pathsep.join([str(Path(flowy.__file__).parent.parent), *sys.path])
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{script}.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": found},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(PRINTS[script]), done.stdout
    for line, expected in zip(lines, PRINTS[script], strict=True):
        assert re.fullmatch(expected, line), done.stdout


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_engine_gives_what_plain_python_gives(case: Case, executor: str) -> None:
    plain = plain_function(case)(*case.args)
    local = local_workflow(case, executor).run(*case.args)
    if case.any_order:
        assert plain in VALUES[case.factory]
        assert local in VALUES[case.factory]
    else:
        assert local == plain


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_the_two_squares_run_at_the_same_time(executor: str, tmp_path: Path) -> None:
    def square(n: int) -> int:  # comes back only when both calls are running
        (tmp_path / str(n)).touch()
        deadline = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2:
            assert time.monotonic() < deadline, "the other square does not run"
            time.sleep(0.005)
        return n * n

    names = load("sum_of_squares")
    w = flowy.LocalWorkflow(names["SumOfSquares"], activity_workers=2, executor=executor)
    w.conf_activity("square", square)
    w.conf_activity("add", names["add"])
    assert w.run(2, 10) == 104


def test_first_goes_on_with_the_one_that_finishes_first() -> None:
    run = flowy.Replay(load("first")["First"], ["ask", "publish"], args=(MIRRORS,))
    assert run.start() == [
        Schedule("ask-0-0", "ask", ("far", 0.5), {}),
        Schedule("ask-1-0", "ask", ("near", 0.05), {}),
    ]
    assert run.feed(TaskCompleted("ask-1-0", "near")) == [
        Schedule("publish-0-0", "publish", ("near",), {})
    ]
    assert run.feed(TaskCompleted("publish-0-0", "done")) == [Complete("done")]
    run.close()


def test_first_two_goes_on_with_the_two_that_finish_first() -> None:
    run = flowy.Replay(load("first_two")["FirstTwo"], ["vote", "agree"], args=(JUDGES,))
    assert len(run.start()) == 3
    assert run.feed(TaskCompleted("vote-2-0", "Steady")) == []
    assert run.feed(TaskCompleted("vote-1-0", "Quick")) == [
        Schedule("agree-0-0", "agree", (["Steady", "Quick"],), {})
    ]
    run.close()


def test_every_example_is_in_the_tables_and_in_the_readme() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert SCRIPTS == sorted(PRINTS) == sorted({case.example for case in CASES})
    assert sorted(re.findall(r"^\| `(\w+)\.py`", readme, re.MULTILINE)) == SCRIPTS


def test_the_readme_shows_the_first_example() -> None:
    readme = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("```python\n")[2].partition("```")[0]
    script = (EXAMPLES / "sum_of_squares.py").read_text(encoding="utf-8")
    assert script.endswith(f'"""\n\n{shown}')
