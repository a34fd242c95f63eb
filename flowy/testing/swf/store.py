"""The state as plain JSON, and back.

Owns: `dump` and `load` of a world. The form is told in `service`.

May not know: where it is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flowy.testing.swf.executions import Execution
from flowy.testing.swf.lifecycle import arm, beat_key
from flowy.testing.swf.world import Domain, Kind, World, key_of


def dump(world: World) -> dict[str, Any]:
    """All of a world that no message is about to change."""
    records: dict[str, dict[str, Any]] = {
        "domains": {name: domain.record for name, domain in world.domains.items()},
        "executions": {},
        "heartbeats": {},
        "messages": {
            key: {"due": due, "kind": kind, "said": dict(said)}
            for key, (due, kind, said) in world.under_way.items()
        },
    }
    for domain in world.domains.values():
        for family, kinds in domain.kinds.items():
            table = records.setdefault(f"{family} types", {})
            for kind in kinds.values():
                table[key_of(domain.name, *kind.key)] = kind.record
    events = {}
    for run_id, execution in world.executions.items():
        records["executions"][run_id] = {
            "domain": execution.domain,
            "workflowId": execution.workflow_id,
            "number": execution.number,
        }
        events[run_id] = list(execution.events)
        for activity in execution.activities.values():
            if activity.beat_at:
                beat = {"at": activity.beat_at, "details": activity.beat_details}
                records["heartbeats"][beat_key(execution, activity)] = beat
    return {"time": world.time, "records": records, "events": events}


def load(world: World, state: Mapping[str, Any]) -> None:
    """Fill a new world."""
    records = {table: dict(rows) for table, rows in state["records"].items()}
    for name, record in records.get("domains", {}).items():
        world.domains[name] = Domain(record)
    for family in ("activity", "workflow"):
        for key, record in records.get(f"{family} types", {}).items():
            kind = Kind(record)
            world.domains[json.loads(key)[0]].kinds[family][kind.key] = kind
    rows = records.get("executions", {})
    loaded = []
    for run_id in sorted(rows, key=lambda run_id: int(rows[run_id]["number"])):
        row = rows[run_id]
        execution = Execution(row["domain"], row["workflowId"], run_id, row["number"])
        for event in state["events"][run_id]:
            execution.apply(event)
        loaded.append(execution)
        world.starts = max(world.starts, execution.number)
    _place(world, loaded)
    for key, beat in records.get("heartbeats", {}).items():
        run_id, scheduled_id = key.split(" ")
        activity = world.executions[run_id].activities[int(scheduled_id)]
        activity.beat_at, activity.beat_details = beat["at"], beat["details"]
    latest = max((execution.events[-1]["eventTimestamp"] for execution in loaded), default=0.0)
    world.time = max(latest, float(state.get("time", 0.0)))
    for execution in loaded:
        arm(world, execution)
    for key, sent in records.get("messages", {}).items():
        world.send_at(sent["due"], key, sent["kind"], sent["said"])
    world.records, world.events = {}, []


def _place(world: World, executions: list[Execution]) -> None:
    for execution in executions:
        domain = world.domains[execution.domain]
        world.executions[execution.run_id] = domain.runs[execution.run_id] = execution
        if execution.is_open:
            domain.open[execution.workflow_id] = execution
    closed = [execution for execution in executions if not execution.is_open]
    for execution in sorted(closed, key=lambda execution: (execution.closed_at, execution.number)):
        world.closes += 1
        execution.close_number = world.closes
        world.domains[execution.domain].closed[execution.run_id] = execution
