"""docs/tables.md: every column and key is in it, and its recipes run."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lempo.columns import CURVES, DESCRIBED, PAGE, file_of, with_reference
from pipeline.base import schemas
from pipeline.base.metrics_io import rounded
from pipeline.base.paths import Paths
from pipeline.base.schemas import SCENE_GRAPHS, TABLES
from pipeline.base.tables import write_table
from tests.stages.results import make_results
from trainer.study.columns import COLUMNS

ROOT = Path(__file__).parents[2]
DATASETS = ("airplane", "tennis")
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
RECIPES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
RECALLS = [recipe for recipe in RECIPES if "recall =" in recipe]
GRAPH = {
    "image_id": "image-00",
    "width": 60,
    "height": 40,
    "scene": None,
    "objects": [
        {"object_id": 0, "name": "car", "attributes": [], "bbox": {"x": 1.0, "y": 2.0, "w": 3.0, "h": 4.0}},
        {"object_id": 1, "name": "pond", "attributes": ["round"], "bbox": None},
    ],
    "relationships": [],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    paths = Paths(tmp_path_factory.mktemp("project"))
    make_results(paths, DATASETS)
    for dataset in DATASETS:
        write_table([GRAPH], paths.scene_graphs(dataset), SCENE_GRAPHS, {"dataset": dataset})
    return paths.root


def run(recipe: str) -> dict[str, Any]:
    """Run a recipe in the working directory; what it leaves behind, by name."""
    left: dict[str, Any] = {}
    exec(recipe, left)
    return left


def test_the_page_says_of_every_column_what_its_schema_says() -> None:
    assert with_reference(TEXT) == TEXT, "run `python -m lempo.columns`"
    named = [value for value in vars(schemas).values() if isinstance(value, pa.Schema)]
    assert {id(schema) for schema in named} == {id(schema) for schema in TABLES}


def columns(fields: pa.Schema | pa.StructType) -> Iterator[pa.Field]:
    """All columns, and all parts of their types."""
    for field in fields:
        yield field
        kind = field.type.value_type if pa.types.is_list(field.type) else field.type
        if pa.types.is_struct(kind):
            yield from columns(kind)


def kind_of(schema: pa.Schema) -> str:
    return schema.metadata[b"kind"].decode()


@pytest.mark.parametrize("schema", DESCRIBED, ids=kind_of)
def test_every_example_is_a_value_of_its_column(schema: pa.Schema) -> None:
    for field in columns(schema):
        said = field.metadata
        if b"example" not in said:
            always_null = said.get(b"null") == b"always"
            assert always_null or "struct" in str(field.type), f"{field.name} has no example"
            continue
        example = json.loads(said[b"example"])
        found = pa.array([example], field.type).to_pylist()
        assert [example] in (found, rounded(found))  # a float of 32 bits has other digits
        assert not (b"null" in said and not field.nullable)


def test_every_file_names_its_dataset_and_says_what_its_columns_mean(project: Path) -> None:
    for schema in TABLES:
        kind = kind_of(schema)
        file = file_of(kind, Paths(project), "tennis")
        if kind == "dropped":
            assert not file.exists()  # no stage ran here
            continue
        table = pq.read_table(file)
        assert [field.metadata for field in table.schema] == [field.metadata for field in schema]
        assert set(table["dataset"].to_pylist()) <= {"airplane" if kind == "rejects" else "tennis"}


@pytest.mark.parametrize("schema", CURVES, ids=kind_of)
def test_the_committed_curves_and_figures_have_the_columns_that_are_described(schema: pa.Schema) -> None:
    study = ROOT / "docs/drawn-worlds/results.csv"
    rows = pl.read_csv(study if schema is COLUMNS else file_of(kind_of(schema), Paths(ROOT), "airplane"))
    assert rows.columns == schema.names
    for field in schema:
        cells = rows[field.name].cast(pl.DataFrame(schema.empty_table()).schema[field.name])
        assert cells.null_count() < len(cells)
        assert field.nullable == bool(cells.null_count()), f"{field.name}: never null, or never said to be"


@pytest.mark.parametrize("number", range(len(RECIPES)))
def test_every_recipe_runs(
    project: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    run(RECIPES[number])
    assert capsys.readouterr().out.strip()


def test_every_recipe_for_recall_gives_the_same(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    polars, duckdb, pandas = RECALLS
    wanted = run(polars)["recall"].sort("dataset", "method", "kind")
    assert set(wanted["dataset"]) == set(DATASETS) and wanted["r1"].n_unique() > 1
    other = run(pandas)["recall"].rename("r1").reset_index()
    assert pl.from_pandas(other).select(wanted.columns).equals(wanted)
    assert run(duckdb)["recall"].pl().select(wanted.columns).equals(wanted)


def test_the_recipe_of_the_worst_captions_keeps_all_queries(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    worst = next(run(recipe)["worst"].collect() for recipe in RECIPES if "worst" in recipe)
    assert worst.height == 12 and worst["dataset"].n_unique() == 2 and worst["rank"].null_count() == 0


def test_the_recipe_of_objects_names_each(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    objects = next(run(recipe)["objects"] for recipe in RECIPES if "unnest" in recipe)
    assert objects.height == 4
    assert objects["object_id"].to_list() == [0, 1, 0, 1]
