"""`lempo captions`: generated texts with the scene graphs that they must state."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import PAIRS, SCENE_GRAPHS
from pipeline.base.tables import read_table
from pipeline.captions.figures import all_right
from pipeline.captions.stages import INTERPRET, STAGES, LanguageStage
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import graph_from_row, group_objects

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def show_captions(
    params: Params, paths: Paths, dataset: str | None, stage: str, worst: bool, limit: int
) -> None:
    """Print texts of a dataset, or of all, with their graphs.

    Args:
        stage: interpret or caption; with caption, the modification is printed under the graph.
        worst: print first the rows that the model failed, then its texts with most missed and invented facts,
            also where a rule wrote in their place.
        limit: how many rows.

    Raises:
        UserError: the stage has written no table for the dataset, or not from the present parameters, prompt
            and tables.
    """
    written = STAGES[stage]
    id_column = written.id_column
    tables = _tables(paths, dataset, written)
    expected = Expected(params, paths)
    rows: list[tuple[str, dict[str, Any]]] = [
        (name, row)
        for name, file in tables.items()
        for row in read_table(file, written.schema, expect=written.made_from(expected, name)).to_pylist()
    ]
    if worst:
        rows.sort(key=lambda entry: (-_badness(entry[1]), entry[0], entry[1][id_column]))
    shown = rows[:limit]
    graphs = {
        name: _graphs(expected, name, written, {row[id_column] for other, row in shown if other == name})
        for name in dict.fromkeys(name for name, _ in shown)
    }
    for name, row in shown:
        print("\n".join(_lines(name, row[id_column], row, graphs[name].get(row[id_column], ""))), end="\n\n")
    print(f"{len(shown)} of {len(rows)} rows")
    for name in tables:
        if right := all_right(_rates([row for other, row in rows if other == name])):
            print(f"{name}: {right}")


def _tables(paths: Paths, dataset: str | None, stage: LanguageStage) -> dict[str, Path]:
    tables = stage.tables(paths)
    if not tables:
        raise UserError(
            "there are no captions yet", "Run `dvc repro`, or `dvc pull`", file=stage.folder(paths)
        )
    if dataset is None:
        return tables
    if dataset not in tables:
        raise UserError(
            "there are no captions of such a dataset",
            f"Use one of {', '.join(tables)}",
            field="DATASET",
            value=dataset,
        )
    return {dataset: tables[dataset]}


def _rates(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float | None]]:
    """The shares of texts that are all right, from a table, in the groups of the stage's figures."""
    known = [row for row in rows if row["facts"] is not None]
    asked = [row for row in known if row["source"] != "brought"]
    right = {
        "first": [bool(row["first_pass_all_right"]) for row in asked],
        "model": [_is_right(row["replaced"] or row) for row in asked],
        "final": [_is_right(row) for row in known],
    }
    return {name: {"all_right_rate": sum(some) / len(some) if some else None} for name, some in right.items()}


def _is_right(text: dict[str, Any]) -> bool:
    return text["text"] is not None and not text["missed"] and not text["invented"]


def _badness(row: dict[str, Any]) -> float:
    """How bad the model's text is, or the brought one; what a rule wrote instead does not mend it."""
    text = row["replaced"] or row
    if text["text"] is None and row["status"] != "empty":
        return 1e9
    return len(text["missed"] or ()) + len(text["invented"] or ()) + 0.5 * (row["finish_reason"] == "length")


def _graphs(expected: Expected, dataset: str, stage: LanguageStage, ids: set[str]) -> dict[str, str]:
    """The scene graph behind each row, as text, with the modification where there is one."""
    paths = expected.paths
    if stage is INTERPRET:
        references = {image_id: (image_id, "") for image_id in ids}
    else:
        references = {
            query["query_id"]: (query["reference_id"], f"\nModification: {query['modification']}")
            for query in read_table(paths.pairs(dataset), PAIRS, expect=expected.pairs(dataset)).to_pylist()
            if query["query_id"] in ids
        }
    images = {image for image, _ in references.values()}
    graphs = {
        row["image_id"]: serialise(group_objects(graph_from_row(row)))
        for row in read_table(
            paths.scene_graphs(dataset), SCENE_GRAPHS, expect=expected.corpus(dataset)
        ).to_pylist()
        if row["image_id"] in images
    }
    return {id: graphs.get(image, "(no graph)") + suffix for id, (image, suffix) in references.items()}


def _lines(dataset: str, id: str, row: dict[str, Any], graph: str) -> Iterator[str]:
    facts = "no facts" if row["status"] == "empty" else "facts not known"
    if row["facts"] is not None:
        facts = f"{row['facts'] - len(row['missed'] or ())} of {row['facts']} facts"
    cut = ", truncated" if row["finish_reason"] == "length" else ""
    summarised = ", of a graph summarised for the prompt" if row["summarised"] else ""
    seen = {"image": ", of the image alone", "graph and image": ", of graph and image"}
    given = seen.get(row["given"] or "", "")
    yield f"{dataset} {_plain(id)} · {row['source']}, {row['status']}{cut}, {facts}{given}{summarised}"
    yield from (f"    {_plain(line)}" for line in graph.splitlines())
    yield from _text_lines(row, "  ")
    if row["replaced"] is not None:
        yield "  in the place of the model's text:"
        yield from _text_lines(row["replaced"], "    ")
    yield from (f"    not checked: {_plain(fact)}" for fact in row["unchecked"] or ())
    yield from (f"  > {_plain(other['text'])}" for other in row.get("alternatives", ()))


def _text_lines(text: dict[str, Any], indent: str) -> Iterator[str]:
    """A text, or why there is none, and what it misses and invents."""
    said, error = text["text"], text["error"]
    yield f"{indent}! {_plain(error or '')}" if said is None else f"{indent}> {_plain(said)}"
    yield from (f"{indent}  missed:   {_plain(fact)}" for fact in text["missed"] or ())
    yield from (f"{indent}  invented: {_plain(fact)}" for fact in text["invented"] or ())


def _plain(text: str) -> str:
    """A text without control characters, which a terminal would obey."""
    return _UNPRINTABLE.sub("?", text)
