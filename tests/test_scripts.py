"""A workflow runs wherever Python code can be: no guard, no module, no file needed.

Owns: the example of the README as a script, on stdin, in an interactive interpreter and in a
namespace like a notebook's, under each start method; what may be an activity (lambdas, closures,
bound methods, callable objects, builtins); classes of `__main__` as argument, result, exception.

May not know: how functions travel. Scripts are run by a fresh interpreter (`script`) in an empty
folder; what they print is compared.
Its neighbour is test_leftovers.py, which looks at what such interpreters leave.
"""

from __future__ import annotations

import functools
import operator
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flowy

START_METHODS = ("spawn", "fork")

EXAMPLE = """
import flowy

def square(n):
    return n * n

def add(a, b):
    return a + b

class SumOfSquares:
    def __init__(self, square, add):
        self.square = square
        self.add = add
{gap}
    def __call__(self, a, b):
        return self.add(self.square(a), self.square(b))

w = flowy.LocalWorkflow(SumOfSquares{options})
w.conf_activity('square', square)
w.conf_activity('add', add)
print(w.run(2, 10))          # 104; the two squares ran at the same time
"""


def example(options: str = "") -> str:
    return EXAMPLE.format(gap="", options=options)


def run(started: Any, stdin: str | None = None) -> str:
    """The output of a script, which must end well and say nothing on stderr."""
    done = started.finish(stdin)
    assert (done.returncode, done.stderr) == (0, "")
    return str(done.stdout)


def as_file(script: Any, folder: Path, code: str) -> str:
    (folder / "pasted.py").write_text(code)
    return run(script("pasted.py"))


def on_stdin(script: Any, folder: Path, code: str) -> str:
    return run(script("-"), code)


def interactive(script: Any, folder: Path, code: str) -> str:
    """Statement by statement; an empty line ends each one, so none may be inside a class."""
    code = code.replace("\n\n    def", "\n    def")
    done = script("-i", "-q").finish(code)
    assert done.returncode == 0
    assert "Error" not in done.stderr
    return str(done.stdout)


def in_a_namespace(script: Any, folder: Path, code: str) -> str:
    return run(script("-c", f"exec({code!r}, {{'__name__': '__main__'}})"))


def in_a_nameless_namespace(script: Any, folder: Path, code: str) -> str:
    return run(script("-c", f"exec({code!r}, {{}})"))


def in_cells(script: Any, folder: Path, code: str) -> str:
    """Cell by cell in the namespace of `__main__`, as notebooks do."""
    cells = code.replace("\n\n    def", "\n    def").split("\n\n")
    loop = f"for cell in {cells!r}: exec(compile(cell, '<cell>', 'exec'), vars(__main__))"
    return run(script("-c", f"import __main__\n{loop}"))


def by_option(script: Any, folder: Path, code: str) -> str:
    return run(script("-c", code))


def as_a_module(script: Any, folder: Path, code: str) -> str:
    (folder / "pasted.py").write_text(code)
    return run(script("-m", "pasted"))


WAYS = (
    as_file,
    on_stdin,
    interactive,
    in_a_namespace,
    in_a_nameless_namespace,
    in_cells,
    by_option,
    as_a_module,
)
Way = Callable[[Any, Path, str], str]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
methods = pytest.mark.parametrize("method", START_METHODS)


def test_the_example_as_it_stands(script: Any, tmp_path: Path) -> None:
    assert as_file(script, tmp_path, example()) == "104\n"


@methods
@ways
def test_the_example_runs_anywhere(way: Way, method: str, script: Any, tmp_path: Path) -> None:
    assert way(script, tmp_path, example(f", start_method='{method}'")) == "104\n"


@pytest.mark.parametrize("executor", ["inline", "threads"])
@pytest.mark.parametrize("way", [as_file, interactive, in_a_namespace])
def test_the_example_on_other_executors(way: Way, executor: str, script: Any, tmp_path: Path) -> None:
    assert way(script, tmp_path, example(f", executor='{executor}'")) == "104\n"


@methods
def test_workers_do_not_run_the_script(method: str, script: Any, tmp_path: Path) -> None:
    """Not its top level, which would say so, and under `spawn` not even as another module."""
    code = "print('the script runs')\nimport sys\nwhere = sys.argv\n"
    code += example(f", start_method='{method}'")
    code += "print('and ends')\n"
    assert as_file(script, tmp_path, code) == "the script runs\n104\nand ends\n"


@methods
def test_activities_run_in_other_processes(method: str, script: Any, tmp_path: Path) -> None:
    code = f"""
    import os
    import flowy

    w = flowy.LocalWorkflow(lambda pid: lambda: [pid() for _ in range(20)], start_method='{method}')
    w.conf_activity('pid', os.getpid)
    print(os.getpid() in w.run())
    """
    assert as_file(script, tmp_path, textwrap.dedent(code)) == "False\n"


@methods
def test_what_activities_print_is_not_lost(method: str, script: Any, tmp_path: Path) -> None:
    """Also where stdout is a pipe and buffers: each line comes once."""
    code = f"""
    import flowy

    print('before')
    w = flowy.LocalWorkflow(lambda say: lambda: [say(f'line {{n}}') for n in range(10)],
                            start_method='{method}')
    w.conf_activity('say', lambda text: print(text))
    w.run()
    """
    lines = as_file(script, tmp_path, textwrap.dedent(code)).splitlines()
    assert sorted(lines) == sorted(["before", *(f"line {n}" for n in range(10))])


# -- what may be an activity ------------------------------------------------------------------


class Counter:
    def __init__(self, step: int) -> None:
        self.step = step

    def add(self, n: int) -> int:
        return n + self.step

    def __call__(self, n: int) -> int:
        return n + self.step

    @classmethod
    def of_class(cls, n: int) -> int:
        return n + len([cls])

    @staticmethod
    def of_nobody(n: int) -> int:
        return n + 1


def wrapped_without_its_name(f: Callable[[Any, int], int]) -> Callable[[Any, int], int]:
    def wrapper(self: Any, n: int) -> int:
        return f(self, n)

    return wrapper


class HundredMore(Counter):
    """Its methods are not where their names are looked up."""

    def add(self, n: int) -> int:
        return n + 100

    def of_super(self) -> Callable[[int], int]:
        return super().add

    def __private(self, n: int) -> int:
        return n + self.step

    def private(self) -> Callable[[int], int]:
        return self.__private

    @wrapped_without_its_name
    def wrapped(self, n: int) -> int:
        return n + self.step


def plus(step: int) -> Callable[[int], int]:
    def closure(n: int) -> int:
        return n + step

    return closure


def defaults(n: int, step: int = 1) -> int:
    return n + step


def recursive(n: int) -> int:
    return 1 if n == 0 else recursive(n - 1) + 1


@functools.lru_cache
def cached(n: int) -> int:
    return n + 1


async def awaited(n: int) -> int:
    return n + 1


def one_more(f: Callable[[int], int]) -> Callable[[int], int]:
    @functools.wraps(f)
    def wrapper(n: int) -> int:
        return f(n) + 1

    return wrapper


@one_more
def decorated(n: int) -> int:
    return n


ACTIVITIES: dict[str, Callable[[int], Any]] = {
    "a lambda": lambda n: n + 1,
    "a function with a default": defaults,
    "a closure": plus(1),
    "a bound method": Counter(1).add,
    "a method of a base class": HundredMore(1).of_super(),
    "a private method": HundredMore(1).private(),
    "a method of another name": HundredMore(1).wrapped,
    "a method that is put on": types.MethodType(lambda self, n: n + self.step, Counter(1)),
    "a partial of a method": functools.partial(HundredMore(1).of_super()),
    "a callable object": Counter(1),
    "a class method": Counter.of_class,
    "a static method": Counter.of_nobody,
    "a partial": functools.partial(operator.add, 1),
    "a builtin": (1).__add__,
    "a recursive function": recursive,
    "a cached function": cached,
    "a decorated function": decorated,
    "a coroutine function": awaited,
    "a class": lambda n: type("Local", (Counter,), {})(1)(n),
}


class Each:
    def __init__(self, activity: Callable[..., Any]) -> None:
        self.activity = activity

    def __call__(self, n: int) -> list[Any]:
        return [self.activity(k) for k in range(n)]


@pytest.mark.parametrize("what", ACTIVITIES)
def test_what_may_be_an_activity(what: str, engine: Any) -> None:
    assert engine(Each, activity=ACTIVITIES[what]).run(3) == [1, 2, 3]


@pytest.mark.parametrize("kind", [complex, str, len])
def test_classes_and_builtins_may_be_activities(kind: Callable[..., Any], engine: Any) -> None:
    class Once:
        def __init__(self, activity: Callable[..., Any]) -> None:
            self.activity = activity

        def __call__(self, x: Any) -> Any:
            return self.activity(x)

    assert engine(Once, activity=kind).run("12") == kind("12")


@methods
@pytest.mark.parametrize("way", [as_file, on_stdin, in_a_namespace, in_cells])
def test_activities_of_a_script(way: Way, method: str, script: Any, tmp_path: Path) -> None:
    """Each needs something of the script: a global, a helper, another class, an import."""
    code = f"""
    import math
    import flowy

    STEP = 1

    def helper(n):
        return n + STEP

    def uses_a_helper(n):
        return helper(n) + int(math.sqrt(0))

    class Counter:
        def __init__(self, step):
            self.step = step
        def add(self, n):
            return helper(n) - 1 + self.step
        def __call__(self, n):
            return self.add(n)

    class SubCounter(Counter):
        def add(self, n):
            return super().add(n)

    def plus(step):
        return lambda n: n + step * STEP

    activities = [helper, uses_a_helper, Counter(1).add, Counter(1), SubCounter(1), plus(1)]

    names = [f'a{{n}}' for n in range(len(activities))]

    def factory(**dependencies):
        return lambda: [dependencies[name](1) for name in names]

    w = flowy.LocalWorkflow(factory, start_method='{method}')

    for name, activity in zip(names, activities): w.conf_activity(name, activity)

    print(w.run())
    """
    assert way(script, tmp_path, textwrap.dedent(code)) == f"{[2] * 6}\n"


# -- classes of `__main__` --------------------------------------------------------------------

MAIN_CLASSES = """
from dataclasses import dataclass, field
from collections import namedtuple
from enum import Enum
import flowy

@dataclass
class Point:
    x: int
    y: object = None

class Trouble(Exception):
    def __init__(self, point):
        super().__init__(f'trouble at {{point.x}}')
        self.point = point
    def __reduce__(self):
        return Trouble, (self.point,)

class Color(Enum):
    RED = 1

Pair = namedtuple('Pair', 'left right')

def move(point):
    assert isinstance(point, Point), type(point)
    return Point(point.x + 1, point.y)

def describe(thing):
    return [isinstance(thing['pair'], Pair), thing['color'] is Color.RED, thing['pair'].left]

def fail(point):
    raise Trouble(point)

class Workflow:
    def __init__(self, move, describe, fail):
        self.move = move
        self.describe = describe
        self.fail = fail

    def __call__(self, point):
        moved = self.move(self.move(point))
        deep = self.describe({{'pair': Pair(Point(1, moved), [point]), 'color': Color.RED}})
        try:
            flowy.wait(self.fail(moved))
        except flowy.TaskError as error:
            cause = error.__cause__
        points = [self.move(Point(n)) for n in range(500)]
        return moved, deep, cause, points

w = flowy.LocalWorkflow(Workflow, start_method='{method}')
w.conf_activity('move', move)
w.conf_activity('describe', describe)
w.conf_activity('fail', fail)
moved, deep, cause, points = w.run(Point(1))
print(type(moved) is Point, moved)
print(deep[:2], type(deep[2]) is Point, deep[2])
print(type(cause) is Trouble, cause, type(cause.point) is Point)
print([p.x for p in points] == list(range(1, 501)), {{type(p) is Point for p in points}})
"""
MAIN_CLASSES_PRINT = """\
True Point(x=3, y=None)
[True, True] True Point(x=1, y=Point(x=3, y=None))
True trouble at 3 True
True {True}
"""


@methods
@pytest.mark.parametrize("way", [as_file, on_stdin, in_a_namespace, in_cells, as_a_module])
def test_classes_of_main_travel(way: Way, method: str, script: Any, tmp_path: Path) -> None:
    """As argument, result and exception, also deep in containers, and come back as they were."""
    code = MAIN_CLASSES.format(method=method)
    assert way(script, tmp_path, code) == MAIN_CLASSES_PRINT


@methods
def test_a_class_of_main_that_is_changed_between_runs(method: str, script: Any, tmp_path: Path) -> None:
    """A notebook's cell is run again with a new definition; warm workers use the new one."""
    code = f"""
    import flowy

    w = flowy.LocalWorkflow(lambda do: lambda *a: do(*a), start_method='{method}')
    w.conf_activity('do', lambda f, x: f(x))
    with w:
        for step in (1, 2):
            class Adder:
                def __init__(self, n):
                    self.n = n
                def total(self, step=step):
                    return self.n + step
            def f(x, step=step):
                return x.total(), step
            print(w.run(f, Adder(10)))
    """
    assert as_file(script, tmp_path, textwrap.dedent(code)) == "(11, 1)\n(12, 2)\n"


@methods
def test_a_module_beside_the_script_can_be_imported_by_activities(
    method: str, script: Any, tmp_path: Path
) -> None:
    """Workers look for modules where the script does."""
    (tmp_path / "beside.py").write_text("def triple(n):\n    return 3 * n\n")
    code = f"""
    import flowy
    import beside

    w = flowy.LocalWorkflow(lambda triple, late: lambda n: [triple(n), late(n)],
                            start_method='{method}')
    w.conf_activity('triple', beside.triple)

    def late(n):
        import beside
        return beside.triple(n)

    w.conf_activity('late', late)
    print(w.run(2))
    """
    assert as_file(script, tmp_path, textwrap.dedent(code)) == "[6, 6]\n"


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_a_workflow_defined_in_a_function(executor: str) -> None:
    """Factory, activity and class are all local to this test."""
    factor = 3

    def times(n: int) -> int:
        return n * factor

    class Local:
        def __init__(self, times: Callable[..., Any]) -> None:
            self.times = times

        def __call__(self, n: int) -> Any:
            return self.times(self.times(n))

    w = flowy.LocalWorkflow(Local, activity_workers=2, executor=executor)
    w.conf_activity("times", times)
    assert w.run(2) == 18


IMPORTED = """
import sys
import flowy
slow = {'asyncio', 'boto3', 'cloudpickle', 'concurrent.futures.process', 'multiprocessing', 'numpy',
        'subprocess', 'uuid'}
print(sorted(slow & set(sys.modules)))
"""


def test_import_is_light(script: Callable[..., Any]) -> None:
    """What takes long to import comes in when it is needed."""
    assert run(script("-c", IMPORTED)) == "[]\n"


@pytest.mark.parametrize("given", ["n", "n, b'x' * 100_000"], ids=["small", "large"])
def test_a_traceback_has_the_file_and_the_line(script: Any, tmp_path: Path, given: str) -> None:
    """Also of functions that travel by value, with a large argument or without."""
    code = f"""
import flowy

def fails(n, more=None):
    raise ValueError(n)  # this line

class One:
    def __init__(self, fails):
        self.fails = fails

    def __call__(self, n):
        return self.fails({given})

w = flowy.LocalWorkflow(One)
w.conf_activity('fails', fails)
try:
    w.run(7)
except flowy.TaskError as error:
    print(error.remote_traceback)
"""
    (tmp_path / "failing.py").write_text(code)
    told = run(script("failing.py"))
    assert 'failing.py", line 5, in fails\n    raise ValueError(n)  # this line\n' in told
