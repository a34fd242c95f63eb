"""Deciders and activity workers while things go wrong between them and SWF.

Owns: each kind of fault at every fifth call, killed and ended deciders.

May not know: how decisions are made.
"""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from swf_network import DOMAIN, KEEPING, WAIT, Site, activity_config, site, ticking, workflow_config
from test_swf_network import configured, inc
from test_swf_network import signal as send

import flowy
from flowy import swf
from flowy.swf.history import attributes_of
from flowy.testing import LocalSWF
from flowy.testing.swf import Limits

FAULTS = (
    "throttle",
    "server_error",
    "unavailable",
    "reset",
    "lost_reply",
    "empty_poll",
    "stale_history",
    "expired_token",
)
SMALL_PAGES = dataclasses.replace(Limits.unthrottled(), history_page=20)
IMPATIENT = Config(retries={"total_max_attempts": 1})  # flowy's own tries are tested, and quick


def check_history(events: list[dict[str, Any]]) -> None:
    """No task was scheduled twice, none failed, and another attempt followed a time-out only."""
    scheduled: Counter[str] = Counter()
    timed_out = set()
    ids = {}
    for event in events:
        says = attributes_of(event)
        if event["eventType"] == "ActivityTaskScheduled":
            base, _, attempt = says["activityId"].rpartition("-")
            ids[event["eventId"]] = says["activityId"]
            scheduled[says["activityId"]] += 1
            if attempt != "0":
                assert f"{base}-{int(attempt) - 1}" in timed_out
        elif event["eventType"] == "ActivityTaskTimedOut":
            timed_out.add(ids[says["scheduledEventId"]])
        assert not event["eventType"].endswith("Failed"), event
    assert max(scheduled.values(), default=1) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keep", "fault"),
    [
        *(("forgetful", fault) for fault in FAULTS),  # takes every way
        *((keep, fault) for keep in ("kept", "full") for fault in ("reset", "lost_reply")),
    ],
)
def test_every_fifth_call_fails(keep: str, fault: str) -> None:
    # A clock that jumps when all wait would jump over the pauses between tries.
    local = LocalSWF(limits=SMALL_PAGES, auto_advance=False)
    place = Site(local, lambda: swf.SWFClient(local.client(IMPATIENT)))
    with ticking(local), contextlib.closing(place):
        many = (0,) * 12  # a task whose poll got no reply can only time out
        workflows = configured(retry=many)
        runs = {}
        decider = place.decider({}, KEEPING[keep]())
        for name, (config, factory) in workflows.items():
            decider.register(config, factory, 1, name)
        worker = place.activities({"inc": inc})
        decider.register_remote(place.client, DOMAIN)
        runs["fan_out"] = place.start("fan_out", 15)
        runs["sleeping"] = place.start("sleeping", 100)
        runs["listening"] = place.start("listening")
        runs["parent"] = place.start("parent")
        runs["again"] = place.start("again", 4, 0)
        for value in ("1", "2", "null"):
            send(place, runs["listening"], value)
        with local.inject(fault, probability=0.2, seed=1):
            assert {name: run.wait(WAIT) for name, run in runs.items()} == {
                "fan_out": sum(range(2, 17)),
                "sleeping": 2,
                "listening": 5,
                "parent": (10, 5),
                "again": 4,
            }
        assert worker.activities
        for run in runs.values():
            events = place.history(run)
            check_history(events)
            swf.replay(events, decider)


# ------------------------------------------------------------------ processes that end

DECIDER = """
import sys
from swf_network import DECIDERS, DOMAIN, KEYS
from test_swf_faults import waves
from flowy import swf
worker = swf.SWFWorkflowWorker(strict=True)
worker.register(*waves(), 1, "waves")
client = swf.SWFClient(kwargs={**KEYS, "endpoint_url": sys.argv[1]})
worker.run_forever(DOMAIN, DECIDERS, client, setup_log=False, grace=1)
"""


class Waves:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, waves: int) -> Any:
        total = 0
        for _ in range(waves):
            total = sum(flowy.wait([self.inc(0) for _ in range(4)]), total)
        return total


def waves() -> tuple[swf.SWFWorkflowConfig, Any]:
    config = workflow_config()
    config.conf_activity("inc", version=1)
    return config, Waves


class Gate:
    """An activity that says how many have run, and holds them back at some."""

    def __init__(self) -> None:
        self.calls = 0
        self.reached = threading.Condition()
        self.allowed = 0

    def __call__(self, n: int) -> int:
        with self.reached:
            self.calls += 1
            self.reached.notify_all()
            assert self.reached.wait_for(lambda: self.calls <= self.allowed, WAIT)
        return n + 1

    def allow(self, calls: int) -> None:
        with self.reached:
            self.allowed = calls
            self.reached.notify_all()

    def wait(self, calls: int) -> None:
        with self.reached:
            assert self.reached.wait_for(lambda: self.calls >= calls, WAIT)


@contextlib.contextmanager
def decider_process(url: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", DECIDER, url], cwd=Path(__file__).parent)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_deciders_that_end_in_the_middle(how: signal.Signals) -> None:
    gate = Gate()
    # A clock that jumps would be at the end of the execution before the next decider has started.
    local = LocalSWF(auto_advance=False)
    with ticking(local), site("http", local) as place:
        url = place.client.client.meta.endpoint_url
        place.client.register_type("workflow", DOMAIN, "waves", "1", waves()[0].defaults)
        place.activities({"inc": gate}, activity_config(default_start_to_close=10_000))
        run = place.start("waves", 6)
        for killed_at in (3, 9, 17):
            with decider_process(url) as process:
                gate.allow(killed_at)
                gate.wait(killed_at + 1)
                process.send_signal(how)
                assert process.wait(WAIT) == (0 if how == signal.SIGTERM else -how)
        with decider_process(url):
            gate.allow(10_000)
            assert run.wait(WAIT) == 24
        check_history(place.history(run))
        assert gate.calls == 24
