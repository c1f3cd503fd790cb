"""Where the language stages differ: in the prompt's placeholders, the rows and the table of texts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.base import schemas
from pipeline.base.expected import Expected
from pipeline.base.params import LanguageParams, Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import INTERPRETATIONS, PSEUDO_CAPTIONS
from pipeline.llm.prompt import Placeholder

GRAPH = ("graph", "graph_json")  # the graph in natural lines, or as JSON


@dataclass(frozen=True)
class LanguageStage:
    """`name` is that of the command, of its section in params.yaml and of its metrics."""

    name: str
    placeholders: tuple[Placeholder, ...]  # in the prompt's last turn
    id_column: str
    schema: pa.Schema
    source: Callable[[Params, Paths, str], Path]  # the table of a dataset; each of its rows gets a text
    table: Callable[[Paths, str], Path]  # the table of these texts
    made_from: Callable[[Expected, str], dict[str, Any]]  # what this table is made from, the model apart
    pictures: bool = True  # whether llm.images holds for it

    def section(self, params: Params) -> LanguageParams:
        return getattr(params, self.name)

    def count(self, params: Params, paths: Paths) -> int:
        """How many rows get a text."""
        tables = (self.source(params, paths, dataset) for dataset in params.datasets)
        return sum(pq.read_metadata(table).num_rows for table in tables)

    def tables(self, paths: Paths) -> dict[str, Path]:
        """The tables of texts that exist, by dataset."""
        return {file.stem: file for file in sorted(self.folder(paths).glob("*.parquet"))}

    def folder(self, paths: Paths) -> Path:
        return self.table(paths, "any").parent


def _described(params: Params, paths: Paths, dataset: str) -> Path:
    """What interpretations are of: with images, an image without a graph gets one too."""
    return paths.images(dataset) if params.llm.images else paths.scene_graphs(dataset)


def _pairs(params: Params, paths: Paths, dataset: str) -> Path:
    return paths.pairs(dataset)


def _queries(params: Params, paths: Paths, dataset: str) -> Path:
    return paths.queries(dataset)


INTERPRET = LanguageStage(
    "interpret",
    (GRAPH,),
    "image_id",
    INTERPRETATIONS,
    _described,
    Paths.interpretations,
    Expected.interpretations,
)
CAPTION = LanguageStage(
    "caption",
    (GRAPH, "modification"),
    "query_id",
    PSEUDO_CAPTIONS,
    _pairs,
    Paths.pseudo_captions,
    Expected.pseudo_captions,
)
PAIRS = LanguageStage(  # where `pairs.write` is llm; its table holds queries, not texts alone
    "pairs",
    ("difference", "style"),
    "query_id",
    schemas.PAIRS,
    _queries,
    Paths.pairs,
    Expected.pairs,
    pictures=False,  # what is said is how two graphs differ
)
STAGES = {stage.name: stage for stage in (INTERPRET, CAPTION)}
