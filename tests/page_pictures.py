"""Pictures of the page and of progress for the docs: `make docs-pictures`.

Owns: two runs worth looking at, a small one on the local engine and a large one by simulation, and the
screenshots of them in docs/pictures/, beside those of a terminal that shows progress. They are made by
hand, not in tests: fonts differ from machine to machine, and so would the bytes.

Neighbours: `browser`, `progress_picture`, and `docs/trace.md` and `docs/progress.md`, which show them.
"""

from __future__ import annotations

import heapq
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from browser import browser, opened
from playwright.sync_api import BrowserContext, Page
from progress_picture import screen

from flowy import LocalWorkflow, Retry, pictures
from flowy.trace import Execution, Trace

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
LARGEST = 200_000
"""Bytes that a picture may have."""
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 400, "height": 860}


# ---------------------------------------------------------------- a small run


class Invoice:
    def __init__(self, render: Any, sign: Any) -> None:
        self.render, self.sign = render, sign

    def __call__(self, order: Any) -> Any:
        return self.sign(self.render(order))


class Orders:
    def __init__(self, load: Any, parse: Any, check: Any, invoice: Any, report: Any) -> None:
        self.load, self.parse, self.check = load, parse, check
        self.invoice, self.report = invoice, report

    def __call__(self) -> Any:
        file = self.load("orders.csv")
        orders = [self.parse(file, i) for i in range(9)]
        for order in orders:
            self.check(order)
        invoices = [self.invoice(order) for order in orders[:3]]
        return self.report(orders, invoices)


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def parse(_: Any, i: int) -> int:
    nap(0.02 + 0.013 * (i * 5 % 9))
    return i


def check(order: int) -> int:
    nap(0.015)
    if order == 6:
        raise ValueError(f"order {order} has no price")
    return order


def small(folder: Path) -> Trace:
    def render(order: int) -> int:
        nap(0.06)
        mark = folder / f"rendered-{order}"
        if order == 1 and not mark.exists():
            mark.touch()
            raise OSError("the printer is busy")
        return order

    invoice = LocalWorkflow(Invoice)
    invoice.conf_activity("render", render, retry=Retry(attempts=2))
    invoice.conf_activity("sign", lambda order: nap(0.05))
    w = LocalWorkflow(Orders, 3)
    w.conf_activity("load", lambda file: nap(0.08))
    w.conf_activity("parse", parse)
    w.conf_activity("check", check)
    w.conf_workflow("invoice", invoice)
    w.conf_activity("report", lambda orders, invoices: nap(0.07))
    with w:
        w.run(_wait=True)  # workers take a moment to start
        (folder / "rendered-1").unlink()
        w.run(_wait=True, _trace=folder / "trace.json")
    assert w.trace is not None
    columns = w.trace.columns
    # Where it lies here is nobody's business.
    columns.errors = {
        row: text.replace(f"{Path(__file__).parent}/", "") for row, text in columns.errors.items()
    }
    columns.places = [Path(place).name for place in columns.places]
    return w.trace


# ---------------------------------------------------------------- a large run


class Large:
    """Tasks given out to the worker that is free first."""

    def __init__(self, workers: int) -> None:
        self.trace = Trace(workers=workers)
        self.trace.columns.runs.append(Execution("", "Index", -1))
        self.choose = random.Random(1)
        self.free = [(0.0, worker) for worker in range(1, workers + 1)]
        self.began = 1_790_000_000.0

    def add(self, name: str, depends_on: list[int], mean: float, **facts: Any) -> int:
        ended = self.trace.columns.ended
        ready = max((ended[row] - self.began for row in depends_on), default=0.0)
        free, worker = heapq.heappop(self.free)
        started = max(free, ready) + 2e-5 * self.choose.random()
        took = self.choose.expovariate(1 / mean)
        heapq.heappush(self.free, (started + took, worker))
        times = {"ready": ready, "sent": started - 1e-5, "started": started, "ended": started + took}
        times = {what: self.began + seconds for what, seconds in times.items()}
        return self.trace.add(name, depends_on=depends_on, worker=worker, **times, **facts)


def large(n: int = 1_000_000, workers: int = 8) -> Trace:
    """`n` tasks or a few less: files are fetched, parsed and indexed, and the rest is merged."""
    made = Large(workers)
    root = made.add("list", [], 1.0)
    fetched: list[int] = []
    parsed: list[int] = []
    for i in range(n // 3):
        again = made.choose.random() < 2e-4
        fetched.append(made.add("fetch", [root], 4e-4, index=i, attempts=1 + again))
        if i >= 40:
            bad = made.choose.random() < 4e-5
            outcome = "failed" if bad else "completed"
            parsed.append(made.add("parse", [fetched[i - 40]], 9e-4, index=i - 40, outcome=outcome))
            if bad:
                made.trace.columns.errors[parsed[-1]] = "UnicodeDecodeError: invalid start byte"
        if i >= 80:
            made.add("index", [parsed[i - 80]], 2e-4, index=i - 80)
    merged = [made.add("merge", parsed[i::16][-60:], 0.8, index=i) for i in range(16)]
    made.add("publish", merged, 1.5)
    return made.trace


# ---------------------------------------------------------------- pictures


def find(words: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        page.locator("#search").fill(words)
        page.locator("#found li.faint").wait_for()
        page.locator("#search").press("Enter")

    return act


def panel(name: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        page.get_by_role("tab", name=name).click()
        if name == "Critical path":  # which answers one simulation after the other
            page.locator(".answers li").first.wait_for()

    return act


def near(page: Page) -> None:
    """The end of the run, near enough to see single tasks, and one of them."""
    find("merge-0.3-0")(page)
    for _ in range(7):
        page.locator("#zoom-in").click()
    page.evaluate("document.getElementById('bars').focus()")
    page.keyboard.press("p")
    panel("Names")(page)


SHOTS: list[tuple[str, str, str, dict[str, int], Callable[[Page], None]]] = [
    ("small-light", "small", "light", WIDE, panel("Graph")),
    ("small-dark", "small", "dark", WIDE, find("is:failed")),
    ("large-light", "large", "light", WIDE, panel("Critical path")),
    ("large-dark", "large", "dark", WIDE, near),
    ("narrow", "small", "light", NARROW, panel("Graph")),
]


def take(context: BrowserContext, folder: Path) -> None:
    for name, run, scheme, size, act in SHOTS:
        page = opened(context, folder / f"{run}.html")
        page.set_viewport_size({"width": size["width"], "height": size["height"]})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.wait_for_selector(f"html[data-theme={scheme}]", state="attached")
        act(page)
        page.mouse.move(2, 2)
        page.evaluate("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
        file = FOLDER / f"page-{name}.png"
        page.screenshot(path=file)
        page.close()
        weigh(file)


def weigh(file: Path) -> None:
    bytes_ = file.stat().st_size
    print(f"{file.name}: {bytes_:,} bytes")
    assert bytes_ < LARGEST, f"{file} is too large for the docs"


def take_progress(context: BrowserContext) -> None:
    """The screens of terminals, in twice as many pixels: they are mostly text."""
    for name, rich in (("progress", True), ("progress-plain", False)):
        page = context.new_page()
        page.set_content(
            f"<style>body {{ margin: 0 }} svg {{ display: block }}</style>{screen(rich=rich)}"
        )
        file = FOLDER / f"{name}.png"
        page.locator("svg").screenshot(path=file, omit_background=True)
        page.close()
        weigh(file)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="flowy-pictures-") as name:
        folder = Path(name)
        pictures.write(small(folder), folder / "small.html")
        pictures.write(large(), folder / "large.html")
        with browser(folder / "chromium", timezone_id="UTC", locale="en-GB") as context:
            take(context, folder)
        with browser(folder / "chromium-2", device_scale_factor=2) as context:
            take_progress(context)


if __name__ == "__main__":
    main()
