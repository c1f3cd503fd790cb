"""From 60 real photographs with boxes to a search, by the commands that a person would type.

The embedded models, real vLLM, open_clip, DVC, LanceDB and Chromium. The tests of this file share one project
and build on each other in order.
"""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import polars as pl
import pytest
from jinja2.utils import htmlsafe_json_dumps

from pipeline.graph.edits import apply_edits, edits_from_row
from pipeline.graph.scene_graph import GroupGraph, graph_from_row, group_objects
from pipeline.pairs.difference import canonical
from tests.airports import AIRPORTS, HOSTILE_CLASS, HOSTILE_NAMES, write_archive
from tests.browser import Listener, browser, needs_chromium
from tests.project import Project
from tests.test_end_to_end import METHODS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not AIRPORTS.is_dir(), reason=f"the photographs are not at {AIRPORTS}"),
]
STAGES = {"corpus", "pairs", "interpret", "caption", "embed", "tune@airports", "evaluate@airports", "report"}
HOSTILE_IDS = {name.removesuffix(".jpg") for name in HOSTILE_NAMES.values()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, programs_with_vllm: Path) -> Project:
    project = Project(tmp_path_factory.mktemp("archive") / "project", programs=programs_with_vllm)
    write_archive(project.folder / "archives/airports")
    project.set(
        datasets=["airports"], corpus__root="archives", corpus__tile_size=180, corpus__tile_overlap=120,
        corpus__tile_objects=[1, 8], pairs__most=40, pairs__beside_brought=True, tune__epochs=1,
        comparators__epochs=1, llm__fallback="rules",
    )  # fmt: skip
    project.commit("An archive")
    return project


def _table(project: Project, name: str) -> pl.DataFrame:
    return pl.read_parquet(project.folder / "data" / f"{name}.parquet")


def _metrics(project: Project, name: str) -> dict[str, Any]:
    return json.loads((project.folder / "metrics" / f"{name}.json").read_text())


def _graphs(project: Project) -> dict[str, GroupGraph]:
    rows = _table(project, "corpus/airports/scene_graphs").to_dicts()
    return {row["image_id"]: group_objects(graph_from_row(row)) for row in rows}


def test_one_command_makes_everything(project: Project) -> None:
    assert set(project.repro()) == STAGES
    project.commit("First run")


def test_photographs_become_tiles_with_graphs_and_no_place_is_in_two_splits(project: Project) -> None:
    images = _table(project, "corpus/airports/images")
    assert images.height > 300
    assert images["scene_id"].n_unique() == 60 and set(images["scene_id"]) >= HOSTILE_IDS
    assert set(images["split"]) == {"train", "val", "test"}
    assert images["place"].null_count() == 0 and images["place"].n_unique() == 10
    assert images.group_by("place").agg(pl.col("split").n_unique())["split"].max() == 1
    for row in images.select("image_id", "scene_id", pl.col("tile").struct.unnest()).iter_rows(named=True):
        assert row["image_id"] == f"{row['scene_id']}_{row['x']}_{row['y']}"
        assert (row["w"], row["h"]) == (180, 180)
    graphs = _graphs(project)
    assert list(graphs) == images["image_id"].to_list()
    names = {group.name for graph in graphs.values() for group in graph.groups}
    assert names == {"airplane", HOSTILE_CLASS}
    for row in _table(project, "corpus/airports/scene_graphs").to_dicts():
        assert 1 <= len(row["objects"]) <= 8
    assert _table(project, "corpus/rejects").height == 0


def test_the_edits_of_a_query_make_the_graph_of_each_right_answer(project: Project) -> None:
    graphs, queries = _graphs(project), _table(project, "pairs/airports")
    images = {row["image_id"]: row for row in _table(project, "corpus/airports/images").to_dicts()}
    assert queries["split"].value_counts()["count"].to_list() == [40, 40, 40]
    assert {"add", "remove", "move", "count"} <= set(queries["kind"])
    for query in queries.to_dicts():
        reference, target = images[query["reference_id"]], images[query["target_id"]]
        assert reference["scene_id"] == target["scene_id"]
        assert reference["split"] == target["split"] == query["split"]
        made = apply_edits(graphs[query["reference_id"]], edits_from_row(query["edits"]) or ())
        assert query["target_id"] in query["target_ids"]
        for image_id in query["target_ids"]:
            assert canonical(graphs[image_id]) == canonical(made)
        assert "airplane" in query["modification"] or HOSTILE_CLASS in query["modification"]
    asked = {images[query]["scene_id"] for query in queries["reference_id"]}
    assert asked >= HOSTILE_IDS
    assert any(HOSTILE_CLASS in modification for modification in queries["modification"])


def test_every_graph_and_every_query_has_its_text(project: Project) -> None:
    interpretations = _table(project, "interpretations/airports")
    assert interpretations["image_id"].to_list() == list(_graphs(project))
    captions = _table(project, "pseudo_captions/airports")
    assert captions["query_id"].to_list() == _table(project, "pairs/airports")["query_id"].to_list()
    assert set(interpretations["status"]) | set(captions["status"]) == {"ok"}
    for stage, by_rule in (("interpret", 0.1), ("caption", 0.6)):
        figures = _metrics(project, stage)["airports"]
        assert figures["final"]["fact_recall"] > 0.95
        assert figures["fallback_rate"] < by_rule  # the embedded model knows other objects and modifications


def test_every_method_is_measured_on_the_test_queries(project: Project) -> None:
    metrics = _metrics(project, "evaluate/airports")
    assert set(metrics) == METHODS
    rankings, queries = _table(project, "rankings/airports"), _table(project, "pairs/airports")
    tested = set(queries.filter(pl.col("split") == "test")["query_id"])
    assert set(rankings["query_id"]) == tested
    assert rankings.height == len(METHODS) * len(tested)
    for method in ("hybrid", "hybrid_untuned", "image_plus_text"):
        assert metrics[method]["mean_recall"] > metrics["chance"]["mean_recall"]


def test_a_second_run_starts_no_stage(project: Project) -> None:
    assert "Data and pipelines are up to date" in project.dvc("status", "--with-deps", "report")
    assert project.repro() == []


def test_the_report_counts_and_shows_the_queries_and_takes_names_as_text(project: Project) -> None:
    page = (project.folder / "report/index.html").read_text()
    assert len(list((project.folder / "report/pictures").glob("*.jpg"))) >= 30
    assert "<td>40 / 40 / 40</td>" in page
    for hostile in (HOSTILE_CLASS, "<img src=x", "onerror=alert(2) &amp;."):
        assert hostile not in page
    for name in ("<b>cart</b>", "<img src=x onerror=alert(1)>"):
        assert htmlsafe_json_dumps(name)[1:-1] in page


@needs_chromium
def test_the_report_opens_in_a_browser_without_a_word(project: Project) -> None:
    with browser() as opened:
        page = opened.new_page()
        listener, dialogs = Listener(page), _dialogs(page)
        page.goto((project.folder / "report/index.html").as_uri() + "#queries")
        page.wait_for_selector(".card .tile img")
        page.wait_for_load_state("networkidle")
        assert _broken(page) == 0
        assert page.locator("img[src=x], img[onerror], td b:text('cart')").count() == 0
        assert listener.said == dialogs == []


def test_the_archive_is_indexed_and_searched_by_commands(project: Project) -> None:
    said = project.run("lempo", "index", "airports").stderr
    images = _table(project, "corpus/airports/images")
    assert f"{images.height} images" in said
    again = project.run("lempo", "index", "airports").stderr
    assert "0 added, 0 changed, 0 removed, 0 embedded" in again
    reference = _reference(project)
    answer = _search(project, "--id", reference, "--text", "remove the airplane", "-k", "12")
    assert len(answer["hits"]) == 12
    assert reference not in {hit["id"] for hit in answer["hits"]}
    places = dict(zip(images["image_id"], images["place"], strict=True))
    for hit in answer["hits"]:
        assert (project.folder / hit["path"]).is_file()
        assert sum(hit["shares"].values()) == pytest.approx(hit["score"], abs=1e-5)
        assert hit["columns"]["place"] == places[hit["id"]]


def test_a_search_ranks_as_the_evaluation_does(project: Project) -> None:
    """The texts of a query of the dataset are known, so no language model starts."""
    ranked = _table(project, "rankings/airports").filter(pl.col("method") == "hybrid")
    query = _table(project, "pairs/airports").filter(pl.col("split") == "test").to_dicts()[0]
    top = ranked.filter(pl.col("query_id") == query["query_id"])["top"].to_list()[0]
    answer = _search(
        project, "--id", query["reference_id"], "--text", query["modification"], "--where", "split = 'test'"
    )
    assert answer["left_out"] == []
    assert answer["texts"]["pseudo_caption"]
    assert [hit["id"] for hit in answer["hits"]] == top[:10]


def _reference(project: Project) -> str:
    """A tile of the photograph whose name is a tag, with one airplane."""
    return min(id for id in _graphs(project) if id.startswith("<img"))


def _search(project: Project, *arguments: str) -> dict[str, Any]:
    done = project.run("lempo", "search", *arguments, "--no-llm", "--json")
    return json.loads(done.stdout)


@needs_chromium
def test_the_page_searches_the_archive(project: Project) -> None:
    reference = _reference(project)
    with _served(project) as address, browser() as opened:
        page = opened.new_page(viewport={"width": 1400, "height": 900})
        listener, dialogs = Listener(page), _dialogs(page)
        page.goto(address)
        page.wait_for_selector(".tile")
        assert page.locator(".tile").count() >= 24
        _searched(page, lambda: page.goto(f"{address}?ref={quote(reference, safe='')}&text=x"))
        page.keyboard.press("/")
        page.fill("#text", "remove the airplane")
        _searched(page, lambda: page.keyboard.press("Enter"))
        assert page.locator(".tile.scored").count() == 24
        assert _broken(page) == 0
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.wait_for_selector("#detail[open]")
        assert page.inner_text("#detail-title") == _focused(page)
        assert re.search(r"site\d\d", page.inner_text("#detail-columns"))
        page.keyboard.press("Escape")
        page.wait_for_selector("#detail", state="hidden")
        chosen = _focused(page)
        _searched(page, lambda: page.keyboard.press("r"))
        assert parse_qs(urlsplit(page.url).query)["ref"] == [chosen]
        for image_id in (reference, min(id for id in _graphs(project) if id.startswith("a'b"))):
            where = quote(f"image_id = '{image_id.replace(chr(39), 2 * chr(39))}'", safe="")
            page.goto(f"{address}?where={where}")
            page.wait_for_selector(".tile")
            assert page.locator(".tile .open").first.get_attribute("title") == image_id
            page.click(".tile .open >> nth=0")
            page.wait_for_selector("#detail[open]")
            assert page.inner_text("#detail-title") == image_id
            assert _broken(page) == 0
        assert page.locator("img[src=x], img[onerror]").count() == 0
        assert listener.said == dialogs == []
        assert listener.asked <= {address.split("/")[2], ""}


def test_a_row_that_a_person_brings_takes_the_place_of_that_row_alone(project: Project) -> None:
    folder = project.folder / "archives/airports"
    pairs, texts = _table(project, "pairs/airports"), _table(project, "interpretations/airports")
    captions = _table(project, "pseudo_captions/airports")
    query, other = pairs.row(0, named=True), pairs.row(1, named=True)
    image = texts["image_id"][0]
    row = {"pair_id": query["query_id"], "reference": query["reference_id"], "target": query["target_id"]}
    said = {"split": query["split"], "modification": "One airplane is not where it was."}
    _write(folder / "triplets.json", [row | said])
    _write(folder / "interpretations.json", [{"image_id": image, "caption": "Seen by a person."}])
    brought = {query["query_id"]: "An apron, as a person sees it.", other["query_id"]: "Another apron."}
    _write(
        folder / "pseudo_captions.json",
        [{"pair_id": query_id, "caption": text} for query_id, text in brought.items()],
    )
    project.repro()
    assert _table(project, "corpus/rejects").height == 0
    now = _table(project, "pairs/airports").row(0, named=True)
    assert (now["query_id"], now["source"]) == (query["query_id"], "brought")
    assert now["modification"] == said["modification"]
    assert _table(project, "pairs/airports").slice(1).equals(pairs.slice(1))
    now_texts = _table(project, "interpretations/airports")
    assert now_texts.row(0, named=True)["text"] == "Seen by a person."
    assert now_texts.row(0, named=True)["source"] == "brought"
    assert now_texts.slice(1).equals(texts.slice(1))
    now_captions = _table(project, "pseudo_captions/airports")
    assert now_captions["text"][:2].to_list() == list(brought.values())
    assert now_captions.slice(2).equals(captions.slice(2))
    assert "Data and pipelines are up to date" in project.dvc("status", "--with-deps", "report")


def _write(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text(json.dumps(rows))


@contextmanager
def _served(project: Project) -> Iterator[str]:
    """`lempo serve` at a free port; gives the page's address, and ends it as Ctrl-C does."""
    process = subprocess.Popen(
        ["lempo", "serve", "airports", "--port", "0", "--no-llm"],
        cwd=project.folder, env=project.environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+/", line):
                yield found[0]
                break
        else:
            raise AssertionError("".join(said))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()


def _searched(page: Any, ask: Any) -> None:
    with page.expect_response(lambda response: "/api/search" in response.url):
        ask()
    page.wait_for_selector("body:not(.busy)")


def _focused(page: Any) -> str:
    return str(page.evaluate("document.querySelector('.tile .open[tabindex=\"0\"]').title"))


def _dialogs(page: Any) -> list[str]:
    said: list[str] = []

    def dismiss(dialog: Any) -> None:
        said.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    return said


def _broken(page: Any) -> int:
    page.wait_for_load_state("networkidle")
    return int(
        page.evaluate("[...document.images].filter((i) => i.complete && i.src && !i.naturalWidth).length")
    )
