"""Activity tasks of Amazon SWF, run and answered.

Owns: `SWFActivityWorker`: the activities that a worker knows, and for each task its input, its run with
heartbeats, and its one answer.

May not know: boto3, or workflows. Its neighbours are `remote` (polls) and `flowy.activity` (what an
activity may say meanwhile).

A task gets exactly one kind of answer. What fails on the way to SWF is tried again and never becomes a
failure of the task; what can't be sent in the end is left to the task's time-outs.
"""

from __future__ import annotations

import inspect
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flowy import activity as running
from flowy.config import describe as name_of
from flowy.errors import CancelRequested, UsageError, describe, format_remote
from flowy.swf import serialization
from flowy.swf.config import CATEGORIES, SWFActivityConfig, TypeKey, type_key
from flowy.swf.decider import as_store
from flowy.swf.decisions import DETAILS, REASON, cut
from flowy.swf.payloads import Payloads, pack, unpack
from flowy.swf.rates import Backoff
from flowy.swf.remote import Remote, Tasks

if TYPE_CHECKING:
    from flowy.swf.client import SWFClient

__all__ = ["SWFActivityWorker"]

log = logging.getLogger("flowy.swf")

BEAT = 10.0
"""Seconds between heartbeats where the type of an activity says nothing of them: so cancels arrive."""
BEAT_DETAILS = 2048
"""Characters [AWS]."""
TRIES = 40
"""How often an answer is sent, some ten minutes in all."""
STORE_TRIES = 6


class Activity(NamedTuple):
    """One that a worker knows."""

    config: SWFActivityConfig
    func: Callable[..., Any]


class Answer(NamedTuple):
    """What is told of a task: the name of the operation, and its arguments."""

    kind: str
    """'completed', 'failed' or 'canceled'."""
    given: Mapping[str, str]


class SWFActivityWorker(Remote):
    """Runs the activities that are registered with it, one at a time, in this process.

    Args:
        payloads: where inputs and results are that are too long for SWF: a folder that all workers see,
            or a store.
        heartbeat: the shortest heartbeat time-out, in seconds, that workflows give where it is not the
            activity's own default: a task does not tell its worker.

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
    ) -> None:
        if heartbeat is not None and not heartbeat > 0:
            raise UsageError(f"heartbeat is a number of seconds above 0, not {heartbeat!r}")
        self.activities: dict[TypeKey, Activity] = {}
        self.payloads = as_store(payloads)
        self.heartbeat = heartbeat

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
            lambda task: self._answer(client, task),
        )

    # ------------------------------------------------------------ one task

    def _answer(self, client: SWFClient, task: Mapping[str, Any]) -> None:
        type = task.get("activityType") or {}
        key = str(type.get("name") or ""), str(type.get("version") or "")
        name = f"{task.get('activityId')} of {(task.get('workflowExecution') or {}).get('workflowId')}"
        try:
            answer = self._run(client, key, task)
        except OSError as error:  # of the payload store: no fault of the task
            log.error("%s is left to its time-out: %s", name, str(error))
            return
        if answer is not None:
            self._send(client, name, task["taskToken"], answer)

    def _run(self, client: SWFClient, key: TypeKey, task: Mapping[str, Any]) -> Answer | None:
        known = self.activities.get(key)
        if known is None:
            log.error("a task came for the activity %s %s, which is not registered here", *key)
            return _failed(f"the activity {key[0]} {key[1]} is not registered with this worker")
        beats = Beats(client, task["taskToken"], self._interval(known))
        try:
            args, kwargs = self._input(known, task)
        except OSError:
            beats.end()
            raise
        except Exception as error:
            beats.end()
            return _failed(f"the input can't be read: {describe(error)}")
        running.set_host(beats)
        try:
            value = known.func(*args, **kwargs)
            if inspect.iscoroutine(value):
                import asyncio

                value = asyncio.run(value)
        except CancelRequested as error:
            if beats.cancelled:
                return Answer("canceled", {"details": cut(str(error), DETAILS)})
            return _failed(describe(error), format_remote(error))
        except (Exception, SystemExit) as error:
            return _failed(describe(error), format_remote(error))
        finally:
            running.set_host(None)
            beats.end()
        return self._result(known, key, value)

    def _interval(self, known: Activity) -> float:
        said = known.config.defaults.get("defaultTaskHeartbeatTimeout")
        limits = [float(said)] if said and said not in ("NONE", "0") else []
        if self.heartbeat is not None:
            limits.append(self.heartbeat)
        return min(limits) / 3 if limits else BEAT

    def _input(self, known: Activity, task: Mapping[str, Any]) -> tuple[Any, Any]:
        text = task.get("input")
        if text is None:
            return (), {}
        whole = _from_store(lambda: unpack(text, self.payloads))
        args, kwargs = known.config.deserialize_input(whole)
        return args, kwargs

    def _result(self, known: Activity, key: TypeKey, value: Any) -> Answer:
        try:
            text = known.config.serialize_result(value)
            if not isinstance(text, str):
                raise UsageError(f"serialize_result gives a string, and gave {type(text).__name__}")
            what = f"the result of {key[0]} {key[1]}"
            return Answer("completed", {"result": _from_store(lambda: pack(text, what, self.payloads))})
        except OSError:
            raise
        except Exception as error:
            return _failed(describe(error), format_remote(error))

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


class Beats:
    """Tells SWF that a task is alive, from a thread of its own, and hears whether it was cancelled."""

    def __init__(self, client: SWFClient, token: str, interval: float) -> None:
        self.cancelled = False
        """A cancel was requested, or the task is over for SWF."""
        self._client = client
        self._token = token
        self._interval = interval
        self._details: str | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flowy-swf-heartbeat", daemon=True)
        self._thread.start()

    def beat(self, details: Any) -> None:
        """What `flowy.heartbeat` does."""
        if details is not None:
            text = serialization.dumps(details)
            if len(text) > BEAT_DETAILS:
                raise UsageError(
                    f"the details of a heartbeat have {len(text):,} characters as JSON, and Amazon SWF "
                    f"takes {BEAT_DETAILS:,}: tell less of it"
                )
            self._details = text
        if self.cancelled:
            raise running.cancelled()

    def last(self) -> Any:
        """SWF does not tell an attempt of the one before."""
        return None

    def end(self) -> None:
        """The task is not running any more; returns when no heartbeat is under way."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        from flowy.swf.client import Refused, Unreachable

        while not self._over.wait(self._interval):
            try:
                said = self._client.record_activity_task_heartbeat(self._token, self._details)
            except Refused as error:
                log.warning("a task that runs here is over for SWF: %s", str(error))
                self.cancelled = True
                return
            except Unreachable as error:
                log.warning("a heartbeat did not arrive: %s", str(error))
            except Exception:
                log.exception("a heartbeat could not be sent")
            else:
                self.cancelled = self.cancelled or bool(said.get("cancelRequested"))


def _failed(reason: str, details: str = "") -> Answer:
    if len(reason) > REASON:
        details = f"{reason}\n\n{details}"
    given = {"reason": cut(reason, REASON)}
    if details:
        given["details"] = cut(details, DETAILS)
    return Answer("failed", given)


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
