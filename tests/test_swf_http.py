"""What the local SWF means, through real boto3 over HTTP and through the client without a socket.

The stories are those of `swf_scenarios`; that they cover all of the service is seen here over HTTP, and
that the page which says so is current.
"""

from __future__ import annotations

import pytest

pytest.importorskip("boto3", reason="the local SWF needs boto3, of the extra `swf`")

from swf_scenarios import SCENARIOS, Seen
from swf_table import CONFIG, MODEL, PAGE, Boto3Bench, declared_causes, page_with, played, tables

from flowy.testing.swf import Service, VirtualClock
from flowy.testing.swf.client import make_client

# What no call can meet: LimitExceededFault of what is not limited but in its number, which is a fault of
# its own (TooManyTagsFault), and what Lambda alone gives.
NEVER_FAULTS = {
    (operation, "LimitExceededFault")
    for operation in ("ListTagsForResource", "TagResource", "UntagResource")
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    return {name: played(name) for name in SCENARIOS}


@pytest.mark.parametrize("name", SCENARIOS)
def test_story_over_http(name: str) -> None:
    played(name)


@pytest.mark.parametrize("name", SCENARIOS)
def test_story_in_process(name: str) -> None:
    scenario = SCENARIOS[name]
    clock = VirtualClock(auto_advance=False)
    permits = (lambda action, domain: action not in scenario.denied) if scenario.denied else None
    service = Service(clock=clock, limits=scenario.limits, permits=permits)
    here = Seen()
    scenario.play(Boto3Bench(make_client(service.call, CONFIG), clock.advance, here))
    assert here == played(name)


def test_every_operation_and_decision_is_tested(seen: dict[str, Seen]) -> None:
    operations = {operation for each in seen.values() for operation in each.operations}
    assert operations == set(MODEL["operations"])
    assert len(operations) == 39
    decisions = {decision for each in seen.values() for decision in each.decisions}
    assert decisions == set(MODEL["shapes"]["DecisionType"]["enum"])
    assert len(decisions) == 13


def test_every_fault_is_met(seen: dict[str, Seen]) -> None:
    met = {pair for each in seen.values() for pair in each.faults}
    declared = {
        (name, error["shape"])
        for name, operation in MODEL["operations"].items()
        for error in operation["errors"]
    }
    assert declared - NEVER_FAULTS <= met


def test_every_cause_is_met_that_can_be_without_lambda(seen: dict[str, Seen]) -> None:
    met = {pair for each in seen.values() for pair in each.causes}
    declared = {
        (event, cause)
        for event, causes in declared_causes().items()
        for cause in causes
        if "Lambda" not in event
    }
    assert declared <= met


def test_the_page_is_current(seen: dict[str, Seen]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with(text, tables(seen)) == text, "run `make docs-tables`"


def test_the_page_would_tell_what_is_not_tested(seen: dict[str, Seen]) -> None:
    assert "NOT TESTED" not in tables(seen)
    assert tables({}).count("NOT TESTED") == 39 + 13
    first = next(iter(seen.values()))
    assert tables({"one": first}) != tables(seen)
