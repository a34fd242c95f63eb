"""What is tested of the local SWF, as tables in docs/swf-service.md, made from the tests themselves.

Owns: playing the scenarios through boto3 over HTTP, and the tables of what came of it. As a program
(`make docs-tables`) it writes them into the page; a test checks that the page has them as they are.

Neighbours: `swf_scenarios`, whose stories these are; `test_swf_http`, which looks at each.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.loaders import Loader
from swf_scenarios import SCENARIOS, Bench, Scenario, Seen

from flowy.testing.swf import Service, VirtualClock
from flowy.testing.swf.http import Server

PAGE = Path(__file__).parent.parent / "docs" / "swf-service.md"
BEGIN, END = "<!-- made by `make docs-tables`: begin -->", "<!-- made by `make docs-tables`: end -->"
MODEL: Mapping[str, Any] = Loader().load_service_model("swf", "service-2")

# One attempt, because a scenario says itself what it does again; and nothing is checked before it is
# sent, because the service's own checks are part of the scenarios.
CONFIG = Config(retries={"total_max_attempts": 1}, parameter_validation=False)


class Boto3Bench(Bench):
    """Played on through botocore."""

    sends_unknown_members = False


@functools.cache
def played(name: str) -> Seen:
    """Play a scenario through boto3 over HTTP; what it made happen."""
    return play(SCENARIOS[name])


def play(scenario: Scenario) -> Seen:
    clock = VirtualClock(auto_advance=False)
    permits = (lambda action, domain: action not in scenario.denied) if scenario.denied else None
    service = Service(clock=clock, limits=scenario.limits, permits=permits)
    with Server(service.call, wake=service.wake) as server:
        client = boto3.client(
            "swf",
            region_name="us-east-1",
            endpoint_url=server.endpoint_url,
            aws_access_key_id="x",
            aws_secret_access_key="x",
            config=CONFIG,
        )
        seen = Seen()
        try:
            scenario.play(Boto3Bench(client, clock.advance, seen))
        finally:
            client.close()
            gc.collect()  # a refused call's exception keeps its connection in a cycle
        assert server.errors == []
    return seen


def tables(seen: Mapping[str, Seen]) -> str:
    """The tables, in Markdown."""
    return "\n".join([*_operations(seen), "", *_decisions(seen), "", *_events(seen)])


def _operations(seen: Mapping[str, Seen]) -> Iterable[str]:
    yield "| operation | status | stories | faults met |"
    yield "|---|---|---|---|"
    for name, operation in sorted(MODEL["operations"].items()):
        stories = sum(name in each.operations for each in seen.values())
        met = {fault for each in seen.values() for done, fault in each.faults if done == name}
        declared = [error["shape"] for error in operation["errors"]]
        shown = [fault if fault in met else f"~~{fault}~~" for fault in declared]
        shown += sorted(met - set(declared))
        status = "tested" if stories else "NOT TESTED"
        yield f"| {name} | {status} | {stories} | {', '.join(shown)} |"


def _decisions(seen: Mapping[str, Seen]) -> Iterable[str]:
    yield "| decision | status | stories |"
    yield "|---|---|---|"
    for name in sorted(MODEL["shapes"]["DecisionType"]["enum"]):
        stories = sum(name in each.decisions for each in seen.values())
        yield f"| {name} | {'tested' if stories else 'NOT TESTED'} | {stories} |"


def _events(seen: Mapping[str, Seen]) -> Iterable[str]:
    yield "| event | causes and time-outs met |"
    yield "|---|---|"
    met = {pair for each in seen.values() for pair in each.causes}
    for event, declared in sorted(declared_causes().items()):
        shown = [cause if (event, cause) in met else f"~~{cause}~~" for cause in declared]
        yield f"| {event} | {', '.join(shown)} |"


def declared_causes() -> dict[str, list[str]]:
    """The causes and time-outs of each type of event, but those of Lambda functions that run."""
    shapes = MODEL["shapes"]
    found: dict[str, list[str]] = {}
    for name in shapes["EventType"]["enum"]:
        members = shapes[f"{name}EventAttributes"]["members"]
        for kind in ("cause", "timeoutType"):
            if kind in members and ("Lambda" not in name or name.startswith("Schedule")):
                found.setdefault(name, []).extend(shapes[members[kind]["shape"]]["enum"])
    return found


def page_with(text: str, made: str) -> str:
    """The page, with these tables in the place of those it has."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def main() -> int:
    made = tables({name: played(name) for name in SCENARIOS})
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")
    print(f"{PAGE.name}: written from {len(SCENARIOS)} stories")
    return 0


if __name__ == "__main__":
    sys.exit(main())
