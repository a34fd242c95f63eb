"""What SWF does, as scenarios: each plays a small story through a client and looks at what came of it.

Owns: the table of them. A scenario is a function of a `Bench`, which has a client that behaves as
boto3's and a way to let time pass; so the same ones prove the service in process and over HTTP.

Neighbours: the tests that run them. What they made happen is in `Bench.seen`.
"""

from __future__ import annotations

from collections.abc import Mapping

from swf_scenarios import activities, children, closing, decisions, executions, registry, rules, visible
from swf_scenarios.bench import Bench, Scenario, Seen

SCENARIOS: Mapping[str, Scenario] = {
    f"{module.__name__.rpartition('.')[2]}-{scenario.name}": scenario
    for module in (registry, executions, visible, decisions, activities, children, closing, rules)
    for scenario in vars(module).values()
    if isinstance(scenario, Scenario)
}

__all__ = ["SCENARIOS", "Bench", "Scenario", "Seen"]
