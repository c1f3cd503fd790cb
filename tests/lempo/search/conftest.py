"""A finished dataset and its index, shared by the tests of search."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from lempo.search.indexing import index_dataset
from lempo.search.searcher import Searcher
from pipeline.base.params import Params, VlmParams
from pipeline.base.paths import Paths
from stages import evaluate, tune
from tests.finished import make_llm
from tests.trainer.tiny import make_dataset, make_params, make_vlm_folder, vlm_folder

__all__ = ["make_params", "vlm_folder"]


@dataclass(frozen=True)
class Tuned:
    """A project with the dataset `tiny`, tuned, measured and indexed."""

    params: Params
    paths: Paths
    index: Path

    def searcher(self, **options: object) -> Searcher:
        return Searcher(self.index, self.params, self.paths, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def tiny_vlm(tmp_path_factory: pytest.TempPathFactory) -> VlmParams:
    folder = make_vlm_folder(tmp_path_factory.mktemp("vlm") / "tiny")
    return VlmParams(model=f"local-dir:{folder}", pretrained=None, precision="fp32")


@pytest.fixture(scope="session")
def tuned(tmp_path_factory: pytest.TempPathFactory, make_params: Callable[..., Params]) -> Tuned:
    paths = Paths(tmp_path_factory.mktemp("tuned"))
    make_llm(paths.root, b"{}")
    params = make_params(method={"choose": "fixed"}, llm={"model": "llm"})
    make_dataset(paths, params, "tiny")
    tune.run(params, paths, "tiny")
    evaluate.run(params, paths, "tiny")
    index = paths.root / ".lempo/index/tiny"
    index_dataset("tiny", index, params, paths)
    return Tuned(params, paths, index)
