"""The sdist and the wheel: each is built, installed in an empty environment, and works there.

Owns what an installed flowy must have (the compiled core, its types, the console script) and
must not (build droppings). It knows the project as files only: it never imports flowy here, so
the checkout can't stand in for what was installed. Building and installing fetch from the package
index; where that can't be reached the tests skip.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# The first program of the README: no guard, so a worker must not run it again.
EXAMPLE = """\
import flowy

def square(n):
    return n * n

def add(a, b):
    return a + b

class SumOfSquares:
    def __init__(self, square, add):
        self.square = square
        self.add = add

    def __call__(self, a, b):
        return self.add(self.square(a), self.square(b))

w = flowy.LocalWorkflow(SumOfSquares)
w.conf_activity('square', square)
w.conf_activity('add', add)
print(w.run(2, 10))
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run it apart from the checkout, unoptimised where it compiles: quicker, and the same code."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [os.fspath(part) for part in command],
        cwd=cwd,
        env=env | {"CFLAGS": "-O0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def done(*command: str | Path, cwd: Path) -> str:
    """What the command prints, which must succeed."""
    process = run(*command, cwd=cwd)
    assert process.returncode == 0, f"{command} failed:\n{process.stdout}"
    return process.stdout


def copy_of_checkout(to: Path) -> Path:
    """What git would keep, so that nothing built here comes along; in an sdist, everything."""
    listed = run("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=ROOT)
    if listed.returncode or not (ROOT / ".git").exists():
        ignored = shutil.ignore_patterns(".*", "build", "dist", "*.so", "*.c", "__pycache__")
        return Path(shutil.copytree(ROOT, to, ignore=ignored))
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    return to


@pytest.fixture(scope="module")
def dists(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The sdist, and the wheel that is built from it."""
    temp = tmp_path_factory.mktemp("packaging")
    probe = ["download", "--quiet", "--no-deps", "--retries=0", "--timeout=15", "setuptools"]
    process = run(sys.executable, "-m", "pip", *probe, cwd=temp)
    if process.returncode:
        pytest.skip(f"the package index can't be reached: {process.stdout[-300:]}")
    checkout = copy_of_checkout(temp / "checkout")
    done(sys.executable, "-m", "build", "--outdir", temp / "dist", checkout, cwd=temp)
    (sdist,) = (temp / "dist").glob("*.tar.gz")
    (wheel,) = (temp / "dist").glob("*.whl")
    return {"sdist": sdist, "wheel": wheel}


@pytest.mark.parametrize("kind", ["sdist", "wheel"])
def test_an_installed_flowy_runs_the_example(kind: str, dists: dict[str, Path], tmp_path: Path) -> None:
    done(sys.executable, "-m", "venv", "venv", cwd=tmp_path)
    programs = tmp_path / "venv" / "bin"
    done(programs / "python", "-m", "pip", "install", "--quiet", dists[kind], cwd=tmp_path)
    (tmp_path / "example.py").write_text(EXAMPLE)
    assert done(programs / "python", "example.py", cwd=tmp_path) == "104\n"
    assert "demo" in done(programs / "flowy", "--help", cwd=tmp_path)
    where = "import flowy, flowy._sched as s; print(flowy.__file__, s.__file__, sep='\\n')"
    for place in done(programs / "python", "-c", where, cwd=tmp_path).splitlines():
        assert Path(place).is_relative_to(tmp_path / "venv")


def test_the_wheel_holds_the_package_and_nothing_else(dists: dict[str, Path]) -> None:
    names = set(zipfile.ZipFile(dists["wheel"]).namelist())
    compiled = ("_sched", "_trace", "_passes", "_loop", "_lifeline", "_swallowed", "_replay")
    for name in compiled:
        assert {f"flowy/{name}.pyi", f"flowy/{name}.pyx"} <= names
        assert len([each for each in names if each.startswith(f"flowy/{name}.c")]) == 1
    assert {"flowy/py.typed", "flowy/_trace.pxd", "flowy/_vectors.pxd"} <= names
    assert {path.relative_to(ROOT).as_posix() for path in ROOT.glob("flowy/**/*.py")} <= names
    parts = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("flowy/trace/page/*.*")}
    assert {part for part in parts if part.endswith((".html", ".css", ".js"))} <= names
    assert len([name for name in names if name.endswith(".so")]) == len(compiled)
    assert not [name for name in names if name.endswith(".c")]
    assert {name.split("/")[0].split("-")[0] for name in names} == {"flowy"}


def test_the_sdist_holds_what_make_test_needs(dists: dict[str, Path]) -> None:
    with tarfile.open(dists["sdist"]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", "setup.py", "LICENSE"} <= names
    assert {"flowy/_sched.pyx", "flowy/_sched.pyi", "flowy/_trace.pxd", "flowy/_vectors.pxd"} <= names
    assert {f"tests/{path.name}" for path in ROOT.glob("tests/*.py")} <= names
    assert not [name for name in names if name.endswith((".so", ".c", ".pyc"))]
