import subprocess
from pathlib import Path

import pytest

from lempo.experiments import queued_experiments
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from tests.finished import with_changes

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A git repository with an archive of pictures, of which nothing is tracked yet."""
    images = tmp_path / "in/parks/images"
    images.mkdir(parents=True)
    (images / "a.png").write_bytes(b"a")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def _params(**changes: object) -> Params:
    mine = {"datasets": ("parks",), "corpus.root": "in", "llm.engine": "endpoint", "vlm.model": "RN50"}
    changed = {name.replace("__", "."): value for name, value in changes.items()}
    return with_changes(
        load_params(ROOT / "params.yaml"), mine | {"llm.endpoint": "http://localhost:1/v1"} | changed
    )


def _said(folder: Path, **changes: object) -> str:
    return queued_experiments(_params(**changes), Paths(folder))


@pytest.mark.parametrize("ignored", [False, True])
def test_an_archive_that_nothing_tracks_is_named_with_the_remedy(folder: Path, ignored: bool) -> None:
    (folder / ".gitignore").write_text("/in/\n" if ignored else "")
    assert "not in/parks: run `dvc add in/parks`" in _said(folder)


@pytest.mark.parametrize("tracked", ["in", "in/parks", "in/parks/images", "in/parks/images/a.png"])
@pytest.mark.parametrize("by", ["git", "dvc"])
def test_what_git_or_dvc_tracks_is_found(folder: Path, tracked: str, by: str) -> None:
    (folder / ".gitignore").write_text("/in/parks/images/\n")
    if by == "git":
        subprocess.run(["git", "add", "-f", tracked], cwd=folder, check=True)
    else:
        (folder / f"{tracked}.dvc").touch()
    (folder / "in/parks/.lempo-index").mkdir()
    (folder / "in/parks/.lempo-index/index.json").touch()
    assert _said(folder) == "they find every dataset and model"
    (folder / "in/parks/scene_graphs.json").touch()
    found = by == "dvc" and tracked in ("in", "in/parks")
    assert ("not in/parks" in _said(folder)) is not found


def test_folders_of_models_are_looked_for_too(folder: Path) -> None:
    (folder / "in.dvc").touch()
    for name in ("llm", "vlm"):
        (folder / "models" / name).mkdir(parents=True)
        (folder / "models" / name / "weights").touch()
    said = _said(folder, llm__engine="vllm", llm__model="models/llm", vlm__model="local-dir:models/vlm")
    assert "`dvc add models/llm models/vlm`" in said


def test_an_absolute_path_is_found_from_everywhere_and_one_above_the_repository_is_not(folder: Path) -> None:
    (folder / "project").mkdir()
    (folder / ".git").rename(folder / "project/.git")
    assert _said(folder / "project", corpus__root=str(folder / "in")) == "they find every dataset and model"
    assert "not ../in/parks" in _said(folder / "project", corpus__root="../in")


def test_without_git_there_are_none(folder: Path) -> None:
    (folder / ".git").rename(folder / "git")
    assert _said(folder) == "none without git"
