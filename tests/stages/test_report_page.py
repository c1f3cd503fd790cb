"""The report in real Chromium, from disk: as a person uses it, with the keyboard, and with hostile texts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.paths import Paths
from pipeline.report.page import Methods, gather, render
from stages import report
from tests.browser import Listener, browser, needs_chromium, until, violations
from tests.stages.results import make_results, results_params
from trainer.methods import registry

pytestmark = [pytest.mark.slow, needs_chromium]

HOSTILE = "</script><script>hit()</script>\"'><img src=x onerror=hit()>{{ 7*7 }}</style>&"
DATASETS = ("one", "two")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two datasets of 30 queries, with hostile texts wherever a text can stand."""
    paths = Paths(tmp_path_factory.mktemp("project"))
    make_results(paths, DATASETS, f"a red roof {HOSTILE}", queries=30)
    report.run(results_params(DATASETS), paths)
    return paths.report / "index.html"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture
def page(chrome: Any, page_file: Path) -> Iterator[Any]:
    """The gallery at its start; the page must ask no host and say nothing in the console."""
    context = chrome.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    page.add_init_script("window.hit = () => { window.was_hit = true; }")
    listener = Listener(page)
    page.goto(f"{page_file.as_uri()}#queries")
    page.wait_for_selector(".card")
    yield page
    assert not page.evaluate("Boolean(window.was_hit)")
    assert not listener.said
    assert listener.asked <= {""}
    context.close()


def _ids(page: Any) -> list[str]:
    return [str(text) for text in page.locator(".card .id").all_text_contents()]


def _ranks(page: Any, result: int = 0) -> list[int]:
    texts = page.locator(f".card .result:nth-child({result + 1}) .rank").all_text_contents()
    return [int(text.removeprefix("rank ")) for text in texts]


def _choose(page: Any, **choices: str) -> None:
    for name, value in choices.items():
        page.select_option(f"[name={name}]", value)
        until(page, f"location.hash.includes('{name}=')")


def test_failures_come_first_and_the_order_can_be_turned(page: Any) -> None:
    assert page.inner_text("#status") == "60 queries."
    ranks = _ranks(page)
    assert len(ranks) == 20 and ranks == sorted(ranks, reverse=True) and ranks[0] == 4
    _choose(page, sort="best")
    ranks = _ranks(page)
    assert ranks == sorted(ranks) and ranks[0] == 1
    _choose(page, sort="id", dataset="two")
    assert _ids(page) == [f"q{i}" for i in (0, 1, *range(10, 20), 2, *range(20, 27))]


def test_queries_are_filtered_by_kind_rank_text_and_disagreement(page: Any) -> None:
    _choose(page, dataset="one", kind="add", rank="2-5")
    assert page.locator(".card").count() == int(page.inner_text("#status").split(" of ")[0])
    assert all(2 <= rank <= 5 for rank in _ranks(page))
    assert set(page.locator(".card .badge:nth-child(2)").all_text_contents()) == {"add"}
    page.click("#reset")
    _choose(page, disagree="method")
    assert set(_ranks(page)) == {1} and 1 not in _ranks(page, 1)
    _choose(page, method="chance", beside="pseudo_caption")
    assert page.locator(".card").first.locator(".method b").all_text_contents() == [
        "chance",
        "pseudo_caption",
    ]
    page.click("#reset")
    page.fill("[name=find]", "out of luck")
    until(page, "document.querySelectorAll('.card').length === 2")
    page.fill("[name=find]", "nothing has this text")
    until(page, "document.querySelectorAll('.card').length === 0")
    assert page.inner_text("#status") == "0 of 60 queries."


def test_the_address_keeps_the_choice_and_back_returns(page: Any, chrome: Any) -> None:
    _choose(page, dataset="two", method="image_only", rank="2-5", sort="best")
    ids, address = _ids(page), page.url
    other = chrome.new_context().new_page()
    other.goto(address)
    other.wait_for_selector(".card")
    assert _ids(other) == ids
    assert other.input_value("[name=method]") == "image_only"
    other.context.close()
    page.go_back()
    until(page, "document.querySelector('[name=sort]').value === 'worst'")
    page.click("nav a >> text=Captions")
    page.wait_for_selector("#captions:not([hidden])")
    page.click("nav a >> text=Queries")
    page.wait_for_selector("#queries:not([hidden])")
    assert page.input_value("[name=rank]") == "2-5"
    page.locator(".card .id").nth(1).click()
    until(page, "document.querySelectorAll('.card').length === 1")
    page.goto(f"{address.split('#')[0]}#queries?method=unknown&page=nonsense&dataset=two")
    until(page, "document.querySelectorAll('.card').length === 20")
    assert page.input_value("[name=method]") == "hybrid"


def test_a_reference_and_its_graph_are_large_on_click(page: Any) -> None:
    _choose(page, dataset="one", sort="id")
    card = page.locator(".card").first  # q0: its graph has a box, and an object without one
    assert card.locator("svg.graph rect").count() == 1
    assert card.locator("svg.graph circle").count() == 1
    assert card.locator("svg.graph .relation").count() == 1
    card.locator(".pair .open").first.click()
    page.wait_for_selector("#detail[open]")
    assert page.inner_text("#detail-title") == "Reference"
    assert page.locator("#detail-stage img").get_attribute("src").endswith("-large.jpg")
    page.keyboard.press("ArrowRight")
    assert (
        page.locator("#detail-stage svg.large text").count() == 3 - 1
    )  # near objects leave out a relation's
    assert page.locator("#detail .objects li").count() == 3
    page.keyboard.press("ArrowRight")
    shares = page.locator("#detail .parts b").all_text_contents()
    assert shares == ["0.5000", "0.1000", "0.3000"]
    page.keyboard.press("Escape")
    page.wait_for_selector("#detail", state="hidden")
    assert _broken(page) == 0


def test_right_answers_are_framed_and_shown_where_they_are_not_among_the_first(page: Any) -> None:
    assert page.locator(".card").first.locator(".result").first.locator(".tile").count() == 6
    for card in page.locator(".card").all()[:5]:
        assert "a right answer" in card.locator(".tile.right .open").first.get_attribute("aria-label")
    frame = "getComputedStyle(document.querySelector('.tile.right img')).borderColor"
    assert page.evaluate(frame) == "rgb(26, 127, 69)"


def test_everything_works_by_the_keyboard(page: Any) -> None:
    page.keyboard.press("j")
    page.keyboard.press("j")
    place = "[...document.querySelectorAll('.card')].indexOf(document.activeElement.closest('.card'))"
    assert page.evaluate(place) == 1
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail[open]")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    until(page, "location.hash.includes('page=2')")
    until(page, "document.querySelector('.page-number').textContent === '2 of 3'")
    page.keyboard.press("/")
    page.keyboard.type("luck")
    until(page, "document.querySelectorAll('.card').length === 2")


def _broken(page: Any) -> int:
    page.wait_for_load_state("networkidle")
    return int(
        page.evaluate("[...document.images].filter((i) => i.complete && i.src && !i.naturalWidth).length")
    )


def test_hostile_texts_stay_text(page: Any) -> None:
    for view in ("results", "queries", "captions", "run"):
        page.click(f"nav a[href^='#{view}']")
        page.wait_for_selector(f"#{view}:not([hidden])")
        assert page.locator("main script, main img[src=x], [onerror]").count() == 0
    assert HOSTILE in page.locator("#captions").text_content()
    page.click("nav a[href^='#queries']")
    assert page.locator(".modification").first.text_content().endswith(HOSTILE)
    assert HOSTILE in page.locator("svg.graph").first.get_attribute("aria-label")


def test_a_picture_without_a_name_would_be_found(chrome: Any) -> None:
    page = chrome.new_page()
    page.set_content("<html lang=en><title>t</title><main><h1>h</h1><img src=x></main>")
    assert violations(page).startswith("image-alt ")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_every_width_and_scheme_is_readable(chrome: Any, page_file: Path, scheme: str, width: int) -> None:
    context = chrome.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    listener = Listener(page)
    for view in ("results", "queries", "captions", "run"):
        page.goto(f"{page_file.as_uri()}#{view}")
        page.wait_for_selector(f"#{view}:not([hidden])")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
        assert violations(page) == "", view
        assert not page.evaluate(STACKED), view
    page.goto(f"{page_file.as_uri()}#queries")
    page.locator(".pair .open").nth(1).click()
    page.wait_for_selector("#detail[open]")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page) == ""
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert not listener.said
    context.close()


# cells of tables in sight whose number or name is broken over lines; prose may be
STACKED = """() => [...document.querySelectorAll("th, td")].filter((cell) => {
    if (!cell.checkVisibility() || cell.classList.contains("prose")) return false;
    const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const range = document.createRange();
        range.selectNodeContents(walker.currentNode);
        if (new Set([...range.getClientRects()].map((line) => Math.round(line.top))).size > 1) return true;
    }
    return false;
}).map((cell) => cell.textContent)"""


def test_three_thousand_queries_are_filtered_without_lag(
    chrome: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    paths = Paths(tmp_path_factory.mktemp("many"))
    make_results(paths, ("one",), queries=12)
    methods = Methods(registry.families(), registry.plotted(), registry.pictured())
    shown, _ = gather(results_params(("one",)), paths, methods)
    (dataset,) = shown["gallery"]["datasets"]
    rows = dataset["queries"]
    dataset["queries"] = [
        {**rows[i % 12], "id": f"q{i}", "ranks": [1 + (7 * i + k) % 90 for k in range(len(rows[0]["ranks"]))]}
        for i in range(3000)
    ]
    paths.report.mkdir()
    (paths.report / "index.html").write_text(render(shown))
    page = chrome.new_context(viewport={"width": 1400, "height": 900}).new_page()
    page.goto(f"{(paths.report / 'index.html').as_uri()}#queries")
    page.wait_for_selector(".card")
    assert page.inner_text("#status") == "3,000 queries."
    assert page.locator(".card").count() == 20
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})  # whatever else takes the processor
    before = _main_thread_seconds(devtools)
    choices = ("2-5", "1", "11-50", "51-", "2-5", "", "6-10", "1")
    for value in choices:
        page.select_option("[name=rank]", value)
        until(
            page, f"(new URLSearchParams(location.hash.split('?')[1])).get('rank') == '{value}' || !'{value}'"
        )
    assert (_main_thread_seconds(devtools) - before) / len(choices) < 0.2
    page.context.close()


def _main_thread_seconds(devtools: Any) -> float:
    """Processor time of a page's script, layout and style so far."""
    metrics = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])
