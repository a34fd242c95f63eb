"""Deciders and activity workers at scale, against a local Amazon SWF over HTTP.

Owns: 200 executions of 1,000 activities each, 4 deciders and 8 activity workers, each a process of its
own, as the service is; and what is told of it: that all end with their value, how fast, what share of
the decisions kept runs made, and that whole histories were read for the rest only.

May not know: the insides of flowy. Its neighbours: `swf` measures the service alone, `replaying` the
cost of decisions.

`python -m benchmarks.swf_scale` runs it in full; `--executions 20` a tenth.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import flowy
from flowy import swf

ROOT = Path(__file__).resolve().parent.parent
DOMAIN = "scale"
KEYS = {"region_name": "us-east-1", "aws_access_key_id": "local", "aws_secret_access_key": "local"}
WIDTH = 50
"""Activities that an execution has open at a time."""
LOOK = 0.5
"""Seconds between two looks at what has ended."""


class Waves:
    def __init__(self, inc: Any) -> None:
        self.inc = inc

    def __call__(self, calls: int, width: int) -> Any:
        total = 0
        for first in range(0, calls, width):
            total += sum(flowy.wait(flowy.map(self.inc, range(first, min(calls, first + width)))))
        return total


def inc(n: int) -> int:
    return n + 1


def make_decider() -> swf.SWFWorkflowWorker:
    config = swf.SWFWorkflowConfig("deciders", 1_000_000, 600, "TERMINATE", rate_limit=None)
    config.conf_activity("inc", version=1)
    worker = swf.SWFWorkflowWorker()
    worker.register(config, Waves, 1)
    return worker


def make_worker() -> swf.SWFActivityWorker:
    worker = swf.SWFActivityWorker()
    worker.register(swf.SWFActivityConfig("activities", "NONE", "NONE", "NONE", 600), inc, 1)
    return worker


def make_client(url: str) -> swf.SWFClient:
    return swf.SWFClient(kwargs={**KEYS, "endpoint_url": url})


def work(kind: str, url: str) -> None:
    """The life of a decider or an activity worker, until a line comes on stdin: then it prints what it
    did."""
    client = make_client(url)
    sent: Counter[str] = Counter()
    for each in (client.client, client.polls):
        each.meta.events.register("before-call.swf", lambda model, **_: sent.update([model.name]))
    worker: Any = make_decider() if kind == "deciders" else make_worker()
    kept = getattr(worker, "kept", None)

    def listen() -> None:
        sys.stdin.readline()
        worker.stop()

    threading.Thread(target=listen, daemon=True).start()
    given: dict[str, Any] = {"setup_log": False, "register_remote": False, "grace": 0.5}
    worker.run_forever(DOMAIN, kind, client, **given)
    told = {"sent": sent, "cpu": time.process_time()}
    if kept is not None:
        told.update(hits=kept.hits, misses=kept.misses)
    print(json.dumps(told), flush=True)


def start(kind: str, url: str) -> subprocess.Popen[str]:
    code = "import sys; from benchmarks import swf_scale; swf_scale.work(*sys.argv[1:])"
    command = [sys.executable, "-c", code, kind, url]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT)


def serve() -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "flowy", "swf", "serve", "--port", "0", "--no-throttling"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    for line in process.stdout:
        if "http://" in line:
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return process, line.split()[-1]
    raise SystemExit("the service did not start")


def run(executions: int, calls: int, deciders: int, workers: int) -> dict[str, Any]:
    service, url = serve()
    crew: list[subprocess.Popen[str]] = []
    try:
        client = make_client(url)
        client.register_domain(DOMAIN)
        make_decider().register_remote(client, DOMAIN)
        make_worker().register_remote(client, DOMAIN)
        crew = [start("deciders", url) for _ in range(deciders)]
        crew += [start("activities", url) for _ in range(workers)]
        begin = swf.SWFWorkflowStarter(DOMAIN, "Waves", 1, client)
        began = time.monotonic()
        runs = [begin(calls, WIDTH) for _ in range(executions)]
        values = [look(each) for each in runs]
        took = time.monotonic() - began
        assert values == [calls * (calls + 1) // 2] * executions, Counter(values)
        told = [json.loads(each.communicate("\n")[0]) for each in crew]
        events = [sum(1 for _ in client.history(DOMAIN, r.workflow_id, r)) for r in runs[:3]]
        client.close()
    finally:
        for process in (*crew, service):
            process.kill()
            process.wait()
    sent = sum((Counter(each["sent"]) for each in told), Counter[str]())
    hits, misses = (sum(each.get(name, 0) for each in told) for name in ("hits", "misses"))
    return {
        "executions": executions,
        "activities": executions * calls,
        "seconds": round(took, 1),
        "activities a second": round(executions * calls / took),
        "events of an execution": events[0],
        "decisions": sent["RespondDecisionTaskCompleted"],
        "kept runs went on": hits,
        "rebuilt": misses,
        "histories read": sent["GetWorkflowExecutionHistory"],
        "requests": dict(sent),
        "seconds of CPU": {
            "deciders": round(sum(each["cpu"] for each in told[:deciders]), 1),
            "activity workers": round(sum(each["cpu"] for each in told[deciders:]), 1),
        },
    }


def look(run: Any) -> Any:
    while True:
        try:
            return run.wait(0)
        except TimeoutError:
            time.sleep(LOOK)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.swf_scale", description=__doc__)
    parser.add_argument("--executions", type=int, default=200)
    parser.add_argument("--activities", type=int, default=1000, help="of each execution")
    parser.add_argument("--deciders", type=int, default=4)
    parser.add_argument("--workers", type=int, default=8, help="processes that poll for activities")
    given = parser.parse_args()
    told = run(given.executions, given.activities, given.deciders, given.workers)
    for name, value in told.items():
        print(f"{name}: {value}")
    pages = told["histories read"]
    if pages > told["rebuilt"] * 100:
        sys.exit(f"MISSED: {pages} pages of histories were read, and {told['rebuilt']} runs rebuilt")


if __name__ == "__main__":
    main()
