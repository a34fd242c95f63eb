"""`flowy run` and `flowy trace`, from a fresh shell.

Owns: what the commands print, their exit status, and that each misuse is one clear message.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = """
import flowy

def double(x): return 2 * x
def bad(x): raise ValueError(f"no {x}")

class Doubles:
    def __init__(self, double): self.double = double
    def __call__(self, xs, times=1, name="n"):
        for _ in range(times):
            xs = [self.double(x) for x in xs]
        return {name: xs}

class Fails(Doubles):
    def __call__(self): return self.double(1) + 1

class Raises(Doubles):
    def __call__(self): raise KeyError("mine")

doubles = flowy.LocalWorkflow(Doubles, 1)
doubles.conf_activity("double", double)
fails = flowy.LocalWorkflow(Fails, 1, executor="inline")
fails.conf_activity("double", bad)
raises = flowy.LocalWorkflow(Raises, 1, executor="inline")
raises.conf_activity("double", double)
incomplete = flowy.LocalWorkflow(Doubles, 1, executor="inline")
number = 3

def make(): return doubles
def breaks(): raise OSError("disk")
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("import nothing_like_this\n")
    (tmp_path / "wrong.py").write_text("def (\n")
    return tmp_path


def flowy(here: Path, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "flowy", *words],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("target", ["mine:doubles", "mine.py:doubles", "./mine.py:make"])
def test_a_workflow_is_run(target: str, here: Path) -> None:
    status, out, err = flowy(here, "run", target, "[1, 2]", "--times", "2", "--name=x")
    assert (status, json.loads(out), err) == (0, {"x": [4, 8]}, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing:x"], "there is no module 'nothing'"),
        (["mine"], "'mine' names no workflow: write module:workflow"),
        (["none.py:x"], "there is no file none.py"),
        (["mine:nope"], "mine has no 'nope'; its workflows are doubles, fails, incomplete, raises"),
        (["mine:number"], "mine:number is of type int, no workflow"),
        (["mine:Doubles"], "is a class, no workflow"),
        (["mine:double"], "mine:double() failed: TypeError"),
        (["mine:breaks"], "mine:breaks() failed: OSError: disk"),
        (["broken:x"], "broken can't be imported: No module named 'nothing_like_this'"),
        (["wrong.py:x"], "wrong.py can't be imported: SyntaxError"),
        (["mine:doubles"], "takes (xs, times=1, name='n'): missing a required argument: 'xs'"),
        (["mine:doubles", "[]", "--nope", "1"], "got an unexpected keyword argument 'nope'"),
        (["mine:doubles", "[]", "--x=1", "--x=2"], "--x is given twice"),
        (["mine:doubles", "[]", "--_wait"], "'--_wait' is no keyword argument"),
        (["--trace", "x.png", "mine:doubles", "[]"], "goes by the ending"),
        (["mine:incomplete", "[]"], "double"),
    ],
)
def test_each_misuse_is_one_message(words: list[str], message: str, here: Path) -> None:
    status, out, err = flowy(here, "run", *words)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("flowy run: ") == 1
    assert "flowy/" not in err


@pytest.mark.parametrize("name", ["fails", "raises"])
def test_a_failing_workflow_tells_where(name: str, here: Path) -> None:
    status, out, err = flowy(here, "run", f"mine:{name}")
    assert (status, out) == (1, "")
    assert f"flowy run: mine:{name} failed: " in err
    assert ("no 1" if name == "fails" else "KeyError: 'mine'") in err
    assert 'mine.py", line' in err
    assert "flowy/command" not in err
    assert "flowy/local" not in err


def test_a_trace_is_written_and_read(here: Path) -> None:
    words = ("run", "--executor", "inline", "--trace", "t.json", "mine:doubles", "[1, 2, 3]")
    assert flowy(here, *words)[0] == 0
    status, out, _ = flowy(here, "trace", "summary", "t.json")
    assert status == 0
    assert out.startswith("3 tasks in ")
    assert "critical path: " in out
    status, out, _ = flowy(here, "trace", "predict", "t.json", "--workers", "1", "2")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["workers", "1", "2"]
    assert flowy(here, "trace", "convert", "t.json", "t.mmd") == (0, "", "")
    assert (here / "t.mmd").read_text().startswith("flowchart TD")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["summary", "none.json"], 1, "none.json: No such file"),
        (["summary", "mine.py"], 2, "mine.py is no trace"),
        (["convert", "none.json", "x.png"], 1, "none.json"),
    ],
)
def test_misuse_of_trace(words: list[str], status: int, message: str, here: Path) -> None:
    done, out, err = flowy(here, "trace", *words)
    assert (done, out) == (status, "")
    assert err.startswith("flowy trace: ")
    assert message in err
    assert err.count("\n") == 1
