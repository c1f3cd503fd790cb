"""The path of every table, feature and metrics file."""

import os
from dataclasses import dataclass
from pathlib import Path

_EXPERIMENTS = (".dvc", "tmp", "exps")  # DVC runs queued experiments in folders below it


@dataclass(frozen=True)
class Paths:
    """Paths below the project's root, a contract: `dvc.yaml`, other tools and people rely on them."""

    root: Path = Path(".")

    def corpus(self, dataset: str) -> Path:
        return self.root / "data/corpus" / dataset

    def images(self, dataset: str) -> Path:
        return self.corpus(dataset) / "images.parquet"

    def scene_graphs(self, dataset: str) -> Path:
        return self.corpus(dataset) / "scene_graphs.parquet"

    def queries(self, dataset: str) -> Path:
        """The queries that the dataset brings; later stages read `pairs`."""
        return self.corpus(dataset) / "queries.parquet"

    def captions(self, dataset: str) -> Path:
        """Texts that a person wrote; the corpus stage always writes this table, most often without rows."""
        return self.corpus(dataset) / "captions.parquet"

    @property
    def rejects(self) -> Path:
        return self.root / "data/corpus/rejects.parquet"

    def pairs(self, dataset: str) -> Path:
        """All queries: brought and made."""
        return self.root / "data/pairs" / f"{dataset}.parquet"

    @property
    def dropped(self) -> Path:
        """Made queries whose modification no attempt wrote rightly, apart from the tables of pairs."""
        return self.root / "data/pairs/dropped/queries.parquet"

    def interpretations(self, dataset: str) -> Path:
        return self.root / "data/interpretations" / f"{dataset}.parquet"

    def pseudo_captions(self, dataset: str) -> Path:
        return self.root / "data/pseudo_captions" / f"{dataset}.parquet"

    def features(self, dataset: str) -> Path:
        return self.root / "data/features" / dataset

    def tuned(self, dataset: str) -> Path:
        return self.root / "data/tuned" / dataset

    def rankings(self, dataset: str) -> Path:
        return self.root / "data/rankings" / f"{dataset}.parquet"

    def metrics(self, stage: str, dataset: str | None = None) -> Path:
        return self.root / "metrics" / (f"{stage}/{dataset}.json" if dataset else f"{stage}.json")

    def summary(self, stage: str, dataset: str | None = None) -> Path:
        """The few figures that people compare; `metrics` has all."""
        return self.root / "metrics/summary" / (f"{stage}/{dataset}.json" if dataset else f"{stage}.json")

    @property
    def summaries(self) -> Path:
        """All that the files of `summary` say, in one; the stage `report` writes it."""
        return self.root / "metrics/summary.json"

    def speed(self, stage: str) -> Path:
        return self.root / "metrics/speed" / f"{stage}.json"

    def plots(self, stage: str, dataset: str) -> Path:
        return self.root / "plots" / stage / f"{dataset}.csv"

    @property
    def report(self) -> Path:
        """The folder of the report; its page is `index.html`."""
        return self.root / "report"

    @property
    def cache(self) -> Path:
        """Texts and features, by their content. Git ignores it. It is no output: DVC would delete that.

        A queued experiment of DVC uses that of the project. The variable `LEMPO_CACHE` names another folder.
        """
        return self.project / (os.environ.get("LEMPO_CACHE") or ".lempo/cache")

    @property
    def checkpoints(self) -> Path:
        """Of unfinished tunings. Each working folder has its own: two must not continue the same one."""
        return self.root / ".lempo/cache/tune"

    @property
    def project(self) -> Path:
        """`root`; below a temporary folder of a DVC experiment, the project that the experiment is of."""
        for folder in self.root.resolve().parents:
            if folder.parts[-3:] == _EXPERIMENTS:
                return folder.parents[2]
        return self.root
