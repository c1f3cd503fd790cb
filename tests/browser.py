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


# controls and pictures in sight that a screen reader could not name
NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, dialog, img")].filter((node) => {
    if (!node.checkVisibility() || node.hasAttribute("aria-hidden")) return false;
    const label = node.getAttribute("aria-label") || node.textContent.trim() || node.labels?.length
        || node.querySelector("img")?.alt;
    const by = document.getElementById(node.getAttribute("aria-labelledby"))?.textContent;
    return node.tagName === "IMG" ? !node.hasAttribute("alt") : !(label || by);
}).map((node) => node.outerHTML)"""

# texts in sight whose contrast with the nearest ground behind them is below WCAG's AA
PALE = """() => {
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (colour) => {
        const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        const [r, g, b] = parts(colour).map((v) => linear(v / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (node) => {
        for (; node; node = node.parentElement) {
            const colour = getComputedStyle(node).backgroundColor;
            if ((parts(colour)[3] ?? 1) > 0.7) return colour;
        }
        return getComputedStyle(document.body).backgroundColor;
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const pale = [];
    while (walker.nextNode()) {
        const node = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.disabled) continue;
        const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
        const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (contrast < 4.5) pale.push([walker.currentNode.data.trim(), contrast]);
    }
    return pale;
}"""
