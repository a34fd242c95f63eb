"""The client, the registration of types, and what activity workers and deciders answer to odd tasks.

Owns: single calls and single tasks, where `test_swf_network` runs whole workflows.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from swf_network import ACTIVITIES, DECIDERS, DOMAIN, KEYS, WAIT, activity_config, site, workflow_config

import flowy
from flowy import swf
from flowy.swf.history import attributes_of
from flowy.swf.kept import KeptRuns
from flowy.testing import LocalSWF
from flowy.testing.swf import Limits, SystemClock

ONCE = Config(retries={"total_max_attempts": 1})


class One:
    """A workflow of one call."""

    def __init__(self, act: Any) -> None:
        self.act = act

    def __call__(self, *args: Any) -> Any:
        return self.act(*args)


class Bench:
    """One workflow and one activity, answered by hand."""

    def __init__(self, function: Any, *, payloads: Any = None, **given: Any) -> None:
        self.local = LocalSWF()
        self.client = swf.SWFClient(self.local.client(ONCE))
        self.client.register_domain(DOMAIN)
        self.decider = swf.SWFWorkflowWorker(payloads=payloads)
        config = workflow_config()
        config.conf_activity("act", version=1, retry=(0,))
        self.decider.register(config, One, 1)
        self.worker = swf.SWFActivityWorker(payloads=payloads, **given)
        self.worker.register(activity_config(), function, 1, "act")
        for worker in (self.decider, self.worker):
            worker.register_remote(self.client, DOMAIN)
        self.start = swf.SWFWorkflowStarter(DOMAIN, "One", 1, self.client, payloads=payloads)
        self.run: Any = None

    def play(self, *args: Any) -> Any:
        """The value of a whole run."""
        self.run = self.start(*args)
        self.decide()
        self.act()
        self.decide()
        return self.run.wait(0)

    def decide(self) -> bool:
        return self.decider.run_once(DOMAIN, DECIDERS, self.client)

    def act(self) -> bool:
        return self.worker.run_once(DOMAIN, ACTIVITIES, self.client)

    def events(self) -> list[dict[str, Any]]:
        return list(self.client.history(DOMAIN, self.run.workflow_id, self.run.run_id))

    def only(self, type: str) -> Any:
        (event,) = [event for event in self.events() if event["eventType"] == type]
        return attributes_of(event)

    def raw(self, input: str, name: str = "One") -> None:
        """Start with this text as input."""
        given = self.client.start_workflow_execution(DOMAIN, "raw", name, 1, input=input)
        self.run = type("Raw", (), {"workflow_id": "raw", "run_id": given["runId"]})


@pytest.fixture
def over_http() -> Iterator[tuple[LocalSWF, swf.SWFClient]]:
    local = LocalSWF()
    with local.serve() as url:
        client = swf.SWFClient(config=ONCE, kwargs={**KEYS, "endpoint_url": url})
        client.register_domain(DOMAIN)
        yield local, client
        client.close()


# ------------------------------------------------------------------ the client


def test_without_boto3_the_names_say_what_to_install() -> None:
    code = """
import sys
sys.modules["boto3"] = None
import flowy, flowy.swf
flowy.SWFWorkflowWorker, flowy.SWFActivityWorker
for name in ("SWFClient", "SWFWorkflowStarter"):
    try:
        getattr(flowy, name)
    except ImportError as error:
        assert "pip install 'flowy[swf]'" in str(error), error
    else:
        raise SystemExit(f"{name} is there")
try:
    flowy.SWFWorkflowWorker().run_forever("domain", "list")
except ImportError as error:
    assert "pip install 'flowy[swf]'" in str(error), error
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_flowy_imports_no_boto3() -> None:
    code = """
import sys, flowy
flowy.SWFWorkflowWorker, flowy.SWFActivityWorker
assert not {"boto3", "botocore", "asyncio", "numpy"} & set(sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_histories_are_read_raw_and_other_replies_by_botocore(over_http: Any) -> None:
    _, client = over_http
    client.register_type("workflow", DOMAIN, "One", "1", workflow_config().defaults)
    run = client.start_workflow_execution(DOMAIN, "w", "One", 1, input="[[], {}]")["runId"]
    events = list(client.history(DOMAIN, "w", run))
    task = client.poll_for_decision_task(DOMAIN, DECIDERS)
    assert [type(event["eventTimestamp"]) for event in (*events, *task["events"])] == [float] * 5
    assert task["ResponseMetadata"]["HTTPStatusCode"] == 200
    said = client.describe_workflow_execution(DOMAIN, "w", run)
    assert said["executionInfo"]["startTimestamp"].timestamp() == events[0]["eventTimestamp"]


def test_polls_are_not_tried_again_below_and_other_calls_are(over_http: Any) -> None:
    local, _ = over_http
    with local.serve() as url:
        client = swf.SWFClient(kwargs={**KEYS, "endpoint_url": url})
        with local.inject("unavailable", "poll_for_decision_task", times=1) as fault:
            with pytest.raises(swf.Unreachable):
                client.poll_for_decision_task(DOMAIN, DECIDERS)
            assert fault.hits == 1
        with local.inject("unavailable", "register_domain", times=1) as fault:
            client.register_domain("another")
            assert fault.hits == 1
        assert client.polls.meta.config.read_timeout == 70
        client.close()


@pytest.mark.parametrize("fault", ["throttle", "server_error", "unavailable", "reset", "lost_reply"])
def test_what_may_pass_is_unreachable(over_http: Any, fault: str) -> None:
    local, client = over_http
    with local.inject(fault), pytest.raises(swf.Unreachable):
        client.find_run(DOMAIN, "any")


def test_nobody_there_is_unreachable_and_a_refusal_says_its_kind(over_http: Any) -> None:
    _, client = over_http
    with pytest.raises(swf.Refused, match="UnknownResourceFault") as caught:
        client.describe_workflow_type(DOMAIN, "One", 1)
    assert caught.value.kind == "UnknownResourceFault"
    lost = swf.SWFClient(config=ONCE, kwargs={**KEYS, "endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(swf.Unreachable):
        lost.poll_for_activity_task(DOMAIN, ACTIVITIES)
    lost.close()


def test_a_lost_reply_of_a_start_is_found_again() -> None:
    local = LocalSWF()
    client = swf.SWFClient(local.client())  # tries again
    client.register_domain(DOMAIN)
    client.register_type("workflow", DOMAIN, "One", "1", workflow_config().defaults)
    with local.inject("lost_reply", "start_workflow_execution", times=1):
        run = swf.SWFWorkflowStarter(DOMAIN, "One", 1, client)(1)
    assert next(client.history(DOMAIN, run.workflow_id, run.run_id))["eventId"] == 1
    start = swf.SWFWorkflowStarter(DOMAIN, "One", 1, client, wid=run.workflow_id)
    with pytest.raises(swf.Refused, match="WorkflowExecutionAlreadyStarted"):
        start(1)


def test_what_a_starter_is_given_arrives() -> None:
    bench = Bench(abs)
    start = swf.SWFWorkflowStarter(
        DOMAIN,
        "One",
        1,
        bench.client,
        task_list="other",
        task_duration=7,
        workflow_duration=77,
        wid="mine",
        tags=["a", "b"],
        child_policy="ABANDON",
        priority=3,
        lambda_role="role",
    )
    bench.run = start(-5)
    said = bench.only("WorkflowExecutionStarted")
    assert (said["taskStartToCloseTimeout"], said["executionStartToCloseTimeout"]) == ("7", "77")
    assert (said["taskList"]["name"], said["tagList"]) == ("other", ["a", "b"])
    assert (said["childPolicy"], said["taskPriority"], said["lambdaRole"]) == ("ABANDON", "3", "role")
    assert (said["input"], bench.run.workflow_id) == ("[[-5], {}]", "mine")
    with pytest.raises(TimeoutError):
        bench.run.wait(0)
    bench.client.client.terminate_workflow_execution(domain=DOMAIN, workflowId="mine", reason="enough")
    with pytest.raises(flowy.TaskError, match="enough"):
        bench.run.wait(0)


def test_types_with_other_defaults_are_told() -> None:
    bench = Bench(abs)
    bench.worker.register_remote(bench.client, DOMAIN)  # the same: fine
    other = swf.SWFActivityWorker()
    other.register(activity_config(default_start_to_close=61), abs, 1, "act")
    with pytest.raises(flowy.UsageError, match=r"defaultTaskStartToCloseTimeout is '60' there and '61'"):
        other.register_remote(bench.client, DOMAIN)
    bench.client.client.deprecate_activity_type(
        domain=DOMAIN, activityType={"name": "act", "version": "1"}
    )
    with pytest.raises(flowy.UsageError, match="deprecated"):
        bench.worker.register_remote(bench.client, DOMAIN)


# ------------------------------------------------------------------ activity tasks


def test_a_run_by_hand() -> None:
    bench = Bench(lambda n: n * 2)
    assert bench.play(21) == 42


def test_coroutines_run() -> None:
    async def double(n: int) -> int:
        return n * 2

    assert Bench(double).play(21) == 42


def test_reasons_and_details_keep_to_the_limits() -> None:
    def fail(n: int) -> None:
        raise ValueError("x" * n)

    bench = Bench(fail)
    with pytest.raises(flowy.TaskError):
        bench.play(50_000)
    said = bench.only("ActivityTaskFailed")
    assert len(said["reason"]) == 256
    assert len(said["details"]) == 32_768
    assert said["reason"].endswith("(cut)")
    assert said["details"].endswith("(cut)")


def test_a_result_that_is_too_long_fails_with_what_to_do() -> None:
    bench = Bench(lambda n: "x" * n)
    with pytest.raises(flowy.TaskError, match="payloads="):
        bench.play(40_000)


def test_a_long_result_goes_through_the_store(tmp_path: Path) -> None:
    bench = Bench(lambda text: text * 2, payloads=tmp_path)
    assert bench.play("x" * 40_000) == "x" * 80_000


def test_a_store_that_is_not_there_fails_no_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(lambda text: text, payloads=tmp_path)
    bench.run = bench.start("x" * 40_000)
    bench.decide()
    monkeypatch.setattr("flowy.swf.activities.STORE_TRIES", 1)
    bench.worker.payloads = swf.FolderPayloads(tmp_path / "elsewhere")
    bench.act()
    assert bench.events()[-1]["eventType"] == "ActivityTaskStarted"


def test_odd_activity_tasks_are_answered() -> None:
    bench = Bench(abs)
    bench.run = bench.start(1)
    bench.decide()
    del bench.worker.activities["act", "1"]
    bench.act()
    assert "not registered" in bench.only("ActivityTaskFailed")["reason"]

    bench = Bench(abs)
    bench.run = bench.start(1)
    bench.decide()

    def refuse(text: str) -> Any:
        raise ValueError("no JSON")

    known = bench.worker.activities["act", "1"]
    config = activity_config(deserialize_input=refuse)
    bench.worker.activities["act", "1"] = known._replace(config=config)
    bench.act()
    said = bench.only("ActivityTaskFailed")["reason"]
    assert "input can't be read: ValueError: no JSON" in said


def test_an_answer_that_does_not_arrive_is_sent_again() -> None:
    calls: list[int] = []
    bench = Bench(calls.append)
    bench.run = bench.start(1)
    bench.decide()
    with bench.local.inject("unavailable", "respond_activity_task_completed", times=2) as fault:
        bench.act()
    assert fault.hits == 2
    bench.decide()
    assert bench.run.wait(0) is None
    assert calls == [1]


def test_late_and_double_answers_harm_nothing(caplog: pytest.LogCaptureFixture) -> None:
    bench: Bench

    def late(n: int) -> int:
        bench.local.advance(n)
        return n

    bench = Bench(late)
    with pytest.raises(flowy.TaskError, match="timed out: start_to_close"):
        bench.play(100)
    assert "too late" in caplog.text
    with bench.local.inject("lost_reply", "respond_activity_task_completed", times=1) as fault:
        assert bench.play(1) == 1
    assert fault.hits == 1


def test_heartbeats_tell_details_and_hear_of_the_end(caplog: pytest.LogCaptureFixture) -> None:
    def activity() -> None:
        end = threading.Event()
        flowy.heartbeat({"at": 5})
        with bench.local.inject("unavailable", "record_activity_task_heartbeat", times=2) as fault:
            while fault.hits < 2:
                end.wait(0.01)
        bench.local.advance(1000)  # over for SWF
        while True:
            flowy.heartbeat()
            end.wait(0.01)

    bench = Bench(activity, heartbeat=0.1)
    with pytest.raises(flowy.TaskError, match="timed out: start_to_close"):
        bench.play()
    assert f"act-0-0 of {bench.run.workflow_id} runs here, and is over for SWF" in caplog.text
    with pytest.raises(flowy.UsageError, match="2,048"):
        flowy.swf.beats.Beats.beat(object.__new__(flowy.swf.beats.Beats), "x" * 3000)


def cyclic() -> list[Any]:
    made: list[Any] = []
    made.append(made)
    return made


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (object(), r"its result can't be sent: .*an? object, which can't travel"),
        (float("nan"), r"its result can't be sent: .*nan, which JSON does not have: pass"),
        ([{"a": {1: 2}}], r"value\[0\]\['a'\] has the key 1: .*use str"),
        (cyclic(), r"its result can't be sent: .*value\[0\].* … .*\[0\]: containers nest deeper"),
        ("x" * 10_000_000, r"the result of act 1 has 10,000,002 characters .*give payloads"),
    ],
    ids=["object", "nan", "key", "cycle", "long"],
)
def test_a_result_that_can_not_be_sent_is_told_in_short(value: Any, told: str) -> None:
    """It fits into the 256 characters of a reason, or the first of them say all; and no traceback of
    flowy's own goes with it."""
    bench = Bench(lambda: value)
    with pytest.raises(flowy.TaskError, match=told):
        bench.play()
    says = bench.only("ActivityTaskFailed")
    assert "Traceback" not in says.get("details", "")


@pytest.mark.parametrize("error", [asyncio.CancelledError("x"), GeneratorExit("x"), SystemExit("x")])
def test_no_exception_of_an_activity_ends_its_worker(error: BaseException) -> None:
    def activity() -> None:
        raise error

    bench = Bench(activity)
    with pytest.raises(flowy.TaskError, match=f"failed: {type(error).__name__}: x"):
        bench.play()


def test_ctrl_c_is_for_the_worker() -> None:
    def activity() -> None:
        raise KeyboardInterrupt

    bench = Bench(activity)
    with pytest.raises(KeyboardInterrupt):
        bench.play()


def test_errors_keep_no_frames(over_http: tuple[LocalSWF, swf.SWFClient]) -> None:
    """Frames of urllib3 would keep connections, and errors of it refer to themselves."""
    local, client = over_http
    with local.inject("reset", "list_domains"), pytest.raises(swf.Unreachable) as caught:
        client.call("list_domains", registrationStatus="REGISTERED")
    error = caught.value.__cause__
    count = 0
    while error is not None:
        assert error.__traceback__ is None
        error = error.__cause__ or error.__context__
        count += 1
    assert count > 1


# ------------------------------------------------------------------ decision tasks


def test_a_workflow_that_nobody_knows_comes_again(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(abs)
    del bench.decider.workflows["One", "1"]
    bench.raw("[[1], {}]")
    bench.decide()
    assert bench.events()[-1]["eventType"] == "TimerStarted"
    assert "not registered here" in caplog.text


def test_an_input_that_does_not_parse_fails_the_execution() -> None:
    bench = Bench(abs)
    bench.raw("{")
    bench.decide()
    assert "input can't be read" in bench.only("WorkflowExecutionFailed")["reason"]


def test_code_that_does_not_fit_the_history_schedules_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench(abs)
    bench.run = bench.start(1)
    bench.decide()
    bench.act()
    before = len(bench.events())
    bench.decider.kept.clear()
    known = bench.decider.workflows["One", "1"]
    bench.decider.workflows["One", "1"] = known._replace(
        factory=lambda act: lambda n: [act(n + 1), act(n)]
    )
    bench.decide()
    assert len(bench.events()) == before + 1  # DecisionTaskStarted
    assert "no decision" in caplog.text
    assert "the history does not have" in caplog.text
    assert caplog.text.count("had the input") == 1
    assert "Traceback" not in caplog.text  # the message has the line of the workflow
    bench.decider.workflows["One", "1"] = known
    bench.local.advance(31)
    bench.decide()
    assert bench.run.wait(0) == 1


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
def test_a_workflow_that_exits_ends_no_decider(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(abs)
    bench.run = bench.start(-1)
    known = bench.decider.workflows["One", "1"]

    def exits(n: int) -> None:
        raise error

    bench.decider.workflows["One", "1"] = known._replace(factory=lambda act: exits)
    assert bench.decide()
    assert "no decision could be made" in caplog.text
    assert "in exits" in caplog.text
    bench.decider.workflows["One", "1"] = known
    bench.local.advance(31)
    bench.decide()
    bench.act()
    bench.decide()
    assert bench.run.wait(0) == 1


def test_a_refused_response_evicts(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(abs)
    bench.run = bench.start(-3)
    with bench.local.inject("lost_reply", "respond_decision_task_completed", times=1):
        bench.decide()
    assert "too late" in caplog.text
    assert len(bench.decider.kept) == 0
    bench.act()
    bench.decide()
    assert bench.run.wait(0) == 3


def test_a_closed_run_is_not_kept() -> None:
    bench = Bench(abs)
    bench.run = bench.start(-3)
    bench.decide()
    assert len(bench.decider.kept) == 1
    bench.act()
    bench.decide()
    assert len(bench.decider.kept) == 0


def test_run_forever_stops_by_break_loop_and_registers() -> None:
    local = LocalSWF()
    client = swf.SWFClient(local.client())
    client.register_domain(DOMAIN)

    class Short(swf.SWFWorkflowWorker):
        asked = 0

        def break_loop(self) -> bool:
            self.asked += 1
            return self.asked > 1

    worker = Short(keep=KeptRuns(0))
    worker.run_forever(DOMAIN, DECIDERS, client, setup_log=False)
    assert worker.asked == 2


def test_a_bad_poll_ends_run_forever(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    local = LocalSWF()
    client = swf.SWFClient(local.client())
    client.register_domain(DOMAIN)
    with pytest.raises(flowy.UsageError, match="poll_for_activity_task"):
        swf.SWFActivityWorker().run_forever(DOMAIN, "", client, setup_log=False)


def test_a_decider_that_leaves_gives_the_run_to_the_others() -> None:
    bench = Bench(abs)
    worker = swf.SWFWorkflowWorker()

    class Leaving(One):
        def __call__(self, *args: Any) -> Any:
            worker.stop()  # as SIGTERM does
            return super().__call__(*args)

    config = bench.decider.workflows["One", "1"].config
    worker.register(config, Leaving, 1, "One")
    bench.run = bench.start(-3)
    worker.run_forever(DOMAIN, DECIDERS, bench.client, setup_log=False)
    said = bench.only("DecisionTaskCompleted")
    assert said["taskList"] == {"name": DECIDERS}
    assert "taskListScheduleToStartTimeout" not in said
    bench.act()
    bench.decide()
    assert bench.run.wait(0) == 3


def test_tasks_of_kept_runs_bring_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowy.swf.polling.GRACE", 0.5)  # polls take a minute of this clock
    sizes = []
    reads = []

    class Counting(swf.SWFWorkflowWorker):
        def decide(self, task: Any) -> Any:
            sizes.append(len(task["events"]))
            return super().decide(task)

    class Chain:
        def __init__(self, act: Any) -> None:
            self.act = act

        def __call__(self) -> Any:
            total = 0
            for _ in range(20):
                total = flowy.wait(self.act(total))
            return total

    monkeypatch.setattr("flowy.swf.deciding.Decider._read", lambda *given: reads.append(given))
    local = LocalSWF(clock=SystemClock(), limits=Limits.unthrottled())
    with site("http", local) as place:
        config = workflow_config()
        config.conf_activity("act", version=1)
        monkeypatch.setattr(swf, "SWFWorkflowWorker", Counting)
        decider = place.decider({"chain": (config, Chain)})
        place.activities({"act": lambda n: n + 1})
        assert place.start("chain").wait(WAIT) == 20
    assert max(sizes) < 20
    assert len(sizes) == 21
    assert (decider.kept.hits, decider.kept.misses, reads) == (20, 0, [])


def test_polls_survive_what_happens(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flowy.swf")
    bench = Bench(abs)
    bench.run = bench.start(-3)
    bench.decide()
    poll = swf.SWFClient.poll_for_activity_task
    answers: list[Any] = [RuntimeError("odd"), swf.Unreachable("gone"), swf.Refused("poll", "Odd", "no")]

    def failing(*args: Any, **given: Any) -> Any:
        if answers:
            raise answers.pop()
        return poll(*args, **given)

    monkeypatch.setattr(swf.SWFClient, "poll_for_activity_task", failing)
    monkeypatch.setattr(bench.worker, "break_loop", bench.decide)
    bench.worker.run_forever(DOMAIN, ACTIVITIES, bench.client, setup_log=False)
    assert bench.run.wait(0) == 3
    assert caplog.text.count("polling for tasks failed") == 3
    assert caplog.text.count("polling for tasks works again") == 1


def test_a_task_that_can_not_be_answered_ends_no_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(abs)
    runs = [bench.start(-1), bench.start(-2)]
    bench.decide()
    bench.decide()
    run = type(bench.worker)._run
    hit: list[int] = []

    def bad(self: Any, *given: Any) -> Any:
        hit.append(1)
        if len(hit) == 1:
            raise RuntimeError("a bug")
        return run(self, *given)

    monkeypatch.setattr(type(bench.worker), "_run", bad)
    monkeypatch.setattr(bench.worker, "break_loop", lambda: len(hit) == 2)
    bench.worker.run_forever(DOMAIN, ACTIVITIES, bench.client, setup_log=False)
    bench.decide()
    assert "could not be answered" in caplog.text
    assert runs[1].wait(0) == 2


# ------------------------------------------------------------------ long texts in S3


def test_texts_in_s3() -> None:
    moto = pytest.importorskip("moto")
    with moto.mock_aws():
        import boto3

        client = boto3.client("s3", **KEYS)
        client.create_bucket(Bucket="texts")
        store = swf.S3Payloads("texts", client=client)
        bench = Bench(lambda text: text * 2, payloads=store)
        assert bench.play("é" * 40_000) == "é" * 80_000
        found = client.list_objects(Bucket="texts")["Contents"]
        assert {item["Key"][:6] for item in found} == {"flowy/"}
        with pytest.raises(KeyError, match="has no payload"):
            store.get("0" * 64)
        with pytest.raises(OSError, match="NoSuchBucket"):
            swf.S3Payloads("others", client=client).put("0" * 64, "text")
        client.close()
