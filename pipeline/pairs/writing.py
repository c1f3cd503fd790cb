"""Chosen queries to rows of the table of all queries: each gets its modification, by rule or by the LLM."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pipeline.base.expected import Expected
from pipeline.base.files import identity_hash
from pipeline.base.metrics_io import write_metrics
from pipeline.captions.figures import Qualities
from pipeline.captions.judging import Candidate, Outcome
from pipeline.captions.rows import Row
from pipeline.captions.run import blocks_of, row_cache
from pipeline.captions.settings import Settings
from pipeline.captions.writer import TextWriter
from pipeline.graph.edits import apply_edits, edit_to_row
from pipeline.llm.engines import open_engine
from pipeline.llm.prompt import Message
from pipeline.llm.types import Engine
from pipeline.pairs.check import ModificationChecker
from pipeline.pairs.choosing import Chosen
from pipeline.pairs.difference import edits_of
from pipeline.pairs.making import Made
from pipeline.pairs.wording import difference_line, style_of, worded

Written = tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]  # rows, dropped, figures


def by_rule(made: Made) -> Written:
    """Every query with a modification by rule."""
    return (
        [_row(query, worded(query.changes, style_of(query.query_id)), "rules") for query in made.queries],
        [],
        {},
    )


def by_model(
    made: Mapping[str, Made],
    settings: Settings,
    expected: Expected,
    engine: Callable[[], Engine] | None = None,
) -> dict[str, Written]:
    """The queries of all datasets with modifications by the language model, from the row cache where it can.

    A text that is not right gets `llm.repairs` further attempts. If none is right, the query is written by
    rule or left out (`pairs.fallback`). A query with a label that no text can be searched for is written by
    rule.

    Raises:
        UserError: too many rows failed; what was generated stays in the row cache.
    """
    written: dict[str, Written] = {dataset: ([], [], {}) for dataset in made}
    qualities = {dataset: Qualities() for dataset in made}
    first: list[Message] = []  # tries the model's chat template
    engine = engine or partial(open_engine, settings.params, expected.paths.root, first)
    since = time.perf_counter()
    count = sum(len(one.queries) for one in made.values())
    with TextWriter(settings, row_cache(expected.paths), engine, count) as writer:
        for block in blocks_of(_rows(made, settings)):
            first[:] = max(
                (row for row, _ in block), key=lambda row: len(row.messages[-1]["content"])
            ).messages
            outcomes = writer.write([row for row, _ in block])
            for outcome, (row, query) in zip(outcomes, block, strict=True):
                rows, dropped, _ = written[row.dataset]
                if row.empty:
                    rows.append(_row(query, worded(query.changes, style_of(query.query_id)), "rules"))
                    continue
                final = _final(outcome, query, settings)
                qualities[row.dataset].add(outcome, final)
                if final is None:
                    dropped.append(_dropped(query, outcome))
                else:
                    rows.append(_written(query, outcome, final))
        writer.check()
    for dataset, (_, _, figures) in written.items():
        figures |= qualities[dataset].figures()
    speed = writer.speed.figures(time.perf_counter() - since) | {"model": settings.llm.model}
    write_metrics(expected.paths.speed("pairs"), speed)
    return written


def model_of(settings: Settings) -> dict[str, str]:
    """What the tables say of the model that wrote them."""
    return {"llm": identity_hash(settings.identity)}


def _rows(made: Mapping[str, Made], settings: Settings) -> Iterator[tuple[Row, Chosen]]:
    for dataset, one in made.items():
        for query in one.queries:
            reference = one.graphs[query.reference.image_id]
            checker = ModificationChecker(query.changes, reference, one.vocabulary)
            difference = "\n".join(f"- {difference_line(change)}" for change in query.changes)
            yield (
                Row(
                    dataset=dataset,
                    id=query.query_id,
                    messages=settings.messages(difference=difference, style=style_of(query.query_id)),
                    graph=apply_edits(reference, edits_of(query.changes)),
                    checker=checker,
                    summarised=False,
                    empty=not checker.checkable,
                ),
                query,
            )


def _final(outcome: Outcome, query: Chosen, settings: Settings) -> Candidate | None:
    """The best text if it is right; else one by rule, or None: the query is left out."""
    if outcome.best.final:
        return outcome.best
    if settings.params.pairs.fallback == "rules":
        return outcome.by_rule(worded(query.changes, style_of(query.query_id)))
    return None


def _written(query: Chosen, outcome: Outcome, final: Candidate) -> dict[str, Any]:
    row_key = outcome.row_key if final is outcome.best else None
    return _row(query, final.text or "", final.attempt.kind) | {"row_key": row_key}


def _row(query: Chosen, modification: str, source: str) -> dict[str, Any]:
    return {
        "query_id": query.query_id,
        "split": query.reference.split,
        "reference_id": query.reference.image_id,
        "target_id": query.target.image_id,
        "target_ids": list(query.right),
        "modification": modification,
        "kind": query.kind,
        "family": query.reference.family,
        "edits": [edit_to_row(edit) for edit in edits_of(query.changes)],
        "style": style_of(query.query_id),
        "source": source,
        "row_key": None,
    }


def _dropped(query: Chosen, outcome: Outcome) -> dict[str, Any]:
    best = outcome.best
    reason = best.error or "the text was cut"
    if best.check is not None and not best.check.all_right:
        parts = (("misses", best.check.missed), ("adds", best.check.invented))
        reason = "the text " + " and ".join(f"{verb} {_quoted(facts)}" for verb, facts in parts if facts)
    return {
        "table": "queries",
        "file": "pairs",
        "row": None,
        "record_id": query.query_id,
        "field": "modification",
        "value": best.text,
        "reason": reason,
        "remedy": "Raise llm.repairs, use a larger model, or set pairs.fallback to rules",
    }


def _quoted(facts: Sequence[str]) -> str:
    return ", ".join(f"'{fact}'" for fact in facts)
