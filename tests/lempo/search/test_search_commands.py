"""`lempo index` and `lempo search` as a person types them, inside and outside a project."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from lempo.cli import app
from lempo.search.commands import index, read_graph, read_weights, table_of
from lempo.search.files import Skipped
from lempo.search.indexing import Indexed
from lempo.search.searcher import Answer, Hit
from lempo.search.settings import Settings, find_index, place_of
from lempo.search.weights import asked_weights
from pipeline.base.errors import UserError
from pipeline.base.params import Params, VlmParams, load_params
from pipeline.base.paths import Paths
from tests.command import lempo
from tests.lempo.search.conftest import Tuned

pytest.importorskip("lancedb")
ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_folder_outside_a_project(tmp_path: Path, tiny_vlm: VlmParams) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for seed, name in enumerate(("one.png", "two.png", "three.jpg")):
        pixels = np.random.default_rng(seed).integers(0, 255, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(pictures / name)
    refused = lempo("index", "pictures", cwd=tmp_path)
    assert refused.returncode == 1 and "no vision language model is named" in refused.stderr
    assert not (pictures / ".lempo-index").exists()
    made = lempo("index", "pictures", "--vlm", tiny_vlm.model, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "it is written into pictures/.lempo-index; --out puts it elsewhere" in made.stderr
    assert "3 images: 3 added" in made.stderr and made.stdout == ""
    (pictures / "broken.png").write_bytes(b"no picture")
    other = lempo("index", "pictures", "--vlm", "local-dir:nowhere", cwd=tmp_path)
    assert other.stderr.splitlines()[-1].startswith("error: field '--vlm': there is no such model folder")
    again = lempo("index", "pictures", "--json", cwd=tmp_path)  # the index keeps its model
    found = json.loads(again.stdout)
    assert found["left_out"][0]["path"].endswith("broken.png") and found["left_out"][0]["reason"]
    assert found.items() >= {"folder": "pictures/.lempo-index", "kind": "folder", "images": 3}.items()
    assert (found["added"], found["embedded"], found["approximate"]) == (0, 0, None)
    assert found["dimension"] > 0 and found["dtype"] == "float16" and found["seconds"] > 0
    assert "left out: " in again.stderr and "3 images: 0 added" in again.stderr
    search = ("search", "--image", "pictures/one.png", "--text", "a red car", "--index", "pictures")
    found = lempo(*search, "-k", "2", "--json", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout)
    assert sorted(answer) == ["hits", "left_out", "seconds", "texts", "weights"]
    assert {hit["id"] for hit in answer["hits"]} == {"two.png", "three.jpg"}
    assert all(Path(tmp_path, hit["path"]).is_file() for hit in answer["hits"])
    assert any("no text encoder was tuned" in line for line in answer["left_out"])
    table = lempo(*search, cwd=tmp_path).stdout
    assert "two.png" in table and "left out: the pseudo caption: the reference has no scene graph" in table
    wrong = lempo(*search, "--where", "colour = 1", cwd=tmp_path)
    assert wrong.returncode == 1 and "No field named colour" in wrong.stderr
    assert len(wrong.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_dataset_of_a_project(tuned: Tuned) -> None:
    root = tuned.paths.root
    (root / "params.yaml").write_text(yaml.safe_dump(json.loads(tuned.params.model_dump_json())))
    made = lempo("index", "tiny", cwd=root)
    assert made.returncode == 0, made.stderr
    assert ".lempo/index/tiny" in made.stderr and "192 images: 0 added" in made.stderr
    shown = json.loads(lempo("index", "tiny", "--json", cwd=root).stdout)
    assert shown.items() >= {"folder": ".lempo/index/tiny", "kind": "dataset", "images": 192}.items()
    found = lempo("search", "--id", "test-car-red-a", "--text", "make the car blue", "--json", cwd=root)
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout)
    assert answer["texts"]["interpretation"] == "a red car." and answer["left_out"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--text", "x"), "there is no index"),
        (("--text", "x", "--llm"), "no params.yaml that names a language model"),
        (("--text", "x", "--weights", "triplet"), "the weights cannot be read"),
        (("--text", "x", "--graph", "none.json"), "none.json"),
        (("--text", "x", "--pretrained", "openai"), "weights are named without a model"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["search", *arguments])
    assert isinstance(done.exception, UserError) and said in str(done.exception)
    assert done.stdout == "" and len(str(done.exception).splitlines()) == 1


def test_there_must_be_something_to_index(tmp_path: Path, tiny_vlm: VlmParams, tuned: Tuned) -> None:
    with pytest.raises(UserError, match="there is no such folder or dataset"):
        index("nothing", None, None, Paths(tmp_path), None)
    with pytest.raises(UserError, match="a dataset is indexed by its features"):
        index("tiny", None, tuned.params, tuned.paths, tiny_vlm)


def test_the_defaults_are_the_projects_own() -> None:
    params = load_params(ROOT / "params.yaml")
    assert Settings.of(None) == Settings.of(params, None).__class__(
        None, *list(vars(Settings.of(params)).values())[1:]
    )


def test_where_an_index_lies(tmp_path: Path, tuned: Tuned) -> None:
    params: Params = tuned.params
    paths = Paths(tmp_path)
    assert place_of("tiny", params, paths) == tmp_path / ".lempo/index/tiny"
    assert place_of("a/tiny", params, paths).parent == tmp_path / ".lempo/index"
    assert place_of("a/tiny", params, paths) != place_of("b/tiny", params, paths)
    assert place_of("a/tiny", None, paths) == Path("a/tiny/.lempo-index")
    with pytest.raises(UserError, match="there is no index"):
        find_index(None, params, paths)
    with pytest.raises(UserError, match=r"got 'tinny'\)\. Did you mean 'tiny'\? Run `lempo index`"):
        find_index("tinny", params, paths)
    with pytest.raises(UserError, match=r"got 'tiny'\)\. Run `lempo index`"):
        find_index("tiny", params, paths)
    for name in ("one", "two"):
        (tmp_path / ".lempo/index" / name).mkdir(parents=True)
        (tmp_path / ".lempo/index" / name / "index.json").touch()
    with pytest.raises(UserError, match="one, two"):
        find_index(None, params, paths)
    assert find_index("two", params, paths).name == "two"
    (tmp_path / ".lempo/index/tiny/tables").mkdir(parents=True)
    with pytest.raises(UserError, match="not finished"):
        find_index("tiny", params, paths)


def test_graphs_and_weights_are_read(tmp_path: Path) -> None:
    file = tmp_path / "g.json"
    file.write_text('﻿[{"objects": []}]')
    assert read_graph(file) == {"objects": []}
    for text in ("[]", "3", "{", "[1, 2]"):
        file.write_text(text)
        with pytest.raises(UserError, match=r"g\.json"):
            read_graph(file)
    assert read_weights("triplet=0.5, graph=-1") == {"triplet": 0.5, "graph": -1}
    with pytest.raises(UserError, match=r"no such weight \(got 'tripled'\)\. Did you mean 'triplet'\?"):
        asked_weights(Settings().choice, {"tripled": 0.5})


def test_a_file_whose_name_is_no_text_is_still_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    skipped = Skipped(os.fsdecode(b"a\xff\n.png"), "the file's name is not in UTF-8")
    monkeypatch.setattr("lempo.search.commands.index_folder", lambda *_: Indexed(skipped=[skipped]))
    index(str(tmp_path), tmp_path / "out", None, Paths(tmp_path), None, as_json=True)
    found = json.loads(capsys.readouterr().out.encode())
    assert found["left_out"] == [{"path": "a\\xff\n.png", "reason": skipped.reason}]


def test_names_and_texts_cannot_control_a_terminal() -> None:
    hit = Hit("x", "a\n\x1b[31m\udcff.png", 0.5, {"triplet": 0.5}, {"place": "b\x07"})
    shown = table_of(Answer([hit], ["c\x1b"], "d\r", None, {"triplet": 1.0}, 0.1))
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert "a\\n\\x1b[31m" in shown


def test_no_hit_is_said_instead_of_a_table_without_rows() -> None:
    assert table_of(Answer([], ["10 of 10 hits"], None, None, {}, 0.1)).startswith("no image is found\n")
