"""`flowy run` and `flowy trace`: what these commands do.

Owns: finding a workflow by `module:name` or `file.py:name`, its arguments from words, and what is
printed of a trace. Each misuse is one message on stderr, and no traceback of flowy's own.

May not know: how options are parsed. Its neighbour is `cli`, which has them and the exit status:
0 if all went well, 1 if the workflow failed, 2 for misuse, 130 if interrupted.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from flowy import pictures, serialization
from flowy.errors import TaskError, UsageError, describe
from flowy.local.engine import LocalWorkflow
from flowy.saying import say, sayable
from flowy.settings import read_settings
from flowy.trace import Trace

FAILED, MISUSED = 1, 2
_HERE = str(Path(__file__).parent)


def run(
    target: str,
    words: Sequence[str],
    *,
    workers: int | None = None,
    executor: str | None = None,
    trace: str | None = None,
    progress: bool | None = None,
    settings: Sequence[str] = (),
) -> int:
    """Run a workflow and print its value as JSON, or as Python shows it; returns the exit status.

    `progress` is shown on a terminal if it is None.
    """
    try:
        if trace is not None:
            pictures.check_target(trace)
        args, kwargs = read_arguments(words)
        workflow = find(target).with_options(workers, executor, read_settings(settings))
        check_arguments(workflow, target, args, kwargs)
    except UsageError as error:
        print(f"flowy run: {error}", file=sys.stderr)
        return MISUSED
    if progress is None:
        progress = sys.stderr is not None and sys.stderr.isatty()
    logging.getLogger("flowy.trace").disabled = True  # it is told below
    try:
        value = workflow.run(*args, _trace=trace or False, _progress=progress, **kwargs)
    except UsageError as error:
        print(f"{their_part(error)}flowy run: {error}", file=sys.stderr)
        return MISUSED
    except Exception as error:
        print_failure(target, error)
        told_undrawn(workflow)
        return FAILED
    say(f"{show_value(value)}\n")
    return FAILED if told_undrawn(workflow) else 0


def told_undrawn(workflow: LocalWorkflow) -> bool:
    """Whether the trace could not be written; then stderr tells so."""
    if workflow._undrawn is not None:
        print(f"flowy run: the trace can't be written: {explain(workflow._undrawn)}", file=sys.stderr)
    return workflow._undrawn is not None


def explain(error: Exception) -> str:
    """What went wrong with which file, in a few words."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def read_arguments(words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments: JSON, and what is no JSON as the text that it is.

    >>> read_arguments(['3', 'abc', '--depth', '[1]', '--name=x', '--flag'])
    ([3, 'abc'], {'depth': [1], 'name': 'x', 'flag': True})
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            args += [_value(rest) for rest in left]
            break
        if not word.startswith("--"):
            args.append(_value(word))
            continue
        name, given, text = word[2:].partition("=")
        name = name.replace("-", "_")
        if not name.isidentifier() or name.startswith("_"):
            raise UsageError(f"{word!r} is no keyword argument: they are --name VALUE or --name=VALUE")
        if name in kwargs:
            raise UsageError(f"--{name} is given twice")
        if given:
            kwargs[name] = _value(text)
        elif left and not left[0].startswith("--"):
            kwargs[name] = _value(left.pop(0))
        else:
            kwargs[name] = True
    return args, kwargs


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def find(target: str) -> LocalWorkflow:
    """The workflow that `module:name` or `file.py:name` stands for.

    Raises:
        UsageError: there is none.
    """
    where, colon, name = target.rpartition(":")
    if not colon or not where or not name:
        raise UsageError(f"{target!r} names no workflow: write module:workflow, or file.py:workflow")
    found = pick(load(where), where, name, _others)
    if isinstance(found, LocalWorkflow):
        return found
    if isinstance(found, type) or not callable(found):
        kind = "a class" if isinstance(found, type) else describe_type(found)
        raise UsageError(
            f"{target} is {kind}, no workflow: give a LocalWorkflow, or a function that returns one"
        )
    return _make(found, target)


def pick(module: ModuleType, where: str, name: str, others: Callable[[ModuleType], str]) -> Any:
    """What a module has under a name, with dots or without.

    Raises:
        UsageError: nothing; `others` tells what there is.
    """
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise UsageError(f"{where} has no {name!r}{others(module)}") from None
    return found


def _make(function: Callable[[], Any], target: str) -> LocalWorkflow:
    try:
        made = function()
    except Exception as error:
        raise UsageError(f"{target}() failed: {describe(error)}\n{their_part(error)}".rstrip()) from None
    if not isinstance(made, LocalWorkflow):
        raise UsageError(f"{target}() returned {describe_type(made)}, no LocalWorkflow")
    return made


def describe_type(x: Any) -> str:
    return f"of type {type(x).__name__}"


def _others(module: ModuleType) -> str:
    names = [name for name, x in vars(module).items() if isinstance(x, LocalWorkflow)]
    return f"; its workflows are {', '.join(sorted(names))}" if names else ", and no workflow at all"


def load(where: str) -> ModuleType:
    """Import a module by its name (the current directory is looked through too), or run a file."""
    path = Path(where)
    try:
        if where.endswith(".py") or os.sep in where:
            return _load_file(path)
        sys.path.insert(0, os.getcwd())
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name is not None and (where == error.name or where.startswith(f"{error.name}.")):
            hint = f" (there is a file {where}.py here)" if path.with_suffix(".py").is_file() else ""
            raise UsageError(f"there is no module {where!r}{hint}") from None
        raise UsageError(f"{where} can't be imported: {error}\n{their_part(error)}".rstrip()) from None
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(
            f"{where} can't be imported: {describe(error)}\n{their_part(error)}".rstrip()
        ) from None


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    name = path.stem
    if not name.isidentifier() or name in sys.modules:
        name = f"flowy_run_{abs(hash(path.resolve()))}"
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # Workers must not run the file again: it may start a run when it is imported, as scripts do.
    serialization.travel_by_value(module)
    spec.loader.exec_module(module)
    return module


def check_arguments(
    workflow: LocalWorkflow, target: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> None:
    """Tell early what the workflow does not take.

    Raises:
        UsageError: with what it takes.
    """
    signature = workflow.signature()
    if signature is None:
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise UsageError(f"{target} takes {signature}: {error}") from None


def print_failure(target: str, error: BaseException) -> None:
    """What a workflow failed with, and where in the user's code."""
    part = their_part(error)
    kind = "" if isinstance(error, TaskError) else f"{type(error).__name__}: "
    text = str(error) if isinstance(error, TaskError) else describe(error).removeprefix(kind)
    print(f"{part}flowy run: {target} failed: {kind}{text}", file=sys.stderr)


def their_part(error: BaseException) -> str:
    """The traceback without the frames of flowy and of imports."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_theirs(f.filename)]
    if not frames:
        return ""
    return "Traceback (most recent call last):\n" + "".join(traceback.format_list(frames))


def _is_theirs(file: str) -> bool:
    return not (file.startswith((_HERE + os.sep, "<frozen", "flowy/")) or file == importlib.__file__)


def show_value(value: Any) -> str:
    """As JSON where that says all of it, else as Python shows it; with escapes for characters that
    stdout does not have."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        if json.loads(text) == value:
            return text if sayable(text) else json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        pass
    text = repr(value)
    return text if sayable(text) else ascii(value)


# ---------------------------------------------------------------- traces


def on_trace(file: str, act: Callable[[Trace], str]) -> int:
    """Read a trace and print what `act` makes of it; returns the exit status."""
    try:
        made = act(Trace.load(file))
    except UsageError as error:
        print(f"flowy trace: {error}", file=sys.stderr)
        return MISUSED
    except UnicodeDecodeError as error:
        print(f"flowy trace: {file} is no trace: {error}", file=sys.stderr)
        return MISUSED
    except OSError as error:
        print(f"flowy trace: {explain(error)}", file=sys.stderr)
        return FAILED
    say(made)
    return 0


def convert(trace: Trace, target: str) -> str:
    pictures.check_target(target)
    pictures.write(trace, target)
    return ""


def show(trace: Trace) -> str:
    return f"{pictures.show(trace)}\n"


def summary(trace: Trace) -> str:
    """The table by name, the critical path, and where code waited in turn."""
    rows: list[tuple[str, ...]] = [
        ("name", "count", "mean s", "p50 s", "p95 s", "total s", "failed", "retries")
    ]
    for row in trace.summary():
        times = [f"{x:.4g}" for x in (row.mean, row.p50, row.p95, row.total)]
        rows.append((row.name, f"{row.tasks:,}", *times, f"{row.failures:,}", f"{row.retries:,}"))
    path = trace.critical_path()
    lines = [f"{len(trace):,} tasks in {trace.seconds:.4g} s", "", *table(rows)]
    if path.tasks:
        lines += ["", f"critical path: {len(path.tasks):,} tasks, {path.seconds:.4g} s"]
        lines += [f"  {_printable(name)}: {seconds:.4g} s" for name, seconds in path.by_name.items()]
    in_turn = [wait for wait in trace.waits() if wait.alone > 1]
    if in_turn:
        lines += ["", "waits in turn, with nothing else under way: pass the result on instead"]
        for wait in in_turn[:5]:
            where = _printable(f"{wait.line or '?'}: for {wait.name}")
            lines.append(f"  {where}, {wait.alone:,} times of {wait.times:,}, {wait.seconds:.4g} s")
    return "\n".join(lines) + "\n"


def predict(trace: Trace, workers: Sequence[int]) -> str:
    rows = [("workers", "seconds", "busy")]
    for one in trace.predict(workers):
        rows.append((f"{one.workers:,}", f"{one.seconds:.4g}", f"{one.utilisation:.0%}"))
    return "\n".join(table(rows)) + "\n"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns below each other, the first to the left."""
    printable = [[_printable(x) for x in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*printable, strict=True)]
    return [
        "  ".join(
            x.rjust(w) if i else x.ljust(w) for i, (x, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in printable
    ]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
