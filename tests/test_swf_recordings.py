"""The local SWF against the real one: recorded decisions and answers give the recorded histories.

Owns: a player of the recordings. It does what the decider, the worker and whoever started the workflows
did, at the times at which they did it, and lets the service be late where the real one was (when a
child starts, when a parent hears of it, when a task comes into its list): that much is chance. What
the histories then say is the service's own: each that a decider polled is compared event by event.

The recordings are not part of the project. They are read from beside it, and where they are missing
these tests are skipped.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("botocore", reason="the local SWF needs botocore")

from flowy.testing.swf import Limits, Service, VirtualClock

RECORDINGS = Path(__file__).parents[2] / "shared" / "swf-recordings" / "swf-2016.json.gz"
pytestmark = pytest.mark.skipif(
    not RECORDINGS.exists(), reason="the recordings of real SWF traffic are not beside the project"
)

Event = dict[str, Any]
Run = tuple[str, str]
DOMAIN = "FlowyIntegrationTest"
NEVER = 1e6  # seconds
SOON = 0.001  # seconds from a poll to an answer of which the recordings don't tell the time


def attributes(event: Event) -> dict[str, Any]:
    (found,) = (value for name, value in event.items() if name.endswith("EventAttributes"))
    assert isinstance(found, dict)
    return found


def run_of(response: Mapping[str, Any]) -> Run:
    execution = response["workflowExecution"]
    return execution["workflowId"], execution["runId"]


class Recording:
    """What was exchanged, and when what happened."""

    def __init__(self) -> None:
        with gzip.open(RECORDINGS) as file:
            exchanged = json.load(file)
        self.decider: list[dict[str, Any]] = exchanged["decider"]
        self.worker: list[dict[str, Any]] = exchanged["activity_worker"]
        self.polls: list[tuple[dict[str, Any], list[Event]]] = []
        """Each decision task with its whole history."""
        for exchange in self.decider:
            if exchange["op"] == "PollForDecisionTask":
                response = exchange["response"]
                if not exchange["request"].get("nextPageToken"):
                    self.polls.append((response, []))
                self.polls[-1][1].extend(response.get("events", []))
        self.histories: dict[Run, list[Event]] = {run_of(task): events for task, events in self.polls}
        """The longest of each run."""

    def events(self, *types: str) -> Iterator[tuple[Run, Event, dict[str, Any]]]:
        for run, events in self.histories.items():
            for event in events:
                if event["eventType"] in types:
                    yield run, event, attributes(event)


class Lateness:
    """How late the real service was: the `delays` of the local one."""

    def __init__(self, recording: Recording, answered: Mapping[str, float]) -> None:
        """`answered`: when the decider closed each execution, by workflow id."""
        self._times: dict[tuple[Any, ...], float] = {}
        initiated: dict[tuple[str, int], Event] = {}
        for (workflow, _), events in recording.histories.items():
            by_id = {event["eventId"]: event for event in events}
            for event in events:
                self._own(workflow, by_id, event)
                if event["eventType"] == "StartChildWorkflowExecutionInitiated":
                    initiated[workflow, event["eventId"]] = event
            self._tasks(workflow, events)
        starts = {run: events[0]["eventTimestamp"] for run, events in recording.histories.items()}
        self._children(recording, initiated, starts, answered)

    def _own(self, workflow: str, by_id: Mapping[int, Event], event: Event) -> None:
        at, said = event["eventTimestamp"], attributes(event)
        if event["eventType"] == "TimerFired":
            began = by_id[said["startedEventId"]]
            due = began["eventTimestamp"] + float(attributes(began)["startToFireTimeout"])
            self._times["timer", workflow, said["timerId"]] = at - due
        elif event["eventType"] == "ActivityTaskTimedOut":
            began = by_id[said["scheduledEventId"]]
            kind = said["timeoutType"].lower().split("_")
            limit = kind[0] + "".join(word.capitalize() for word in kind[1:]) + "Timeout"
            due = began["eventTimestamp"] + float(attributes(began)[limit])
            self._times["activity timeout", workflow, said["scheduledEventId"]] = at - due

    def _tasks(self, workflow: str, events: list[Event]) -> None:
        """A task is in its list when it is polled: the real lists are not quite first in, first out."""
        offered: dict[int, tuple[str, float]] = {}
        pending = 0
        for event in events:
            at, said, number = event["eventTimestamp"], attributes(event), event["eventId"]
            if event["eventType"] == "DecisionTaskScheduled":
                pending = number
                offered[number] = "decision task", at
            elif event["eventType"] == "ActivityTaskScheduled":
                offered[number] = "activity task", at
            elif event["eventType"] in ("DecisionTaskStarted", "ActivityTaskStarted"):
                kind, since = offered.pop(said["scheduledEventId"])
                key = kind, workflow, said["scheduledEventId"]
                again = ("continued",) if key in self._times else ()  # a second run of this workflow id
                which = (*key, *again)
                self._times[which] = at - since
            elif event["eventType"] == "DecisionTaskCompleted" and pending in offered:
                offered[pending] = "decision task", at
        for number, (kind, _) in offered.items():
            self._times[kind, workflow, number] = NEVER

    def _children(
        self,
        recording: Recording,
        initiated: Mapping[tuple[str, int], Event],
        starts: Mapping[Run, float],
        answered: Mapping[str, float],
    ) -> None:
        began: dict[str, float] = {}
        for (parent, _), event, said in recording.events("ChildWorkflowExecutionStarted"):
            child, run_id = said["workflowExecution"]["workflowId"], said["workflowExecution"]["runId"]
            asked = initiated[parent, said["initiatedEventId"]]["eventTimestamp"]
            # One child was never polled: it began some time before its parent heard of it.
            began[child] = starts.get((child, run_id), event["eventTimestamp"] - 0.02)
            if (child, run_id) not in starts:
                self._times["decision task", child, 2] = NEVER
            self._times["start child", child] = began[child] - asked
            self._times["child started", child] = event["eventTimestamp"] - began[child]
        for (parent, _), event, said in recording.events(
            "ChildWorkflowExecutionCompleted",
            "ChildWorkflowExecutionFailed",
            "ChildWorkflowExecutionTimedOut",
        ):
            child = said["workflowExecution"]["workflowId"]
            ended = answered.get(child)
            if ended is None:
                asked = attributes(initiated[parent, said["initiatedEventId"]])
                ended = began[child] + float(asked["executionStartToCloseTimeout"])
            self._times["child closed", child] = event["eventTimestamp"] - ended

    def __call__(self, kind: str, said: Mapping[str, Any]) -> float:
        for key in (("timerId",), ("scheduledEventId",), ()):
            named = (kind, said["workflowId"], *(said[name] for name in key if name in said))
            if named in self._times:
                late = self._times[named]
                if (*named, "continued") in self._times:
                    self._times[named] = self._times.pop((*named, "continued"))
                return late
        return 0.0


class Player:
    """Does what was done, when it was done."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.tokens: dict[str, str] = {}
        self.runs: dict[str, str] = {}
        """Run ids of the service, as they were recorded."""
        self.compared = 0
        answered: dict[str, float] = {}
        self._steps: list[tuple[float, Callable[[], None]]] = []
        self._plan_decider(answered)
        self._plan_worker()
        self._steps.sort(key=lambda step: step[0])
        self.clock = VirtualClock(self._steps[0][0] - 10, auto_advance=False)
        self.service = Service(
            clock=self.clock,
            limits=replace(Limits.unthrottled(), long_poll=0.0),
            delays=Lateness(recording, answered),
        )
        self._register()

    def _register(self) -> None:
        period = {"workflowExecutionRetentionPeriodInDays": "1"}
        self.service.call("RegisterDomain", {"name": DOMAIN, **period})
        for exchange in self.recording.decider + self.recording.worker:
            if exchange["op"].startswith("Register"):
                self.service.call(exchange["op"], exchange["request"])

    def _plan_decider(self, answered: dict[str, float]) -> None:
        completed = {
            (run, said["startedEventId"]): event["eventTimestamp"]
            for run, event, said in self.recording.events("DecisionTaskCompleted")
        }
        for run, events in self.recording.histories.items():
            said = attributes(events[0])
            if "parentWorkflowExecution" not in said and "continuedExecutionRunId" not in said:
                self._plan(events[0]["eventTimestamp"], self._start, run, said)
        tasks = {}
        for task, events in self.recording.polls:
            self._plan(events[-1]["eventTimestamp"], self._poll_decision, task, events)
            tasks[task["taskToken"]] = task, events
        pages: dict[str, str] = {}
        first: dict[str, Any] = {}
        for exchange in self.recording.decider:
            request, response = exchange["request"], exchange["response"]
            if exchange["op"] == "PollForDecisionTask":
                first = response if not request.get("nextPageToken") else first
                pages[response["taskToken"]] = first["taskToken"]  # each page has its own token
            elif exchange["op"] == "RespondDecisionTaskCompleted":
                token = pages[request["taskToken"]]
                task, events = tasks[token]
                at = completed.get((run_of(task), task["startedEventId"]))
                if at is None:
                    at = events[-1]["eventTimestamp"] + SOON
                    answered[task["workflowExecution"]["workflowId"]] = at
                self._plan(at, self._answer, exchange["op"], request, token)

    def _plan_worker(self) -> None:
        times: dict[tuple[Any, ...], float] = {}
        for run, event, said in self.recording.events(
            "ActivityTaskStarted", "ActivityTaskCompleted", "ActivityTaskFailed"
        ):
            times[run, event["eventId"]] = event["eventTimestamp"]
            if "startedEventId" in said:
                times[run, said["startedEventId"], "closed"] = event["eventTimestamp"]
        key: tuple[Run, int]
        latest = max(step[0] for step in self._steps)
        for exchange in self.recording.worker:
            request, response = exchange["request"], exchange["response"]
            if exchange["op"] == "PollForActivityTask":
                key = run_of(response), response["startedEventId"]
                at = times.get(key, latest + SOON)  # the last one was in no history that was read
                self._plan(at, self._poll_activity, response)
            elif exchange["op"] == "RecordActivityTaskHeartbeat":
                self._plan(at + SOON, self._answer, exchange["op"], request, request["taskToken"])
            elif exchange["op"].startswith("Respond"):
                at = times.get((*key, "closed"), latest + 2 * SOON)
                self._plan(at, self._answer, exchange["op"], request, request["taskToken"])

    def _plan(self, at: float, step: Callable[..., None], *args: Any) -> None:
        self._steps.append((at, lambda: step(*args)))

    def play(self) -> None:
        for at, step in self._steps:
            self.clock.advance(max(0.0, at - self.clock.now()))
            step()

    def _start(self, run: Run, said: Mapping[str, Any]) -> None:
        names = ("workflowType", "input", "taskList")
        request = {name: said[name] for name in names if name in said}
        request.update(domain=DOMAIN, workflowId=run[0])
        self.service.call("StartWorkflowExecution", request)

    def _poll_decision(self, task: Mapping[str, Any], events: list[Event]) -> None:
        request = {"domain": DOMAIN, "identity": "test", "taskList": {"name": "tl"}}
        got = self.service.call("PollForDecisionTask", request)
        given, token = got["events"], got.get("nextPageToken")
        while token:
            page = self.service.call("PollForDecisionTask", {**request, "nextPageToken": token})
            given, token = given + page["events"], page.get("nextPageToken")
        self.tokens[task["taskToken"]] = got["taskToken"]
        self.runs[got["workflowExecution"]["runId"]] = task["workflowExecution"]["runId"]
        for event in given:
            if event["eventType"] == "ChildWorkflowExecutionStarted":
                self._same_run(attributes(event)["workflowExecution"], events[event["eventId"] - 1])
        for name in ("startedEventId", "previousStartedEventId", "workflowType"):
            assert got[name] == task[name]
        assert self._plain(got["workflowExecution"]) == task["workflowExecution"]
        assert [self._plain(event) for event in given] == [self._plain(event) for event in events]
        self.compared += 1

    def _same_run(self, ours: Mapping[str, Any], event: Event) -> None:
        theirs = attributes(event)["workflowExecution"]
        assert ours["workflowId"] == theirs["workflowId"]
        self.runs[ours["runId"]] = theirs["runId"]

    def _plain(self, value: Any) -> Any:
        """Without times, and with the recorded run ids."""
        if isinstance(value, dict):
            return {
                name: self._plain(inner) for name, inner in value.items() if name != "eventTimestamp"
            }
        if isinstance(value, list):
            return [self._plain(inner) for inner in value]
        return self.runs.get(value, value) if isinstance(value, str) else value

    def _poll_activity(self, task: Mapping[str, Any]) -> None:
        request = {"domain": DOMAIN, "identity": "test", "taskList": {"name": "tl"}}
        got = self.service.call("PollForActivityTask", request)
        self.tokens[task["taskToken"]] = got.pop("taskToken")
        assert self._plain(got) == {name: task[name] for name in task if name != "taskToken"}

    def _answer(self, operation: str, request: Mapping[str, Any], token: str) -> None:
        self.service.call(operation, {**request, "taskToken": self.tokens[token]})


@pytest.fixture(scope="module")
def player() -> Player:
    player = Player(Recording())
    player.play()
    return player


def test_every_history_that_was_polled_is_the_recorded_one(player: Player) -> None:
    assert player.compared == len(player.recording.polls) == 94


def test_all_executions_were_played_to_their_ends(player: Player) -> None:
    since = {"oldestDate": player.recording.polls[0][1][0]["eventTimestamp"] - 1}
    request = {"domain": DOMAIN, "startTimeFilter": since}
    closed = player.service.call("ListClosedWorkflowExecutions", request)["executionInfos"]
    still_open = player.service.call("CountOpenWorkflowExecutions", request)["count"]
    recorded = {run[0] for run in player.recording.histories}
    assert len(closed) + still_open == 31
    assert recorded <= {info["execution"]["workflowId"] for info in closed} | {"fakeuuid-3-"}


def test_another_answer_gives_another_history() -> None:
    """The player does not just repeat what was recorded: the service must say it."""
    recording = Recording()
    answers = [exchange for exchange in recording.worker if exchange["request"].get("result") == "100"]
    answers[0]["request"]["result"] = "101"
    with pytest.raises(AssertionError):
        Player(recording).play()
