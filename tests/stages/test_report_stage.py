"""The report: complete, self-contained, and every text in it only text."""

import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lempo import search
from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.metrics_io import read_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import PAIRS
from pipeline.base.tables import read_table, write_table
from pipeline.report import page as report_page
from pipeline.report.pictures import TILE
from pipeline.report.tables import corpus_counts, curves, method_rows
from stages import report
from tests.stages.results import METHODS, make_results, results_params
from trainer.methods import registry

FAMILIES = registry.families()
HOSTILE = (
    "</script><script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(2)>{{ 7*7 }}</style>&"
)


def _params(datasets: tuple[str, ...] = ("one", "two"), queries: int = 30, pictures: int = 4000) -> Params:
    return results_params(datasets, queries, pictures)


class _Page(HTMLParser):
    """The words and tags of a page; what its scripts and styles hold stands apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.words = ""
        self.raw: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "link", "img", "input", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("script", "style"):
            self.raw.append((self.open[-1], data))
        else:
            self.words += data

    @property
    def gallery(self) -> dict[str, Any]:
        """The data of the gallery, the first script."""
        return json.loads(next(text for tag, text in self.raw if tag == "script"))


def _page(paths: Paths, params: Params) -> _Page:
    report.run(params, paths)
    page = _Page((paths.report / "index.html").read_text(encoding="utf-8"))
    assert page.open == []
    return page


def test_the_page_shows_everything(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one", "two"))
    page = _page(paths, _params())
    for word in (
        "hybrid_untuned", "mean_recall", "98.7%", "a red roof", "It has seen nothing.", "ab12", "cd34",
        "9.8.7", "comparators", "learning_rate",
    ):  # fmt: skip
        assert word in page.words
    assert "license: x" not in page.words  # of the card, only its text
    assert page.words.count("(failed: out of luck)") == 2
    assert page.words.count("Recall at K") == page.words.count("Loss on the train split") == 2
    assert page.words.count("lines on validation, rings on test") == 2


def test_the_gallery_holds_every_query_with_its_graph_its_texts_and_what_each_method_finds(
    tmp_path: Path,
) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one", "two"))
    gallery = _page(paths, _params()).gallery
    assert sorted(gallery["methods"]) == sorted(METHODS)
    assert gallery["first"] == ["hybrid", "image_plus_text"]
    assert [dataset["name"] for dataset in gallery["datasets"]] == ["one", "two"]
    for dataset in gallery["datasets"]:
        images = dataset["images"]
        assert len(dataset["queries"]) == dataset["tested"] == 6
        hybrid = gallery["methods"].index("hybrid")
        ranks = [query["ranks"][hybrid] for query in dataset["queries"]]
        assert ranks == sorted(ranks, reverse=True)
        for query in dataset["queries"]:
            number = int(query["id"][1:])
            assert images[query["reference"]][0] == f"image-{number:02}"
            assert images[query["target"]][0] == f"image-{number + 1:02}"
            assert next(images[place][0] for place in query["top"][hybrid]) == f"image-{number + 1:02}"
            assert query["scores"][hybrid][:2] == [0.9, 0.8]
            assert query["shares"][hybrid][1] == [0.5, 0.1, 0.2]
            assert query["shares"][gallery["methods"].index("chance")] is None
            reference = dataset["references"][str(query["reference"])]
            first, tree = reference["graph"]["objects"]
            assert first == ["a red roof", ["red"], None if number % 2 else [0.1, 0.25, 0.2, 0.2]]
            assert tree[2] is None and reference["graph"]["relations"] == [[1, "a red roof", 0]]
        for image_id, tile, large in images:
            assert (paths.report / "pictures" / tile).is_file(), image_id
            assert large is None or (paths.report / "pictures" / large).is_file()
        assert all(images[query["reference"]][2] for query in dataset["queries"])


def test_pictures_are_small_and_named_by_their_content(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one",))
    Image.new("RGB", (900, 600), (200, 20, 20)).save(tmp_path / "pictures/large.png")
    page = _page(paths, _params(("one",)))
    files = sorted((paths.report / "pictures").iterdir())
    assert all(re.fullmatch(r"[0-9a-f]{20}(-large)?\.jpg", file.name) for file in files)
    assert max(max(Image.open(file).size) for file in files if "-large" not in file.name) <= TILE
    assert len(files) == sum(1 + (large is not None) for _, _, large in page.gallery["datasets"][0]["images"])


def test_fewer_pictures_and_queries_keep_the_worst_and_their_references(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one", "two"))
    gallery = _page(paths, _params(queries=2, pictures=6)).gallery
    for dataset in gallery["datasets"]:
        pictured = {place for place, image in enumerate(dataset["images"]) if image[1]}
        assert len(pictured) == 3 and dataset["tested"] == 6
        assert [query["ranks"][gallery["methods"].index("hybrid")] for query in dataset["queries"]] == [4, 3]
        first = dataset["queries"][0]
        assert {first["reference"], first["target"]} <= pictured
    assert len(list((paths.report / "pictures").iterdir())) == 3 + 2  # the datasets have the same pictures
    empty = _page(paths, _params(queries=0)).gallery
    assert all(dataset["queries"] == [] == dataset["images"] for dataset in empty["datasets"])


def test_right_answers_are_named(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one",))
    (dataset,) = _page(paths, _params(("one",))).gallery["datasets"]
    for query in dataset["queries"]:
        assert query["right"] == [query["target"]] and query["answers"] == 1


def test_what_the_model_wrote_stands_apart_from_what_is_in_the_table(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one", "two"))
    words = "".join(_page(paths, _params()).words.split())
    by = ("the model, at first", "the model, after repair", "all texts of the table", "brought texts")
    shares = ("12.4%", "23.5%", "34.6%", "–")
    for recall in ("98.7%", "–"):  # of interpretations, and of pseudo captions
        rows = [f"{writer} 7 0 {recall} – {share}" for writer, share in zip(by, shares, strict=True)]
        assert words.count("".join(rows).replace(" ", "")) == 2  # datasets


def test_the_page_asks_no_host_and_runs_nothing_but_its_own_script(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one",), HOSTILE)
    page = _page(paths, _params(("one",)))
    assert HOSTILE in page.words
    assert page.gallery["datasets"][0]["queries"][0]["modification"] == HOSTILE
    assert page.tags["script"] == 2 and page.tags["iframe"] == page.tags["img"] == 0
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), name
        assert name != "style", value  # the policy would refuse it
        if name in ("src", "href"):
            assert value.startswith("#") or (tag, value) == ("link", "data:,"), value
    (policy,) = (value for tag, name, value in page.attributes if tag == "meta" and "default-src" in value)
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    for kind, place in (("style", 0), ("script", 1)):
        text = [text for tag, text in page.raw if tag == kind][place]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
        assert HOSTILE not in text and "http" not in text.replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|url\(|@import", text)


def test_the_same_results_are_the_same_folder(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one",))

    def written() -> dict[str, bytes]:
        report.run(_params(("one",)), paths)
        files = [file for file in paths.report.rglob("*") if file.is_file()]
        return {str(file.relative_to(paths.report)): file.read_bytes() for file in files}

    first = written()
    (paths.report / "pictures/left-over.jpg").write_bytes(b"x")
    assert written() == first and len(first) > 7


def test_the_figures_that_people_compare_stand_in_one_file(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one", "two"))
    paths.summary("tune", "left-over").write_text("no figures")
    report.run(_params(), paths)
    assert read_metrics(paths.summaries) == {
        "corpus": {"images": 42, "rejected": 1},
        "pairs": {"queries": 42},
        "interpret": {"all_right_rate": 0.346},
        "caption": {"all_right_rate": 0.346},
        "one": {"val_mean_recall": 50.0, "R@1": 40.0},
        "two": {"val_mean_recall": 50.0, "R@1": 40.0},
    }
    paths.summaries.unlink()
    paths.summary("evaluate", "two").unlink()
    with pytest.raises(UserError, match=r"evaluate/two\.json"):
        report.run(_params(), paths)
    assert not paths.summaries.exists()


def test_the_colours_are_those_of_the_page_of_the_search() -> None:
    pages = (report_page.PAGE, Path(search.__file__).with_name("page"))
    mine, others = (
        re.findall(r"(--[a-z0-9-]+): (#[0-9a-f]{6})", (folder / "style.css").read_text()) for folder in pages
    )
    names = {name for name, _ in mine} & {name for name, _ in others}
    assert len(names) >= 13
    assert [pair for pair in mine if pair[0] in names] == [pair for pair in others if pair[0] in names]


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
    path.write_text("epoch,train_loss,val_mean_recall\n0,,40\n1,2,50\n2,inf,50\n")
    assert curves(path) == {"train_loss": [(1, 2.0)], "val_mean_recall": [(0, 40.0), (1, 50.0), (2, 50.0)]}
    path.write_text("epoch,train_loss\n0,x\n1,2\n")
    with pytest.raises(UserError, match="no table"):
        curves(path)


@pytest.mark.parametrize("gone", ["rankings", "evaluate", "plots", "images", "tuned"])
def test_what_is_missing_is_one_line(tmp_path: Path, gone: str) -> None:
    paths = Paths(tmp_path)
    make_results(paths, ("one",))
    files: dict[str, Any] = {
        "rankings": paths.rankings("one"),
        "evaluate": paths.metrics("evaluate", "one"),
        "plots": paths.plots("tune", "one"),
        "images": tmp_path / "pictures/one-1.png",
        "tuned": paths.tuned("one") / "lempo.json",
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
