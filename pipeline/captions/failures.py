"""Which rows of a stage failed, and whether these are too many."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.base.errors import parameter_error
from pipeline.captions.judging import Outcome
from pipeline.captions.row_cache import Entry
from pipeline.captions.settings import Settings

SHOWN_REASONS = 3
SHOWN_CHARACTERS = 200  # of a reason


@dataclass
class _Tally:
    """Rows without a text: by dataset, by reason, and how many are not asked for again."""

    rows: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(
        default_factory=Counter
    )  # without their numbers, which differ from row to row
    given_up: int = 0

    def __add__(self, other: "_Tally") -> "_Tally":
        return _Tally(self.rows + other.rows, self.reasons + other.reasons, self.given_up + other.given_up)


class Failures:
    """Counts the rows of each dataset, and those that failed.

    A row fails if the model gave no text for it, or if the service gave none for one of its further samples.
    It does not fail if `llm.fallback` says its graph by rule, unless the service is to blame, or unless the
    model gave no text for any row of the dataset.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._rows: Counter[str] = Counter()  # by dataset
        self._failed, self._by_rule = _Tally(), _Tally()  # the latter would have, without `llm.fallback`
        self._examples: dict[str, tuple[str, str]] = {}  # of each reason: a row's id, and its error in full

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """Count rows that a model was asked for."""
        for outcome in outcomes:
            row, best = outcome.row, outcome.best
            self._rows[row.dataset] += 1
            if (error := best.error or outcome.lost_sample) is None:
                continue
            reason = re.sub(r"\d+", "0", error)
            self._examples.setdefault(reason, (row.id, error))
            by_rule = best.error is not None and self._is_by_rule(outcome)
            tally = self._by_rule if by_rule else self._failed
            tally.rows[row.dataset] += 1
            tally.reasons[reason] += 1
            tries = best.answer.tries if isinstance(best.answer, Entry) else 0
            tally.given_up += not best.answer.external and tries >= self._settings.llm.tries

    def count(self, dataset: str, rows: int) -> None:
        """Count rows that a model was asked for, none of which failed."""
        self._rows[dataset] += rows

    def check(self) -> None:
        """Refuse a stage with too many failed rows.

        Of each dataset the share `llm.max_failed_share` may fail. Above 0 it lets one row fail in any case;
        below 1 it never lets all of them fail.

        Raises:
            UserError: more failed; it says how many, why most of them did, and what to do.
        """
        share = self._settings.llm.max_failed_share
        allowed = {name: max(int(share * rows), share > 0) for name, rows in self._rows.items()}
        without = self._failed + self._by_rule
        silent = {name for name, rows in without.rows.items() if rows == self._rows[name] and share < 1}
        bad = silent | {name for name, failed in self._failed.rows.items() if failed > allowed[name]}
        if not bad:
            return
        counts = ", ".join(
            f"{(without if name in silent else self._failed).rows[name]} of {self._rows[name]} rows of {name}"
            for name in sorted(bad)
        )
        said = without if silent else self._failed
        most = [(count, *self._examples[reason]) for reason, count in said.reasons.most_common(SHOWN_REASONS)]
        shown = "; ".join(f"{count} times (as {id}): {error[:SHOWN_CHARACTERS]}" for count, id, error in most)
        remedy = "Mend the cause and run the stage again: texts are kept, and failed rows are asked again"
        if said.given_up:
            remedy += f", but for {said.given_up} that failed in llm.tries runs: raise that for them"
        raise parameter_error(
            f"{counts} failed, more than this allows, so no table is written. {shown}",
            f"{remedy}. Or raise llm.max_failed_share",
            "llm.max_failed_share",
            share,
        )

    def _is_by_rule(self, outcome: Outcome) -> bool:
        by_rule = self._settings.llm.fallback == "rules" and outcome.row.graph is not None
        return by_rule and not outcome.best.answer.external
