"""A dataset folder becomes tables, and every row that cannot is a reject with its reason."""

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import UserError
from pipeline.base.schemas import REJECTS
from pipeline.base.tables import write_table
from pipeline.corpus.folder import read_folder
from pipeline.corpus.tables import Corpus
from stages.sources import check_source
from tests.pipeline.corpus.source import Source


def _rejects(corpus: Corpus, table: str) -> list[tuple[int | None, str | None, str]]:
    return [(row["row"], row["field"], row["reason"]) for row in corpus.rejects.rows if row["table"] == table]


def _ids(corpus: Corpus) -> list[str]:
    return sorted(corpus.images["image_id"].to_pylist())


def test_a_sound_folder_is_taken_whole(source: Source) -> None:
    corpus = source.read()
    assert corpus.rejects.rows == []
    assert (corpus.images.num_rows, corpus.scene_graphs.num_rows, corpus.queries.num_rows) == (9, 9, 9)
    image = corpus.images.to_pylist()[0]
    assert image["path"] == "somewhere/parks/images/test-blue.png"
    assert (image["width"], image["height"], image["split"], len(image["sha256"])) == (40, 30, "test", 64)
    query = corpus.queries.to_pylist()[2]
    assert query["query_id"] == "2" and query["kind"] == "free" and query["edits"] is None
    assert query["target_ids"] == ["train-blue", "train-green"]
    assert corpus.counts == {"split_assumed": 0, "answers_removed": 0, "ignored_files": 0}


def test_without_targets_the_target_is_the_answer(source: Source) -> None:
    del source.queries[0]["targets"]
    source.queries[1]["targets"] = ["train-green"]  # the target itself is not listed
    rows = source.read().queries.to_pylist()
    assert rows[0]["target_ids"] == ["train-green"]
    assert rows[1]["target_ids"] == ["train-blue", "train-green"]


def test_a_plain_text_has_edits(source: Source) -> None:
    source.queries[0]["modification"] = "remove the trees"
    edits = source.read().queries.to_pylist()[0]["edits"]
    assert [(edit["op"], edit["name"]) for edit in edits] == [("remove", "tree")]


def test_kind_and_edits_of_the_file_are_taken(source: Source) -> None:
    edit = {"kind": "object", "quantity": "1", "name": "roof", "position": "top left"}
    source.queries[0] |= {
        "kind": "recolour",
        "family": 3,
        "edits": [
            edit | {"op": "remove", "attributes": ["red"]},
            edit | {"op": "add", "attributes": ["green"]},
        ],
    }
    row = source.read().queries.to_pylist()[0]
    assert (row["kind"], row["family"], len(row["edits"])) == ("recolour", "3", 2)


def test_images_that_no_query_names_count_as_train(source: Source) -> None:
    source.graphs.append(source.graphs[0] | {"image_id": "x", "file_name": "images/x.png"})
    source.graphs.append(source.graphs[0] | {"image_id": "y", "file_name": "images/y.png", "split": "test"})
    for name in "xyz":
        source.image(name).write_bytes(source.image("train-red").read_bytes())
    (source.folder / "images/notes.txt").write_text("not an image")
    corpus = source.read()
    splits = dict(zip(corpus.images["image_id"].to_pylist(), corpus.images["split"].to_pylist(), strict=True))
    assert (splits["x"], splits["y"], splits["z"]) == ("train", "test", "train")
    assert corpus.counts["split_assumed"] == 2 and corpus.counts["ignored_files"] == 1
    assert "z" not in corpus.scene_graphs["image_id"].to_pylist()  # in the gallery alone


def test_one_query_of_the_wrong_split_is_the_one_rejected(source: Source) -> None:
    source.queries.insert(0, source.queries.pop(2) | {"split": "test"})
    source.queries.append(source.queries[2] | {"pair_id": "again"})
    source.queries.append(source.queries[1] | {"pair_id": "and again"})
    corpus = source.read()
    assert [row for row, _, _ in _rejects(corpus, "queries")] == [0]


def test_the_file_name_may_be_missing(source: Source) -> None:
    for graph in source.graphs:
        del graph["file_name"]
    assert source.read().images.num_rows == 9


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "cannot be decoded"),
        (lambda path: path.write_text("<html>"), "not in a format"),
    ],
)
def test_a_bad_image_takes_its_graph_and_its_queries_with_it(source: Source, damage: Any, said: str) -> None:
    damage(source.image("val-green"))
    corpus = source.read()
    ((row, field, reason),) = _rejects(corpus, "images")
    assert (row, field) == (4, "file_name") and said in reason
    assert corpus.rejects.rows[0]["value"] == "images/val-green.png"
    assert _rejects(corpus, "scene_graphs") == [(4, "image_id", f"its image was rejected: {reason}")]
    assert _rejects(corpus, "queries") == [
        (3, "target", f"its image was rejected: {reason}"),
        (5, "target", f"its image was rejected: {reason}"),
    ]
    assert "val-green" not in _ids(corpus)


def test_a_graph_row_of_no_use_gives_its_reason_to_the_queries(source: Source) -> None:
    source.graphs[3]["file_name"] = "/etc/passwd"  # val-red, whose file is there all the same
    source.graphs[6] |= {"image_id": "test-crimson", "file_name": "../crimson.png"}  # was test-red
    for query in source.queries[6:]:
        query["reference"] = "test-crimson"
    corpus = source.read()
    why = "the file lies outside the dataset's folder"
    assert _rejects(corpus, "scene_graphs") == [(3, "file_name", why), (6, "file_name", why)]
    graphless = [(row, "reference", f"its reference's scene graph was rejected: {why}") for row in (3, 4, 5)]
    imageless = [(row, "reference", f"its image was rejected: {why}") for row in (6, 7, 8)]
    assert _rejects(corpus, "queries") == graphless + imageless
    assert _rejects(corpus, "images") == [] and "val-red" in _ids(corpus)


def test_names_of_files_may_be_anything(source: Source) -> None:
    (source.folder / "images/\udcff.png").write_bytes(source.image("train-red").read_bytes())
    source.graphs[0]["file_name"] = "images/" + "y" * 300 + ".png"
    corpus = source.read()
    reasons = [said for _, _, said in _rejects(corpus, "images")]
    assert any("surrogate" in said for said in reasons) and any("too long" in said for said in reasons)
    write_table(
        [{"dataset": "parks", **row} for row in corpus.rejects.rows], source.folder / "r.parquet", REJECTS
    )


def test_a_further_answer_that_was_rejected_leaves_the_list(source: Source) -> None:
    source.image("test-blue").unlink()
    corpus = source.read()
    assert [row for row, _, _ in _rejects(corpus, "queries")] == [7]
    assert corpus.queries.to_pylist()[-1]["target_ids"] == ["test-green"]
    assert corpus.counts["answers_removed"] == 1


def test_a_bad_graph_leaves_its_image_in_the_gallery(source: Source) -> None:
    source.graphs[0]["objects"][0]["name"] = ""  # train-red, the reference of rows 0 to 2
    source.graphs[4]["objects"] = None  # val-green, only ever a target
    corpus = source.read()
    assert corpus.images.num_rows == 9 and corpus.scene_graphs.num_rows == 7
    assert [(row, field) for row, field, _ in _rejects(corpus, "scene_graphs")] == [
        (0, "objects[0].name"),
        (4, "objects"),
    ]
    rejected = _rejects(corpus, "queries")
    assert [row for row, _, _ in rejected] == [0, 1, 2]
    assert "scene graph was rejected: the text is empty" in rejected[0][2]


def test_a_reference_without_a_graph_is_said(source: Source) -> None:
    del source.graphs[0]
    rejected = _rejects(source.read(), "queries")
    assert rejected[0] == (0, "reference", "its reference has no scene graph")


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"image_id": None}, "image_id", "missing"),
        ({"image_id": ""}, "image_id", "empty"),
        ({"image_id": 1.5}, "image_id", "text or a whole number"),
        ({"image_id": "a\x00"}, "image_id", "control character"),
        ({"image_id": "train-green"}, "image_id", "stands twice, in row 1 too"),
        ({"file_name": "../secret.png"}, "file_name", "outside"),
        ({"file_name": "/etc/passwd"}, "file_name", "outside"),
        ({"file_name": "images/train-green.png"}, "file_name", "named twice"),
        ({"split": "dev"}, "split", "unknown"),
    ],
)
def test_each_fault_of_a_graph_row_is_rejected(
    source: Source, change: dict[str, Any], field: str, said: str
) -> None:
    source.graphs.append(source.graphs[0] | {"image_id": "new", "file_name": "images/new.png"} | change)
    ((row, found, reason),) = _rejects(source.read(), "scene_graphs")
    assert (row, found) == (9, field) and said in reason


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"pair_id": None}, "pair_id", "missing"),
        ({"pair_id": 0}, "pair_id", "stands twice"),
        ({"pair_id": True}, "pair_id", "whole number"),
        ({"split": "dev"}, "split", "unknown"),
        ({"split": None}, "split", "missing"),
        ({"split": ["train"]}, "split", "unknown"),
        ({"reference": "nowhere"}, "reference", "no such image"),
        ({"reference": None}, "reference", "missing"),
        ({"target": "nowhere"}, "target", "no such image"),
        ({"target": "test-red"}, "target", "one image"),
        ({"targets": ["test-green", "nowhere"]}, "targets[1]", "no such image"),
        ({"targets": ["test-green", "test-red"]}, "targets[1]", "among its own right answers"),
        ({"targets": "test-green"}, "targets", "no list"),
        ({"target": "train-green", "targets": None}, "split", "belongs to split 'train'"),
        ({"targets": ["test-green", "val-blue"]}, "split", "belongs to split 'val'"),
        ({"modification": " "}, "modification", "empty"),
        ({"modification": 5}, "modification", "no text"),
        ({"modification": "a\tb"}, "modification", "control character"),
        ({"modification": "x" * 1001}, "modification", "1001 characters"),
        ({"kind": "swap"}, "kind", "unknown"),
        ({"edits": [{"op": "paint"}]}, "edits[0].op", "unknown"),
        ({"edits": [{"op": "add", "kind": "object"}]}, "edits[0].name", "missing"),
        ({"edits": [{"op": "add", "kind": "object", "name": "car", "attributes": [1]}]},
         "edits[0].attributes[0]", "no text"),
        ({"edits": [{"op": "remove", "kind": "object", "name": "car"}]}, "edits", "do not fit"),
    ],
)  # fmt: skip
def test_each_fault_of_a_query_is_rejected(
    source: Source, change: dict[str, Any], field: str, said: str
) -> None:
    source.queries.append(source.queries[6] | {"pair_id": 99} | change)
    corpus = source.read()
    ((row, found, reason),) = _rejects(corpus, "queries")
    assert (row, found) == (9, field) and said in reason
    assert corpus.queries.num_rows == 9


def test_rows_that_are_no_objects_are_rejected(source: Source) -> None:
    source.graphs.append(None)  # type: ignore[arg-type]
    source.queries.append([1])  # type: ignore[arg-type]
    corpus = source.read()
    assert [row for row, _, _ in _rejects(corpus, "scene_graphs")] == [9]
    assert [row for row, _, _ in _rejects(corpus, "queries")] == [9]


def test_the_described_reject_is_one(source: Source) -> None:
    source.graphs[1]["objects"][0]["bbox"] = [2, 2, 9]
    (row,) = source.read().rejects.rows
    said = {field.name: json.loads(field.metadata[b"example"]) for field in REJECTS}
    assert row["file"].endswith("/scene_graphs.json") and said["file"].endswith("/scene_graphs.json")
    assert {**row, "dataset": said["dataset"], "file": said["file"]} == said


def test_a_key_that_stands_twice_rejects_its_row(source: Source) -> None:
    source.write()
    twice = {
        "scene_graphs.json": ('"scene": "park"', '"scene": "sea", "scene": "park"'),
        "triplets.json": ('"modification": ', '"modification": "x", "modification": '),
    }
    for name, (once, both) in twice.items():
        text = (source.folder / name).read_text()
        (source.folder / name).write_text(text.replace(once, both, 1))
    graphs = source.folder / "scene_graphs.json"
    name = '"name": "tree"'
    graphs.write_text(graphs.read_text()[::-1].replace(name[::-1], f"{name}, {name}"[::-1], 1)[::-1])
    corpus = read_folder(source.folder, "somewhere/parks", workers=1)
    assert _rejects(corpus, "scene_graphs") == [
        (0, "row", "a key stands twice"),
        (8, "objects[1]", "a key stands twice"),
    ]
    assert [row["value"] for row in corpus.rejects.rows if row["table"] == "scene_graphs"] == [
        "scene",
        "name",
    ]
    assert _rejects(corpus, "queries")[0] == (0, "row", "a key stands twice")


def test_half_a_surrogate_pair_can_be_written_down(source: Source) -> None:
    source.queries[0]["modification"] = "\ud83d"
    source.queries[1]["pair_id"] = "\ud83d"
    corpus = source.read()
    assert [row["record_id"] for row in corpus.rejects.rows] == ["0", "\\ud83d"]


def test_whole_numbers_are_ids(source: Source) -> None:
    source.graphs[0]["image_id"] = 7
    for query in source.queries[:3]:
        query["reference"] = 7
    corpus = source.read()
    assert corpus.rejects.rows == [] and "7" in _ids(corpus)


def test_what_is_left_out_of_graphs_is_counted_with_the_first_case(source: Source) -> None:
    source.graphs[2]["objects"][0]["bbox"] = [2, 2, 0, 9]
    source.graphs[5]["objects"][0]["bbox"] = [2, 2, 9, -1]
    source.graphs[6]["objects"][0] |= {"bbox": [2, 2, 0, 9], "name": ""}  # is rejected as a whole
    source.graphs[7]["relationships"].append({"subject_id": 0, "predicate": "on", "object_id": 9})
    corpus = source.read()
    assert corpus.scene_graphs.num_rows == 8
    counts = corpus.notes.metrics()
    assert (counts["boxes_left_out"], counts["relationships_left_out"], counts["boxes_clipped"]) == (2, 1, 0)
    line = corpus.notes.lines()[0]
    assert "boxes left out: 2" in line and "scene_graphs.json row 2, field 'objects[0].bbox'" in line


def test_turned_and_deep_images_are_counted_and_their_boxes_are_upright(source: Source) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 40), "red").save(source.image("val-red"), exif=exif)  # 40 x 30 upright
    deep = np.linspace(300, 3500, 1200).reshape(30, 40).astype(np.uint16)
    Image.fromarray(deep).save(source.image("val-blue"))
    source.graphs[3] |= {"width": 40, "height": 30}
    source.graphs[3]["objects"][0]["bbox"] = [30, 2, 9, 9]
    corpus = source.read()
    assert corpus.rejects.rows == []
    assert "images turned upright by their EXIF orientation: 1. The first: " in corpus.notes.lines()[0]
    assert corpus.notes.metrics()["images_rescaled"] == 1
    row = next(row for row in corpus.scene_graphs.to_pylist() if row["image_id"] == "val-red")
    assert (row["width"], row["height"], row["objects"][0]["bbox"]["x"]) == (40, 30, 30)
    source.graphs[3] |= {"width": 30, "height": 40}
    (reject, *_) = source.read().rejects.rows
    assert reject["field"] == "width" and "EXIF" in reject["remedy"]


def test_the_remedy_of_a_large_image_speaks_of_tiles(source: Source) -> None:
    Image.new("RGB", (80, 60)).save(source.image("val-red"))
    (reject, *_) = read_folder(source.folder, "parks", workers=1, max_pixels=4000).rejects.rows
    assert "4800 to 4000" in reject["reason"] and "tiles" in reject["remedy"]
    assert read_folder(source.folder, "parks", workers=1, max_pixels=4800).rejects.rows == []


def test_a_table_written_by_pandas_is_read(source: Source) -> None:
    nan = float("nan")
    for i, graph in enumerate(source.graphs):
        empty = nan if i % 2 else ""
        graph |= {"image_id": float(i), "split": empty, "family": empty, "scene": empty}
    index = {
        f"{split}-{colour}": float(i * 3 + j)
        for i, split in enumerate(("train", "val", "test"))
        for j, colour in enumerate(("red", "green", "blue"))
    }
    for query in source.queries:
        query |= {
            "pair_id": float(query["pair_id"]),
            "reference": index[query["reference"]],
            "target": index[query["target"]],
            "targets": nan,
            "kind": nan,
            "family": nan,
            "edits": nan,
        }
    edit = {"op": "remove", "kind": "object", "quantity": 1.0, "name": "roof", "position": "top left"}
    source.queries[1]["edits"] = [edit | {"attributes": ["red"], "subject": nan}]
    corpus = source.read()
    assert corpus.rejects.rows == []
    assert corpus.queries["query_id"].to_pylist()[:2] == ["0", "1"]
    assert corpus.queries["kind"].to_pylist() == ["free"] * 9
    assert corpus.queries["edits"][1].as_py()[0]["quantity"] == "1"
    assert set(corpus.images["image_id"].to_pylist()) == set("012345678")


def test_a_missing_part_of_the_folder_is_named(source: Source) -> None:
    (source.folder / "triplets.json").unlink()
    check_source(source.folder)  # queries can be made
    with pytest.raises(UserError, match="missing"):
        check_source(source.folder / "nowhere")
    (source.folder / "triplets.json").symlink_to("triplets.json")
    with pytest.raises(UserError, match="no file"):
        check_source(source.folder)
    (source.folder / "triplets.json").unlink()
    for image in (source.folder / "images").iterdir():
        image.unlink()
    with pytest.raises(UserError, match="holds no image"):
        check_source(source.folder)


def test_a_folder_is_a_world_or_a_dataset(source: Source) -> None:
    (source.folder / "world.yaml").write_text("theme: tennis")
    with pytest.raises(UserError, match="both"):
        check_source(source.folder)


def test_a_path_that_is_too_long_is_rejected_though_the_file_is_there(source: Source) -> None:
    folder = source.folder.joinpath("images", *("f" * 200 for _ in range(4)))
    folder.mkdir(parents=True)
    file = folder / "long.png"
    file.write_bytes(source.image("train-red").read_bytes())
    source.graphs[0]["file_name"] = file.relative_to(source.folder).as_posix()
    (reject, *_) = source.read().rejects.rows
    assert reject["field"] == "file_name" and "characters" in reject["reason"]
