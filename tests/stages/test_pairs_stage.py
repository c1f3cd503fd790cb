"""`lempo pairs`: the queries that every later stage reads."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lempo.cache import show_cache
from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.metrics_io import read_metrics
from pipeline.base.schemas import DROPPED, IMAGES, INTERPRETATIONS, PAIRS, QUERIES, SCENE_GRAPHS
from pipeline.base.tables import read_table, table_provenance, write_table
from pipeline.graph.edits import apply_edits, edits_from_row
from pipeline.graph.scene_graph import Group, GroupGraph, graph_from_row, group_objects
from pipeline.graph.table import GraphTable
from pipeline.llm.types import Request, Result
from pipeline.pairs.difference import canonical
from stages import pairs
from tests.exchanges import change_rows, halve
from tests.language_toy import FakeEngine, Toy, answered
from tests.pipeline.pairs.graphs import ROOT, Graphs

CAR, POND, TREE = (
    Group("1", "car", ("red",), "left"),
    Group("1", "pond", (), "top"),
    Group("1", "tree", (), "right"),
)
Make = Callable[..., Graphs]


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


@pytest.fixture
def graphs(tmp_path: Path) -> Make:
    return lambda **changes: Graphs(tmp_path, **changes)


def _rows(project: Graphs) -> list[dict[str, Any]]:
    return read_table(project.paths.pairs("graphs"), PAIRS).to_pylist()


def _figures(project: Graphs) -> dict[str, Any]:
    return read_metrics(project.paths.metrics("pairs"))["graphs"]


def _graphs_of(project: Graphs) -> dict[str, GroupGraph]:
    rows = read_table(project.paths.scene_graphs("graphs"), SCENE_GRAPHS).to_pylist()
    return {row["image_id"]: group_objects(graph_from_row(row)) for row in rows}


def _images(*groups: tuple[Group, ...], split: str = "train", **more: Any) -> list[Any]:
    """Images a, b, c ... with these groups."""
    names = (f"{split}-{chr(97 + i)}" for i in range(len(groups)))
    return [
        (name, split, GroupGraph("park", some, ()), more) for name, some in zip(names, groups, strict=True)
    ]


def test_brought_queries_stay_as_they_are(toy: Toy) -> None:
    pairs.run(toy.params, toy.paths)
    first = toy.paths.pairs("toy").read_bytes()
    brought = read_table(toy.paths.queries("toy"), QUERIES).to_pylist()
    all_queries = read_table(toy.paths.pairs("toy"), PAIRS).to_pylist()
    new = {"style": None, "source": "brought", "row_key": None}
    assert all_queries == [query | new for query in brought]
    figures = read_metrics(toy.paths.metrics("pairs"))["toy"]
    assert (figures["brought"], figures["made"], figures["queries_test"]) == (8, 0, 8)
    assert read_metrics(toy.paths.summary("pairs")) == {"pairs": {"queries": 16}}
    toy.with_params(pairs__max_facts=1, pairs__most=5)  # nothing is made, so nothing changes
    pairs.run(toy.params, toy.paths)
    assert toy.paths.pairs("toy").read_bytes() == first


def test_queries_of_another_corpus_are_refused(toy: Toy) -> None:
    change_rows(toy.paths.queries("toy"), halve)
    with pytest.raises(UserError, match="content is not what was written"):
        pairs.run(toy.params, toy.paths)


def test_made_queries_hold_what_they_promise(graphs: Make) -> None:
    project = graphs()
    project.random(240)
    pairs.run(project.params, project.paths)
    rows, graph_of = _rows(project), _graphs_of(project)
    split_of = {
        row["image_id"]: row["split"]
        for row in read_table(project.paths.images("graphs"), IMAGES).to_pylist()
    }
    assert len(rows) > 100
    for row in rows:
        reference, target = graph_of[row["reference_id"]], graph_of[row["target_id"]]
        assert canonical(apply_edits(reference, edits_from_row(row["edits"]) or ())) == canonical(target)
        equal = {
            image
            for image, graph in graph_of.items()
            if split_of[image] == row["split"] and canonical(graph) == canonical(target)
        }
        assert set(row["target_ids"]) == equal and row["reference_id"] not in equal
        assert split_of[row["reference_id"]] == row["split"]
        assert row["source"] == "rules" and row["style"] in ("command", "wish", "comparison")
    assert max(Counter(row["reference_id"] for row in rows).values()) == 2
    figures = _figures(project)
    assert figures["made"] == len(rows) and figures["within"] == "dataset"
    assert figures["right_answers_per_query"] == pytest.approx(
        sum(len(row["target_ids"]) for row in rows) / len(rows), abs=1e-5
    )
    assert figures["hard_negatives_per_query"] > 0
    before = project.paths.pairs("graphs").read_bytes()
    pairs.run(project.params, project.paths)
    assert project.paths.pairs("graphs").read_bytes() == before


def test_kinds_take_turns_up_to_the_limit_of_a_split(graphs: Make) -> None:
    project = graphs(pairs__most=21, pairs__max_facts=1)
    project.random(600)
    pairs.run(project.params, project.paths)
    for split in ("train", "val", "test"):
        kinds = Counter(row["kind"] for row in _rows(project) if row["split"] == split)
        assert kinds.total() == 21 and len(kinds) >= 5 and max(kinds.values()) <= 6


def test_both_directions_are_made(graphs: Make) -> None:
    project = graphs()
    project.write(_images((CAR,), (CAR, POND)))
    pairs.run(project.params, project.paths)
    texts = {(row["reference_id"], row["kind"]) for row in _rows(project)}
    assert texts == {("train-a", "add"), ("train-b", "remove")}


@pytest.mark.parametrize(
    ("within", "more", "pairs_made"),
    [
        ("auto", {"scene_id": "s"}, {"a": "b", "b": "a"}),
        ("auto", {"family": "f"}, {"a": "b", "b": "a"}),
        ("auto", {"place": "p"}, {"a": "b", "b": "a"}),
        ("place", {"scene_id": "s", "place": "p"}, {"a": "b", "b": "a"}),
    ],
)
def test_pairs_stay_within_a_scene_or_a_place(
    graphs: Make, within: str, more: dict[str, str], pairs_made: dict[str, str]
) -> None:
    """The third image, of another scene, has the second one's graph, and is no right answer."""
    project = graphs(pairs__within=within)
    third = {key: f"{value}2" for key, value in more.items()}
    images = zip(_images((CAR,), (CAR, POND), (CAR, POND)), (more, more, third), strict=True)
    project.write((*image[:3], columns) for image, columns in images)
    pairs.run(project.params, project.paths)
    assert {row["reference_id"][-1]: row["target_id"][-1] for row in _rows(project)} == pairs_made
    assert all(len(row["target_ids"]) == 1 for row in _rows(project))
    project.with_params(pairs__within="dataset")
    pairs.run(project.params, project.paths)
    by_reference = {row["reference_id"][-1]: row["target_ids"] for row in _rows(project)}
    assert by_reference["a"] == ["train-b", "train-c"]


def test_a_person_corrects_a_made_query_by_its_id(graphs: Make) -> None:
    project = graphs()
    images = _images((CAR,), (CAR, POND), (CAR, POND, TREE))
    project.write(images)
    pairs.run(project.params, project.paths)
    made = _rows(project)
    brought = {name: made[0][name] for name in QUERIES.names} | {"modification": "a better text"}
    project.write(images, [brought])
    project.with_params(pairs__beside_brought=True)
    pairs.run(project.params, project.paths)
    again = _rows(project)
    assert [row["query_id"] for row in again] == [row["query_id"] for row in made]
    assert (again[0]["modification"], again[0]["source"]) == ("a better text", "brought")
    assert again[1:] == made[1:]
    project.with_params(pairs__beside_brought=False)
    pairs.run(project.params, project.paths)
    assert [row["source"] for row in _rows(project)] == ["brought"]


def test_images_without_graphs_are_no_mistake_but_for_all_of_them(graphs: Make) -> None:
    project = graphs()
    project.write([*_images((CAR,), (CAR, POND)), ("train-z", "train", None, {})])
    pairs.run(project.params, project.paths)
    assert _figures(project)["images_without_graph"] == 1
    project.write([("train-z", "train", None, {}), ("train-y", "train", GroupGraph(None, (), ()), {})])
    with pytest.raises(UserError, match="indexed and searched with `lempo index`"):
        pairs.run(project.params, project.paths)


def test_a_split_without_a_pair_is_named(graphs: Make) -> None:
    project = graphs()
    project.write([*_images((CAR,), (CAR, POND)), *_images((CAR,), (CAR,), split="val")])
    with pytest.raises(UserError, match="no two of the 2 images of split val of graphs"):
        pairs.run(project.params, project.paths)


def test_a_reader_refuses_queries_that_other_parameters_made(graphs: Make) -> None:
    project = graphs()
    project.random(60)
    pairs.run(project.params, project.paths)
    project.with_params(pairs__max_facts=1)
    expected = Expected(project.params, project.paths)
    with pytest.raises(UserError, match=r"another pairs\.max_facts: 3, not 1.*dvc repro pairs"):
        table_provenance(project.paths.pairs("graphs"), PAIRS, expected.pairs("graphs"))


def _engine(texts: dict[str, str | list[str]]) -> FakeEngine:
    """Answers by the line of a difference: a text, or one for each attempt."""
    asked: Counter[str] = Counter()

    def answer(request: Request) -> Result:
        line = request.messages[-1]["content"].splitlines()[1]
        texts_of = texts[line]
        text = texts_of if isinstance(texts_of, str) else texts_of[min(asked[line], len(texts_of) - 1)]
        asked[line] += 1
        return answered(request, text)

    return FakeEngine(answer)


ADD, REMOVE = "- add: one pond at the top", "- remove: the pond at the top"


def test_the_model_writes_and_repairs(graphs: Make) -> None:
    project = graphs(pairs__write="llm")
    project.write(_images((CAR,), (CAR, POND)))
    engine = _engine(
        {
            ADD: '<think>A pond.</think> Sure! Here is the request: "Please add a pond at the top."',
            REMOVE: ["add a pond at the top", "delete the pond at the top"],
        }
    )
    pairs.run(project.params, project.paths, engine)
    found = {row["kind"]: (row["modification"], row["source"]) for row in _rows(project)}
    assert found == {
        "add": ("Please add a pond at the top.", "first"),
        "remove": ("delete the pond at the top", "repair"),
    }
    assert [_figures(project)[group]["all_right_rate"] for group in ("first", "model", "final")] == [
        0.5,
        1,
        1,
    ]
    again = _engine({})
    pairs.run(project.params, project.paths, again)
    assert not again.asked  # every text comes from the cache
    write_table([], project.paths.interpretations("graphs"), INTERPRETATIONS)
    show_cache(project.params, project.paths, prune=True)
    pairs.run(project.params, project.paths, again)
    assert not again.asked


@pytest.mark.parametrize("fallback", ["rules", "drop"])
def test_what_no_attempt_writes_rightly(graphs: Make, fallback: str) -> None:
    project = graphs(pairs__write="llm", pairs__fallback=fallback)
    project.write(_images((CAR,), (CAR, POND)))
    wrong = "An aerial view with one red car at the left."
    pairs.run(project.params, project.paths, _engine({ADD: "add one pond at the top", REMOVE: wrong}))
    dropped = read_table(project.paths.dropped, DROPPED).to_pylist()
    sources = Counter(row["source"] for row in _rows(project))
    figures = _figures(project)
    assert [figures[group]["texts"] for group in ("first", "model")] == [2, 2]
    assert [figures[group]["all_right_rate"] for group in ("first", "model")] == [0.5, 0.5]
    assert figures["final"]["all_right_rate"] == 1.0
    assert figures["final"]["texts"] == (2 if fallback == "rules" else 1)
    if fallback == "rules":
        assert sources == {"first": 1, "rules": 1} and not dropped
        return
    assert sources == {"first": 1} and _figures(project)["dropped"] == 1
    (row,) = dropped
    said = {field.name: json.loads(field.metadata.get(b"example", b"null")) for field in DROPPED}
    assert row == said | {"dataset": "graphs"}
    assert row["value"] == wrong
    assert "misses 'remove: the pond at the top'" in row["reason"] and "red car" in row["reason"]


def test_a_model_that_gives_nothing_ends_the_stage(graphs: Make) -> None:
    project = graphs(pairs__write="llm")
    project.write(_images((CAR,), (CAR, POND)))
    engine = FakeEngine(lambda request: Result(request.key, error="out of luck"))
    with pytest.raises(UserError, match="2 of 2 rows of graphs failed"):
        pairs.run(project.params, project.paths, engine)
    assert not project.paths.pairs("graphs").exists()


def test_graphs_of_the_references_fit_later_prompts(graphs: Make) -> None:
    """A graph with more groups than a prompt takes: the edits still fit its summary."""
    many = tuple(Group("1", f"thing{i}", (), "left") for i in range(30))
    project = graphs()
    project.write(_images(many, (*many[1:], POND), many[:-1]))
    pairs.run(project.params, project.paths)
    assert len(_rows(project)) >= 4
    assert len(GraphTable(project.paths.scene_graphs("graphs")).of(["train-a"])) == 1


@pytest.mark.slow
def test_a_model_that_never_learnt_it_does_no_harm(graphs: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded captioner writes captions: they are no modifications, so the rules write."""
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    model, engine = str(ROOT / "models/captioner"), {"kv_cache_memory_bytes": 64_000_000}
    project = graphs(pairs__write="llm", pairs__most=4, llm__model=model, speed__llm=engine)
    project.random(60)
    pairs.run(project.params, project.paths)
    figures, rows = _figures(project), _rows(project)
    assert figures["made"] == len(rows) == 12 and figures["dropped"] == 0
    assert figures["sources"]["rules"] >= 11 and figures["model"]["all_right_rate"] < 0.1
