"""The suite on Amazon SWF while every fifth call of its workers goes wrong.

Owns: that each kind of fault changes no value, schedules nothing twice, makes nothing fail, and brings
no storm of requests.

May not know: how calls are tried again. Single faults are in test_swf_client, whole processes that end
in test_swf_faults.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from conformance import CASES
from conformance.case import Case
from conformance.fleet import IMPATIENT, PATIENT, WORKERS, Ran, sail
from swf_network import KEEPING, Site, ticking
from test_conformance import LONG, at_swf
from test_swf_faults import IMPATIENT as ONE_TRY

from flowy import swf
from flowy.swf.history import attributes_of
from flowy.testing import LocalSWF
from flowy.testing.swf import Limits
from flowy.testing.swf.client import make_client

pytestmark = pytest.mark.skipif(not LONG, reason="takes minutes: FLOWY_LONG=1")

FAULTS = (
    "lost_reply",
    "reset",
    "throttle",
    "server_error",
    "empty_poll",
    "expired_token",
    "unavailable",
    "stale_history",
)
STRUCK = (
    "PollForDecisionTask",
    "PollForActivityTask",
    "RespondDecisionTaskCompleted",
    "RespondActivityTaskCompleted",
    "RespondActivityTaskFailed",
    "RespondActivityTaskCanceled",
    "RecordActivityTaskHeartbeat",
    "GetWorkflowExecutionHistory",
)
"""What is called by workers, and by who waits. A signal whose reply was lost can't be told from one that
did not arrive: those who send it again send two. Nor can a start under an id of one's own."""
THEIR_OWN = re.compile(r"(ValueError|.*Strange): (no |strange|not yet|never)")
"""What activities of the suite raise."""
FAILING = {"ChildFails", *(name for name, case in CASES.items() if case.outcome.kind == "failed")}
LOSING = {"lost_reply"}
"""Only these lose tasks, which then come again by their time-outs. With all others nothing may time out,
so nothing does: on a machine that is busy otherwise, a time-out of a minute, here a second, ends tasks
that run, and SWF rightly has them run twice."""
LONGEST_POLL = 60
MORE = 1.5
DECIDERS = 3
"""So that the pauses of one hold up a part of the suite only."""
PAGE, SMALL_PAGE = 100, 10
"""Events; whatever is asked for. Of small pages there are enough whose tokens can expire."""
ENDS = ("Completed", "Failed", "TimedOut", "Canceled")


class Requests:
    """How many requests workers sent, by operation."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def __call__(self, request: Any, event_name: str, **_: Any) -> None:
        if threading.current_thread().name.startswith(("test-", "flowy-swf")):
            self.sent[event_name.rpartition(".")[2]] += 1  # of its thread alone, but for few: no lock


@dataclasses.dataclass
class Voyage:
    """All cases under one kind of fault."""

    ran: Mapping[str, Ran]
    hits: int
    sent: Counter[str]
    elapsed: float
    """Seconds of the service's clock."""


def voyage(fault: str, cases: list[Case], folder: Any, keep: str = "forgetful") -> Voyage:
    # A clock that jumps when all wait would jump over the pauses between tries.
    page = SMALL_PAGE if fault == "expired_token" else PAGE
    limits = dataclasses.replace(Limits.unthrottled(), history_page=page)
    local = LocalSWF(limits=limits, auto_advance=False)
    requests = Requests()

    def make() -> swf.SWFClient:
        client = local.client(ONE_TRY)  # flowy's own tries are tested, and quick
        client.meta.events.register_first("before-send.swf", requests)
        return swf.SWFClient(client)

    place = Site(local, make)
    began = local.clock.now()
    known = set(STRUCK) if fault not in ("empty_poll", "expired_token", "stale_history") else None
    with ticking(local), contextlib.closing(place):
        struck = local.inject(fault, known, probability=0.2, seed=1)
        ran = sail(
            place,
            cases,
            *(KEEPING[keep]() for _ in range(DECIDERS)),
            folder=folder,
            outside=make_client(local.service.call),
            patience=IMPATIENT if fault in LOSING else PATIENT,
            around=struck,
        )
    return Voyage(ran, struck.hits, requests.sent, local.clock.now() - began)


@pytest.fixture(scope="module", params=FAULTS)
def voyaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Voyage:
    """Each kind of fault for all cases."""
    cases = [case for case in CASES.values() if not case.why_not("faults")]
    return voyage(request.param, cases, tmp_path_factory.mktemp("payloads"))


@pytest.mark.slow
def test_no_fault_changes_a_value(voyaged: Voyage) -> None:
    for name, ran in voyaged.ran.items():
        assert any_attempt(ran.outcome) == any_attempt(at_swf(CASES[name])), name
        assert not ran.dirty
        for history in ran.histories.values():
            check_once(history)


def any_attempt(what: Any) -> Any:
    """Without the number of attempts: one whose poll got no reply was followed by another."""
    if isinstance(what, tuple):
        return tuple(any_attempt(each) for each in what)
    return re.sub(r"(\w+-\d+)-\d+", r"\1", what) if isinstance(what, str) else what


def check_once(events: list[dict[str, Any]]) -> None:
    """Nothing was scheduled twice, and another attempt followed one that was over."""
    opened: Counter[tuple[str, str]] = Counter()
    ids: dict[int, str] = {}
    over: set[str] = set()
    for event in events:
        says, kind = attributes_of(event), event["eventType"]
        if kind == "ActivityTaskScheduled":
            id = ids[event["eventId"]] = says["activityId"]
            base, _, attempt = id.rpartition("-")
            opened[kind, id] += 1
            assert attempt == "0" or f"{base}-{int(attempt) - 1}" in over, id
        elif kind == "StartChildWorkflowExecutionInitiated":
            opened[kind, says["workflowId"]] += 1
        elif kind == "TimerStarted":
            opened[kind, says["timerId"]] += 1
        elif kind.startswith("ActivityTask") and kind.endswith(ENDS):
            over.add(ids[says["scheduledEventId"]])
    assert max(opened.values(), default=1) == 1, opened


@pytest.mark.slow
def test_no_fault_becomes_a_failure(voyaged: Voyage) -> None:
    for name, ran in voyaged.ran.items():
        for events in ran.histories.values():
            for event in events:
                says, kind = attributes_of(event), event["eventType"]
                if kind == "ActivityTaskFailed":
                    assert THEIR_OWN.match(says["reason"]), says
                elif kind == "WorkflowExecutionFailed":
                    assert name in FAILING, says


@pytest.mark.slow
def test_no_fault_brings_a_storm(voyaged: Voyage) -> None:
    started: Counter[str] = Counter()
    pages = 0
    for ran in voyaged.ran.values():
        for events in ran.histories.values():
            types = Counter(event["eventType"] for event in events)
            started += types
            pages += types["DecisionTaskStarted"] * (len(events) // SMALL_PAGE)
    polls = WORKERS + 2 * DECIDERS
    idle = polls * (voyaged.elapsed / LONGEST_POLL + 3)
    decisions, tasks = started["DecisionTaskStarted"], started["ActivityTaskStarted"]
    sent = voyaged.sent
    # Of five calls one fails, and is made again; what does not fail is not.
    assert sent["PollForActivityTask"] <= MORE * tasks + idle
    assert sent["RespondDecisionTaskCompleted"] <= MORE * decisions
    answers = sum(sent[f"RespondActivityTask{how}"] for how in ("Completed", "Failed", "Canceled"))
    assert answers <= MORE * tasks
    # Histories are read for what was not kept, a page or more for each, and by polls where they can.
    assert sent["PollForDecisionTask"] <= MORE * (decisions + pages) + idle
    assert sent["GetWorkflowExecutionHistory"] <= MORE * (decisions + pages)
    assert voyaged.hits > 0
