"""The page in real Chromium, as a person uses it, with the keyboard, on a phone, and with hostile names."""

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from tests.browser import Listener, browser, needs_chromium, until, violations
from tests.lempo.search.toy_index import ToyIndex

pytestmark = [pytest.mark.slow, needs_chromium]

HOSTILE = (
    "<img src=x onerror=hit()>.png", "\"><script>hit()<%2fscript>.png", "a'b\"c&amp;.png",
    "läge 東京 %00 #1?.png", "..%2f..%2fetc.png",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(70):
        Image.new("RGB", (64, 48), (3 * number, 255 - 3 * number, 80)).save(folder / f"{number:02}.png")
    for name in HOSTILE:
        Image.new("RGB", (8, 8), (220, 40, 40)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def index(folder: Path) -> ToyIndex:
    return ToyIndex(folder)


@pytest.fixture(scope="module")
def server(index: ToyIndex) -> Iterator[str]:
    import uvicorn

    from lempo.search.api import make_app

    running = uvicorn.Server(uvicorn.Config(make_app(index), port=0, log_level="warning", ws="none"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture
def page(chrome: Any, server: str) -> Iterator[Any]:
    """The page at its start; it must ask no other host and say nothing in the console."""
    context = chrome.new_context(viewport={"width": 1400, "height": 900}, base_url=server)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server)
    page = context.new_page()
    listener = Listener(page)
    page.goto("/")
    page.wait_for_selector(".tile")
    yield page
    assert not listener.said
    assert listener.asked <= {server.split("/")[2], ""}
    context.close()


def _searched(page: Any, ask: Any) -> None:
    """Do `ask`, and wait for what it finds."""
    with page.expect_response(lambda response: "/api/search" in response.url):
        ask()
    page.wait_for_selector("body:not(.busy)")


_ORDER = "[...document.querySelectorAll('.tile .open')].map((tile) => tile.title).join()"


def _broken(page: Any) -> int:
    page.wait_for_load_state("networkidle")
    return int(
        page.evaluate("[...document.images].filter((i) => i.complete && i.src && !i.naturalWidth).length")
    )


def test_a_search_shows_pictures_scores_and_texts(page: Any) -> None:
    assert page.locator(".tile").count() >= 60
    page.fill("#text", "red")
    _searched(page, lambda: page.click("#go"))
    assert page.locator(".tile.scored").count() == 24
    assert _broken(page) == 0
    assert page.locator(".tile .bar").first.locator("i").count() == 3
    assert "An aerial image with red." in page.inner_text("#said")
    assert re.match(r"24 images of 75 in \d.\d\d s, by triplet 33%, lang", page.inner_text("#status"))
    assert page.locator("#left-out").is_hidden()
    _searched(page, lambda: _pick_second(page))
    page.click("#left-out summary")
    assert "No LLM is at hand" in page.inner_text("#left-out-list")


def test_browsing_goes_on_to_the_end_of_the_archive_and_filters(page: Any) -> None:
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    until(page, "document.querySelectorAll('.tile').length === 75")
    page.click("#toggle-columns")
    page.click(".column:has-text('place')")
    page.locator("#where").press_sequentially(" = 'place 1'")
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.tile').length === 25")
    assert "where=place" in page.url
    order = page.evaluate(_ORDER)
    page.click("#shuffle")
    until(page, f"document.querySelectorAll('.tile').length === 25 && {_ORDER} !== {json.dumps(order)}")


def test_a_result_becomes_the_next_reference_and_back_returns(page: Any, index: ToyIndex) -> None:
    page.fill("#text", "red")
    _searched(page, lambda: page.keyboard.press("Enter"))
    third = str(page.locator(".tile .open").nth(2).get_attribute("title"))
    page.locator(".tile").nth(2).hover()
    _searched(page, lambda: page.locator(".tile .pick").nth(2).click())
    assert index.asked[-1].image_id == third
    assert index.asked[-1].text is None
    assert page.input_value("#text") == ""
    page.fill("#text", "blue")
    _searched(page, lambda: page.keyboard.press("Enter"))
    assert (index.asked[-1].image_id, index.asked[-1].text) == (third, "blue")
    assert page.locator("#trail a").count() == 3
    asked = len(index.asked)
    page.go_back()
    page.go_back()
    until(page, "document.querySelector('#text').value === 'red'")
    assert page.locator("#reference img").count() == 0
    page.go_forward()
    until(page, "document.querySelector('#reference img') !== null")
    assert len(index.asked) == asked  # what was found once is shown again
    page.locator("#trail a").last.click()
    until(page, "document.querySelector('#text').value === 'blue'")


def test_an_address_opens_the_same_state(page: Any, chrome: Any, index: ToyIndex) -> None:
    page.fill("#text", "green fields & <b>cars</b>")
    page.fill("#where", "place = 'place 2'")
    _searched(page, lambda: page.keyboard.press("Enter"))
    _searched(page, lambda: page.uncheck("#on-language"))
    _searched(page, lambda: page.select_option("#k", "12"))
    _searched(page, lambda: page.keyboard.press("Tab") or _pick_second(page))
    page.fill("#text", "green")
    _searched(page, lambda: page.keyboard.press("Enter"))
    page.click("#share")
    until(page, "document.querySelector('#status').textContent.includes('copied')")
    address = page.evaluate("navigator.clipboard.readText()")
    query, titles = index.asked[-1], _titles(page)
    other = chrome.new_context().new_page()
    other.goto(address)
    other.wait_for_selector(".scored")
    assert index.asked[-1] == query
    assert _titles(other) == titles
    assert other.input_value("#where") == "place = 'place 2'"
    assert not other.is_checked("#on-language")
    other.context.close()


def _pick_second(page: Any) -> None:
    page.locator(".tile .open").nth(1).focus()
    page.keyboard.press("r")


def _titles(page: Any) -> list[str]:
    return [str(tile.get_attribute("title")) for tile in page.locator(".tile .open").all()]


def test_weights_are_switched_and_always_have_sum_1(page: Any, index: ToyIndex) -> None:
    page.fill("#text", "red")
    _searched(page, lambda: page.keyboard.press("Enter"))
    assert index.asked[-1].weights is None
    slider = page.get_by_label("Weight of triplet")
    slider.focus()
    _searched(page, lambda: page.keyboard.press("Home"))
    weights = dict(index.asked[-1].weights or {})
    assert weights["triplet"] == pytest.approx(0, abs=0.01)
    assert sum(weights.values()) == pytest.approx(1)
    _searched(page, lambda: page.uncheck("#on-triplet"))
    _searched(page, lambda: page.uncheck("#on-language"))
    assert index.asked[-1].weights == {"triplet": 0, "language": 0, "pseudo_caption": 1}
    page.click("#on-pseudo_caption")  # the last one stays on
    assert page.is_checked("#on-pseudo_caption")
    page.click("#reset-weights")  # as at the start, so what was found then is shown again
    until(page, "document.querySelector('#on-triplet').checked")
    assert page.get_by_label("Weight of triplet").input_value() == "50"
    assert "weights" not in page.url


def test_an_upload_is_searched_and_its_address_says_what_it_cannot_hold(
    page: Any, chrome: Any, index: ToyIndex, folder: Path
) -> None:
    name = HOSTILE[0]
    _searched(page, lambda: page.set_input_files("#file", folder / name))
    assert index.asked[-1].image == (folder / name).read_bytes()
    page.fill("#text", "blue")
    _searched(page, lambda: page.keyboard.press("Enter"))
    assert index.asked[-1].image == (folder / name).read_bytes()
    other = chrome.new_context().new_page()
    other.goto(page.url)
    other.wait_for_selector("#problem:not([hidden])")
    assert name in other.inner_text("#problem")
    assert other.input_value("#text") == "blue"
    other.context.close()


def test_an_image_can_be_dropped_and_pasted(page: Any, index: ToyIndex, folder: Path) -> None:
    data = list((folder / "05.png").read_bytes())
    give = """([kind, bytes]) => {
        const transfer = new DataTransfer();
        transfer.items.add(new File([new Uint8Array(bytes)], "x.png", { type: "image/png" }));
        const event = kind === "paste" ? new ClipboardEvent(kind, { clipboardData: transfer, bubbles: true })
            : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
        document.body.dispatchEvent(event);
    }"""
    for kind in ("drop", "paste"):
        _searched(page, lambda kind=kind: page.evaluate(give, [kind, data]))  # type: ignore[misc]
        assert index.asked[-1].image == bytes(data)


def test_everything_works_by_the_keyboard(page: Any, index: ToyIndex) -> None:
    page.keyboard.press("/")
    page.keyboard.type("red")
    _searched(page, lambda: page.keyboard.press("Enter"))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    place = int(page.evaluate("[...document.querySelectorAll('.open')].indexOf(document.activeElement)"))
    assert place == 9  # eight tiles a row
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail[open]")
    tenth = page.inner_text("#detail-title")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#detail-title") != tenth
    page.keyboard.press("Escape")
    page.wait_for_selector("#detail", state="hidden")
    until(page, "[...document.querySelectorAll('.open')].indexOf(document.activeElement) === 10")
    title = page.evaluate("document.activeElement.title")
    _searched(page, lambda: page.keyboard.press("r"))
    assert index.asked[-1].image_id == title
    assert page.evaluate("document.activeElement.id") == "text"


def test_an_image_enlarges_with_all_its_columns(page: Any) -> None:
    page.click(".tile .open >> nth=0")
    page.wait_for_selector("#detail[open]")
    shown = page.inner_text("#detail-columns")
    for part in ("place 0", "2024-01-15", "CC-BY-4.0", "left 0, bottom 2, right 1, top 3", "<b>PAN</b>"):
        assert part in shown
    assert _broken(page) == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_texts_stay_text(page: Any, name: str, index: ToyIndex) -> None:
    page.evaluate("window.hit = () => { window.was_hit = true; }")
    page.fill("#text", f"red {name}")
    _searched(page, lambda: page.keyboard.press("Enter"))
    page.fill("#text", "")
    _searched(page, lambda: page.goto(f"/?ref={quote(name, safe='')}&text={quote(name, safe='')}"))
    assert index.asked[-1].image_id == name
    assert _broken(page) == 0
    assert name in page.inner_text("#said")
    page.click("#reference-open")
    page.wait_for_selector("#detail[open]")
    assert page.inner_text("#detail-title") == name
    assert _broken(page) == 0
    assert not page.evaluate("Boolean(window.was_hit)")
    assert page.locator("main script, main img[src=x]").count() == 0


def test_a_wrong_filter_is_said_and_the_page_goes_on(chrome: Any, server: str) -> None:
    page = chrome.new_context(base_url=server).new_page()
    page.goto("/")
    page.fill("#where", "nonsense (")
    page.keyboard.press("Enter")
    page.wait_for_selector("#problem:not([hidden])")
    assert "filter cannot be read" in page.inner_text("#problem")
    page.fill("#where", "")
    page.keyboard.press("Enter")
    page.wait_for_selector(".tile")
    assert page.locator("#problem").is_hidden()
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_every_width_and_scheme_is_readable(chrome: Any, server: str, scheme: str, width: int) -> None:
    context = chrome.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, base_url=server, has_touch=width < 500
    )
    page = context.new_page()
    listener = Listener(page)
    page.goto(f"/?ref={quote(HOSTILE[1], safe='')}&text=red")
    page.wait_for_selector(".scored")
    if width < 500:
        page.click("#toggle-options")
        page.click("#toggle-columns")
    for step in ("page", "detail", "docs"):
        if step == "detail":
            page.click(".tile .open >> nth=1")
            page.wait_for_selector("#detail[open]")
        elif step == "docs":
            page.goto("/docs")
            page.wait_for_selector("h2")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), step
        assert violations(page) == "", step
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert not listener.said
    context.close()


def test_nothing_moves_for_those_who_ask_for_that(chrome: Any, server: str) -> None:
    page = chrome.new_context(base_url=server, reduced_motion="reduce").new_page()
    page.goto("/")
    page.wait_for_selector(".tile")
    moving = "[...document.querySelectorAll('*')].filter((n) => getComputedStyle(n).animationName !== 'none')"
    page.evaluate("document.querySelector('#progress').hidden = false")
    assert page.evaluate(f"{moving}.length") == 0
    page.context.close()
