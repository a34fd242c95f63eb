"""Pools start in a parent whose threads hold locks, as a fork without exec would copy them.

Owns: "threads". Twenty threads hold the locks of logging, of imports and of malloc in turn; if there is
a C compiler, threads of OpenMP are there too. Each start must end, with right values.

May not know: how workers start. Its neighbour is `framework`.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from chaos.framework import Driver, Failed, Figures, scenario, times

FULL = 200
LIMIT = 30.0
"""Seconds, and one for each start, after which a start is taken to hang."""

OPENMP = """
#include <omp.h>
int run(int n) {
    int total = 0;
    #pragma omp parallel for reduction(+:total) num_threads(4)
    for (int i = 0; i < n; i++) total += i & 1;
    return total;
}
"""
PROGRAM = """
    import ctypes, importlib, logging, threading, time
    import flowy

    library = ctypes.CDLL(sys.argv[2]) if sys.argv[2] else None
    ended = threading.Event()

    def log():
        lock = logging._lock
        while not ended.is_set():
            with lock:
                time.sleep(0.002)
            time.sleep(0.001)

    def load():
        while not ended.is_set():
            for name in ("colorsys", "this_is_no_module", "chunk_that_is_not"):
                sys.modules.pop(name, None)
                try:
                    importlib.import_module(name)
                except ImportError:
                    pass
            time.sleep(0.005)

    def allocate():
        while not ended.is_set():
            [bytes(n) for n in (100, 100_000, 300_000, 5_000_000)]
            time.sleep(0.005)

    def compute():
        while not ended.is_set():
            if library is not None:
                library.run(200_000)  # without the GIL, in four threads
            time.sleep(0.005)

    threads = [threading.Thread(target=f) for f in (log, load, allocate, compute) * 5]
    for thread in threads:
        thread.start()
    w = flowy.LocalWorkflow(lambda f: lambda: flowy.wait([f(-n) for n in range(10)]), 2)
    w.conf_activity("f", abs)
    try:
        for _ in range(int(sys.argv[1])):
            began = time.monotonic()
            assert w.run() == list(range(10))
            print(time.monotonic() - began, flush=True)
    finally:
        ended.set()
"""


@scenario("threads")
def start_pools(scale: float) -> Figures:
    n = times(FULL, scale)
    with tempfile.TemporaryDirectory() as folder:
        library = compile_openmp(Path(folder))
        with Driver(PROGRAM, str(n), library) as driver:
            try:
                out, err = driver.process.communicate(timeout=LIMIT + n)
            except subprocess.TimeoutExpired:
                raise Failed(f"a start hangs; {driver.family()}") from None
    took = sorted(float(line) for line in out.split())
    if driver.process.returncode or len(took) != n:
        raise Failed(f"{len(took)} of {n} starts; {err}")
    return {
        "starts": n,
        "threads": "20" + (" and OpenMP's" if library else ", no OpenMP here"),
        "a start with its run took (median, most)": f"{took[n // 2]:.2f}, {took[-1]:.2f} s",
    }


def compile_openmp(folder: Path) -> str:
    """The path of a small library that uses OpenMP; nothing if it can't be made here."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    source, library = folder / "openmp.c", folder / "openmp.so"
    source.write_text(OPENMP)
    if compiler is None:
        return ""
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-fopenmp", "-o", library, source], capture_output=True
    )
    return str(library) if done.returncode == 0 else ""
