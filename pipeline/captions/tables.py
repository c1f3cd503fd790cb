"""Outcomes to caption tables and to the figures of `metrics/interpret.json` and `metrics/caption.json`."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from pipeline.base.expected import Expected
from pipeline.base.files import identity_hash
from pipeline.base.paths import Paths
from pipeline.base.tables import open_table
from pipeline.captions.clip_tokens import ClipTokens
from pipeline.captions.judging import Outcome
from pipeline.captions.settings import Settings
from pipeline.faithfulness.check import Check
from pipeline.graph.verbalise import verbalise


class CaptionTables:
    """The tables of all datasets, written block by block, and their figures.

    Args:
        stack: when it closes without an error, the tables appear, whole.
    """

    def __init__(self, settings: Settings, paths: Paths, stack: ExitStack) -> None:
        params, stage = settings.params, settings.stage
        self._settings = settings
        self._tokenizer = ClipTokens(params.vlm, paths.cache, paths.root)
        self._files = {dataset: stage.table(paths, dataset) for dataset in params.datasets}
        expected, model = Expected(params, paths), {"llm": identity_hash(settings.identity)}
        self._tables = {
            dataset: stack.enter_context(
                open_table(file, stage.schema, stage.made_from(expected, dataset) | model)
            )
            for dataset, file in self._files.items()
        }

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Add rows, dataset by dataset; within one, those of later blocks have later ids."""
        rows = [_table_row(outcome, self._settings) for outcome in outcomes]
        texts = sorted({row["text"] for row in rows if row["text"] is not None})
        lengths = dict(zip(texts, self._tokenizer.count(texts), strict=True))
        for row in rows:
            row["clip_tokens"] = lengths.get(row["text"])
        by_dataset = groupby(zip(outcomes, rows, strict=True), key=lambda pair: pair[0].row.dataset)
        for dataset, pairs in by_dataset:
            self._tables[dataset].write([row for _, row in pairs])

    def figures(self) -> dict[str, dict[str, int | float | None]]:
        """The figures of every dataset, and of all together, once the tables are written."""
        files = {"all": [*self._files.values()]} | {name: [file] for name, file in self._files.items()}
        return {name: _figures(some, self._tokenizer.context_length) for name, some in files.items()}


def _table_row(outcome: Outcome, settings: Settings) -> dict[str, Any]:
    row, best = outcome.row, outcome.best
    text, source, check = best.text, str(best.attempt.kind), best.check
    finish_reason, output_tokens = best.answer.finish_reason, best.answer.output_tokens
    facts, differences = check.facts if check is not None and check.known else None, _differences(check)
    made = row.brought is None and not row.empty
    by_rule = settings.llm.fallback == "rules" and not best.final and made
    if by_rule and row.graph is not None:
        text, source, finish_reason, output_tokens = verbalise(row.graph), "rules", None, None
        differences = {"missed": [], "invented": []}
    return {
        settings.stage.id_column: row.id,
        "text": text,
        "status": "ok" if text is not None else "empty" if row.empty else "failed",
        "error": best.error if text is None else None,
        "finish_reason": finish_reason,
        "source": source,
        "given": "graph" if source == "rules" else None if row.brought or row.empty else row.given,
        "prompt_tokens": best.answer.prompt_tokens,
        "output_tokens": output_tokens,
        "facts": facts,
        "fact_recall": 1 - len(differences["missed"] or ()) / facts if facts else None,
        **differences,
        "unchecked": None if check is None else list(check.unchecked),
        "first_pass_all_right": outcome.candidates[0].all_right if row.brought is None else None,
        "summarised": row.summarised,
        "alternatives": [
            {"text": alternative.text, **_differences(alternative.check)}
            for alternative in outcome.alternatives
        ],
        "model": settings.llm.model,
        "prompt_hash": settings.prompt_hash(row),
        "row_key": outcome.row_key,
    }


def _differences(check: Check | None) -> dict[str, list[str] | None]:
    """What a text misses and invents; None where the facts are not known."""
    if check is None:
        return {"missed": None, "invented": None}
    return {"missed": list(check.missed), "invented": list(check.invented)}


def _figures(files: list[Path], context_length: int) -> dict[str, int | float | None]:
    """The figures of the rows of some tables; fractions are null where no row's facts are known, never 1.

    Brought texts count as rows. Fractions are of the model's texts, with one apart for those brought.
    """
    table = pl.scan_parquet(files)
    status, faithful = pl.col("status"), _faithful(pl.col("missed"), pl.col("invented"))
    made, all_right = pl.col("source") != "brought", faithful & (status == "ok")
    known = pl.col("facts").is_not_null()
    figures = table.select(
        pl.len().alias("rows"),
        *((status == name).sum().alias(name) for name in ("ok", "failed", "empty")),
        truncated=(pl.col("finish_reason") == "length").sum(),
        over_clip_context=(pl.col("clip_tokens") > context_length).sum(),
        summarised=pl.col("summarised").sum(),
        fact_recall=pl.col("fact_recall").filter(made).mean(),
        hallucination_rate=(pl.col("invented").list.len() > 0).filter(made).mean(),
        all_right_rate=all_right.filter(known & made).mean(),
        first_pass_all_right_rate=pl.col("first_pass_all_right").mean(),
        of_images_alone=(pl.col("given") == "image").sum(),
        fallback_rate=(pl.col("source") == "rules").filter((status != "empty") & made).mean(),
        brought=(~made).sum(),
        brought_all_right_rate=all_right.filter(known & ~made).mean(),
    )
    (row,) = figures.collect(engine="streaming").to_dicts()
    if not row["of_images_alone"]:
        del row["of_images_alone"]
    if not row["brought"]:
        del row["brought"], row["brought_all_right_rate"]
    unchecked = table.select((pl.col("unchecked").list.len() > 0).sum()).collect(engine="streaming").item()
    row |= {"unchecked": unchecked} if unchecked else {}
    if "alternatives" not in table.collect_schema():
        return row
    samples = table.select(pl.col("alternatives").explode()).drop_nulls().unnest("alternatives")
    right = samples.select(pl.len(), _faithful(pl.col("missed"), pl.col("invented")).mean())
    count, share = right.collect(engine="streaming").row(0)
    return row | ({"alternatives": count, "alternatives_all_right_rate": share} if count else {})


def _faithful(missed: pl.Expr, invented: pl.Expr) -> pl.Expr:
    return (missed.list.len() == 0) & (invented.list.len() == 0)
