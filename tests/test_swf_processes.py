"""Deciders and activities in processes of their own, on a local SWF over HTTP.

Owns: what becomes of tasks whose process dies, hangs, is replaced or told to end; that SIGTERM drains;
and that nothing outlives its parent. Times are the machine's: each wait is for a condition.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import swf_shop
from botocore.config import Config
from swf_network import KEYS, WAIT

import flowy
from flowy import swf
from flowy.swf.finding import find_workers
from flowy.swf.kept import KeptRuns
from flowy.testing import LocalSWF
from flowy.testing.swf import SystemClock

pytestmark = pytest.mark.slow

Eventually = Callable[..., bool]


ONCE = Config(retries={"total_max_attempts": 1})  # none of its threads sleeps when a test is over
BRIEF = flowy.SWFActivityConfig("activities", "NONE", "NONE", "NONE", default_start_to_close=1)


class Site:
    """A service, with workers in threads of this process whose tasks are done by others."""

    def __init__(self, local: LocalSWF, url: str) -> None:
        self.local = local
        self.url = url
        self.store: swf.Payloads | None = None
        self.client = self.make_client()
        self.client.register_domain("test")
        self.errors: list[BaseException] = []
        self._ends: list[Callable[[], None]] = []

    def make_client(self) -> swf.SWFClient:
        return swf.SWFClient(config=ONCE, kwargs={**KEYS, "endpoint_url": self.url})

    def decider(self, keep: int = 1000, **given: Any) -> swf.SWFWorkflowWorker:
        worker = find_workers(["swf_shop"]).decider
        assert worker is not None
        worker.kept = KeptRuns(keep)
        worker.payloads = self.store
        self.run(worker, "deciders", **given)
        return worker

    def activities(self, rerun: bool = True, **given: Any) -> swf.SWFActivityWorker:
        """Beats each tenth of a second."""
        found = find_workers(["swf_shop"]).activities
        assert found is not None
        worker = swf.SWFActivityWorker(heartbeat=0.3, rerun_on_worker_death=rerun)
        worker.activities.update(found.activities)
        worker.register(BRIEF, swf_shop.act, 1, "brief")
        worker.payloads = self.store
        self.run(worker, "activities", **given)
        return worker

    def run(self, worker: Any, task_list: str, grace: float = 0.2, **given: Any) -> None:
        client = self.make_client()
        worker.register_remote(client, "test")

        def work() -> None:
            try:
                worker.run_forever(
                    "test", task_list, client, False, register_remote=False, grace=grace, **given
                )
            except BaseException as error:
                self.errors.append(error)

        thread = threading.Thread(target=work, name=f"test-{task_list}")
        thread.start()

        def end() -> None:
            worker.stop()
            thread.join(WAIT)
            assert not thread.is_alive()
            client.close()

        self._ends.append(end)

    def start(self, name: str, *args: Any) -> Any:
        return swf.SWFWorkflowStarter("test", name, 1, self.client)(*args)

    def value(self, name: str, *args: Any) -> Any:
        return self.start(name, *args).wait(WAIT)

    def history(self, run: Any) -> list[dict[str, Any]]:
        return list(self.client.history("test", run.workflow_id, run.run_id))

    def types(self, run: Any) -> list[str]:
        return [event["eventType"] for event in self.history(run)]

    def end(self) -> None:
        """End all workers, those with tasks first."""
        while self._ends:
            self._ends.pop()()


@pytest.fixture
def site() -> Iterator[Site]:
    local = LocalSWF(clock=SystemClock())
    with local.serve() as url:
        made = Site(local, url)
        try:
            yield made
        finally:
            made.end()
            made.client.close()
        assert made.errors == []


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def children(prefix: str = "flowy-") -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(prefix in word for word in process.cmdline()):
                found.append(process)
    return found


# ------------------------------------------------------------------ activities


def test_activities_run_in_processes_that_stay(site: Site) -> None:
    site.decider()
    site.activities(processes=2)
    pids = site.value("Many", 8, "pid")
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2
    assert set(pids) <= {child.pid for child in children("flowy-act")}
    if sys.platform == "linux" and not importlib.util.find_spec("setproctitle"):
        assert {child.name() for child in children("flowy-act")} == {"flowy-act-1", "flowy-act-2"}
    with pytest.raises(flowy.TaskError, match="ValueError: no") as caught:
        site.value("Calls", "fail", "no")
    assert "in do_fail" in caught.value.remote_traceback


def test_long_texts_go_through_the_store(site: Site, tmp_path: Path) -> None:
    site.store = swf.FolderPayloads(tmp_path)
    site.decider(processes=1)
    site.activities(processes=1)
    start = swf.SWFWorkflowStarter("test", "Calls", 1, site.client, payloads=site.store)
    assert start("echo", "x" * 200_000).wait(WAIT) == "x" * 200_000


def test_a_process_that_dies_is_told(site: Site, tmp_path: Path) -> None:
    site.decider()
    site.activities(processes=1)
    tries = tmp_path / "tries"
    with pytest.raises(flowy.TaskError, match="its process exited with code 3"):
        site.value("Calls", "exit", 3, str(tries))
    assert read(tries) == "xxx"
    assert site.value("Calls", "die_once", str(tmp_path / "once")) == "survived"
    assert site.value("Sum", 4) == 14


def test_a_crash_is_told_at_once_if_it_is_not_to_run_again(site: Site, tmp_path: Path) -> None:
    site.decider()
    site.activities(rerun=False, processes=1)
    tries = tmp_path / "tries"
    with pytest.raises(flowy.TaskError, match="its process exited with code 4"):
        site.value("Calls", "exit", 4, str(tries))
    assert read(tries) == "x"
    with pytest.raises(flowy.TaskError, match="its process was killed by SIGSEGV") as caught:
        site.value("Calls", "die", int(signal.SIGSEGV))
    assert "in do_die" in caught.value.remote_traceback
    assert "flowy/swf" not in caught.value.remote_traceback


def test_a_process_that_dies_between_tasks_costs_none(site: Site, eventually: Eventually) -> None:
    site.decider()
    site.activities(rerun=False, processes=1)
    (pid,) = site.value("Many", 1, "pid")
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")
    (other,) = site.value("Many", 1, "pid")
    assert other != pid


def test_a_hung_activity_is_killed_with_what_it_started(
    site: Site, tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowy.swf.slots.CLEAN_UP", 0.5)
    site.decider()
    site.activities(processes=1)
    told = tmp_path / "pids"
    with pytest.raises(flowy.TaskError, match="timed out: start_to_close"):
        site.value("Hurries", "hang", str(told))
    assert site.value("Sum", 4) == 14  # by the same slot
    for pid in map(int, read(told).split()):
        assert eventually(lambda pid=pid: not psutil.pid_exists(pid))


@contextlib.contextmanager
def cut_off(site: Site) -> Iterator[Any]:
    """Nobody hears SWF; how often that was noticed by heartbeats, as `hits`."""
    others = ("poll_for_activity_task", "get_workflow_execution_history")
    beating = site.local.inject("reset", "record_activity_task_heartbeat")
    with beating, site.local.inject("reset", others):
        yield beating


def brief_calls(site: Site, **given: Any) -> None:
    """A decider of one workflow, of an activity that has a second if nothing else is said."""
    config = flowy.SWFWorkflowConfig("deciders", 3600, 10, "TERMINATE")
    config.conf_activity("act", version=1, name="brief", retry=(0,), **given)
    worker = swf.SWFWorkflowWorker()
    worker.register(config, swf_shop.Calls, 1, "Briefly")
    site.run(worker, "deciders")


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowy.swf.slots.CLEAN_UP", 0.1)
    for name in ("LATE", "ANSWER"):
        monkeypatch.setattr(f"flowy.swf.beats.{name}", 0.2)


@pytest.mark.usefixtures("hurried")
def test_a_hung_activity_is_killed_in_time_if_swf_can_not_be_asked(
    site: Site, tmp_path: Path, eventually: Eventually
) -> None:
    site.activities(processes=1)
    brief_calls(site)
    told = tmp_path / "pids"
    run = site.start("Briefly", "hang", str(told))
    assert eventually(lambda: read(told))
    pids = list(map(int, read(told).split()))
    with cut_off(site):
        for pid in pids:
            assert eventually(lambda pid=pid: not psutil.pid_exists(pid))
    with pytest.raises(flowy.TaskError, match="timed out: start_to_close"):
        run.wait(WAIT)
    assert site.value("Briefly", "echo", 1) == 1  # by the same slot


@pytest.mark.usefixtures("hurried")
def test_an_activity_that_was_given_more_time_lives_on_while_swf_can_not_be_asked(
    site: Site, tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flowy.swf import beats

    known = threading.Event()

    def terms_of(*given: Any) -> Any:
        terms = beats.terms_of(*given)
        known.set()
        return terms

    monkeypatch.setattr("flowy.swf.activities.terms_of", terms_of)
    site.activities(processes=1)
    brief_calls(site, start_to_close=600)
    told, go_on = tmp_path / "pid", tmp_path / "go on"
    run = site.start("Briefly", "wait_for", str(go_on), str(told))
    assert known.wait(WAIT)
    with cut_off(site) as beating:
        assert eventually(lambda: beating.hits > 20)  # two seconds and more
    go_on.touch()
    assert run.wait(WAIT) == "seen"


def test_a_cancel_is_delivered_into_the_activity(
    site: Site, tmp_path: Path, eventually: Eventually
) -> None:
    site.decider()
    site.activities(processes=1)
    told = tmp_path / "told"
    run = site.start("Stops", "beat", str(told))
    assert eventually(lambda: read(told) == "runs")
    given = {"domain": "test", "workflowId": run.workflow_id, "signalName": "stop"}
    site.client.call("signal_workflow_execution", **given)
    assert run.wait(WAIT) == "cancelled"
    assert read(told) == "cleaned up"
    assert "ActivityTaskCanceled" in site.types(run)


@pytest.mark.parametrize("limit", [{"max_tasks": 1}, {"max_memory": 1}])
def test_a_process_is_replaced_by_count_and_by_memory(limit: dict[str, Any], site: Site) -> None:
    site.decider()
    site.activities(processes=1, **limit)
    assert len(site.value("Many", 3, "pid")) == 3


def test_what_runs_is_finished_within_the_grace_period(
    site: Site, tmp_path: Path, eventually: Eventually
) -> None:
    site.decider()
    worker = site.activities(processes=1, grace=WAIT)
    runs, go = tmp_path / "runs", tmp_path / "go"
    run = site.start("Calls", "wait_for", str(go), str(runs))
    assert eventually(lambda: read(runs))
    worker.stop()
    go.touch()
    assert run.wait(WAIT) == "seen"


def test_what_runs_longer_is_handed_back_without_an_answer(
    site: Site, tmp_path: Path, eventually: Eventually
) -> None:
    site.decider()
    worker = site.activities(processes=1)
    runs = tmp_path / "runs"
    run = site.start("Calls", "wait_for", str(tmp_path / "never"), str(runs))
    assert eventually(lambda: read(runs))
    pid = int(read(runs))
    worker.stop()
    assert eventually(lambda: not psutil.pid_exists(pid))
    assert eventually(lambda: worker._running is None)
    assert site.types(run)[-1] == "ActivityTaskStarted"  # it will time out, and be tried again
    site.client.call("terminate_workflow_execution", domain="test", workflowId=run.workflow_id)


@pytest.mark.parametrize("kind", ["decider", "activities"])
def test_what_can_not_start_is_told_and_tried_again_ever_later(
    kind: str, site: Site, caplog: pytest.LogCaptureFixture, eventually: Eventually
) -> None:
    worker: Any
    if kind == "decider":
        worker = swf.SWFWorkflowWorker()
        worker.bomb = swf_shop.Bomb()
    else:
        worker = swf.SWFActivityWorker()
        worker.register(swf_shop.activity, swf_shop.Bomb(), 1, "bomb")
    site.run(worker, "list", processes=1)
    text = re.compile(r"started in (\d+\.\d) s")
    assert eventually(lambda: len(text.findall(caplog.text)) >= 3)
    assert caplog.text.count("ValueError: boom") >= 3
    pauses = [float(pause) for pause in text.findall(caplog.text)]
    assert pauses[2] >= pauses[0]  # 0.1 to 0.2 s, then 0.4 to 0.8


def test_what_can_not_travel_is_told() -> None:
    worker = swf.SWFActivityWorker()
    lock = threading.Lock()
    worker.register(swf_shop.activity, lambda: lock, 1, "locked")
    client = swf.SWFClient(LocalSWF().client())
    with pytest.raises(flowy.UsageError, match="lock"):
        worker.run_forever("test", "l", client, False, register_remote=False, processes=1)
    decider = swf.SWFWorkflowWorker()
    decider.register(swf_shop.workflow, swf_shop.Sum, 1)
    with pytest.raises(flowy.UsageError, match=r"give SWFClient\(kwargs="):
        decider.run_forever("test", "l", client, False, register_remote=False, processes=1)
    for given in ({"processes": 0}, {"processes": True}, {"max_tasks": 3}, {"max_memory": 1}):
        with pytest.raises(flowy.UsageError, match="process"):
            decider.run_forever("test", "l", client, False, register_remote=False, **given)


# ------------------------------------------------------------------ deciders


def test_deciders_that_die_are_replaced(site: Site, eventually: Eventually) -> None:
    site.decider(processes=2)
    site.activities(processes=1)
    assert site.value("Sum", 4) == 14
    runs = []
    for _ in range(2):
        runs.append(site.start("Sum", 6))
        assert eventually(lambda: len(children("flowy-dec")) == 2)
        victim = children("flowy-dec")[0]
        victim.kill()
    assert [run.wait(2 * WAIT) for run in runs] == [55, 55]


def test_a_decider_is_replaced_by_count(site: Site) -> None:
    site.decider(keep=0, processes=1, max_tasks=2)  # kept, a task would wait for who has left
    site.activities(processes=1)
    who = set()
    for _ in range(3):
        run = site.start("Sum", 3)
        assert run.wait(WAIT) == 5
        for event in site.history(run):
            if event["eventType"] == "DecisionTaskStarted":
                who.add(event["decisionTaskStartedEventAttributes"]["identity"])
    assert len(who) >= 3


def test_deciders_that_break_their_loop_end_the_whole(site: Site) -> None:
    worker = swf_shop.OneTask()
    worker.register(swf_shop.workflow, swf_shop.Sum, 1)
    worker.register_remote(site.client, "test")
    for _ in range(10):  # who leaves may take one more
        site.start("Sum", 1)
    client = site.make_client()
    worker.run_forever("test", "deciders", client, False, register_remote=False, processes=2, grace=0.2)
    client.close()


# ------------------------------------------------------------------ signals, from the shell


class Command:
    """A decider or worker of the command line."""

    def __init__(self, script: Any, url: str, kind: str, *options: str) -> None:
        path = os.pathsep.join([str(Path(__file__).parent), str(Path(flowy.__file__).parent.parent)])
        self.script = script(
            *(
                "-m",
                "flowy",
                "swf",
                kind,
                "--domain",
                "test",
                "--endpoint-url",
                url,
                *options,
                "swf_shop",
            ),
            PYTHONPATH=path,
        )
        self.process = self.script.process

    def end(self) -> int:
        out, self.errors = self.process.communicate(timeout=WAIT)
        assert out == ""
        return int(self.process.returncode)


def test_sigterm_drains_also_if_all_processes_get_it(
    site: Site, script: Any, tmp_path: Path, eventually: Eventually
) -> None:
    decider = Command(script, site.url, "decider", "--grace", "1")
    worker = Command(script, site.url, "worker", "--grace", "60", "--processes", "2")
    runs, go = tmp_path / "runs", tmp_path / "go"
    run = None
    assert eventually(lambda: registered(site))
    run = site.start("Calls", "wait_for", str(go), str(runs))
    assert eventually(lambda: read(runs))
    for process in (psutil.Process(worker.process.pid), *worker.script.family()):
        process.send_signal(signal.SIGTERM)  # as a service manager does
    go.touch()
    assert run.wait(WAIT) == "seen"
    decider.process.send_signal(signal.SIGTERM)
    for command in (decider, worker):
        if command is worker:  # a poll may have taken up to its end: the second one is in a hurry
            worker.process.send_signal(signal.SIGTERM)
        status = command.end()
        assert status in (0, -signal.SIGTERM)
        assert "Traceback" not in command.errors
        assert eventually(lambda command=command: command.script.family() == [])


def registered(site: Site) -> bool:
    try:
        for name in ("Calls", "Hurries"):
            site.client.describe_workflow_type("test", name, 1)
        return bool(site.client.describe_activity_type("test", "square", 1))
    except swf.Refused:
        return False


@pytest.mark.parametrize("kind", ["decider", "worker"])
def test_nothing_outlives_a_parent_that_is_killed(
    kind: str, site: Site, script: Any, tmp_path: Path, eventually: Eventually
) -> None:
    command = Command(script, site.url, kind, "--processes", "2")
    assert eventually(lambda: len(command.script.family()) == 2)
    if kind == "worker":
        site.decider()
        site.start("Calls", "hang", str(tmp_path / "pids"))
        assert eventually(lambda: read(tmp_path / "pids"))
        assert len(command.script.family()) == 3
    command.process.kill()
    assert command.end() == -signal.SIGKILL
    assert eventually(lambda: command.script.family() == [])


def test_a_second_signal_is_in_a_hurry(
    site: Site, script: Any, tmp_path: Path, eventually: Eventually
) -> None:
    command = Command(script, site.url, "worker", "--grace", "600")
    assert eventually(lambda: len(command.script.family()) == 1)  # its types are registered
    site.decider()
    site.start("Calls", "hang", str(tmp_path / "pids"))
    assert eventually(lambda: read(tmp_path / "pids"))
    command.process.send_signal(signal.SIGTERM)
    assert not eventually(lambda: command.process.poll() is not None, 1)  # it drains
    command.process.send_signal(signal.SIGTERM)
    assert command.end() == -signal.SIGTERM
    assert eventually(lambda: command.script.family() == [])


@pytest.mark.parametrize("kind", ["decider", "worker"])
def test_a_drained_command_ends_well(kind: str, site: Site, script: Any, eventually: Eventually) -> None:
    command = Command(script, site.url, kind, "--grace", "0.2", "--processes", "2")
    assert eventually(lambda: len(command.script.family()) == 2)
    command.process.send_signal(signal.SIGTERM)
    assert command.end() == 0
    assert command.script.family() == []
    assert "Traceback" not in command.errors
