"""Outcomes to caption tables and to the figures of `metrics/interpret.json` and `metrics/caption.json`."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from pipeline.base.expected import Expected
from pipeline.base.files import identity_hash
from pipeline.base.paths import Paths
from pipeline.base.tables import as_table, open_table
from pipeline.captions.clip_tokens import ClipTokens
from pipeline.captions.figures import Figures, TableFigures
from pipeline.captions.judging import Candidate, Outcome
from pipeline.captions.parts import Written
from pipeline.captions.rows import Given, Row
from pipeline.captions.settings import RULES, Settings
from pipeline.graph.verbalise import verbalise


class CaptionTables:
    """The tables of all datasets, written part by part, and their figures.

    Args:
        stack: when it closes without an error, the tables appear, whole.
    """

    def __init__(self, settings: Settings, paths: Paths, stack: ExitStack) -> None:
        params, stage = settings.params, settings.stage
        self._settings = settings
        self._tokenizer = ClipTokens(params.vlm, paths.cache, paths.root)
        self._figures = {dataset: TableFigures() for dataset in params.datasets}
        expected, model = Expected(params, paths), {"llm": identity_hash(settings.identity)}
        self._tables = {
            dataset: stack.enter_context(
                open_table(
                    stage.table(paths, dataset), stage.schema, stage.made_from(expected, dataset) | model
                )
            )
            for dataset in params.datasets
        }

    def written(self, dataset: str, outcomes: Sequence[Outcome]) -> Written:
        """What comes of the rows of a part, whose ids ascend."""
        finals = [_final(outcome, self._settings) for outcome in outcomes]
        texts = sorted({final.text for final in finals if final.text is not None})
        lengths = dict(zip(texts, self._tokenizer.count(texts), strict=True))
        rows, figures = [], TableFigures()
        for outcome, final in zip(outcomes, finals, strict=True):
            row = _table_row(outcome, final, self._settings)
            row["clip_tokens"] = None if final.text is None else lengths[final.text]
            figures.add(outcome, final, row, self._tokenizer.context_length)
            rows.append(row)
        return Written(
            as_table(rows, self._settings.stage.schema, dataset),
            figures,
            asked=sum(outcome.row.brought is None and not outcome.row.empty for outcome in outcomes),
            thinks=any(outcome.thinks for outcome in outcomes),
        )

    def add(self, dataset: str, written: Written) -> None:
        """Add the rows of a part; their ids come after those of all earlier ones."""
        self._tables[dataset].write(written.rows)
        self._figures[dataset].update(written.figures)

    @property
    def tokenizer(self) -> str:
        """Names what counts the tokens of texts."""
        return self._tokenizer.name

    def figures(self) -> dict[str, Figures]:
        """The figures of every dataset, and of all together, of the rows written so far."""
        together = TableFigures()
        for figures in self._figures.values():
            together.update(figures)
        return {name: one.figures() for name, one in {"all": together, **self._figures}.items()}


def _final(outcome: Outcome, settings: Settings) -> Candidate:
    """The text of the table: the best one, or one by rule where `llm.fallback` has it so."""
    row, best = outcome.row, outcome.best
    asked = row.brought is None and not row.empty
    if settings.llm.fallback == "rules" and asked and not best.final and row.graph is not None:
        return outcome.by_rule(verbalise(row.graph))
    return best


def _table_row(outcome: Outcome, final: Candidate, settings: Settings) -> dict[str, Any]:
    row, best, check = outcome.row, outcome.best, final.check
    known = check if check is not None and check.known else None
    replaced = None if final is best else {**_checked(best), "error": best.error}
    return {
        settings.stage.id_column: row.id,
        "status": "ok" if final.text is not None else "empty" if row.empty else "failed",
        "error": final.error,
        "finish_reason": final.answer.finish_reason,
        "source": final.attempt.kind,
        "given": _given(final, row),
        "prompt_tokens": final.answer.prompt_tokens,
        "output_tokens": final.answer.output_tokens,
        "facts": known and known.facts,
        "fact_recall": known and known.recall,
        **_checked(final),
        "unchecked": None if check is None else list(check.unchecked),
        "first_pass_all_right": outcome.first.all_right if row.brought is None else None,
        "replaced": replaced,
        "summarised": row.summarised,
        "alternatives": [_checked(alternative) for alternative in outcome.alternatives],
        "model": settings.llm.model,
        "prompt_hash": settings.prompt_hash(row),
        "row_key": outcome.row_key,
    }


def _given(final: Candidate, row: Row) -> Given | None:
    """What a text is made from; None where no model was asked."""
    if final.attempt is RULES:
        return "graph"
    return None if row.brought is not None or row.empty else row.given


def _checked(candidate: Candidate) -> dict[str, Any]:
    """A text with what it misses and invents; None where the facts are not known."""
    check = candidate.check
    missed, invented = (None, None) if check is None else (list(check.missed), list(check.invented))
    return {"text": candidate.text, "missed": missed, "invented": invented}
