"""The wire of the local SWF before a door that is a function: HTTP, the client without a socket, and
the faults of chaos, as boto3 and as a plain socket meet them.

What the operations do is tested elsewhere; here a call only has to arrive, once, and its answer or its
fault to come back, over both ways the same.
"""

from __future__ import annotations

import contextlib
import gc
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ParamValidationError

import flowy
from flowy.testing.swf import Limits, LocalSWF
from flowy.testing.swf.chaos import Chaos
from flowy.testing.swf.client import make_client
from flowy.testing.swf.faults import Fault
from flowy.testing.swf.http import Handler, Server, client_is_there
from flowy.testing.swf.wire import LARGEST_REQUEST

EVENTS = [
    {"eventId": n, "eventTimestamp": 1e9 + n / 1000, "eventType": "WorkflowExecutionSignaled"}
    for n in range(1, 6)
]


def attempts(client: Any) -> int:
    """How often boto3 tries by default, the first time included: it has changed between versions."""
    retries = client.meta.config.retries or {}
    of_mode = 5 if retries.get("mode", "legacy") == "legacy" else 3
    return int(retries.get("total_max_attempts", of_mode))


class Door:
    """A door that remembers its calls; polls wait until `give` is called or they are woken."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Mapping[str, Any]]] = []
        self.tasks: list[dict[str, Any]] = []
        self.news = threading.Condition()
        self.waiting = 0
        self.woken = 0

    def __call__(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        with self.news:
            self.calls.append((operation, request))
        if operation == "PollForActivityTask":
            return self.poll()
        if operation == "DescribeDomain":
            raise Fault("UnknownResourceFault", f"Unknown domain: {request['name']}")
        if operation == "StartWorkflowExecution":
            return {"runId": f"run-{len(self.calls)}"}
        if operation == "GetWorkflowExecutionHistory":
            events = EVENTS[::-1] if request.get("reverseOrder") else EVENTS
            return {"events": events[: request.get("maximumPageSize", 100)]}
        if operation == "ListDomains" and "nextPageToken" not in request:
            return {"domainInfos": [], "nextPageToken": "page-2"}
        if operation == "CountPendingActivityTasks":
            raise ZeroDivisionError("a bug")
        return {"domainInfos": []} if operation == "ListDomains" else {}

    def poll(self) -> dict[str, Any]:
        with self.news:
            self.waiting += 1
            self.news.notify_all()
            woken = self.woken
            while not (self.tasks and client_is_there()) and self.woken == woken:
                self.news.wait(10)
            self.waiting -= 1
            return self.tasks.pop(0) if self.tasks and client_is_there() else {"startedEventId": 0}

    def give(self, *tasks: dict[str, Any]) -> None:
        with self.news:
            self.tasks += tasks
            self.news.notify_all()

    def wake(self) -> None:
        with self.news:
            self.woken += 1
            self.news.notify_all()

    def names(self) -> list[str]:
        return [operation for operation, _ in self.calls]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between botocore's retries: how often it tries is what we test, not how long it sleeps."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda seconds: None)


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def chaos(door: Door) -> Chaos:
    return Chaos(door)


@contextlib.contextmanager
def served(door: Any, wake: Callable[[], None] = lambda: None) -> Iterator[Any]:
    """boto3's client over HTTP, as users make it."""
    with Server(door, wake=wake) as server:
        client = boto3.client(
            "swf",
            region_name="us-east-1",
            endpoint_url=server.endpoint_url,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        try:
            yield client
        finally:
            client.close()
            gc.collect()  # botocore keeps the sockets of broken connections in a cycle
    assert server.errors == []


@pytest.fixture(params=["http", "in process"])
def client(request: pytest.FixtureRequest, chaos: Chaos, door: Door) -> Iterator[Any]:
    if request.param == "in process":
        yield make_client(chaos.call)
    else:
        with served(chaos.call, door.wake) as client:
            yield client


def test_a_call_arrives_and_its_answer_comes_back(client: Any, door: Door) -> None:
    answer = client.start_workflow_execution(
        domain="d",
        workflowId="w",
        workflowType={"name": "W", "version": "1"},
        input="ünïcode \U0001f40d",
        tagList=["a"],
    )
    assert answer["runId"] == "run-1"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert len(answer["ResponseMetadata"]["RequestId"]) == 36
    assert answer["ResponseMetadata"]["RetryAttempts"] == 0
    assert door.calls == [
        (
            "StartWorkflowExecution",
            {
                "domain": "d",
                "workflowId": "w",
                "workflowType": {"name": "W", "version": "1"},
                "input": "ünïcode \U0001f40d",
                "tagList": ["a"],
            },
        )
    ]


def test_times_are_datetimes_and_pages_are_turned(client: Any, door: Door) -> None:
    history = client.get_workflow_execution_history(
        domain="d", execution={"workflowId": "w", "runId": "r"}
    )
    assert [e["eventTimestamp"].timestamp() for e in history["events"]] == [
        e["eventTimestamp"] for e in EVENTS
    ]
    pages = list(client.get_paginator("list_domains").paginate(registrationStatus="REGISTERED"))
    assert len(pages) == 2
    assert door.calls[-1][1]["nextPageToken"] == "page-2"


def test_a_fault_is_the_clients_exception(client: Any, door: Door) -> None:
    with pytest.raises(client.exceptions.UnknownResourceFault) as caught:
        client.describe_domain(name="d")
    assert isinstance(caught.value, ClientError)
    assert caught.value.response["Error"] == {
        "Code": "UnknownResourceFault",
        "Message": "Unknown domain: d",
    }
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert len(door.calls) == 1


def test_wrong_parameters_never_leave_the_client(client: Any, door: Door) -> None:
    with pytest.raises(ParamValidationError, match="Missing required parameter"):
        client.describe_domain()
    with pytest.raises(ParamValidationError, match="Unknown parameter"):
        client.describe_domain(name="d", nome="d")
    assert door.calls == []


def test_the_client_without_a_socket_has_all_of_boto3s_methods(chaos: Chaos) -> None:
    ours = make_client(chaos.call)
    real = boto3.client("swf", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    assert type(ours).__name__ == type(real).__name__
    assert ours.meta.method_to_api_mapping == real.meta.method_to_api_mapping
    assert len(ours.meta.method_to_api_mapping) == 39
    assert set(dir(ours)) == set(dir(real))


def test_the_client_without_a_socket_reads_nothing_of_the_users(
    chaos: Chaos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowy.testing.swf.client._session", None)
    monkeypatch.setenv("AWS_PROFILE", "no such profile")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-nowhere-1")
    client = make_client(chaos.call)
    assert client.list_domains(registrationStatus="REGISTERED")["domainInfos"] == []
    assert client.meta.region_name == "us-east-1"


def test_a_config_is_botocores(chaos: Chaos, door: Door) -> None:
    chaos.inject("throttle")
    client = make_client(chaos.call, Config(retries={"total_max_attempts": 2}))
    with pytest.raises(ClientError):
        client.list_domains(registrationStatus="REGISTERED")
    assert door.calls == []


# Faults, as boto3 meets them.


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttle", "ThrottlingException", 400),
        ("server_error", "InternalFailure", 500),
        ("unavailable", "ServiceUnavailable", 503),
    ],
)
def test_a_fault_for_good_is_raised_after_boto3s_retries(
    kind: str, code: str, status: int, client: Any, chaos: Chaos, door: Door
) -> None:
    struck = chaos.inject(kind, "start_workflow_execution")
    with pytest.raises(ClientError) as caught:
        start(client)
    response = caught.value.response
    assert response["Error"]["Code"] == code
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["ResponseMetadata"]["RetryAttempts"] == attempts(client) - 1
    assert struck.hits == attempts(client)
    assert door.calls == []


@pytest.mark.parametrize("kind", ["throttle", "server_error", "unavailable", "reset"])
def test_a_passing_fault_is_not_seen(kind: str, client: Any, chaos: Chaos, door: Door) -> None:
    struck = chaos.inject(kind, times=2)
    assert start(client)["ResponseMetadata"]["RetryAttempts"] == 2
    assert struck.hits == 2
    assert door.names() == ["StartWorkflowExecution"]


def test_a_reset_for_good_is_a_connection_error(client: Any, chaos: Chaos, door: Door) -> None:
    struck = chaos.inject("reset")
    with pytest.raises(ConnectionClosedError):
        start(client)
    assert struck.hits == attempts(client)
    assert door.calls == []


def test_a_lost_reply_makes_boto3_call_again(client: Any, chaos: Chaos, door: Door) -> None:
    """So the service does it twice: what comes of it is for whoever wrote the client to bear."""
    chaos.inject("lost_reply", "StartWorkflowExecution", times=1)
    assert start(client)["runId"] == "run-2"
    assert door.names() == ["StartWorkflowExecution"] * 2


def test_an_empty_poll_neither_waits_nor_takes(client: Any, chaos: Chaos, door: Door) -> None:
    chaos.inject("empty_poll", times=2)
    task = client.poll_for_activity_task(domain="d", taskList={"name": "l"})
    assert "taskToken" not in task
    assert task["startedEventId"] == 0
    task = client.poll_for_decision_task(domain="d", taskList={"name": "l"})
    assert "taskToken" not in task
    assert task["previousStartedEventId"] == 0
    assert "events" not in task  # as in one that waited
    assert door.calls == []


def test_a_stale_history_lacks_the_newest(client: Any, chaos: Chaos) -> None:
    request: dict[str, Any] = {"domain": "d", "execution": {"workflowId": "w", "runId": "r"}}

    def seen(**more: Any) -> list[int]:
        answer = client.get_workflow_execution_history(**request, **more)
        return [event["eventId"] for event in answer["events"]]

    with chaos.inject("stale_history", events=2):
        assert seen() == [1, 2, 3]
        assert seen(reverseOrder=True) == [3, 2, 1]
    assert seen() == [1, 2, 3, 4, 5]
    with chaos.inject("stale_history", events=10):
        assert seen() == [1]


def test_a_page_token_expires(client: Any, chaos: Chaos) -> None:
    chaos.inject("expired_token")
    pages = client.get_paginator("list_domains").paginate(registrationStatus="REGISTERED")
    with pytest.raises(ClientError, match="Specified token has exceeded its maximum lifetime") as caught:
        list(pages)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert caught.value.response["ResponseMetadata"]["RetryAttempts"] == 0


def start(client: Any) -> Any:
    return client.start_workflow_execution(
        domain="d", workflowId="w", workflowType={"name": "W", "version": "1"}
    )


# When an injection strikes.


def struck(chaos: Chaos, calls: int, operation: str = "StartWorkflowExecution") -> list[bool]:
    found = []
    for _ in range(calls):
        try:
            chaos.call(operation, {})
            found.append(False)
        except Fault:
            found.append(True)
    return found


def test_a_script_of_faults(chaos: Chaos) -> None:
    chaos.inject("throttle", after=1, times=2)
    assert struck(chaos, 5) == [False, True, True, False, False]


def test_chance_is_of_the_seed(door: Door) -> None:
    def pattern(seed: int) -> list[bool]:
        chaos = Chaos(door)
        chaos.inject("throttle", probability=0.3, seed=seed)
        return struck(chaos, 200)

    assert pattern(1) == pattern(1) != pattern(2)
    assert 30 < sum(pattern(1)) < 90


def test_only_the_operations_named_are_struck(chaos: Chaos) -> None:
    chaos.inject("throttle", ["signal_workflow_execution", "TerminateWorkflowExecution"])
    assert struck(chaos, 1) == [False]
    assert struck(chaos, 1, "SignalWorkflowExecution") == [True]
    assert struck(chaos, 1, "TerminateWorkflowExecution") == [True]


def test_removing_ends_it(chaos: Chaos) -> None:
    with chaos.inject("throttle") as injection:
        assert struck(chaos, 1) == [True]
        assert repr(injection) == "<throttle of all operations, struck 1 times>"
    assert struck(chaos, 1) == [False]
    injection.remove()  # once more does no harm


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"kind": "flood"}, "there is no fault 'flood'; there are throttle"),
        ({"kind": "throttle", "times": 0}, "from 1 on"),
        ({"kind": "throttle", "after": -1}, "from 0 on"),
        ({"kind": "throttle", "probability": 2}, "from 0 to 1"),
        ({"kind": "stale_history", "events": 0}, "from 1 on"),
        ({"kind": "empty_poll", "operation": "ListDomains"}, "can't strike ListDomains; it can strike"),
        ({"kind": "throttle", "operation": "list domains"}, "no name of an operation"),
        ({"kind": "throttle", "operation": "ListDomain"}, "SWF has no operation ListDomain"),
        ({"kind": "throttle", "operation": ["list_domain"]}, "SWF has no operation ListDomain"),
    ],
)
def test_a_wrong_injection_is_explained(given: dict[str, Any], hint: str, chaos: Chaos) -> None:
    with pytest.raises(flowy.UsageError) as caught:
        chaos.inject(**given)
    assert hint in str(caught.value)


# The socket.


@pytest.fixture
def server(door: Door) -> Iterator[Server]:
    with Server(door, wake=door.wake) as server:
        yield server


@pytest.fixture
def raw(server: Server) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(server.endpoint_url.removeprefix("http://"), timeout=30)
    yield connection
    connection.close()


def ask(
    connection: http.client.HTTPConnection,
    body: bytes = b"{}",
    target: str | None = "SimpleWorkflowService.StartWorkflowExecution",
    **headers: str,
) -> tuple[int, dict[str, Any]]:
    named = {"X-Amz-Target": target} if target is not None else {}
    connection.request("POST", "/", body, named | headers)
    response = connection.getresponse()
    content = response.read()
    assert response.headers["Content-Type"] == "application/x-amz-json-1.0"
    assert len(response.headers["x-amzn-RequestId"]) == 36
    return response.status, json.loads(content or b"{}")


def test_a_connection_is_kept(raw: http.client.HTTPConnection, door: Door) -> None:
    ask(raw)
    kept = raw.sock
    for _ in range(3):
        assert ask(raw)[0] == 200
    assert raw.sock is kept
    assert kept is not None


def test_a_fault_looks_as_recorded(raw: http.client.HTTPConnection) -> None:
    status, content = ask(raw, b'{"name": "d"}', "SimpleWorkflowService.DescribeDomain")
    assert status == 400
    assert content == {
        "__type": "com.amazonaws.swf.base.model#UnknownResourceFault",
        "message": "Unknown domain: d",
    }


@pytest.mark.parametrize(
    ("body", "target", "kind"),
    [
        (b"{", "SimpleWorkflowService.ListDomains", "SerializationException"),
        (b"[]", "SimpleWorkflowService.ListDomains", "SerializationException"),
        (b"\xff\xfe", "SimpleWorkflowService.ListDomains", "SerializationException"),
        (b"[" * 100_000, "SimpleWorkflowService.ListDomains", "SerializationException"),
        (b'{"name": "\\uD800"}', "SimpleWorkflowService.ListDomains", "SerializationException"),
        (b"{}", "DynamoDB.ListTables", "UnknownOperationException"),
        (b"{}", "SimpleWorkflowService.", "UnknownOperationException"),
        (b"{}", None, "UnknownOperationException"),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_goes_on(
    body: bytes, target: str | None, kind: str, raw: http.client.HTTPConnection, door: Door
) -> None:
    status, content = ask(raw, body, target)
    assert status == 400
    assert content["__type"] == f"com.amazon.coral.service#{kind}"
    kept = raw.sock
    assert ask(raw)[0] == 200
    assert raw.sock is kept
    assert door.names() == ["StartWorkflowExecution"]


def test_a_request_of_more_than_a_megabyte_is_refused(
    raw: http.client.HTTPConnection, door: Door
) -> None:
    fits = b'{"input": "%s"}' % (b"x" * (LARGEST_REQUEST - 13))
    assert len(fits) == LARGEST_REQUEST
    assert ask(raw, fits)[0] == 200
    status, content = ask(raw, fits + b" ")
    assert status == 413
    assert "1 MB" in content["message"]
    assert ask(raw)[0] == 200  # on a new connection
    assert len(door.calls) == 2


def test_a_bug_is_told_and_answered(raw: http.client.HTTPConnection, server: Server) -> None:
    status, content = ask(raw, target="SimpleWorkflowService.CountPendingActivityTasks")
    assert status == 500
    assert content["message"] == "ZeroDivisionError: a bug"
    assert [type(error) for error in server.errors] == [ZeroDivisionError]


def test_a_client_may_ask_before_it_sends(server: Server) -> None:
    host, port = server.endpoint_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as plain:
        plain.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n"
            b"X-Amz-Target: SimpleWorkflowService.ListDomains\r\n\r\n"
        )
        assert plain.recv(100).startswith(b"HTTP/1.1 100 Continue")
        plain.sendall(b"{}")
        assert plain.recv(100).startswith(b"HTTP/1.1 200 OK")


def said_to(server: Server, request: bytes) -> bytes:
    """All that comes back until the connection ends."""
    host, port = server.endpoint_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as plain:
        plain.sendall(request)
        with plain.makefile("rb") as replies:
            return replies.read()


TO = b"Host: x\r\nX-Amz-Target: SimpleWorkflowService.StartWorkflowExecution\r\n"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Transfer-Encoding: chunked\r\n", b"411"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", b"411"),
        (b"", b"411"),
        (b"Content-Length: -2\r\n", b"411"),
        (b"Content-Length: 2\r\nContent-Length: 3\r\n", b"411"),
        (b"Content-Length: 2\r\nContent-Encoding: gzip\r\n", b"415"),
    ],
)
def test_a_body_that_is_not_said_plainly_ends_the_connection(
    head: bytes, status: bytes, server: Server, door: Door
) -> None:
    """What follows would be taken for a request."""
    replies = said_to(server, b"POST / HTTP/1.1\r\n" + head + TO + b"\r\n{}" + b"GET / HTTP/1.1\r\n\r\n")
    assert replies.startswith(b"HTTP/1.1 " + status)
    assert replies.count(b"HTTP/1.1") == 1
    assert b"SerializationException" in replies
    assert door.names() == []


def test_what_a_browser_sends_along_is_no_request(server: Server, door: Door) -> None:
    inner = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n" + TO + b"\r\n{}"
    replies = said_to(server, b"GET / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(inner) + inner)
    assert replies.count(b"HTTP/1.1 200") == 1
    assert door.names() == []


def test_an_old_client_that_asks_keeps_its_connection(server: Server) -> None:
    request = b"POST / HTTP/1.0\r\nContent-Length: 2\r\n%s" + TO + b"\r\n{}"
    replies = said_to(server, request % b"Connection: keep-alive\r\n" + request % b"")
    kept, ended = replies.split(b"HTTP/1.1 200 OK")[1:]
    assert b"Connection: keep-alive\r\n" in kept
    assert b"Connection: close\r\n" in ended


def test_the_limit_of_requests_is_the_services() -> None:
    small = LocalSWF(limits=Limits(request=2000).without_throttling())
    period = {"workflowExecutionRetentionPeriodInDays": "1"}
    with (
        small.serve() as url,
        contextlib.closing(
            boto3.client(
                "swf",
                region_name="us-east-1",
                endpoint_url=url,
                aws_access_key_id="x",
                aws_secret_access_key="x",
            )
        ) as remote,
    ):
        for client in (remote, small.client()):
            client.register_domain(name=f"d{id(client)}", description="x" * 1000, **period)
            with pytest.raises(ClientError, match="at most 2000 are taken"):
                client.register_domain(name="e", description="x" * 2000, **period)


def test_a_reply_is_one_write_without_delay(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writes and Nagle's algorithm cost 40 ms a reply, a client's delayed acknowledgement."""
    delayed = []
    handle = Handler.handle
    option = (socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def look(self: Handler) -> None:
        delayed.append(not self.connection.getsockopt(*option))
        handle(self)

    monkeypatch.setattr(Handler, "handle", look)
    host, port = server.endpoint_url.removeprefix("http://").split(":")
    body = b'{"domain": "d", "workflowId": "w"}'
    with socket.create_connection((host, int(port)), 30) as plain:
        for _ in range(20):
            plain.sendall(
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
                b"X-Amz-Target: SimpleWorkflowService.StartWorkflowExecution\r\n\r\n" % len(body) + body
            )
            head, _, rest = plain.recv(65536).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert json.loads(rest)["runId"]
    assert delayed == [False]


def test_long_polls_in_hundreds_hold_nobody_up(
    server: Server, door: Door, eventually: Callable[..., bool]
) -> None:
    host, port = server.endpoint_url.removeprefix("http://").split(":")
    body = b'{"domain": "d", "taskList": {"name": "l"}}'
    request = (
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: SimpleWorkflowService.PollForActivityTask\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    ) + body
    polls = 300
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_connection((host, int(port)), 30)) for _ in range(polls)
        ]
        for each in sockets:
            each.sendall(request)
        assert eventually(lambda: door.waiting == polls)
        other = http.client.HTTPConnection(host, int(port), timeout=30)
        stack.callback(other.close)
        assert ask(other)[0] == 200  # while they wait
        door.give(*({"taskToken": f"t{n}", "startedEventId": 1} for n in range(polls)))
        tokens = set()
        for each in sockets:
            head, _, rest = each.recv(65536).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            tokens.add(json.loads(rest)["taskToken"])
        assert len(tokens) == polls


def test_closing_wakes_the_polls(door: Door, eventually: Callable[..., bool]) -> None:
    """And leaves no thread, which the fixture of all tests sees to."""
    server = Server(door, wake=door.wake)
    host, port = server.endpoint_url.removeprefix("http://").split(":")
    ends: list[object] = []

    def poll() -> None:
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        try:
            ask(connection, target="SimpleWorkflowService.PollForActivityTask")
            ends.append("answered")
        except (OSError, http.client.HTTPException) as error:
            ends.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=poll) for _ in range(20)]
    for thread in threads:
        thread.start()
    assert eventually(lambda: door.waiting == 20)
    server.close()
    for thread in threads:
        thread.join()
    assert len(ends) == 20
    assert door.waiting == 0


def test_a_task_does_not_go_to_who_hung_up(server: Server, door: Door, eventually: Any) -> None:
    host, port = server.endpoint_url.removeprefix("http://").split(":")
    gone = http.client.HTTPConnection(host, int(port), timeout=30)
    gone.request("POST", "/", b"{}", {"X-Amz-Target": "SimpleWorkflowService.PollForActivityTask"})
    assert eventually(lambda: door.waiting == 1)
    gone.close()
    door.give({"taskToken": "t", "startedEventId": 1})
    here = http.client.HTTPConnection(host, int(port), timeout=30)
    status, task = ask(here, target="SimpleWorkflowService.PollForActivityTask")
    assert (status, task["taskToken"]) == (200, "t")
    here.close()


def test_it_listens_on_this_machine_only(server: Server) -> None:
    assert server.endpoint_url.startswith("http://127.0.0.1:")
    port = int(server.endpoint_url.rsplit(":", 1)[1])
    with socket.socket() as other, pytest.raises(OSError):
        other.settimeout(5)
        other.connect((own_address(), port))


def own_address() -> str:
    """An address of this machine that is not 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no other address")
        address: str = probe.getsockname()[0]
        return address


def test_a_port_in_use_is_an_error(server: Server, door: Door) -> None:
    port = int(server.endpoint_url.rsplit(":", 1)[1])
    with pytest.raises(OSError):
        Server(door, port=port)
