"""Executions as an operator handles them: found, signalled, cancelled, terminated, listed.

Owns: these requests, page by page where there are pages, and which of SWF's filters serves a question:
it takes one a request, so the others are applied here.

May not know: who asks, or how it is shown. Its neighbour is `client`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flowy.errors import UsageError
from flowy.swf import serialization
from flowy.swf.payloads import Payloads, pack

if TYPE_CHECKING:
    from flowy.swf.client import SWFClient

__all__ = ["STATES", "Question", "cancel", "executions", "find", "only_version", "signal", "terminate"]

STATES = ("OPEN", "COMPLETED", "FAILED", "CANCELED", "TERMINATED", "CONTINUED_AS_NEW", "TIMED_OUT")
PAGE = 1000


class Question(NamedTuple):
    """Which executions are asked for; None asks for all."""

    state: str | None = "OPEN"
    """One of `STATES`, or 'CLOSED', or None."""
    workflow_id: str | None = None
    type: str | None = None
    tag: str | None = None
    since: float = 0.0
    """When they started at the earliest, in seconds since the epoch."""


def find(client: SWFClient, domain: str, workflow_id: str, run_id: str | None = None) -> str:
    """The run id of an execution: the one given, else that of the latest run.

    Raises:
        UsageError: there is none.
    """
    found = run_id or client.find_run(domain, workflow_id)
    if found is None:
        raise UsageError(f"the domain {domain} has no execution {workflow_id!r} that is still kept")
    return found


def signal(
    client: SWFClient,
    domain: str,
    workflow_id: str,
    name: str,
    value: Any = None,
    *,
    run_id: str | None = None,
    payloads: Payloads | None = None,
) -> None:
    """Send a signal, which `flowy.signal(name)` gets with its value."""
    text = None if value is None else pack(serialization.dumps(value), "the signal", payloads)
    client.call(
        "signal_workflow_execution",
        domain=domain,
        workflowId=workflow_id,
        runId=run_id,
        signalName=name,
        input=text,
    )


def cancel(client: SWFClient, domain: str, workflow_id: str, run_id: str | None = None) -> None:
    """Ask an execution to end: its code gets `CancelRequested` where it waits."""
    client.call("request_cancel_workflow_execution", domain=domain, workflowId=workflow_id, runId=run_id)


def terminate(
    client: SWFClient,
    domain: str,
    workflow_id: str,
    *,
    run_id: str | None = None,
    reason: str | None = None,
    details: str | None = None,
    child_policy: str | None = None,
) -> None:
    """End an execution at once, without its code."""
    client.call(
        "terminate_workflow_execution",
        domain=domain,
        workflowId=workflow_id,
        runId=run_id,
        reason=reason,
        details=details,
        childPolicy=child_policy,
    )


def only_version(client: SWFClient, domain: str, name: str) -> str:
    """The version of a workflow type, where there is one that is not deprecated.

    Raises:
        UsageError: there is none, or there are several.
    """
    given = {"domain": domain, "name": name, "registrationStatus": "REGISTERED"}
    pages = _pages(client, "list_workflow_types", "typeInfos", given)
    versions = [str(info["workflowType"]["version"]) for info in pages]
    if len(versions) == 1:
        return versions[0]
    if versions:
        raise UsageError(f"{name} has the versions {', '.join(sorted(versions))}: say which")
    raise UsageError(f"the domain {domain} has no workflow type {name!r}: register it first")


def executions(client: SWFClient, domain: str, question: Question) -> Iterator[Mapping[str, Any]]:
    """What SWF tells of each execution asked for, the latest first among open and among closed ones."""
    for kind in ("open", "closed"):
        if question.state in (None, kind.upper()) or (kind == "closed" and question.state != "OPEN"):
            given = {"domain": domain, "startTimeFilter": {"oldestDate": question.since}}
            given.update(_filter(question, kind))
            pages = _pages(client, f"list_{kind}_workflow_executions", "executionInfos", given)
            yield from (info for info in pages if _fits(info, question))


def _filter(question: Question, kind: str) -> dict[str, Any]:
    """The narrowest filter."""
    if question.workflow_id is not None:
        return {"executionFilter": {"workflowId": question.workflow_id}}
    if question.tag is not None:
        return {"tagFilter": {"tag": question.tag}}
    if question.type is not None:
        return {"typeFilter": {"name": question.type}}
    if kind == "closed" and question.state not in (None, "CLOSED"):
        return {"closeStatusFilter": {"status": question.state}}
    return {}


def _fits(info: Mapping[str, Any], question: Question) -> bool:
    state = info.get("closeStatus") or "OPEN"
    return (
        question.state in (None, state, "CLOSED" if state != "OPEN" else "OPEN")
        and question.workflow_id in (None, info["execution"]["workflowId"])
        and question.type in (None, info["workflowType"]["name"])
        and (question.tag is None or question.tag in (info.get("tagList") or ()))
    )


def _pages(
    client: SWFClient, operation: str, what: str, given: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    token = None
    while True:
        page = client.call(operation, **given, maximumPageSize=PAGE, nextPageToken=token)
        yield from page.get(what) or ()
        token = page.get("nextPageToken")
        if not token:
            return


def ago(text: str) -> float:
    """A time so long ago, in seconds since the epoch: '90s', '15m', '6h', '7d'.

    Raises:
        ValueError: it is none of these.
    """
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if text[-1:] not in units or not text[:-1].isdigit():
        raise ValueError(text)
    return max(0.0, time.time() - int(text[:-1]) * units[text[-1]])
