"""A headless Chromium to look at pages with.

Owns: finding one on this machine, and starting it with nothing of anybody's in it and nothing to fetch.

May not know what is looked at. Neighbours: `test_page`, `page_pictures` and `benchmarks/page.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page, sync_playwright

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
READY = "html[data-ready]"


def find() -> str | None:
    """The program, if there is one; Playwright's own downloads are not used."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


@contextmanager
def browser(data: Path, **options: Any) -> Iterator[BrowserContext]:
    """A browser whose data is in the new directory `data`; `options` are Playwright's."""
    program = find()
    assert program is not None, "no Chromium is installed (Debian: apt install chromium)"
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            data, executable_path=program, args=ARGUMENTS, **options
        )
        try:
            yield context
        finally:
            context.close()


def opened(context: BrowserContext, file: Path) -> Page:
    """A page of a trace, once it has drawn its timeline."""
    page = context.new_page()
    page.goto(file.as_uri())
    page.wait_for_selector(READY, state="attached")
    return page
