"""Executions started and waited for from outside.

Owns: `SWFWorkflowStarter`, with the arguments of flowy 0.4, and `Started`, what it gives.

May not know: deciders. Its neighbour is `client`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from flowy.errors import Failure
from flowy.swf import serialization
from flowy.swf.checking import as_child_policy, as_duration, as_priority, as_tags, type_key
from flowy.swf.client import Refused, SWFClient, Unreachable
from flowy.swf.decider import as_store
from flowy.swf.history import CLOSINGS, attributes_of
from flowy.swf.payloads import pack, unpack
from flowy.swf.rates import Backoff

__all__ = ["SWFWorkflowStarter"]

FIRST_LOOK, LAST_LOOK = 0.1, 5.0
"""Seconds between two looks at whether an execution has ended, at first and at most."""


class Started(str):
    """An execution: its run id, as flowy 0.4 returned it, which can be waited for."""

    workflow_id: str
    _starter: _Starter

    @property
    def run_id(self) -> str:
        """The same as a plain string."""
        return str(self)

    def wait(self, timeout: float | None = None) -> Any:
        """The value of the execution, and of those that it continues as.

        Args:
            timeout: seconds to wait at most.

        Raises:
            TaskError: it failed, timed out (`TaskTimedout`), was cancelled (`TaskCancelled`) or
                terminated.
            TimeoutError: it is still running.
        """
        return self._starter.wait(self.workflow_id, self, timeout)


def SWFWorkflowStarter(  # the name of flowy 0.4
    domain: str,
    name: str,
    version: Any,
    swf_client: SWFClient | None = None,
    task_list: str | None = None,
    task_duration: Any = None,
    workflow_duration: Any = None,
    wid: str | None = None,
    tags: Any = None,
    serialize_input: Callable[..., str] | None = None,
    child_policy: str | None = None,
    priority: int | None = None,
    lambda_role: str | None = None,
    *,
    deserialize_result: Callable[[str], Any] | None = None,
    payloads: Any = None,
) -> Callable[..., Started]:
    """Prepare to start executions of a workflow: gives a function that takes the input.

    Args:
        domain, name, version: of the workflow's type.
        swf_client: how to reach SWF; a default one is made.
        task_list: where its decision tasks wait; the default of its type if none is given.
        task_duration, workflow_duration: seconds for a decision, and for the execution.
        wid: the workflow id; one of its own for each execution by default.
        tags: up to five strings.
        serialize_input: (*args, **kwargs) -> text; JSON by default.
        child_policy: 'TERMINATE', 'REQUEST_CANCEL' or 'ABANDON'.
        priority: a number, more is more urgent.
        lambda_role: an IAM role for Lambda functions.
        deserialize_result: text -> value, for `wait`; JSON by default.
        payloads: where an input or result goes that is too long for SWF: a folder or a store.

    Returns:
        A function: it starts an execution with its arguments as input and returns the run id, a string
        with `workflow_id` and `wait(timeout)`. It raises `Refused` if SWF will not.

    Raises:
        UsageError: an argument can't be used.
    """
    key = type_key(version, name)
    settings: dict[str, Any] = {
        "task_list": task_list,
        "task_start_to_close_timeout": as_duration("task_duration", task_duration),
        "execution_start_to_close_timeout": as_duration("workflow_duration", workflow_duration),
        "tags": as_tags(tags),
        "child_policy": as_child_policy(child_policy),
        "priority": as_priority(priority),
        "lambda_role": lambda_role,
    }
    starter = _Starter(
        swf_client or SWFClient(),
        domain,
        serialize_input or (lambda *args, **kwargs: serialization.dump_call(args, kwargs)),
        deserialize_result or serialization.loads,
        as_store(payloads),
    )

    def start(*args: Any, **kwargs: Any) -> Started:
        return starter.start(key, wid, starter.input_of(args, kwargs), settings)

    return start


class _Starter:
    def __init__(
        self,
        client: SWFClient,
        domain: str,
        dump: Callable[..., str],
        load: Callable[[str], Any],
        store: Any,
    ) -> None:
        self._client = client
        self._domain = domain
        self._dump = dump
        self._load = load
        self._store = store

    def input_of(self, args: Any, kwargs: Any) -> str:
        return pack(self._dump(*args, **kwargs), "the input", self._store)

    def start(
        self, key: tuple[str, str], wid: str | None, input: str, settings: dict[str, Any]
    ) -> Started:
        here = wid or str(uuid.uuid4())
        try:
            run = self._client.start_workflow_execution(
                self._domain, here, *key, input=input, **settings
            )["runId"]
        except Refused as error:
            # A try whose reply was lost has started it, if the id is nobody else's.
            if wid is not None or error.kind != "WorkflowExecutionAlreadyStartedFault":
                raise
            run = self._client.find_run(self._domain, here)
            if run is None:
                raise
        made = Started(run)
        made.workflow_id = here
        made._starter = self
        return made

    def wait(self, wid: str, run_id: str, timeout: float | None) -> Any:
        """The value of an execution."""
        end = None if timeout is None else time.monotonic() + timeout
        backoff = Backoff(FIRST_LOOK, LAST_LOOK)
        while True:
            last = self._last_event(wid, run_id)
            if last is not None and last["eventType"] == "WorkflowExecutionContinuedAsNew":
                run_id = str(attributes_of(last)["newExecutionRunId"])
                backoff.reset()
                continue
            if last is not None and last["eventType"] in CLOSINGS:
                return self._outcome(wid, last)
            pause = backoff.pause()
            if end is not None and time.monotonic() + pause > end:
                raise TimeoutError(f"{wid} is still running after {timeout} s")
            time.sleep(pause)

    def _last_event(self, wid: str, run_id: str) -> dict[str, Any] | None:
        try:
            events = self._client.history(self._domain, wid, run_id, reverse_order=True, page_size=1)
            return next(events, None)
        except Unreachable:
            return None  # asked again

    def _outcome(self, wid: str, last: dict[str, Any]) -> Any:
        says, how = attributes_of(last), last["eventType"].removeprefix("WorkflowExecution")
        if how == "Completed":
            text = says.get("result")
            return None if text is None else self._load(unpack(text, self._store))
        details = str(says.get("details") or "")
        if how == "Failed":
            failure = Failure(str(says.get("reason") or ""), key=wid, remote_traceback=details)
        elif how == "TimedOut":
            failure = Failure(
                "the workflow timed out", key=wid, kind="timed out", timeout="start_to_close"
            )
        elif how == "Canceled":
            failure = Failure(details or "the workflow", key=wid, kind="cancelled")
        else:
            reason = str(says.get("reason") or "no reason was given")
            failure = Failure(f"the workflow was terminated: {reason}", key=wid)
        raise failure.error()
