"""The local SWF beside moto's: random sequences of operations have the same outcomes on both.

Both get the same calls at the same times through botocore clients; answers, faults and histories must be
equal. moto's server would give no more than `mock_aws` in this process, and takes seconds to start
where this takes milliseconds.

moto does not have all of SWF and some of it wrong. What is left out here, and why:

====================================  ==================================================================
left out                              because moto 5.2
====================================  ==================================================================
news while a decision task waits      schedules another one. SWF has one at most that waits: in the real
                                      service's recordings none is scheduled while one is.
closing over unseen news              closes. AWS, API_Decision: "the decision fails with
                                      UnhandledDecision".
a closed activity's id again          refuses it. AWS, API_ScheduleActivityTaskDecisionAttributes: the
                                      id must be unique among *open* activity tasks.
defaults of activity types            uses them, but leaves them out of ActivityTaskScheduled. The
                                      recordings have them.
time-outs of activities               has only the heartbeat's, and counts it from the scheduling. AWS,
but the heartbeat after the start     "Timeout types": it counts from ActivityTaskStarted.
StartTimerFailed, CancelTimerFailed   schedules no decision that would hear of them, and leaves out the
                                      timer's id, which the model requires.
CancelTimer                           writes an event TimerCancelled, which the model does not have.
tasks of closed executions            hands them out. AWS: a closed execution has no open tasks.
answers to tasks that failed          breaks (HTTP 500) for want of a state.
invalid tokens                        calls them a ValidationException, one reason for several cases.
an empty poll                         does not wait.
counts of pending activities          counts those that a worker has. AWS, CountPendingActivityTasks:
                                      those "in the specified task list".
deprecated domains                    still start executions, and their lists fail.
values that are 0, "" or empty        leaves them out of events: parentInitiatedEventId 0, for one,
                                      which the recordings have.
tags, priorities                      keeps no tags in WorkflowExecutionStarted and no priorities.
previousStartedEventId                leaves it out of the first poll, where the recordings have 0, and
                                      takes a decision that timed out for the previous one. AWS,
                                      API_PollForDecisionTask: the one "processed by the decider".
openCounts                            counts tasks that timed out as open for good.
filters, order and pages of lists     are not there, or drop each second item.
the other decisions and operations    are not there.
====================================  ==================================================================
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import boto3
import moto
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from moto.core.utils import unix_time
from moto.swf.models import swf_backends

from flowy.testing import LocalSWF

CLOCKED = ("workflow_execution", "decision_task", "activity_task", "timeout", "history_event")
TYPES: list[dict[str, Any]] = [
    {"name": name, "version": version} for name in ("A", "B") for version in ("1", "2")
]
WORKFLOW: dict[str, Any] = {"name": "W", "version": "1"}
TEXTS = ["x", "[[1], {}]", "ünï"]
# Left out of the comparison of events, for the reasons above.
FALSY = {"parentInitiatedEventId", "externalInitiatedEventId"}
Side = dict[str, Any]


class Sides:
    """The two services under one clock, and calls of both."""

    def __init__(self) -> None:
        self.patch = pytest.MonkeyPatch()
        self.swf = LocalSWF(auto_advance=False)
        self.ours = self.swf.client()
        self.mock = moto.mock_aws()
        self.mock.start()
        for name in CLOCKED:
            self.patch.setattr(f"moto.swf.models.{name}.unix_time", lambda *_: self.swf.clock.now())
        self.theirs = boto3.client("swf", region_name="us-east-1")

    def close(self) -> None:
        for account in swf_backends.values():
            for domain in account["us-east-1"].domains:
                for execution in domain.workflow_executions:
                    for timer in execution._timers.values():
                        timer.cancel()
                        timer.background_timer.join()
        self.patch.undo()
        self.mock.stop()
        self.theirs.close()

    def both(self, method: str, give: Callable[[str], Any] | None = None, **same: Any) -> Any:
        """Call both, with what is the `same` and what is given by side; returns both outcomes, which
        have the same fault or none."""
        outcomes = {}
        for side, client in (("ours", self.ours), ("theirs", self.theirs)):
            try:
                outcomes[side] = getattr(client, method)(**same, **(give(side) if give else {}))
            except ClientError as error:
                outcomes[side] = error.response["Error"]["Code"]
        ours, theirs = outcomes["ours"], outcomes["theirs"]
        if isinstance(ours, str) or isinstance(theirs, str):
            assert ours == theirs, f"{method}({same})"
            return None
        return {"ours": ours, "theirs": theirs}


def comparable(history: list[Side]) -> list[Side]:
    """Events without what is different by nature (times) or by moto's fault (see above)."""
    found = []
    for event in history:
        kind = event["eventType"]
        (given,) = (value for key, value in event.items() if key.endswith("EventAttributes"))
        given = {k: v for k, v in given.items() if k not in FALSY and v not in ("", [])}
        found.append({"id": event["eventId"], "type": kind, **given})
    return found


class BesideMoto:
    """One domain, a few types and workflow ids. Each step calls both and compares; what it picks is up
    to chance, and what moto has wrong is not picked."""

    def __init__(self, chance: random.Random) -> None:
        self.sides = Sides()
        self.chance = chance
        self.runs: dict[str, Side] = {}  # open, by workflow id
        # Each run has a list of its own: moto would hand out the tasks of the run before.
        self.lists: dict[str, Side] = {}
        self.ended: list[tuple[str, Side]] = []
        self.waiting: set[str] = set()  # with a decision task that nobody has
        self.deciding: dict[str, Side] = {}  # tokens, by workflow id
        self.scheduled: dict[str, int] = {}  # activities that nobody has, by workflow id
        self.working: list[tuple[str, Side]] = []  # their workflow ids and tokens
        self.count = 0
        both = self.sides.both
        both("register_domain", name="d", workflowExecutionRetentionPeriodInDays="1")
        both("register_workflow_type", domain="d", **WORKFLOW)
        both("register_activity_type", domain="d", **TYPES[0])

    def step(self, action: str) -> None:
        """Do this, if it can be done now."""
        getattr(self, action)()
        for workflow_id in self.runs:
            # Else we would not know what we compare. A task that waits behind one is not offered yet.
            offered = workflow_id in self.waiting and workflow_id not in self.deciding
            assert self.pending("decision", workflow_id) == offered

    def pick(self, options: Iterable[Any]) -> Any:
        """One of them; None if there is none."""
        found = list(options)
        return self.chance.choice(found) if found else None

    def pending(self, kind: str, workflow_id: str) -> int:
        """How many tasks wait, by our count: what moto counts is another thing."""
        count = getattr(self.sides.ours, f"count_pending_{kind}_tasks")
        found: int = count(domain="d", taskList=self.lists[workflow_id])["count"]
        return found

    # The registry.

    def type_operation(self) -> None:
        kind, of = self.pick(["activity", "workflow"]), self.pick(TYPES)
        operation = self.pick(["register", "register", "deprecate", "undeprecate"])
        given = of if operation == "register" else {f"{kind}Type": of}
        self.sides.both(f"{operation}_{kind}_type", domain="d", **given)

    def domain_operation(self) -> None:
        operation = self.pick(["register", "deprecate", "undeprecate"])
        more: Side = {"workflowExecutionRetentionPeriodInDays": "2"} if operation == "register" else {}
        self.sides.both(f"{operation}_domain", name=self.pick(["e", "f"]), **more)
        found = self.sides.both("describe_domain", name=self.pick(["d", "e", "f"]))
        if found:
            ours, theirs = found["ours"], found["theirs"]
            assert ours["configuration"] == theirs["configuration"]
            assert ours["domainInfo"]["status"] == theirs["domainInfo"]["status"]

    def describe_type(self) -> None:
        kind, of = self.pick(["activity", "workflow"]), self.pick(TYPES)
        found = self.sides.both(f"describe_{kind}_type", domain="d", **{f"{kind}Type": of})
        if found:
            ours, theirs = (found[side]["typeInfo"] for side in ("ours", "theirs"))
            assert ours[f"{kind}Type"] == theirs[f"{kind}Type"]
            assert ours["status"] == theirs["status"]

    def list_types(self) -> None:
        kind = self.pick(["activity", "workflow"])
        status, backwards = self.pick(["REGISTERED", "DEPRECATED"]), self.pick([True, False])
        found = self.sides.both(
            f"list_{kind}_types", domain="d", registrationStatus=status, reverseOrder=backwards
        )
        ours, theirs = (
            [info[f"{kind}Type"]["name"] for info in found[side]["typeInfos"]]
            for side in ("ours", "theirs")
        )
        assert ours == theirs

    # Executions from outside.

    def start(self) -> None:
        workflow_id = self.pick(["w1", "w2", "w3"])
        task_list = {"name": f"{workflow_id}-{len(self.ended)}"}
        settings: Side = {
            "childPolicy": "TERMINATE",
            "executionStartToCloseTimeout": self.pick(["3000", "150"]),
            "taskStartToCloseTimeout": "100",
        }
        if self.chance.random() < 0.1:
            del settings[self.pick(settings)]  # DefaultUndefinedFault
        started = self.sides.both(
            "start_workflow_execution",
            domain="d",
            workflowId=workflow_id,
            workflowType=self.pick([WORKFLOW, WORKFLOW, WORKFLOW, *TYPES]),
            input=self.pick(TEXTS),
            taskList=task_list,
            **settings,
        )
        if started:
            self.lists[workflow_id] = task_list
            self.runs[workflow_id] = {side: answer["runId"] for side, answer in started.items()}
            self.waiting.add(workflow_id)
            self.scheduled[workflow_id] = 0

    def signal(self) -> None:
        workflow_id = self.pick([*(set(self.runs) - self.waiting), "unknown"])
        self.sides.both(
            "signal_workflow_execution",
            domain="d",
            workflowId=workflow_id,
            signalName="s",
            input=self.pick(TEXTS),
        )
        if workflow_id in self.runs:
            self.waiting.add(workflow_id)

    def terminate(self) -> None:
        workflow_id = self.pick([*self.runs, "unknown", "unknown"])
        self.sides.both(
            "terminate_workflow_execution", domain="d", workflowId=workflow_id, reason="enough"
        )
        if workflow_id in self.runs:
            self.end(workflow_id)

    def list_open(self) -> None:
        found = self.sides.both(
            "list_open_workflow_executions", domain="d", startTimeFilter={"oldestDate": 0}
        )
        for side in ("ours", "theirs"):
            listed = {info["execution"]["runId"] for info in found[side]["executionInfos"]}
            assert listed == {run[side] for run in self.runs.values()}

    def end(self, workflow_id: str) -> None:
        self.ended.append((workflow_id, self.runs.pop(workflow_id)))
        self.waiting.discard(workflow_id)
        self.deciding.pop(workflow_id, None)
        self.working = [each for each in self.working if each[0] != workflow_id]
        self.scheduled[workflow_id] = 0

    # Deciders.

    def poll_for_decision(self) -> None:
        workflow_id = self.pick(sorted(self.waiting - set(self.deciding)))
        if workflow_id is None:
            return
        found = self.sides.both("poll_for_decision_task", domain="d", taskList=self.lists[workflow_id])
        assert found["ours"]["startedEventId"] == found["theirs"]["startedEventId"]
        assert found["ours"]["workflowType"] == found["theirs"]["workflowType"]
        if previous := found["theirs"].get("previousStartedEventId"):
            assert self.timed_out(found) or found["ours"]["previousStartedEventId"] == previous
        ours = comparable(found["ours"]["events"])
        assert ours == comparable(found["theirs"]["events"])[: len(ours)]
        self.waiting.discard(workflow_id)
        self.deciding[workflow_id] = {side: task["taskToken"] for side, task in found.items()}

    @staticmethod
    def timed_out(found: Side) -> bool:
        """Whether a decision timed out: moto takes it for one that was decided."""
        return any(e["eventType"] == "DecisionTaskTimedOut" for e in found["theirs"]["events"])

    def decide(self) -> None:
        workflow_id = self.pick(sorted(self.deciding))
        if workflow_id is None:
            return
        decisions: list[Side] = []
        refused = False
        for _ in range(self.chance.randrange(4)):
            part = self.pick(["activity", "activity", "activity", "marker", "timer", "unknown", "twice"])
            refusal = part in ("unknown", "twice") or (part == "activity" and not self.usable())
            if refusal and workflow_id in self.waiting:
                continue
            refused |= refusal
            decisions += self.part(part, workflow_id)
        ends = self.chance.random() < 0.25 and workflow_id not in self.waiting and not refused
        if ends:
            decisions.append(closing(self.pick(["complete", "fail", "cancel"])))
        token = self.deciding.pop(workflow_id)
        more: Side = {"executionContext": self.pick(TEXTS)} if self.pick([True, False]) else {}
        self.sides.both(
            "respond_decision_task_completed",
            lambda side: {"taskToken": token[side]},
            decisions=decisions,
            **more,
        )
        if ends:
            self.end(workflow_id)
            return
        if self.pending("decision", workflow_id):
            self.waiting.add(workflow_id)
        self.scheduled[workflow_id] = self.pending("activity", workflow_id)

    def usable(self) -> bool:
        """Whether the activity type that `part` uses can be scheduled."""
        found = self.sides.ours.describe_activity_type(domain="d", activityType=TYPES[0])
        return bool(found["typeInfo"]["status"] == "REGISTERED")

    def part(self, part: str, workflow_id: str) -> list[Side]:
        """One part of a decision, with an id of its own."""
        self.count += 1
        number = str(self.count)
        if part == "marker":
            attributes = {"markerName": "m", "details": number}
            return [{"decisionType": "RecordMarker", "recordMarkerDecisionAttributes": attributes}]
        if part == "timer":
            attributes = {"timerId": number, "startToFireTimeout": "100000", "control": "c"}
            return [{"decisionType": "StartTimer", "startTimerDecisionAttributes": attributes}]
        kind = {"name": "Unknown", "version": "1"} if part == "unknown" else TYPES[0]
        one = activity(number, self.lists[workflow_id]["name"], kind)
        return [one, one] if part == "twice" else [one]

    # Workers.

    def poll_for_activity(self) -> None:
        workflow_id = self.pick(sorted(w for w, n in self.scheduled.items() if n))
        if workflow_id is None:
            return
        found = self.sides.both(
            "poll_for_activity_task", domain="d", taskList=self.lists[workflow_id], identity="me"
        )
        for same in ("activityId", "activityType", "startedEventId", "input"):
            assert found["ours"].get(same) == found["theirs"].get(same)
        self.working.append((workflow_id, {s: task["taskToken"] for s, task in found.items()}))
        self.scheduled[workflow_id] -= 1

    def heartbeat(self) -> None:
        if not self.working:
            return
        _, token = self.pick(self.working)
        found = self.sides.both(
            "record_activity_task_heartbeat", lambda side: {"taskToken": token[side]}, details="half"
        )
        assert found["ours"]["cancelRequested"] == found["theirs"]["cancelRequested"]

    def answer(self) -> None:
        each = self.pick(each for each in self.working if each[0] not in self.waiting)
        if each is None:
            return
        workflow_id, token = each
        self.working.remove(each)
        if self.pick([True, False]):
            what, more = "failed", {"reason": "why", "details": self.pick(TEXTS)}
        else:
            what, more = "completed", {"result": self.pick(TEXTS)}
        self.sides.both(f"respond_activity_task_{what}", lambda side: {"taskToken": token[side]}, **more)
        self.waiting.add(workflow_id)

    # Time.

    def advance(self) -> None:
        """Decisions and executions time out."""
        if self.waiting & set(self.deciding):
            return
        self.sides.swf.advance(self.pick([1, 10, 50, 99, 101, 101, 2000]))
        for workflow_id, run in [*self.runs.items()]:
            found = self.describe(workflow_id, run)
            ours, theirs = (found[side]["executionInfo"] for side in ("ours", "theirs"))
            assert ours["executionStatus"] == theirs["executionStatus"]
            assert ours.get("closeStatus") == theirs.get("closeStatus")
            if ours["executionStatus"] == "CLOSED":
                self.end(workflow_id)
            elif workflow_id in self.deciding and self.pending("decision", workflow_id):
                del self.deciding[workflow_id]  # it timed out
                self.waiting.add(workflow_id)

    def describe(self, workflow_id: str, run: Side) -> Side:
        def execution(side: str) -> Side:
            return {"execution": {"workflowId": workflow_id, "runId": run[side]}}

        found: Side = self.sides.both("describe_workflow_execution", execution, domain="d")
        return found

    def compare_histories(self) -> set[str]:
        """Of all executions there were; the types of the events that were in them."""
        types = set()
        for workflow_id, run in [*self.ended, *self.runs.items()]:
            execution = {"workflowId": workflow_id, "runId": run["theirs"]}
            theirs = self.sides.theirs.get_workflow_execution_history(domain="d", execution=execution)
            execution["runId"] = run["ours"]
            pages = self.sides.ours.get_paginator("get_workflow_execution_history").paginate(
                domain="d", execution=execution
            )
            ours = [event for page in pages for event in page["events"]]
            assert comparable(ours) == comparable(theirs["events"])
            types |= {event["eventType"] for event in ours}
        return types


def activity(activity_id: str, task_list: str, kind: Side) -> Side:
    attributes = {
        "activityId": activity_id,
        "activityType": kind,
        "input": "in",
        "control": "c",
        "taskList": {"name": task_list},
        "scheduleToCloseTimeout": "NONE",
        "scheduleToStartTimeout": "NONE",
        "startToCloseTimeout": "NONE",
        "heartbeatTimeout": "NONE",
    }
    return {
        "decisionType": "ScheduleActivityTask",
        "scheduleActivityTaskDecisionAttributes": attributes,
    }


def closing(end: str) -> Side:
    attributes: Side = {"details": "how"} if end != "complete" else {"result": "1"}
    if end == "fail":
        attributes["reason"] = "why"
    kind = f"{end}WorkflowExecution"
    return {
        "decisionType": kind[0].upper() + kind[1:],
        f"{kind}DecisionAttributes": attributes,
    }


STEPS = [
    *["start", "signal", "heartbeat", "advance"] * 2,
    *["poll_for_decision", "decide"] * 5,
    *["poll_for_activity", "answer"] * 4,
    *["type_operation", "domain_operation", "describe_type", "list_types", "list_open", "terminate"],
]
LONG = bool(os.environ.get("FLOWY_LONG"))
RIGHT = {
    "WorkflowExecutionStarted",
    "WorkflowExecutionSignaled",
    "WorkflowExecutionTerminated",
    "WorkflowExecutionTimedOut",
    "WorkflowExecutionCompleted",
    "WorkflowExecutionFailed",
    "WorkflowExecutionCanceled",
    "DecisionTaskScheduled",
    "DecisionTaskStarted",
    "DecisionTaskCompleted",
    "DecisionTaskTimedOut",
    "ActivityTaskScheduled",
    "ActivityTaskStarted",
    "ActivityTaskCompleted",
    "ActivityTaskFailed",
    "ScheduleActivityTaskFailed",
    "MarkerRecorded",
    "TimerStarted",
}


@pytest.mark.slow
@given(seed=st.integers(0, 1 << 32), length=st.integers(20, 80))
@settings(
    max_examples=1000 if LONG else 25,
    deadline=None,
    phases=tuple(Phase) if LONG else (Phase.explicit, Phase.generate),  # to shrink takes minutes
    suppress_health_check=list(HealthCheck),
)
def test_random_operations_have_the_same_outcomes(seed: int, length: int) -> None:
    """The length shrinks to the first step that differs; the steps are the seed's."""
    play(seed, length)


def play(seed: int, length: int) -> set[str]:
    """Do so many steps, and compare all; the types of the events that came of them."""
    beside = BesideMoto(random.Random(seed))
    try:
        beside.step("start")
        for _ in range(length):
            beside.step(beside.pick(STEPS))
        return beside.compare_histories()
    finally:
        beside.sides.close()


@pytest.mark.slow
def test_random_operations_are_of_all_kinds() -> None:
    """Not many of them meet every type of event that moto has right."""
    met: set[str] = set()
    for seed in range(100):
        met |= play(seed, 80)
        if len(met) >= len(RIGHT):
            break
    assert met == RIGHT


@pytest.fixture
def sides() -> Iterator[Sides]:
    made = Sides()
    made.both("register_domain", name="d", workflowExecutionRetentionPeriodInDays="1")
    made.both("register_workflow_type", domain="d", **WORKFLOW)
    made.both("register_activity_type", domain="d", **TYPES[0])
    made.both(
        "start_workflow_execution",
        domain="d",
        workflowId="w",
        workflowType=WORKFLOW,
        taskList={"name": "l"},
        childPolicy="TERMINATE",
        executionStartToCloseTimeout="3000",
        taskStartToCloseTimeout="100",
    )
    yield made
    made.close()


def decide(sides: Sides, *decisions: Side) -> None:
    task = sides.both("poll_for_decision_task", domain="d", taskList={"name": "l"})
    sides.both(
        "respond_decision_task_completed",
        lambda side: {"taskToken": task[side]["taskToken"]},
        decisions=list(decisions),
    )


def last_events(sides: Sides, side: str) -> list[Side]:
    client = sides.ours if side == "ours" else sides.theirs
    (info,) = client.list_open_workflow_executions(domain="d", startTimeFilter={"oldestDate": 0})[
        "executionInfos"
    ]
    history = client.get_workflow_execution_history(domain="d", execution=info["execution"])
    return comparable(history["events"])


def test_a_heartbeat_that_is_late_times_out_on_both(sides: Sides) -> None:
    one = activity("a", "l", TYPES[0])
    one["scheduleActivityTaskDecisionAttributes"]["heartbeatTimeout"] = "10"
    decide(sides, one)
    task = sides.both("poll_for_activity_task", domain="d", taskList={"name": "l"})
    for late in (5, 9, 11):
        sides.swf.advance(late)
        if late < 10:
            sides.both(
                "record_activity_task_heartbeat",
                lambda side: {"taskToken": task[side]["taskToken"]},
                details="half",
            )
    ours, theirs = last_events(sides, "ours"), last_events(sides, "theirs")
    assert ours == theirs
    assert [event["type"] for event in ours[-2:]] == ["ActivityTaskTimedOut", "DecisionTaskScheduled"]
    assert ours[-2]["details"] == "half"


def test_a_timer_fires_on_both(sides: Sides, eventually: Callable[..., bool]) -> None:
    """moto's by a thread of its own and the machine's time."""
    attributes = {"timerId": "t", "startToFireTimeout": "1"}
    decide(sides, {"decisionType": "StartTimer", "startTimerDecisionAttributes": attributes})
    assert eventually(lambda: last_events(sides, "theirs")[-1]["type"] == "DecisionTaskScheduled")
    sides.swf.advance(1)
    assert last_events(sides, "ours") == last_events(sides, "theirs")
    assert last_events(sides, "ours")[-2]["type"] == "TimerFired"


def test_moto_is_looked_at_through_our_clock(sides: Sides) -> None:
    """Else nothing would time out there, and the comparison would be of nothing."""
    before = last_events(sides, "theirs")
    assert abs(unix_time() - sides.swf.clock.now()) > 86400
    sides.swf.advance(3001)
    with pytest.raises(ValueError, match="not enough values"):
        last_events(sides, "theirs")
    assert before
