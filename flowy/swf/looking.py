"""`flowy swf list|history|replay|profile`: what its commands do that look.

Owns: `on_list`, `on_history`, `on_replay`, `on_profile`, and where histories come from: SWF, files.

May not know: how options are parsed (`swf_options`). Neighbours: `verbs`, which has exit statuses and
messages, `timeline`, `profiling`, and `replaying`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from flowy.command import table
from flowy.errors import NondeterminismError, UsageError
from flowy.swf import operating
from flowy.swf.decider import SWFWorkflowWorker, type_of
from flowy.swf.finding import find_workers
from flowy.swf.history import Event, check_contiguous, read_events
from flowy.swf.profiling import LIMITS, Profile, measure
from flowy.swf.replaying import Replayed, replay
from flowy.swf.timeline import harmless, head, show_seconds, timeline
from flowy.swf.verbs import FAILED, Command, store_of

_ROUNDS = 3
"""How often a replay is timed: the fastest counts."""


class History(NamedTuple):
    """Events, and of which execution."""

    name: str
    """For messages: the workflow id, or the file."""
    events: list[Event]
    workflow_id: str = ""
    run_id: str = ""


# ------------------------------------------------------------------ lists


def on_list(options: argparse.Namespace) -> int:
    """List executions."""
    command = Command("list", options)
    with command.guarded():
        question = operating.Question(
            state=None if options.status == "ALL" else options.status,
            workflow_id=options.id,
            type=options.type,
            tag=options.tag,
            since=_since(options.since),
        )
        client, domain = command.connect()
        found = islice(operating.executions(client, domain, question), options.limit + 1)
        infos = list(found)
        if options.json:
            for info in infos[: options.limit]:
                print(json.dumps(info, default=_stamp))
        elif infos:
            print("\n".join(_columns([_COLUMNS, *map(_row, infos[: options.limit])])))
        if not infos:
            print(f"flowy swf list: {harmless(_nothing(options))}", file=sys.stderr)
        if len(infos) > options.limit:
            print(f"flowy swf list: there are more than --limit {options.limit}", file=sys.stderr)
    return command.status


def _nothing(options: argparse.Namespace) -> str:
    """That nothing was found, of what was asked for."""
    asked = {"--id": options.id, "--type": options.type, "--tag": options.tag, "--since": options.since}
    given = "".join(f" {name} {value}" for name, value in asked.items() if value is not None)
    which = "" if options.status == "ALL" else f"{options.status.lower().replace('_', ' ')} "
    more = "" if options.status == "ALL" else " (--status all lists those in any state)"
    return f"no {which}execution in the domain {options.domain}{given and f' with{given}'}{more}"


_COLUMNS = ("started (UTC)", "status", "workflow id", "run id", "type", "tags")


def _columns(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Texts below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(x.ljust(w) for x, w in zip(row, widths, strict=True)).rstrip()


def _row(info: Any) -> tuple[str, ...]:
    type = info["workflowType"]
    return (
        datetime.fromtimestamp(_stamp(info["startTimestamp"]), timezone.utc).strftime(
            "%Y-%m-%d %H:%M:%S"
        ),
        str(info.get("closeStatus") or "OPEN") + (" (cancel)" if info.get("cancelRequested") else ""),
        harmless(str(info["execution"]["workflowId"])),
        str(info["execution"]["runId"]),
        harmless(f"{type['name']} {type['version']}"),
        harmless(" ".join(map(str, info.get("tagList") or ()))),
    )


def _stamp(x: Any) -> float:
    return x.timestamp() if isinstance(x, datetime) else float(x)


def _since(text: str | None) -> float:
    if text is None:
        return 0.0
    try:
        return operating.ago(text)
    except ValueError:
        raise UsageError(f"--since is a number and s, m, h or d, such as 6h, not {text!r}") from None


# ------------------------------------------------------------------ histories


def on_history(options: argparse.Namespace) -> int:
    """Print a history."""
    command = Command("history", options)
    with command.guarded():
        history = _one(command)
        if options.json:
            print(json.dumps({"events": history.events}, indent=1, default=_stamp))
            return command.status
        print(head(history.events, history.workflow_id, history.run_id))
        for line in timeline(history.events, everything=options.all, full=options.full):
            print(line)
    return command.status


def _one(command: Command) -> History:
    options = command.options
    if (options.id is None) == (options.file is None):
        raise UsageError("give the workflow id of an execution, or --file with a saved history")
    if options.file is not None:
        return _from_file(options.file)
    return _from_swf(command, options.id)


def _from_file(name: str) -> History:
    """
    Raises:
        UsageError: it can't be read, or is no history.
    """
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror}") from None
    try:
        history = json.loads(data)
        events = read_events(history)
        return _checked(History(name, events, **_execution_of(history)))
    except (UsageError, ValueError, RecursionError) as error:
        raise UsageError(f"{name} is no history: {error}") from None


def _execution_of(history: Any) -> dict[str, str]:
    """Which execution a saved decision task is of; a bare history does not say."""
    says = history.get("workflowExecution") if isinstance(history, dict) else None
    if not isinstance(says, dict):
        return {}
    return {
        "workflow_id": str(says.get("workflowId") or ""),
        "run_id": str(says.get("runId") or ""),
    }


def _from_swf(command: Command, workflow_id: str) -> History:
    client, domain = command.connect()
    run_id = operating.find(client, domain, workflow_id, command.options.run_id)
    events = list(client.history(domain, workflow_id, run_id))
    return _checked(History(workflow_id, read_events(events), workflow_id, run_id))


def _checked(history: History) -> History:
    if not history.events:
        raise UsageError(f"the history of {history.name} has no events")
    check_contiguous(history.events, 1)
    return history


# ------------------------------------------------------------------ replays


def on_replay(options: argparse.Namespace) -> int:
    """Replay histories."""
    command = Command("replay", options)
    with command.guarded():
        if not options.ids and not options.file:
            raise UsageError("give workflow ids of executions, or --file with a saved history")
        if options.run_id is not None and len(options.ids) != 1:
            raise UsageError("--run-id goes with one workflow id")
        worker = _decider(options.target, options.payloads)
        for history in _all(command):
            _replay_one(command, history, worker, strict=not options.lenient)
    return command.status


def _all(command: Command) -> Iterator[History]:
    for name in command.options.file:
        yield _from_file(name)
    for workflow_id in command.options.ids:
        yield _from_swf(command, workflow_id)


def _replay_one(command: Command, history: History, worker: SWFWorkflowWorker, strict: bool) -> None:
    try:
        found = replay(
            history.events,
            worker,
            strict=strict,
            workflow_id=history.workflow_id,
            run_id=history.run_id,
        )
    except NondeterminismError as error:
        where = f"event {error.event_id}" + (f", {error.line}" if error.line else "")
        command.say(f"{history.name}: {where}: {error}", FAILED)
        return
    closed = found.closed or (f"waiting for {_awaited(found)}" if found.waiting_for else "running")
    what = f"{found.events:,} events, {found.decisions:,} decisions, {closed}"
    print(harmless(f"{history.name}: replays clean, {what}"))


def _awaited(found: Replayed) -> str:
    """What it waits for, by a name that its author knows."""
    name = str(found.waiting_for)
    return "several results" if name.startswith("@gather") else name


def _decider(target: str, payloads: str | None) -> SWFWorkflowWorker:
    store = store_of(payloads)
    found = find_workers([target])
    if found.decider is None:
        raise UsageError(f"{target}: activities only, no workflow")
    if store is not None:
        found.decider.payloads = store
    return found.decider


# ------------------------------------------------------------------ profiles


def on_profile(options: argparse.Namespace) -> int:
    """Measure a history."""
    command = Command("profile", options)
    with command.guarded():
        worker = None if options.workflow is None else _decider(options.workflow, options.payloads)
        history = _one(command)
        profile = measure(history.events)
        seconds = None if worker is None else _time_replay(history, worker)
        if options.json:
            print(json.dumps(_as_json(profile, seconds), indent=1))
        else:
            print(head(history.events, history.workflow_id, history.run_id))
            print("\n".join(_show(profile, seconds)))
    return command.status


def _time_replay(history: History, worker: SWFWorkflowWorker) -> float:
    if type_of({}, history.events) not in worker.workflows:
        name, version = type_of({}, history.events)
        raise UsageError(f"the history is of {name} {version}, which is not in what --workflow names")
    taken = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        replay(history.events, worker, workflow_id=history.workflow_id, run_id=history.run_id)
        taken.append(time.perf_counter() - began)
    return min(taken)


def _as_json(profile: Profile, seconds: float | None) -> dict[str, Any]:
    return {
        "events": profile.counts,
        "decisions": profile.decisions,
        "lost_decisions": profile.lost_decisions,
        "payload_bytes": profile.payload_bytes,
        "history_bytes": profile.history_bytes,
        "longest_text": {"event": profile.largest[0], "name": profile.largest[1]},
        "limits": {
            name: {"most": profile.most[name], "limit": limit, "used": profile.used[name]}
            for name, limit in LIMITS.items()
        },
        "replay_seconds": seconds,
    }


def _show(profile: Profile, seconds: float | None) -> Iterator[str]:
    yield ""
    rows: list[tuple[str, ...]] = [("events by type", "count")]
    rows += [(name, f"{n:,}") for name, n in profile.counts.items()]
    yield from table(rows)
    yield ""
    lost = f", {profile.lost_decisions:,} timed out" if profile.lost_decisions else ""
    yield f"decision tasks: {profile.decisions:,} answered{lost}"
    yield f"payloads: {profile.payload_bytes:,} bytes, of a history of {profile.history_bytes:,}"
    if profile.largest[0]:
        yield f"longest text: the {profile.largest[1]} of event {profile.largest[0]}"
    if seconds is not None:
        events = sum(profile.counts.values())
        yield f"a replay takes {show_seconds(seconds)}, {1e6 * seconds / events:.1f} µs an event"
    yield ""
    rows = [("limit of Amazon SWF", "most here", "limit", "used")]
    for name, limit in LIMITS.items():
        rows.append((name, f"{profile.most[name]:,.6g}", f"{limit:,}", f"{profile.used[name]:.1%}"))
    yield from table(rows)
