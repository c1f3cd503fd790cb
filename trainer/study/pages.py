"""The pages of a study: the long table of its figures as Markdown or LaTeX."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from tabulate import tabulate

from trainer.study.figures import COST, MEAN, UNTUNED, VALIDATION, WHOLE_GALLERY, Row
from trainer.study.plan import FROZEN, TUNED
from trainer.study.summary import MEASURES, TESTED
from trainer.study.traps import TRAPS

Format = Callable[[Row], str]
Column = tuple[Mapping[str, str], Format]  # which figure of a line it shows, and how


@dataclass(frozen=True)
class Section:
    """One table of a page."""

    title: str
    note: str
    columns: Sequence[str]
    lines: Sequence[Sequence[str]]


def _spread(row: Row) -> str:
    return "{value:.1f}".format_map(row) + ("" if row["deviation"] is None else f" ± {row['deviation']:.1f}")


def _p(row: Row) -> str:
    return "p < 0.001" if row["p"] < 0.001 else f"p = {row['p']:.3f}"


def _lead(row: Row) -> str:
    return f"{row['value']:+.1f} ({row['method']}, {_p(row)})"


_PLAIN, _POINTS, _SIGNIFICANT = "{value:.1f}".format_map, "{value:+.1f}".format_map, "{value:g}".format_map
_COUNT, _HUNDREDTHS = "{value:.0f}".format_map, "{value:.2f}".format_map
_INTERVAL, _LEAD_INTERVAL = "{low:.1f} to {high:.1f}".format_map, "{low:+.1f} to {high:+.1f}".format_map
_CHANGE = "{value:.1f} ({change:+.1f})".format_map


def sections(figures: pl.DataFrame) -> list[Section]:
    """Every table of the page of results, from the figures of `study_figures`."""
    datasets = [name for name in figures["dataset"].unique(maintain_order=True) if name != MEAN]
    by_measure = {measure: ({"measure": measure}, _spread) for measure in MEASURES}

    def section(
        title: str, note: str, names: Mapping[str, str], columns: Mapping[str, Column], **chosen: str
    ) -> Section:
        """A line for each combination of `names` (header -> column of the figures) in the chosen figures."""
        lines: dict[tuple[str, ...], list[Row]] = {}
        for row in figures.filter(**chosen).iter_rows(named=True):
            lines.setdefault(tuple(str(row[name]) for name in names.values()), []).append(row)
        cells = [
            [*key, *(_cell(rows, which, form) for which, form in columns.values())]
            for key, rows in lines.items()
        ]
        return Section(title, note, [*names, *columns], cells)

    page = [
        section(
            "What the hybrid is ahead",
            "Points on the test split, mean over the seeds; p of the paired test over families. Each method "
            "stands with the text tower that validation prefers; of each group, the method with the highest "
            "mean on the test split is compared.",
            {"measure": "measure", "ahead of": "variant"},
            {MEAN: ({"dataset": MEAN}, _POINTS)} | {name: ({"dataset": name}, _lead) for name in datasets},
            table="claim",
        )
    ]
    for dataset in datasets:
        page += [
            section(
                f"Every method on `{dataset}`",
                "Mean ± standard deviation over the seeds. Intervals: 95%, families drawn with replacement. "
                "Text tower: where both were trained, the one that validation prefers.",
                {"method": "method", "text tower": "text_tower", "seeds": "seeds"},
                by_measure | {f"{measure}, 95%": ({"measure": measure}, _INTERVAL) for measure in TESTED},
                table="methods",
                dataset=dataset,
            ),
            section(
                f"The hybrid against each method on `{dataset}`",
                "Points that the hybrid is ahead, 95% interval and p, both over families.",
                {"method": "method"},
                {
                    f"{measure}{end}": ({"measure": measure}, form)
                    for measure in TESTED
                    for end, form in (("", _POINTS), (", 95%", _LEAD_INTERVAL), (", test", _p))
                },
                table="leads",
                dataset=dataset,
            ),
        ]
    page += [
        section(
            "Comparators with a frozen and with a tuned text tower",
            "Learning rate and temperature are those of the trial that validation prefers. Validation: mean "
            "recall of the first seed.",
            {"dataset": "dataset", "method": "method", "text tower": "text_tower"},
            {
                "rate": ({"measure": "learning_rate"}, _SIGNIFICANT),
                "temperature": ({"measure": "temperature"}, _SIGNIFICANT),
                "validation": ({"measure": VALIDATION}, _PLAIN),
                **{measure: by_measure[measure] for measure in TESTED},
            },
            table="text towers",
        ),
        section(
            "Ablations",
            "One seed, the hybrid's learning rate. A term that is left out takes no part in training, in the "
            "choice of weights or in the query.",
            {"": "variant"},
            {
                f"{measure}, {dataset}": ({"measure": measure, "dataset": dataset}, _PLAIN)
                for measure in TESTED
                for dataset in (*datasets, MEAN)
            },
            table="ablations",
        ),
        section(
            "Each similarity alone, of the untuned and of the tuned encoder",
            "One seed. The encoder is the hybrid's; the mixture of the triplet is chosen for it alone.",
            {"dataset": "dataset", "similarity": "method"},
            {
                f"{measure}, {state}": ({"measure": measure, "text_tower": tower}, _PLAIN)
                for measure in TESTED
                for state, tower in ((UNTUNED, FROZEN), (TUNED, TUNED))
            },
            table="terms",
        ),
        section(
            "R@1 with each kind of trap taken out of the gallery",
            "One seed. Twins are other images with the target's graph; other edits are the targets of other "
            "queries with the same reference; the remaining traps are one fact from the target.",
            {"dataset": "dataset", "method": "method"},
            {
                name: ({"variant": name}, _PLAIN)
                for name in (WHOLE_GALLERY, *(f"without {trap}" for trap in TRAPS))
            },
            table="traps",
        ),
        section(
            "Tuned on one dataset, tested on another: mean recall",
            "One seed. Weights and mixture are those of the dataset that it was tuned on; untuned, those of "
            "the dataset that is tested.",
            {"tuned on": "variant"},
            {f"tested on {dataset}": ({"dataset": dataset}, _PLAIN) for dataset in datasets},
            table="transfer",
        ),
        section(
            "Beyond the method",
            "One seed; in brackets the change against the hybrid in points. Share: of the added view, chosen "
            "on validation; with 0 the view is not used. The interpretations of gallery images are more than "
            "a query gives: no other table uses them.",
            {"dataset": "dataset", "": "variant"},
            {
                "share": ({"measure": "share"}, _HUNDREDTHS),
                "mean_recall, validation": ({"measure": VALIDATION}, _CHANGE),
                **{f"{measure}, test": ({"measure": measure}, _CHANGE) for measure in reversed(TESTED)},
            },
            table="beyond",
        ),
        section(
            "What fixing the vision side saves",
            "Seconds of one training step on one core, median of three: the text tower alone, and with the "
            "image tower run forward and backward on the references and targets of the batch, nothing read "
            "or decoded. The second has no negatives beyond the batch and no cached features.",
            {"dataset": "dataset"},
            {
                measure: ({"measure": measure}, _HUNDREDTHS if measure.startswith("vision") else _COUNT)
                for measure in COST
            },
            table="cost",
        ),
    ]
    return page


def _cell(rows: Sequence[Row], which: Mapping[str, str], form: Format) -> str:
    """The one figure of a line that agrees with `which`; empty where there is none."""
    found = [row for row in rows if which.items() <= row.items()]
    return form(found[0]) if found else ""


def to_markdown(page: Sequence[Section]) -> str:
    """A section a table."""
    return "\n\n".join(
        f"## {section.title}\n\n{section.note}\n\n"
        + tabulate(section.lines, section.columns, tablefmt="pipe", disable_numparse=True)
        for section in page
    )


def to_latex(page: Sequence[Section]) -> str:
    """A booktabs table each, its title and note before it as a comment."""
    tables = []
    for section in page:
        body = tabulate(section.lines, section.columns, tablefmt="latex_booktabs", disable_numparse=True)
        tables.append(f"% {section.title.replace('`', '')}. {section.note}\n{body}")
    return "\n\n".join(tables) + "\n"
