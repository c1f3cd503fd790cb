"""`lempo captions`: generated texts with their scene graphs, alone or beside those of another run."""

import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from lempo import pager
from lempo.caption_records import printed, rates, record
from lempo.other_run import other_run
from pipeline.base.errors import UserError, perhaps, reading
from pipeline.base.expected import Expected
from pipeline.base.metrics_io import read_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import DATASET, PAIRS, SCENE_GRAPHS
from pipeline.base.tables import read_table, table_provenance
from pipeline.captions.figures import all_right
from pipeline.captions.stages import CAPTION, STAGES, LanguageStage
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import group_objects
from pipeline.graph.table import GraphTable

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_OTHER = "_other"  # how the columns of the other run end
_COMPARED = ("text", "status", "error", "missed", "invented")
_FAILED = 1e9  # worse than any text
_WIDEST = 160  # columns of a terminal that are used
Row = Mapping[str, Any]
Right = tuple[str | None, dict[str, float | None]]


@dataclass(frozen=True)
class Choice:
    """Which rows are shown.

    Attributes:
        image: of this image alone: its interpretation, or the queries from it or to it.
        query: of this query alone.
        failed: only rows without a text.
        worst: first the rows that the model failed, then its texts with most missed and invented facts, also
            where a rule wrote in their place. Beside another run: first the rows that got worse.
        against: a revision or a folder, as for `other_run`: only rows whose texts differ there.
        limit: how many rows; None for all.
    """

    image: str | None = None
    query: str | None = None
    failed: bool = False
    worst: bool = False
    against: str | None = None
    limit: int | None = None


def show_captions(
    params: Params, paths: Paths, dataset: str | None, stage: str, choice: Choice, as_json: bool = False
) -> None:
    """Print texts of a dataset, or of all, with their graphs; on a terminal page by page.

    Args:
        stage: interpret or caption; with caption, the modification is printed under the graph.
        as_json: print one JSON object of the same rows.

    Raises:
        UserError: the stage has written no table for the dataset, or not from the present parameters, prompt
            and tables; no row is of this image or query; the other run cannot be read.
    """
    written, expected = STAGES[stage], Expected(params, paths)
    tables = _tables(paths, dataset, written)
    rows = pl.concat([_rows(expected, name, written) for name in tables])
    shown = _of(rows, choice)
    right, others = _right(paths, stage, tables), dict[str, Right]()
    if choice.against is None:
        if choice.worst:
            cut = 0.5 * pl.col("finish_reason").eq_missing("length")
            shown = shown.sort(
                _badness(_of_the_model, "status", cut), DATASET, "id", descending=[True, False, False]
            )
    else:
        with other_run(paths, choice.against, [*tables.values(), paths.metrics(stage)]) as other:
            theirs = pl.concat([_other_rows(other, name, written, choice.against) for name in tables])
            others = _right(other, stage, tables)
        shown = _differing(shown, theirs, choice.worst)
    found, shown = shown, shown if choice.limit is None else shown.head(choice.limit)
    texts = _with_graphs(shown, {name: _graphs(expected, name) for name in shown[DATASET].unique()})
    counts = {"rows": len(rows), "found": len(found)}
    if choice.against is not None:
        counts |= {"better": len(found.filter(pl.col("worse") < 0))}
        counts |= {"worse": len(found.filter(pl.col("worse") > 0))}
    if as_json:
        head: dict[str, Any] = {"stage": stage, "against": choice.against, **counts}
        head["all_right"] = {name: shares for name, (_, shares) in right.items()}
        if choice.against is not None:
            head["other_all_right"] = {name: shares for name, (_, shares) in others.items()}
        # columns of ours, which the row has under another name
        ours = ("id", "image_id") if "query_id" in rows.columns else ("id",)
        columns = [name for name in rows.columns if name not in ours]
        for line in printed(head, (record(row, columns, graph, _other(row)) for row, graph in texts)):
            print(line)
        return
    right |= {f"{name}, {choice.against}": of for name, of in others.items()}
    lines = [f"{name}: {words}" for name, (words, _) in right.items() if words]
    lines.insert(0, _counted(len(shown), counts))
    pager.show(chain(_blocks(texts, choice.against), ["\n".join(lines) + "\n"]))


def _counted(shown: int, counts: Mapping[str, int]) -> str:
    if "worse" not in counts:
        return f"{shown} of {counts['rows']} rows"
    change = f"{counts['better']} better here, {counts['worse']} worse"
    return f"{shown} of {counts['found']} texts that differ ({change}); rows: {counts['rows']}"


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
            f"{perhaps(dataset, tables)}Use one of {', '.join(tables)}",
            field="DATASET",
            value=dataset,
        )
    return {dataset: tables[dataset]}


def _rows(expected: Expected, dataset: str, stage: LanguageStage) -> pl.DataFrame:
    """The texts of a dataset, each with its `id`, the image of its scene graph and, if any, its query."""
    file = stage.table(expected.paths, dataset)
    captions = pl.DataFrame(read_table(file, stage.schema, expect=stage.made_from(expected, dataset)))
    captions = captions.with_columns(id=stage.id_column)
    if stage is not CAPTION:
        return captions
    columns = ["query_id", "reference_id", "target_id", "modification"]
    pairs = expected.paths.pairs(dataset)
    queries = pl.DataFrame(read_table(pairs, PAIRS, columns, expected.pairs(dataset)))
    return captions.join(queries, on="query_id", maintain_order="left").with_columns(image_id="reference_id")


def _of(rows: pl.DataFrame, choice: Choice) -> pl.DataFrame:
    """The rows of the image and the query, and those that failed, as far as they are asked for."""
    if choice.image is not None:
        images = [name for name in ("image_id", "target_id") if name in rows.columns]
        rows = rows.filter(pl.any_horizontal(pl.col(images) == choice.image))
    if choice.query is not None:
        if "query_id" not in rows.columns:
            remedy = "Name an image by --image, or leave out --stage interpret"
            raise UserError("interpretations are of images, not of queries", remedy, field="--query")
        rows = rows.filter(query_id=choice.query)
    if rows.is_empty():
        of_image = choice.query is None
        field, value = ("--image", choice.image) if of_image else ("--query", choice.query)
        remedy = f"Name an id from {'data/corpus' if of_image else 'data/pairs'}"
        raise UserError("no text is of it", remedy, field=field, value=value)
    return rows.filter(status="failed") if choice.failed else rows


def _right(paths: Paths, stage: str, datasets: Iterable[str]) -> dict[str, Right]:
    """How many texts of each dataset are all right, by the stage's metrics: in words and as shares."""
    file = paths.metrics(stage)
    metrics = read_metrics(file)
    with reading(file, "Run `dvc repro`", "the figures are not what the stage writes"):
        return {name: (all_right(metrics.get(name, {})), rates(metrics.get(name, {}))) for name in datasets}


def _of_the_model(name: str) -> pl.Expr:
    """A column of the model's text, which stands in `replaced` where a rule wrote that of the table."""
    replaced = pl.col("replaced")
    return pl.when(replaced.is_null()).then(name).otherwise(replaced.struct.field(name))


def _ending(end: str) -> Callable[[str], pl.Expr]:
    """Columns whose names have this end."""
    return lambda name: pl.col(name + end)


def _badness(column: Callable[[str], pl.Expr], status: str, cut: pl.Expr) -> pl.Expr:
    """How bad a text is: its missed and invented facts, and `cut`; a failed row is worse than any text."""
    wrong = [column(name).list.len().fill_null(0) for name in ("missed", "invented")]
    failed = column("text").is_null() & pl.col(status).ne_missing("empty")
    return pl.when(failed).then(_FAILED).otherwise(pl.sum_horizontal(*wrong, cut))


def _other_rows(paths: Paths, dataset: str, stage: LanguageStage, against: str) -> pl.DataFrame:
    """What is compared of another run's texts, also where another version wrote them."""
    file = stage.table(paths, dataset)
    if not file.is_file():
        remedy = "Name another run, or a dataset that it has"
        raise UserError(f"that run has no captions of {dataset}", remedy, field="--against", value=against)
    fields = [stage.schema.field(name) for name in (stage.id_column, *_COMPARED)]
    try:
        table = pl.DataFrame(read_table(file, pa.schema(fields, stage.schema.metadata)))
    except UserError as error:
        reason = f"that run's captions of {dataset} cannot be used: {error.problem.reason}"
        remedy = "Name a run of this version of LEmpo"
        raise UserError(reason, remedy, field="--against", value=against) from None
    return table.rename({stage.id_column: "id"}).with_columns(dataset=pl.lit(dataset))


def _differing(rows: pl.DataFrame, theirs: pl.DataFrame, worst: bool) -> pl.DataFrame:
    """The rows whose texts, or facts, are others than those of the other run; `worse` is above 0 here."""
    joined = rows.join(theirs, on=[DATASET, "id"], how="left", suffix=_OTHER, maintain_order="left")
    changed = joined.filter(
        pl.any_horizontal(pl.col(name).ne_missing(pl.col(name + _OTHER)) for name in _COMPARED)
    )
    nothing = pl.lit(0)
    here, there = (_badness(_ending(end), "status" + end, nothing) for end in ("", _OTHER))
    changed = changed.with_columns(worse=here - there)
    if worst:
        changed = changed.sort("worse", DATASET, "id", descending=[True, False, False])
    return changed


def _graphs(expected: Expected, dataset: str) -> GraphTable:
    file = expected.paths.scene_graphs(dataset)
    table_provenance(file, SCENE_GRAPHS, expected.corpus(dataset))
    return GraphTable(file)


def _with_graphs(
    rows: pl.DataFrame, graphs: Mapping[str, GraphTable]
) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Each row with the lines of its graph."""
    for row in rows.iter_rows(named=True):
        graph = graphs[row[DATASET]].of([row["image_id"]]).get(row["image_id"])
        yield row, None if graph is None else serialise(group_objects(graph))


def _other(row: Row) -> dict[str, Any] | None:
    """The other run's text beside a row; None without another run."""
    return {name: row[name + _OTHER] for name in _COMPARED} if "worse" in row else None


def _blocks(rows: Iterable[tuple[Row, str | None]], against: str | None) -> Iterator[str]:
    """What is printed of each row and its graph."""
    width = min(shutil.get_terminal_size((_WIDEST, 0)).columns, _WIDEST)
    for row, graph in rows:
        lines = [_head(row), *("(no graph)" if graph is None else graph).splitlines()]
        if "modification" in row:
            lines.append(f"Modification: {row['modification']}")
        block = [lines[0], *(f"    {_plain(line)}" for line in lines[1:])]
        other = _other(row)
        if other is None:
            block += _texts(row)
        else:
            if other["status"] is None:
                other["error"] = "the row is not there"
            block += _beside(["  here"], [f"  {against}"], width)
            block += _beside(_texts(row), _text_lines(other, "  "), width)
        yield "\n".join(block) + "\n\n"


def _head(row: Row) -> str:
    facts = "no facts" if row["status"] == "empty" else "facts not known"
    if row["facts"] is not None:
        facts = f"{row['facts'] - len(row['missed'] or ())} of {row['facts']} facts"
    cut = ", truncated" if row["finish_reason"] == "length" else ""
    summarised = ", of a graph summarised for the prompt" if row["summarised"] else ""
    seen = {"image": ", of the image alone", "graph and image": ", of graph and image"}
    given = seen.get(row["given"] or "", "")
    said = f"{row['source']}, {row['status']}{cut}, {facts}{given}{summarised}"
    return f"{row[DATASET]} {_plain(row['id'])} · {said}"


def _texts(row: Row) -> Iterator[str]:
    """The text of the table, and what else the row has."""
    yield from _text_lines(row, "  ")
    if row["replaced"] is not None:
        yield "  in the place of the model's text:"
        yield from _text_lines(row["replaced"], "    ")
    yield from (f"    not checked: {_plain(fact)}" for fact in row["unchecked"] or ())
    yield from (f"  > {_plain(other['text'])}" for other in row.get("alternatives", ()))


def _text_lines(text: Row, indent: str) -> Iterator[str]:
    """A text, or why there is none, and what it misses and invents."""
    said, error = text["text"], text["error"]
    yield f"{indent}! {_plain(error or '')}" if said is None else f"{indent}> {_plain(said)}"
    yield from (f"{indent}  missed:   {_plain(fact)}" for fact in text["missed"] or ())
    yield from (f"{indent}  invented: {_plain(fact)}" for fact in text["invented"] or ())


def _beside(left: Iterable[str], right: Iterable[str], width: int) -> Iterator[str]:
    """Lines in two columns, wrapped."""
    half = max(20, (width - 3) // 2)
    columns = [[part for line in lines for part in _wrapped(line, half)] for lines in (left, right)]
    for one, other in zip_longest(*columns, fillvalue=""):
        yield f"{one:<{half}} │ {other}".rstrip()


def _wrapped(line: str, width: int) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(line, width, subsequent_indent=indent)


def _plain(text: str) -> str:
    """A text without control characters, which a terminal would obey."""
    return _UNPRINTABLE.sub("?", text)
