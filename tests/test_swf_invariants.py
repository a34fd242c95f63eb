"""Whatever is asked of the local SWF, in whatever order: its histories stay sound.

Owns: `Ledger`, which reads a history on its own terms (it knows nothing of the service's inside) and
complains of what can't be; and a machine that asks at random, answers late and twice, and lets time
pass.

The laws: events are numbered without a gap, their times don't go back, and they are no more than may be;
at most one decision task is started and at most one waits; a task is started once and closed once;
nothing follows the event that closes an execution; what an event refers to is there and of the right
kind; news always makes a decision task; no task is handed out twice; and what is told to be open is what
the history leaves open.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("botocore", reason="the local SWF needs botocore, of the extra `swf`")

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from swf_direct import Kept
from swf_scenarios.bench import FLOW, WORK, attributes, child, decision, schedule, timer

from flowy.testing.swf import Fault, Limits, Service, VirtualClock

Event = dict[str, Any]

# What an event refers to: the member, and the types of events that it may name. 0 is for none.
REFERENCES = {
    "decisionTaskCompletedEventId": {"DecisionTaskCompleted"},
    "initiatedEventId": {
        "StartChildWorkflowExecutionInitiated",
        "SignalExternalWorkflowExecutionInitiated",
        "RequestCancelExternalWorkflowExecutionInitiated",
    },
    "latestCancelRequestedEventId": {"ActivityTaskCancelRequested"},
    "scheduledEventId": {"ActivityTaskScheduled", "DecisionTaskScheduled"},
    "startedEventId": {
        "ActivityTaskStarted",
        "ChildWorkflowExecutionStarted",
        "DecisionTaskStarted",
        "TimerStarted",
    },
}
MAY_BE_0 = {
    ("ActivityTaskTimedOut", "startedEventId"),
    ("ActivityTaskCanceled", "startedEventId"),
    ("DecisionTaskTimedOut", "startedEventId"),
    ("StartChildWorkflowExecutionFailed", "initiatedEventId"),
    ("SignalExternalWorkflowExecutionFailed", "initiatedEventId"),
    ("RequestCancelExternalWorkflowExecutionFailed", "initiatedEventId"),
}
CLOSING = {
    f"WorkflowExecution{word}"
    for word in ("Completed", "Failed", "Canceled", "Terminated", "ContinuedAsNew", "TimedOut")
}
NEWS = {
    "WorkflowExecutionStarted",
    "WorkflowExecutionSignaled",
    "WorkflowExecutionCancelRequested",
    "ActivityTaskCompleted",
    "ActivityTaskFailed",
    "ActivityTaskTimedOut",
    "ActivityTaskCanceled",
    "TimerFired",
    "ChildWorkflowExecutionStarted",
    "ChildWorkflowExecutionCompleted",
    "ChildWorkflowExecutionFailed",
    "ChildWorkflowExecutionTimedOut",
    "ChildWorkflowExecutionCanceled",
    "ChildWorkflowExecutionTerminated",
    "StartChildWorkflowExecutionFailed",
    "ExternalWorkflowExecutionSignaled",
    "ExternalWorkflowExecutionCancelRequested",
    "SignalExternalWorkflowExecutionFailed",
    "RequestCancelExternalWorkflowExecutionFailed",
    "ScheduleActivityTaskFailed",
    "StartTimerFailed",
    "CancelTimerFailed",
    "RequestCancelActivityTaskFailed",
    "CompleteWorkflowExecutionFailed",
    "DecisionTaskTimedOut",
    "FailWorkflowExecutionFailed",
    "CancelWorkflowExecutionFailed",
    "ContinueAsNewWorkflowExecutionFailed",
    "ScheduleLambdaFunctionFailed",
}


class Ledger:
    """A history, read event by event."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.scheduled: dict[int, str] = {}
        """Tasks that wait, by the ids of their events: "Activity" or "Decision"."""
        self.started: dict[int, int] = {}
        """Those that are started: of which event the start is."""
        self.timers: dict[str, int] = {}
        self.children: set[int] = set()
        self.closed = ""
        self.news = 0
        """The newest event that a decider must hear of, and has not been given."""

    def read(self, events: list[Event]) -> None:
        for event in events[len(self.events) :]:
            assert not self.closed, f"{event['eventType']} after {self.closed}"
            assert event["eventId"] == len(self.events) + 1
            if self.events:
                assert event["eventTimestamp"] >= self.events[-1]["eventTimestamp"]
            self._refers(event)
            self.events.append(event)
            self._follow(event["eventType"], event["eventId"], attributes(event))
        decisions = [kind for kind in self.scheduled.values() if kind == "Decision"]
        assert len(decisions) <= 1
        assert sum(self.scheduled_as(number) == "Decision" for number in self.started) <= 1
        if self.news and not self.closed:
            assert decisions, f"event {self.news} makes no decision task"

    def scheduled_as(self, number: int) -> str:
        kind: str = self.events[number - 1]["eventType"]
        return kind.removesuffix("TaskScheduled")

    def _refers(self, event: Event) -> None:
        for name, value in attributes(event).items():
            if name not in REFERENCES:
                continue
            if value == 0:
                assert (event["eventType"], name) in MAY_BE_0
            else:
                assert 0 < value < event["eventId"]
                assert self.events[value - 1]["eventType"] in REFERENCES[name]

    def _follow(self, kind: str, number: int, said: dict[str, Any]) -> None:
        if kind in NEWS:
            self.news = number
        if kind in CLOSING:
            self.closed = kind
            self.scheduled, self.started, self.timers, self.children = {}, {}, {}, set()
        elif kind in ("ActivityTaskScheduled", "DecisionTaskScheduled"):
            self.scheduled[number] = kind.removesuffix("TaskScheduled")
        elif kind in ("ActivityTaskStarted", "DecisionTaskStarted"):
            assert self.scheduled.pop(said["scheduledEventId"]) == kind.removesuffix("TaskStarted")
            self.started[said["scheduledEventId"]] = number
            if kind == "DecisionTaskStarted":
                self.news = 0
        elif kind.startswith(("ActivityTask", "DecisionTask")) and "scheduledEventId" in said:
            if said["startedEventId"]:
                assert self.started.pop(said["scheduledEventId"]) == said["startedEventId"]
            else:
                del self.scheduled[said["scheduledEventId"]]
        elif kind == "TimerStarted":
            assert said["timerId"] not in self.timers
            self.timers[said["timerId"]] = number
        elif kind in ("TimerFired", "TimerCanceled"):
            assert self.timers.pop(said["timerId"]) == said["startedEventId"]
        elif kind == "StartChildWorkflowExecutionInitiated":
            self.children.add(number)
        elif (kind == "StartChildWorkflowExecutionFailed" and said["initiatedEventId"]) or (
            kind.startswith("ChildWorkflowExecution") and kind != "ChildWorkflowExecutionStarted"
        ):
            self.children.remove(said["initiatedEventId"])


NAMES = st.sampled_from(["a", "b", "c"])
FLOWS = st.sampled_from(["w1", "w2", "w3"])
LIMITS = st.sampled_from(["NONE", "NONE", "0", "3", "10"])
SCHEDULE = st.builds(
    schedule,
    NAMES,
    scheduleToStartTimeout=LIMITS,
    startToCloseTimeout=LIMITS,
    scheduleToCloseTimeout=LIMITS,
    heartbeatTimeout=LIMITS,
    taskPriority=st.sampled_from(["0", "5"]),
)
PLAIN_DECISIONS = st.one_of(
    SCHEDULE,
    SCHEDULE,
    SCHEDULE,
    st.builds(schedule, NAMES, activityType=st.just({"name": "none", "version": "1"})),
    st.builds(lambda name: decision("RequestCancelActivityTask", activityId=name), NAMES),
    st.builds(timer, NAMES, st.integers(0, 12)),
    st.builds(lambda name: decision("CancelTimer", timerId=name), NAMES),
    st.just(decision("RecordMarker", markerName="m")),
    st.builds(
        child,
        FLOWS,
        childPolicy=st.sampled_from(["TERMINATE", "REQUEST_CANCEL", "ABANDON"]),
        executionStartToCloseTimeout=st.sampled_from(["5", "100"]),
    ),
    st.builds(
        lambda flow: decision("SignalExternalWorkflowExecution", workflowId=flow, signalName="s"), FLOWS
    ),
    st.builds(lambda flow: decision("RequestCancelExternalWorkflowExecution", workflowId=flow), FLOWS),
    st.just(decision("ScheduleLambdaFunction", id="i", name="f")),
)
ENDS = st.sampled_from(
    [
        *[[]] * 20,
        [decision("CompleteWorkflowExecution")],
        [decision("FailWorkflowExecution")],
        [decision("CancelWorkflowExecution")],
        [decision("ContinueAsNewWorkflowExecution")],
    ]
)
DEFAULTS = ("ScheduleToStart", "StartToClose", "ScheduleToClose", "Heartbeat")


def only(kind: str, fault: Fault) -> None:
    """This is the fault that was to be expected."""
    assert fault.kind == kind, fault


class Anything(RuleBasedStateMachine):
    """Asks anything, at any time."""

    @initialize(late=st.sampled_from([0.0, 0.0, 0.5]), events=st.sampled_from([25_000, 25_000, 60]))
    def begin(self, late: float, events: int) -> None:
        self.clock = VirtualClock(auto_advance=False)
        self.limits = replace(Limits.unthrottled(), long_poll=0.0, events=events, open_activities=2)
        self.late = late  # of everything that happens by itself
        self.kept = Kept()
        self.service = self.make()
        self.decisions: list[str] = []
        self.work: list[str] = []
        self.tokens: set[str] = set()
        self.ledgers: dict[str, Ledger] = {}
        domain = {"name": "d", "workflowExecutionRetentionPeriodInDays": "10"}
        self.service.call("RegisterDomain", domain)
        tasks = {f"defaultTask{word}Timeout": "NONE" for word in DEFAULTS}
        lists = {"defaultTaskList": {"name": "list"}}
        self.here("RegisterActivityType", **WORK, **tasks, **lists)
        self.here(
            "RegisterWorkflowType",
            **FLOW,
            **lists,
            defaultChildPolicy="TERMINATE",
            defaultTaskStartToCloseTimeout="10",
            defaultExecutionStartToCloseTimeout="60",
        )
        self.start("w1", "500")

    def make(self) -> Service:
        return Service(
            clock=self.clock,
            limits=self.limits,
            delays=lambda kind, said: self.late,
            on_change=self.kept,
        )

    def here(self, operation: str, **request: Any) -> dict[str, Any]:
        return self.service.call(operation, {"domain": "d", **request})

    def may_fail(self, kind: str, operation: str, **request: Any) -> None:
        try:
            self.here(operation, **request)
        except Fault as fault:
            only(kind, fault)

    @rule(flow=FLOWS, seconds=st.sampled_from(["20", "500"]))
    def start_another(self, flow: str, seconds: str) -> None:
        self.start(flow, seconds)

    def start(self, flow: str, seconds: str) -> None:
        self.may_fail(
            "WorkflowExecutionAlreadyStartedFault",
            "StartWorkflowExecution",
            workflowId=flow,
            workflowType=FLOW,
            executionStartToCloseTimeout=seconds,
        )

    @rule(
        flow=FLOWS,
        what=st.sampled_from([*["Signal"] * 12, "RequestCancel", "RequestCancel", "Terminate"]),
    )
    def tell(self, flow: str, what: str) -> None:
        more = {"signalName": "s"} if what == "Signal" else {}
        self.may_fail("UnknownResourceFault", f"{what}WorkflowExecution", workflowId=flow, **more)

    def waiting(self, kind: str) -> int:
        found = [
            self.here(f"CountPending{kind}Tasks", taskList={"name": name})["count"]
            for name in ("list", "own")
        ]
        return sum(found)

    @precondition(lambda self: self.waiting("Decision"))
    @rule(news=st.booleans())
    def take_decision(self, news: bool) -> None:
        for name in ("own", "list"):
            task = self.here(
                "PollForDecisionTask", taskList={"name": name}, startAtPreviousStartedEvent=news
            )
            if "taskToken" in task:
                assert task["taskToken"] not in self.tokens
                self.tokens.add(task["taskToken"])
                self.decisions.append(task["taskToken"])
                return
        raise AssertionError("a decision task that is counted can't be had")

    @precondition(lambda self: self.decisions)
    @rule(
        which=st.sampled_from([0, 0, 0, 1, 2]),
        decisions=st.lists(PLAIN_DECISIONS, min_size=1, max_size=6),
        end=ENDS,
        sticky=st.sampled_from(
            [{}, {}, {"taskList": {"name": "own"}, "taskListScheduleToStartTimeout": "4"}]
        ),
    )
    def answer_decision(
        self, which: int, decisions: list[Any], end: list[Any], sticky: dict[str, Any]
    ) -> None:
        token = self.decisions[-1 - which % len(self.decisions)]  # the same one more than once, too
        decisions = decisions + end
        self.answer("RespondDecisionTaskCompleted", taskToken=token, decisions=decisions, **sticky)

    def answer(self, operation: str, **request: Any) -> None:
        try:
            self.service.call(operation, request)
        except Fault as fault:  # it came late
            only("UnknownResourceFault", fault)

    @precondition(lambda self: self.waiting("Activity"))
    @rule(done=st.booleans())
    def take_work(self, done: bool) -> None:
        task = self.here("PollForActivityTask", taskList={"name": "list"})
        assert task["taskToken"] not in self.tokens
        self.tokens.add(task["taskToken"])
        self.work.append(task["taskToken"])
        if done:
            self.answer("RespondActivityTaskCompleted", taskToken=task["taskToken"])

    @precondition(lambda self: self.work)
    @rule(
        which=st.integers(0, 3),
        how=st.sampled_from(
            [
                "RespondActivityTaskCompleted",
                "RespondActivityTaskFailed",
                "RespondActivityTaskCanceled",
                "RecordActivityTaskHeartbeat",
            ]
        ),
    )
    def answer_work(self, which: int, how: str) -> None:
        token = self.work[-1 - which % len(self.work)]
        self.answer(how, taskToken=token)

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 10.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def start_over(self) -> None:
        """Throw the service away, and go on with what was kept of its changes."""
        said = json.loads(json.dumps(self.service.dump()))
        said["records"] = {table: rows for table, rows in said["records"].items() if rows}
        state = {"time": said["time"], **self.kept.state()}
        assert said == state
        self.clock = VirtualClock(self.clock.now(), auto_advance=False)
        self.service = self.make()
        self.service.load(state)
        again = self.service.dump()
        assert again["events"] == state["events"]

    @invariant()
    def histories_are_sound(self) -> None:
        state = self.service.dump()
        for run_id, events in state["events"].items():
            ledger = self.ledgers.setdefault(run_id, Ledger())
            ledger.read(events)
            assert len(events) <= self.limits.events
            named = {"workflowId": state["records"]["executions"][run_id]["workflowId"], "runId": run_id}
            detail = self.here("DescribeWorkflowExecution", execution=named)
            counts = detail["openCounts"]
            tasks = [*ledger.scheduled.values(), *map(ledger.scheduled_as, ledger.started)]
            assert counts["openActivityTasks"] == tasks.count("Activity") <= 2
            assert counts["openDecisionTasks"] == min(1, tasks.count("Decision"))
            assert counts["openTimers"] == len(ledger.timers)
            assert counts["openChildWorkflowExecutions"] == len(ledger.children)
            assert bool(ledger.closed) == (detail["executionInfo"]["executionStatus"] == "CLOSED")
        if not self.late:
            self._nothing_is_lost()

    def _nothing_is_lost(self) -> None:
        """What waits according to the histories is in the lists, and nothing else is."""
        waiting = {"Activity": 0, "Decision": 0}
        for ledger in self.ledgers.values():
            busy = any(ledger.scheduled_as(number) == "Decision" for number in ledger.started)
            for kind in ledger.scheduled.values():
                waiting[kind] += kind == "Activity" or not busy
        for kind, count in waiting.items():
            assert self.waiting(kind) == count


LONG = bool(os.environ.get("FLOWY_LONG"))
TestAnything = Anything.TestCase
TestAnything.settings = settings(
    max_examples=2000 if LONG else 60,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
