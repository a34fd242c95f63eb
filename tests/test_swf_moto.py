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
first poll                            has no previousStartedEventId; the recordings have 0.
openCounts                            counts tasks that timed out as open for good.
filters, order and pages of lists     are not there, or drop each second item.
the other decisions and operations    are not there.
====================================  ==================================================================
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import moto
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from moto.core.utils import unix_time
from moto.swf.models import swf_backends

from flowy.testing import LocalSWF

CLOCKED = ("workflow_execution", "decision_task", "activity_task", "timeout", "history_event")
TYPES = [{"name": name, "version": version} for name in ("A", "B") for version in ("1", "2")]
WORKFLOW = {"name": "W", "version": "1"}
# Left out of the comparison of events, for the reasons above.
FALSY = {"parentInitiatedEventId", "externalInitiatedEventId"}
Side = dict[str, Any]

types = st.sampled_from(TYPES)
ids = st.sampled_from(["w1", "w2", "w3"])
texts = st.sampled_from(["x", "[[1], {}]", "ünï"])


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
        self.tokens: dict[str, list[Side]] = {}

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

    def both(self, method: str, give: Callable[[str], Side] | None = None, **same: Any) -> Any:
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


class BesideMoto(RuleBasedStateMachine):
    """One domain, a few types and workflow ids; each rule calls both and compares."""

    def __init__(self) -> None:
        super().__init__()
        self.sides = Sides()
        self.runs: dict[str, Side] = {}  # open, by workflow id
        self.ended: list[tuple[str, Side]] = []
        self.waiting: set[str] = set()  # with a decision task that nobody has
        self.deciding: dict[str, Side] = {}  # tokens, by workflow id
        self.scheduled: dict[str, int] = {}  # activities that nobody has
        self.working: list[tuple[str, Side]] = []  # their workflow ids and tokens
        self.news = 0

    def teardown(self) -> None:
        try:
            self.compare_histories()
        finally:
            self.sides.close()

    @initialize()
    def set_up(self) -> None:
        both = self.sides.both
        both("register_domain", name="d", workflowExecutionRetentionPeriodInDays="1")
        both("register_workflow_type", domain="d", **WORKFLOW)

    # The registry.

    @rule(kind=st.sampled_from(["activity", "workflow"]), of=types)
    def register(self, kind: str, of: Side) -> None:
        self.sides.both(f"register_{kind}_type", domain="d", **of)

    @rule(kind=st.sampled_from(["activity", "workflow"]), of=types)
    def deprecate(self, kind: str, of: Side) -> None:
        self.sides.both(f"deprecate_{kind}_type", domain="d", **{f"{kind}Type": of})

    @rule(kind=st.sampled_from(["activity", "workflow"]), of=types)
    def undeprecate(self, kind: str, of: Side) -> None:
        self.sides.both(f"undeprecate_{kind}_type", domain="d", **{f"{kind}Type": of})

    @rule(kind=st.sampled_from(["activity", "workflow"]), of=types)
    def describe(self, kind: str, of: Side) -> None:
        found = self.sides.both(f"describe_{kind}_type", domain="d", **{f"{kind}Type": of})
        if found:
            ours, theirs = (found[side]["typeInfo"] for side in ("ours", "theirs"))
            assert ours[f"{kind}Type"] == theirs[f"{kind}Type"]
            assert ours["status"] == theirs["status"]

    @rule(
        kind=st.sampled_from(["activity", "workflow"]),
        status=st.sampled_from(["REGISTERED", "DEPRECATED"]),
        reverse=st.booleans(),
    )
    def list_types(self, kind: str, status: str, reverse: bool) -> None:
        found = self.sides.both(
            f"list_{kind}_types", domain="d", registrationStatus=status, reverseOrder=reverse
        )
        ours, theirs = (
            [info[f"{kind}Type"]["name"] for info in found[side]["typeInfos"]]
            for side in ("ours", "theirs")
        )
        assert ours == theirs

    @rule(name=st.sampled_from(["d", "e"]))
    def register_domain(self, name: str) -> None:
        self.sides.both("register_domain", name=name, workflowExecutionRetentionPeriodInDays="2")

    @rule(name=st.sampled_from(["e", "f"]))
    def deprecate_domain(self, name: str) -> None:
        self.sides.both("deprecate_domain", name=name)

    @rule(name=st.sampled_from(["e", "f"]))
    def undeprecate_domain(self, name: str) -> None:
        self.sides.both("undeprecate_domain", name=name)

    @rule(name=st.sampled_from(["d", "e", "f"]))
    def describe_domain(self, name: str) -> None:
        found = self.sides.both("describe_domain", name=name)
        if found:
            ours, theirs = (found[side] for side in ("ours", "theirs"))
            assert ours["configuration"] == theirs["configuration"]
            assert ours["domainInfo"]["status"] == theirs["domainInfo"]["status"]

    # Executions from outside.

    @rule(workflow_id=ids, of=st.just(WORKFLOW) | types, given=texts, complete=st.booleans())
    def start(self, workflow_id: str, of: Side, given: str, complete: bool) -> None:
        defaults = {
            "childPolicy": "TERMINATE",
            "executionStartToCloseTimeout": "3000",
            "taskStartToCloseTimeout": "100",
        }
        started = self.sides.both(
            "start_workflow_execution",
            domain="d",
            workflowId=workflow_id,
            workflowType=of,
            input=given,
            taskList={"name": workflow_id},
            **(defaults if complete else {}),
        )
        if started:
            self.runs[workflow_id] = {side: answer["runId"] for side, answer in started.items()}
            self.waiting.add(workflow_id)
            self.scheduled[workflow_id] = 0

    @precondition(lambda self: set(self.runs) - self.waiting)
    @rule(data=st.data(), given=texts)
    def signal(self, data: st.DataObject, given: str) -> None:
        workflow_id = data.draw(st.sampled_from(sorted(set(self.runs) - self.waiting)))
        self.sides.both(
            "signal_workflow_execution",
            domain="d",
            workflowId=workflow_id,
            signalName="s",
            input=given,
        )
        self.waiting.add(workflow_id)

    @rule(workflow_id=st.sampled_from(["w1", "unknown"]))
    def terminate(self, workflow_id: str) -> None:
        self.sides.both(
            "terminate_workflow_execution", domain="d", workflowId=workflow_id, reason="enough"
        )
        if workflow_id in self.runs:
            self.end(workflow_id)

    @rule()
    def list_open(self) -> None:
        found = self.sides.both(
            "list_open_workflow_executions", domain="d", startTimeFilter={"oldestDate": 0}
        )
        for side in ("ours", "theirs"):
            listed = {info["execution"]["runId"] for info in found[side]["executionInfos"]}
            assert listed == {run[side] for run in self.runs.values()}

    # Deciders.

    @precondition(lambda self: self.waiting - set(self.deciding))
    @rule(data=st.data())
    def poll_for_decision(self, data: st.DataObject) -> None:
        workflow_id = data.draw(st.sampled_from(sorted(self.waiting - set(self.deciding))))
        found = self.sides.both("poll_for_decision_task", domain="d", taskList={"name": workflow_id})
        assert found["ours"]["startedEventId"] == found["theirs"]["startedEventId"]
        assert found["ours"]["workflowType"] == found["theirs"]["workflowType"]
        previous = found["theirs"].get("previousStartedEventId", 0)
        assert found["ours"].get("previousStartedEventId", 0) == previous
        assert comparable(found["ours"]["events"]) == comparable(found["theirs"]["events"])
        self.waiting.discard(workflow_id)
        self.deciding[workflow_id] = {side: task["taskToken"] for side, task in found.items()}

    @precondition(lambda self: self.deciding)
    @rule(
        data=st.data(),
        parts=st.lists(st.sampled_from(["activity", "unknown", "marker", "timer", "id twice"])),
        end=st.sampled_from([None, None, None, "complete", "fail", "cancel"]),
        context=st.none() | texts,
    )
    def decide(
        self, data: st.DataObject, parts: list[str], end: str | None, context: str | None
    ) -> None:
        workflow_id = data.draw(st.sampled_from(sorted(self.deciding)))
        decisions: list[Side] = []
        refused = False
        for part in parts:
            self.news += 1
            refusal = part in ("unknown", "id twice") or (part == "activity" and not self.usable())
            if refusal and workflow_id in self.waiting:
                continue
            refused |= refusal
            decisions += self.part(part, workflow_id)
        if end and workflow_id not in self.waiting and not refused:
            decisions.append(closing(end))
        else:
            end = None
        token = self.deciding.pop(workflow_id)
        more = {} if context is None else {"executionContext": context}
        self.sides.both(
            "respond_decision_task_completed",
            lambda side: {"taskToken": token[side]},
            decisions=decisions,
            **more,
        )
        if end:
            self.end(workflow_id)
            return
        if self.pending("decision", workflow_id):
            self.waiting.add(workflow_id)
        self.scheduled[workflow_id] = self.pending("activity", workflow_id)

    def pending(self, kind: str, workflow_id: str) -> int:
        """How many tasks wait, by our count: what moto counts is another thing."""
        count = getattr(self.sides.ours, f"count_pending_{kind}_tasks")
        found: int = count(domain="d", taskList={"name": workflow_id})["count"]
        return found

    def usable(self) -> bool:
        """Whether the activity type that `part` uses can be scheduled."""
        try:
            found = self.sides.ours.describe_activity_type(domain="d", activityType=TYPES[0])
        except ClientError:
            return False
        return bool(found["typeInfo"]["status"] == "REGISTERED")

    def part(self, part: str, workflow_id: str) -> list[Side]:
        number = str(self.news)
        if part == "marker":
            attributes = {"markerName": "m", "details": number}
            return [{"decisionType": "RecordMarker", "recordMarkerDecisionAttributes": attributes}]
        if part == "timer":
            attributes = {"timerId": number, "startToFireTimeout": "100000", "control": "c"}
            return [{"decisionType": "StartTimer", "startTimerDecisionAttributes": attributes}]
        kind = {"name": "Unknown", "version": "1"} if part == "unknown" else TYPES[0]
        one = activity(number, workflow_id, kind)
        return [one, one] if part == "id twice" else [one]

    def end(self, workflow_id: str) -> None:
        self.ended.append((workflow_id, self.runs.pop(workflow_id)))
        self.waiting.discard(workflow_id)
        self.deciding.pop(workflow_id, None)
        self.working = [each for each in self.working if each[0] != workflow_id]
        self.scheduled[workflow_id] = 0

    # Workers.

    @precondition(lambda self: any(self.scheduled.values()))
    @rule(data=st.data())
    def poll_for_activity(self, data: st.DataObject) -> None:
        lists = sorted(w for w, n in self.scheduled.items() if n)
        workflow_id = data.draw(st.sampled_from(lists))
        found = self.sides.both(
            "poll_for_activity_task", domain="d", taskList={"name": workflow_id}, identity="me"
        )
        for same in ("activityId", "activityType", "startedEventId", "input"):
            assert found["ours"].get(same) == found["theirs"].get(same)
        self.working.append((workflow_id, {s: task["taskToken"] for s, task in found.items()}))
        self.scheduled[workflow_id] -= 1

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def heartbeat(self, data: st.DataObject) -> None:
        _, token = data.draw(st.sampled_from(self.working))
        found = self.sides.both(
            "record_activity_task_heartbeat", lambda side: {"taskToken": token[side]}, details="half"
        )
        assert found["ours"]["cancelRequested"] == found["theirs"]["cancelRequested"]

    @precondition(lambda self: any(w not in self.waiting for w, _ in self.working))
    @rule(data=st.data(), given=texts, fails=st.booleans())
    def answer(self, data: st.DataObject, given: str, fails: bool) -> None:
        able = [each for each in self.working if each[0] not in self.waiting]
        workflow_id, token = each = data.draw(st.sampled_from(able))
        self.working.remove(each)
        if fails:
            what, more = "failed", {"reason": "why", "details": given}
        else:
            what, more = "completed", {"result": given}
        self.sides.both(f"respond_activity_task_{what}", lambda side: {"taskToken": token[side]}, **more)
        self.waiting.add(workflow_id)

    # Time.

    @precondition(lambda self: not self.waiting & set(self.deciding))
    @rule(seconds=st.sampled_from([1, 50, 99, 101, 2999]))
    def advance(self, seconds: int) -> None:
        """Decisions and executions time out."""
        self.sides.swf.advance(seconds)
        for workflow_id, run in [*self.runs.items()]:
            execution = {"workflowId": workflow_id}
            found = self.sides.both(
                "describe_workflow_execution",
                lambda side, run=run, execution=execution: {
                    "execution": {**execution, "runId": run[side]}
                },
                domain="d",
            )
            ours, theirs = (found[side]["executionInfo"] for side in ("ours", "theirs"))
            assert ours["executionStatus"] == theirs["executionStatus"]
            assert ours.get("closeStatus") == theirs.get("closeStatus")
            if ours["executionStatus"] == "CLOSED":
                self.end(workflow_id)
            elif workflow_id in self.deciding and self.pending("decision", workflow_id):
                del self.deciding[workflow_id]  # it timed out
                self.waiting.add(workflow_id)

    @invariant()
    def the_same_wait(self) -> None:
        for workflow_id in self.runs:
            assert bool(self.pending("decision", workflow_id)) == (workflow_id in self.waiting)

    def compare_histories(self) -> None:
        for workflow_id, run in [*self.ended, *self.runs.items()]:
            found = self.sides.both(
                "get_workflow_execution_history",
                lambda side, w=workflow_id, run=run: {
                    "execution": {"workflowId": w, "runId": run[side]}
                },
                domain="d",
            )
            ours = comparable(found["ours"]["events"])
            assert ours == comparable(found["theirs"]["events"])[: len(ours)]
            assert len(ours) == 100 or len(ours) == len(found["theirs"]["events"])


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


LONG = bool(os.environ.get("FLOWY_LONG"))
BesideMoto.TestCase.settings = settings(
    max_examples=1000 if LONG else 60,
    stateful_step_count=40,
    deadline=None,
    derandomize=not LONG,
    suppress_health_check=list(HealthCheck),
)
TestBesideMoto = BesideMoto.TestCase


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
