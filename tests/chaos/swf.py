"""`kill -9` of deciders and activity workers on Amazon SWF, at random, while they run workflows.

Owns: "killed-swf": every run gives the value that it gives when nobody is killed, nothing was scheduled
twice, and only what a dead worker had in hand was tried again.

May not know: how tasks come back. Its neighbour is `framework`; the local SWF is served by this process,
and its time passes some fifty times as fast.

The processes are forked from one that has boto3 loaded, because to import it takes as long as they live.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from swf_network import ticking

import flowy
from chaos.framework import LIMIT, Figures, expect, scenario, times
from flowy import swf
from flowy.testing import LocalSWF

FULL = 200
EVERY = 0.15
"""Seconds between two kills, about."""
CREW = ("decider",) * 3 + ("worker",) * 4
AT_A_TIME = 3
WAVES = 24
WIDTH = 6
DOMAIN = "test"
KEYS = {"region_name": "us-east-1", "aws_access_key_id": "local", "aws_secret_access_key": "local"}


class Labour:
    """Waves of calls with reductions, children, timers and side effects, through restarts."""

    def __init__(self, inc: Any, add: Any, sub: Any) -> None:
        self.inc, self.add, self.sub = inc, add, sub

    def __call__(self, waves: int, done: int = 0, total: int = 0) -> Any:
        while done < waves:
            if flowy.continue_suggested():
                return flowy.restart(waves, done, total)
            ones = flowy.map(self.inc, [0] * WIDTH)
            kept = flowy.side_effect(lambda: 7)
            if done % 5 == 4:
                flowy.sleep(1)
            total += flowy.parallel_reduce(self.add, ones) + (self.sub(kept) - kept)
            done += 1
        return [done, total]


class Twice:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, n: int) -> Any:
        return self.inc(self.inc(n))


def inc(n: int) -> int:
    time.sleep(0.01)  # so that some die with a task in hand
    return n + 1


def add(a: int, b: int) -> int:
    return a + b


def make_decider() -> swf.SWFWorkflowWorker:
    given: dict[str, Any] = {
        "default_task_list": "deciders",
        "default_workflow_duration": 1_000_000,
        "default_decision_duration": 30,
        "default_child_policy": "TERMINATE",
    }
    many = (0,) * 30  # a task that died with its worker can only time out
    labour, twice = swf.SWFWorkflowConfig(**given), swf.SWFWorkflowConfig(**given)
    labour.conf_activity("inc", 1, retry=many)
    labour.conf_activity("add", 1, retry=many)
    labour.conf_workflow("sub", 1, name="Twice")
    twice.conf_activity("inc", 1, retry=many)
    worker = swf.SWFWorkflowWorker(strict=True, limits=swf.Limits(continue_at=200))
    worker.register(labour, Labour, 1)
    worker.register(twice, Twice, 1)
    return worker


def make_worker() -> swf.SWFActivityWorker:
    config = swf.SWFActivityConfig("activities", "NONE", "NONE", "NONE", 30)
    worker = swf.SWFActivityWorker()
    worker.register(config, inc, 1)
    worker.register(config, add, 1)
    return worker


def breed(url: str) -> None:
    """For each line of stdin a process of that kind; its id goes to stdout."""
    client = swf.SWFClient(kwargs={**KEYS, "endpoint_url": url})
    makers: dict[str, Any] = {"decider": make_decider, "worker": make_worker}
    lists = {"decider": "deciders", "worker": "activities"}
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    logging.disable(logging.WARNING)
    for line in iter(sys.stdin.readline, ""):
        kind = line.strip()
        child = os.fork()
        if not child:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            given = {"setup_log": False, "register_remote": False, "grace": 0.0}
            makers[kind]().run_forever(DOMAIN, lists[kind], client, **given)
            os._exit(0)
        print(child, flush=True)


class Crew:
    """The processes, and who kills them."""

    def __init__(self, url: str, chance: random.Random) -> None:
        self.kills: Counter[str] = Counter()
        self._chance = chance
        self._parent = subprocess.Popen(
            [sys.executable, "-c", "import sys; from chaos import swf; swf.breed(sys.argv[1])", url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        self._alive = [(kind, self._start(kind)) for kind in CREW]

    def _start(self, kind: str) -> int:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        print(kind, file=self._parent.stdin, flush=True)
        return int(self._parent.stdout.readline())

    def kill_one(self) -> None:
        """At any moment of whatever it does; another one takes its place."""
        kind, child = self._alive.pop(self._chance.randrange(len(self._alive)))
        os.kill(child, signal.SIGKILL)
        self.kills[kind] += 1
        self._alive.append((kind, self._start(kind)))

    def close(self) -> None:
        for _, child in self._alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._parent.communicate(timeout=LIMIT)


@scenario("killed-swf")
def kill(scale: float, waves: int = WAVES) -> Figures:
    """Runs, one after the other and some at a time, until so many processes were killed."""
    wanted = times(FULL, scale)
    chance = random.Random(20)
    local = LocalSWF(auto_advance=False)  # a clock that jumps would jump to the end of the runs
    decider = make_decider()
    with ticking(local), local.serve() as url:
        client = swf.SWFClient(kwargs={**KEYS, "endpoint_url": url})
        client.register_domain(DOMAIN)
        decider.register_remote(client, DOMAIN)
        make_worker().register_remote(client, DOMAIN)
        with contextlib.closing(client), contextlib.closing(Crew(url, chance)) as crew:
            ended, tried = _labour(client, crew, wanted, chance, decider, waves)
    return {"kills": sum(crew.kills.values()), **crew.kills, "runs": ended, "tasks tried again": tried}


def _labour(
    client: swf.SWFClient,
    crew: Crew,
    wanted: int,
    chance: random.Random,
    decider: Any,
    waves: int,
) -> tuple[int, int]:
    start = swf.SWFWorkflowStarter(DOMAIN, "Labour", 1, client)
    open: list[Any] = []
    ended = tried = 0
    while open or sum(crew.kills.values()) < wanted:
        killing = sum(crew.kills.values()) < wanted
        while killing and len(open) < AT_A_TIME:
            open.append((start(waves), time.monotonic()))
        for run, began in list(open):
            try:
                value = run.wait(0)
            except TimeoutError:
                expect(time.monotonic() - began < 3 * LIMIT, f"{run.workflow_id} hangs")
                continue
            expect(value == [waves, waves * (WIDTH + 2)], f"{value} of {waves} waves")
            open.remove((run, began))
            ended += 1
            tried += _check(client, run, decider)
        time.sleep(chance.expovariate(1 / EVERY))
        if killing:
            crew.kill_one()
    return ended, tried


def _check(client: swf.SWFClient, run: Any, decider: Any) -> int:
    """How many tasks were tried again; raises `Failed` if one was without need."""
    tried, run_id = 0, str(run)
    while run_id:
        events = list(client.history(DOMAIN, run.workflow_id, run_id))
        swf.replay(events, decider)
        scheduled: Counter[str] = Counter()
        ids: dict[int, str] = {}
        lost: set[str] = set()
        run_id = ""
        for event in events:
            kind = event["eventType"]
            says = event.get(f"{kind[0].lower()}{kind[1:]}EventAttributes", {})
            if kind == "ActivityTaskScheduled":
                id = ids[event["eventId"]] = says["activityId"]
                scheduled[id] += 1
                base, _, attempt = id.rpartition("-")
                expect(attempt == "0" or f"{base}-{int(attempt) - 1}" in lost, f"{id} without need")
            elif kind == "ActivityTaskTimedOut":
                lost.add(ids[says["scheduledEventId"]])
            elif kind == "WorkflowExecutionContinuedAsNew":
                run_id = says["newExecutionRunId"]
            expect(not kind.startswith("ActivityTaskFailed"), event)
        expect(max(scheduled.values(), default=1) == 1, scheduled.most_common(3))
        tried += len(lost)
    return tried
