"""A tiny model that sees images, run for real: in process, on Ray, at a server, and by `lempo interpret`."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.base.errors import UserError
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from pipeline.base.schemas import INTERPRETATIONS
from pipeline.base.tables import read_table
from pipeline.llm.engines import open_engine
from pipeline.llm.pictures import Picture
from pipeline.llm.types import Request, Result, Sampling
from tests.command import lempo
from tests.pipeline.corpus.source import Source
from tests.pipeline.llm.test_chat import MESSAGES
from tests.pipeline.llm.test_vllm_serve import Serve
from tests.pipeline.llm.tiny_llama import make_tiny_llama
from tests.pipeline.llm.tiny_llava import make_tiny_llava
from tests.trainer.tiny import make_vlm_folder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PARAMS = load_params(ROOT / "params.yaml")
SMALL = {"kv_cache_memory_bytes": 64_000_000, "max_num_seqs": 4}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llava(tmp_path_factory.mktemp("tiny") / "llava")


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> list[Request]:
    """One prompt with four images, two of them alike, and without one."""
    folder, made = tmp_path_factory.mktemp("images"), []
    for number, colour in enumerate(("red", "blue", "red", "green")):
        file = folder / f"{number}.png"
        Image.new("RGB", (90, 60), colour).save(file)
        picture = Picture(file, hashlib.sha256(file.read_bytes()).hexdigest(), 48)
        made.append(Request(f"{number}", MESSAGES, Sampling.of(0, 1, 0), 12, None, picture=picture))
    return [*made, replace(made[0], key="text", picture=None)]


def _params(model: str, engine: str = "vllm", **llm: Any) -> Params:
    update = {"model": model, "engine": engine, "images": True, **llm}
    speed = PARAMS.speed.model_copy(update={"llm": SMALL, "device": "cpu"})
    return PARAMS.model_copy(update={"llm": PARAMS.llm.model_copy(update=update), "speed": speed})


def _answers(params: Params, requests: list[Request]) -> dict[str, Result]:
    engine = open_engine(params, ROOT, MESSAGES)
    try:
        return {result.key: result for result in engine.generate(requests)}
    finally:
        engine.close()


@pytest.fixture(scope="module")
def in_process(model: Path, requests: list[Request]) -> Iterator[dict[str, Result]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # starts in seconds; decodes slower
        yield _answers(_params(str(model)), requests)


def test_what_is_said_follows_from_the_image(in_process: dict[str, Result]) -> None:
    assert all(result.error is None and result.text for result in in_process.values()), in_process
    assert in_process["0"].text == in_process["2"].text
    assert len({result.text for result in in_process.values()}) == 4
    tokens = {key: result.prompt_tokens or 0 for key, result in in_process.items()}
    image = tokens["0"] - tokens["text"]
    assert 16 <= image <= 18, "16 for the image, and a line break"


def test_ray_says_the_same(model: Path, requests: list[Request], in_process: dict[str, Result]) -> None:
    answers = _answers(_params(str(model), "ray"), requests)
    assert {key: result.text for key, result in answers.items()} == {
        key: result.text for key, result in in_process.items()
    }


def test_a_server_says_the_same(
    model: Path, requests: list[Request], in_process: dict[str, Result], tmp_path: Path
) -> None:
    serve = Serve(tmp_path, model, "--limit-mm-per-prompt", json.dumps({"image": 1}))
    try:
        serve.start()
        serve.wait()
        answers = _answers(_params("llava", "endpoint", endpoint=serve.url), requests)
    finally:
        serve.kill()
    # a server leaves special tokens out, which mark the thoughts of some models
    assert {key: result.text for key, result in answers.items()} == {
        key: (result.text or "").replace("<pad>", "") for key, result in in_process.items()
    }


def test_a_model_that_takes_no_image_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    folder = make_tiny_llama(tmp_path)
    (folder / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    for engine in ("vllm", "ray"):
        with pytest.raises(UserError, match="takes texts alone, no images"):
            open_engine(_params(str(folder), engine), ROOT)


def test_an_archive_is_described_from_graphs_and_pixels(model: Path, tmp_path: Path) -> None:
    """`parks` has graphs, one of them without objects; `alone` has images and nothing else."""
    source = Source(tmp_path / "in/parks")
    source.graphs[0]["objects"] = source.graphs[0]["relationships"] = []
    source.write()
    for number in range(6):
        file = tmp_path / f"in/alone/{number}.png"
        file.parent.mkdir(exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 40 * (number + 1), (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(file)
    shutil.copytree(ROOT / "prompts", tmp_path / "prompts")
    make_vlm_folder(tmp_path / "vlm")
    shutil.copytree(model, tmp_path / "llava")
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["corpus"]["root"], values["datasets"] = "in", ["alone", "parks"]
    values["corpus"] |= {"max_reject_share": 1.0, "near_duplicates": "count"}
    values["llm"] |= {"model": "llava", "images": True, "repairs": 0, "max_failed_share": 1.0}
    values["interpret"]["max_tokens"] = 12
    values["vlm"]["model"], values["speed"]["llm"] = "local-dir:vlm", SMALL
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    _run("corpus", tmp_path)
    checked = lempo("check", cwd=tmp_path).stdout
    assert "ok   prompt of interpret, without a graph: " in checked and "ok   language model: " in checked
    assert "at most 15 rows" in checked and "and an image of at most 512 pixels a side" in checked
    assert "7 of images alone" in _run("interpret", tmp_path)
    before = {name: _rows(tmp_path, name) for name in ("alone", "parks")}
    everything = [row for rows in before.values() for row in rows.values()]
    assert len(everything) == 15 and len({row["row_key"] for row in everything}) == 15
    for row in everything:
        assert row["status"] == "ok" and row["text"], row["error"]
    assert {row["given"] for row in before["alone"].values()} == {"image"}
    assert [row["given"] for row in before["parks"].values()].count("graph and image") == 8
    assert "interpret: 15 rows" in (again := _run("interpret", tmp_path)) and " 0 generated; " in again
    assert {name: _rows(tmp_path, name) for name in before} == before
    texts = {name: row["text"] for name, row in before["alone"].items()}
    another = next(name for name in texts if texts[name] != texts["0"])
    with Image.open(tmp_path / f"in/alone/{another}.png") as image:
        image.putpixel((0, 0), (0, 0, 0))
        image.save(tmp_path / "in/alone/0.png")
    _run("corpus", tmp_path)
    assert "1 generated" in _run("interpret", tmp_path)
    after = _rows(tmp_path, "alone")
    changed = [name for name in after if after[name]["row_key"] != before["alone"][name]["row_key"]]
    assert changed == ["0"] and after["0"]["text"] != texts["0"]


def _run(stage: str, folder: Path) -> str:
    done = lempo(stage, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def _rows(folder: Path, dataset: str) -> dict[str, dict[str, Any]]:
    table = read_table(Paths(folder).interpretations(dataset), INTERPRETATIONS)
    return {row["image_id"]: row for row in table.to_pylist()}
