"""Scenarios of closing decisions, and of those that news overtakes."""

from __future__ import annotations

from typing import Any

from swf_scenarios.bench import COMPLETE, FLOW, LIST, Bench, attributes, decision, scenario


@scenario()
def each_way(bench: Bench) -> None:
    bench.set_up()
    ways: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("Complete", {"result": "r"}, "Completed"),
        ("Complete", {}, "Completed"),
        ("Fail", {"reason": "r", "details": "d"}, "Failed"),
        ("Fail", {}, "Failed"),
        ("Cancel", {"details": "d"}, "Canceled"),
        ("Cancel", {}, "Canceled"),
    )
    for verb, said, word in ways:
        run_id = bench.start()
        bench.decide(decision(f"{verb}WorkflowExecution", **said))
        (told,) = bench.latest("one", run_id, f"WorkflowExecution{word}")
        assert told == {**said, "decisionTaskCompletedEventId": 4}
        assert bench.status("one", run_id) == word.upper()


@scenario()
def unhandled(bench: Bench) -> None:
    """News that the decider has not seen keeps an execution from closing."""
    bench.set_up()
    for verb in ("Complete", "Fail", "Cancel", "ContinueAsNew"):
        run_id = bench.start()
        task = bench.poll()
        bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
        bench.respond(
            task, decision("RecordMarker", markerName="m"), decision(f"{verb}WorkflowExecution")
        )
        *_, failed = bench.latest(
            "one",
            run_id,
            "WorkflowExecutionSignaled",
            "DecisionTaskScheduled",
            "DecisionTaskCompleted",
            "MarkerRecorded",
            f"{verb}WorkflowExecutionFailed",
        )
        assert failed == {"cause": "UNHANDLED_DECISION", "decisionTaskCompletedEventId": 6}
        assert bench.status("one", run_id) == ""
        bench.decide(decision(f"{verb}WorkflowExecution"))
        assert bench.status("one", run_id) != ""
        if verb == "ContinueAsNew":
            bench.here("TerminateWorkflowExecution", workflowId="one")


@scenario()
def seen_or_no_news(bench: Bench) -> None:
    """What makes no decision task, or comes of the decisions themselves, is no news."""
    bench.set_up()
    work = {"name": "work", "version": "1"}
    run_id = bench.start()
    bench.decide(decision("ScheduleActivityTask", activityId="a", activityType=work))
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    task = bench.poll()
    bench.work()  # that it has started is none
    bench.respond(task, decision("CancelTimer", timerId="never"), COMPLETE)
    assert bench.status("one", run_id) == "COMPLETED"


@scenario()
def continue_as_new(bench: Bench) -> None:
    bench.set_up()
    bench.here(
        "RegisterWorkflowType",
        name="flow",
        version="2",
        defaultTaskList={"name": "second"},
        defaultChildPolicy="ABANDON",
        defaultTaskStartToCloseTimeout="7",
        defaultExecutionStartToCloseTimeout="70",
    )
    first = bench.start("one", input="old", tagList=["t"], executionStartToCloseTimeout="5")
    bench.decide(
        decision(
            "ContinueAsNewWorkflowExecution",
            input="new", workflowTypeVersion="2", taskPriority="4", tagList=["u"],
        )
    )  # fmt: skip
    (closed,) = bench.latest("one", first, "WorkflowExecutionContinuedAsNew")
    second = closed["newExecutionRunId"]
    settings = {
        "input": "new",
        "taskPriority": "4",
        "tagList": ["u"],
        "workflowType": {"name": "flow", "version": "2"},
        "taskList": {"name": "second"},
        "childPolicy": "ABANDON",
        "taskStartToCloseTimeout": "7",
        "executionStartToCloseTimeout": "70",
    }
    assert closed == {**settings, "newExecutionRunId": second, "decisionTaskCompletedEventId": 4}
    begun = attributes(bench.history("one", second)[0])
    assert begun == {**settings, "continuedExecutionRunId": first, "parentInitiatedEventId": 0}
    assert bench.status("one", first) == "CONTINUED_AS_NEW"
    bench.advance(6)  # the time-out of the first run is not that of the second
    assert bench.status("one", second) == ""


@scenario()
def not_continued(bench: Bench) -> None:
    bench.set_up()
    for version in ("3", "old"):
        bench.here("RegisterWorkflowType", name="flow", version=version)
    bench.here("DeprecateWorkflowType", workflowType={"name": "flow", "version": "old"})
    given: dict[str, Any] = {
        "executionStartToCloseTimeout": "100",
        "taskList": LIST,
        "taskStartToCloseTimeout": "100",
        "childPolicy": "ABANDON",
    }
    tries: list[tuple[dict[str, Any], str]] = [
        ({"workflowTypeVersion": "none"}, "WORKFLOW_TYPE_DOES_NOT_EXIST"),
        ({"workflowTypeVersion": "old"}, "WORKFLOW_TYPE_DEPRECATED"),
    ]
    for missing, cause in (
        ("executionStartToCloseTimeout", "EXECUTION_START_TO_CLOSE_TIMEOUT"),
        ("taskList", "TASK_LIST"),
        ("taskStartToCloseTimeout", "TASK_START_TO_CLOSE_TIMEOUT"),
        ("childPolicy", "CHILD_POLICY"),
    ):
        said = {name: given[name] for name in given if name != missing}
        tries.append(({"workflowTypeVersion": "3", **said}, f"DEFAULT_{cause}_UNDEFINED"))
    run_id = bench.start()
    for said, cause in tries:
        bench.decide(decision("ContinueAsNewWorkflowExecution", **said))
        failed, _ = bench.latest(
            "one", run_id, "ContinueAsNewWorkflowExecutionFailed", "DecisionTaskScheduled"
        )
        assert failed["cause"] == cause
    assert bench.detail("one", run_id)["executionInfo"]["workflowType"] == FLOW
