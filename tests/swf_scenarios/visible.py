"""Scenarios of looking: lists and counts of executions with every filter, histories by the page."""

from __future__ import annotations

import datetime
from typing import Any

from swf_scenarios.bench import COMPLETE, FLOW, Bench, decision, scenario


def _epoch(time: Any) -> float:
    """Clients may give times as numbers or as datetimes."""
    return time.timestamp() if isinstance(time, datetime.datetime) else float(time)


def _ids(bench: Bench, operation: str, **request: Any) -> list[str]:
    """The workflow ids that are listed, all pages of them, which must be as many as are counted."""
    counting = {
        name: request[name] for name in request if name not in ("maximumPageSize", "reverseOrder")
    }
    count = bench.here(operation.replace("List", "Count"), **counting)["count"]
    found: list[str] = []
    while True:
        page = bench.here(operation, **request)
        found += [info["execution"]["workflowId"] for info in page["executionInfos"]]
        if "nextPageToken" not in page:
            break
        request["nextPageToken"] = page["nextPageToken"]
    assert len(found) == count
    return found


@scenario()
def open_executions(bench: Bench) -> None:
    bench.set_up()
    bench.here("RegisterWorkflowType", name="flow", version="2")
    settings: dict[str, Any] = {
        "taskList": {"name": "x"}, "childPolicy": "ABANDON", "taskStartToCloseTimeout": "9",
        "executionStartToCloseTimeout": "999",
    }  # fmt: skip
    runs = {}
    for number in range(5):
        version = {"name": "flow", "version": "2" if number == 3 else "1"}
        tags = ["odd", "t"] if number % 2 else ["t"]
        runs[number] = bench.start(f"w{number}", workflowType=version, tagList=tags, **settings)
        bench.advance(10)
    times = [
        _epoch(bench.detail(f"w{number}", runs[number])["executionInfo"]["startTimestamp"])
        for number in range(5)
    ]
    everything = {"startTimeFilter": {"oldestDate": times[0] - 1}}
    newest_first = ["w4", "w3", "w2", "w1", "w0"]
    operation = "ListOpenWorkflowExecutions"
    assert _ids(bench, operation, **everything) == newest_first
    assert _ids(bench, operation, **everything, maximumPageSize=2) == newest_first
    assert (
        _ids(bench, operation, **everything, maximumPageSize=2, reverseOrder=True) == newest_first[::-1]
    )
    between = {"oldestDate": times[1], "latestDate": times[3]}
    assert _ids(bench, operation, startTimeFilter=between) == ["w3", "w2", "w1"]
    for name, said, found in (
        ("tagFilter", {"tag": "odd"}, ["w3", "w1"]),
        ("typeFilter", {"name": "flow"}, newest_first),
        ("typeFilter", {"name": "flow", "version": "2"}, ["w3"]),
        ("typeFilter", {"name": "bare"}, []),
        ("executionFilter", {"workflowId": "w2"}, ["w2"]),
    ):
        assert _ids(bench, operation, **everything, **{name: said}) == found
    with bench.refused("ValidationException"):
        bench.here(operation, **everything, tagFilter={"tag": "t"}, executionFilter={"workflowId": "w2"})
    backwards = {"oldestDate": times[1], "latestDate": times[0]}
    with bench.refused("ValidationException"):
        bench.here(operation, startTimeFilter=backwards)


@scenario()
def closed_executions(bench: Bench) -> None:
    bench.set_up()
    runs = {}
    for number in range(4):
        runs[number] = bench.start(f"w{number}", tagList=[f"t{number}"])
        bench.advance(1)
    fail = decision("FailWorkflowExecution", reason="r")
    tasks = [bench.poll() for _ in range(4)]
    for number in (2, 0, 3):  # they close in another order than they start
        bench.respond(tasks[number], fail if number == 0 else COMPLETE)
        bench.advance(1)
    infos = {number: bench.detail(f"w{number}", runs[number])["executionInfo"] for number in (2, 0, 3)}
    closed = {number: _epoch(info["closeTimestamp"]) for number, info in infos.items()}
    started = {number: _epoch(info["startTimestamp"]) for number, info in infos.items()}
    operation = "ListClosedWorkflowExecutions"
    by_start = {"startTimeFilter": {"oldestDate": started[0]}}
    by_close = {"closeTimeFilter": {"oldestDate": closed[2]}}
    assert _ids(bench, operation, **by_start, maximumPageSize=1) == ["w3", "w2", "w0"]
    assert _ids(bench, operation, **by_close, maximumPageSize=2) == ["w3", "w0", "w2"]
    assert _ids(bench, operation, **by_close, reverseOrder=True) == ["w2", "w0", "w3"]
    early = {"oldestDate": 0, "latestDate": closed[0]}
    assert _ids(bench, operation, closeTimeFilter=early) == ["w0", "w2"]
    for name, said, found in (
        ("closeStatusFilter", {"status": "FAILED"}, ["w0"]),
        ("closeStatusFilter", {"status": "TERMINATED"}, []),
        ("tagFilter", {"tag": "t3"}, ["w3"]),
        ("typeFilter", FLOW, ["w3", "w2", "w0"]),
        ("executionFilter", {"workflowId": "w2"}, ["w2"]),
    ):
        assert _ids(bench, operation, **by_start, **{name: said}) == found
    for name in (operation, operation.replace("List", "Count")):
        with bench.refused("ValidationException"):
            bench.here(name, **by_start, **by_close)
        with bench.refused("ValidationException"):
            bench.here(name)


@scenario()
def pages_of_history(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    marks = [decision("RecordMarker", markerName=f"m{number}") for number in range(250)]
    bench.decide(*marks)
    execution = {"workflowId": "one", "runId": run_id}
    page = bench.here("GetWorkflowExecutionHistory", execution=execution, maximumPageSize=1000)
    assert len(page["events"]) == 100  # as the real service: fewer than were asked for
    for size, reverse in ((7, False), (100, True)):
        request: dict[str, Any] = {
            "execution": execution,
            "maximumPageSize": size,
            "reverseOrder": reverse,
        }
        ids: list[int] = []
        while True:
            page = bench.here("GetWorkflowExecutionHistory", **request)
            assert len(page["events"]) <= size
            ids += [event["eventId"] for event in page["events"]]
            if "nextPageToken" not in page:
                break
            request["nextPageToken"] = page["nextPageToken"]
        assert ids == sorted(range(1, 255), reverse=reverse)
    with bench.refused("ValidationException", "Invalid token"):
        bench.here("GetWorkflowExecutionHistory", execution=execution, nextPageToken="made up")
    request.pop("nextPageToken")
    token = bench.here("GetWorkflowExecutionHistory", **request)["nextPageToken"]
    with bench.refused("ValidationException", "another request"):
        bench.here("GetWorkflowExecutionHistory", execution=execution, nextPageToken=token)
    bench.advance(25 * 3600)
    with bench.refused("ValidationException", "expired"):
        bench.here("GetWorkflowExecutionHistory", **request, nextPageToken=token)


@scenario()
def pages_of_a_decision(bench: Bench) -> None:
    bench.set_up()
    run_id = bench.start()
    bench.decide(*(decision("RecordMarker", markerName=f"m{number}") for number in range(150)))
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="s")
    first = bench.poll(maximumPageSize=60)
    bench.here("SignalWorkflowExecution", workflowId="one", signalName="late")
    events, page = list(first["events"]), first
    while "nextPageToken" in page:
        page = bench.poll(maximumPageSize=60, nextPageToken=page["nextPageToken"])
        assert page["startedEventId"] == first["startedEventId"]
        assert page["previousStartedEventId"] == 3
        events += page["events"]
    # A task's history ends at its start, whatever comes while it is read.
    assert [event["eventId"] for event in events] == list(range(1, first["startedEventId"] + 1))
    bench.respond(page)
    backwards = bench.poll(reverseOrder=True, maximumPageSize=2)
    assert [event["eventId"] for event in backwards["events"]] == [
        backwards["startedEventId"], backwards["startedEventId"] - 1,
    ]  # fmt: skip
    bench.respond(backwards, COMPLETE)
    assert bench.status("one", run_id) == "COMPLETED"
