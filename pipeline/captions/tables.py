"""Outcomes as caption tables and as the figures of `metrics/interpret.json` and `metrics/caption.json`."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.captions.rows import Outcome, Row, Settings
from pipeline.captions.session import Speed

SOURCES = ("first", "repair", "rules")


def table_rows(
    rows: Sequence[Row],
    outcomes: Sequence[Outcome],
    settings: Settings,
    id_column: str,
    count_tokens: Callable[[Sequence[str]], list[int]],
    verbalise: Callable[[Any], str] | None,
) -> list[dict[str, Any]]:
    """One table row for every row, in their order.

    Args:
        count_tokens: tokens of texts under the VLM's tokenizer, uncut.
        verbalise: says a graph by rule where no attempt was right (`llm.fallback: rules`), or None.
    """
    made = [
        _table_row(row, outcome, settings, id_column, verbalise)
        for row, outcome in zip(rows, outcomes, strict=True)
    ]
    texts = sorted({row["text"] for row in made if row["text"] is not None})
    lengths = dict(zip(texts, count_tokens(texts), strict=True)) if texts else {}
    for row in made:
        row["clip_tokens"] = lengths.get(row["text"])
    return made


def _table_row(
    row: Row, outcome: Outcome, settings: Settings, id_column: str, verbalise: Callable[[Any], str] | None
) -> dict[str, Any]:
    text, checked, entry = outcome.text, outcome.check, outcome.entry
    source = SOURCES[1] if outcome.attempt else SOURCES[0]
    finish, output_tokens = entry.finish_reason, entry.output_tokens
    by_rule = verbalise is not None and row.graph is not None and not outcome.done and not row.empty
    missed, invented = (checked.missed, checked.invented) if checked else ((), ())
    if by_rule and verbalise is not None and row.graph is not None:
        text, source, finish, output_tokens = verbalise(row.graph), SOURCES[2], None, None
        missed = invented = ()
    recall = None if checked is None or not checked.facts else 1 - len(missed) / checked.facts
    return {
        id_column: row.id,
        "text": text,
        "status": "empty" if row.empty else "failed" if text is None else "ok",
        "error": outcome.error if text is None else None,
        "finish_reason": finish,
        "source": source,
        "prompt_tokens": entry.prompt_tokens,
        "output_tokens": output_tokens,
        "facts": None if checked is None else checked.facts,
        "fact_recall": recall,
        "missed": None if checked is None else list(missed),
        "invented": None if checked is None else list(invented),
        "first_pass_all_right": outcome.first_all_right,
        "summarised": row.summarised,
        "alternatives": [
            {
                "text": said,
                "missed": None if found is None else list(found.missed),
                "invented": None if found is None else list(found.invented),
            }
            for said, found in outcome.alternatives
        ],
        "model": settings.model,
        "prompt_hash": settings.prompt_hash,
        "row_key": outcome.row_key,
    }


class CaptionFigures:
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
            counts["rules"] += row["status"] != "empty" and row["source"] == "rules"
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
        figures: dict[str, int | float | None] = {
            **{name: counts[name] for name in ("rows", "ok", "failed", "empty", "truncated")},
            "over_clip_context": counts["over_clip_context"],
            "fact_recall": _share(self._recall, counts["with_facts"]),
            "hallucination_rate": _share(counts["inventing"], known),
            "all_right_rate": _share(counts["right"], known),
            "first_pass_all_right_rate": _share(counts["first_right"], known),
            "summarised": counts["summarised"],
            "fallback_rate": _share(counts["rules"], counts["rows"] - counts["empty"]),
        }
        if counts["samples"]:
            figures["alternatives"] = counts["samples"]
            figures["alternatives_all_right_rate"] = _share(counts["right_samples"], counts["judged"])
        return figures


def speed_figures(speed: Speed, seconds: float) -> dict[str, Any]:
    """The figures of `metrics/speed/<stage>.json`, which vary from run to run."""
    busy = speed.generate_seconds
    return {
        "seconds": seconds,
        "engine": speed.effective,
        "engine_start_seconds": speed.start_seconds,
        "generate_seconds": busy,
        "cache_seconds": speed.seconds.get("cache", 0.0),
        "checking_seconds": speed.seconds.get("checking", 0.0),
        "generated": speed.generated,
        "cache_hits": speed.cache_hits,
        "output_tokens": speed.output_tokens,
        "output_tokens_per_second": speed.output_tokens / busy if busy else None,
        "prefix_hit_rate": speed.prefix_hit_rate,
    }


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
