from pathlib import Path

import pytest

from pipeline.base.paths import Paths


@pytest.fixture(autouse=True)
def no_other_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEMPO_CACHE", raising=False)


@pytest.mark.parametrize("below", ["tmp1", "tmp1/part/of/a/repository", "standalone/tmp2"])
def test_a_queued_experiment_uses_the_cache_of_its_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    folder = tmp_path / ".dvc/tmp/exps" / below
    folder.mkdir(parents=True)
    assert Paths(folder).cache == tmp_path / ".lempo/cache"
    monkeypatch.chdir(folder)
    assert Paths().cache == tmp_path / ".lempo/cache"
    assert Paths().checkpoints == Path(".lempo/cache/tune")  # two runs must not continue the same one
    assert Paths().rejects == Path("data/corpus/rejects.parquet")


@pytest.mark.parametrize("folder", ["a", ".dvc/tmp", ".dvc/tmp/exps", "tmp/exps/a", ".dvc/tmp/other/exps"])
def test_another_folder_has_a_cache_of_its_own(tmp_path: Path, folder: str) -> None:
    assert Paths(tmp_path / folder).cache == tmp_path / folder / ".lempo/cache"


def test_a_variable_names_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEMPO_CACHE", "/fast/cache")
    assert Paths(tmp_path).cache == Path("/fast/cache")
    monkeypatch.setenv("LEMPO_CACHE", "caches/mine")  # of the project, for its experiments too
    experiment = tmp_path / ".dvc/tmp/exps/tmp1"
    assert Paths(tmp_path).cache == Paths(experiment).cache == tmp_path / "caches/mine"
    monkeypatch.setenv("LEMPO_CACHE", "")
    assert Paths(tmp_path).cache == tmp_path / ".lempo/cache"
