"""`interpret` and `caption` by a language model that this project did not make.

It runs where the variable `LEMPO_TEST_LLM` names the folder of an instruct model of at least half a billion
parameters: docs/real-llm.md says how to get one.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from tests.project import Project

FOLDER = os.environ.get("LEMPO_TEST_LLM", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="LEMPO_TEST_LLM names no folder of a language model"),
]

SIZE = 90
PLACES = {"top left": (10, 10), "center": (43, 43), "right": (78, 43), "bottom": (43, 78)}


def _object(number: int, name: str, *attributes: str, at: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"object_id": number, "name": name, "attributes": list(attributes)}
    if at is not None:
        x, y = PLACES[at]
        made["bbox"] = {"x": x, "y": y, "w": 4, "h": 4}
    return made


GRAPHS = {
    "marina": [
        _object(0, "boat", "white", "small", at="top left"),
        _object(1, "jetty", "wooden", at="center"),
        _object(2, "van", "red", at="right"),
    ],
    "orchard": [_object(0, "tree", "many"), _object(1, "meadow"), _object(2, "bare soil")],
    "stadium": [_object(0, "lamp", "large", at="bottom"), _object(1, "tent", "green", at="top left")],
    "village": [_object(0, "house", "three"), _object(1, "road"), _object(2, "pond", "round")],
}
RELATIONS = {"marina": (0, "left of", 1), "village": (0, "next to", 1)}
MODIFICATIONS = {
    "marina": "remove the van and add some trees",
    "orchard": "add one building",
    "stadium": "add two benches",
    "village": "remove the pond",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project(tmp_path_factory.mktemp("project"))
    _write_archive(project.folder / "archive/places")
    project.set(
        datasets=["places"],
        corpus__root="archive",
        corpus__near_duplicates="count",
        llm__model=str(Path(FOLDER).resolve()),
        llm__engine_args={"max_model_len": 4096, "dtype": "auto"},
        llm__repairs=0,
    )
    for stage in ("corpus", "pairs", "interpret", "caption"):
        project.run(sys.executable, "-m", "lempo.cli", stage)
    yield project


def _write_archive(folder: Path) -> None:
    (folder / "images").mkdir(parents=True)
    for shade, scene in enumerate(GRAPHS):
        Image.new("RGB", (SIZE, SIZE), (40 * shade, 90, 60)).save(folder / f"images/{scene}.png")
    graphs = [
        {
            "image_id": scene,
            "scene": scene,
            "objects": objects,
            "relationships": [
                {"subject_id": subject, "predicate": predicate, "object_id": object_}
                for subject, predicate, object_ in [RELATIONS[scene]] * (scene in RELATIONS)
            ],
        }
        for scene, objects in GRAPHS.items()
    ]
    queries = [
        {"pair_id": scene, "split": "test", "reference": scene, "modification": text, "target": other}
        for (scene, text), other in zip(MODIFICATIONS.items(), [*GRAPHS][1:] + [*GRAPHS][:1], strict=True)
    ]
    (folder / "scene_graphs.json").write_text(json.dumps(graphs))
    (folder / "triplets.json").write_text(json.dumps(queries))


@pytest.mark.parametrize("stage, table", [("interpret", "interpretations"), ("caption", "pseudo_captions")])
def test_every_row_has_a_text_that_ended_by_itself(project: Project, stage: str, table: str) -> None:
    rows = pl.read_parquet(project.folder / f"data/{table}/places.parquet")
    assert rows.height == 4
    assert rows["status"].to_list() == ["ok"] * 4
    assert rows["finish_reason"].to_list() == ["stop"] * 4
    metrics = json.loads((project.folder / f"metrics/{stage}.json").read_text())["places"]
    assert (metrics["rows"], metrics["failed"], metrics["truncated"]) == (4, 0, 0)


def test_interpretations_say_the_graphs(project: Project) -> None:
    metrics = json.loads((project.folder / "metrics/interpret.json").read_text())["places"]
    assert metrics["fact_recall"] >= 0.95
    assert metrics["hallucination_rate"] == 0


def test_pseudo_captions_say_most_facts_of_the_edited_graphs(project: Project) -> None:
    metrics = json.loads((project.folder / "metrics/caption.json").read_text())["places"]
    assert metrics["fact_recall"] >= 0.8
