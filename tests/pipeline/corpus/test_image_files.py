"""Which file a graph means: its folder, its ending, its Unicode form; hidden and linked folders."""

import os
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from pipeline.corpus.folder import missing_files
from pipeline.corpus.tables import Corpus
from tests.pipeline.corpus.source import Source


def _reasons(corpus: Corpus) -> list[tuple[str, int | None, str]]:
    return [(row["table"], row["row"], row["reason"]) for row in corpus.rejects.rows]


def _move(source: Source, image_id: str, name: str) -> None:
    target = source.folder / "images" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    source.image(image_id).rename(target)


@pytest.mark.parametrize(
    "name",
    [
        "val-green.png",
        "parks/images/val-green.png",
        "images/VAL-Green.PNG",
        "images/val-green.jpg",
        "images\\val-green.png",
        "train/val-green.png",
        "images/val%2Dgreen.png",
    ],
)
def test_a_file_name_that_is_a_little_wrong_is_the_cause(source: Source, name: str) -> None:
    source.graphs[4]["file_name"] = name
    corpus = source.read()
    images = [row for row in _reasons(corpus) if row[0] == "images"]
    assert images == [("images", 4, "the image file is missing, but images/val-green.png is there")]
    assert corpus.rejects.seen["images"] == 9  # the file is not counted once more as an image without a graph
    assert "images/val-green.png" in corpus.rejects.rows[0]["remedy"]
    assert corpus.rejects.rows[0]["file"].endswith("scene_graphs.json")
    (problem,) = missing_files(source.folder, enumerate(source.graphs))
    assert (problem.row, problem.field, problem.value) == (4, "file_name", name)


def test_a_name_that_could_mean_two_files_names_none(source: Source) -> None:
    _move(source, "val-green", "a/x.png")
    _move(source, "val-red", "b/x.png")
    source.graphs[4]["file_name"] = "x.png"
    assert ("images", 4, "the image file is missing") in _reasons(source.read())


@pytest.mark.parametrize("form", ["{}.png", "images/{}.png"])
def test_an_id_may_be_the_name_of_its_file(source: Source, form: str) -> None:
    for graph in source.graphs:
        del graph["file_name"]
        graph["image_id"] = form.format(graph["image_id"])
    for query in source.queries:
        for key in ("reference", "target"):
            query[key] += ".png"
        query["targets"] = [name + ".png" for name in query["targets"]]
    corpus = source.read()
    assert corpus.rejects.rows == [] and corpus.images.num_rows == 9
    assert corpus.queries["target_id"][0].as_py() == form.format("train-green")


def test_a_query_may_name_the_file_of_an_image_without_a_graph(source: Source) -> None:
    source.graphs = [graph for graph in source.graphs if "green" not in graph["image_id"]]
    for query in source.queries:
        query["target"] = f"./images/{query['target']}.png"
        query["targets"] = [name + ".png" for name in query["targets"]]
    corpus = source.read()
    assert corpus.rejects.rows == []
    assert corpus.queries["target_ids"][2].as_py() == ["train-blue", "train-green"]


def test_an_id_cannot_lead_out_of_the_folder(source: Source) -> None:
    (source.folder.parent / "secret.jpg").write_bytes(source.image("val-red").read_bytes())
    source.graphs.append({"image_id": "../../secret", "objects": []})
    assert _reasons(source.read()) == [("scene_graphs", 9, "the file lies outside the dataset's folder")]


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("named", [True, False])
def test_composed_and_decomposed_names_are_the_same(source: Source, on_disk: Any, named: bool) -> None:
    other: Any = {"NFC": "NFD", "NFD": "NFC"}[on_disk]
    name = unicodedata.normalize("NFC", "São-Luís")
    _move(source, "train-red", unicodedata.normalize(on_disk, name) + ".png")
    written = unicodedata.normalize(other, name)
    source.graphs[0] |= {"image_id": written, "file_name": f"images/{written}.png"}
    if not named:
        del source.graphs[0]["file_name"]
    for query in source.queries[:3]:
        query["reference"] = unicodedata.normalize(on_disk, name)
    corpus = source.read()
    assert corpus.rejects.rows == [] and corpus.images.num_rows == 9
    row = next(row for row in corpus.images.to_pylist() if row["image_id"] == name)
    assert row["path"] == f"somewhere/parks/images/{unicodedata.normalize(on_disk, name)}.png"


@pytest.mark.parametrize("folder", [".ipynb_checkpoints", "@eaDir", "a/.cache", "__MACOSX", "#recycle"])
def test_hidden_folders_are_skipped_and_counted(source: Source, folder: str) -> None:
    hidden = source.folder / "images" / folder
    hidden.mkdir(parents=True)
    for name in ("val-red-checkpoint.png", "val-red.png", "notes.txt"):
        (hidden / name).write_bytes(source.image("val-red").read_bytes())
    (source.folder / "images/._val-red.png").write_bytes(b"metadata")
    corpus = source.read()
    assert corpus.images.num_rows == 9 and corpus.rejects.rows == []
    assert corpus.notes.metrics()["hidden_files"] == 3 and corpus.counts["ignored_files"] == 0
    assert corpus.notes.lines() == ["hidden image files passed by: 3"]


def test_linked_folders_are_followed_once(source: Source) -> None:
    elsewhere = source.folder.parent / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    for name in ("one.png", "deep/two.png"):
        (elsewhere / name).write_bytes(source.image("train-red").read_bytes())
    images = source.folder / "images"
    (images / "extra").symlink_to("../../elsewhere")
    (images / "again").symlink_to(elsewhere)  # the same folder under a second name
    (images / "round").symlink_to(images)
    (images / "up").symlink_to(source.folder)
    (elsewhere / "deep/back").symlink_to(elsewhere)
    (images / "lost").symlink_to("nowhere")
    (images / "self.png").symlink_to("self.png")
    corpus = source.read()
    ids = set(corpus.images["image_id"].to_pylist())
    assert corpus.counts["ignored_files"] == 2  # links to nothing
    assert {"again/one", "again/deep/two"} < ids and len(ids) == 11


def test_a_file_that_is_named_through_a_link_is_no_second_image(source: Source) -> None:
    (source.folder / "images/real").mkdir()
    _move(source, "train-red", "real/train-red.png")
    (source.folder / "images/linked").symlink_to("real")
    source.graphs[0]["file_name"] = "images/linked/train-red.png"
    corpus = source.read()
    assert corpus.rejects.rows == [] and corpus.images.num_rows == 9


def test_the_folder_of_images_may_be_a_link(source: Source) -> None:
    (source.folder / "images").rename(source.folder.parent / "elsewhere")
    (source.folder / "images").symlink_to("../elsewhere")
    assert source.read().images.num_rows == 9


@pytest.mark.parametrize("top", ["", ".hidden"])
def test_folders_may_lie_a_thousand_deep(source: Source, top: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = source.folder / "images"
    data = source.image("val-red").read_bytes()
    (images / top).mkdir(exist_ok=True)
    with monkeypatch.context() as patch:
        patch.chdir(images / top)
        for _ in range(1000):
            os.mkdir("d")
            os.chdir("d")
        Path("x.png").write_bytes(data)
    corpus = source.read()
    assert corpus.images.num_rows == 9 and corpus.notes.metrics()["hidden_files"] == bool(top)
    assert len(corpus.rejects.rows) == (not top)  # the id is too long
    subprocess.run(["rm", "-rf", images], check=True)  # Python itself cannot remove folders so deep
