"""Real Chromium for tests of pages; tests are skipped where none is installed."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def chromium() -> str | None:
    """The program of an installed Chromium; None: there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


needs_chromium = pytest.mark.skipif(chromium() is None, reason="no Chromium is installed")


@contextmanager
def browser() -> Iterator[Any]:
    """A browser of Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        try:
            yield opened
        finally:
            opened.close()


def until(page: Any, holds: str) -> None:
    """Wait for an expression; `wait_for_function` evaluates strings, which a page's policy may forbid."""
    end = time.monotonic() + 20
    while not page.evaluate(holds):
        assert time.monotonic() < end, holds
        page.wait_for_timeout(30)


class Listener:
    """What a page says in the console, every error, and every host that it asks."""

    def __init__(self, page: Any) -> None:
        self.said: list[str] = []
        self.asked: set[str] = set()
        page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.on("request", lambda request: self.asked.add(request.url.split("/")[2]))


def violations(page: Any) -> str:
    """What axe finds on a page against its rules of accessibility, one line for each rule; empty: nothing."""
    from axe_playwright_python.sync_playwright import Axe

    return Axe().run(page).generate_snapshot()
