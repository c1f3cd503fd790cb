"""`lempo captions`: generated texts beside the scene graphs that they must say."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base.errors import UserError
from pipeline.base.paths import Paths
from pipeline.base.schemas import INTERPRETATIONS, PSEUDO_CAPTIONS, QUERIES, SCENE_GRAPHS
from pipeline.base.tables import read_table

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def show_captions(paths: Paths, dataset: str | None, stage: str, worst: bool, limit: int) -> None:
    """Print texts of a dataset, or of all, with their graphs.

    Args:
        stage: interpret or caption; with caption the modification stands under the graph.
        worst: rows that failed, and texts that miss or invent most, come first.
        limit: how many rows.

    Raises:
        UserError: the stage has written no table for the dataset.
    """
    files = _files(paths, dataset, stage)
    id_column = "image_id" if stage == "interpret" else "query_id"
    rows: list[tuple[str, dict[str, Any]]] = []
    for name, file in files:
        table = read_table(file, _schema(stage))
        rows += [(name, row) for row in table.to_pylist()]
    if worst:
        rows.sort(key=lambda entry: (-_wrong(entry[1]), entry[0], entry[1][id_column]))
    shown = rows[:limit]
    graphs = {name: _said(paths, name, stage, [row for n, row in shown if n == name]) for name, _ in files}
    for name, row in shown:
        print("\n".join(_lines(name, row[id_column], row, graphs[name].get(row[id_column], ""))), end="\n\n")
    print(f"{len(shown)} of {len(rows)} rows")


def _files(paths: Paths, dataset: str | None, stage: str) -> list[tuple[str, Path]]:
    table = paths.interpretations if stage == "interpret" else paths.pseudo_captions
    folder = table("x").parent
    found = {file.stem: file for file in sorted(folder.glob("*.parquet"))}
    if not found:
        raise UserError("there are no captions yet", "Run `dvc repro`, or `dvc pull`", file=folder)
    if dataset is None:
        return list(found.items())
    if dataset not in found:
        raise UserError(
            "there are no captions of such a dataset",
            f"Use one of {', '.join(found)}",
            field="DATASET",
            value=dataset,
        )
    return [(dataset, found[dataset])]


def _schema(stage: str) -> pa.Schema:
    return INTERPRETATIONS if stage == "interpret" else PSEUDO_CAPTIONS


def _wrong(row: dict[str, Any]) -> float:
    if row["status"] == "failed":
        return 1e9
    return len(row["missed"] or ()) + len(row["invented"] or ()) + 0.5 * (row["finish_reason"] == "length")


def _said(paths: Paths, dataset: str, stage: str, rows: list[dict[str, Any]]) -> dict[str, str]:
    """What each row was asked to put into words."""
    from pipeline.graph.scene_graph import graph_from_row, group_objects, serialise

    if not rows:
        return {}
    if stage == "interpret":
        references = {row["image_id"]: (row["image_id"], "") for row in rows}
    else:
        wanted = {row["query_id"] for row in rows}
        queries = read_table(paths.queries(dataset), QUERIES).to_pylist()
        references = {
            query["query_id"]: (query["reference_id"], f"\nModification: {query['modification']}")
            for query in queries
            if query["query_id"] in wanted
        }
    images = {image for image, _ in references.values()}
    graphs = {
        row["image_id"]: serialise(group_objects(graph_from_row(row)))
        for row in read_table(paths.scene_graphs(dataset), SCENE_GRAPHS).to_pylist()
        if row["image_id"] in images
    }
    return {row: graphs.get(image, "(no graph)") + more for row, (image, more) in references.items()}


def _lines(dataset: str, name: str, row: dict[str, Any], asked: str) -> Iterator[str]:
    facts = "no facts" if row["status"] == "empty" else "facts not known"
    if row["facts"] is not None:
        facts = f"{row['facts'] - len(row['missed'] or ())} of {row['facts']} facts"
    cut = ", truncated" if row["finish_reason"] == "length" else ""
    less = ", of a graph summarised for the prompt" if row["summarised"] else ""
    yield f"{dataset} {_plain(name)} · {row['source']}, {row['status']}{cut}, {facts}{less}"
    yield from (f"    {_plain(line)}" for line in asked.splitlines())
    yield f"  > {_plain(row['text'])}" if row["text"] is not None else f"  ! {_plain(row['error'] or '')}"
    yield from (f"    missed:   {_plain(fact)}" for fact in row["missed"] or ())
    yield from (f"    invented: {_plain(fact)}" for fact in row["invented"] or ())
    yield from (f"  > {_plain(other['text'])}" for other in row.get("alternatives", ()))


def _plain(text: str) -> str:
    """Text that cannot command a terminal."""
    return _UNPRINTABLE.sub("?", text)
