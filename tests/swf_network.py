"""Deciders and activity workers in threads, against a local SWF: in process or over HTTP.

Owns: `Site`, which starts and ends them, and knows what they did; `ticking`, which lets time pass.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from flowy import swf
from flowy.swf.kept import KeptRuns
from flowy.testing import LocalSWF

DOMAIN = "test"
DECIDERS, ACTIVITIES = "deciders", "activities"
KEYS = {
    "region_name": "us-east-1",
    "aws_access_key_id": "local",
    "aws_secret_access_key": "local",
}
WAIT = 60.0


@contextlib.contextmanager
def ticking(local: LocalSWF) -> Iterator[None]:
    """Time passes, some fifty times as fast as it does."""
    over = threading.Event()

    def tick() -> None:
        while not over.wait(0.01):
            local.advance(0.5)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Forgetful(KeptRuns):
    """Drops a run now and then, before it goes on."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self._chance = random.Random(seed)

    def take(self, key: Any, previous: int, started: int, events: Any) -> Any:
        if self._chance.random() < 0.4:
            self.evict(key)
        return super().take(key, previous, started, events)


KEEPING: dict[str, Callable[[], KeptRuns]] = {
    "kept": KeptRuns,
    "full": lambda: KeptRuns(0),
    "forgetful": Forgetful,
}


def activity_config(**given: Any) -> swf.SWFActivityConfig:
    said = {
        "default_task_list": ACTIVITIES,
        "default_heartbeat": "NONE",
        "default_schedule_to_close": "NONE",
        "default_schedule_to_start": "NONE",
        "default_start_to_close": 60,
    }
    return swf.SWFActivityConfig(**{**said, **given})


def workflow_config(**given: Any) -> swf.SWFWorkflowConfig:
    said = {
        "default_task_list": DECIDERS,
        "default_workflow_duration": 1_000_000,
        "default_decision_duration": 30,
        "default_child_policy": "TERMINATE",
    }
    return swf.SWFWorkflowConfig(**{**said, **given})


class Site:
    """A domain with its workers."""

    def __init__(self, local: Any, make_client: Callable[[], swf.SWFClient]) -> None:
        self.local = local
        self.make_client = make_client
        self.client = make_client()
        self.client.register_domain(DOMAIN, retention=90)  # a virtual clock may jump far
        self.deciders: list[swf.SWFWorkflowWorker] = []
        self._workers: list[Any] = []
        self._threads: list[threading.Thread] = []
        self.errors: list[BaseException] = []

    def decider(
        self,
        workflows: Mapping[str, tuple[swf.SWFWorkflowConfig, Any]],
        keep: KeptRuns | None = None,
        *,
        beginning: bool = True,
        **given: Any,
    ) -> swf.SWFWorkflowWorker:
        worker = swf.SWFWorkflowWorker(keep=KeptRuns() if keep is None else keep, strict=True, **given)
        for name, (config, factory) in workflows.items():
            worker.register(config, factory, 1, name)
        self.deciders.append(worker)
        if beginning:
            self.begin(worker)
        return worker

    def begin(self, worker: swf.SWFWorkflowWorker) -> None:
        """Let a decider that was made without begin, now that all is registered with it."""
        self._run(worker, DECIDERS)

    def activities(
        self,
        functions: Mapping[str, Any] | Iterable[tuple[str, swf.SWFActivityConfig, Any]],
        config: swf.SWFActivityConfig | None = None,
        **given: Any,
    ) -> swf.SWFActivityWorker:
        """Functions by name, all of one configuration; or each with its own."""
        worker = swf.SWFActivityWorker(**given)
        if isinstance(functions, Mapping):
            config = config or activity_config()
            functions = [(name, config, function) for name, function in functions.items()]
        for name, each, function in functions:
            worker.register(each, function, 1, name)
        self._run(worker, ACTIVITIES)
        return worker

    def _run(self, worker: Any, task_list: str) -> None:
        worker.register_remote(self.client, DOMAIN)

        def run() -> None:
            try:
                worker.run_forever(
                    DOMAIN, task_list, self.client, setup_log=False, register_remote=False
                )
            except BaseException as error:
                self.errors.append(error)

        thread = threading.Thread(target=run, name=f"test-{task_list}")
        self._workers.append(worker)
        self._threads.append(thread)
        thread.start()

    def start(
        self,
        name: str,
        *args: Any,
        wid: str | None = None,
        payloads: Any = None,
        **kwargs: Any,
    ) -> Any:
        starter = swf.SWFWorkflowStarter(DOMAIN, name, 1, self.client, wid=wid, payloads=payloads)
        return starter(*args, **kwargs)

    def history(self, run: Any) -> list[dict[str, Any]]:
        return list(self.client.history(DOMAIN, run.workflow_id, run.run_id))

    def close(self) -> None:
        """End all workers; raises what one of them raised."""
        for worker in self._workers:
            worker.stop()
        for thread in self._threads:
            thread.join(WAIT)
            assert not thread.is_alive()
        for decider in self.deciders:
            assert len(decider.kept) == 0
        if self.errors:
            raise self.errors[0]


@contextlib.contextmanager
def site(over: str = "memory", local: LocalSWF | None = None) -> Iterator[Site]:
    """A site `over` "memory" or "http"; with a clock that jumps, if it is not said which."""
    local = local or LocalSWF()
    if over == "memory":
        made = Site(local, lambda: swf.SWFClient(local.client()))
        try:
            yield made
        finally:
            made.close()
        return
    with local.serve() as url:
        made = Site(local, lambda: swf.SWFClient(kwargs={**KEYS, "endpoint_url": url}))
        try:
            yield made
        finally:
            made.close()
            made.client.close()
