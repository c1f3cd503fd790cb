"""What each stage will cost: measured figures alone, and nothing made up where there are none."""

import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from lempo.costs import costs, duration, weights_count
from lempo.machine import machine
from lempo.measured import Measured, measured, record, ship
from pipeline.base.errors import UserError
from pipeline.base.files import remember
from pipeline.base.metrics_io import write_metrics
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from stages import corpus, embed, pairs
from tests.finished import make_llm, with_changes
from tests.language_toy import FakeEngine, Toy
from tests.trainer.tiny import make_vlm_folder

ROOT = Path(__file__).parents[2]


def _said(params: Params, paths: Paths) -> dict[str, str]:
    return {found.name.removeprefix("cost of "): found.said for found in costs(params, paths)}


def _figures(params: Params, paths: Paths) -> dict[str, dict[str, Any]]:
    return {found.name.removeprefix("cost of "): found.figures for found in costs(params, paths)}


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
    assert re.fullmatch(
        r"9 images x [\d.]+ ms \(as measured on 9 of them\) = [\d.]+ s; at least [\d.]+ [kM]B of memory",
        said["embed"],
    )
    assert said["interpret"].startswith(
        "at most 9 rows, fewer where texts are in the cache; a prompt has about"
    )
    assert " beside its row, an answer has at most 160 tokens; " in said["interpret"]
    assert said["pairs"] == "made queries are written by rule: no model is asked"
    copies = (
        r"9 pictures x [\d.]+ ms \(small copies, as measured on 9 of them\) = [\d.]+ s; [\d.]+ kB of disk"
    )
    assert re.fullmatch(copies, said["report"])
    assert said["caption"] == "not known before `lempo pairs`, which says how many rows there are"
    unknown = "not known before `lempo pairs`, which says how many queries there are"
    assert said["tune"] == said["evaluate"] == unknown
    assert (
        said["all"].startswith("at most ") and "what interpret, caption, tune, evaluate take" in said["all"]
    )


def test_images_that_will_be_cut_into_tiles_are_not_counted_as_rows(folder: Path) -> None:
    said = _said(with_changes(_params(folder), {"corpus.tile_size": 16}), Paths(folder))
    assert said["embed"] == "not known before `lempo corpus`, which cuts images into tiles"
    assert said["interpret"] == "not known before `lempo corpus`, which says how many rows there are"


def test_of_another_model_and_of_no_image_nothing_is_said(folder: Path) -> None:
    paths = Paths(folder)
    params = with_changes(_params(folder), {"vlm.model": "ViT-B-32"})
    unit = {"units": 9, "seconds": 0.1, "start_seconds": 0.0, "tokens": None, "memory": 1, "disk": 1}
    remember(paths.cache / "costs/embed.json", unit | {"model": "local-dir:vlm  on cpu", "machine": "m"})
    unknown = "9 images; how long one takes is not known until the stage has run here with this model"
    assert _said(params, paths)["embed"] == unknown
    for file in (folder / "in/parks/images").iterdir():
        file.write_bytes(b"")
    params = with_changes(params, {"datasets": ("nowhere",)})
    assert _said(params, paths)["embed"] == "not known: there is no image yet"


def test_what_ran_here_says_what_one_takes_and_where_it_was_measured(folder: Path) -> None:
    paths, params = Paths(folder), _params(folder)
    write_metrics(paths.speed("corpus"), {"seconds_total": 130.0})
    figures = {"images_per_second": 4.0, "embedded": 20, "cached": 0, "seconds": {"load": 2.0}}
    write_metrics(paths.speed("embed"), figures)
    record(params, paths, "embed")
    said = _said(params, paths)
    assert said["corpus"] == "9 images; the last run took 2 min"
    assert said["embed"].startswith(f"9 images x 250 ms (measured on 20, {machine()}) = 2.2 s; ")
    write_metrics(paths.speed("embed"), figures | {"images_per_second": None, "embedded": 0, "cached": 20})
    record(params, paths, "embed")  # all from the cache: what was measured stays
    assert _said(params, paths)["embed"] == said["embed"]
    assert _figures(params, paths)["embed"]["seconds"] == pytest.approx(9 * 0.25 + 2)


def test_what_a_killed_writer_left_goes_even_where_nothing_was_computed(folder: Path) -> None:
    paths, params = Paths(folder), _params(folder)
    left = paths.cache / "costs/.embed.json.4711.tmp"
    left.mkdir(parents=True)
    figures = {"images_per_second": None, "embedded": 0, "cached": 20, "seconds": {"load": 2.0}}
    write_metrics(paths.speed("embed"), figures)
    record(params, paths, "embed")
    assert not left.exists()


def test_tuning_and_evaluation_by_their_queries(folder: Path) -> None:
    paths, params = Paths(folder), with_changes(_params(folder), {"tune.epochs": 5})
    for stage in (corpus, pairs):
        stage.run(params, paths)
    said, figures = _said(params, paths), _figures(params, paths)
    assert said["tune"].startswith("3 queries of train, at most 5 epochs; how long one takes is not known")
    assert figures["tune"]["memory"] == 5 * figures["tune"]["disk"] == 20 * weights_count(folder / "vlm")
    write_metrics(paths.speed("tune/parks"), {"examples": 30, "seconds": {"load": 1.0, "tune": 60.0}})
    write_metrics(paths.speed("evaluate/parks"), {"queries": 9, "seconds": {"rank": 4.0, "load": 5.0}})
    for stage in ("tune", "evaluate"):
        record(params, paths, stage, "parks")
    said, figures = _said(params, paths), _figures(params, paths)
    assert f"15 examples x 2e+03 ms (measured on 30, {machine()}) = 30 s" in said["tune"]
    assert figures["tune"]["seconds"] == 31 and figures["evaluate"]["seconds"] == 9
    assert figures["all"]["memory"] >= figures["tune"]["memory"] > 10**7  # of this very process


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "git-LFS pointer.*git lfs pull",
        ),
        (b"\xff" * 20, "the file is no safetensors file"),
        (b"\2\0\0\0\0\0\0\0{]", "damaged"),
    ],
)
def test_weights_that_are_none_are_named(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=rf"model\.safetensors.*{why}"):
        weights_count(tmp_path)


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
    expected += r"(; at least [\d.]+ GB of memory)?"
    assert re.fullmatch(expected, said["interpret"]) and re.fullmatch(expected, said["caption"])
    write_metrics(
        toy.paths.speed("interpret"),
        {
            "generated": 10,
            "cache_hits": 0,
            "generate_seconds": 4.0,
            "checking_seconds": 1.0,
            "engine_start_seconds": 30,
            "output_tokens": 200,
        },
    )
    record(toy.params, toy.paths, "interpret")
    took = f"; 16 texts x 500 ms (measured on 10, {machine()}) = 8.0 s, and 30 s to start"
    assert took in _said(toy.params, toy.paths)["interpret"]
    assert _figures(toy.params, toy.paths)["interpret"]["written"] == 320
    other = with_changes(toy.params, {"llm.model": "someone/other"})
    assert measured(other, toy.paths, "interpret") is None
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


def test_a_world_that_is_not_drawn_is_counted_and_a_few_of_its_images_are_tried(tmp_path: Path) -> None:
    """As on a fresh clone: what the embedded models take was measured on another machine."""
    for name in ("prompts", "models", "worlds", "params.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    params, paths = load_params(tmp_path / "params.yaml"), Paths(tmp_path)
    said, figures = _said(params, paths), _figures(params, paths)
    assert re.fullmatch(
        r"6,336 images x [\d.]+ ms \(drawing, as measured on a few\) = \d+ (s|min)", said["corpus"]
    )
    assert said["interpret"].startswith("at most 6,336 rows, ")
    assert said["caption"].startswith("at most 5,940 rows, ")
    assert "4,000 pictures x " in said["report"] and "a picture of noise" in said["report"]
    assert said["tune"].startswith("2,160 queries of train, at most 8 epochs; ")
    for stage in ("interpret", "caption", "embed", "tune", "evaluate"):
        assert ", another machine: " in said[stage]
    assert figures["all"]["seconds"] > 60, "nothing is unknown"
    slower = Measured(1, 60.0, 0.0, None, 1, 1.0, "local-dir:models/vlm  on auto", "m", here=True)
    remember(paths.cache / "costs/evaluate.json", asdict(slower))
    assert _said(params, paths)["evaluate"].startswith("5,940 queries x 6e+04 ms (measured on 1, m) = 99.0 h")


def test_what_is_shipped_is_what_a_run_here_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lempo.measured.SHIPPED", tmp_path / "unit_costs.json")
    paths = Paths(tmp_path)
    unit = Measured(3, 0.5, 1.0, None, 7, 2.0, "v  on cpu", "m")
    remember(paths.cache / "costs/embed.json", asdict(unit))
    ship(paths)
    params = with_changes(load_params(ROOT / "params.yaml"), {"vlm.model": "v", "speed.device": "cpu"})
    assert measured(params, Paths(tmp_path / "elsewhere"), "embed") == replace(unit, here=False)
