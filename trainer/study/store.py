"""Where a study keeps the results of its jobs: one file for each job, named by what the result depends on.

That includes the code of `JOB_ROOMS` with its file names. Results of other code stay in the folder, but no
run reads them.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from pipeline.base.code import code_hash
from pipeline.base.expected import Expected, features_provenance
from pipeline.base.files import remember, remembered
from pipeline.base.metrics_io import rounded
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES, INTERPRETATIONS, PAIRS, PSEUDO_CAPTIONS, SCENE_GRAPHS
from pipeline.base.tables import read_table, table_provenance
from trainer.methods import registry
from trainer.study.plan import Hyperparameters, Job
from trainer.tuning.checkpoint import load_sealed, save_sealed

JOB_ROOMS = (
    "pipeline/base",
    "pipeline/graph",
    "pipeline/vision",
    "trainer/methods",
    "trainer/retrieval",
    "trainer/tuning",
    "trainer/study/data.py",
    "trainer/study/graphs.py",
    "trainer/study/jobs.py",
    "trainer/study/plan.py",
    "trainer/study/traps.py",
    "trainer/study/worse_texts.py",
)
DETAILS_ROOMS = ("trainer/study/details.py", "trainer/study/few_queries.py")  # beside those of the jobs


class Store:
    """Results by job; a result is complete or absent, so a killed study is continued.

    Args:
        paths: of the project.
        params: a job is named by those that its result depends on, the tables that its method reads, the
            features and the code.
        identity: of the model.
    """

    def __init__(self, paths: Paths, params: Params, identity: dict[str, Any]) -> None:
        self.folder = paths.cache / "study"
        varied = {field.name for field in fields(Hyperparameters)}
        training = {
            name: getattr(params, name).model_dump(exclude=varied) for name in ("tune", "comparators")
        }
        training["method"] = params.method.model_dump()
        self._common = [training, identity, torch.__version__, code_hash(*JOB_ROOMS)]
        self._details = code_hash(*DETAILS_ROOMS)
        expected = Expected(params, paths)
        self._inputs = {dataset: _inputs(expected, dataset, identity) for dataset in params.datasets}

    def job_key(self, job: Job) -> str:
        """The key of a job."""
        read = ("scenes", "texts") if registry.named(job.method).reads_captions else ("scenes",)
        return self._key(asdict(job), [self._inputs[job.dataset][name] for name in read])

    def details_key(self, job: Job) -> str:
        """The key of the details of the text tower that a job kept, measured on every dataset."""
        return self._key([asdict(job), self._details], self._inputs)

    def _key(self, job: Any, inputs: Any) -> str:
        text = json.dumps([job, inputs, self._common], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def read(self, key: str) -> dict[str, Any] | None:
        """A result, or None where there is none or it is damaged, and it is to be computed again."""
        stored = remembered(self.folder / f"{key}.json")
        if not stored or (stored["has_state"] and self.state(key) is None):
            return None
        return stored["result"]

    def write(
        self, key: str, result: dict[str, Any], state: dict[str, Tensor] | None = None
    ) -> dict[str, Any]:
        """Store a result, and the text tower that belongs to it.

        Returns:
            The result as `read` gives it, so that a study that is continued chooses what a single run does.
        """
        if state is not None:
            save_sealed(self._state_file(key), state, {})
        path = self.folder / f"{key}.json"
        remember(path, {"result": rounded(result), "has_state": state is not None})
        return remembered(path)["result"]

    def state(self, key: str) -> dict[str, Tensor] | None:
        """The text tower of a job with `keep`; None where it is damaged."""
        stored = load_sealed(self._state_file(key))
        return None if stored is None else stored[0]

    def _state_file(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"


def _inputs(expected: Expected, dataset: str, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Hashes of scenes, of texts and of further samples; how a text was written does not matter."""
    paths = expected.paths
    expected.check_captions(dataset)
    scenes = [
        table_provenance(paths.images(dataset), IMAGES, expected.corpus(dataset)),
        table_provenance(paths.pairs(dataset), PAIRS, expected.pairs(dataset)),
        table_provenance(paths.scene_graphs(dataset), SCENE_GRAPHS, expected.corpus(dataset)),
        features_provenance(paths.features(dataset), expected.features(dataset, identity)),
    ]
    columns = ["image_id", "text"]
    interpretations = read_table(
        paths.interpretations(dataset), INTERPRETATIONS, columns, expected.interpretations(dataset)
    )
    columns = ["query_id", "text", "alternatives"]
    captions = read_table(
        paths.pseudo_captions(dataset), PSEUDO_CAPTIONS, columns, expected.pseudo_captions(dataset)
    )
    return {
        "scenes": [found.hash for found in scenes],
        "texts": [_sha256(interpretations), _sha256(captions.drop_columns("alternatives"))],
        "samples": _sha256(captions.select(["alternatives"])),
    }


def _sha256(table: pa.Table) -> str:
    return hashlib.sha256(json.dumps(table.to_pydict()).encode()).hexdigest()
