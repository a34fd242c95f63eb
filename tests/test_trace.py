"""Traces: what they hold, what is made of them, and how they are drawn.

Owns: traces made by hand and from histories. Those of real runs are in `test_tracing`.
"""

from __future__ import annotations

import base64
import json
import math
import random
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import pytest

from flowy import UsageError, pictures
from flowy.testing.histories import HistoryBuilder
from flowy.trace import Attempt, Execution, Trace, chrome, dot, files, mermaid
from flowy.trace.graph import draw
from flowy.trace.record import WIDTHS

HOSTILE = [
    '"',
    "\\",
    '\\"',
    "</script><script>alert(1)</script>",
    "a\nb\r\0\x1b[31m",
    "\\N \\G %s {}",
    "]]>-->",
    "x" * 100_000,
    "end",
    "\u202etxt",
    "#quot; ; & |",
    "\ud800",
]


def diamond() -> Trace:
    trace = Trace()
    a = trace.add("a", ready=0.0, sent=0.0, started=0.0, ended=1.0, worker=1)
    b = trace.add("b", depends_on=[a], ready=1.0, sent=1.0, started=1.0, ended=4.0, worker=1)
    c = trace.add("c", depends_on=[a], ready=1.0, sent=1.0, started=1.5, ended=2.5, worker=2)
    trace.add("d", depends_on=[b, c], ready=4.0, sent=4.0, started=4.0, ended=4.5, worker=2)
    return trace


def fan(n: int, *, width: float = 1.0) -> Trace:
    """One source, `n` that need it, and one that needs all of those."""
    trace = Trace()
    source = trace.add("load", started=0.0, ended=width)
    middle = [
        trace.add("parse", index=i, depends_on=[source], started=width, ended=2 * width)
        for i in range(n)
    ]
    trace.add("merge", depends_on=middle, started=2 * width, ended=3 * width)
    return trace


def test_a_task_tells_all_that_is_known() -> None:
    trace = diamond()
    task = trace[2]
    assert (task.key, task.worker, task.depends_on, task.outcome) == ("c-0-0", 2, (0,), "completed")
    assert (task.ready, task.sent, task.started, task.ended) == (1.0, 1.0, 1.5, 2.5)
    assert task.seconds == 1.0
    assert trace.seconds == 4.5
    assert math.isnan(trace[trace.add("x")].seconds)
    with pytest.raises(IndexError, match="no task 9"):
        trace[9]


def test_a_task_depends_only_on_those_before_it() -> None:
    trace = Trace()
    with pytest.raises(UsageError, match="only those before it"):
        trace.add("a", depends_on=[0])
    with pytest.raises(UsageError, match="only those before it"):
        trace.add("a", after=0)
    with pytest.raises(UsageError, match="kinds"):
        trace.add("a", kind="job")
    assert len(trace) == 0


def test_a_task_with_a_dependency_takes_at_most_64_bytes() -> None:
    trace = Trace()
    for i in range(1000):
        trace.add("f", depends_on=[i - 1] if i else [])
    assert trace.nbytes <= 64 * 1000


def test_the_critical_path() -> None:
    path = diamond().critical_path()
    assert [task.name for task in path.tasks] == ["a", "b", "d"]
    assert path.seconds == 4.5
    assert path.by_name == {"b": 3.0, "a": 1.0, "d": 0.5}
    assert Trace().critical_path().tasks == []


def test_the_critical_path_goes_through_sub_workflows_and_waits() -> None:
    trace = Trace()
    trace.columns.runs.append(Execution("r", "root", -1))
    first = trace.add("first", started=0.0, ended=1.0)
    child = trace.add("child", kind="workflow", depends_on=[first], started=1.0, ended=4.0)
    trace.columns.runs.append(Execution("r/child", "child", child))
    inner = trace.add("inner", run=1, started=1.0, ended=2.0)
    trace.add("quick", run=1, started=1.0, ended=1.1)
    trace.add("late", run=1, after=inner, started=2.0, ended=3.9)
    trace.add("last", depends_on=[child], started=4.0, ended=5.0)
    assert [t.name for t in trace.critical_path().tasks] == ["first", "inner", "late", "last"]
    assert trace.predict([1])[0].seconds == pytest.approx(1 + 1 + 0.1 + 1.9 + 1)
    assert trace.predict([2])[0].seconds == pytest.approx(1 + 1 + 1.9 + 1)


def test_the_summary() -> None:
    trace = Trace()
    for i in range(100):
        trace.add("f", index=i, started=0.0, ended=float(i + 1), attempts=1 + (i == 7))
    trace.add("g", outcome="failed", started=0.0, ended=0.5)
    trace.add("h", outcome="open")
    f, g, h = trace.summary()
    assert f[:2] == ("f", 100)
    assert (f.mean, f.p50, f.p95, f.total) == (50.5, 50.0, 95.0, 5050.0)
    assert (f.failures, f.retries, g.failures) == (0, 1, 1)
    assert (h.tasks, h.total, h.failures) == (1, 0.0, 0)


def test_waits_are_counted_once_for_each_wait() -> None:
    trace = Trace()
    before = -1
    for i in range(5):
        row = trace.add("step", call=i, after=before, ready=float(i), started=float(i), ended=i + 1.0)
        trace.add("side", call=i, after=before, ready=float(i), started=float(i), ended=i + 0.1)
        before = row
    (wait,) = trace.waits()
    assert (wait.name, wait.times, wait.seconds) == ("step", 4, 4.0)


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_predict_is_list_scheduling(workers: int) -> None:
    """Against a simulation in steps of one tick, written as naively as can be."""
    choose = random.Random(workers)
    for _ in range(30):
        trace, ticks = Trace(), []
        for row in range(choose.randint(1, 30)):
            sources = choose.sample(range(row), min(row, choose.choice((0, 0, 1, 2))))
            ticks.append(choose.randint(1, 9))
            trace.add("f", depends_on=sources, started=0.0, ended=float(ticks[-1]))
        assert trace.predict([workers])[0].seconds == naive(trace, ticks, workers)


def naive(trace: Trace, ticks: list[int], workers: int) -> int:
    left, clock = dict(enumerate(ticks)), 0
    queue: list[int] = []
    running: list[int] = []
    done: set[int] = set()
    waiting = list(left)
    while len(done) < len(ticks):
        newly = [row for row in waiting if set(trace[row].depends_on) <= done]
        queue += newly
        waiting = [row for row in waiting if row not in newly]
        while queue and len(running) < workers:
            running.append(queue.pop(0))
        clock += 1
        for row in list(running):
            left[row] -= 1
            if not left[row]:
                running.remove(row)
                done.add(row)
    return clock


def test_predict_tells_what_it_cannot_do() -> None:
    with pytest.raises(UsageError, match="from 1 on, not 0"):
        diamond().predict([0])
    trace = Trace()
    trace.add("f")
    with pytest.raises(UsageError, match="no times"):
        trace.predict([2])


def test_a_trace_comes_back_from_its_file(tmp_path: Path) -> None:
    trace = diamond()
    trace.columns.runs.append(Execution("id", "name", -1))
    trace.add('na"me', outcome="open", attempts=3)
    trace.columns.errors[1] = "oh\ud800"
    trace.save(tmp_path / "t.json")
    again = Trace.load(tmp_path / "t.json")
    assert again == trace
    assert again[1].error == "oh\ud800"
    assert again != fan(2)


def large() -> Trace:
    """Enough that its columns are packed, with something of each sort."""
    trace = fan(files.PACKED_FROM)
    trace.columns.runs.append(Execution("id", "name", -1))
    again = Attempt(1, 0.0, math.nan, 1.5, "failed", "oh")
    trace.columns.earlier[7], trace.columns.errors[8] = (again,), "no\ud800"
    trace.add("f", started=math.nan, outcome="open", worker=-3, attempts=65_535, line="a.py:1")
    return trace


def test_a_large_trace_comes_back_from_a_small_file(tmp_path: Path) -> None:
    trace = large()
    trace.save(tmp_path / "t.json")
    again = Trace.load(tmp_path / "t.json")
    assert again == trace
    for column in (*WIDTHS, "first", "sources"):
        assert getattr(again.columns, column).tobytes() == getattr(trace.columns, column).tobytes()
    assert again[7].earlier[0].ended == 1.5
    assert (tmp_path / "t.json").stat().st_size < 10 * len(trace)


def test_traces_of_before_are_read(tmp_path: Path) -> None:
    """In version 2 columns were lists, however many tasks there were."""
    trace = large()
    trace.save(tmp_path / "t.json")
    record = json.loads((tmp_path / "t.json").read_text()) | {"version": 2}
    for column in (*WIDTHS, "first", "sources"):
        record[column] = [None if x != x else x for x in getattr(trace.columns, column)]
    (tmp_path / "t.json").write_text(json.dumps(record))
    again = Trace.load(tmp_path / "t.json")
    assert repr(list(again)) == repr(list(trace))


def packed(data: bytes, numbers: object) -> dict[str, object]:
    return {"numbers": numbers, "zlib": base64.b64encode(zlib.compress(data)).decode()}


@pytest.mark.parametrize(
    "column",
    [
        packed(bytes(4 * 99), 100),
        packed(bytes(4 * 99), 98),
        packed(bytes(10**7), 4),  # no more is unpacked than that
        packed(bytes(16), -1),
        packed(bytes(16), "x"),
        packed(bytes(16), None),
        packed(b"\xff" * 16, 4),
        {"numbers": 4, "zlib": "no base64!"},
        {"numbers": 4, "zlib": base64.b64encode(b"no zlib").decode()},
        {"numbers": 4, "zlib": 7},
        {"numbers": 4},
        {},
        "abcd",
        7,
        None,
    ],
    ids=repr,
)
def test_a_broken_column_is_told(column: object, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    diamond().save(file)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"name": column}))
    with pytest.raises(UsageError, match=r"t\.json is a broken trace"):
        Trace.load(file)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"form": "x"}, "no trace of flowy"),
        ({"version": 9}, "version 9"),
        ({"sources": [0, 0, 1, 7]}, "task 3 depends"),
        ({"first": [0, 1]}, "equally long"),
        ({"name": [0, 1, 2, 99]}, "name is out of range"),
        ({"kind": [0, 1, 2, 99]}, "kind is out of range"),
        ({"after": [0, -1, -1, -1]}, "task 0 comes after"),
        ({"worker": [0, 0, 0, 70000]}, "broken trace"),
        ({"names": None}, "broken trace"),
        ({"runs": [["", "", 2]]}, "run 0"),
        ({"started": ["x"] * 4}, "broken trace"),
    ],
)
def test_a_broken_file_is_told(change: dict[str, object], complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    diamond().save(file)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UsageError, match=complaint):
        Trace.load(file)


def arrows_of_dot(text: str) -> set[tuple[int, int]]:
    lines = (x for x in text.splitlines() if "invis" not in x and "dotted" not in x)
    found = (re.match(r"  n(\d+) -> n(\d+)", line) for line in lines)
    return {(int(m[1]), int(m[2])) for m in found if m}


def arrows_of_mermaid(text: str) -> set[tuple[int, int]]:
    found = (re.match(r"  n(\d+) -->(?:\|.*\|)? n(\d+)$", line) for line in text.splitlines())
    return {(int(m[1]), int(m[2])) for m in found if m}


def test_a_small_graph_is_drawn_task_by_task() -> None:
    trace = diamond()
    trace.columns.values[0] = "17"
    edges = {(0, 1), (0, 2), (1, 3), (2, 3)}
    assert arrows_of_dot(dot(trace)) == arrows_of_mermaid(mermaid(trace)) == edges
    assert 'n0 -> n1 [label="17"]' in dot(trace)
    assert [re.findall(r"n\d+", x) for x in dot(trace).splitlines() if "rank=same" in x] == [
        ["n0"],
        ["n1", "n2"],
        ["n3"],
    ]


def test_shapes_and_colours() -> None:
    trace = Trace()
    trace.columns.runs.append(Execution("", "root", -1))
    trace.add("a", outcome="failed")
    trace.add("b", attempts=3)
    child = trace.add("c", kind="workflow")
    trace.columns.runs.append(Execution("", "inner", child))
    trace.add("d", run=1)
    trace.add("e", outcome="open")
    text = dot(trace)
    boxes = {m[1]: m[0] for m in re.finditer(r"n(\d) \[label.*\];", text)}
    assert "color=red" in boxes["0"]
    assert "shape=ellipse" in boxes["0"]
    assert "color=orange" in boxes["1"]
    assert "2 retries" in boxes["1"]
    assert "shape=box" in boxes["2"]
    assert "style=dashed" in boxes["4"]
    frame = text[text.index("subgraph cluster_1") :]
    assert "n3 [" in frame[: frame.index("}")]
    assert 'label="inner"' in frame
    assert "class n0 failed" in mermaid(trace)
    assert "class n1 again" in mermaid(trace)


def test_many_tasks_are_a_picture_of_a_few_groups() -> None:
    drawing = draw(fan(100_000).columns)
    assert [(box.label, box.count) for box in drawing.boxes] == [
        ("load", 1),
        ("parse", 100_000),
        ("merge", 1),
    ]
    assert drawing.arrows == {(0, 1): 100_000, (1, 2): 100_000}
    assert drawing.boxes[1].seconds == 100_000
    text = dot(fan(600))
    assert "parse × 600" in text
    assert "600 s in all" in text
    assert 'label="600"' in text
    assert len(draw(fan(400).columns).boxes) == 402


def test_sub_workflows_of_a_group_are_one_frame() -> None:
    trace = Trace()
    trace.columns.runs.append(Execution("", "root", -1))
    children = [trace.add("child", kind="workflow", call=i) for i in range(1000)]
    for i, child in enumerate(children):
        trace.columns.runs.append(Execution("", "child", child))
        trace.add("work", run=i + 1)
    drawing = draw(trace.columns)
    assert [(box.label, box.count, box.run) for box in drawing.boxes] == [
        ("child", 1000, 0),
        ("work", 1000, 1),
    ]
    assert [frame.count for frame in drawing.frames] == [1, 1000]


def hostile() -> Trace:
    trace = Trace()
    trace.columns.runs.append(Execution("", HOSTILE[0], -1))
    for i, text in enumerate(HOSTILE):
        row = trace.add(text, depends_on=[i - 1] if i else [], outcome="failed", started=0.0, ended=1.0)
        trace.columns.values[row] = trace.columns.errors[row] = text
    return trace


def test_hostile_names_and_values_are_harmless() -> None:
    trace = hostile()
    text = dot(trace)
    text.encode()
    assert len(text) < 20_000
    strings = re.sub(r'"(?:[^"\\\n]|\\.)*"', "S", text)
    assert re.fullmatch(r"[\w\s{}\[\]=,;>.-]*", strings), strings
    text = mermaid(trace)
    text.encode()
    for line in text.splitlines():
        strings = re.sub(r'"[^"<>;&|\\\[\]{}]*"', "S", re.sub(r"#\d+;", "", line).replace("<br/>", ""))
        assert re.fullmatch(r"[\w\s,:]*(-->\|S\| n\d+|\(\[S\]\))?", strings), line
    events = json.loads(chrome(trace))["traceEvents"]
    assert {e["name"] for e in events if e.get("cat") == "activity"} == set(HOSTILE)


def test_the_same_groups_in_hostile_names() -> None:
    assert "×" in dot(fan(600))
    assert arrows_of_mermaid(mermaid(fan(600))) == {(0, 1), (1, 2)}


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize("make", [diamond, hostile, lambda: fan(600), Trace])
def test_graphviz_reads_it(make: object) -> None:
    assert callable(make)
    assert pictures.to_svg(make()).rstrip().endswith("</svg>")
    done = subprocess.run(
        ["dot", "-Tplain"], input=dot(make()).encode(), capture_output=True, check=True
    )
    assert done.stderr == b""


def test_the_chrome_trace_has_bars_rows_and_arrows() -> None:
    trace = diamond()
    trace.add("nap", kind="timer", started=0.0, ended=1.0)
    trace.add("never", outcome="open")
    events = json.loads(chrome(trace))["traceEvents"]
    bars = [(e["name"], e["tid"], e["ts"], e["dur"]) for e in events if e["ph"] == "X"]
    assert bars == [("a", 1, 0, 1e6), ("b", 1, 1e6, 3e6), ("c", 2, 1.5e6, 1e6), ("d", 2, 4e6, 0.5e6)]
    assert [e["ph"] for e in events if e["name"] == "nap"] == ["b", "e"]
    assert not [e for e in events if e["name"] == "never"]
    assert {e["args"]["name"] for e in events if e["name"] == "thread_name"} >= {"worker 1", "worker 2"}
    assert len([e for e in events if e["ph"] == "s"]) == len([e for e in events if e["ph"] == "f"]) == 4


def test_files_go_by_their_ending(tmp_path: Path) -> None:
    trace = diamond()
    for name, start in (
        ("t.dot", "digraph"),
        ("t.mmd", "flowchart"),
        ("t.chrome.json", '{"traceEvents"'),
        ("t.json", '{"form":"flowy trace"'),
    ):
        pictures.check_target(tmp_path / name)
        pictures.write(trace, tmp_path / name)
        assert (tmp_path / name).read_text().startswith(start)
    with pytest.raises(UsageError, match=r"t\.png': it goes by the ending"):
        pictures.check_target(tmp_path / "t.png")
    with pytest.raises(UsageError, match="there is no directory"):
        pictures.check_target(tmp_path / "none" / "t.dot")


def test_without_graphviz_svg_is_refused_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="apt install graphviz"):
        pictures.check_target(tmp_path / "t.svg")
    with pytest.raises(UsageError, match="apt install graphviz"):
        pictures.write(diamond(), tmp_path / "t.svg")
    assert not (tmp_path / "t.svg").exists()


def test_a_history_is_a_trace() -> None:
    h = HistoryBuilder().started(input="[1]")
    h = h.activity_scheduled("a-0-0", ("a", "1"), "[1]").activity_scheduled("b-0-0", ("b", "1"), "[2]")
    h = h.after(2).activity_started("a-0-0", "w1").after(3).activity_failed("a-0-0", "oh")
    h = h.activity_scheduled("a-0-1", ("a", "1"), "[1]").timer_started("nap", 5)
    h = h.activity_started("a-0-1", "w2").after(4).activity_completed("a-0-1", "1")
    h = h.child_initiated("x:sub-0-0", ("sub", "1"), "[]").completed("1")
    trace = Trace.from_swf(json.dumps(h.history(), default=str))
    a, b, nap, sub = trace
    assert (a.key, a.attempts, a.outcome, a.worker, a.error) == ("a-0-1", 2, "completed", 1, "")
    assert (a.seconds, a.started - a.ready) == pytest.approx((4.0, 5.0), abs=0.01)
    assert (b.key, b.outcome, b.worker, b.after) == ("b-0-0", "open", 0, -1)
    assert (nap.key, nap.kind, nap.outcome, nap.after) == ("nap", "timer", "open", 0)
    assert (sub.key, sub.kind, sub.name, sub.after) == ("sub-0-0", "workflow", "sub", 0)
    assert Trace.from_swf(h.events()) == trace
    assert trace.summary()[0][:2] == ("a", 1)
    assert arrows_of_dot(dot(trace)) == set()
    with pytest.raises(UsageError, match="history is"):
        Trace.from_swf({"no": 1})
