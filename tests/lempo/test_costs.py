"""What each stage will cost: measured figures alone, and nothing made up where there are none."""

import re
import shutil
from pathlib import Path

import pytest

from lempo.costs import costs, duration
from pipeline.base.metrics_io import write_metrics
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from stages import corpus, embed, pairs
from tests.finished import make_llm, with_changes
from tests.language_toy import FakeEngine, Toy
from tests.trainer.tiny import make_vlm_folder

ROOT = Path(__file__).parents[2]


def _said(params: Params, paths: Paths) -> dict[str, str]:
    return {name.removeprefix("cost of "): cost() for name, cost in costs(params, paths)}


def _params(folder: Path) -> Params:
    make_vlm_folder(folder / "vlm")
    shutil.copytree(ROOT / "prompts", folder / "prompts")
    make_llm(folder, b"{}")
    changes = {"llm.model": "llm", "vlm.model": "local-dir:vlm", "speed.device": "cpu"}
    return with_changes(load_params(folder / "params.yaml"), changes)


def test_before_any_run_images_are_counted_and_a_few_are_tried(folder: Path) -> None:
    said = _said(_params(folder), Paths(folder))
    measured = r"9 images x [\d.]+ ms \(decoding, as measured on 9 of them\) = [\d.]+ s"
    assert re.fullmatch(measured, said["corpus"])
    assert re.fullmatch(r"9 images x [\d.]+ ms \(as measured on 9 of them\) = [\d.]+ s", said["embed"])
    assert said["interpret"].startswith(
        "at most 9 rows, fewer where texts are in the cache; a prompt has about"
    )
    assert " beside its row, an answer has at most 160 tokens; " in said["interpret"]
    assert said["pairs"] == "made queries are written by rule: no model is asked"
    assert said["caption"] == "not known before `lempo pairs`, which says how many rows there are"
    assert said["tune"] == said["evaluate"] == "not known for parks: the stage has not run here"


def test_images_that_will_be_cut_into_tiles_are_not_counted_as_rows(folder: Path) -> None:
    said = _said(with_changes(_params(folder), {"corpus.tile_size": 16}), Paths(folder))
    assert said["embed"] == "not known before `lempo corpus`, which cuts images into tiles"
    assert said["interpret"] == "not known before `lempo corpus`, which says how many rows there are"


def test_of_another_model_and_of_no_image_nothing_is_said(folder: Path) -> None:
    paths = Paths(folder)
    params = with_changes(_params(folder), {"vlm.model": "ViT-B-32"})
    write_metrics(paths.speed("embed"), {"images_per_second": 10.0, "model": "local-dir:vlm"})
    unknown = "9 images; how long one takes is not known until the stage has run here with this model"
    assert _said(params, paths)["embed"] == unknown
    for file in (folder / "in/parks/images").iterdir():
        file.write_bytes(b"")
    params = with_changes(params, {"datasets": ("nowhere",)})
    assert _said(params, paths)["embed"] == "not known: there is no image yet"


def test_the_last_run_of_a_model_says_what_a_row_takes(folder: Path) -> None:
    paths, params = Paths(folder), _params(folder)
    write_metrics(paths.speed("corpus"), {"seconds_total": 130.0})
    write_metrics(paths.speed("embed"), {"images_per_second": 4.0, "model": "local-dir:vlm"})
    write_metrics(paths.speed("tune/parks"), {"seconds": {"load": 1.0, "tune": 599.0}})
    said = _said(params, paths)
    assert said["corpus"] == "9 images; the last run took 2 min"
    assert said["embed"] == "9 images x 250 ms (as in the last run) = 2.2 s"
    assert said["tune"] == "the last run, with the rows and parameters of then, took: parks 10 min"


def test_what_is_made_costs_nothing(folder: Path) -> None:
    paths, params = Paths(folder), _params(folder)
    for stage in (corpus, pairs, embed):
        stage.run(params, paths)
    said = _said(params, paths)
    assert said["corpus"] == "the tables are made, of 9 images"
    assert said["embed"] == "the features are made, of 9 images"
    shutil.rmtree(folder / "prompts")
    said = _said(params, paths)
    assert said["interpret"].startswith("not known: ") and "no such prompt file" in said["interpret"]


def test_rows_of_the_language_stages_and_the_length_of_their_prompts(toy: Toy) -> None:
    said = _said(toy.params, toy.paths)
    expected = (
        r"at most 16 rows, fewer where texts are in the cache; a prompt has about [\d,]+ characters, "
        r"an answer has at most 160 tokens; "
        r"how long one takes is not known until the stage has run here with this model"
    )
    assert re.fullmatch(expected, said["interpret"]) and re.fullmatch(expected, said["caption"])
    figures = {"model": "models/llm", "generated": 10, "generate_seconds": 5.0, "engine_start_seconds": 30}
    write_metrics(toy.paths.speed("interpret"), figures)
    assert _said(toy.params, toy.paths)["interpret"].endswith(
        "; 16 rows x 500 ms (as in the last run) = 8.0 s, and 30 s to start"
    )
    toy.run()
    assert _said(toy.params, toy.paths)["interpret"] == "the texts are made, of 16 rows"


def test_the_speed_files_name_their_model(toy: Toy) -> None:
    from pipeline.base.metrics_io import read_metrics

    assert isinstance(toy.run(), FakeEngine)
    assert read_metrics(toy.paths.speed("interpret"))["model"] == toy.params.llm.model


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (11.6, "12 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
