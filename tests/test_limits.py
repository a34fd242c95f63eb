"""Where little is allowed flowy works, or says what to change.

Owns: few file descriptors, few processes, a small /dev/shm, a working directory that can't be written
to or is gone, no HOME.

May not know: which of its parts needs what. Its neighbour is test_large.py, for shared memory that is
missing or full.
"""

from __future__ import annotations

import errno
import os
import subprocess
import textwrap
from typing import Any

import pytest

import flowy
from flowy.local import process

PROGRAM = """
    import os, resource, sys
    import flowy

    def large(n):
        return bytes(n)

    class Code:
        def __init__(self, f, large):
            self.f, self.large = f, large

        def __call__(self):
            values = flowy.wait([self.f(-n) for n in range(1000)])
            sizes = [len(x) for x in flowy.wait([self.large(1 << 20) for _ in range(40)])]
            given = [self.f(len(bytes(1 << 20))) for _ in range(40)]
            return sum(values), sum(sizes), sum(flowy.wait(given))

    def make(workers, **options):
        w = flowy.LocalWorkflow(Code, workers, **options)
        w.conf_activity("f", abs)
        w.conf_activity("large", large)
        return w
"""
GOOD = f"{(499500, 40 << 20, 40 << 20)}\n"


def finished(script: Any, code: str, **environment: str) -> Any:
    return script("-c", textwrap.dedent(PROGRAM + code), **environment).finish()


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_sixty_four_file_descriptors_do(method: str, script: Any) -> None:
    code = f"""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    with make(2, start_method={method!r}) as w:
        print(w.run())
        print(w.run())
    """
    done = finished(script, code)
    assert (done.stdout, done.stderr) == (GOOD * 2, "")


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_too_few_file_descriptors_are_told(method: str, script: Any) -> None:
    """And those that were taken are given back."""
    code = f"""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        try:
            make(40, start_method={method!r}).run()
        except flowy.UsageError as error:
            print(error)
    assert os.listdir("/proc/self/fd") == before
    print(make(4).run())
    """
    done = finished(script, code)
    told = (
        "no room for 40 worker processes, which take 6 file descriptors each: this process may have 64 "
        "open; raise that limit (ulimit -n), or set activity_workers= to fewer\n"
    )
    assert (done.stdout, done.stderr) == (told * 3 + GOOD, "")


def test_a_worker_takes_as_many_descriptors_as_is_said() -> None:
    turns = os.open(os.devnull, os.O_RDWR)
    before = len(os.listdir("/proc/self/fd"))
    worker = process.Worker("spawn", set, turns)
    try:
        assert len(os.listdir("/proc/self/fd")) == before + process.DESCRIPTORS
    finally:
        worker.kill()
        worker.see_off(0.0, lambda: False)
        worker.hang_up()
        os.close(turns)


def test_too_few_processes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> Any:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(process, "_spawn", refuse)
    w = flowy.LocalWorkflow(lambda f: lambda: f(-1), 3)
    w.conf_activity("f", abs)
    with pytest.raises(
        flowy.UsageError, match=r"no further process .* for 3 workers.*activity_workers="
    ):
        w.run()


def test_a_worker_that_can_not_be_replaced_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    w = flowy.LocalWorkflow(lambda f: lambda: [f(-n) for n in range(9)], 2)
    w.conf_activity("f", abs)
    with w:
        workers = list(w._executor._workers)  # type: ignore[union-attr]
        workers[0].kill()
        monkeypatch.setattr(process, "_spawn", refuse)
        assert w.run() == list(range(9))
        workers[1].kill()
        with pytest.raises(flowy.UsageError, match=r"ulimit -n"):
            w.run()
        monkeypatch.undo()
        assert w.run() == list(range(9))


def test_a_small_shared_memory_does(script: Any) -> None:
    """16 MB, as containers have: what does not fit goes to files, with one warning."""
    mount = 'mount -t tmpfs -o size=16m tmpfs /dev/shm && exec "$@"'
    if subprocess.run(["unshare", "-m", "sh", "-c", mount, "-", "true"], capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    code = f"""
    if len(sys.argv) == 1:
        os.execvp("unshare", ["unshare", "-m", "sh", "-c", {mount!r}, "-", sys.executable, "-c",
                              open("/proc/self/cmdline").read().split(chr(0))[2], "again"])
    with make(2) as w:
        print(w.run())
        print(w.run())
    assert not os.listdir("/dev/shm"), os.listdir("/dev/shm")
    """
    done = finished(script, code)
    assert done.stdout == GOOD * 2
    assert done.stderr.count("\n") == done.stderr.count("large values go through files in") <= 1


@pytest.mark.parametrize("where", ["read-only", "gone"])
def test_the_working_directory_does_not_matter(where: str, script: Any) -> None:
    """/proc is one that not even root can write to."""
    go = (
        'os.chdir("/proc")' if where == "read-only" else "os.mkdir('x'); os.chdir('x'); os.rmdir('../x')"
    )
    code = f"""
    {go}
    for name in ("HOME", "TMPDIR", "USER", "LOGNAME"):
        os.environ.pop(name, None)
    print(make(2).run())
    """
    done = finished(script, code)
    assert (done.stdout, done.stderr) == (GOOD, "")
