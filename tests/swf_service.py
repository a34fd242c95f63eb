"""A tiny Amazon SWF in memory, for tests: one thread, no network, chance decides what happens next.

Owns: `Service`, which turns decisions into the events that SWF documents for them, and answers with
whatever may come next: completions, time-outs, refusals, events that land while a decision is made,
decision tasks that time out. And `play`, which runs executions to their end on given deciders.

May not know: flowy. It speaks SWF's JSON only, and asserts that SWF would take what it gets.
"""

from __future__ import annotations

import functools
import itertools
import json
import random
from collections.abc import Callable
from typing import Any

MOST_OPEN = 1000
Decide = Callable[[dict[str, Any]], list[dict[str, Any]]]
Work = Callable[[str, str], tuple[str, str]]
"""(name of the activity, input) -> ('Completed' or 'Failed', result or reason)"""


def attributes(item: dict[str, Any]) -> dict[str, Any]:
    """What an event or decision says beside its type."""
    (found,) = (value for key, value in item.items() if key.endswith("Attributes"))
    assert isinstance(found, dict)
    return found


class Execution:
    """One execution: its history, and what is open in it."""

    def __init__(self, service: Service, workflow_id: str, type: dict[str, str], **started: Any) -> None:
        service.runs += 1
        self.service = service
        self.workflow_id = workflow_id
        self.run_id = f"run-{service.runs}"
        self.type = type
        self.started = started
        self.events: list[dict[str, Any]] = []
        self.closed = ""
        self.activities: dict[int, dict[str, Any]] = {}
        self.timers: dict[str, int] = {}
        self.due: dict[str, int] = {}
        self.children: dict[int, Execution] = {}
        self.parent: tuple[Execution, int] | None = None
        self.scheduled = 0  # the open decision task
        self.taken = 0
        self.previous = 0
        self.again = False  # another decision task follows the open one
        self.ids: set[str] = set()
        self.add(
            "WorkflowExecutionStarted",
            childPolicy="TERMINATE",
            taskList={"name": "tl"},
            executionStartToCloseTimeout="3600",
            taskStartToCloseTimeout="10",
            workflowType=type,
            parentInitiatedEventId=0,
            **started,
        )
        self.wake()

    def add(self, type: str, **says: Any) -> int:
        self.service.clock += 0.25
        name = f"{type[0].lower()}{type[1:]}EventAttributes"
        self.events.append(
            {
                "eventId": len(self.events) + 1,
                "eventType": type,
                "eventTimestamp": self.service.clock,
                name: says,
            }
        )
        return len(self.events)

    def happen(self, type: str, **says: Any) -> int:
        """Something that a decider has to hear of."""
        id = self.add(type, **says)
        self.wake()
        return id

    def wake(self) -> None:
        if self.closed:
            return
        if not self.scheduled:
            self.scheduled = self.add("DecisionTaskScheduled", taskList={"name": "tl"})
        elif self.taken:
            self.again = True

    # decision tasks

    def poll(self) -> dict[str, Any]:
        assert self.scheduled
        assert not self.taken
        self.taken = self.add("DecisionTaskStarted", scheduledEventId=self.scheduled)
        return {
            "taskToken": f"{self.run_id} {self.taken}",
            "startedEventId": self.taken,
            "previousStartedEventId": self.previous,
            "workflowType": self.type,
            "workflowExecution": {"workflowId": self.workflow_id, "runId": self.run_id},
            "events": list(self.events),
        }

    def lose(self) -> None:
        """The decider gave no answer."""
        self.add(
            "DecisionTaskTimedOut",
            scheduledEventId=self.scheduled,
            startedEventId=self.taken,
            timeoutType="START_TO_CLOSE",
        )
        self.scheduled = self.taken = 0
        self.again = False
        self.wake()

    def respond(self, decisions: list[dict[str, Any]], context: str | None = None) -> None:
        assert self.taken
        assert len(decisions) <= 100
        assert len(json.dumps(decisions)) < 1_000_000
        says = {"executionContext": context} if context else {}
        done = self.add(
            "DecisionTaskCompleted", scheduledEventId=self.scheduled, startedEventId=self.taken, **says
        )
        self.previous, self.scheduled, self.taken = self.taken, 0, 0
        unhandled, self.again = self.again, False
        failed = False
        for number, decision in enumerate(decisions):
            type = decision["decisionType"]
            says = attributes(decision)
            if type.endswith("WorkflowExecution") and not type.startswith(
                ("Start", "Signal", "Request")
            ):
                assert number == len(decisions) - 1, "a close decision must be the last"
                if unhandled:
                    self.add(
                        f"{type}Failed", cause="UNHANDLED_DECISION", decisionTaskCompletedEventId=done
                    )
                else:
                    self.close(type, says, done)
                continue
            failed |= getattr(self, type)(dict(says), done)
        if (unhandled or failed) and not self.closed:
            self.wake()

    # decisions: each tells whether SWF refused it

    def ScheduleActivityTask(self, says: dict[str, Any], done: int) -> bool:
        id = says["activityId"]
        cause = self.service.refusal()
        if len(self.activities) >= MOST_OPEN:
            cause = "OPEN_ACTIVITIES_LIMIT_EXCEEDED"
        if cause or says["activityType"]["name"] == "missing":
            self.add(
                "ScheduleActivityTaskFailed",
                activityId=id,
                activityType=says["activityType"],
                cause=cause or "ACTIVITY_TYPE_DOES_NOT_EXIST",
                decisionTaskCompletedEventId=done,
            )
            return True
        assert id not in self.ids, f"{id} was scheduled twice"
        self.ids.add(id)
        at = self.add(
            "ActivityTaskScheduled", taskList={"name": "tl"}, decisionTaskCompletedEventId=done, **says
        )
        self.activities[at] = {**says, "started": 0, "cancel": 0}
        return False

    def StartTimer(self, says: dict[str, Any], done: int) -> bool:
        id = says["timerId"]
        assert id not in self.timers
        assert says["startToFireTimeout"].isdigit()
        if len(self.timers) >= MOST_OPEN or (not id.startswith("@more") and self.service.refusal()):
            self.add(
                "StartTimerFailed",
                timerId=id,
                cause="TIMER_CREATION_RATE_EXCEEDED",
                decisionTaskCompletedEventId=done,
            )
            return True
        self.timers[id] = self.add("TimerStarted", decisionTaskCompletedEventId=done, **says)
        self.due[id] = int(says["startToFireTimeout"])
        return False

    def StartChildWorkflowExecution(self, says: dict[str, Any], done: int) -> bool:
        id, type = says["workflowId"], says["workflowType"]
        if self.service.refusal():
            self.add(
                "StartChildWorkflowExecutionFailed",
                workflowId=id,
                workflowType=type,
                cause="CHILD_CREATION_RATE_EXCEEDED",
                initiatedEventId=0,
                decisionTaskCompletedEventId=done,
            )
            return True
        assert not set(id) & set(":/|")
        assert id not in self.service.ids, f"{id} was started twice"
        self.service.ids.add(id)
        initiated = self.add(
            "StartChildWorkflowExecutionInitiated",
            childPolicy="TERMINATE",
            taskList={"name": "tl"},
            decisionTaskCompletedEventId=done,
            **says,
        )
        child = self.service.start(id, type, input=says.get("input"))
        child.parent = (self, initiated)
        self.children[initiated] = child
        self.happen("ChildWorkflowExecutionStarted", initiatedEventId=initiated, **child.names())
        return False

    def names(self) -> dict[str, Any]:
        return {
            "workflowType": self.type,
            "workflowExecution": {"workflowId": self.workflow_id, "runId": self.run_id},
        }

    def RecordMarker(self, says: dict[str, Any], done: int) -> bool:
        self.add("MarkerRecorded", decisionTaskCompletedEventId=done, **says)
        return False

    def CancelTimer(self, says: dict[str, Any], done: int) -> bool:
        id = says["timerId"]
        if id not in self.timers:
            self.add(
                "CancelTimerFailed",
                timerId=id,
                cause="TIMER_ID_UNKNOWN",
                decisionTaskCompletedEventId=done,
            )
            return True
        self.due.pop(id)
        self.add(
            "TimerCanceled",
            timerId=id,
            startedEventId=self.timers.pop(id),
            decisionTaskCompletedEventId=done,
        )
        return False

    def RequestCancelActivityTask(self, says: dict[str, Any], done: int) -> bool:
        id = says["activityId"]
        for at, activity in self.activities.items():
            if activity["activityId"] == id:
                asked = self.add(
                    "ActivityTaskCancelRequested", activityId=id, decisionTaskCompletedEventId=done
                )
                activity["cancel"] = asked
                if not activity["started"]:
                    del self.activities[at]
                    self.happen(
                        "ActivityTaskCanceled",
                        scheduledEventId=at,
                        startedEventId=0,
                        latestCancelRequestedEventId=asked,
                    )
                return False
        self.add(
            "RequestCancelActivityTaskFailed",
            activityId=id,
            cause="ACTIVITY_ID_UNKNOWN",
            decisionTaskCompletedEventId=done,
        )
        return True

    def RequestCancelExternalWorkflowExecution(self, says: dict[str, Any], done: int) -> bool:
        at = self.add(
            "RequestCancelExternalWorkflowExecutionInitiated", decisionTaskCompletedEventId=done, **says
        )
        other = self.service.find(says["workflowId"])
        if other is None:
            self.happen(
                "RequestCancelExternalWorkflowExecutionFailed",
                initiatedEventId=at,
                cause="UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION",
                decisionTaskCompletedEventId=done,
                **says,
            )
            return False
        other.happen("WorkflowExecutionCancelRequested", externalInitiatedEventId=at)
        self.happen(
            "ExternalWorkflowExecutionCancelRequested",
            initiatedEventId=at,
            workflowExecution=other.names()["workflowExecution"],
        )
        return False

    def SignalExternalWorkflowExecution(self, says: dict[str, Any], done: int) -> bool:
        at = self.add(
            "SignalExternalWorkflowExecutionInitiated", decisionTaskCompletedEventId=done, **says
        )
        other = self.service.find(says["workflowId"])
        if other is None:
            del says["signalName"], says["input"]
            self.happen(
                "SignalExternalWorkflowExecutionFailed",
                initiatedEventId=at,
                cause="UNKNOWN_EXTERNAL_WORKFLOW_EXECUTION",
                decisionTaskCompletedEventId=done,
                **says,
            )
            return False
        other.happen("WorkflowExecutionSignaled", signalName=says["signalName"], input=says["input"])
        self.happen(
            "ExternalWorkflowExecutionSignaled",
            initiatedEventId=at,
            workflowExecution=other.names()["workflowExecution"],
        )
        return False

    def close(self, type: str, says: dict[str, Any], done: int) -> None:
        name = {
            "CompleteWorkflowExecution": "Completed",
            "FailWorkflowExecution": "Failed",
            "CancelWorkflowExecution": "Canceled",
            "ContinueAsNewWorkflowExecution": "ContinuedAsNew",
        }[type]
        self.closed = name
        if name == "ContinuedAsNew":
            says = {key: value for key, value in says.items() if key != "workflowTypeVersion"}
            self.add(
                "WorkflowExecutionContinuedAsNew",
                workflowType=self.type,
                newExecutionRunId=f"run-{self.service.runs + 1}",
                decisionTaskCompletedEventId=done,
                **says,
            )
            after = self.service.start(
                self.workflow_id, self.type, input=says["input"], continuedExecutionRunId=self.run_id
            )
            after.parent = self.parent
            if self.parent is not None:
                self.parent[0].children[self.parent[1]] = after
            return
        self.add(f"WorkflowExecution{name}", decisionTaskCompletedEventId=done, **says)
        if self.parent is not None and not self.parent[0].closed:
            parent, initiated = self.parent
            del parent.children[initiated]
            parent.happen(
                f"ChildWorkflowExecution{name}",
                initiatedEventId=initiated,
                startedEventId=0,
                **self.names(),
                **says,
            )

    # what may come next

    @property
    def can_move(self) -> bool:
        return not self.closed and bool(self.activities or self.due)

    def move(self) -> None:
        """One of the activities goes on, or the next timer fires."""
        number = self.service.chance.randrange(len(self.activities) + bool(self.due))
        if number == len(self.activities):
            self.fire(min(self.due, key=lambda id: self.due[id]))
        else:
            at = next(itertools.islice(self.activities, number, None))
            self.advance(at, self.activities[at])

    def fire(self, id: str) -> None:
        del self.due[id]
        self.happen("TimerFired", timerId=id, startedEventId=self.timers.pop(id))

    def advance(self, at: int, activity: dict[str, Any]) -> None:
        """The activity starts, or ends in one way or another."""
        chance = self.service.chance
        ends = {"scheduledEventId": at, "startedEventId": activity["started"]}
        if self.service.faults and chance.random() < 0.1 and activity["activityId"].endswith("-0"):
            del self.activities[at]
            limit = "START_TO_CLOSE" if activity["started"] else "SCHEDULE_TO_START"
            self.happen("ActivityTaskTimedOut", timeoutType=limit, **ends)
        elif not activity["started"]:
            activity["started"] = self.add("ActivityTaskStarted", scheduledEventId=at, identity="test")
        elif activity["cancel"] and chance.random() < 0.5:
            del self.activities[at]
            self.happen("ActivityTaskCanceled", latestCancelRequestedEventId=activity["cancel"], **ends)
        else:
            del self.activities[at]
            how, text = self.service.work(activity["activityType"]["name"], activity["input"])
            self.happen(
                f"ActivityTask{how}", **{"result" if how == "Completed" else "reason": text}, **ends
            )


class Service:
    """A domain. With `faults`, SWF refuses, times out and loses things at random."""

    def __init__(self, work: Work, chance: random.Random, *, faults: bool = False) -> None:
        self.work = work
        self.chance = chance
        self.faults = faults
        self.clock = 1_000_000.0
        self.runs = 0
        self.ids: set[str] = set()
        self.executions: list[Execution] = []

    def start(self, workflow_id: str, type: dict[str, str], **started: Any) -> Execution:
        made = Execution(self, workflow_id, type, **started)
        self.executions.append(made)
        return made

    def find(self, workflow_id: str) -> Execution | None:
        return next((e for e in self.executions if e.workflow_id == workflow_id and not e.closed), None)

    def refusal(self) -> str:
        return "ACTIVITY_CREATION_RATE_EXCEEDED" if self.faults and self.chance.random() < 0.15 else ""


@functools.lru_cache(maxsize=1)
def _response_shape() -> Any:
    """What `RespondDecisionTaskCompleted` takes, by botocore's model; None where that is not here."""
    try:
        from botocore import loaders, model
    except ImportError:
        return None
    service = model.ServiceModel(loaders.Loader().load_service_model("swf", "service-2"))
    return service.operation_model("RespondDecisionTaskCompleted").input_shape


def check_decisions(decisions: list[dict[str, Any]]) -> None:
    """Assert that botocore would send them."""
    shape = _response_shape()
    if shape is not None:
        from botocore.validate import ParamValidator

        report = ParamValidator().validate({"taskToken": "t", "decisions": list(decisions)}, shape)
        assert not report.has_errors(), report.generate_report()


def play(
    service: Service,
    decide: Callable[[Execution, dict[str, Any]], list[dict[str, Any]]],
    signals: tuple[str, ...] = (),
    limit: int = 20_000,
    often: float = 0.5,
) -> None:
    """Run all executions to their end; where nothing can move any more, send the next signal.

    Decision tasks are taken `often`, activities go on in between.
    """
    chance, sent = service.chance, 0
    for _ in range(limit):
        alive = [e for e in service.executions if not e.closed]
        if not alive:
            return
        ready = [e for e in alive if e.scheduled]
        movable = [e for e in alive if e.can_move]
        if ready and (not movable or chance.random() < often):
            execution = chance.choice(ready)
            task = execution.poll()
            if service.faults and chance.random() < 0.05:
                execution.lose()
                continue
            decisions = decide(execution, task)
            if service.faults and chance.random() < 0.05:
                execution.lose()  # the answer came too late
                continue
            while movable and chance.random() < 0.3:  # these land while the decision is made
                chance.choice(movable).move()
                movable = [e for e in alive if e.can_move]
            execution.respond(decisions, getattr(decisions, "context", None))
        elif movable:
            chance.choice(movable).move()
        else:
            assert signals, "nothing can move any more"
            for execution in alive:
                execution.happen(
                    "WorkflowExecutionSignaled",
                    signalName=signals[sent % len(signals)],
                    input=str(sent),
                )
            sent += 1
    raise AssertionError("the executions do not end")
