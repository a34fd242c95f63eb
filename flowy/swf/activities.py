"""Activity tasks of Amazon SWF, run and answered.

Owns: `SWFActivityWorker`: the activities that a worker knows, and for each task its input and its one
answer.

May not know: boto3, or workflows. Its neighbours are `remote` (polls), `beats` (heartbeats, and when a
task is over), `performing`, which runs an activity here, and `slots`, which have it run in processes.

A task gets exactly one kind of answer. What fails on the way to SWF is tried again and never becomes a
failure of the task; what can't be sent in the end is left to the task's time-outs.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flowy.config import describe as name_of
from flowy.errors import UsageError, describe, format_remote
from flowy.swf.beats import BEAT, Beats, Terms, registered, terms_of
from flowy.swf.checking import TypeKey, type_key
from flowy.swf.config import CATEGORIES, SWFActivityConfig
from flowy.swf.decider import as_store
from flowy.swf.payloads import Payloads, pack, unpack
from flowy.swf.performing import Activity, Answer, failed, perform
from flowy.swf.rates import Backoff
from flowy.swf.remote import Many, Place, Remote, Tasks

if TYPE_CHECKING:
    from flowy.swf.client import SWFClient
    from flowy.swf.slots import Slot, Slots

__all__ = ["SWFActivityWorker"]

log = logging.getLogger("flowy.swf")

TRIES = 40
"""How often an answer is sent, some ten minutes in all."""
STORE_TRIES = 6
LOOK_BACK = 5000
"""Events before now among which a task's own time-outs are looked for."""


class At(NamedTuple):
    """Where a task is from."""

    client: SWFClient
    domain: str


class SWFActivityWorker(Remote):
    """Runs the activities that are registered with it: one at a time in this process, or in processes of
    their own, as `run_forever` is told.

    Args:
        payloads: where inputs and results are that are too long for SWF: a folder that all workers see,
            or a store.
        heartbeat: the shortest heartbeat time-out, in seconds, that workflows give where it is not the
            activity's own default: a task does not tell its worker.
        rerun_on_worker_death: a task whose process dies (`run_forever(processes=…)`) is run again, up to
            three times in all, before it fails, as on the local engine. False: it fails at once.

    >>> worker = SWFActivityWorker()
    >>> worker.register(SWFActivityConfig(default_start_to_close=60), abs, version=1)
    >>> sorted(worker.activities)
    [('abs', '1')]
    """

    kind = "activity"
    categories = (CATEGORIES[0],)

    def __init__(
        self,
        *,
        payloads: Payloads | str | os.PathLike[str] | None = None,
        heartbeat: float | None = None,
        rerun_on_worker_death: bool = True,
    ) -> None:
        if heartbeat is not None and not heartbeat > 0:
            raise UsageError(f"heartbeat is a number of seconds above 0, not {heartbeat!r}")
        self.activities: dict[TypeKey, Activity] = {}
        self.payloads = as_store(payloads)
        self.heartbeat = heartbeat
        self.rerun_on_worker_death = rerun_on_worker_death

    def register(self, config: Any, func: Any, version: Any, name: str | None = None) -> None:
        """Run `func` for tasks of this type from now on.

        Raises:
            UsageError: it is no function, or the type is registered already.
        """
        if not isinstance(config, SWFActivityConfig):
            raise UsageError(f"an activity is registered with an SWFActivityConfig, not with {config!r}")
        if not callable(func):
            raise UsageError(f"an activity is a function or another callable, not {func!r}")
        key = type_key(version, name or getattr(func, "__name__", None) or name_of(func))
        if key in self.activities:
            raise UsageError(f"the activity {key[0]} {key[1]} is registered twice")
        self.activities[key] = Activity(config, func)

    def types(self) -> Iterator[tuple[TypeKey, Mapping[str, Any]]]:
        """The types that are registered with it, and their defaults at SWF."""
        for key, known in self.activities.items():
            yield key, known.config.defaults

    def tasks(
        self, client: SWFClient, domain: str, task_list: str, identity: str, stop: threading.Event
    ) -> Tasks:
        """What to poll, and how to answer."""
        return (
            {"activities": lambda: client.poll_for_activity_task(domain, task_list, identity)},
            lambda task: self._answer(At(client, domain), task),
        )

    def crew(self, place: Place, many: Many, stop: threading.Event, grace: float) -> Slots:
        """What runs activities in processes."""
        from flowy.swf.slots import Slots

        polls, _ = self.tasks(*place, stop)
        return Slots(
            many.processes,
            self.activities,
            polls,
            lambda task, slot: self._answer(At(place.client, place.domain), task, slot),
            stop,
            self.break_loop,
            grace,
            many.recycling,
            self.rerun_on_worker_death,
        )

    # ------------------------------------------------------------ one task

    def _answer(self, at: At, task: Mapping[str, Any], slot: Slot | None = None) -> None:
        type = task.get("activityType") or {}
        key = str(type.get("name") or ""), str(type.get("version") or "")
        name = f"{task.get('activityId')} of {(task.get('workflowExecution') or {}).get('workflowId')}"
        try:
            answer = self._run(at, key, name, task, slot)
        except OSError as error:  # of the payload store: no fault of the task
            log.error("%s is left to its time-out: %s", name, str(error))
            return
        if answer is not None:
            self._send(at.client, name, task["taskToken"], answer)

    def _run(
        self, at: At, key: TypeKey, name: str, task: Mapping[str, Any], slot: Slot | None
    ) -> Answer | None:
        known = self.activities.get(key)
        if known is None:
            log.error("a task came for the activity %s %s, which is not registered here", *key)
            return failed(f"the activity {key[0]} {key[1]} is not registered with this worker")
        with self._beats(at, known, name, task) as beats:
            try:
                text = self._input(task)
            except OSError:
                raise
            except Exception as error:
                return failed(f"the input can't be read: {describe(error)}")
            if slot is None:
                answer: Answer | None = perform(known, text, beats)
            else:
                answer = slot.run(key, text, name, beats)
            return answer and self._packed(key, answer)  # a store may take its time

    def _beats(self, at: At, known: Activity, name: str, task: Mapping[str, Any]) -> Beats:
        terms = registered(known.config.defaults)
        limit = min(terms.heartbeat, self.heartbeat or math.inf)
        interval = limit / 3 if 0 < limit < math.inf else BEAT
        execution = task.get("workflowExecution") or {}
        key = at.domain, str(execution.get("workflowId")), str(execution.get("runId"))

        def learn() -> Terms | None:
            newest = at.client.history(*key, reverse_order=True)
            return terms_of(itertools.islice(newest, LOOK_BACK), int(task["startedEventId"]))

        return Beats(at.client, task["taskToken"], interval, terms, learn, name)

    def _input(self, task: Mapping[str, Any]) -> str | None:
        text = task.get("input")
        return None if text is None else _from_store(lambda: unpack(text, self.payloads))

    def _packed(self, key: TypeKey, answer: Answer) -> Answer:
        """The answer with a result that may travel."""
        if answer.kind != "completed":
            return answer
        text, what = answer.given["result"], f"the result of {key[0]} {key[1]}"
        try:
            return Answer("completed", {"result": _from_store(lambda: pack(text, what, self.payloads))})
        except OSError:
            raise
        except UsageError as error:
            return failed(describe(error))
        except Exception as error:
            return failed(describe(error), format_remote(error))

    def _send(self, client: SWFClient, name: str, token: str, answer: Answer) -> None:
        from flowy.swf.client import Refused, Unreachable
        from flowy.swf.polling import persist

        respond = getattr(client, f"respond_activity_task_{answer.kind}")
        try:
            persist(f"the answer of {name}", lambda: respond(token, **answer.given), tries=TRIES)
        except Refused as error:
            # Over: timed out, cancelled with its workflow, or answered by a try whose reply was lost.
            log.warning("%s was %s too late: %s", name, answer.kind, str(error))
        except Unreachable as error:
            log.error("%s was %s, and SWF could not be told: %s", name, answer.kind, str(error))


def _from_store(call: Callable[[], str]) -> str:
    """What a payload store gives; it is asked again where that fails by chance."""
    backoff = Backoff(0.1, 5.0)
    for left in reversed(range(STORE_TRIES)):
        try:
            return call()
        except UsageError:
            raise
        except OSError as error:
            if not left:
                raise
            log.warning("the payload store failed, it is asked again: %s", str(error))
            threading.Event().wait(backoff.pause())
    raise AssertionError("it is asked at least once")
