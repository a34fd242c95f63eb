"""Pictures of real runs, read by the tools that they are for.

Owns: that DOT is read by Graphviz, Mermaid by Mermaid's own parser, and Chrome's JSON by the rules of
its format; and that what they read is what the runs did: the graph of each example by a table, and of
random programs by the oracle. Graphviz and Mermaid (`make test-mermaid`) are used where they are there.
"""

from __future__ import annotations

import html
import itertools
import json
import math
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import programs as p
import pytest
from hypothesis import HealthCheck, assume, given, settings
from jsonschema import Draft202012Validator
from oracle import Oracle, answer, nodes_in
from test_examples import CASES, Case, local_workflow

import flowy
from flowy import LocalWorkflow, Retry
from flowy.trace import Attempt, Trace, chrome, dot, mermaid
from flowy.trace.chrome import BAD

HERE = Path(__file__).parent
MERMAID = HERE / "mermaid"
Graph = dict[str, set[str]]

# What each task of an example depends on. Of those where that is a matter of luck: None.
GRAPHS: dict[str, Graph | None] = {
    "Conditional": {"score-0-0": set(), "greeting-0-0": set(), "offer-0-0": {"greeting-0-0"}},
    "ErrorHandling": {"divide-0-0": set(), "half-0-0": {"divide-0-0"}},
    "First": None,
    "FirstTwo": None,
    "InOrder": {
        **{f"letters-0.{i}-0": set() for i in range(4)},
        "merge-0-0": {"letters-0.0-0", "letters-0.1-0"},
        "merge-1-0": {"merge-0-0", "letters-0.2-0"},
        "merge-2-0": {"merge-1-0", "letters-0.3-0"},
    },
    "InFinishOrder": None,
    "Parallel": None,
    "Warmest": {f"measure-{i}-0": set() for i in range(3)},
    "ParallelSum": {f"subtotal-{i}-0": set() for i in range(4)},
    "Collect": {"fetch-0-0": set()},
    "Sequence": {"fetch-0-0": set(), "split-0-0": {"fetch-0-0"}, "count-0-0": {"split-0-0"}},
    "Variance": {
        "mean-0-0": set(),
        "squares-0-0": {"mean-0-0"},
        "mean-1-0": {"squares-0-0"},
    },
    "MostVaried": {
        "variance-0-0": set(),
        "variance-1-0": set(),
        "mean-0-0": set(),
        "squares-0-0": {"mean-0-0"},
        "mean-1-0": {"squares-0-0"},
    },
    "SumOfSquares": {"square-0-0": set(), "square-1-0": set(), "add-0-0": {"square-0-0", "square-1-0"}},
}


def traced(w: LocalWorkflow, *args: Any) -> Trace:
    with tempfile.TemporaryDirectory() as folder:
        try:
            w.run(*args, _trace=f"{folder}/trace.dot")
        except (ValueError, TypeError):
            pass
    assert w.trace is not None
    return w.trace


_traces: dict[int, Trace] = {}


def trace_of(case: Case) -> Trace:
    number = CASES.index(case)
    if number not in _traces:
        _traces[number] = traced(local_workflow(case, "threads"), *case.args)
    return _traces[number]


def edges_of(trace: Trace) -> list[tuple[int, int]]:
    """By number, as runs have tasks of the same key."""
    return sorted((source, task.number) for task in trace for source in task.depends_on)


# ---- What the runs did.


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_graph_of_an_example_is_that_of_the_table(case: Case) -> None:
    trace = trace_of(case)
    expected = GRAPHS[case.factory]
    found = [(task.key, {trace[source].key for source in task.depends_on}) for task in trace]
    if expected is not None:
        assert {key for key, _ in found} == set(expected)
        assert all(depends == expected[key] for key, depends in found)
        return
    used = [key for _, depends in found for key in depends]
    assert len(used) == len(set(used)), "each result is used once"
    takers = {key: len(depends) for key, depends in found if depends}
    if case.factory == "First":
        assert takers == {"publish-0-0": 1}
    elif case.factory == "FirstTwo":
        assert takers == {"agree-0-0": 2}
    else:  # a reduction of four takes three calls of two
        assert takers == {f"merge-{i}-0": 2 for i in range(3)}
        assert len(found) == 7


# ---- DOT.


def read_dot(text: str) -> tuple[dict[int, str], list[tuple[int, int]]]:
    """Labels by number, and the dependencies that Graphviz finds."""
    program = shutil.which("dot")
    if program is None:
        pytest.skip("Graphviz is not installed")
    done = subprocess.run(
        [program, "-Tdot_json"], input=text, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), text
    made = json.loads(done.stdout)
    names = {x["_gvid"]: x["name"] for x in made["objects"] if re.fullmatch(r"n\d+", x["name"])}
    labels = {int(x["name"][1:]): x["label"] for x in made["objects"] if x["_gvid"] in names}
    edges = [
        (int(names[edge["tail"]][1:]), int(names[edge["head"]][1:]))
        for edge in made.get("edges", ())
        if edge.get("style") not in ("invis", "dotted")
    ]
    return labels, sorted(edges)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_graphviz_reads_the_examples(case: Case) -> None:
    trace = trace_of(case)
    labels, edges = read_dot(dot(trace))
    assert edges == edges_of(trace)
    assert {n: label.split("\\n")[0] for n, label in labels.items()} == {t.number: t.key for t in trace}


# ---- Mermaid.


def read_mermaid(texts: list[str]) -> list[tuple[dict[int, str], list[tuple[int, int]]]]:
    """The same, by Mermaid's parser."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if not (MERMAID / "node_modules" / "mermaid").is_dir():
        pytest.skip("Mermaid is not installed: make test-mermaid")
    done = subprocess.run(
        [node, "parse.mjs"],
        input=json.dumps(texts),
        cwd=MERMAID,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    found = []
    for text, answered in zip(texts, json.loads(done.stdout), strict=True):
        assert "error" not in answered, f"{answered.get('error')}\n{text}"
        labels = {
            int(name[1:]): plain(label or "")
            for name, label in answered["nodes"].items()
            if name.startswith("n")
        }
        pairs = [(a, b) for a, b, _ in answered["edges"] if b.startswith("n")]
        found.append((labels, sorted((int(a[1:]), int(b[1:])) for a, b in pairs)))
    return found


def plain(label: str) -> str:
    """A label without Mermaid's own way to keep entities through its parser."""
    return html.unescape(label.replace("ﬂ°°", "&#").replace("ﬂ°", "&").replace("¶ß", ";"))


def test_mermaid_reads_the_examples() -> None:
    traces = [trace_of(case) for case in CASES]
    found = read_mermaid([mermaid(trace) for trace in traces])
    for trace, (labels, edges) in zip(traces, found, strict=True):
        assert edges == edges_of(trace)
        assert {n: re.split(r"<br ?/?>", label)[0] for n, label in labels.items()} == {
            task.number: task.key for task in trace
        }


def test_a_broken_text_is_told_by_mermaid() -> None:
    with pytest.raises(AssertionError, match="Parse error"):
        read_mermaid(["flowchart TD\n  n0 --> [\n"])


HOSTILE = [
    'say "no" \\N \\" \\',
    "<script>alert(1)</script>",
    "end",
    "a]] --> b[(x)]|y|",
    "x;%% {init: 1}%%",
    "#35;&amp;&#60;`**md**`",
    "ü 漢字 🙂 \u202e",
    "\x00\x1b[2J\n\r",
    "style n0 fill:red",
    "",
]


def hostile() -> Trace:
    """Whatever things are called, and come to."""
    trace = Trace()
    before: list[int] = []
    for time, text in enumerate(HOSTILE):
        row = trace.add(text, depends_on=before[-2:], started=time, ended=time + 0.5, attempts=2)
        trace.columns.values[row] = text
        before.append(row)
        failed = trace.add(text, depends_on=[row], started=time + 0.5, ended=time + 1, outcome="failed")
        trace.columns.errors[failed] = text
    return trace


def test_hostile_names_harm_no_parser() -> None:
    trace = hostile()
    labels, edges = read_dot(dot(trace))
    assert edges == edges_of(trace)
    assert len(labels) == len(trace)
    assert labels[0].startswith(r'say "no" \\N \\" \\-0-1'), (
        "backslashes are doubled, so they mean nothing"
    )
    ((labels, edges),) = read_mermaid([mermaid(trace)])
    assert edges == edges_of(trace)
    assert labels[0].startswith('say "no" \\N \\" \\-0-1')
    assert labels[2].startswith("<script>alert(1)</script>-0-1"), "as text, which is what entities are"
    check_chrome(trace)


# ---- Random programs.


def draw_like_the_oracle(kept: list[tuple[Trace, Graph]]) -> None:
    @given(program=p.programs(p.Grammar(orders=False, fails=False)))
    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def run(program: p.Program) -> None:
        program = p.without_reductions(program)
        oracle = Oracle(program, (), {})
        running = oracle.start()
        while not oracle.ended:
            running += oracle.feed(answer(program, running.pop(0)))
        expected = {
            node.key: {source.key for source in nodes_in(node.call)}
            for node in oracle.nodes
            if node.call
        }
        assume(expected)
        assume(all("@" not in key and key for sources in expected.values() for key in sources))
        assume(not any(key.startswith("sub-") for key in expected))
        w = LocalWorkflow(p.workflow(lambda: program, sub=False), executor="inline")
        for name in ("inc", "add", "join", "flaky"):
            w.conf_activity(name, p.ACTIVITIES[name])
        kept.append((traced(w), expected))

    run()


@pytest.fixture(scope="module")
def programs() -> list[tuple[Trace, Graph]]:
    kept: list[tuple[Trace, Graph]] = []
    draw_like_the_oracle(kept)
    assert any(any(expected.values()) for _, expected in kept)
    return kept


def by_key(trace: Trace, edges: list[tuple[int, int]]) -> Graph:
    found: Graph = {task.key: set() for task in trace}
    for source, target in edges:
        found[trace[target].key].add(trace[source].key)
    return found


def test_what_is_drawn_of_random_programs_is_what_the_oracle_put_in(
    programs: list[tuple[Trace, Graph]],
) -> None:
    for trace, expected in programs:
        _, edges = read_dot(dot(trace))
        drawn = by_key(trace, edges)
        assert drawn == {key: expected[key] for key in drawn}
    found = read_mermaid([mermaid(trace) for trace, _ in programs])
    for (trace, expected), (_, edges) in zip(programs, found, strict=True):
        drawn = by_key(trace, edges)
        assert drawn == {key: expected[key] for key in drawn}


# ---- Chrome's JSON, by "Trace Event Format" (Google): its fields by a schema, and what that can't say.

FORMAT = Draft202012Validator(json.loads((HERE / "trace_event_format.json").read_text()))


def check_chrome(trace: Trace) -> dict[str, list[dict[str, Any]]]:
    """Raises AssertionError where the rules are broken; the events by phase."""
    made = json.loads(chrome(trace), parse_constant=pytest.fail)
    FORMAT.validate(made)
    events: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in made["traceEvents"]:
        events[one["ph"]].append(one)
    named = {one["tid"] for one in events["M"] if one["name"] == "thread_name"}
    assert named >= {one["tid"] for phase in "Xbesf" for one in events[phase]}
    check_slices(events["X"])
    check_pairs(events["b"], events["e"], ("cat", "id"))
    check_pairs(events["s"], events["f"], ("cat", "id", "name"))
    for one in (*events["s"], *events["f"]):
        bars = [x for x in (*events["X"], *events["b"]) if x["tid"] == one["tid"]]
        assert any(x["ts"] - 1 <= one["ts"] <= x["ts"] + x.get("dur", 1e18) + 1 for x in bars)
    return events


def check_slices(bars: list[dict[str, Any]]) -> None:
    """Complete events of one thread nest, or are apart."""
    by_thread = defaultdict(list)
    for bar in bars:
        assert bar["dur"] >= 0
        by_thread[bar["pid"], bar["tid"]].append((bar["ts"], bar["ts"] + bar["dur"]))
    for spans in by_thread.values():
        spans.sort()
        for (_, ended), (began, _) in itertools.pairwise(spans):
            assert began >= ended - 1, "a worker does one thing at a time"


def check_pairs(begins: list[Any], ends: list[Any], key: tuple[str, ...]) -> None:
    """Each begins once and ends once, not before."""
    began = {tuple(one[k] for k in key): one["ts"] for one in begins}
    ended = {tuple(one[k] for k in key): one["ts"] for one in ends}
    assert len(began) == len(begins)
    assert len(ended) == len(ends)
    assert began.keys() == ended.keys()
    assert all(ended[k] >= began[k] - 1 for k in began)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_chrome_reads_the_examples(case: Case) -> None:
    trace = trace_of(case)
    events = check_chrome(trace)
    ran = [task for task in trace if task.ended >= task.started]
    tried = [one for task in trace for one in task.earlier if one.ended >= one.started]
    assert len(events["X"]) + len(events["b"]) == len(ran) + len(tried)
    arrows = [
        (s, t) for s, t in edges_of(trace) if trace[s].ended and trace[t].started == trace[t].started
    ]
    assert len(events["s"]) == len(arrows)


def test_the_rules_are_those_that_a_bad_trace_breaks() -> None:
    with pytest.raises(AssertionError, match="one thing at a time"):
        check_slices([{"pid": 1, "tid": 1, "ts": t, "dur": 50.0} for t in (0.0, 20.0)])
    with pytest.raises(AssertionError):
        check_pairs([{"id": 1, "ts": 0}], [], ("id",))
    good = {"ph": "X", "pid": 1, "tid": 1, "name": "f", "cat": "activity", "ts": 0.5, "dur": 1}
    assert FORMAT.is_valid({"traceEvents": [good]})
    bad: list[dict[str, Any]] = [
        {"ph": "Q"},
        {"pid": "1"},
        {"ts": -1},
        {"ts": None},
        {"dur": -0.5},
        {"duration": 3},
        {"cname": "crimson"},
        {"args": []},
        {"ph": "b"},  # which has no duration, and needs an id
    ]
    for change in bad:
        assert not FORMAT.is_valid({"traceEvents": [good | change]}), change
    for missing in ("ph", "pid", "tid", "name", "ts", "dur"):
        assert not FORMAT.is_valid({"traceEvents": [{k: good[k] for k in good if k != missing}]})


def test_earlier_attempts_are_bars_of_their_own() -> None:
    trace = Trace()
    trace.add("g", started=0.0, ended=1.0, worker=1)
    row = trace.add('a"b', depends_on=[0], started=6.0, ended=7.0, worker=1, attempts=4, index=12)
    trace.columns.earlier[row] = (
        Attempt(2, 1.0, 1.5, 2.0, "failed", "ValueError: oh\n\nwhere it ran:\n…"),
        Attempt(0, 2.0, 2.0, 5.0, "timed out", "too late"),
        Attempt(1, math.nan, math.nan, math.nan, "worker died", "nobody knows when"),
    )
    events = check_chrome(trace)
    first = next(x for x in events["X"] if x["tid"] == 2)
    assert (first["name"], first["ts"], first["dur"], first["cname"]) == ('a"b', 1.5e6, 5e5, BAD)
    assert first["args"] == {
        "key": 'a"b-0.12-0',
        "attempt": 1,
        "outcome": "failed",
        "error": trace[row].earlier[0].error,
    }
    (late,) = events["b"]
    assert (late["args"]["key"], late["args"]["outcome"], late["ts"]) == ('a"b-0.12-1', "timed out", 2e6)
    last = [x for x in events["X"] if x["tid"] == 1]
    assert [x["args"]["key"] for x in last] == ["g-0-0", 'a"b-0.12-3']
    assert all("cname" not in x for x in last)


def test_retries_timers_and_sub_workflows_are_drawn(tmp_path: Path) -> None:
    def flaky(here: Path) -> int:
        (here / f"try-{len(list(here.iterdir()))}").touch()
        if len(list(here.iterdir())) < 3:
            raise ValueError("not yet")
        return 1

    class Sub:
        def __init__(self, f: Any) -> None:
            self.f = f

        def __call__(self, here: Path) -> Any:
            return [self.f(here), flowy.timer(0.001)]

    here = tmp_path / "tries"
    here.mkdir()
    w = LocalWorkflow(lambda sub: lambda: sub(here), 2, executor="threads")
    inner = LocalWorkflow(Sub)
    inner.conf_activity("f", flaky, retry=Retry(attempts=3, delay=0.001))
    w.conf_workflow("sub", inner)
    w.run(_trace=tmp_path / "x.dot")
    trace = w.trace
    assert trace is not None
    labels, _ = read_dot(dot(trace))
    assert "2 retries" in labels[1]
    assert labels[2].startswith("@timer-0-0")
    events = check_chrome(trace)
    assert len(events["b"]) == 2
