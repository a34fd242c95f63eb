"""What a notebook shows of workflows, runs and traces.

Owns: that it is well-formed, says what it should, stays small, and that no name or value can do harm.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from xml.dom import minidom

from flowy import LocalWorkflow, Retry
from flowy.trace import Trace

HOSTILE = "</td></svg><script>alert(1)</script>'\"\x00\x1b[2J\u202e" + "x" * 10_000


class Tags(HTMLParser):
    """The tags that a browser would see; raises where one is closed that is not open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(text: str) -> None:
    """What holds of all: it is whole, and none of it can run."""
    tags = Tags(text)
    assert not tags.open
    assert not tags.seen & {"script", "iframe", "object", "link", "img", "foreignobject", "style", "a"}
    assert not [name for name in tags.attributes if name.startswith("on")]
    assert not re.search("[\x00-\x08\x0b-\x1f]", text)
    minidom.parseString(text.replace("&nbsp;", " "))


def make() -> LocalWorkflow:
    w = LocalWorkflow(lambda f, g, sub: lambda n: [g(f(i)) for i in range(n)], executor="threads")
    w.conf_activity("f", lambda x: x + 1, retry=Retry(attempts=3), heartbeat=5)
    w.conf_activity("g", str)
    w.conf_workflow("sub", lambda: lambda: 1)
    return w


def test_a_workflow_shows_what_stands_behind_each_name() -> None:
    shown = make()._repr_html_()
    check(shown)
    assert all(f">{name}</td>" in shown for name in ("f", "g", "sub"))
    assert "heartbeat=5.0" in shown or "Retry(attempts=3" in shown
    assert "workflow" in shown


def test_a_run_shows_how_far_it_is() -> None:
    run = make().start(7)
    assert run.result(20)
    shown = run._repr_html_()
    check(shown)
    assert run.id in shown
    assert "completed" in shown
    assert shown.count("7/7") == 2


def test_a_trace_shows_a_table_and_a_timeline() -> None:
    trace = Trace(workers=2)
    a = trace.add("load", worker=1, started=0.0, ended=2.0)
    trace.add("parse", depends_on=[a], worker=2, started=2.0, ended=5.0, outcome="failed")
    shown = trace._repr_html_()
    check(shown)
    assert "critical path: 5 s: parse 3 s, load 2 s" in shown
    titles = re.findall(r"<title>(.*?)</title>", shown)
    assert titles == ["load, from 0 µs", "parse, from 2 s"]
    bars = [tuple(map(float, x)) for x in re.findall(r"<rect x='(.*?)' y='.*?' width='(.*?)'", shown)]
    assert bars == [(0.0, 360.0), (360.0, 540.0)]
    assert "2 workers" in shown


def test_a_trace_without_times_has_no_timeline() -> None:
    trace = Trace()
    trace.add("load")
    check(trace._repr_html_())
    assert "<svg" not in trace._repr_html_()
    check(Trace()._repr_html_())


def test_a_large_trace_stays_small() -> None:
    trace = Trace(workers=40)
    for i in range(20_000):
        trace.add(f"name {i % 50}", worker=1 + i % 40, started=i / 40, ended=i / 40 + 0.7 + i % 3)
    shown = trace._repr_html_()
    check(shown)
    assert len(shown) < 1_000_000
    assert "24 more workers" in shown
    assert "39 more names" in shown


def test_nothing_hostile_does_anything() -> None:
    trace = Trace()
    trace.add(HOSTILE, worker=1, started=0.0, ended=1.0)
    trace.columns.errors[0] = HOSTILE
    shown = trace._repr_html_()
    check(shown)
    assert len(shown) < 20_000

    class Factory:
        def __init__(self, f: Any) -> None:
            self.f = f

        def __call__(self) -> Any:
            return self.f()

    def activity() -> int:
        return 1

    Factory.__qualname__ = activity.__qualname__ = HOSTILE
    w = LocalWorkflow(Factory, executor="inline")
    w.conf_activity("f", activity)
    check(w._repr_html_())
    assert len(w._repr_html_()) < 20_000


def test_real_traces(tmp_path: Any) -> None:
    w = make()
    w.run(30, _trace=tmp_path / "t.json")
    assert w.trace is not None
    check(w.trace._repr_html_())
