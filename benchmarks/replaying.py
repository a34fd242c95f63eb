"""Whole histories of Amazon SWF, replayed: `python -m benchmarks.replaying`.

Owns: a history of 25,000 events, what replays it here and in other engines, their environments (made on
demand, from the package index), and the marks: a full replay in 100 ms, linear, twenty times as fast as
another engine, and a decision of a kept run that costs the same at event 20,000 as at event 20. Parsing
JSON is not in it.

May not know: the insides of any engine. Its neighbours are `decider`, which writes the histories, and
`replayers`, which knows the other engines.

They take turns, each time in a fresh process, and are measured by the time of their CPU: what else the
machine does falls on none.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import decider
from benchmarks.replayers import REPLAYERS

ROOT = Path(__file__).resolve().parent.parent
EVENTS = 25_000
FULL, TIMES, GROWTH, RATIO = 0.100, 20.0, 1.3, 1.3
"""Marks: seconds of a full replay; another engine's over it; the cost of an event in the longest history
over that in the shortest; of a late decision over an early one."""
ROUNDS = 5


def make_task(width: int, events: int = EVENTS) -> dict[str, Any]:
    """A decision task whose history has about so many events; what is left to decide is to complete."""
    calls = events * width // (3 * width + 3) // width * width
    task = decider.make_task(decider.write_history(calls, width))
    first = task["events"][0]["workflowExecutionStartedEventAttributes"]
    first.update(
        taskList={"name": "l"},
        taskStartToCloseTimeout="30",
        executionStartToCloseTimeout="3600",
        childPolicy="TERMINATE",
        workflowType=task["workflowType"],
    )
    return {**task, "taskToken": "t"}


def replay_here(task: dict[str, Any], times: int) -> dict[str, Any]:
    """The shortest of so many full replays, each by a decider that knows nothing yet."""
    took = []
    made: Any = None
    for _ in range(times):
        worker = decider.make_worker(keep=0)
        gc.collect()
        began = time.process_time()
        made = worker.decide(task)
        took.append(time.process_time() - began)
    return {"seconds": min(took), "decisions": made}


def replay_apart(python: str, code: str, path: Path, times: int, *flags: str) -> dict[str, Any]:
    done = subprocess.run(
        [python, *flags, "-c", code, str(path), str(times)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    if done.returncode:
        raise SystemExit(f"{python} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout))


NEW = """
import json, sys
from benchmarks import replaying
task = json.loads(open(sys.argv[1]).read())
print(json.dumps(replaying.replay_here(task, int(sys.argv[2]))))
"""


def make_environment(name: str, place: Path, python: str) -> str:
    """The interpreter of an environment that has another engine, which is made if need be."""
    interpreter, packages = place / "bin" / "python", REPLAYERS[name].packages
    if not (place / ".made").exists():
        subprocess.run([python, "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(interpreter), "-m", "pip", "install", "-q"]
        subprocess.run([*pip, *["--no-deps"] * (len(packages) > 1), *packages], check=True)
        (place / ".made").touch()
    return str(interpreter)


def compare(width: int, others: dict[str, str], rounds: int) -> dict[str, float]:
    """How many times as fast as each of the others this flowy is; all must make the same decision.

    Args:
        others: their interpreters, by name.
    """
    task = make_task(width)
    took: dict[str, list[float]] = {"flowy": [], **{name: [] for name in others}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "task.json"
        path.write_text(json.dumps(task))
        for _ in range(rounds):
            made = {"flowy": replay_apart(sys.executable, NEW, path, 3)}
            for name, python in others.items():
                # -I: the flowy of its environment, not this one
                made[name] = replay_apart(python, REPLAYERS[name].program, path, 3, "-I")
            for name, each in made.items():
                types = [decision["decisionType"] for decision in each["decisions"]]
                assert types == ["CompleteWorkflowExecution"], (name, each["decisions"])
                took[name].append(each["seconds"])
    medians = {name: statistics.median(each) for name, each in took.items()}
    print(f"{len(task['events']):,} events, {width} at a time:")
    for name, seconds in medians.items():
        print(f"    {name:<12} {seconds * 1e3:6.0f} ms  {seconds / medians['flowy']:5.1f}")
    return {name: medians[name] / medians["flowy"] for name in others}


def grow(width: int) -> tuple[float, float]:
    """(seconds of the full history, cost per event of it over that of a fifth)"""
    costs = {}
    seconds = 0.0
    for events in (EVENTS // 5, EVENTS // 2, EVENTS):
        task = make_task(width, events)
        seconds = replay_here(task, 7)["seconds"]
        costs[events] = seconds / len(task["events"])
        each = costs[events] * 1e6
        what = f"{len(task['events']):,} events, {width} at a time"
        print(f"{what}: {seconds * 1e3:.1f} ms, {each:.2f} µs each")
    return seconds, costs[EVENTS] / costs[EVENTS // 5]


def late_over_early() -> float:
    """The cost of a decision of a kept run about event 20,000, over that about event 20."""
    bench = decider.KeptRuns()
    bench.setup()
    ratios = []
    for _ in range(ROUNDS):
        worker = decider.make_worker()
        took: list[tuple[int, float]] = []
        gc.collect()
        for task in bench.tasks:
            began = time.process_time()
            worker.decide(task)
            took.append((task["startedEventId"], time.process_time() - began))
        assert worker.kept.misses == 0
        worker.kept.clear()
        early = statistics.median(t for at, t in took if 20 <= at < 620)
        late = statistics.median(t for at, t in took if 20_000 <= at < 20_600)
        ratios.append(late / early)
    ratio = statistics.median(ratios)
    print(f"a decision about event 20,000 over one about event 20 ({early * 1e6:.0f} µs): {ratio:.2f}")
    return ratio


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replaying", description=__doc__)
    parser.add_argument("--place", default=".bench", help="where the environments are, and stay")
    parser.add_argument("--python", default=sys.executable, help="what makes them")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--alone", action="store_true", help="do not compare with other engines")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    missed = []
    for width in (1, 20):
        seconds, growth = grow(width)
        missed += [f"{seconds * 1e3:.0f} ms, not {FULL * 1e3:.0f}"] * (seconds > FULL)
        missed += [f"not linear: {growth:.2f}"] * (growth > GROWTH)
    ratio = late_over_early()
    missed += [f"a late decision costs {ratio:.2f} times an early one"] * (ratio > RATIO)
    if not given.alone:
        others = {
            name: make_environment(name, Path(given.place) / name.replace(" ", "-"), given.python)
            for name in REPLAYERS
        }
        best = max(max(compare(width, others, given.rounds).values()) for width in (20, 1))
        missed += [f"{best:.1f} times as fast as another engine at most, not {TIMES:.0f}"] * (
            best < TIMES
        )
    for line in missed:
        print(f"MISSED: {line}")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
