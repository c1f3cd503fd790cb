"""Where every table, feature and metric lives, relative to the project's root."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """File names are a contract: other tools, `dvc.yaml` and people rely on them."""

    root: Path = Path(".")

    def corpus(self, dataset: str) -> Path:
        return self.root / "data/corpus" / dataset

    def images(self, dataset: str) -> Path:
        return self.corpus(dataset) / "images.parquet"

    def scene_graphs(self, dataset: str) -> Path:
        return self.corpus(dataset) / "scene_graphs.parquet"

    def queries(self, dataset: str) -> Path:
        return self.corpus(dataset) / "queries.parquet"

    @property
    def rejects(self) -> Path:
        return self.root / "data/corpus/rejects.parquet"

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

    def speed(self, stage: str) -> Path:
        return self.root / "metrics/speed" / f"{stage}.json"

    def plots(self, stage: str, dataset: str) -> Path:
        return self.root / "plots" / stage / f"{dataset}.csv"

    @property
    def report(self) -> Path:
        return self.root / "report/index.html"

    @property
    def cache(self) -> Path:
        """Survives `dvc repro`: ignored by git, no out of any stage."""
        return self.root / ".lempo/cache"
