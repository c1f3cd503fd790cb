"""`import lempo`: the names of docs/python.md, its examples, and the scores of `lempo evaluate`."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
import yaml

import lempo
from pipeline.base.params import Params
from pipeline.base.schemas import RANKINGS
from pipeline.base.tables import read_table
from tests.lempo.search.conftest import Tuned, tiny_vlm, tuned
from tests.trainer.tiny import make_params, vlm_folder
from trainer.retrieval.ranking import rank_batch

__all__ = ["make_params", "tiny_vlm", "tuned", "vlm_folder"]
ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs/python.md").read_text()


@pytest.fixture(scope="module")
def project(tuned: Tuned) -> lempo.Project:
    values = tuned.params.model_dump(mode="json")
    (tuned.paths.root / "params.yaml").write_text(yaml.safe_dump(values))
    return lempo.Project(tuned.paths.root)


def test_import_loads_nothing() -> None:
    code = "import sys; before = set(sys.modules); import lempo; print(*sorted(set(sys.modules) - before))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in said.stdout.split()} - {"_typing"}
    assert loaded - sys.stdlib_module_names == {"lempo"}


def test_every_name_is_there_and_is_what_a_type_checker_sees() -> None:
    for name in lempo.__all__:
        assert getattr(lempo, name).__doc__, name
        assert name in dir(lempo)
    tree = ast.parse((ROOT / "lempo/__init__.py").read_text())
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == lempo._MODULE_OF and sorted(seen) == sorted(lempo.__all__)
    assert lempo.__version__ == version("lempo")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lempo.nothing


def test_the_doc_names_every_name() -> None:
    named = set(re.findall(r"[A-Za-z_]+", DOC.split("## All names")[1]))
    assert named - {"Hits"} >= set(lempo.__all__) - {"Hit"} and "`Hit`s" in DOC


def test_the_examples_of_the_doc_run(
    project: lempo.Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("lancedb")
    monkeypatch.chdir(project.paths.root)
    names: dict[str, object] = {}
    examples = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
    for example in examples:
        exec(example.replace('"airplane"', '"tiny"'), names)
    assert len(examples) == 4
    said = capsys.readouterr().out
    assert said.startswith("(192, 16)") and len(said.splitlines()) == 1 + 5 + 5 + 1


def test_scores_give_the_ranking_of_evaluate(project: lempo.Project) -> None:
    split, encoder = project.split("tiny"), project.encoder("tiny")
    texts = split.texts
    missing: list[str | None] = [text or None for text in texts["graph"]]
    queries = lempo.encode_queries(encoder, split.image, texts["text"], missing, texts["pseudo_caption"])
    scores = lempo.score(queries, split.gallery, encoder.choice)
    assert scores.shape == (len(split.query_ids), len(split.gallery_ids))
    ranked = read_table(project.paths.rankings("tiny"), RANKINGS).to_pylist()
    rank = {row["query_id"]: row["rank"] for row in ranked if row["method"] == "hybrid"}
    found = rank_batch(scores, split.answers).rank.tolist()
    assert dict(zip(split.query_ids, found, strict=True)) == rank


def test_a_missing_pseudo_caption_is_the_modification(project: lempo.Project) -> None:
    split, encoder = project.split("tiny"), project.encoder("tiny")
    asked = ["make the car blue"]
    queries = lempo.encode_queries(encoder, split.image[:1], asked, [None], [None])
    assert torch.equal(queries.pseudo_caption, queries.text) and torch.equal(queries.language, queries.text)
    with pytest.raises(lempo.UserError, match=r"the lengths differ.*\[2, 1, 1, 1\]"):
        lempo.encode_queries(encoder, split.image[:2], asked, [None], [None])


def test_a_split_that_is_none_is_refused(project: lempo.Project) -> None:
    with pytest.raises(lempo.UserError, match=r"no such split \(got 'tst'\). Use one of train, val, test"):
        project.split("tiny", "tst")


def test_the_gallery_follows_the_ids(project: lempo.Project) -> None:
    features = project.features("tiny")
    assert lempo.read_features(str(project.paths.features("tiny"))).ids == features.ids
    ids = [features.ids[5], features.ids[2]]
    vectors = lempo.gallery(features, ids)
    assert vectors.dtype == torch.float32 and torch.equal(vectors, lempo.gallery(features)[[5, 2]])
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(2))
    with pytest.raises(lempo.UserError, match=r"no such image.*nowhere"):
        lempo.gallery(features, ["nowhere"])


def test_what_was_made_from_other_parameters_is_refused(
    project: lempo.Project, make_params: Callable[..., Params]
) -> None:
    other = lempo.Project(project.paths.root)
    tune = other.params.tune.model_copy(update={"epochs": 77})
    other.params = other.params.model_copy(update={"tune": tune})
    assert other.features("tiny").ids
    with pytest.raises(lempo.UserError, match=r"tune\.epochs.*77"):
        other.encoder("tiny")
    for ask in (other.features, other.encoder, other.split):
        with pytest.raises(lempo.UserError, match=r"the project has no such dataset.*Use one of tiny"):
            ask("huge")


def test_a_folder_that_is_no_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(lempo.UserError, match="no such file"):
        lempo.Project(tmp_path)
