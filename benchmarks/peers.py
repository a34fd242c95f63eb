"""flowy and other engines on the same work: `python -m benchmarks.peers --help`.

Owns: an environment for each engine, made on demand; a fresh process for each measurement, with a
limit of time and nothing left behind; rounds, in each of which every engine has its turn, so that what
else the machine does falls on all alike.

May not know how an engine works or what a shape is: that is `shapes`, which it starts, and `engines`.
Its other neighbour is `report`, which makes table, plot and JSON of what was measured. Needs only
the standard library, and, for the environments, the package index.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.engines import ENGINES
from benchmarks.shapes import SHAPES

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "flowy": [str(ROOT)],
    "stdlib": [],
    "joblib": ["joblib"],
    "dask": ["dask[distributed]"],
    "ray": ["ray"],
    "parsl": ["parsl"],
}
COMMON = ["numpy"]
# At the end of the path: the flowy in an environment goes before the checkout.
START = "import sys; sys.path.append({root!r}); from benchmarks.shapes import main; main()"
MARK = "FLOWY_BENCHMARK"


# ---- Environments.


def make_environment(name: str, place: Path, python: str) -> Path:
    """The interpreter of the environment, which is made if need be.

    Raises:
        OSError, subprocess.CalledProcessError: it can't be made.
    """
    interpreter = place / "bin" / "python"
    stamp = place / ".made"
    packages = [*COMMON, *PACKAGES[name]]
    if not stamp.exists() or stamp.read_text().split("\n") != packages:
        stamp.unlink(missing_ok=True)
        command(python, "-m", "venv", "--clear", str(place))
        command(str(interpreter), "-m", "pip", "install", "--quiet", *packages)
        stamp.write_text("\n".join(packages))
    elif name == "flowy":  # the checkout may have changed
        args = ["--quiet", "--no-deps", "--force-reinstall", *PACKAGES[name]]
        command(str(interpreter), "-m", "pip", "install", *args)
    return interpreter


def command(*args: str) -> None:
    subprocess.run(args, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


def make_environments(names: list[str], options: argparse.Namespace) -> dict[str, Path]:
    """Interpreters by environment; those that can't be made are left out, and said."""
    made = dict(options.use)
    for name in dict.fromkeys(ENGINES[name].environment for name in names):
        if name not in made:
            say(f"environment {name}")
            try:
                place = options.environments.resolve() / name
                made[name] = make_environment(name, place, options.python)
            except (OSError, subprocess.CalledProcessError) as error:
                say(f"  can't be made, its engines are skipped: {error}")
    return made


# ---- One measurement.


def measure(interpreter: Path, engine: str, shape: str, n: int, limit: float) -> dict[str, Any]:
    """What one process measured, or why it did not."""
    mark = uuid.uuid4().hex
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {MARK: mark, "PATH": f"{interpreter.parent}{os.pathsep}{env['PATH']}"}
    if ENGINES[engine].environment != "flowy":  # some engines' workers know only this
        env["PYTHONPATH"] = str(ROOT)
    args = [str(interpreter), "-c", START.format(root=str(ROOT)), engine, shape, str(n)]
    with tempfile.TemporaryDirectory() as cwd, tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(
            args,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            return {"n": n, "failed": f"took more than {limit:.0f} s"}
        finally:
            kill_marked(process, mark)
        out.seek(0)
        lines = out.read().splitlines()
    for line in reversed(lines):
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and "n" in found:
                return found
    return {"n": n, "failed": "\n".join(lines[-15:])}


def kill_marked(process: subprocess.Popen[bytes], mark: str) -> None:
    """End what a measurement left: its session, and processes elsewhere that carry its mark."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in environ.read_bytes():
                os.kill(int(environ.parent.name), signal.SIGKILL)


# ---- All of them.


def rounds(
    options: argparse.Namespace, environments: dict[str, Path]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Measurements, in rounds of all engines; what failed or is missing is not tried again."""
    over: set[tuple[str, str]] = set()
    for number in range(options.rounds):
        for shape in options.shapes:
            for name in options.engines:
                engine = ENGINES[name]
                if (shape, name) in over or engine.environment not in environments:
                    continue
                n = SHAPES[shape].size_for(engine, options.scale)
                found = measure(environments[engine.environment], name, shape, n, options.limit)
                if "figure" not in found:
                    over.add((shape, name))
                if "missing" in found:
                    continue
                figure = found.get("figure", "failed")
                told = f"{figure:.4g} {SHAPES[shape].unit}" if figure != "failed" else found["failed"]
                say(f"round {number + 1}  {shape:16} {name:18} n={n:<8} {told}")
                yield shape, name, {"round": number, **found}


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def names_of(known: dict[str, Any]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        found = text.split(",")
        if unknown := [name for name in found if name not in known]:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return found

    return names


def interpreter_for(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if name not in PACKAGES or not path:
        raise argparse.ArgumentTypeError(f"not ENVIRONMENT=PYTHON, with one of {', '.join(PACKAGES)}")
    return name, Path(path).absolute()


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.peers", description="Time the same work on flowy and on other engines."
    )
    add = parser.add_argument
    add("--engines", type=names_of(ENGINES), default=[*ENGINES], help=", ".join(ENGINES))
    add("--shapes", type=names_of(SHAPES), default=[*SHAPES], help=", ".join(SHAPES))
    add("--rounds", type=int, default=3, help="the figure is the median of so many (default 3)")
    add("--scale", type=float, default=1.0, help="of the full sizes; 0.01 for a try")
    add("--limit", type=float, default=180.0, help="seconds for one measurement (default 180)")
    add("--python", default=sys.executable, help="the interpreter to make environments with")
    add(
        "--use",
        type=interpreter_for,
        action="append",
        default=[],
        metavar="ENVIRONMENT=PYTHON",
        help="take this interpreter as that environment, and make none",
    )
    add("--environments", type=Path, default=ROOT / ".asv" / "peers", help="where they are made")
    add("--out", type=Path, default=ROOT / ".asv" / "peers.json", help="also .md and .svg beside it")
    return parser.parse_args()


def main() -> None:
    options = parse()
    environments = make_environments(options.engines, options)
    measured: list[report.Measured] = []
    for shape, engine, found in rounds(options, environments):
        measured.append({"shape": shape, "engine": engine, **found})
        report.write(options.out, measured)  # each time: a run that is cut off has what it has
    say(f"written: {options.out}, .md and .svg beside it")


if __name__ == "__main__":
    main()
