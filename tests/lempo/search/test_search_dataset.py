"""A search in a dataset of the project: the ranking of `lempo evaluate`, and what is left out."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from lempo.search.indexing import index_dataset
from lempo.search.searcher import Query, Searcher
from pipeline.base.errors import UserError
from pipeline.base.schemas import PAIRS, PSEUDO_CAPTIONS, RANKINGS
from pipeline.base.tables import read_table
from tests.lempo.search.conftest import Tuned

pytest.importorskip("lancedb")
REFERENCE, MODIFICATION = "test-car-red-a", "make the car blue"
GRAPH = {"objects": [{"object_id": 1, "name": "car", "attributes": ["red"]}], "relationships": []}


@pytest.fixture(scope="module")
def searcher(tuned: Tuned) -> Iterator[Searcher]:
    opened = tuned.searcher()
    yield opened
    opened.close()


def test_the_ranking_is_that_of_evaluate(tuned: Tuned, searcher: Searcher) -> None:
    ranked = read_table(tuned.paths.rankings("tiny"), RANKINGS).to_pylist()
    tops = {row["query_id"]: row["top"] for row in ranked if row["method"] == "hybrid"}
    captions = read_table(tuned.paths.pseudo_captions("tiny"), PSEUDO_CAPTIONS).to_pylist()
    captioned = {row["query_id"] for row in captions if row["text"]}
    queries = read_table(tuned.paths.pairs("tiny"), PAIRS).to_pylist()
    compared = 0
    for query in queries:
        if query["split"] != "test" or query["query_id"] not in captioned:
            continue
        asked = Query(
            image_id=query["reference_id"], text=query["modification"], k=50, where="split = 'test'"
        )
        answer = searcher.search(asked)
        assert [hit.image_id for hit in answer.hits] == tops[query["query_id"]]
        assert answer.left_out == []
        assert answer.interpretation and answer.pseudo_caption
        compared += 1
    assert compared == 15


def test_shares_add_up_to_the_score(searcher: Searcher) -> None:
    answer = searcher.search(Query(image_id=REFERENCE, text=MODIFICATION, k=30))
    chosen = searcher.info()["weights"]
    for hit in answer.hits:
        assert sum(hit.shares.values()) == pytest.approx(hit.score, abs=1e-6)
        assert set(hit.shares) == {name for name, weight in chosen.items() if weight}
    assert [hit.score for hit in answer.hits] == sorted((hit.score for hit in answer.hits), reverse=True)


def test_nothing_is_embedded_and_only_other_rows_are_written(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lempo.search.indexing.load_vlm", lambda *_: pytest.fail("a model was loaded"))
    done = index_dataset("tiny", tuned.index, tuned.params, tuned.paths)
    assert (done.rows, done.added, done.changed, done.removed) == (192, 0, 0, 0)


def test_the_reference_is_kept_where_the_parameters_say_so(tuned: Tuned) -> None:
    method = tuned.params.method.model_copy(update={"reference": "kept"})
    params = tuned.params.model_copy(update={"method": method})
    answer = Searcher(tuned.index, params, tuned.paths).search(Query(image_id=REFERENCE, k=1))
    assert answer.hits[0].image_id == REFERENCE


def test_a_free_text_has_no_pseudo_caption_without_a_language_model(searcher: Searcher) -> None:
    answer = searcher.search(Query(image_id=REFERENCE, text="make the car green", k=3))
    assert answer.interpretation == "a red car." and answer.pseudo_caption is None
    assert answer.left_out[0] == "the pseudo caption: there is no language model"
    assert "the weight of the pseudo caption" in answer.left_out[1]
    assert answer.weights["pseudo_caption"] == 0
    assert sum(answer.weights[name] for name in ("triplet", "language")) == pytest.approx(1)


def test_a_graph_that_comes_along_takes_the_place_of_the_own_one(searcher: Searcher) -> None:
    other = {"objects": [{"object_id": 1, "name": "boat", "attributes": ["white"]}]}
    answer = searcher.search(Query(image_id=REFERENCE, text=MODIFICATION, graph=other))
    assert "white boat" in (answer.interpretation or "")
    assert any("written by rule" in line for line in answer.left_out)
    with pytest.raises(UserError, match="scene graph cannot be used"):
        searcher.search(Query(image_id=REFERENCE, text=MODIFICATION, graph={"objects": [{"name": "x"}]}))


def test_a_reference_alone_and_a_text_alone(searcher: Searcher) -> None:
    alone = searcher.search(Query(image_id=REFERENCE, k=5))
    assert alone.weights["triplet"] == alone.weights["image"] == 1 and len(alone.hits) == 5
    assert alone.hits[0].image_id.split("-")[1:3] == ["car", "red"]
    assert any("there is no text" in line for line in alone.left_out)
    text = searcher.search(Query(text="a blue boat", k=5))
    assert text.weights["language"] == 1 and any("a reference" in line for line in text.left_out)


def test_weights_may_be_given(searcher: Searcher) -> None:
    query = Query(image_id=REFERENCE, text=MODIFICATION, k=5)
    only = searcher.search(replace(query, weights={"triplet": 0, "language": 0, "pseudo_caption": 3}))
    assert only.weights["pseudo_caption"] == 1 and set(only.hits[0].shares) == {"pseudo_caption"}
    image = {"triplet": 1, "language": 0, "pseudo_caption": 0, "image": 1, "text": 0, "graph": 0}
    same = searcher.search(replace(query, weights=image))
    assert [hit.image_id for hit in same.hits] == [
        hit.image_id for hit in searcher.search(Query(image_id=REFERENCE, k=5)).hits
    ]
    for wrong in ({"tripled": 1.0}, {"text": -1.0}, {"triplet": float("nan")}, dict.fromkeys(image, 0.0)):
        with pytest.raises(UserError, match="weight"):
            searcher.search(replace(query, weights=wrong))


@pytest.mark.parametrize(
    "where", ["colour = 'red'", "split ==== 'test'", "", "split = 'te", "width", "date > 3"]
)
def test_a_filter_that_cannot_be_used_names_the_columns(searcher: Searcher, where: str) -> None:
    with pytest.raises(UserError, match=r"field 'where'.*Write an SQL condition over image_id, split, path"):
        searcher.search(Query(image_id=REFERENCE, where=where))


def test_a_filter_keeps_what_it_says(searcher: Searcher) -> None:
    hits = searcher.search(Query(image_id=REFERENCE, k=100, where="split = 'val' AND width > 3")).hits
    assert len(hits) == 64 and {hit.columns["split"] for hit in hits} == {"val"}
    answer = searcher.search(Query(image_id=REFERENCE, where="width > 3000"))
    assert answer.hits == [] and any("the filter keeps no more" in line for line in answer.left_out)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (Query(), "nothing to search for"),
        (Query(text="  "), "the text is empty"),
        (Query(text="x", k=0), "no such number of hits"),
        (Query(image_id="none"), "no such image"),
        (Query(image_id=REFERENCE, image=b"x"), "two references"),
        (Query(image=b"x"), "the reference cannot be used"),
        (Query(image=b""), "the image file is empty"),
    ],
)
def test_a_query_that_cannot_be_used(searcher: Searcher, query: Query, said: str) -> None:
    with pytest.raises(UserError, match=said):
        searcher.search(query)


def test_more_hits_than_images_and_a_long_text_are_said(searcher: Searcher) -> None:
    answer = searcher.search(Query(image_id=REFERENCE, text="make the car blue " * 9, k=999))
    assert len(answer.hits) == 191
    assert any("808 of 999 hits: the index holds no more" in line for line in answer.left_out)
    assert any(line.startswith("the end of the text: it has 38 tokens") for line in answer.left_out)


def test_images_are_listed_in_an_order(searcher: Searcher) -> None:
    rows, total = searcher.browse(None, 0, 5)
    assert total == 192 and [row["image_id"] for row in rows] == sorted(row["image_id"] for row in rows)
    assert (
        searcher.browse(None, 190, 5)[0][0].keys() == rows[0].keys()
        and len(searcher.browse(None, 190, 5)[0]) == 2
    )
    some = [row["image_id"] for row in searcher.browse("split = 'val'", 0, 64, sample=1)[0]]
    assert len(set(some)) == 64 and some != sorted(some)
    assert some == [row["image_id"] for row in searcher.browse("split = 'val'", 0, 64, sample=1)[0]]
    with pytest.raises(UserError, match="filter"):
        searcher.browse("nothing > 1", 0, 5)


def test_an_index_says_what_it_is(searcher: Searcher) -> None:
    info = searcher.info()
    assert (info["kind"], info["dataset"], info["rows"], info["tuned"]) == ("dataset", "tiny", 192, True)
    assert info["approximate"] is None and "date" in info["columns"]
    assert np.isclose(sum(info["weights"].values()), 1)
