"""Families and datasets: splits, traps, files, and what a wrong world.yaml is told."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedded.world import pictures
from embedded.world.dataset import Families, Row, WorldConfig, generate, read_world
from embedded.world.families import CHANGES_PER_FAMILY, family, graph_digest
from embedded.world.vocabulary import DATASETS, EDIT_KINDS
from pipeline.base.errors import UserError
from pipeline.base.files import sha256_file
from pipeline.base.schemas import IMAGES, QUERIES, SCENE_GRAPHS
from pipeline.base.tables import write_table
from pipeline.graph.edits import apply_edits, edits_from_row
from pipeline.graph.scene_graph import graph_from_row, group_objects

YAML = "theme: airplane\nseed: 3\nimage_size: 96\nfamilies: {train: 2, val: 1, test: 2}\n"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, WorldConfig, tuple[list[Row], ...]]:
    root = tmp_path_factory.mktemp("world")
    (root / "worlds/fields").mkdir(parents=True)
    (root / "worlds/fields/world.yaml").write_text(YAML)
    config = read_world(root / "worlds/fields")
    return root, config, generate(config, root / "images", 2, cache=root / "cache", root=root)


def keys(rows: list[Row]) -> dict[str, tuple]:
    """What each image's graph says, without order."""
    said = {}
    for row in rows:
        graph = group_objects(graph_from_row(row))
        related = frozenset((graph.groups[s], p, graph.groups[o]) for s, p, o in graph.relations)
        said[row["image_id"]] = (graph.scene, frozenset(graph.groups), related)
    return said


def test_rows_fit_the_contracts(drawn: tuple, tmp_path: Path) -> None:
    root, _, (images, graphs, queries) = drawn
    assert (len(images), len(graphs), len(queries)) == (5 * 32, 5 * 32, 5 * 30)
    for name, rows, schema in (("i", images, IMAGES), ("g", graphs, SCENE_GRAPHS), ("q", queries, QUERIES)):
        write_table(rows, tmp_path / f"{name}.parquet", schema, {"dataset": "fields"})
        assert rows == sorted(rows, key=lambda row: next(iter(row.values())))
    for row in images[::9]:
        assert row["sha256"] == sha256_file(root / row["path"])
        with Image.open(root / row["path"]) as picture:
            assert picture.size == (row["width"], row["height"]) == (96, 96)
    assert "fields-test-001-b-15" in {row["image_id"] for row in images}
    assert {row["query_id"] for row in queries} == {row["target_id"] for row in queries}


def test_edits_lead_from_reference_to_target(drawn: tuple) -> None:
    graphs = {row["image_id"]: group_objects(graph_from_row(row)) for row in drawn[2][1]}
    for query in drawn[2][2]:
        edits = edits_from_row(query["edits"])
        assert edits is not None
        assert apply_edits(graphs[query["reference_id"]], edits) == graphs[query["target_id"]]


def test_no_image_and_no_graph_in_two_splits(drawn: tuple) -> None:
    _, _, (images, graphs, _) = drawn
    split = {row["image_id"]: row["split"] for row in images}
    said = keys(graphs)
    bytes_of = {row["image_id"]: row["sha256"] for row in images}
    family_of = {row["image_id"]: row["family"] for row in images}
    for value in (bytes_of, said, family_of):
        owners: dict = {}
        for image_id, key in value.items():
            owners.setdefault(key, set()).add(split[image_id])
        assert all(len(splits) == 1 for splits in owners.values())
    assert len({row["sha256"] for row in images}) == len(images)


def test_every_kind_has_its_share(drawn: tuple) -> None:
    kinds = Counter(query["kind"] for query in drawn[2][2])
    assert set(kinds) == set(EDIT_KINDS)
    assert all(count >= 0.08 * kinds.total() for count in kinds.values())


def test_traps_make_the_whole_query_necessary(drawn: tuple) -> None:
    """From tables alone: neither the reference image nor an exact graph is enough."""
    _, _, (images, graphs, queries) = drawn
    said, split = keys(graphs), {row["image_id"]: row["split"] for row in images}
    hits, asked, placed = 0.0, 0, 0
    for query in queries:
        gallery = [i for i in said if split[i] == query["split"] and i != query["reference_id"]]
        target = said[query["target_id"]]
        right = [i for i in gallery if said[i] == target]
        twins = [i for i in right if i not in query["target_ids"]]
        place = query["reference_id"].rsplit("-", 1)[0]
        others = [i for i in gallery if i.startswith(place) and i != query["target_id"]]
        near = [i for i in gallery if _one_fact_apart(said[i], target)]
        assert len(twins) >= 1 and len(others) >= 10 and len(near) >= 2
        hits += len(query["target_ids"]) / len(right)
        asked += 1
        placed += [i for i in right if i.startswith(place)] == query["target_ids"]
    assert hits / asked <= 0.5  # an oracle that knows what the target's graph says
    assert placed == asked  # and one that knows the place too


def _one_fact_apart(one: tuple, other: tuple) -> bool:
    groups = len(one[1] - other[1]), len(other[1] - one[1])
    if groups == (0, 0):
        return len(one[2] - other[2]) == 1
    return max(groups) == 1


def test_second_call_draws_nothing_and_gives_the_same(drawn: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    root, config, rows = drawn
    monkeypatch.setattr(pictures, "render", _must_not_draw)
    fewer = config.model_copy(update={"families": Families(train=1, val=1, test=2)})
    (root / rows[0][0]["path"]).unlink()
    assert generate(config, root / "images", 1, cache=root / "cache", root=root) == rows
    assert (root / rows[0][0]["path"]).is_file()
    again = generate(fewer, root / "fewer", 1, cache=root / "cache", root=root)
    assert {row["image_id"]: row["sha256"] for row in again[0]}.items() <= {
        row["image_id"]: row["sha256"] for row in rows[0]
    }.items()


def _must_not_draw(*_: object) -> np.ndarray:
    raise AssertionError("a kept picture was drawn again")


@pytest.mark.parametrize("theme", DATASETS)
def test_a_family_can_be_made_alone(theme: str) -> None:
    one = family(5, theme, 7, "val")
    family(5, theme, 6, "val")
    assert family(5, theme, 7, "val") == one
    assert family(6, theme, 7, "val") != one
    assert family(5, theme, 7, "test").base != one.base
    assert one.sites[0].ground != one.sites[1].ground


@pytest.mark.parametrize("theme", DATASETS)
def test_many_families_share_no_graph(theme: str) -> None:
    owner: dict[bytes, tuple] = {}
    for split in ("train", "val", "test"):
        for index in range(10):
            made = family(2026, theme, index, split)
            digests = [graph_digest(scene) for scene in made.scenes[0]]
            assert digests == [graph_digest(scene) for scene in made.scenes[1]]
            assert len(set(digests)) == 1 + CHANGES_PER_FAMILY
            for digest in digests:
                assert owner.setdefault(digest, (split, index)) == (split, index)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("seed: 3", "seed: -1", "seed"),
        ("seed: 3", "seed: three", "seed"),
        ("seed: 3\n", "", "seed"),
        ("theme: airplane", "theme: ships", "theme"),
        ("image_size: 96", "image_size: 7", "image_size"),
        ("image_size: 96", "image_size: 96.5", "image_size"),
        ("val: 1", "val: -2", "families.val"),
        ("val: 1", "valid: 1", "families.valid"),
        ("seed: 3", "seed: 3\nseeds: 4", "seeds"),
        ("seed: 3", "seed: 3\ndataset: x", "dataset"),
        ("{train: 2, val: 1, test: 2}", "{train: 0, val: 0, test: 0}", "families"),
    ],
)
def test_a_wrong_world_is_told_the_field(tmp_path: Path, old: str, new: str, field: str) -> None:
    assert old in YAML
    (tmp_path / "world.yaml").write_text(YAML.replace(old, new))
    with pytest.raises(UserError) as raised:
        read_world(tmp_path)
    assert raised.value.problem.field == field
    assert "world.yaml" in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "- 1\n", "a: [", "\xff", "seed: 2020-13-45", "[" * 5000, YAML + YAML])
def test_a_file_that_is_no_world_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "world.yaml").write_text(text, encoding="latin-1")
    with pytest.raises(UserError):
        read_world(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        read_world(tmp_path / "nowhere")


def test_splits_that_share_a_graph_are_refused(
    drawn: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from embedded.world import dataset

    def same(seed: int, theme: str, index: int, split: str) -> object:
        return replace(family(seed, theme, 0, "train"), split=split, index=index)

    monkeypatch.setattr(dataset, "family", same)
    with pytest.raises(UserError, match="share a scene graph"):
        generate(drawn[1], tmp_path / "images", 1, cache=tmp_path / "cache", root=tmp_path)


@pytest.mark.parametrize("name", DATASETS)
def test_shipped_worlds_are_as_large_as_said(name: str) -> None:
    folder = Path(__file__).parents[3] / "worlds" / name
    families = read_world(folder).families
    assert 32 * (families.train + families.val + families.test) >= 1200
    assert 30 * (families.train + families.val + families.test) >= 1200
    assert 30 * families.test >= 300
