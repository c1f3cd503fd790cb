"""The figures of `metrics/interpret.json`, `caption.json` and `pairs.json`: sums over rows, added up once.

What the model wrote is counted apart from what stands in the table, where a rule or a person may have written
instead: `first`, `model`, `final`, `brought` and `alternatives` are groups of the same figures.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pipeline.captions.judging import Candidate, Outcome

Figures = dict[str, Any]
MODELS = ("first", "model")  # groups of texts that the model alone wrote
ALWAYS = (*MODELS, "final")


@dataclass(slots=True)
class Quality:
    """How right the texts of some rows are.

    `texts` counts them and `truncated` those that `max_tokens` cut. The rates are of the rows whose facts are
    known; None where there is none, never 1:

    - `fact_recall`: the mean share of facts that are stated; 0 for a row without a text;
    - `hallucination_rate`: the share of the texts that invent something;
    - `all_right_rate`: the share of the rows whose text states every fact and invents none.
    """

    texts: int = 0
    truncated: int = 0
    known: int = 0  # rows
    right: int = 0
    checked: int = 0  # texts
    inventing: int = 0
    with_facts: int = 0  # rows
    recalls: float = 0.0

    def add(self, candidate: Candidate) -> None:
        check, has_text = candidate.check, candidate.text is not None
        self.texts += has_text
        self.truncated += candidate.truncated
        if check is None or not check.known:
            return
        self.known += 1
        self.right += has_text and check.all_right
        self.checked += has_text
        self.inventing += has_text and bool(check.invented)
        if check.facts:
            self.with_facts += 1
            self.recalls += 1 - len(check.missed) / check.facts

    def update(self, other: "Quality") -> None:
        """Count the other's rows too."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    def figures(self) -> Figures:
        return {
            "texts": self.texts,
            "truncated": self.truncated,
            "fact_recall": _share(self.recalls, self.with_facts),
            "hallucination_rate": _share(self.inventing, self.checked),
            "all_right_rate": _share(self.right, self.known),
        }


class Qualities:
    """The groups: the model's first answers, its best ones, the texts of the table, and others."""

    def __init__(self, groups: Mapping[str, Quality] | None = None) -> None:
        self._groups: defaultdict[str, Quality] = defaultdict(Quality, groups or {})

    def add(self, outcome: Outcome, final: Candidate | None) -> None:
        """Count a row that there is something to say about.

        Args:
            final: its text in the table; None if the row is in no table.
        """
        if outcome.row.brought is not None:
            self._groups["brought"].add(outcome.best)
        else:
            self._groups["first"].add(outcome.first)
            self._groups["model"].add(outcome.best)
        if final is not None:
            self._groups["final"].add(final)
        for alternative in outcome.alternatives:
            self._groups["alternatives"].add(alternative)

    def update(self, other: "Qualities") -> None:
        for name, quality in other._groups.items():
            self._groups[name].update(quality)

    def record(self) -> Figures:
        """The sums of every group."""
        return {name: asdict(quality) for name, quality in self._groups.items()}

    def figures(self) -> Figures:
        """By group; those of brought texts and alternatives only where there are some."""
        names = [*ALWAYS, *sorted(self._groups.keys() - set(ALWAYS))]
        return {name: self._groups[name].figures() for name in names}


class TableFigures:
    """The figures of one table of captions, or of several."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._qualities = Qualities()

    def add(self, outcome: Outcome, final: Candidate, row: Mapping[str, Any], clip_context: int) -> None:
        """Count a row.

        Args:
            row: of the table.
            clip_context: tokens of a text that the VLM reads.
        """
        counts = self._counts
        counts["rows"] += 1
        counts[row["status"]] += 1
        counts["over_clip_context"] += (row["clip_tokens"] or 0) > clip_context
        counts["summarised"] += row["summarised"]
        counts["unchecked"] += bool(row["unchecked"])
        counts["of_images_alone"] += row["given"] == "image"
        if row["status"] != "empty":
            counts["made"] += row["source"] != "brought"
            counts["by rule"] += row["source"] == "rules"
            self._qualities.add(outcome, final)

    def update(self, other: "TableFigures") -> None:
        self._counts.update(other._counts)
        self._qualities.update(other._qualities)

    def record(self) -> Figures:
        """All that it holds, as JSON values; the reverse of `of`."""
        return {"counts": dict(self._counts), "qualities": self._qualities.record()}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "TableFigures":
        """The figures that gave a record.

        Raises:
            KeyError, TypeError: it is none.
        """
        figures = cls()
        figures._counts.update(record["counts"])
        figures._qualities = Qualities({name: Quality(**sums) for name, sums in record["qualities"].items()})
        return figures

    def figures(self) -> Figures:
        counts = self._counts
        names = ("rows", "ok", "failed", "empty", "over_clip_context", "summarised")
        rare = ("unchecked", "of_images_alone")
        return {
            **{name: counts[name] for name in names},
            **{name: counts[name] for name in rare if counts[name]},
            "fallback_rate": _share(counts["by rule"], counts["made"]),
            **self._qualities.figures(),
        }


def all_right(figures: Mapping[str, Any]) -> str | None:
    """In words, how many texts are all right, the model's and those of the table; None if not known."""
    said = {"first": "at first", "model": "after repair", "final": "in the table"}
    rates = {name: figures.get(name, {}).get("all_right_rate") for name in said}
    shares = [f"{rate:.1%} {said[name]}" for name, rate in rates.items() if rate is not None]
    return "all right: " + ", ".join(shares) if shares else None


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
