"""Activities that work in parallel themselves.

Owns: `multiprocessing`, `concurrent.futures`, `subprocess` and flowy itself inside an activity, with
each start method; how many threads libraries are told to start.

May not know: how workers are started.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from concurrent import futures
from typing import Any

import pytest

import flowy
from flowy.local import cpus

PROCESSES = ("spawn", "fork")
METHODS = ("fork", "spawn", "forkserver")
EXPECTED = [1, 1, 2, 6, 24]


class One:
    def __init__(self, work: Callable[..., Any]) -> None:
        self.work = work

    def __call__(self, *args: Any) -> Any:
        return self.work(*args)


def run(method: str, work: Callable[..., Any], *args: Any) -> Any:
    w = flowy.LocalWorkflow(One, 1, start_method=method)  # type: ignore[arg-type]
    w.conf_activity("work", work)
    return w.run(*args)


def in_pool(method: str) -> list[int]:
    # Python 3.12 and later warn of a fork beside threads, and a forked worker has the filters of pytest.
    warnings.simplefilter("ignore", DeprecationWarning)
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(math.factorial, range(5))


def in_executor(method: str) -> list[int]:
    warnings.simplefilter("ignore", DeprecationWarning)
    context = multiprocessing.get_context(method)
    with futures.ProcessPoolExecutor(2, context) as executor:
        return list(executor.map(math.factorial, range(5)))


def in_threads() -> list[int]:
    with futures.ThreadPoolExecutor(2) as executor:
        return list(executor.map(math.factorial, range(5)))


def in_subprocess() -> str:
    return subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True, text=True).stdout


@pytest.mark.parametrize("inner", METHODS)
@pytest.mark.parametrize("method", PROCESSES)
def test_multiprocessing_in_an_activity(method: str, inner: str) -> None:
    assert run(method, in_pool, inner) == EXPECTED
    assert run(method, in_executor, inner) == EXPECTED


@pytest.mark.parametrize("method", PROCESSES)
def test_threads_and_subprocesses_in_an_activity(method: str) -> None:
    assert run(method, in_threads) == EXPECTED
    assert run(method, in_subprocess) == "7\n"


def in_flowy(method: str) -> int:
    warnings.simplefilter("ignore", DeprecationWarning)
    logging.getLogger("nested").warning("around")
    value: int = run(method, warn, -3)
    return value


def warn(n: int) -> int:
    logging.getLogger("nested").warning("inside")
    return -n


@pytest.mark.parametrize("inner", PROCESSES)
@pytest.mark.parametrize("method", PROCESSES)
def test_flowy_in_an_activity(method: str, inner: str, caplog: pytest.LogCaptureFixture) -> None:
    """Records of the inner workers come too: they are those of the outer task."""
    assert run(method, in_flowy, inner) == 3
    records: list[Any] = caplog.records
    assert [(r.getMessage(), r.flowy_task) for r in records] == [
        ("around", "work-0-0"),
        ("inside", "work-0-0"),
    ]


@pytest.mark.parametrize("method", PROCESSES)
def test_what_an_activity_starts_does_not_run_the_script_again(method: str, script: Any) -> None:
    """Also without a guard, in a file that `multiprocessing` would import."""
    code = f"""
        import math, multiprocessing, flowy
        print('top', flush=True)

        class One:
            def __init__(self, work): self.work = work
            def __call__(self): return self.work()

        def work():
            with multiprocessing.get_context('spawn').Pool(1) as pool:
                return pool.map(math.factorial, range(5))

        w = flowy.LocalWorkflow(One, 1, start_method={method!r})
        w.conf_activity('work', work)
        print(w.run())
    """
    where = script("-c", "import os; print(os.getcwd())").finish().stdout.strip()
    path = os.path.join(where, "unguarded.py")
    with open(path, "w") as file:
        file.write(textwrap.dedent(code))
    done = script(path).finish()
    assert (done.stdout, done.stderr) == (f"top\n{EXPECTED}\n", "")


def variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.endswith("_THREADS")}


NAMES = {
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
}


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("method", PROCESSES)
@pytest.mark.parametrize(("allowed", "threads"), [(1, "1"), (2, "2"), (5, "5")])
def test_libraries_get_their_share_of_the_cpus(
    method: str, allowed: int, threads: str, no_variables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpus, "available", lambda: allowed)
    assert run(method, variables) == dict.fromkeys(NAMES, threads)
    assert not NAMES & set(os.environ)


@pytest.mark.parametrize("method", PROCESSES)
def test_what_the_user_set_stays(
    method: str, no_variables: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Libraries that go by OMP_NUM_THREADS are left to it, if it is set."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("POLARS_MAX_THREADS", "4")
    found = run(method, variables)
    assert (found["OMP_NUM_THREADS"], found["POLARS_MAX_THREADS"]) == ("3", "4")
    assert "OPENBLAS_NUM_THREADS" not in found
    assert "RAYON_NUM_THREADS" in found
