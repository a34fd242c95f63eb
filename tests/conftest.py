"""What every test gets: nothing may be left behind, and engines to run workflows on.

Owns: the footprint of this process (children, threads, file descriptors, /dev/shm and the
temporary folder) and the check after each test that it has not grown; the fixtures `engine`,
`build`, `eventually`, `footprint` and `script`.

May not know: how flowy is made inside. It sees flowy only through its public names and the
operating system.

Things may take a moment to go, so the check waits for them, not for a time: up to `PATIENCE`
seconds. The temporary folder is one of this session's own, and an entry of /dev/shm that a process
of somebody else holds is not ours, so other work on the machine does not show.
"""

from __future__ import annotations

import _thread
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import settings

import flowy

# The same examples each time, so that a check of the same tree says the same twice; `make test-long`
# looks for new ones.
settings.register_profile("fixed", derandomize="FLOWY_LONG" not in os.environ)
settings.load_profile("fixed")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background so, and what that starts inherits it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

PATIENCE = 2.0  # seconds that a leftover may take to go
STEP = 0.01  # seconds between two looks
LIMIT = 60.0  # seconds after which a script or a condition is taken to hang
EXECUTORS = ("inline", "threads", "processes")
SHM = Path("/dev/shm")
FDS = Path("/proc/self/fd")
# The standard library starts this helper once and keeps it for the life of the process.
STANDARD_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def wait_until(condition: Callable[[], object], seconds: float = LIMIT) -> bool:
    """Wait until `condition()` is true; False if `seconds` went by before it was."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return bool(condition())
        time.sleep(STEP)
    return True


@dataclass(frozen=True)
class Footprint:
    """What this process holds that others can see."""

    children: dict[int, str] = field(default_factory=dict)
    threads: dict[int, str] = field(default_factory=dict)
    hidden_threads: int = 0  # started below `threading`
    descriptors: dict[int, str] = field(default_factory=dict)
    shared: frozenset[str] = frozenset()
    temporary: frozenset[str] = frozenset()

    @classmethod
    def now(cls) -> Footprint:
        threads = {t.ident or 0: t.name for t in threading.enumerate()}
        return cls(
            children=_children(),
            threads=threads,
            hidden_threads=max(0, _thread._count() + 1 - len(threads)),
            descriptors=_descriptors(),
            shared=frozenset(os.listdir(SHM)) if SHM.is_dir() else frozenset(),
            temporary=frozenset(os.listdir(tempfile.gettempdir())),
        )

    def left_since(self, before: Footprint) -> list[str]:
        """What is here and was not `before`, a line each."""
        lines = []
        for what, here, there in (
            ("process", self.children, before.children),
            ("thread", self.threads, before.threads),
            ("file descriptor", self.descriptors, before.descriptors),
        ):
            lines += [f"{what} {n}: {here[n]}" for n in here if there.get(n) != here[n]]
        if self.hidden_threads > before.hidden_threads:
            lines.append(f"{self.hidden_threads - before.hidden_threads} threads without a name")
        lines += [f"{SHM}/{name}" for name in self.shared - before.shared if not _foreign(name)]
        lines += [f"temporary {name}" for name in self.temporary - before.temporary]
        return lines


def _children() -> dict[int, str]:
    """The processes below this one, by process id."""
    found = {}
    for child in psutil.Process().children(recursive=True):
        try:
            command = " ".join(child.cmdline())
        except psutil.ZombieProcess:
            command = "ended, but nobody waited for it"
        except psutil.NoSuchProcess:
            continue
        if not any(helper in command for helper in STANDARD_HELPERS):
            found[child.pid] = f"{command}, started {child.create_time()}"
    return found


def _descriptors() -> dict[int, str]:
    """The open file descriptors, with what each one is."""
    if not FDS.is_dir():
        return dict.fromkeys(range(psutil.Process().num_fds()), "")
    found = {}
    for name in os.listdir(FDS):
        try:
            found[int(name)] = os.readlink(FDS / name)
        except OSError:
            continue  # the one that lists the folder
    tracker = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", 0)
    found.pop(getattr(tracker, "_fd", None) or -1, None)
    return found


def _foreign(name: str) -> bool:
    """Whether the entry `name` of /dev/shm is gone, or held by a process that is not ours."""
    if not (SHM / name).exists():
        return True
    ours = {os.getpid(), *_children()}
    wanted = str(SHM / name)
    for process in psutil.process_iter():
        if process.pid not in ours:
            try:
                if any(m.path == wanted for m in process.memory_maps(grouped=True)):
                    return True
                if any(f.path == wanted for f in process.open_files()):
                    return True
            except psutil.Error:
                continue
    return not (SHM / name).exists()  # it may have gone while we looked


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the session a temporary folder that nobody else writes to."""
    folder = str(tmp_path_factory.mktemp("tmp"))
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    yield
    tempfile.tempdir = before[0]
    if before[1] is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = before[1]
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def nothing_is_left(own_temporary_folder: None) -> Iterator[None]:
    """Fail a test that leaves a process, thread, descriptor, segment or file behind."""
    before = Footprint.now()
    yield
    if not wait_until(lambda: not Footprint.now().left_since(before), PATIENCE):
        left = Footprint.now().left_since(before)
        if left:
            pytest.fail("left behind:\n  " + "\n  ".join(left))


@pytest.fixture
def footprint() -> Callable[[], Callable[[], list[str]]]:
    """`left = footprint()` remembers now; `left()` is what came since and does not go."""

    def remember() -> Callable[[], list[str]]:
        before = Footprint.now()

        def left() -> list[str]:
            wait_until(lambda: not Footprint.now().left_since(before), PATIENCE)
            return Footprint.now().left_since(before)

        return left

    return remember


@pytest.fixture
def eventually() -> Callable[..., bool]:
    """`eventually(condition, seconds=60)`: wait until the condition is true, and say if it is."""
    return wait_until


def build_engine(
    factory: Callable[..., Any], executor: Any = "inline", /, **activities: Callable[..., Any]
) -> flowy.LocalWorkflow:
    """A workflow of `factory` on two workers, with `activities` as its dependencies."""
    w = flowy.LocalWorkflow(factory, activity_workers=2, executor=executor)
    for name, activity in activities.items():
        w.conf_activity(name, activity)
    return w


@pytest.fixture
def build() -> Callable[..., flowy.LocalWorkflow]:
    """`build(Factory, 'threads', square=square)`: a workflow on an executor of one's choice."""
    return build_engine


@pytest.fixture(params=EXECUTORS)
def engine(request: pytest.FixtureRequest) -> Callable[..., flowy.LocalWorkflow]:
    """`engine(Factory, square=square)`: a workflow, once on each kind of executor."""

    def make(factory: Callable[..., Any], /, **activities: Callable[..., Any]) -> Any:
        return build_engine(factory, request.param, **activities)

    return make


@dataclass
class Script:
    """A Python process that runs a script of a test, and the processes that came of it."""

    process: subprocess.Popen[str]
    mark: str

    def finish(self, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Wait for its end and return code, output and errors."""
        out, err = self.process.communicate(stdin, timeout=LIMIT)
        return subprocess.CompletedProcess(self.process.args, self.process.returncode, out, err)

    def family(self) -> list[psutil.Process]:
        """The living processes that descend from it, also when it is itself gone."""
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    process.pid != self.process.pid
                    and process.environ().get("FLOWY_TEST_MARK") == self.mark
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def close(self) -> None:
        """End whatever is left of it."""
        for process in self.family():
            process.kill()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[..., Script]]:
    """`script('-c', code)` starts this Python with these arguments; all ends with the test."""
    started: list[Script] = []

    def start(*arguments: str, **environment: str) -> Script:
        mark = uuid.uuid4().hex
        package = str(Path(flowy.__file__).parent.parent)
        path = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH")) if p)
        env = os.environ | {"FLOWY_TEST_MARK": mark, "PYTHONPATH": path} | environment
        env.pop("PYTHONUNBUFFERED", None)
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=env,
        )
        started.append(Script(process, mark))
        return started[-1]

    yield start
    for one in started:
        one.close()
