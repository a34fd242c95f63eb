"""The HTML page of a trace: its bytes, and what it is in a real browser.

Owns: that the page holds what the trace holds, that nothing in a trace can act in it, and that one can
zoom in it, find a task and read a traceback, with ten tasks as with a million. How fast that is, is
measured in `benchmarks/page.py`. Tests in the browser are skipped where no Chromium is installed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import random
import re
import sys
import zlib
from array import array
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from browser import browser, find, opened
from playwright.sync_api import BrowserContext, Dialog, Page, expect
from test_trace import HOSTILE, diamond, fan, hostile

from flowy import LocalWorkflow, TaskError, pictures
from flowy.testing.histories import HistoryBuilder
from flowy.trace import Execution, Trace, html
from flowy.trace.page import facts
from flowy.trace.record import Attempt, Stop

needs_browser = pytest.mark.skipif(find() is None, reason="no Chromium is installed")
TRACEBACK = 'Traceback (most recent call last):\n  File "<b>.py", line 3, in f\nValueError: 7 & <i>8</i>'


def work(n: int, workers: int = 4) -> Trace:
    """`n` tasks on some workers; a few failed, a few were tried again."""
    choose = random.Random(n)
    trace = Trace(workers=workers)
    trace.columns.runs.append(Execution("", "Work", -1))
    free = [100.0] * workers
    for row in range(n):
        name = ("load", "parse", "index")[row % 3]
        source = row - 1 - choose.randrange(min(row, 50)) if row % 3 else -1
        worker = min(range(workers), key=free.__getitem__)
        ready = trace.columns.ended[source] if source >= 0 else 100.0
        started = max(free[worker], ready) + 1e-5
        free[worker] = ended = started + choose.expovariate(1000) + 1e-5
        failed = row % 3 == 2 and choose.random() < 0.01
        trace.columns.add(
            name,
            call=row // 3,
            depends_on=[source] if source >= 0 else [],
            attempts=2 if choose.random() < 0.01 else 1,
            worker=worker + 1,
            ready=ready,
            sent=started - 1e-6,
            started=started,
            ended=ended,
            outcome="failed" if failed else "completed",
        )
        if failed:
            trace.columns.errors[row] = f"ValueError: {row}\n\nwhere it ran:\n{TRACEBACK}"
    return trace


# ---------------------------------------------------------------- the bytes


class Reader(HTMLParser):
    """The elements of a page, and the text of each script and style."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[-1] += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    return reader


def block(text: str, id: str) -> str:
    reader = read(text)
    (found,) = [t for (_, a), t in zip(reader.elements, reader.texts, strict=True) if a.get("id") == id]
    return found


def columns_of(text: str) -> dict[str, list[Any]]:
    """What `data.js` makes of the numbers in a page."""
    data = zlib.decompress(base64.b64decode(block(text, "numbers")))
    codes = {"Uint8Array": "B", "Uint16Array": "H", "Uint32Array": "I", "Float32Array": "f"}
    made: dict[str, list[Any]] = {}
    for entry in json.loads(block(text, "facts"))["columns"]:
        values = array(codes.get(entry["type"], "d"))
        values.frombytes(data[entry["at"] : entry["at"] + entry["size"] * values.itemsize])
        if sys.byteorder == "big":
            values.byteswap()
        made[entry["name"]] = values.tolist()
        if entry["coding"] == "differences":
            total, sums = 0, []
            for x in values:
                total = (total + x) % 2**32
                sums.append(total)
            made[entry["name"]] = sums
    return made


@pytest.mark.parametrize("stretch", [1, 100_000], ids=["in ticks", "longer than 32 bits of ticks"])
def test_the_page_has_the_columns_of_the_trace(stretch: int) -> None:
    trace = work(500)
    c = trace.columns
    c.started = array("d", [100 + (t - 100) * stretch for t in c.started])
    c.ended = array("d", [100 + (t - 100) * stretch for t in c.ended])
    trace.add("never", outcome="open")
    text = html(trace)
    columns, began, tick = columns_of(text), trace.began, 1e-7
    exact = stretch > 1
    for task in trace:
        row = task.number
        assert columns["name"][row] == c.name[row]
        assert columns["worker"][row] == task.worker
        assert columns["call"][row] == c.call[row]
        assert columns["index"][row] in (c.index[row], c.index[row] % 2**32)
        assert columns["after"][row] == (row - task.after if task.after >= 0 else 0)
        assert columns["counts"][row] == len(task.depends_on)
        if math.isnan(task.started):
            assert math.isnan(columns["started"][row]) if exact else columns["started"][row] == 2**32 - 1
            continue
        started = columns["started"][row] * (1 if exact else tick)
        took = columns["took"][row] * (1 if exact else tick)
        assert started == pytest.approx(task.started - began, abs=tick)
        assert took == pytest.approx(task.seconds, abs=tick)
        assert columns["queued"][row] == pytest.approx(c.queued[row], rel=1e-3)
    sources = iter(columns["sources"])
    assert [tuple(task.number - next(sources) for _ in task.depends_on) for task in trace] == [
        task.depends_on for task in trace
    ]


def test_only_the_own_script_and_style_may_run() -> None:
    text = html(hostile())
    reader = read(text)
    (policy,) = [
        a["content"] or ""
        for _, a in reader.elements
        if a.get("http-equiv") == "Content-Security-Policy"
    ]
    inline = [
        text
        for (tag, a), text in zip(reader.elements, reader.texts, strict=True)
        if tag == "style" or (tag == "script" and "type" not in a)
    ]
    hashes = [base64.b64encode(hashlib.sha256(x.encode()).digest()).decode() for x in inline]
    assert [f"'sha256-{x}'" for x in hashes] == re.findall(r"'sha256-[^']+'", policy)[::-1]
    assert len(hashes) == 2
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag, attributes in reader.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base")
        assert not {"src", "href", "style"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]


def test_hostile_texts_add_no_element() -> None:
    def shape(trace: Trace) -> list[Any]:
        elements = read(html(trace)).elements
        return [(tag, a) for tag, a in elements if tag != "meta"]

    trace = hostile()
    evil = trace.columns.keys[1] = "</script><img src=x onerror=alert(1)>"
    trace.add(evil, line=evil, outcome="failed")
    trace.columns.earlier[0] = (Attempt(1, 0.0, 0.0, 1.0, "failed", evil),)
    trace.columns.stops = [Stop(evil, 1, 3, 2, 0.5)]
    assert shape(trace) == shape(diamond())
    facts_of = json.loads(block(html(trace), "facts"))
    assert facts_of["names"][3] == HOSTILE[3]
    html(trace).encode()


def test_very_long_texts_make_no_large_page() -> None:
    trace = Trace()
    row = trace.add("n" * 10_000_000, outcome="failed")
    trace.columns.errors[row] = trace.columns.values[row] = "<ab&\0" * 2_000_000
    assert len(html(trace)) < len(html(Trace())) + 60_000


def test_a_drawing_of_very_many_groups_has_a_box_for_each_name() -> None:
    chain = Trace()
    for i in range(2000):
        chain.add(f"step{i % 5}", depends_on=[i - 1] if i else [])
    record, _, boxes = facts.collect(chain)
    assert record["flat"]
    assert [box[0] for box in record["boxes"]] == [f"step{i}" for i in range(5)]
    assert list(boxes[:7]) == [0, 1, 2, 3, 4, 0, 1]
    many = Trace()
    for i in range(1000):
        many.add(f"f{i}")
    record, _, boxes = facts.collect(many)
    assert (len(record["boxes"]), record["boxes"][-1][0], max(boxes)) == (301, "others", 300)


def test_a_page_is_written_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures.write(diamond(), tmp_path / "t.html")
    assert (tmp_path / "t.html").read_text().startswith("<!DOCTYPE html>")
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    file = pictures.show(diamond())
    assert file.suffix == ".html"
    assert shown == [file.as_uri()]
    file.unlink()


# ---------------------------------------------------------------- in the browser


class Seen:
    """A page, and what went wrong in it."""

    def __init__(self, page: Page, wrong: list[str]) -> None:
        self.page = page
        self.wrong = wrong

    def find(self, words: str) -> None:
        self.page.locator("#search").fill(words)
        expect(self.page.locator("#found li.faint")).to_be_visible()
        self.page.locator("#search").press("Enter")

    def tab(self, name: str) -> Any:
        self.page.get_by_role("tab", name=name).click()
        return self.page.get_by_role("tabpanel", name=name)

    @property
    def view(self) -> str:
        return self.page.locator("#bars").get_attribute("aria-label") or ""

    def wait_for_other_view(self, before: str) -> str:
        expect(self.page.locator("#bars")).not_to_have_attribute("aria-label", before)
        return self.view


Show = Callable[..., Seen]


def settle(page: Page) -> None:
    """Waits until what was changed has been laid out and drawn."""
    page.evaluate("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")


@pytest.fixture
def context(tmp_path: Path) -> Iterator[BrowserContext]:
    with browser(tmp_path / "chromium", viewport={"width": 1280, "height": 900}) as made:
        yield made


@pytest.fixture
def show(context: BrowserContext, tmp_path: Path) -> Iterator[Show]:
    """Opens the page of a trace; at the end nothing may have gone wrong in any."""
    wrong: list[str] = []
    context.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    context.on("weberror", lambda error: wrong.append(str(error.error)))

    def dialog(one: Dialog) -> None:
        wrong.append(f"dialog: {one.message}")
        one.dismiss()

    context.on("dialog", dialog)

    def request(url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            wrong.append(f"request: {url}")

    context.on("request", lambda one: request(one.url))

    def make(trace: Trace) -> Seen:
        file = tmp_path / "trace.html"
        pictures.write(trace, file)
        return Seen(opened(context, file), wrong)

    yield make
    assert wrong == []


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("n", [10, 10_000, pytest.param(1_000_000, marks=pytest.mark.timeout(300))])
def test_a_page_opens_zooms_finds_and_tells(n: int, show: Show) -> None:
    trace = work(n)
    failed = max((t.number for t in trace if t.outcome == "failed"), default=n - 1)
    if n == 10:
        trace.columns.outcome[failed] = 2
        trace.columns.errors[failed] = f"ValueError: x\n\nwhere it ran:\n{TRACEBACK}"
    seen = show(trace)
    page = seen.page
    expect(page.locator("#facts-line")).to_contain_text(f"{n:,}")
    whole = seen.view
    bars = page.locator("#bars")
    bars.hover(position={"x": 640, "y": 40})
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    nearer = seen.wait_for_other_view(whole)
    page.get_by_role("button", name="All", exact=True).click()
    seen.wait_for_other_view(nearer)
    assert seen.view == whole
    seen.find(trace[failed].key)
    details = page.locator("#details")
    expect(details.locator("h2")).to_have_text(trace[failed].key)
    expect(details.locator(".traceback")).to_have_text(TRACEBACK)
    expect(details).to_contain_text("failed")


@needs_browser
def test_details_are_those_of_the_trace(show: Show) -> None:
    trace = work(300)
    page_seen = show(trace)
    page = page_seen.page
    by_worker: dict[int, list[int]] = {}
    for task in sorted(trace, key=lambda t: t.started):
        by_worker.setdefault(task.worker, []).append(task.number)
    row = by_worker[2][20]
    page_seen.find(trace[row].key)
    for step in (1, 1, -1):
        place = by_worker[2].index(row) + step
        row = by_worker[2][place]
        page.locator("#bars").press("n" if step > 0 else "p")
        expect(page.locator("#details h2")).to_have_text(trace[row].key)
        sources = {trace[source].key for source in trace[row].depends_on}
        users = {task.key for task in trace if row in task.depends_on}
        links = page.locator("#details .links button").all_text_contents()
        assert set(links) <= sources | users
        assert sources <= set(links)
        assert len(links) == len(sources) + min(12, len(users))


@needs_browser
def test_details_tell_of_lines_sizes_and_earlier_attempts(show: Show) -> None:
    trace = Trace()
    trace.add("g", started=0.0, ended=1.0, line="shop.py:7")
    facts = {"line": "shop.py:42", "argument_bytes": 40_960, "result_bytes": 10, "attempts": 2}
    row = trace.add("f", started=3.0, ended=4.0, worker=1, **facts)
    first = f"OSError: no <paper>\n\nwhere it ran:\n{TRACEBACK}"
    trace.columns.earlier[row] = (Attempt(2, 0.0, 0.5, 0.75, "failed", first),)
    seen = show(trace)
    seen.find("shop.py:42")
    details = seen.page.locator("#details")
    expect(details.locator("h2")).to_have_text("f-0-1")
    for text in ("shop.py:42", "41 kB", "10 bytes", "2 attempts", "worker 2 at 500 ms, for 250 ms"):
        expect(details).to_contain_text(text)
    expect(details.locator(".failure .error")).to_have_text("OSError: no <paper>")
    expect(details.locator(".failure .traceback")).to_have_text(TRACEBACK)
    expect(seen.tab("Errors and retries").get_by_role("table")).to_contain_text("OSError: no <paper>")


def tried_three_times() -> Trace:
    """A task that failed on worker 2, was too late on nobody knows which, and went well on worker 1."""
    trace = Trace(workers=2)
    trace.add("g", started=0.0, ended=1.0, worker=1)
    row = trace.add("f", depends_on=[0], started=6.0, ended=7.0, worker=1, attempts=3, index=4)
    trace.add("g", call=1, started=7.0, ended=9.0, worker=2)
    trace.columns.earlier[row] = (
        Attempt(2, 1.0, 1.5, 2.5, "failed", f"OSError: no <paper>\n\nwhere it ran:\n{TRACEBACK}"),
        Attempt(0, 3.0, 3.0, 5.0, "timed out", "took more than 2 s"),
    )
    return trace


@needs_browser
def test_earlier_attempts_are_bars_that_tell_how_they_ended(show: Show) -> None:
    seen = show(tried_three_times())
    page, details = seen.page, seen.page.locator("#details")
    for key, time, at, words in (
        ("f-0.4-0", 2.0, 2, ("failed", "attempt 1 of 3", "OSError: no <paper>")),
        ("f-0.4-1", 4.0, 3, ("timed out", "attempt 2 of 3", "took more than 2 s")),
        ("f-0.4-2", 6.5, 1, ("completed", "3 attempts", "g-0-0")),
    ):
        page.keyboard.press("Escape")
        expect(details).to_be_hidden()  # it takes room from the bars
        settle(page)
        bars = page.locator("#bars").bounding_box()
        assert bars is not None
        lane = (bars["height"] - 24 - 3) / 3  # of worker 1, worker 2, and no worker
        x = bars["x"] + 84 + time / 9.0 * (bars["width"] - 84)
        y = bars["y"] + 24 + (at - 0.5) * lane
        page.mouse.move(x, y)
        expect(page.locator("#tip")).to_contain_text(key)
        expect(page.locator("#tip")).to_contain_text(words[0])
        page.mouse.click(x, y)
        expect(details.locator("h2")).to_have_text(key)
        for word in words:
            expect(details).to_contain_text(word)
    seen.find("is:attempt f-0.4-0")
    expect(details.locator(".failure .traceback")).to_have_text(TRACEBACK)
    details.locator(".links button").click()
    expect(details.locator("h2")).to_have_text("f-0.4-2")


@needs_browser
@pytest.mark.parametrize(
    ("question", "answer", "keys"),
    [
        ("is:attempt", "2 earlier attempts", ["f-0.4-0", "f-0.4-1"]),
        ("<paper>", "1 earlier attempt", ["f-0.4-0"]),
        ("timed out", "1 earlier attempt", ["f-0.4-1"]),
        ("worker:2", "1 task and 1 earlier attempt", ["g-1-0", "f-0.4-0"]),
        (">1500ms", "1 task and 1 earlier attempt", ["g-1-0", "f-0.4-1"]),
        ("is:failed", "No task has that", []),
        ("f-0", "1 task and 2 earlier attempts", ["f-0.4-2", "f-0.4-0", "f-0.4-1"]),
    ],
)
def test_earlier_attempts_are_found(question: str, answer: str, keys: list[str], show: Show) -> None:
    page = show(tried_three_times()).page
    page.locator("#search").fill(question)
    expect(page.locator("#found li.faint")).to_contain_text(answer)
    expect(page.locator("#found [role=option] bdi")).to_have_text(keys)


@needs_browser
def test_waits_tell_the_line(show: Show) -> None:
    trace = diamond()
    trace.columns.places.append("shop.py:42")
    trace.columns.stops = [Stop("b", 1, 1000, 1000, 2.5)]
    table = show(trace).tab("Waits").get_by_role("table")
    expect(table.locator("tbody td")).to_have_text(["b", "shop.py:42", "1,000", "1,000 times", "2.5 s"])


@needs_browser
@pytest.mark.parametrize("n", [60, 30_000])
def test_the_timeline_shows_what_ran_where_and_when(n: int, show: Show) -> None:
    """A click beside the middle of a task's time in its worker's lane picks that task."""
    trace = work(n, workers=3)
    seen = show(trace)
    page = seen.page
    task = trace[n // 2]
    seen.find(task.key)  # it comes into view
    expect(page.locator("#details h2")).to_have_text(task.key)
    page.keyboard.press("Escape")
    expect(page.locator("#details")).to_be_hidden()
    settle(page)
    while page.locator("#details").is_hidden():  # the first clicks may only zoom in
        box = page.locator("#bars").bounding_box()
        assert box is not None
        t0, t1 = page.evaluate("JSON.parse(document.getElementById('bars').dataset.view)")
        x = 84 + (task.started + task.seconds / 2 - trace.began - t0) / (t1 - t0) * (box["width"] - 84)
        lane = (box["height"] - 24 - 3) / 3
        page.mouse.click(box["x"] + x, box["y"] + 24 + (task.worker - 0.5) * lane)
        settle(page)
    expect(page.locator("#details h2")).to_have_text(task.key)


@needs_browser
def test_errors_are_grouped_with_their_traceback(show: Show) -> None:
    trace = Trace()
    for i in range(5):
        row = trace.add("f", call=i, outcome="failed", started=0.0, ended=1.0, attempts=i + 1)
        trace.columns.errors[row] = f"{'late' if i == 3 else 'oh'}\nmore\n\nwhere it ran:\n{TRACEBACK}"
    panel = show(trace).tab("Errors and retries")
    groups = panel.locator("details")
    expect(groups).to_have_count(2)
    expect(groups.first.locator("summary")).to_contain_text("f × 4")
    groups.first.locator("summary").click()
    expect(groups.first.locator(".traceback")).to_have_text(TRACEBACK)
    expect(panel.get_by_role("table").locator("tbody tr")).to_have_count(4)


@needs_browser
@pytest.mark.parametrize("workers", [1, 3])
def test_what_if_is_what_predict_says(workers: int, show: Show) -> None:
    choose = random.Random(workers)
    trace = Trace(workers=workers)
    trace.columns.runs.append(Execution("", "root", -1))
    child = -1
    for row in range(40):
        sources = choose.sample(range(row), min(row, choose.choice((0, 0, 1, 2))))
        inner = child >= 0 and row > 20
        kind = "workflow" if row == 20 else "activity"
        facts = {} if inner else {"depends_on": sources}
        took = choose.uniform(0.5, 2)
        trace.add("abc"[row % 3], kind=kind, run=int(inner), worker=1, started=0.0, ended=took, **facts)
        if row == 20:
            child = row
            trace.columns.runs.append(Execution("", "child", child))
    before = trace.predict([workers])[0].seconds
    for row in range(len(trace)):
        if trace.columns.name[row] == 0:
            trace.columns.ended[row] *= 0.75
    saved = before - trace.predict([workers])[0].seconds
    for row in range(len(trace)):
        if trace.columns.name[row] == 0:
            trace.columns.ended[row] /= 0.75
    panel = show(trace).tab("Critical path")
    panel.get_by_label("percent").fill("25")
    panel.get_by_label("percent").press("Enter")
    line = panel.locator(".answers li", has=panel.page.locator("bdi", has_text="a"))
    expect(line).to_contain_text("25 % off")
    text = line.text_content() or ""
    told = re.search(r"saves ([\d.]+) (m?s)", text)
    assert told, text
    assert float(told[1]) * (1e-3 if told[2] == "ms" else 1) == pytest.approx(saved, rel=0.006)


@needs_browser
def test_a_group_opens_into_its_tasks(show: Show) -> None:
    seen = show(fan(600))
    page = seen.page
    boxes = page.locator("#graph .box")
    expect(boxes).to_have_count(3)
    parse = page.locator("#graph .box", has_text="parse × 600")
    parse.click()
    cells = page.locator("#graph .cell")
    expect(cells).to_have_count(119)
    expect(page.locator("#graph")).to_contain_text("+ 481 more")
    cells.first.click()
    expect(page.locator("#details h2")).to_contain_text("parse-0.")
    arrows = page.locator("#graph .arrow title").all_text_contents()
    assert sorted(arrows) == ["600 results: load → parse", "600 results: parse → merge"]


def history() -> Trace:
    """Of Amazon SWF: no dependencies, a wait, a timer, a child."""
    h = HistoryBuilder().started(input="[1]").activity_scheduled("a-0-0", ("a", "1"), "[1]")
    h = h.after(2).activity_started("a-0-0", "w1").after(3).activity_completed("a-0-0", "1")
    h = h.timer_started("nap", 5).child_initiated("x:sub-0-0", ("sub", "1"), "[]")
    return Trace.from_swf(h.activity_scheduled("b-0-0", ("b", "1"), "[2]").history())


def unbegun() -> Trace:
    trace = Trace()
    trace.add("a", outcome="open")
    trace.add("b", depends_on=[0], outcome="open")
    return trace


@needs_browser
@pytest.mark.parametrize("make", [hostile, Trace, diamond, history, unbegun])
def test_odd_traces_open_in_every_panel(make: Callable[[], Trace], show: Show) -> None:
    trace = make()
    seen = show(trace)
    for tab in seen.page.get_by_role("tab").all():
        tab.click()
    if trace.seconds:
        seen.tab("Slowest").locator("tbody tr").first.click()
        expect(seen.page.locator("#details h2")).not_to_be_empty()
    assert seen.page.evaluate("document.querySelectorAll('img, iframe, link').length") == 0


@needs_browser
def test_hostile_texts_are_only_texts(show: Show) -> None:
    seen = show(hostile())
    seen.find("script>")
    expect(seen.page.locator("#details h2")).to_have_text(HOSTILE[3] + "-0-0")
    expect(seen.page.locator("#details .failure .error")).to_have_text(HOSTILE[3])


@needs_browser
def test_the_policy_stops_what_is_not_of_the_page(context: BrowserContext, tmp_path: Path) -> None:
    pictures.write(diamond(), tmp_path / "t.html")
    page = opened(context, tmp_path / "t.html")
    stopped = page.evaluate(
        """async () => {
            const stopped = [];
            document.addEventListener(
                "securitypolicyviolation", (event) => stopped.push(event.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "window.bad = 1";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", "<img src='https://example.org/x.png'>");
            await fetch("https://example.org/").catch(() => 0);
            await new Promise((go) => setTimeout(go, 100));
            return [window.bad, ...stopped.sort()];
        }"""
    )
    assert stopped == [None, "connect-src", "img-src", "script-src-elem"]


@needs_browser
def test_light_and_dark(show: Show) -> None:
    seen = show(diamond())
    page = seen.page

    def look(theme: str) -> tuple[str, bytes]:
        page.wait_for_selector(f"html[data-ready][data-theme={theme}]", state="attached")
        settle(page)
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return background, page.locator("#bars").screenshot()

    light = look("light")
    page.emulate_media(color_scheme="dark")
    dark = look("dark")
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    page.locator("#theme").click()
    assert look("light") == light
    page.reload()
    assert look("light")[0] == light[0]


@needs_browser
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_sticks_out(width: int, show: Show) -> None:
    seen = show(work(3000))
    page = seen.page
    page.set_viewport_size({"width": width, "height": 800})
    for tab in page.get_by_role("tab").all():
        tab.click()
        assert page.evaluate("document.documentElement.scrollWidth") == width
    seen.find("is:failed")
    expect(page.locator("#details")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    box = page.locator("#details").bounding_box()
    assert box is not None
    assert 0 <= box["x"] <= box["x"] + box["width"] <= width


@needs_browser
def test_it_is_used_by_keys_alone(show: Show) -> None:
    trace = work(90)
    seen = show(trace)
    page = seen.page
    page.keyboard.press("/")
    page.keyboard.type("load worker:1")
    expect(page.locator("#found [role=option]").first).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    first = next(t.key for t in trace if t.name == "load" and t.worker == 1)
    expect(page.locator("#details h2")).to_have_text(first)
    page.keyboard.press("Escape")
    expect(page.locator("#details")).to_be_hidden()
    before = seen.view
    page.keyboard.press("+")
    seen.wait_for_other_view(before)
    page.keyboard.press("0")
    expect(page.locator("#bars")).to_have_attribute("aria-label", before)
    page.keyboard.press("3")
    expect(page.get_by_role("tab", name="Names")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()


# ---------------------------------------------------------------- of a real run


def fails(x: int) -> int:
    raise ValueError(f"no {x}")


def test_a_failed_run_keeps_the_traceback(tmp_path: Path) -> None:
    class One:
        def __init__(self, f: Any) -> None:
            self.f = f

        def __call__(self) -> Any:
            return self.f(7)

    w = LocalWorkflow(One, 1)
    w.conf_activity("f", fails)
    with pytest.raises(TaskError):
        w.run(_trace=tmp_path / "t.html")
    assert w.trace is not None
    message, _, traceback = w.trace[0].error.partition("\n\nwhere it ran:\n")
    assert message == "ValueError: no 7"
    assert re.search(r"test_page\.py\", line \d+, in fails\n", traceback)
    texts = zlib.decompress(base64.b64decode(block((tmp_path / "t.html").read_text(), "texts")))
    assert json.loads(texts)["errors"] == {"0": w.trace[0].error}
