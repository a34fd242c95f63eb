"""Real traffic of Amazon SWF, decided again.

Owns: the workflows that the recordings of 2016 show, and the comparison of what they are answered now
with what was answered then, all 94 responses, by full replays and by kept runs.

May not know: more of flowy than its public names. The recordings are not part of the project: where
they are missing, these tests are skipped.
"""

from __future__ import annotations

import copy
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import flowy
from flowy import swf

FILE = Path(__file__).resolve().parents[2] / "shared" / "swf-recordings" / "swf-2016.json.gz"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"the recordings are missing: {FILE}")


class Works:
    """The work of both test workflows: calls of each outcome, then a chain of twenty."""

    def __init__(self, task: Any, short_task: Any, delayed_task: Any, non_existing_task: Any) -> None:
        self.task = task
        self.short_task = short_task
        self.delayed_task = delayed_task
        self.non_existing_task = non_existing_task

    def __call__(self) -> None:
        calls = [self.task(10), self.task(err="Error!"), self.task(heartbeat=True)]
        calls += [self.short_task(sleep=3), self.delayed_task(20), self.non_existing_task()]
        n = self.task(1, 1)
        for _ in range(20):
            n = self.task(n, 1)
        flowy.wait(n)
        for call, error in zip(calls, (None, flowy.TaskError, None, flowy.TaskTimedout), strict=False):
            if error is None:
                flowy.wait(call)
            else:
                with pytest.raises(error):
                    flowy.wait(call)
        assert calls[4] == 400
        with pytest.raises(flowy.TaskError, match="TYPE_DOES_NOT_EXIST"):
            flowy.wait(calls[5])


def single() -> Any:
    def body(*numbers: int, err: str | None = None, **others: Any) -> Any:
        if err is not None:
            raise RuntimeError(err)
        if not numbers:
            return None
        return sum(numbers) if len(numbers) > 1 else numbers[0] ** 2

    return body


def restarting() -> Any:
    def body(should_restart: bool = True) -> Any:
        return flowy.restart(should_restart=False) if should_restart else 1

    return body


class Exits:
    def __init__(self, activity: Any) -> None:
        self.activity = activity

    def __call__(self) -> None:
        flowy.wait(self.activity())


def worker(**options: Any) -> swf.SWFWorkflowWorker:
    made = swf.SWFWorkflowWorker(**options)
    activities, children = swf.SWFWorkflowConfig(), swf.SWFWorkflowConfig()
    activities.conf_activity("task", version=2, name="tactivity")
    activities.conf_activity("short_task", version=2, name="tactivity", schedule_to_close=1, retry=(0,))
    activities.conf_activity("delayed_task", version=2, name="tactivity", retry=(3,))
    activities.conf_activity("non_existing_task", version=1, name="xxx")
    children.conf_workflow("task", version=2, name="TWorkflow")
    children.conf_workflow("short_task", version=2, name="TWorkflow", workflow_duration=1, retry=(0,))
    children.conf_workflow("delayed_task", version=2, name="TWorkflow", retry=(3,))
    children.conf_workflow("non_existing_task", version=1, name="xxx")
    made.register(activities, Works, 2, "TestWorkflow")
    made.register(children, Works, 2, "TestWorkflowW")
    made.register(swf.SWFWorkflowConfig(), single, 2, "TWorkflow")
    made.register(swf.SWFWorkflowConfig(), restarting, 2, "RestartWorkflow")
    exits = swf.SWFWorkflowConfig()
    exits.conf_activity("activity", version=2, name="tactivity")
    made.register(exits, Exits, 2, "ExitWorkflow")
    return made


def read_tasks() -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """(decision task with its pages merged, the decisions that answered it), as they came."""
    tasks: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
    latest = ""
    for exchange in json.loads(gzip.decompress(FILE.read_bytes()))["decider"]:
        request, response = exchange["request"], exchange["response"]
        if exchange["op"] == "RespondDecisionTaskCompleted":
            tasks[request["taskToken"]][1].extend(request["decisions"])
        elif exchange["op"] == "PollForDecisionTask" and "nextPageToken" in request:
            tasks[latest][0]["events"] += response.get("events", [])
        elif exchange["op"] == "PollForDecisionTask" and response.get("taskToken"):
            latest = response["taskToken"]
            tasks[latest] = (dict(response, events=list(response.get("events", []))), [])
    return list(tasks.values())


def apart(decisions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Decisions to be compared: ids of children and timers are other ones now."""
    decisions = copy.deepcopy(decisions)
    for decision in decisions:
        decision.get("startTimerDecisionAttributes", {}).pop("timerId", None)
        decision.get("startChildWorkflowExecutionDecisionAttributes", {}).pop("workflowId", None)
        again = decision.get("continueAsNewWorkflowExecutionDecisionAttributes", {})
        if again.get("workflowTypeVersion") == "2":
            del again["workflowTypeVersion"]  # that of the run: SWF took it without being told
    return decisions


def test_each_recorded_task_gets_the_recorded_decisions_from_its_whole_history() -> None:
    tasks = read_tasks()
    assert len(tasks) == 94
    for task, decisions in tasks:
        assert apart(worker(keep=0).decide(task)) == apart(decisions), task["taskToken"]


def test_kept_runs_go_on_with_the_tail_of_the_history() -> None:
    decider = worker()
    for task, decisions in read_tasks():
        previous = task.get("previousStartedEventId", 0)
        task["events"] = [event for event in task["events"] if event["eventId"] >= previous]
        assert apart(decider.decide(task)) == apart(decisions), task["taskToken"]
    assert decider.kept.hits == 94 - 30
    assert decider.kept.misses == 0
    decider.kept.clear()


def test_ids_are_of_the_documented_form() -> None:
    sent = [made for task, _ in read_tasks() for made in worker(keep=0).decide(task)]
    activities = {
        a["scheduleActivityTaskDecisionAttributes"]["activityId"]
        for a in sent
        if "scheduleActivityTaskDecisionAttributes" in a
    }
    timers = {
        a["startTimerDecisionAttributes"]["timerId"] for a in sent if "startTimerDecisionAttributes" in a
    }
    children = [
        a["startChildWorkflowExecutionDecisionAttributes"]["workflowId"]
        for a in sent
        if "startChildWorkflowExecutionDecisionAttributes" in a
    ]
    assert {"task-0-0", "short_task-0-0", "delayed_task-0-0", "task-23-0"} <= activities
    assert timers == {"delayed_task-0-0-t"}
    assert len(set(children)) == len(children) == 27
    assert all(child.startswith("fakeuuid-1-") and not set(child) & set(":/|") for child in children)
