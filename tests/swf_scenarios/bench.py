"""What scenarios are played on.

Owns: `Bench`, `Scenario`, and the words for decisions and events.

Neighbour: `flowy.testing.swf`, of which only the limits are known here, for which a scenario may ask.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from flowy.testing.swf import Limits

Event = dict[str, Any]
FLOW = {"name": "flow", "version": "1"}
BARE = {"name": "bare", "version": "1"}
WORK = {"name": "work", "version": "1"}
LIST = {"name": "list"}


@dataclass
class Seen:
    """What was made to happen."""

    operations: set[str] = field(default_factory=set)
    decisions: set[str] = field(default_factory=set)
    faults: set[tuple[str, str]] = field(default_factory=set)
    """(operation, fault)"""
    causes: set[tuple[str, str]] = field(default_factory=set)
    """(type of event, cause or time-out)"""


@dataclass(frozen=True)
class Scenario:
    """A story, and what the service must be like for it."""

    name: str
    play: Callable[[Bench], None]
    limits: Limits
    denied: frozenset[str]
    """Operations and decisions that the caller may not do."""


def scenario(
    *, limits: Limits | None = None, denied: tuple[str, ...] = ()
) -> Callable[[Callable[[Bench], None]], Scenario]:
    """Make a scenario of a function."""

    def make(play: Callable[[Bench], None]) -> Scenario:
        return Scenario(play.__name__, play, limits or Limits.unthrottled(), frozenset(denied))

    return make


def decision(kind: str, **attributes: Any) -> dict[str, Any]:
    """A decision of this type."""
    if not attributes:
        return {"decisionType": kind}
    member = f"{kind[0].lower()}{kind[1:]}DecisionAttributes"
    return {"decisionType": kind, member: attributes}


def schedule(activity_id: str, **attributes: Any) -> dict[str, Any]:
    """The decision to schedule an activity."""
    return decision(
        "ScheduleActivityTask", **{"activityId": activity_id, "activityType": WORK, **attributes}
    )


def timer(timer_id: str, seconds: int) -> dict[str, Any]:
    """The decision to start a timer."""
    return decision("StartTimer", timerId=timer_id, startToFireTimeout=str(seconds))


def child(workflow_id: str, **attributes: Any) -> dict[str, Any]:
    """The decision to start a child."""
    return decision(
        "StartChildWorkflowExecution", **{"workflowId": workflow_id, "workflowType": FLOW, **attributes}
    )


COMPLETE = decision("CompleteWorkflowExecution")


def attributes(event: Event) -> dict[str, Any]:
    """The attributes of an event."""
    name = event["eventType"]
    found: dict[str, Any] = event[f"{name[0].lower()}{name[1:]}EventAttributes"]
    return found


class Bench:
    """A domain of its own on a service, and short words for what is done there."""

    sends_unknown_members = True
    """Whether the client sends members that the model does not have, which boto3 can't."""

    def __init__(self, client: Any, advance: Callable[[float], None], seen: Seen | None = None) -> None:
        """`advance` lets so many seconds pass, and what is due in them has happened then."""
        self.client = client
        self.advance = advance
        self.seen = seen or Seen()
        self.domain = f"domain-{uuid.uuid4()}"

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """Do an operation."""
        try:
            response: dict[str, Any] = getattr(self.client, xform_name(operation))(**request)
        except ClientError as error:
            self.seen.faults.add((operation, error.response["Error"]["Code"]))
            raise
        response.pop("ResponseMetadata", None)  # boto3's own
        self.seen.operations.add(operation)
        return response

    def here(self, operation: str, **request: Any) -> dict[str, Any]:
        """Do an operation in the domain."""
        return self.call(operation, domain=self.domain, **request)

    @contextmanager
    def refused(self, kind: str, words: str = "") -> Iterator[None]:
        """What is done inside must be refused with this fault, whose message has these words."""
        with pytest.raises(ClientError) as caught:
            yield
        error = caught.value.response["Error"]
        assert error["Code"] == kind, caught.value
        assert words in error["Message"]

    def set_up(self) -> None:
        """Register the domain; `FLOW` and `WORK`, which have defaults; `BARE`, which has none."""
        self.call("RegisterDomain", name=self.domain, workflowExecutionRetentionPeriodInDays="10")
        self.here(
            "RegisterWorkflowType",
            **FLOW,
            defaultTaskList=LIST,
            defaultChildPolicy="TERMINATE",
            defaultTaskStartToCloseTimeout="100",
            defaultExecutionStartToCloseTimeout="10000",
        )
        self.here("RegisterWorkflowType", **BARE)
        self.here(
            "RegisterActivityType",
            **WORK,
            defaultTaskList=LIST,
            defaultTaskScheduleToCloseTimeout="NONE",
            defaultTaskScheduleToStartTimeout="NONE",
            defaultTaskStartToCloseTimeout="NONE",
            defaultTaskHeartbeatTimeout="NONE",
        )
        self.here("RegisterActivityType", **BARE)

    def start(self, workflow_id: str = "one", **request: Any) -> str:
        """Start an execution; its run id."""
        request.setdefault("workflowType", FLOW)
        started = self.here("StartWorkflowExecution", workflowId=workflow_id, **request)
        run_id: str = started["runId"]
        return run_id

    def poll(self, name: str = "list", **request: Any) -> dict[str, Any]:
        """The decision task that waits in this list."""
        task = self.here("PollForDecisionTask", taskList={"name": name}, **request)
        assert task.get("taskToken"), "no decision task"
        return task

    def respond(self, task: Event, *decisions: Any, **request: Any) -> None:
        """Answer a decision task."""
        self.call(
            "RespondDecisionTaskCompleted",
            taskToken=task["taskToken"],
            decisions=list(decisions),
            **request,
        )
        self.seen.decisions.update(each["decisionType"] for each in decisions)

    def decide(self, *decisions: Any, **request: Any) -> dict[str, Any]:
        """Take the decision task that waits, and answer it."""
        task = self.poll()
        self.respond(task, *decisions, **request)
        return task

    def work(self, name: str = "list", **request: Any) -> dict[str, Any]:
        """The activity task that waits in this list."""
        task = self.here("PollForActivityTask", taskList={"name": name}, **request)
        assert task.get("taskToken"), "no activity task"
        return task

    def waiting(self, kind: str, name: str = "list") -> int:
        """How many tasks wait in a list: kind is "Activity" or "Decision"."""
        found = self.here(f"CountPending{kind}Tasks", taskList={"name": name})
        count: int = found["count"]
        return count

    def history(self, workflow_id: str, run_id: str) -> list[Event]:
        """All events of a run."""
        execution = {"workflowId": workflow_id, "runId": run_id}
        events: list[Event] = []
        token: dict[str, Any] = {}
        while True:
            page = self.here("GetWorkflowExecutionHistory", execution=execution, **token)
            events += page["events"]
            if "nextPageToken" not in page:
                break
            token = {"nextPageToken": page["nextPageToken"]}
        assert [event["eventId"] for event in events] == list(range(1, len(events) + 1))
        for event in events:
            said = attributes(event)
            for name in ("cause", "timeoutType"):
                if name in said:
                    self.seen.causes.add((event["eventType"], said[name]))
        return events

    def latest(self, workflow_id: str, run_id: str, *types: str) -> list[dict[str, Any]]:
        """The attributes of the newest events of a run, which must be of these types."""
        events = self.history(workflow_id, run_id)[-len(types) :]
        assert [event["eventType"] for event in events] == list(types)
        return [attributes(event) for event in events]

    def detail(self, workflow_id: str, run_id: str) -> dict[str, Any]:
        """What is told of a run."""
        execution = {"workflowId": workflow_id, "runId": run_id}
        return self.here("DescribeWorkflowExecution", execution=execution)

    def status(self, workflow_id: str, run_id: str) -> str:
        """How a run was closed, "" while it is open."""
        status: str = self.detail(workflow_id, run_id)["executionInfo"].get("closeStatus", "")
        return status
