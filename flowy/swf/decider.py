"""Decision tasks in, decisions out.

Owns: `SWFWorkflowWorker`: the workflows that a decider knows, by name and version, and `decide`, which
answers one task, with a kept run where there is one and from the whole history else.

May not know: the service, or how tasks come here: `deciding` polls, hands them over, sends the answer,
and tells `forget` if it was refused. Its neighbours are `execution` (one run), `kept`, and `remote`,
which has `run_forever`.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from flowy.config import check_factory, check_fit, describe
from flowy.errors import NondeterminismError, UsageError
from flowy.swf.checking import TypeKey, type_key
from flowy.swf.config import CATEGORIES, SWFWorkflowConfig
from flowy.swf.decisions import STANDARD, UNKNOWN, Decisions, Limits, cut, write
from flowy.swf.execution import Execution, Workflow
from flowy.swf.history import Event, Incomplete, attributes_of, check_contiguous, read_events
from flowy.swf.kept import KeptRuns, run_key
from flowy.swf.meanings import apply
from flowy.swf.payloads import Payloads
from flowy.swf.remote import Crew, Many, Place, Remote, Tasks
from flowy.swf.stores import FolderPayloads

if TYPE_CHECKING:
    from flowy.swf.client import SWFClient

__all__ = ["SWFWorkflowWorker", "UnknownWorkflow", "as_store"]

log = logging.getLogger("flowy.swf")

LONGEST_UNKNOWN = 600
"""Seconds between two tries of such at most."""


class UnknownWorkflow(UsageError):
    """A decision task of a workflow that this decider does not know."""


class SWFWorkflowWorker(Remote):
    """Decides for the workflows that are registered with it.

    Args:
        payloads: where inputs and results go that are too long for SWF: a folder that all workers see,
            or a store.
        keep: the runs kept between their decisions; a number of them; 0 or None keeps none.
        limits: what SWF takes; to be lowered, not raised.
        strict: a replay with other arguments than the history has is an error, not a warning.

    >>> config = SWFWorkflowConfig()
    >>> config.conf_activity('double', version=1)
    >>> def twice(double): return lambda n: double(double(n))
    >>> worker = SWFWorkflowWorker()
    >>> worker.register(config, twice, version=1, name='Twice')
    >>> sorted(worker.workflows)
    [('Twice', '1')]
    """

    kind = "workflow"
    categories = (CATEGORIES[1],)

    def __init__(
        self,
        *,
        payloads: Payloads | str | os.PathLike[str] | None = None,
        keep: KeptRuns | int | None = 1000,
        limits: Limits = STANDARD,
        strict: bool = False,
    ) -> None:
        self.workflows: dict[TypeKey, Workflow] = {}
        self.payloads = as_store(payloads)
        self.kept = keep if isinstance(keep, KeptRuns) else KeptRuns(keep or 0)
        self.limits = limits
        self.strict = strict

    # ------------------------------------------------------------ what it knows

    def register(
        self, config: SWFWorkflowConfig, func: Any, version: Any, name: str | None = None
    ) -> None:
        """Decide for the workflow `func` from now on.

        Args:
            config: its dependencies, and how its input and result travel.
            func: a class, or another factory that takes the dependencies by name.
            version, name: of its type; the name is that of `func` if none is given.

        Raises:
            UsageError: the dependencies don't fit the factory, or the type is registered already.
        """
        if not isinstance(config, SWFWorkflowConfig):
            raise UsageError(f"a workflow is registered with an SWFWorkflowConfig, not with {config!r}")
        check_factory(func)
        check_fit(func, tuple(config.calls))
        key = type_key(version, name or getattr(func, "__name__", None) or describe(func))
        if key in self.workflows:
            raise UsageError(f"the workflow {key[0]} {key[1]} is registered twice")
        self.workflows[key] = Workflow(config, func, key[1], key[0])

    def types(self) -> Iterator[tuple[TypeKey, Mapping[str, Any]]]:
        """The types that are registered with it, and their defaults at SWF."""
        for key, known in self.workflows.items():
            yield key, known.config.defaults

    # ------------------------------------------------------------ with the service

    def tasks(
        self, client: SWFClient, domain: str, task_list: str, identity: str, stop: threading.Event
    ) -> Tasks:
        """What to poll, and how to answer."""
        from flowy.swf.deciding import Decider, own_list

        own = own_list() if self.kept.count and not stop.is_set() else None
        decider = Decider(self, client, domain, task_list, identity, stop, own)
        return decider.polls, decider.answer

    def crew(self, place: Place, many: Many, stop: threading.Event, grace: float) -> Crew:
        """What decides in processes."""
        from flowy.swf.polling import default_identity
        from flowy.swf.supervising import Supervisor

        given = {
            "domain": place.domain,
            "task_list": place.task_list,
            "swf_client": place.client,
            "grace": grace,
            # Each shows as itself, unless a name is given for all.
            "identity": None if place.identity == default_identity() else place.identity,
        }
        return Supervisor(many.processes, self, given, stop, self.break_loop, grace, many.recycling)

    def ended(self) -> None:
        """The runs that are kept can't go on without their thread."""
        self.kept.clear()

    # ------------------------------------------------------------ deciding

    def decide(self, task: Mapping[str, Any]) -> Decisions:
        """The decisions that answer a decision task.

        Args:
            task: as `PollForDecisionTask` returns it, all pages merged. Its events may begin at the
                previous DecisionTaskStarted where the run is kept.

        Returns:
            The decisions, as `RespondDecisionTaskCompleted` takes them; its attribute `context` is the
            `executionContext` to go with them.

        Raises:
            Incomplete: events are missing: read the whole history and ask again.
            NondeterminismError: the code asks for something else than the history has. Better no
                answer: the task comes again, and finds other code.
            OSError: a payload could not be read or stored now. Better no answer, for the same reason.
            UsageError: this is no decision task.
        """
        events = read_events(task)
        if not events:
            raise Incomplete("the decision task has no events")
        started = int(task.get("startedEventId") or events[-1]["eventId"])
        while events and events[-1]["eventId"] > started:
            events.pop()  # came while the history was read: of the next task
        if not events:
            raise Incomplete(f"the decision task has no events up to its own, {started}")
        workflow = self._find(task, events)
        if workflow is None:
            return self._put_off(task, events, started)
        key = run_key(task)
        previous = int(task.get("previousStartedEventId") or 0)
        execution = self.kept.take(key, previous, started, events)
        if execution is None:
            check_contiguous(events, 1)
            if events[-1]["eventId"] != started:
                last = events[-1]["eventId"]
                raise Incomplete(f"the history ends at event {last}, and the task is at {started}")
            execution = self._make(workflow, key)
        return self._answer(execution, workflow, key, events)

    def forget(self, task: Mapping[str, Any]) -> None:
        """The answer to a task was refused, or may not have arrived: its run is not kept."""
        self.kept.evict(run_key(task))

    def _make(self, workflow: Workflow, key: tuple[str, str], lines: bool = False) -> Execution:
        return Execution(
            workflow, *key, limits=self.limits, store=self.payloads, strict=self.strict, lines=lines
        )

    def _answer(
        self, execution: Execution, workflow: Workflow, key: tuple[str, str], events: list[Event]
    ) -> Decisions:
        try:
            apply(execution, events)
            made = execution.decisions()
        except NondeterminismError:
            execution.close()
            if events[0]["eventId"] == 1:
                self._raise_with_lines(workflow, key, events)
            raise
        except BaseException:
            execution.close()
            raise
        self.kept.keep(key, execution)
        if execution.where:  # SWF gets the message alone, as from flowy 0.4
            log.warning("%s has failed:\n%s", key[0], execution.where.rstrip())
            execution.where = ""
        previous, started = execution.ledger.previous_event, execution.ledger.started_event
        if previous < self.limits.continue_at <= started:
            log.warning(
                "the history of %s has %d events, and Amazon SWF ends an execution at 25,000: let it "
                "return flowy.restart(…) where flowy.continue_suggested() says so",
                key[0],
                started,
            )
        return made

    def _raise_with_lines(self, workflow: Workflow, key: tuple[str, str], events: list[Event]) -> None:
        """Do it again, keeping the line of each call, for a better error."""
        again = self._make(workflow, key, lines=True)
        again.ledger.warned = True  # the first time
        try:
            apply(again, events)
        finally:
            again.close()

    def _find(self, task: Mapping[str, Any], events: list[Event]) -> Workflow | None:
        return self.workflows.get(type_of(task, events))

    def _put_off(self, task: Mapping[str, Any], events: list[Event], started: int) -> Decisions:
        """The answer to a task of an unknown type: let it come again, later each time.

        Another decider on the list may know it, or this one after its next deployment; failing the
        execution could not be taken back, and no answer would bring it again and again.
        """
        name, version = type_of(task, events)
        known = ", ".join(f"{name} {version}" for name, version in sorted(self.workflows)) or "none"
        tries = waiting = 0
        for event in events:
            if str(attributes_of(event).get("timerId") or "").startswith(UNKNOWN):
                kind = event["eventType"]
                tries += kind == "TimerStarted"
                waiting += (kind == "TimerStarted") - (kind in ("TimerFired", "TimerCanceled"))
        log.error(
            "a decision task came for the workflow %s %s, which is not registered here (%s): it will "
            "come again later. Register it, or give it a task list of its own",
            name,
            version,
            cut(known, 500),
        )
        made = Decisions()
        if waiting <= 0:
            delay = min(LONGEST_UNKNOWN, 10 << min(tries, 10))
            timer = {"timerId": f"{UNKNOWN}{started}", "startToFireTimeout": str(delay)}
            made.append(write("StartTimer", timer))
        return made


def type_of(task: Mapping[str, Any], events: list[Event]) -> TypeKey:
    """(name, version) of the workflow that a task or history is of; both '' if it does not say."""
    type = task.get("workflowType")
    if not type and events and events[0]["eventType"] == "WorkflowExecutionStarted":
        type = attributes_of(events[0]).get("workflowType")
    return str((type or {}).get("name") or ""), str((type or {}).get("version") or "")


def as_store(payloads: Any) -> Payloads | None:
    """A payload store: itself, or one in a folder.

    Raises:
        UsageError: it is neither.
    """
    if payloads is None:
        return None
    if isinstance(payloads, (str, os.PathLike)):
        return FolderPayloads(payloads)
    if callable(getattr(payloads, "put", None)) and callable(getattr(payloads, "get", None)):
        return payloads  # type: ignore[no-any-return]
    raise UsageError(f"payloads is a folder, or a store with put and get, not {payloads!r}")
