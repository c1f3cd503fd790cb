"""docs/performance.md is what speed/results.json gives, and other pages quote it rightly."""

import re
from typing import Any
from xml.etree import ElementTree

import pytest

from speed import page
from speed.figures import ROOT, read_results
from speed.plot import LEFT, Bar, shown, svg
from speed.registry import LONG, MEASUREMENTS, NAMES

SVG = "{http://www.w3.org/2000/svg}"

# what other pages say: page, the beginning of a table's row, which of its cells, and the figure
QUOTES = [
    ("docs/search.md", "a file as reference, a text and a scene graph", 1, "search_100k_ms"),
    ("docs/search.md", "an image of the index as reference", 1, "search_100k_id_ms"),
    ("docs/search.md", "the same with a filter", 1, "search_100k_filter_ms"),
    ("docs/search.md", "the same with every image", 1, "search_100k_exact_ms"),
    ("docs/your-archive.md", "100,000 random graphs", 1, "pairs_100k_seconds"),
    ("docs/your-archive.md", "100,000 random graphs", 2, "pairs_100k_mb"),
]


def _figure(value: float = 1.5, unit: str = "ratio of seconds", **spread: float) -> dict[str, Any]:
    known = {"low": None, "high": None} | spread
    return {"value": value, "unit": unit, "against": "a | b", "command": "python -m speed x", **known}


def test_page_and_plot_are_what_the_figures_give() -> None:
    results, hint = read_results(), "run `python -m speed --render`"
    assert page.PAGE.read_text(encoding="utf-8") == page.markdown(results), hint
    assert page.PLOT.read_text(encoding="utf-8") == page.picture(results), hint


def test_every_figure_is_whole() -> None:
    for name, of in read_results().items():
        assert of.keys() == {"value", "unit", "against", "command", "low", "high"}, name
        assert of["command"] == LONG.get(name, f"python -m speed {name}")
        assert (of["low"] is None) == (of["high"] is None)
        assert of["low"] is None or of["low"] <= of["value"] <= of["high"]
    assert read_results().keys() <= set(NAMES)


@pytest.mark.parametrize(("file", "row", "cell", "name"), QUOTES)
def test_a_quote_says_what_the_figures_say(file: str, row: str, cell: int, name: str) -> None:
    (line,) = re.findall(rf"^\| {re.escape(row)}.*$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    said = line.strip("| ").split(" | ")[cell].strip(" |").removesuffix(" MB")
    assert said == f"{read_results()[name]['value']:,.0f}", f"correct {file}: {line}"


def test_a_figure_that_was_not_measured_is_named_with_what_it_needs() -> None:
    text = page.markdown({"help_seconds": _figure()})
    table, _, missing = text.partition("## Not measured")
    assert "`help_seconds` | 1.50 | – | ratio of seconds | a \\| b |" in table
    assert (
        "rank_vs_faiss_flat` | `python -m speed rank_vs_faiss_flat`, which needs the package faiss-cpu"
        in missing
    )
    assert "`help_seconds` |" not in missing and "`tune_vs_bare_text` |" in missing


def test_a_page_with_every_figure_has_no_list_of_others() -> None:
    every = {name: _figure(low=1.0, high=2.0) for name in NAMES}
    text = page.markdown(every)
    assert "Not measured" not in text and text.count("| 1.50 | 1.00 to 2.00 |") == len(every)


def test_ratios_of_rates_and_of_times_stand_apart_and_nothing_else_is_drawn() -> None:
    text = page.picture(
        {
            "help_seconds": _figure(0.2, "seconds"),
            "embed_vs_joint_limit": _figure(0.9, "ratio of images per second", low=0.8, high=1.2),
            "prefix_hit_rate": _figure(1.0, "share"),
            "tune_vs_bare_text": _figure(1.1),
        }
    )
    said = [element.text for element in ElementTree.fromstring(text).iter(f"{SVG}text")]
    drawn = ["embed_vs_joint_limit", "prefix_hit_rate", "tune_vs_bare_text"]
    titles = [text for text in said if text and ": " in text]
    assert [text for text in said if text in MEASUREMENTS["start"] or text in drawn] == [
        "prefix_hit_rate", "embed_vs_joint_limit", "tune_vs_bare_text"
    ]  # fmt: skip
    assert titles == ["Rates and shares: more is better", "Times: less is better"]
    assert said.index("tune_vs_bare_text") > said.index(titles[1]) > said.index("embed_vs_joint_limit")


def test_bars_and_whiskers_are_to_scale() -> None:
    tree = ElementTree.fromstring(svg({"a & b": [Bar("half", 0.5), Bar("two", 2.0, 1.0, 3.0)]}))
    half, two = tree.findall(f"{SVG}rect[@class='bar']")
    assert float(two.attrib["width"]) == pytest.approx(4 * float(half.attrib["width"]), abs=0.4)
    assert half.attrib["x"] == two.attrib["x"] == str(LEFT)
    (whisker,) = tree.findall(f"{SVG}path[@class='whisker']")
    low, high = (float(of) for of in re.match(r"M([\d.]+) [\d.]+H([\d.]+)", whisker.attrib["d"]).groups())  # type: ignore[union-attr]
    unit = float(two.attrib["width"]) / 2
    assert low - LEFT == pytest.approx(unit, abs=0.2) and high - LEFT == pytest.approx(3 * unit, abs=0.2)
    (one,) = tree.findall(f"{SVG}path[@class='one']")
    assert float(re.match(r"M([\d.]+)", one.attrib["d"])[1]) - LEFT == pytest.approx(unit, abs=0.2)  # type: ignore[index]
    assert high < float(tree.attrib["width"])


def test_the_plot_has_colours_for_light_and_for_dark() -> None:
    style = ElementTree.fromstring(svg({"": [Bar("a", 1.0)]})).find(f"{SVG}style")
    assert style is not None and style.text is not None
    light, dark = style.text.split("@media(prefers-color-scheme:dark)")
    for part in ("ground", "text", "soft", "bar", "grid", "one", "whisker"):
        assert re.search(rf"\.{part}\{{", light) and re.search(rf"\.{part}\{{", dark)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0312, "0.0312"),
        (1.04364, "1.04"),
        (58.1, "58.1"),
        (175.66, "176"),
        (12345.6, "12,346"),
    ],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert shown(value) == text
