"""The life of a decider: tasks from SWF to `decide`, its decisions back.

Owns: `Decider`: the two lists it polls, histories made whole, what happens when no decision could be
made, and responses with the list where the next task shall wait.

May not know: how decisions are made, or boto3. Its neighbours are `polling`, which brings tasks, and
`decider`, which decides.

A run that is kept here is told to SWF to wait in a list of this process's own, for ten seconds; tasks
from there come with their new events only. If nobody takes one in time, SWF puts it back into the list
of the run, where any decider rebuilds it from its whole history.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from flowy.errors import NondeterminismError
from flowy.swf.client import Refused, SWFClient, Unreachable
from flowy.swf.decisions import Decisions
from flowy.swf.history import Incomplete
from flowy.swf.kept import KeptRuns, run_key
from flowy.swf.polling import persist
from flowy.swf.reading import Reader, time_limit

__all__ = ["Decider", "own_list"]

log = logging.getLogger("flowy.swf")

STICKY = 10
"""Seconds that a task waits for this process."""
READS = 20
"""How often a history is read that brings nothing new: reads are eventually consistent [AWS]. Some
twenty seconds, or less if the time of the task is up before."""
PAGE_TRIES = 6
"""How often pages of a task are asked for in vain, beside what the SDK does, before its history is."""
TRIES = 6
"""How often a call is made that gets no answer, beside what the SDK does."""
_CLOSING = frozenset(
    {
        "CompleteWorkflowExecution",
        "FailWorkflowExecution",
        "CancelWorkflowExecution",
        "ContinueAsNewWorkflowExecution",
    }
)

Task = Mapping[str, Any]


class Decides(Protocol):
    """What `SWFWorkflowWorker` is here."""

    kept: KeptRuns

    def decide(self, task: Task) -> Decisions: ...

    def forget(self, task: Task) -> None: ...


def own_list() -> str:
    """The name of a list that nobody else polls."""
    return f"flowy-{uuid.uuid4().hex}"


class Decider:
    """Answers decision tasks of one domain.

    Args:
        leaving: set when tasks shall come to others from now on.
        own: the list of this process where tasks of kept runs wait; None keeps to the shared one.
    """

    def __init__(
        self,
        worker: Decides,
        client: SWFClient,
        domain: str,
        task_list: str,
        identity: str,
        leaving: threading.Event,
        own: str | None = None,
    ) -> None:
        self._worker = worker
        self._client = client
        self._domain = domain
        self._shared = task_list
        self._identity = identity
        self._own = own
        self._leaving = leaving

    @property
    def polls(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """What is to be polled, by name."""
        return {"shared": self.poll_shared, **({"own": self.poll_own} if self._own else {})}

    # ------------------------------------------------------------ asking

    def poll_shared(self) -> dict[str, Any]:
        """A task of the list that all deciders share, with the first page of its whole history."""
        return self._poll(self._shared)

    def poll_own(self) -> dict[str, Any]:
        """A task of a run that is kept here, with what is new."""
        assert self._own is not None
        return self._poll(self._own, start_at_previous=True)

    def _poll(self, task_list: str, **given: Any) -> dict[str, Any]:
        task = self._client.poll_for_decision_task(self._domain, task_list, self._identity, **given)
        task.update(polled=task_list, came=time.monotonic())
        return task  # type: ignore[no-any-return]

    # ------------------------------------------------------------ answering

    def answer(self, task: dict[str, Any]) -> None:
        """Decide and respond. Whatever goes wrong with one task is logged, and is the end of that one:
        SWF gives it again when its time is over."""
        name = run_key(task)[0]
        try:
            decisions = self._decide(task)
        except NondeterminismError as error:
            # It says all: the way through flowy that led there helps nobody.
            log.error("no decision for %s, its task will come again: %s", name, str(error))
        except KeyboardInterrupt:
            raise  # for this process
        except BaseException:
            # Also sys.exit() in a workflow, which else would end one decider after another.
            log.exception("no decision could be made for %s: its task will come again", name)
        else:
            self._respond(task, decisions)
            return
        self._worker.forget(task)

    def _decide(self, task: dict[str, Any]) -> Decisions:
        task = self._with_pages(task)
        try:
            return self._worker.decide(task)
        except Incomplete:
            return self._worker.decide(self._read(task))

    def _with_pages(self, task: dict[str, Any]) -> dict[str, Any]:
        """The task with all its pages. If one of them can't be had, the rest is read from the history:
        the task has started, and will not be polled again."""
        token = task.get("nextPageToken")
        if not token:
            return task
        name = run_key(task)[0]

        def ask(token: str | None) -> Any:
            assert token  # without one this would be a poll for another task
            return self._client.poll_for_decision_task(
                self._domain,
                task["polled"],
                self._identity,
                next_page_token=token,
                start_at_previous=task["polled"] == self._own,
            )

        known = _known(task)
        reader = Reader(ask, token, known, _started(task), PAGE_TRIES, self._until(task))
        try:
            reader.read(to_the_end=True)
        except Incomplete as error:
            log.warning("a page of %s did not come, its history is read: %s", name, str(error))
            return self._read(_with_events(task, known))
        return _with_events(task, known)

    def _read(self, task: dict[str, Any]) -> dict[str, Any]:
        """The task with its whole history, up to its own start."""
        key, known = run_key(task), _known(task)

        def ask(token: str | None) -> Any:
            return self._client.history_page(self._domain, *key, token)

        Reader(ask, None, known, _started(task), READS, self._until(task)).read()
        return _with_events(task, known)

    @staticmethod
    def _until(task: Task) -> float:
        """When SWF gives the task to others."""
        return float(task["came"]) + time_limit(task.get("events") or ())

    def _respond(self, task: Task, decisions: Decisions) -> None:
        given: dict[str, Any] = {"exec_context": decisions.context}
        if self._own is not None:
            if self._leaving.is_set():
                given["task_list"] = self._shared
            else:
                given.update(task_list=self._own, schedule_to_start=STICKY)
        name, token = run_key(task)[0], task["taskToken"]

        def respond() -> None:
            self._client.respond_decision_task_completed(token, list(decisions), **given)

        try:
            persist(f"the response for {name}", respond, tries=TRIES, most=5.0)
        except Refused as error:
            # The task is over: timed out, or answered already by a response whose reply was lost.
            log.warning("the decisions for %s came too late: %s", name, str(error))
        except Unreachable as error:
            log.error("the decisions for %s could not be sent: %s", name, str(error))
        else:
            if not decisions or decisions[-1]["decisionType"] not in _CLOSING:
                return
        self._worker.forget(task)


def _started(task: Task) -> int:
    return int(task.get("startedEventId") or 0)


def _known(task: Task) -> dict[int, dict[str, Any]]:
    """Its events by id, but those that came since: they are of the next task."""
    last = _started(task) or float("inf")
    return {e["eventId"]: e for e in task.get("events") or () if e["eventId"] <= last}


def _with_events(task: dict[str, Any], known: dict[int, dict[str, Any]]) -> dict[str, Any]:
    return {**task, "events": [known[number] for number in sorted(known)], "nextPageToken": None}
