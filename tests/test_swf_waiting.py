"""Polls of the local SWF: they truly wait, each task goes to one of them, and who moves the clock.

Threads here wait on conditions: no test depends on how fast the machine is.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("botocore", reason="the local SWF needs botocore, of the extra `swf`")

from swf_direct import Direct
from swf_scenarios.bench import COMPLETE, Bench, attributes, child, decision, schedule, timer

from flowy.testing.swf import Clock, Fault, Limits, Service, SystemClock, VirtualClock

FREE = Limits.unthrottled()


class Floor:
    """A service, and threads that call it."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._services: list[Service] = []
        self._open = threading.Event()
        self._open.set()

    def bench(self, clock: Clock, limits: Limits = FREE, **more: Any) -> Bench:
        service = Service(clock=clock, limits=limits, **more)
        self._services.append(service)
        advance = clock.advance if isinstance(clock, VirtualClock) else lambda seconds: None
        bench = Bench(Direct(service), advance)
        bench.set_up()
        return bench

    def service(self) -> Service:
        return self._services[-1]

    def start(self, function: Callable[..., Any], *args: Any, **more: Any) -> Future[Any]:
        return self._pool.submit(function, *args, **more)

    def poll(
        self,
        bench: Bench,
        kind: str,
        name: str = "list",
        alive: Callable[[], bool] | None = None,
    ) -> Future[Any]:
        """A poll in a thread of its own, which waits when this returns."""
        service = self.service()
        request = {"domain": bench.domain, "taskList": {"name": name}}
        tasks = service._world.lists.get(kind, bench.domain, name)  # type: ignore[arg-type]
        polls = tasks.polls
        operation = f"PollFor{kind.capitalize()}Task"
        future = self.start(service.call, operation, request, alive=alive or self._open.is_set)
        while tasks.polls == polls and not future.done():
            threading.Event().wait(0.001)
        return future

    def end(self) -> None:
        """Nobody waits any more for the polls that still do."""
        self._open.clear()
        for service in self._services:
            service.wake()


@pytest.fixture
def floor() -> Iterator[Floor]:
    with ThreadPoolExecutor(16) as pool:
        floor = Floor(pool)
        yield floor
        floor.end()


def test_a_poll_is_woken_by_a_task(floor: Floor) -> None:
    bench = floor.bench(SystemClock())
    decisions, work = floor.poll(bench, "decision"), floor.poll(bench, "activity")
    bench.start()
    task = decisions.result()
    assert not work.done()
    bench.respond(task, schedule("a"))
    assert work.result()["activityId"] == "a"


def test_each_task_goes_to_one_poller(floor: Floor) -> None:
    bench = floor.bench(SystemClock())

    def work() -> list[str]:
        got: list[str] = []
        while True:
            task = bench.work()
            bench.call("RespondActivityTaskCompleted", taskToken=task["taskToken"])
            if task["activityId"].startswith("stop"):
                return got
            got.append(task["activityId"])

    workers = [floor.start(work) for _ in range(8)]
    run_id = bench.start()
    wanted = [f"a{number}" for number in range(500)]
    bench.decide(*map(schedule, wanted))
    while bench.detail("one", run_id)["openCounts"]["openActivityTasks"]:
        bench.respond(bench.poll())
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="stop")
    bench.decide(*(schedule(f"stop {number}") for number in range(8)))
    assert Counter(name for worker in workers for name in worker.result()) == Counter(wanted)


def test_an_empty_poll_ends_by_itself(floor: Floor) -> None:
    bench = floor.bench(SystemClock(), replace(FREE, long_poll=0.05))
    request = {"domain": bench.domain, "taskList": {"name": "list"}}
    empty = {"startedEventId": 0, "previousStartedEventId": 0}
    assert floor.service().call("PollForDecisionTask", request) == empty
    assert floor.service().call("PollForActivityTask", request) == {"startedEventId": 0}


def late(kind: str, said: Mapping[str, Any]) -> float:
    return 0.05 if kind == "timer" else 0.0


def test_time_passes_while_polls_wait(floor: Floor) -> None:
    """Nobody calls: one of those who wait must look at the clock."""
    bench = floor.bench(SystemClock(), delays=late)
    others = [floor.poll(bench, "activity", f"x{number}") for number in range(3)]
    bench.start()
    bench.decide(timer("t", 0))  # set while they wait, and earlier than their ends
    task = bench.poll()
    assert task["events"][-3]["eventType"] == "TimerFired"
    assert not any(other.done() for other in others)


def test_who_looks_at_the_clock_may_leave(floor: Floor) -> None:
    bench = floor.bench(SystemClock(), delays=late)
    leader = floor.poll(bench, "activity")
    follower = floor.poll(bench, "decision", "mine")
    bench.start(taskList={"name": "mine"})
    task = follower.result()
    follower = floor.poll(bench, "decision", "mine")
    bench.respond(task, schedule("a"), timer("t", 0))
    assert leader.result()["activityId"] == "a"  # it has gone with its task; the timer is to come
    assert follower.result()["events"][-3]["eventType"] == "TimerFired"


def test_a_task_is_not_given_to_who_has_gone(floor: Floor) -> None:
    bench = floor.bench(SystemClock())
    floor.poll(bench, "activity")  # looks at the clock, so that no other needs to
    there = threading.Event()
    there.set()
    gone = floor.poll(bench, "decision", alive=there.is_set)
    patient = floor.poll(bench, "decision")
    there.clear()
    bench.start()  # wakes the one that has waited longer
    assert "taskToken" not in gone.result()
    assert patient.result()["taskToken"]


def test_a_poll_that_is_woken_asks_whether_it_is_wanted(floor: Floor) -> None:
    bench = floor.bench(SystemClock())
    there = threading.Event()
    there.set()
    polls = [floor.poll(bench, "decision", alive=there.is_set) for _ in range(3)]
    there.clear()
    floor.service().wake()
    assert not any("taskToken" in poll.result() for poll in polls)


def test_so_many_may_wait_at_a_list(floor: Floor) -> None:
    bench = floor.bench(SystemClock(), replace(FREE, pollers=2))
    polls = [floor.poll(bench, "decision") for _ in range(2)]
    with pytest.raises(Fault, match="LimitExceededFault"):
        floor.service().call(
            "PollForDecisionTask", {"domain": bench.domain, "taskList": {"name": "list"}}
        )
    bench.start()
    bench.start("two")
    assert all(poll.result()["taskToken"] for poll in polls)
    with pytest.raises(Fault, match="Unknown domain"):
        floor.service().call("PollForDecisionTask", {"domain": "x", "taskList": {"name": "list"}})


def test_a_clock_that_stands_is_moved_by_hand_only(floor: Floor) -> None:
    clock = VirtualClock(auto_advance=False)
    bench = floor.bench(clock)
    bench.start()
    bench.decide(timer("t", 30))
    then = clock.now()
    poll, other = floor.poll(bench, "decision"), floor.poll(bench, "activity")
    clock.advance(29)
    assert not poll.done()
    clock.advance(1)
    assert poll.result()["taskToken"]
    assert not other.done()
    clock.advance(30)
    assert other.result() == {"startedEventId": 0}
    assert clock.now() == then + 60
    for wrong in (-1, float("nan")):
        with pytest.raises(ValueError, match="number of seconds"):
            clock.advance(wrong)


def test_a_year_passes_in_a_poll(floor: Floor) -> None:
    clock = VirtualClock()
    bench = floor.bench(clock)
    run_id = bench.start(executionStartToCloseTimeout="31536000")
    then = clock.now()
    for number in range(12):
        bench.decide(timer(f"month {number}", 30 * 86400))
    bench.decide(COMPLETE)
    assert clock.now() == then + 360 * 86400
    assert bench.status("one", run_id) == "COMPLETED"


def test_an_empty_poll_is_not_the_end(floor: Floor) -> None:
    clock = VirtualClock()
    bench = floor.bench(clock)
    run_id = bench.start()
    bench.decide(schedule("a", scheduleToCloseTimeout="900"))
    request = {"domain": bench.domain, "taskList": {"name": "nobody's"}}
    then = clock.now()
    for _ in range(3):  # each takes its minute, and no more
        assert floor.service().call("PollForDecisionTask", request)["startedEventId"] == 0
    assert clock.now() == then + 180
    assert bench.work()["activityId"] == "a"
    # Who has a task and polls does not work on it: it is over in the end.
    polls = 0
    while not bench.waiting("Decision"):
        floor.service().call("PollForDecisionTask", request)
        polls += 1
    bench.latest("one", run_id, "ActivityTaskTimedOut", "DecisionTaskScheduled")
    assert polls <= 20


def test_a_lonely_poller_hears_of_a_far_time_out() -> None:
    clock = VirtualClock()
    service = Service(clock=clock, limits=FREE)
    bench = Bench(Direct(service), clock.advance)
    bench.set_up()
    run_id = bench.start(executionStartToCloseTimeout="31536000", taskStartToCloseTimeout="NONE")
    bench.poll()
    request = {"domain": bench.domain, "taskList": {"name": "list"}}
    for _ in range(20):
        service.call("PollForDecisionTask", request)
    assert bench.status("one", run_id) == "TIMED_OUT"


def test_time_stands_while_somebody_works(floor: Floor) -> None:
    clock = VirtualClock()
    bench = floor.bench(clock)
    run_id = bench.start()
    bench.decide(schedule("a", startToCloseTimeout="10"))
    taken, answer = threading.Event(), threading.Event()

    def work() -> None:
        task = bench.work()
        taken.set()
        answer.wait()
        bench.call("RespondActivityTaskCompleted", taskToken=task["taskToken"])

    worker = floor.start(work)
    taken.wait()
    then = clock.now()
    poll = floor.poll(bench, "decision")
    for _ in range(3):  # long enough for a clock that would not stand
        assert not poll.done()
        threading.Event().wait(0.06)
    assert clock.now() == then
    answer.set()
    worker.result()
    assert poll.result()["taskToken"]
    bench.latest("one", run_id, "ActivityTaskCompleted", "DecisionTaskScheduled", "DecisionTaskStarted")
    assert clock.now() == then


def test_time_does_not_stand_for_who_has_died(floor: Floor) -> None:
    clock = VirtualClock()
    bench = floor.bench(clock)
    run_id = bench.start()
    bench.decide(schedule("a", startToCloseTimeout="10"))
    thread = threading.Thread(target=bench.work)
    thread.start()
    thread.join()
    assert bench.poll()["taskToken"]
    timed_out, *_ = bench.latest(
        "one", run_id, "ActivityTaskTimedOut", "DecisionTaskScheduled", "DecisionTaskStarted"
    )
    assert timed_out["timeoutType"] == "START_TO_CLOSE"


def test_a_decider_and_workers_live_through_months_together(floor: Floor) -> None:
    """Three activities and a timer of a month, twelve times over, in four threads."""
    clock = VirtualClock()
    bench = floor.bench(clock)
    then = clock.now()

    def work() -> int:
        done = 0
        while True:
            task = bench.here("PollForActivityTask", taskList={"name": "list"})
            if "taskToken" in task:
                if task["activityId"] == "end":
                    return done
                bench.call("RespondActivityTaskCompleted", taskToken=task["taskToken"])
                done += 1

    def run() -> str:
        run_id = bench.start(executionStartToCloseTimeout="31536000")
        waits: set[str] = set()
        month = 0
        while True:
            task = bench.poll(startAtPreviousStartedEvent=True, maximumPageSize=1000)
            for event in task["events"]:
                if event["eventId"] > task["previousStartedEventId"]:
                    waits -= _ended(event)
            if not waits and month == 12:
                bench.respond(task, *(schedule("end", taskPriority="-1") for _ in range(1)), COMPLETE)
                return run_id
            if not waits:
                month += 1
                names = [f"{month}-{number}" for number in range(3)]
                waits = {*names, f"t{month}"}
                bench.respond(task, timer(f"t{month}", 30 * 86400), *map(schedule, names))
            else:
                bench.respond(task)

    scheduled: dict[int, str] = {}

    def _ended(event: dict[str, Any]) -> set[str]:
        said = attributes(event)
        if event["eventType"] == "ActivityTaskScheduled":
            scheduled[event["eventId"]] = said["activityId"]
        elif event["eventType"] == "ActivityTaskCompleted":
            return {scheduled[said["scheduledEventId"]]}
        elif event["eventType"] == "TimerFired":
            return {said["timerId"]}
        return set()

    workers = [floor.start(work) for _ in range(3)]
    run_id = floor.start(run).result()
    assert bench.status("one", run_id) == "COMPLETED"
    for number in range(3):
        bench.start(f"end {number}")
        bench.decide(schedule("end"))
    assert sum(worker.result() for worker in workers) == 36
    assert clock.now() >= then + 360 * 86400


def test_children_come_late_if_they_are_to(floor: Floor) -> None:
    clock = VirtualClock()
    delays = {"start child": 100.0, "child started": 30.0}
    bench = floor.bench(clock, delays=lambda kind, said: delays.get(kind, 0.0))
    bench.start("parent")
    then = clock.now()
    bench.decide(child("child", taskList={"name": "child"}), decision("RecordMarker", markerName="m"))
    assert bench.poll("child")["taskToken"]
    assert clock.now() == then + 100
    assert bench.poll()["events"][-3]["eventType"] == "ChildWorkflowExecutionStarted"
    assert clock.now() == then + 130
