"""An archive of 60 pictures with boxes and not one sentence: `dvc repro` to a tuned encoder and a report.

The tests of this file share one project and build on each other in order.
"""

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image, ImageDraw

from tests.project import Project

pytestmark = pytest.mark.slow

CLASSES = {"airplane": ((34, 34), "white"), "car": ((16, 10), "red"), "hangar": ((40, 30), "silver")}
SIDE, PLACES, OF_A_PLACE = 192, 3, 20
OWN = "Nothing but my own words."


def draw_archive(folder: Path) -> None:
    """Pictures of three places with one to four things each, and their boxes in COCO's layout."""
    (folder / "images").mkdir(parents=True)
    chance = random.Random(0)
    images: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for number in range(PLACES * OF_A_PLACE):
        place = number // OF_A_PLACE
        shade = Image.effect_noise((SIDE, SIDE), 12).point(lambda value: value - 40)
        ground = Image.merge("RGB", (shade, shade.point(lambda value, k=place: value + 20 * k), shade))
        for cell in chance.sample(range(9), chance.choice((1, 2, 2, 3, 4))):
            name = chance.choice([*CLASSES, "car"])
            (width, height), colour = CLASSES[name]
            x, y = cell % 3 * 64 + (64 - width) // 2, cell // 3 * 64 + (64 - height) // 2
            _draw(ImageDraw.Draw(ground), name, (x, y, x + width - 1, y + height - 1), colour)
            category = 1 + list(CLASSES).index(name)
            boxes.append(
                {
                    "id": len(boxes), "image_id": number, "category_id": category, "iscrowd": 0,
                    "bbox": [x, y, width, height],
                }
            )  # fmt: skip
        file = f"{number:02d}.png"
        ground.save(folder / "images" / file)
        images.append(
            {"id": number, "file_name": file, "width": SIDE, "height": SIDE, "site": f"field {place}"}
        )
    categories = [{"id": 1 + number, "name": name} for number, name in enumerate(CLASSES)]
    coco = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(coco))


def _draw(draw: ImageDraw.ImageDraw, name: str, box: tuple[int, int, int, int], colour: str) -> None:
    left, top, right, bottom = box
    if name != "airplane":
        draw.rectangle(box, colour, "black")
        return
    middle, wing = (left + right) // 2, (top + bottom) // 2
    draw.line((middle, top, middle, bottom), colour, 6)
    draw.line((left, wing, right, wing), colour, 7)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, programs_with_vllm: Path) -> Project:
    project = Project(tmp_path_factory.mktemp("archive") / "project", programs=programs_with_vllm)
    draw_archive(project.folder / "worlds/fields")
    project.set(
        datasets=["fields"], corpus__split_shares=[0.4, 0.3, 0.3], tune__epochs=1, comparators__epochs=1,
        report__queries=4,
    )  # fmt: skip
    (project.folder / "worlds/fields/interpretations.json").write_text(
        json.dumps([{"image_id": "07", "caption": OWN}])
    )
    project.commit("An archive")
    return project


def _metrics(project: Project, name: str) -> dict[str, Any]:
    return json.loads((project.folder / "metrics" / f"{name}.json").read_text())


def _table(project: Project, name: str) -> pl.DataFrame:
    return pl.read_parquet(project.folder / "data" / f"{name}.parquet")


def test_the_check_says_what_to_expect(project: Project) -> None:
    said = dict(line[5:].split(": ", 1) for line in project.run("lempo", "check").stdout.splitlines())
    assert said["images of fields"] == "of 60 images; 60 scene graphs"
    assert said["places of fields"] == "3 places, none of them in two splits (in 60 images)"
    assert "queries can be made" in said["pairs of fields"]
    assert "60 images x" in said["cost of embed"] and "at most 60 rows" in said["cost of interpret"]


def test_one_command_goes_from_boxes_to_a_tuned_encoder(project: Project) -> None:
    ran = project.repro()
    assert {"corpus", "pairs", "interpret", "caption", "embed", "tune@fields", "evaluate@fields"} < set(ran)
    corpus, queries = _metrics(project, "corpus")["fields"], _table(project, "pairs/fields")
    assert corpus.items() >= {"images": 60, "graphs": 60, "queries": 0, "places": 3}.items()
    assert queries.height > 30 and set(queries["split"]) == {"train", "val", "test"}
    places = dict(zip(*_table(project, "corpus/fields/images")[["image_id", "place"]], strict=True))
    assert all(places[row["reference_id"]] == places[row["target_id"]] for row in queries.to_dicts())
    assert (project.folder / "data/tuned/fields/open_clip_model.safetensors").is_file()
    assert "fields" in (project.folder / "report/index.html").read_text()


def test_texts_say_what_the_boxes_show_but_for_the_one_that_is_brought(project: Project) -> None:
    texts = _table(project, "interpretations/fields")
    own = texts.filter(pl.col("source") == "brought")
    assert own[["image_id", "text", "status"]].rows() == [("07", OWN, "ok")]
    figures = _metrics(project, "interpret")["fields"]
    assert (figures["rows"], figures["ok"], figures["brought"]["texts"]) == (60, 60, 1)
    assert figures["model"]["fact_recall"] > 0.8 and figures["brought"]["all_right_rate"] == 0
    assert _metrics(project, "caption")["fields"]["model"]["fact_recall"] > 0.7


def test_one_more_text_that_is_brought_changes_its_row_alone_and_asks_no_model(project: Project) -> None:
    before = _table(project, "pseudo_captions/fields")
    query_id = before["query_id"][3]
    (project.folder / "worlds/fields/pseudo_captions.json").write_text(
        json.dumps([{"pair_id": query_id, "caption": OWN}])
    )
    project.run("dvc", "repro", "caption")
    after = _table(project, "pseudo_captions/fields")
    others = pl.col("query_id") != query_id
    assert before.filter(others).equals(after.filter(others))
    assert after.filter(~others)[["text", "source"]].rows() == [(OWN, "brought")]
    assert _metrics(project, "speed/caption")["generated"] == 0
