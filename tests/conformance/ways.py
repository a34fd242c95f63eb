"""Cases as plain Python and on the local engine.

Owns: `run_bare`, `run_plain` and `run_local`, each of which gives the outcome of a case.

May not know: Amazon SWF; `fleet` runs cases there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import flowy
from conformance.case import SCALE, Activity, Case, Outcome, World, enter, form, outcome_of

__all__ = ["run_bare", "run_local", "run_plain", "with_steps"]

WAIT = 60.0
_ONLY_SWF = ("task_list", "version", "default_task_list")
_TIMES = ("schedule_to_start", "start_to_close", "schedule_to_close", "heartbeat")


def with_steps(case: Case, name: str, handle: Callable[[], Any]) -> Callable[..., Any]:
    """The activity, after each run of which somebody outside takes the steps of the case."""
    function, steps = case.activities[name].function, case.steps.get(name)
    if not steps:
        return function

    def run(*args: Any, **kwargs: Any) -> Any:
        value = function(*args, **kwargs)
        run = handle()
        for step in steps:
            step(run)
        return value

    return run


def _outcome(call: Callable[[], Any]) -> Outcome:
    try:
        return Outcome("value", form(call()))
    except Exception as error:
        return outcome_of(error)


def run_bare(case: Case) -> Outcome:
    """Constructed and called: no engine at all."""
    enter(World())

    def make(case: Case) -> Any:
        functions: dict[str, Any] = {n: a.function for n, a in case.activities.items()}
        return case.factory(**functions, **{name: make(sub) for name, sub in case.children.items()})

    return _outcome(lambda: make(case)(*case.args, **case.kwargs))


def run_plain(case: Case) -> Outcome:
    """By `flowy.plain`."""
    enter(World())

    def make(case: Case) -> Any:
        functions: dict[str, Any] = {n: a.function for n, a in case.activities.items()}
        return flowy.plain(
            case.factory, **functions, **{name: make(sub) for name, sub in case.children.items()}
        )

    return _outcome(lambda: make(case)(*case.args, **case.kwargs))


def run_local(case: Case, executor: str) -> Outcome:
    """On the local engine."""
    enter(World())
    started = threading.Event()
    runs: list[flowy.Run] = []

    def handle() -> flowy.Run:
        assert started.wait(WAIT)
        return runs[0]

    def make(case: Case) -> flowy.LocalWorkflow:
        made = flowy.LocalWorkflow(case.factory, activity_workers=2, executor=executor)
        for name, activity in case.activities.items():
            made.conf_activity(name, with_steps(case, name, handle), **_options(activity))
        for name, sub in case.children.items():
            made.conf_workflow(name, make(sub))
        return made

    workflow = make(case)
    if not case.steps:
        return _outcome(lambda: workflow.run(*case.args, **case.kwargs))
    runs.append(workflow.start(*case.args, **case.kwargs))
    started.set()
    return _outcome(lambda: runs[0].result(WAIT))


def _options(activity: Activity) -> Mapping[str, Any]:
    given = {name: value for name, value in activity.options.items() if name not in _ONLY_SWF}
    return {name: value * SCALE if name in _TIMES else value for name, value in given.items()}
