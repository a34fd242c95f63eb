"""How quick the page of a trace is: `python -m benchmarks.page [TASKS …]`.

Owns: for 10, 10,000 and 1,000,000 tasks the time to write the page and its size; and in a headless
Chromium the times until something is painted, until the timeline is drawn, and from a turn of the wheel
to the frame that shows it, far and near. It has no graphics card: all is drawn by the processor.

May not know how the page is made. Its neighbour is `docs/trace.md`, which states what this printed.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from flowy import pictures
from flowy.trace import Trace

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from browser import browser, opened
from page_pictures import large

SIZES = (10, 10_000, 1_000_000)
ROUNDS = 20

ZOOMS = """async (rounds) => {
    const bars = document.getElementById("bars"), box = bars.getBoundingClientRect(), times = [];
    for (let i = 0; i < rounds; i++) {
        const at = { clientX: box.left + box.width * (0.3 + 0.02 * i), clientY: box.top + 40 };
        const began = performance.now();
        const turn = { deltaY: i % 2 ? 160 : -200, ctrlKey: true, cancelable: true };
        bars.dispatchEvent(new WheelEvent("wheel", { ...at, ...turn }));
        await new Promise((go) => requestAnimationFrame(() => {
            const behind = new MessageChannel();  // a message comes after the frame
            behind.port1.onmessage = go;
            behind.port2.postMessage(0);
        }));
        times.push(performance.now() - began);
    }
    return times;
}"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
DRAWN = "performance.getEntriesByName('flowy-drawn')[0].startTime"


def measure(n: int, folder: Path) -> dict[str, Any]:
    trace: Trace = large(n)
    file = folder / f"{n}.html"
    began = time.perf_counter()
    pictures.write(trace, file)
    wrote = time.perf_counter() - began
    with browser(folder / f"chromium-{n}", viewport={"width": 1280, "height": 900}) as context:
        opened(context, file).close()  # the first page of a browser is slower, whatever it shows
        page = opened(context, file)
        painted, drawn = page.evaluate(PAINTED), page.evaluate(DRAWN)
        zooms = page.evaluate(ZOOMS, ROUNDS)
        page.locator("#zoom-all").click()
        for _ in range(10):
            page.locator("#zoom-in").click()
        near = page.evaluate(ZOOMS, ROUNDS)
    return {
        "tasks": f"{len(trace):,}",
        "written in s": f"{wrote:.2f}",
        "MB": f"{file.stat().st_size / 1e6:.2f}",
        "first paint ms": f"{painted:.0f}",
        "timeline drawn ms": f"{drawn:.0f}",
        "zoom ms": f"{statistics.median(zooms):.0f}",
        "worst": f"{max(zooms):.0f}",
        "zoom near ms": f"{statistics.median(near):.0f}",
    }


def main() -> None:
    sizes = [int(x) for x in sys.argv[1:]] or SIZES
    with tempfile.TemporaryDirectory(prefix="flowy-page-") as folder:
        for i, n in enumerate(sizes):
            row = measure(n, Path(folder))
            if not i:
                print(" | ".join(row))
            print(" | ".join(row.values()), flush=True)


if __name__ == "__main__":
    main()
