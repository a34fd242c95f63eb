"""What the local SWF means: the scenarios in process on a virtual clock, and that they cover its model.

Neighbours: `swf_scenarios`, whose stories these are, and which are played over HTTP elsewhere;
`test_swf_invariants`, where chance makes the stories.
"""

from __future__ import annotations

import pytest

pytest.importorskip("botocore", reason="the local SWF needs botocore, of the extra `swf`")

from swf_direct import MODEL, Direct
from swf_scenarios import SCENARIOS, Bench, Scenario, Seen

from flowy.testing.swf import Service, VirtualClock


def play(scenario: Scenario, seen: Seen) -> None:
    clock = VirtualClock(auto_advance=False)
    permits = (lambda action, domain: action not in scenario.denied) if scenario.denied else None
    service = Service(clock=clock, limits=scenario.limits, permits=permits)
    scenario.play(Bench(Direct(service), clock.advance, seen))


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str) -> None:
    play(SCENARIOS[name], Seen())


@pytest.fixture(scope="module")
def seen() -> Seen:
    seen = Seen()
    for scenario in SCENARIOS.values():
        play(scenario, seen)
    return seen


def test_every_operation_is_done(seen: Seen) -> None:
    assert seen.operations == set(MODEL["operations"])
    assert len(seen.operations) == 39


def test_every_decision_is_made(seen: Seen) -> None:
    assert seen.decisions == set(MODEL["shapes"]["DecisionType"]["enum"])


# Tags have no limit but their number, which is a fault of its own.
NEVER = {
    (operation, "LimitExceededFault")
    for operation in ("ListTagsForResource", "TagResource", "UntagResource")
}


def test_every_fault_of_the_model_is_met(seen: Seen) -> None:
    declared = {
        (name, error["shape"])
        for name, operation in MODEL["operations"].items()
        for error in operation["errors"]
    }
    assert declared - NEVER <= seen.faults
    assert {fault for _, fault in seen.faults - declared} == {
        "SerializationException",
        "ThrottlingException",
        "ValidationException",
    }


def test_every_cause_of_the_model_is_met(seen: Seen) -> None:
    shapes = MODEL["shapes"]
    declared = set()
    for member in shapes["HistoryEvent"]["members"]:
        if member.endswith("EventAttributes") and "ambda" not in member:
            event_type = f"{member[0].upper()}{member.removesuffix('EventAttributes')[1:]}"
            attributes = shapes[f"{event_type}EventAttributes"]["members"]
            for name in ("cause", "timeoutType"):
                for cause in shapes[attributes[name]["shape"]]["enum"] if name in attributes else ():
                    declared.add((event_type, cause))
    assert declared <= seen.causes
