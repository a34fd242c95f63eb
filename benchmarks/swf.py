"""How fast the local SWF is, and that it stays so: many executions of many activities over HTTP.

Owns: the trivial decider and worker, the raw HTTP connections that they use (boto3's own reading of an
answer costs more than ours of making it), and what is counted.

An execution does its activities one after the other, so that each makes six events: 100 executions of
1,000 activities are 600,000. The service runs in a process of its own, as `flowy swf serve` starts it.

`python -m benchmarks.swf` measures it in full and holds it to the marks; asv a twentieth of it.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

FASTEST = 1_500  # requests a second that it must do
GROWTH = 1.5  # of the median latency, from the first tenth of the requests to the last
ACTIVITY = {"name": "Nothing", "version": "1"}
WORKFLOW = {"name": "OneByOne", "version": "1"}


class Connection:
    """One kept HTTP connection that calls SWF's operations."""

    def __init__(self, host: str, port: int) -> None:
        self.took: list[tuple[float, str, float]] = []  # when it ended, what it was, seconds
        self._socket = socket.create_connection((host, port), 90)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: SimpleWorkflowService."

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        body = json.dumps(request).encode()
        head = f"{self._head}{operation}\r\nContent-Length: {len(body)}\r\n\r\n"
        start = time.perf_counter()
        self._socket.sendall(head.encode() + body)
        status, answer = self._read()
        end = time.perf_counter()
        self.took.append((end, operation, end - start))
        if status != b"200":
            raise RuntimeError(f"{operation}: {status.decode()} {answer.decode()}")
        found: dict[str, Any] = json.loads(answer) if answer else {}
        return found

    def _read(self) -> tuple[bytes, bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += self._more()
        return head.split(b" ", 2)[1], body

    def _more(self) -> bytes:
        piece = self._socket.recv(1 << 18)
        if not piece:
            raise RuntimeError("the service closed the connection")
        return piece

    def close(self) -> None:
        self._socket.close()


class Load:
    """Executions, and the deciders and workers that do them."""

    def __init__(self, executions: int, activities: int, connections: int) -> None:
        self.executions, self.activities, self.connections = executions, activities, connections
        self.left = executions
        self.decisions: Counter[tuple[str, int]] = Counter()
        self.tasks: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def set_up(self, one: Connection) -> None:
        one.call("RegisterDomain", name="bench", workflowExecutionRetentionPeriodInDays="1")
        for kind, type_ in (("Activity", ACTIVITY), ("Workflow", WORKFLOW)):
            one.call(f"Register{kind}Type", domain="bench", **type_)
        for number in range(self.executions):
            one.call(
                "StartWorkflowExecution",
                domain="bench",
                workflowId=f"execution-{number}",
                workflowType=WORKFLOW,
                taskList={"name": "decisions"},
                childPolicy="TERMINATE",
                executionStartToCloseTimeout="86400",
                taskStartToCloseTimeout="NONE",
            )

    def decide(self, one: Connection) -> None:
        """Schedule the activity after the one that ended, or complete."""
        while self.left:
            task = one.call(
                "PollForDecisionTask",
                domain="bench",
                taskList={"name": "decisions"},
                startAtPreviousStartedEvent=True,
            )
            if "taskToken" not in task:
                continue
            done = 0
            for event in task["events"]:
                if event["eventType"] == "ActivityTaskScheduled":
                    done = int(event["activityTaskScheduledEventAttributes"]["activityId"])
            last = done == self.activities
            decision = completion() if last else schedule(done + 1)
            one.call("RespondDecisionTaskCompleted", taskToken=task["taskToken"], decisions=[decision])
            with self._lock:
                self.decisions[task["workflowExecution"]["runId"], task["startedEventId"]] += 1
                self.left -= last

    def work(self, one: Connection) -> None:
        """Do nothing, and say that it is done."""
        while self.left:
            task = one.call("PollForActivityTask", domain="bench", taskList={"name": "activities"})
            if "taskToken" not in task:
                continue
            one.call("RespondActivityTaskCompleted", taskToken=task["taskToken"], result="1")
            with self._lock:
                self.tasks[task["workflowExecution"]["runId"], task["activityId"]] += 1


def schedule(number: int) -> dict[str, Any]:
    attributes = {
        "activityId": str(number),
        "activityType": ACTIVITY,
        "input": "[[1, 2], {}]",
        "taskList": {"name": "activities"},
        "scheduleToCloseTimeout": "NONE",
        "scheduleToStartTimeout": "NONE",
        "startToCloseTimeout": "NONE",
        "heartbeatTimeout": "NONE",
    }
    return {
        "decisionType": "ScheduleActivityTask",
        "scheduleActivityTaskDecisionAttributes": attributes,
    }


def completion() -> dict[str, Any]:
    return {
        "decisionType": "CompleteWorkflowExecution",
        "completeWorkflowExecutionDecisionAttributes": {"result": "1"},
    }


class Measured(NamedTuple):
    """What came out."""

    requests: int
    seconds: float
    events: int
    duplicates: int
    growth: dict[str, float]  # median of the last tenth over that of the first, by operation
    medians: dict[str, float]

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def measure(executions: int, activities: int, connections: int) -> Measured:
    """Start a service, do it all, end the service."""
    command = [sys.executable, "-m", "flowy", "swf", "serve", "--port", "0", "--no-throttling"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            host, port = server.stdout.readline().rsplit("/", 1)[1].strip().split(":")
            return run(Load(executions, activities, connections), host, int(port))
        finally:
            server.terminate()


def run(load: Load, host: str, port: int) -> Measured:
    first = Connection(host, port)
    load.set_up(first)
    first.close()
    half = load.connections // 2
    roles: list[Callable[[Connection], None]] = [load.decide] * half
    roles += [load.work] * (load.connections - half)
    used = [Connection(host, port) for _ in roles]
    threads = [
        threading.Thread(target=guarded(role, load), args=(one,), daemon=True)
        for role, one in zip(roles, used, strict=True)
    ]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    while load.left > 0:
        time.sleep(0.01)
    seconds = time.perf_counter() - start  # polls that still wait are not waited for
    if load.left < 0:
        raise RuntimeError("a decider or worker failed: see above")
    took = sorted(each for one in used for each in list(one.took))
    for one in used:
        one.close()
    return summary(load, took, seconds)


def guarded(role: Callable[[Connection], None], load: Load) -> Callable[[Connection], None]:
    """A role that says when it fails, and ends the run then; at the end its poll is cut."""

    def work(one: Connection) -> None:
        try:
            role(one)
        except Exception as error:
            if load.left > 0:
                print(f"{role.__name__}: {type(error).__name__}: {error}", file=sys.stderr)
                load.left = -1

    return work


def summary(load: Load, took: list[tuple[float, str, float]], seconds: float) -> Measured:
    growth, medians = {}, {}
    for operation in sorted({operation for _, operation, _ in took}):
        times = [time for _, name, time in took if name == operation]
        tenth = max(1, len(times) // 10)
        medians[operation] = statistics.median(times)
        growth[operation] = statistics.median(times[-tenth:]) / statistics.median(times[:tenth])
    twice = sum(n - 1 for n in (*load.decisions.values(), *load.tasks.values()))
    wanted = load.executions * load.activities
    if len(load.tasks) != wanted or len(load.decisions) != wanted + load.executions:
        raise RuntimeError(f"{len(load.tasks)} activities were delivered, not {wanted}")
    events = load.executions * (6 * load.activities + 5)
    return Measured(len(took), seconds, events, twice, growth, medians)


class LocalSWF:
    """For asv: a twentieth of the full measure."""

    timeout = 300
    unit = "requests/s"

    def track_rate(self) -> float:
        return measure(executions=100, activities=50, connections=8).rate


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=100)
    parser.add_argument("--activities", type=int, default=1000)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    got = measure(options.executions, options.activities, options.connections)
    print(f"{got.events:,} events by {got.requests:,} requests in {got.seconds:.1f} s")
    print(f"{got.rate:,.0f} requests/s (at least {FASTEST:,})")
    for operation, growth in got.growth.items():
        median = got.medians[operation] * 1000
        print(f"{operation}: median {median:.2f} ms, last tenth / first {growth:.2f} (at most {GROWTH})")
    print(f"delivered twice: {got.duplicates}")
    held = got.rate >= FASTEST and max(got.growth.values()) <= GROWTH and not got.duplicates
    print("holds" if held else "DOES NOT HOLD")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
