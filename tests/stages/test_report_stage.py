"""The report: complete, self-contained, and every text in it only text."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import PAIRS
from pipeline.base.tables import read_table, write_table
from pipeline.report.queries import shown_queries
from pipeline.report.tables import corpus_counts, curves, method_rows
from stages import report
from tests.stages.results import make_results, results_params
from trainer.methods import registry

FAMILIES, PICTURED = registry.families(), registry.pictured()
HOSTILE = "<script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(2)>{{ 7*7 }}</style>&"


def _params(datasets: tuple[str, ...] = ("one", "two"), queries: int = 30) -> Params:
    return results_params(datasets, queries)


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "img", "rect", "circle", "polyline", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.words += data


def _page(paths: Paths, params: Params) -> _Page:
    report.run(params, paths)
    page = _Page(paths.report.read_text(encoding="utf-8"))
    assert page.open == []
    return page


def test_the_page_shows_everything(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one", "two"))
    page = _page(paths, _params())
    for word in (
        "hybrid_untuned",
        "mean_recall",
        "98.7%",
        "a red roof",
        "It has seen nothing.",
        "ab12",
        "cd34",
    ):
        assert word in page.words
    assert "license: x" not in page.words  # of the card, only its text
    assert page.words.count("(failed: out of luck)") == 2
    assert page.tags["img"] == 12 * (2 + 2 * 5)
    assert page.tags["svg"] == 2 * (1 + 2)


def test_what_the_model_wrote_stands_apart_from_what_is_in_the_table(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one", "two"))
    words = "".join(_page(paths, _params()).words.split())
    by = ("the model, at first", "the model, after repair", "all texts of the table", "brought texts")
    shares = ("12.4%", "23.5%", "34.6%", "–")
    for recall in ("98.7%", "–"):  # of interpretations, and of pseudo captions
        rows = [f"{writer} 7 0 {recall} – {share}" for writer, share in zip(by, shares, strict=True)]
        assert words.count("".join(rows).replace(" ", "")) == 2  # datasets


def test_the_page_asks_no_host_and_runs_nothing(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one",), HOSTILE)
    page = _page(paths, _params(("one",)))
    assert HOSTILE in page.words
    assert page.tags["script"] == 0 and page.tags["link"] == 0 and page.tags["iframe"] == 0
    for _, name, value in page.attributes:
        assert not name.startswith("on"), name
        if name in ("src", "href"):
            assert value.startswith(("data:image/jpeg;base64,", "#")), value
    policy = [value for tag, name, value in page.attributes if tag == "meta" and name == "content"]
    assert any("default-src 'none'" in value for value in policy)
    style = re.search(r"<style>(.*?)</style>", paths.report.read_text(encoding="utf-8"), re.DOTALL)
    assert style and "url(" not in style[1] and "@import" not in style[1]


def test_the_same_results_are_the_same_page(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one",))
    report.run(_params(("one",)), paths)
    first = paths.report.read_bytes()
    report.run(_params(("one",)), paths)
    assert paths.report.read_bytes() == first


def test_queries_are_spread_over_datasets_and_kinds(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one", "two", "three"), queries=12)
    params = _params(("one", "two", "three"))
    shown = shown_queries(Expected(params, paths), params.datasets, 12, PICTURED)
    assert set(Counter((query.dataset, query.kind) for query in shown).values()) == {2}
    assert len({(query.dataset, query.query_id) for query in shown}) == 12
    assert len(shown_queries(Expected(_params(("one",)), paths), ("one",), 100, PICTURED)) == 12
    assert shown_queries(Expected(_params(("one",)), paths), ("one",), 0, PICTURED) == []


def test_right_answers_are_marked(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one",))
    for query in shown_queries(Expected(_params(("one",)), paths), ("one",), 6, PICTURED):
        for result in query.results:
            assert [picture.right for picture in result.top] == [
                picture.image_id == query.target.image_id for picture in result.top
            ]
        assert [result.method for result in query.results] == ["hybrid", "image_plus_text"]


def test_the_best_of_each_column_is_bold() -> None:
    values = {"R@5": 1.0, "R@10": 1.0, "R@50": 1.0, "mAP": 1.0, "mean_recall": 1.0}
    rows = method_rows({"hybrid": {"R@1": 3.0, **values}, "new": {"R@1": 4.0, **values}}, FAMILIES)
    assert [(row.method, "R@1" in row.best, "mAP" in row.best) for row in rows] == [
        ("hybrid", False, True),
        ("new", True, True),
    ]
    assert rows[1].family == "others"


def test_curves_skip_what_is_empty_and_refuse_what_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    path.write_text("epoch,train_loss,val_mean_recall\n0,,40\n1,2,50\n")
    assert [curve.title for curve in curves(path)] == ["validation mean recall, %"]
    path.write_text("epoch,train_loss\n0,x\n1,2\n")
    with pytest.raises(UserError, match="no table"):
        curves(path)


@pytest.mark.parametrize("gone", ["rankings", "evaluate", "plots", "images"])
def test_what_is_missing_is_one_line(tmp_path: Path, gone: str) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one",))
    files: dict[str, Any] = {
        "rankings": paths.rankings("one"),
        "evaluate": paths.metrics("evaluate", "one"),
        "plots": paths.plots("tune", "one"),
        "images": tmp_path / "pictures/one-1.png",
    }
    files[gone].unlink()
    with pytest.raises(UserError, match=files[gone].name):
        report.run(_params(("one",)), paths)
    assert not paths.report.exists()


def test_the_corpus_counts_every_query_brought_and_made(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one",), queries=6)
    expected = Expected(_params(("one",)), paths)
    rows = read_table(paths.pairs("one"), PAIRS).to_pylist()
    rows[0]["source"] = "rules"
    write_table(rows, paths.pairs("one"), PAIRS, expected.pairs("one"))
    counts = corpus_counts(Expected(_params(("one",)), paths))["one"]
    assert {name: counts[name] for name in ("queries", "made", "queries_test", "queries_train")} == {
        "queries": 6, "made": 1, "queries_test": 6, "queries_train": 0,
    }  # fmt: skip
