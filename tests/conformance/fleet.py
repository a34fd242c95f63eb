"""Cases on Amazon SWF, all at the same time: a decider and some activity workers for the whole suite.

Owns: `sail`, which runs cases on a service and gives what became of each: its outcome, its histories,
and whether they replay clean.

May not know: what is expected of a case. Its neighbours are `swf_network`, which has the threads, and
`ways`, which runs cases without SWF.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from swf_network import DOMAIN, Site, activity_config, workflow_config

import flowy
from conformance.case import Activity, Case, Outcome, World, enter, form, outcome_of
from conformance.ways import with_steps
from flowy import swf
from flowy.swf import serialization
from flowy.swf.history import attributes_of
from flowy.swf.kept import KeptRuns

__all__ = ["Ran", "sail"]

WAIT = 90.0
WORKERS = 6
"""More than there are activities that run until others have run."""
_ONLY_LOCAL = ("max_concurrency", "default_task_list")
SUGGEST_AT = 60
"""Events of a history from which on a restart is suggested: so that it is, in small cases too."""


class Ran(NamedTuple):
    """What became of a case."""

    outcome: Outcome
    histories: Mapping[str, list[dict[str, Any]]]
    """By run id: its own, those that it continued as, and those of all workflows below it."""
    dirty: list[str]
    """What replays of the histories found."""


class Here:
    """A case's run as those outside know it."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def signal(self, name: str, value: Any = None) -> None:
        text = serialization.dumps(value)
        self._client.signal_workflow_execution(
            domain=DOMAIN, workflowId=self._name, signalName=name, input=text
        )

    def cancel(self) -> None:
        self._client.request_cancel_workflow_execution(domain=DOMAIN, workflowId=self._name)

    def _children(self) -> list[str]:
        """Those that are open; none if an earlier attempt, whose answer was lost, has ended them."""
        mine = self._listed("open")
        assert mine or self._listed("closed"), f"{self._name} has no children"
        return mine

    def _listed(self, which: str) -> list[str]:
        pages = self._client.get_paginator(f"list_{which}_workflow_executions").paginate(
            domain=DOMAIN, startTimeFilter={"oldestDate": 0}
        )
        ids = [each["execution"]["workflowId"] for page in pages for each in page["executionInfos"]]
        return [wid for wid in ids if wid.startswith(f"{self._name}-")]

    def terminate_children(self) -> None:
        for wid in self._children():
            self._client.terminate_workflow_execution(domain=DOMAIN, workflowId=wid)

    def cancel_children(self) -> None:
        for wid in self._children():
            self._client.request_cancel_workflow_execution(domain=DOMAIN, workflowId=wid)


class Family:
    """A case and the workflows below it, as SWF knows them."""

    def __init__(self, case: Case, outside: Any, patience: Mapping[str, Any]) -> None:
        self.case = case
        self._handle = Here(outside, case.name)
        self._patience = patience

    def workflows(self) -> Iterable[tuple[str, swf.SWFWorkflowConfig, Any]]:
        for case in self.case.family().values():
            config = workflow_config(
                **{"default_decision_duration": self._patience["decision"], **case.options}
            )
            for name, activity in case.activities.items():
                config.conf_activity(name, **self._call(case, name, activity))
            for name, child in case.children.items():
                given = {"version": 1, "retry": (0,), **case.child_options}
                config.conf_workflow(name, name=self._type(child.name), **given)
            yield self._type(case.name), config, case.factory

    def _call(self, case: Case, name: str, activity: Activity) -> dict[str, Any]:
        given = {k: v for k, v in activity.options.items() if k not in _ONLY_LOCAL}
        type = f"{self._type(case.name)}.{name}"
        return {"version": 1, "name": type, "retry": self._patience["retry"], **given}

    def activities(self) -> Iterable[tuple[str, swf.SWFActivityConfig, Any]]:
        for case in self.case.family().values():
            for name, activity in case.activities.items():
                kind = "outside" if name in case.steps else "activity"
                given = {"default_start_to_close": self._patience[kind]}
                if "default_task_list" in activity.options:
                    given["default_task_list"] = activity.options["default_task_list"]
                function = with_steps(case, name, lambda: self._handle)
                yield f"{self._type(case.name)}.{name}", activity_config(**given), function

    def _type(self, name: str) -> str:
        """Families share no types: so each activity knows whose run it is of."""
        return name if name == self.case.name else f"{self.case.name}.{name}"


PATIENT = {"decision": 3000, "activity": 10_000, "outside": 10_000, "retry": (0,)}
"""Nothing is lost, so nothing needs to time out."""
IMPATIENT = {"decision": 60, "activity": 60, "outside": 600, "retry": (0,) * 15}
"""A task whose poll got no reply comes back by its time-out only. One that is only slow, on a machine
that has other work, runs twice, which is as it should be; but who acts from outside once it has run,
and would act twice, has more time."""


def sail(
    place: Site,
    cases: Iterable[Case],
    *keeps: KeptRuns,
    folder: Any,
    workers: int = WORKERS,
    outside: Any = None,
    patience: Mapping[str, Any] = PATIENT,
    around: contextlib.AbstractContextManager[Any] | None = None,
    lapse: Callable[[float], None] | None = None,
    limits: swf.Limits | None = None,
) -> dict[str, Ran]:
    """Run all cases at once; their runs by name.

    Args:
        keeps: how runs are kept, for each decider.
        folder: where payloads go.
        outside: a client of boto3 for what is done from outside.
        around: entered while they run.
        lapse: lets time pass.
    """
    outside = outside or place.client.client
    enter(World(lapse or place.local.advance))
    limits = limits or swf.Limits(continue_at=SUGGEST_AT)
    families = [Family(case, outside, patience) for case in cases]
    functions = [each for family in families for each in family.activities()]
    for keep in keeps:
        decider = place.decider({}, keep, limits=limits, payloads=folder, beginning=False)
        for family in families:
            for name, config, factory in family.workflows():
                decider.register(config, factory, 1, name)
        place.begin(decider)
    for _ in range(workers):
        place.activities(functions, payloads=folder, heartbeat=0.3)
    with around or contextlib.nullcontext():
        runs = {
            family.case.name: place.start(
                family.case.name,
                *family.case.args,
                wid=family.case.name,
                payloads=folder,
                **family.case.kwargs,
            )
            for family in families
        }
        outcomes = {name: _outcome(run) for name, run in runs.items()}
    return {
        name: _look(place, decider, name, str(run.run_id), outcomes[name]) for name, run in runs.items()
    }


def _outcome(run: Any) -> Outcome:
    try:
        return Outcome("value", form(run.wait(WAIT)))
    except flowy.TaskError as error:
        kind, text = outcome_of(error)
        return Outcome(kind, text.removeprefix(f"task {run.workflow_id} failed: "))


def _look(place: Site, decider: Any, name: str, run_id: str, outcome: Outcome) -> Ran:
    """Read the histories of a run and of all that came of it, and replay those that are closed."""
    histories: dict[str, list[dict[str, Any]]] = {}
    dirty = []
    waiting = [(name, run_id)]
    while waiting:
        wid, run_id = waiting.pop()
        events = histories[run_id] = list(place.client.history(DOMAIN, wid, run_id))
        for event in events:
            says = attributes_of(event)
            if event["eventType"] == "ChildWorkflowExecutionStarted":
                child = says["workflowExecution"]
                waiting.append((child["workflowId"], child["runId"]))
            elif event["eventType"] == "WorkflowExecutionContinuedAsNew":
                waiting.append((wid, says["newExecutionRunId"]))
        try:
            swf.replay(events, decider, workflow_id=wid, run_id=run_id)
        except Exception as error:
            dirty.append(f"{wid}: {type(error).__name__}: {error}")
    return Ran(outcome, histories, dirty)
