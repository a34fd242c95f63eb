"""`python -m flowy swf serve`: what it prints, that it keeps its state, and how it ends."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from flowy.testing.swf.service import Service
from flowy.testing.swf.statefile import StateFile

WORKFLOW = {"name": "W", "version": "1"}
ACTIVITY = {"name": "A", "version": "1"}
LIST = {"name": "l"}
DEFAULTS: dict[str, Any] = {
    "defaultTaskList": LIST,
    "defaultChildPolicy": "TERMINATE",
    "defaultTaskStartToCloseTimeout": "100",
    "defaultExecutionStartToCloseTimeout": "10000",
}


class Served:
    """A `flowy swf serve` of its own process, and clients of it."""

    def __init__(self, script: Callable[..., Any], *options: str, **environment: str) -> None:
        self.script = script("-m", "flowy", "swf", "serve", "--port", "0", *options, **environment)
        out = self.script.process.stdout
        self.greeting = "".join(iter_until(out, "Ctrl-C ends it."))
        self.url = self.greeting.splitlines()[0].rsplit(" ", 1)[1]
        self.clients: list[Any] = []

    def client(self) -> Any:
        # One attempt: what was not answered is not to be done twice.
        made = boto3.client(
            "swf",
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.clients.append(made)
        return made

    def end(self, number: int) -> int:
        """Send the signal and wait; returns the exit status."""
        for each in self.clients:
            each.close()
        self.script.process.send_signal(number)
        self.rest, self.errors = self.script.process.communicate(timeout=60)
        return int(self.script.process.returncode)


def iter_until(lines: Any, end: str) -> Iterator[str]:
    for line in lines:
        yield line
        if end in line:
            return
    raise AssertionError("the service ended before it was ready")


@pytest.fixture
def serve(script: Callable[..., Any]) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(*options: str) -> Served:
        started.append(Served(script, *options))
        return started[-1]

    yield start
    for each in started:
        for client in each.clients:
            client.close()


def fails(script: Callable[..., Any], *options: str) -> tuple[int, str]:
    done = script("-m", "flowy", "swf", "serve", *options).finish()
    return done.returncode, done.stderr


def test_it_prints_what_to_paste(serve: Callable[..., Served]) -> None:
    service = serve()
    assert f"endpoint_url='{service.url}'" in service.greeting
    assert f"--endpoint-url {service.url}" in service.greeting
    assert "listens on 127.0.0.1 only" in service.greeting
    assert "State is in memory" in service.greeting
    (line,) = (text for text in service.greeting.splitlines() if "boto3.client(" in text)
    client = eval(line, {"boto3": boto3})  # as one would paste it
    service.clients.append(client)
    assert client.list_domains(registrationStatus="REGISTERED")["domainInfos"] == []
    assert service.end(signal.SIGINT) == 0
    assert service.rest == "ended\n"
    assert service.errors == ""


def test_it_ends_in_order_when_asked_twice(serve: Callable[..., Served]) -> None:
    service = serve()
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM):
        service.script.process.send_signal(number)
    assert service.end(signal.SIGCONT) == 0
    assert service.rest == "ended\n"
    assert service.errors == ""


def test_another_host_is_warned_of(serve: Callable[..., Served]) -> None:
    service = serve("--host", "0.0.0.0")
    assert "WHOEVER REACHES THIS MACHINE CAN USE IT" in service.greeting
    assert service.end(signal.SIGTERM) == 0


def test_it_ends_while_polls_wait(serve: Callable[..., Served], eventually: Any) -> None:
    service = serve()
    client = service.client()
    client.register_domain(name="d", workflowExecutionRetentionPeriodInDays="1")
    host, port = service.url.removeprefix("http://").split(":")
    body = b'{"domain": "d", "taskList": {"name": "l"}}'
    with socket.create_connection((host, int(port)), 30) as poll:
        poll.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: SimpleWorkflowService.PollForDecisionTask\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        client.list_domains(registrationStatus="REGISTERED")
        assert service.end(signal.SIGTERM) == 0


def begin(client: Any) -> str:
    """An execution with a timer, an activity that a worker has, one that none has, and a child."""
    client.register_domain(name="d", workflowExecutionRetentionPeriodInDays="1")
    client.register_workflow_type(
        domain="d",
        **WORKFLOW,
        defaultTaskList=LIST,
        defaultChildPolicy="TERMINATE",
        defaultExecutionStartToCloseTimeout="86400",
        defaultTaskStartToCloseTimeout="NONE",
    )
    forever = {
        f"defaultTask{name}Timeout": "NONE"
        for name in ("ScheduleToClose", "ScheduleToStart", "StartToClose", "Heartbeat")
    }
    client.register_activity_type(domain="d", **ACTIVITY, defaultTaskList=LIST, **forever)
    run_id: str = client.start_workflow_execution(
        domain="d", workflowId="w", workflowType=WORKFLOW, tagList=["kept"], input="ünï"
    )["runId"]
    task = client.poll_for_decision_task(domain="d", taskList=LIST)
    decisions = [
        {
            "decisionType": "ScheduleActivityTask",
            "scheduleActivityTaskDecisionAttributes": {"activityId": n, "activityType": ACTIVITY},
        }
        for n in ("a", "b")
    ]
    timer = {"timerId": "t", "startToFireTimeout": "1"}
    child = {"workflowId": "child", "workflowType": WORKFLOW, "taskList": {"name": "other"}}
    decisions += [
        {"decisionType": "StartTimer", "startTimerDecisionAttributes": timer},
        {
            "decisionType": "StartChildWorkflowExecution",
            "startChildWorkflowExecutionDecisionAttributes": child,
        },
    ]
    client.respond_decision_task_completed(
        taskToken=task["taskToken"], decisions=decisions, executionContext="context"
    )
    return run_id


def history(client: Any, run_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get_workflow_execution_history(
        domain="d", execution={"workflowId": "w", "runId": run_id}
    )["events"]
    return found


def test_state_outlives_a_kill(
    serve: Callable[..., Served], tmp_path: Path, eventually: Callable[..., bool]
) -> None:
    state = tmp_path / "swf.db"
    first = serve("--state", str(state))
    assert f"State is kept in {state}" in first.greeting
    client = first.client()
    run_id = begin(client)
    held = client.poll_for_activity_task(domain="d", taskList=LIST)
    before = history(client, run_id)
    info = client.describe_workflow_execution(domain="d", execution={"workflowId": "w", "runId": run_id})
    assert first.end(signal.SIGKILL) == -signal.SIGKILL

    second = serve("--state", str(state))
    client = second.client()
    assert history(client, run_id)[: len(before)] == before
    again = client.describe_workflow_execution(
        domain="d", execution={"workflowId": "w", "runId": run_id}
    )
    assert again["executionInfo"] == info["executionInfo"]
    assert again["executionConfiguration"] == info["executionConfiguration"]
    # A task token from before is good, the other activity waits, the timer fires, the child is there.
    client.respond_activity_task_completed(taskToken=held["taskToken"], result="1")
    other = client.poll_for_activity_task(domain="d", taskList=LIST)
    assert {held["activityId"], other["activityId"]} == {"a", "b"}
    assert eventually(lambda: "TimerFired" in [e["eventType"] for e in history(client, run_id)])
    child = client.poll_for_decision_task(domain="d", taskList={"name": "other"})
    assert child["workflowExecution"]["workflowId"] == "child"
    client.respond_decision_task_completed(
        taskToken=child["taskToken"],
        decisions=[
            {
                "decisionType": "CompleteWorkflowExecution",
                "completeWorkflowExecutionDecisionAttributes": {"result": "2"},
            }
        ],
    )
    kinds = [event["eventType"] for event in history(client, run_id)]
    assert "ChildWorkflowExecutionCompleted" in kinds
    assert kinds.count("TimerFired") == 1
    ids = [event["eventId"] for event in history(client, run_id)]
    assert ids == list(range(1, len(ids) + 1))
    with pytest.raises(ClientError, match="TypeAlreadyExists"):
        client.register_workflow_type(domain="d", **WORKFLOW)
    assert second.end(signal.SIGTERM) == 0
    assert os.stat(state).st_mode & 0o777 == 0o600


def test_one_file_is_for_one_service(
    serve: Callable[..., Served], script: Callable[..., Any], tmp_path: Path
) -> None:
    state = str(tmp_path / "swf.db")
    service = serve("--state", state)
    status, errors = fails(script, "--port", "0", "--state", state)
    assert status == 1
    assert "is in use" in errors
    assert service.end(signal.SIGTERM) == 0


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (x)")
    database.close()


def newer(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (x)")
        database.execute(f"PRAGMA application_id = {0x666C7377}")
        database.execute("PRAGMA user_version = 99")
    database.close()


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda path: path.write_text("some notes of mine " * 100), "not the state of a local SWF"),
        (other_database, "but not the state of a local SWF"),
        (newer, "of a newer flowy (format 99"),
        (lambda path: path.mkdir(), "can't"),
    ],
)
def test_a_file_that_is_not_ours_is_left_as_it_is(
    make: Callable[[Path], Any], hint: str, script: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    status, errors = fails(script, "--port", "0", "--state", str(path))
    assert status == 1
    assert hint in errors
    assert str(path) in errors
    assert "Traceback" not in errors
    assert before is None or path.read_bytes() == before


def test_what_is_no_file_is_left_as_it_is(script: Callable[..., Any], tmp_path: Path) -> None:
    """A pipe stands for all devices: to try /dev/null would change its mode if this went wrong."""
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o644)
    mode = path.stat().st_mode
    status, errors = fails(script, "--port", "0", "--state", str(path))
    assert status == 1
    assert f"can't use {path} as a state file" in errors
    assert path.stat().st_mode == mode


def lived_in(path: Path) -> None:
    store = StateFile(path)
    service = Service(on_change=store.write)
    service.call("RegisterDomain", {"name": "d", "workflowExecutionRetentionPeriodInDays": "1"})
    service.call("RegisterWorkflowType", {"domain": "d", **WORKFLOW, **DEFAULTS})
    for number in range(50):
        request = {"domain": "d", "workflowId": f"w{number}", "workflowType": WORKFLOW}
        service.call("StartWorkflowExecution", request)
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE events",
        "UPDATE events SET value = '{' WHERE id = 2",
        "DELETE FROM events WHERE id = 1",
        "DELETE FROM events WHERE run = (SELECT max(run) FROM events)",
        "DELETE FROM records WHERE kind = 'domains'",
        "UPDATE events SET value = replace(value, 'DecisionTaskScheduled', 'DecisionTaskCompleted')",
    ],
)
def test_a_damaged_state_is_told(statement: str, script: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "swf.db"
    lived_in(path)
    with sqlite3.connect(path) as database:
        database.execute(statement)
    database.close()
    status, errors = fails(script, "--port", "0", "--state", str(path))
    assert status == 1
    assert f"the state file {path} is damaged" in errors
    assert "Traceback" not in errors


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux sets limits of other processes")
def test_a_file_that_cannot_grow_ends_it_and_loses_nothing(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    state = tmp_path / "swf.db"
    service = serve("--state", str(state), "--no-throttling")
    client = service.client()
    client.register_domain(name="d", workflowExecutionRetentionPeriodInDays="1")
    client.register_workflow_type(domain="d", **WORKFLOW, **DEFAULTS)
    size = os.stat(f"{state}-wal").st_size + 100_000
    resource.prlimit(service.script.process.pid, resource.RLIMIT_FSIZE, (size, size))
    started: set[str] = set()
    with pytest.raises((ClientError, BotoCoreError)):
        while True:
            name = f"w{len(started)}"
            client.start_workflow_execution(
                domain="d", workflowId=name, workflowType=WORKFLOW, input="x" * 10_000
            )
            started.add(name)
    client.close()
    _, errors = service.script.process.communicate(timeout=60)
    assert service.script.process.returncode == 1
    assert f"can't write the state file {state}" in errors
    assert "Traceback" not in errors
    assert started
    again = serve("--state", str(state))
    pages = again.client().get_paginator("list_open_workflow_executions")
    listed = [
        info["execution"]["workflowId"]
        for page in pages.paginate(domain="d", startTimeFilter={"oldestDate": 0})
        for info in page["executionInfos"]
    ]
    assert set(listed) == started
    assert again.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("options", "status", "hint"),
    [
        (["--limits", "evnts=5"], 1, "there is no limit 'evnts'; there are domains"),
        (["--limits", "events=many"], 1, "'many' is no number"),
        (["--limits", "events=0"], 1, "must be more than 0"),
        (["--limits", "events"], 1, "'' is no number"),
        (["--faults", "flood=0.1"], 1, "there is no fault 'flood'; there are throttle"),
        (["--faults", "throttle=2"], 1, "must be from 0 to 1"),
        (["--state", ""], 1, "the state file has no name"),
        (["--state", "no/such/directory/file"], 1, "can't open the state file no/such"),
        (["--port", "70000"], 2, "must be from 0 to 65535"),
        (["--host", "no.such.host.invalid"], 1, "can't listen on no.such.host.invalid"),
    ],
)
def test_a_wrong_option_is_explained(
    options: list[str], status: int, hint: str, script: Callable[..., Any]
) -> None:
    got, errors = fails(script, *options)
    assert got == status
    assert hint in errors
    assert "Traceback" not in errors


def test_a_port_in_use_is_explained(script: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, errors = fails(script, "--port", str(port))
    assert status == 1
    assert f"can't listen on 127.0.0.1 port {port}" in errors
    assert "give another --port" in errors


def test_limits_and_faults_are_as_asked(serve: Callable[..., Served]) -> None:
    service = serve("--limits", "domains=1", "--faults", "throttle=1")
    client = service.client()
    with pytest.raises(ClientError, match="Rate exceeded"):
        client.list_domains(registrationStatus="REGISTERED")
    assert service.end(signal.SIGTERM) == 0
    service = serve("--limits", "domains=1", "long_poll=0.1", "--no-throttling")
    client = service.client()
    client.register_domain(name="d", workflowExecutionRetentionPeriodInDays="1")
    with pytest.raises(client.exceptions.LimitExceededFault):
        client.register_domain(name="e", workflowExecutionRetentionPeriodInDays="1")
    assert "taskToken" not in client.poll_for_decision_task(domain="d", taskList=LIST)
    assert service.end(signal.SIGTERM) == 0


def test_without_boto3_it_says_what_to_install(script: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("boto3", "botocore"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError(name={name!r})")
    code = "import flowy.testing as t; print(t.HistoryBuilder().started()); t.LocalSWF"
    done = script("-c", code, PYTHONPATH=str(tmp_path)).finish()
    assert "pip install 'flowy[swf]'" in done.stderr.splitlines()[-1]
    assert "HistoryBuilder" in done.stdout
    done = script("-m", "flowy", "swf", "serve", PYTHONPATH=str(tmp_path)).finish()
    assert done.returncode == 1
    assert "pip install 'flowy[swf]'" in done.stderr
    assert "Traceback" not in done.stderr
