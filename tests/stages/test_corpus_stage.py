"""The corpus stage: tables, rejects and counts of all datasets; the same input gives the same bytes."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lempo.check import _dataset
from pipeline.base.errors import UserError
from pipeline.base.metrics_io import read_metrics
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES, QUERIES, REJECTS, SCENE_GRAPHS
from pipeline.base.tables import read_table
from pipeline.corpus import known_images
from stages import corpus, embed
from tests.pipeline.corpus.source import Source

ROOT = Path(__file__).parents[2]
UCM = ROOT.parent / "shared/ucm"


def _params(
    datasets: tuple[str, ...] = ("parks",),
    root: str = "in",
    share: float = 0.2,
    corpus_changes: dict[str, Any] | None = None,
) -> Params:
    raw: dict[str, Any] = load_params(ROOT / "params.yaml").model_dump()
    return Params.model_validate(
        {
            **raw,
            "datasets": datasets,
            "corpus": raw["corpus"] | {"root": root, "max_reject_share": share} | (corpus_changes or {}),
        }
    )


def _bytes(paths: Paths) -> dict[str, bytes]:
    files = [
        path for name in ("data", "metrics") for path in (paths.root / name).rglob("*") if path.is_file()
    ]
    return {
        str(path.relative_to(paths.root)): path.read_bytes()
        for path in files
        if "speed" not in path.relative_to(paths.root).parts
    }


def test_every_row_is_in_a_table_or_among_the_rejects(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    paths = Paths(tmp_path)
    first, second = Source(tmp_path / "in/parks"), Source(tmp_path / "in/roofs")
    first.image("val-green").write_bytes(b"")
    second.queries[0]["target"] = "nowhere"
    second.write()
    corpus.run(_params(("parks", "roofs"), share=0.25), paths)
    metrics = read_metrics(paths.metrics("corpus"))
    assert metrics["parks"].items() >= {"images": 8, "graphs": 8, "queries": 7}.items()
    assert f"the first reject: {second.folder}/triplets.json row 0, field 'target'" in caplog.text
    assert metrics["roofs"].items() >= {"images": 9, "graphs": 9, "queries": 8, "rejected_queries": 1}.items()
    assert metrics["all"].items() >= {"images": 17, "rejected_images": 1, "rejected_queries": 3}.items()
    assert read_metrics(paths.summary("corpus")) == {"corpus": {"images": 17, "rejected": 5}}
    assert metrics["parks"]["kinds"] == {"free": 7} and metrics["parks"]["images_val"] == 2
    rejects = read_table(paths.rejects, REJECTS).to_pylist()
    assert [(row["dataset"], row["table"]) for row in rejects] == [
        ("parks", "images"),
        ("parks", "scene_graphs"),
        ("parks", "queries"),
        ("parks", "queries"),
        ("roofs", "queries"),
    ]
    assert all(row["reason"] and row["remedy"] and row["file"] for row in rejects)
    for dataset in ("parks", "roofs"):
        for table, schema in (
            (paths.images, IMAGES),
            (paths.scene_graphs, SCENE_GRAPHS),
            (paths.queries, QUERIES),
        ):
            assert read_table(table(dataset), schema).num_rows > 0
    paths_in_table = read_table(paths.images("roofs"), IMAGES)["path"].to_pylist()
    assert all((tmp_path / path).is_file() for path in paths_in_table)


def test_a_second_run_writes_the_same_bytes(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    Source(tmp_path / "in/parks").image("val-green").unlink()
    corpus.run(_params(share=0.3), paths)
    first = _bytes(paths)
    corpus.run(_params(share=0.3), paths)
    assert _bytes(paths) == first
    assert set(first) == {
        "data/corpus/parks/images.parquet",
        "data/corpus/parks/scene_graphs.parquet",
        "data/corpus/parks/queries.parquet",
        "data/corpus/parks/captions.parquet",
        "data/corpus/rejects.parquet",
        "metrics/corpus.json",
        "metrics/summary/corpus.json",
    }


def test_too_many_rejects_end_the_stage_naming_the_first(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    source = Source(tmp_path / "in/parks")
    for row in (1, 4):
        source.queries[row]["split"] = "dev"
    source.write()
    with pytest.raises(UserError, match="2 of 9 rows of queries were rejected") as caught:
        corpus.run(_params(share=0.2), paths)
    line = str(caught.value)
    assert "triplets.json row 1, field 'split'" in line and "row 4" in line and "\n" not in line
    assert read_metrics(paths.metrics("corpus"))["all"]["rejected_queries"] == 2
    assert read_table(paths.rejects, REJECTS).num_rows == 2
    corpus.run(_params(share=0.23), paths)


@pytest.mark.parametrize("change", ["insert", "shorten"])
def test_graphs_that_change_while_images_are_read_end_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Each graph would go to the image of the row before it."""
    source, real = Source(tmp_path / "in/parks"), known_images.probe_all

    def probed(*arguments: Any) -> Any:
        yield from real(*arguments)
        rows = source.graphs
        source.graphs = [rows[0] | {"image_id": "another"}, *rows] if change == "insert" else rows[:-1]
        source.write()

    monkeypatch.setattr(known_images, "probe_all", probed)
    with pytest.raises(UserError, match=r"scene_graphs\.json row \d, .*changed while its images were read"):
        corpus.run(_params(), Paths(tmp_path))


def test_a_stage_that_fails_says_no_success_and_leaves_no_table(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = Paths(tmp_path)
    source = Source(tmp_path / "in/parks")
    corpus.run(_params(), paths)
    assert paths.queries("parks").is_file()
    for row in (1, 4):
        source.queries[row]["split"] = "dev"
    source.write()
    caplog.clear()
    with caplog.at_level("INFO"), pytest.raises(UserError, match="2 of 9 rows"):
        corpus.run(_params(share=0.2), paths)
    assert "9 images" not in caplog.text
    assert not list(paths.corpus("parks").glob("*.parquet")) and paths.rejects.is_file()
    with pytest.raises(UserError, match="the table is missing"):
        embed.run(_params(share=0.2), paths)


def test_a_refused_dataset_leaves_no_table_beside_one_that_cannot_be_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths, both = Paths(tmp_path), ("parks", "roofs")
    first, _ = Source(tmp_path / "in/parks"), Source(tmp_path / "in/roofs")
    corpus.run(_params(both), paths)
    for row in (1, 4):
        first.queries[row]["split"] = "dev"
    first.write()
    (tmp_path / "in/roofs/scene_graphs.json").write_text("[{")
    with caplog.at_level("ERROR"), pytest.raises(UserError, match=r"in/roofs/scene_graphs\.json"):
        corpus.run(_params(both), paths)
    assert "2 of 9 rows of queries" in caplog.text  # what is wrong with the other one is said too
    assert not list(paths.corpus("parks").glob("*.parquet"))
    assert list(paths.corpus("roofs").glob("*.parquet"))  # as it was


def test_equal_files_are_counted_within_a_split_and_refused_across_splits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths = Paths(tmp_path)
    source = Source(tmp_path / "in/parks")
    source.image("val-blue").write_bytes(source.image("val-green").read_bytes())
    with caplog.at_level("INFO"):
        corpus.run(_params(), paths)
    assert (
        "images that are byte for byte another image of their split: 1. The first: 'val-blue'" in caplog.text
    )
    counts = read_metrics(paths.metrics("corpus"))["parks"]
    assert counts.items() >= {"repeated_images": 1, "shared_images": 0}.items()
    for image_id in ("test-green", "train-red"):
        source.image(image_id).write_bytes(source.image("val-green").read_bytes())
    with pytest.raises(UserError, match="more than one split, byte for byte: 1") as caught:
        corpus.run(_params(), paths)
    assert "'test-green' (test), 'train-red' (train), 'val-blue' (val)" in str(caught.value)
    corpus.run(_params(corpus_changes={"allow_shared_images": True}), paths)
    counts = read_metrics(paths.metrics("corpus"))["all"]
    assert counts.items() >= {"repeated_images": 1, "shared_images": 1, "images": 9}.items()


def test_pictures_that_look_like_those_of_another_split_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(tmp_path / "in/parks")
    for number, file in enumerate(sorted(source.folder.glob("images/*.png"))):
        cells = np.random.default_rng(number).integers(0, 256, (10, 10), np.uint8)
        Image.fromarray(cells).resize((40, 30)).save(file)
    with Image.open(source.image("train-red")) as image:
        image.point(lambda value: value // 2).save(source.image("val-red"))
    with caplog.at_level("INFO"):
        corpus.run(_params(), Paths(tmp_path))
    counts = read_metrics(Paths(tmp_path).metrics("corpus"))
    assert counts["parks"]["near_duplicates_across_splits"] == counts["all"]["near_duplicates_across_splits"]
    assert counts["parks"].items() >= {"near_duplicates_across_splits": 1, "shared_images": 0}.items()
    words = "images of val and test that look like images of another split: 1. The first: 'train-red' (train)"
    assert words in caplog.text


def test_a_dataset_without_rows_ends_the_stage(tmp_path: Path) -> None:
    source = Source(tmp_path / "in/parks")
    source.queries = []
    source.write()
    with pytest.raises(UserError, match="no queries"):
        corpus.run(_params(), Paths(tmp_path))


def test_all_datasets_are_looked_for_before_any_is_read(tmp_path: Path) -> None:
    Source(tmp_path / "in/parks")
    with pytest.raises(UserError, match="roofs is missing"):
        corpus.run(_params(("parks", "roofs")), Paths(tmp_path))
    assert not (tmp_path / "data").exists()


def _archive(folder: Path, sites: dict[str, str]) -> None:
    (folder / "images").mkdir(parents=True)
    entries = []
    for number, (name, site) in enumerate(sites.items()):
        path = folder / "images" / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), (number * 20, 0, 0)).save(path)
        entries.append({"id": number, "file_name": name, "width": 40, "height": 30, "site": site})
    boxes = [{"id": 1, "image_id": 0, "category_id": 1, "bbox": [2, 2, 9, 9]}]
    coco = {"images": entries, "annotations": boxes, "categories": [{"id": 1, "name": "car"}]}
    (folder / "annotations.json").write_text(json.dumps(coco))


def test_an_archive_needs_no_graph_and_no_query(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    _archive(tmp_path / "in/parks", {f"{i}.png": f"site{i}" for i in range(6)})
    Image.new("RGB", (40, 30)).save(tmp_path / "in/alone.png")
    (tmp_path / "in/alone").mkdir()
    (tmp_path / "in/alone.png").rename(tmp_path / "in/alone/a.png")
    corpus.run(_params(("parks", "alone")), paths)
    metrics = read_metrics(paths.metrics("corpus"))
    assert metrics["parks"].items() >= {"images": 6, "graphs": 6, "queries": 0, "places": 6}.items()
    assert metrics["alone"].items() >= {"images": 1, "graphs": 0, "queries": 0}.items()
    first = _bytes(paths)
    corpus.run(_params(("parks", "alone")), paths)
    assert _bytes(paths) == first
    for name in ("parks", "alone"):
        assert "an archive" in _dataset(tmp_path / "in" / name, _params((name,)))


def test_tiles_are_the_same_bytes_in_every_run(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    _archive(tmp_path / "in/parks", {"a.png": "x", "b.png": "y"})
    noise = np.random.default_rng(0).integers(0, 255, (90, 80, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "in/parks/images/c.png")
    cut = {"tile_size": 40, "tile_overlap": 10}
    corpus.run(_params(corpus_changes=cut), paths)
    first = _bytes(paths)
    assert len([name for name in first if name.endswith(".png")]) == 9
    shutil.rmtree(tmp_path / ".lempo")
    corpus.run(_params(corpus_changes=cut), paths)
    assert _bytes(paths) == first
    corpus.run(_params(), paths)
    assert not [name for name in _bytes(paths) if name.endswith(".png")]  # none of the run before


def test_an_archive_of_which_no_tile_is_left_says_so(tmp_path: Path) -> None:
    _archive(tmp_path / "in/parks", {"a.png": "x"})  # of one colour
    cut = {"tile_size": 20, "tile_overlap": 0}
    with pytest.raises(UserError, match=r"each of its \d tiles was left out.*tile_size"):
        corpus.run(_params(corpus_changes=cut), Paths(tmp_path))


def test_a_place_that_is_stated_in_two_splits_ends_the_stage(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    sites = {"train/a.png": "north", "test/b.png": "north", "test/c.png": "south"}
    _archive(tmp_path / "in/parks", sites)
    with pytest.raises(UserError, match="places whose images are stated in more than one split: 1") as caught:
        corpus.run(_params(), paths)
    assert "north: 'train/a' (train), 'test/b' (test)" in str(caught.value)
    corpus.run(_params(corpus_changes={"allow_shared_places": True}), paths)
    assert read_metrics(paths.metrics("corpus"))["parks"]["shared_places"] == 1


def _world(folder: Path, families: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "world.yaml").write_text(
        f"theme: tennis\nseed: 7\nimage_size: 64\nfamilies:\n  train: 0\n  val: 0\n  test: {families}\n"
    )


def test_a_world_is_drawn_as_a_dataset(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    _world(tmp_path / "in/courts", 2)
    corpus.run(_params(("courts",)), paths)
    counts = read_metrics(paths.metrics("corpus"))["courts"]
    assert counts.items() >= {"images": 64, "graphs": 64, "queries": 60, "queries_with_edits": 60}.items()
    assert counts["near_duplicates_across_splits"] is None  # drawn, so not compared
    images = read_table(paths.images("courts"), IMAGES).to_pylist()
    assert all((tmp_path / row["path"]).is_file() for row in images)
    first = _bytes(paths)
    corpus.run(_params(("courts",)), paths)
    assert _bytes(paths) == first
    _world(tmp_path / "in/courts", 1)
    corpus.run(_params(("courts",)), paths)
    assert len(list((paths.corpus("courts") / "images").iterdir())) == 32  # none of the world that was


@pytest.mark.skipif(not UCM.is_dir(), reason="the real images are not on this machine")
def test_real_images_are_taken_whole(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    corpus.run(_params(("ucm",), str(UCM.parent)), paths)
    counts = read_metrics(paths.metrics("corpus"))["ucm"]
    assert counts.items() >= {"images": 2100, "graphs": 2100, "queries": 2060, "split_assumed": 269}.items()
    assert read_table(paths.rejects, REJECTS).num_rows == 0
