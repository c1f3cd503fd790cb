"""Outcomes to caption tables and to the figures of `metrics/interpret.json` and `metrics/caption.json`."""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby
from typing import Any

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
        self._tables = {
            dataset: stack.enter_context(open_table(stage.table(paths, dataset), stage.schema))
            for dataset in params.datasets
        }
        self._figures = {name: _CaptionFigures() for name in ("all", *params.datasets)}

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Add rows, dataset by dataset; within one, those of later blocks have later ids."""
        rows = [_table_row(outcome, self._settings) for outcome in outcomes]
        texts = sorted({row["text"] for row in rows if row["text"] is not None})
        lengths = dict(zip(texts, self._tokenizer.count(texts), strict=True))
        for row in rows:
            row["clip_tokens"] = lengths.get(row["text"])
        by_dataset = groupby(zip(outcomes, rows, strict=True), key=lambda pair: pair[0].row.dataset)
        for dataset, pairs in by_dataset:
            chunk = [row for _, row in pairs]
            self._tables[dataset].write(chunk)
            for name in ("all", dataset):
                self._figures[name].add(chunk, self._tokenizer.context_length)

    def figures(self) -> dict[str, dict[str, int | float | None]]:
        """The figures of every dataset, and of all together."""
        return {name: figures.figures() for name, figures in self._figures.items()}


def _table_row(outcome: Outcome, settings: Settings) -> dict[str, Any]:
    row, best = outcome.row, outcome.best
    text, source, check = best.text, str(best.attempt.kind), best.check
    finish_reason, output_tokens = best.answer.finish_reason, best.answer.output_tokens
    facts, differences = None if check is None else check.facts, _differences(check)
    by_rule = settings.llm.fallback == "rules" and not best.final and not row.empty
    if by_rule and row.graph is not None:
        text, source, finish_reason, output_tokens = verbalise(row.graph), "rules", None, None
        differences = {"missed": [], "invented": []}
    return {
        settings.stage.id_column: row.id,
        "text": text,
        "status": "empty" if row.empty else "failed" if text is None else "ok",
        "error": best.error if text is None else None,
        "finish_reason": finish_reason,
        "source": source,
        "prompt_tokens": best.answer.prompt_tokens,
        "output_tokens": output_tokens,
        "facts": facts,
        "fact_recall": 1 - len(differences["missed"] or ()) / facts if facts else None,
        **differences,
        "first_pass_all_right": outcome.candidates[0].all_right,
        "summarised": row.summarised,
        "alternatives": [
            {"text": alternative.text, **_differences(alternative.check)}
            for alternative in outcome.alternatives
        ],
        "model": settings.llm.model,
        "prompt_hash": settings.template.hash,
        "row_key": outcome.row_key,
    }


def _differences(check: Check | None) -> dict[str, list[str] | None]:
    """What a text misses and invents; None where the facts are not known."""
    if check is None:
        return {"missed": None, "invented": None}
    return {"missed": list(check.missed), "invented": list(check.invented)}


class _CaptionFigures:
    """The figures of a caption table, whose rows come in blocks."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._recall: float = 0

    def add(self, rows: Sequence[dict[str, Any]], context_length: int) -> None:
        """Count rows; `context_length` is how many tokens of a text the VLM reads."""
        counts = self._counts
        for row in rows:
            counts["rows"] += 1
            counts[row["status"]] += 1
            counts["truncated"] += row["finish_reason"] == "length"
            counts["over_clip_context"] += (row["clip_tokens"] or 0) > context_length
            counts["summarised"] += row["summarised"]
            counts["rules"] += row["source"] == "rules"
            if row["facts"] is not None:
                counts["known"] += 1
                counts["inventing"] += bool(row["invented"])
                counts["right"] += row["text"] is not None and not row["missed"] and not row["invented"]
                counts["first_right"] += bool(row["first_pass_all_right"])
                if row["fact_recall"] is not None:
                    counts["with_facts"] += 1
                    self._recall += row["fact_recall"]
            for sample in row["alternatives"]:
                counts["samples"] += 1
                if sample["missed"] is not None:
                    counts["judged"] += 1
                    counts["right_samples"] += not sample["missed"] and not sample["invented"]

    def figures(self) -> dict[str, int | float | None]:
        """Fractions are null where no row's facts are known, never 1."""
        counts = self._counts
        known = counts["known"]
        names = ("rows", "ok", "failed", "empty", "truncated", "over_clip_context", "summarised")
        figures: dict[str, int | float | None] = {
            **{name: counts[name] for name in names},
            "fact_recall": _share(self._recall, counts["with_facts"]),
            "hallucination_rate": _share(counts["inventing"], known),
            "all_right_rate": _share(counts["right"], known),
            "first_pass_all_right_rate": _share(counts["first_right"], known),
            "fallback_rate": _share(counts["rules"], counts["rows"] - counts["empty"]),
        }
        if counts["samples"]:
            figures["alternatives"] = counts["samples"]
            figures["alternatives_all_right_rate"] = _share(counts["right_samples"], counts["judged"])
        return figures


def _share(count: float, total: int) -> float | None:
    return count / total if total else None
