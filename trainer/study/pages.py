"""The pages of a study: the long table of its figures as Markdown or LaTeX."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
from tabulate import tabulate

from trainer.study.figures import MEAN
from trainer.study.plan import FROZEN
from trainer.study.summary import TESTED
from trainer.study.tidy import UNTUNED, VALIDATION

Row = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """How one table of the figures is shown.

    Attributes:
        table: of the figures.
        title: with `{}` for the dataset's name where every dataset has its own section.
        note: what the figures are.
        names: header -> column of the figures; together they name a line.
        cells: header -> text, for one figure of a line.
    """

    table: str
    title: str
    note: str
    names: Mapping[str, str]
    cells: Callable[[Row], dict[str, str]]


def _value(row: Row, form: str = ".1f") -> str:
    return format(row["value"], form)


def _spread(row: Row) -> str:
    return _value(row) + ("" if row["deviation"] is None else f" ± {row['deviation']:.1f}")


def _p(row: Row) -> str:
    return "p < 0.001" if row["p"] < 0.001 else f"p = {row['p']:.3f}"


def _claim(row: Row) -> dict[str, str]:
    rival = "" if row["dataset"] == MEAN else f" ({row['method']}, {_p(row)})"
    return {row["dataset"]: _value(row, "+.1f") + rival}


def _method(row: Row) -> dict[str, str]:
    cells = {row["measure"]: _spread(row)}
    if row["measure"] in TESTED:
        cells[f"{row['measure']}, 95%"] = f"{row['low']:.1f} to {row['high']:.1f}"
    return cells


def _lead(row: Row) -> dict[str, str]:
    measure, interval = row["measure"], f"{row['low']:+.1f} to {row['high']:+.1f}"
    return {measure: _value(row, "+.1f"), f"{measure}, 95%": interval, f"{measure}, test": _p(row)}


def _text_tower(row: Row) -> dict[str, str]:
    if row["measure"] in ("learning_rate", "temperature"):
        return {row["measure"]: _value(row, "g")}
    return {row["measure"]: _spread(row)} if row["measure"] in (VALIDATION, *TESTED) else {}


def _term(row: Row) -> dict[str, str]:
    state = UNTUNED if row["text_tower"] == FROZEN else row["text_tower"]
    return {f"{row['measure']}, {state}": _value(row)}


def _beyond(row: Row) -> dict[str, str]:
    if row["measure"] == "share":
        return {"share": _value(row, ".2f")}
    return {row["measure"]: f"{_value(row)} ({row['change']:+.1f})"}


def _cost(row: Row) -> dict[str, str]:
    return {row["measure"]: _value(row, ".2f" if row["measure"].startswith("vision") else ".0f")}


CLAIM = Section(
    "claim",
    "What the hybrid is ahead",
    "Points on the test split, mean over the seeds, with p of the paired test over families. Each method "
    "has the text tower that validation prefers. Each group is represented by the method with the highest "
    "mean on the test split.",
    {"measure": "measure", "ahead of": "variant"},
    _claim,
)
COMBINER_CLAIM = replace(
    CLAIM,
    table="claim of the combiner",
    title="What the combiner is ahead that starts from the hybrid",
    note="As above, of `hybrid_combiner`: a network on the hybrid's query and the same texts, and validation "
    "chooses its share beside that query.",
)
OF_A_DATASET = (
    Section(
        "methods",
        "Every method on `{}`",
        "Mean ± standard deviation over the seeds. Intervals are of 95%, with families drawn with "
        "replacement. Where two text towers were trained, the one is shown that validation prefers.",
        {"method": "method", "text tower": "text_tower", "seeds": "seeds"},
        _method,
    ),
    Section(
        "leads",
        "The hybrid against each method on `{}`",
        "Points that the hybrid is ahead. The 95% interval and p are over families.",
        {"method": "method"},
        _lead,
    ),
    Section(
        "leads of the combiner",
        "The combiner that starts from the hybrid, against each method on `{}`",
        "Points that `hybrid_combiner` is ahead. The 95% interval and p are over families.",
        {"method": "method"},
        _lead,
    ),
)
OF_ALL = (
    Section(
        "kinds",
        "R@1 by kind of modification",
        "Mean over the seeds. Each method has the text tower that validation prefers.",
        {"dataset": "dataset", "method": "method"},
        lambda row: {row["variant"]: _value(row)},
    ),
    Section(
        "text towers",
        "Comparators with a frozen and with a tuned text tower",
        "Learning rate and temperature are of the trial that validation prefers. The validation figure is "
        "of the first seed.",
        {"dataset": "dataset", "method": "method", "text tower": "text_tower"},
        _text_tower,
    ),
    Section(
        "ablations",
        "Ablations",
        "One seed, the hybrid's learning rate. A similarity that is left out takes no part in training, in "
        "the choice of weights or in the query.",
        {"": "variant"},
        lambda row: {f"{row['measure']}, {row['dataset']}": _value(row)},
    ),
    Section(
        "learning",
        "The hybrid by the number of queries that it is tuned on",
        "One seed, the hybrid's learning rate. The queries are drawn at random; gallery, validation and "
        "epochs stay, so with fewer queries there are fewer steps.",
        {"tuned on": "variant"},
        lambda row: {f"{row['measure']}, {row['dataset']}": _value(row)},
    ),
    Section(
        "quality",
        "The hybrid by how right the texts are",
        "One seed, the hybrid's learning rate. Interpretations and pseudo captions are written by rule, and "
        "each fact is left out, or said wrongly, with this probability: of train, validation and test.",
        {"texts": "variant"},
        lambda row: {f"{row['measure']}, {row['dataset']}": _value(row)},
    ),
    Section(
        "terms",
        "Each similarity alone, of the untuned and of the tuned encoder",
        "One seed, the hybrid's encoder. `triplet` has a mixture that is chosen for it alone.",
        {"dataset": "dataset", "similarity": "method"},
        _term,
    ),
    Section(
        "few queries",
        "What few validation queries choose",
        "The hybrid of one seed on the test split, with weights and mixture chosen on so many validation "
        "queries: the mean of five draws of them. Validation has chosen the epoch of the tuned tower before.",
        {"dataset": "dataset", "text tower": "text_tower", "chosen": "variant"},
        lambda row: {row["measure"]: _value(row)},
    ),
    Section(
        "traps",
        "R@1 with each kind of trap taken out of the gallery",
        "One seed. Twins are other images with the target's graph. Other edits are the targets of other "
        "queries with the same reference. The remaining traps are one fact from the target.",
        {"dataset": "dataset", "method": "method"},
        lambda row: {row["variant"]: _value(row)},
    ),
    Section(
        "transfer",
        "Tuned on one dataset, tested on another: mean recall",
        "One seed. Weights and mixture are those of the dataset that it was tuned on. The untuned encoder "
        "has those of the dataset that is tested.",
        {"tuned on": "variant"},
        lambda row: {f"tested on {row['dataset']}": _value(row)},
    ),
    Section(
        "beyond",
        "Beyond the method",
        "One seed. In brackets is the change against the hybrid, in points. The share of an added view is "
        "chosen on validation; with 0 the view is not used. Interpretations of gallery images are more than "
        "a query gives, so no other table uses them.",
        {"dataset": "dataset", "": "variant"},
        _beyond,
    ),
    Section(
        "cost",
        "What fixing the vision side saves",
        "Seconds of one training step on one core, or on the GPU, median of three. With the vision side "
        "fixed, the text tower alone runs. With it trained too, the image tower runs forward and backward on "
        "the references and targets of the batch. That step reads and decodes nothing, and has no negatives "
        "beyond the batch and no cached features.",
        {"dataset": "dataset"},
        _cost,
    ),
)


def to_markdown(figures: pl.DataFrame) -> str:
    """A section for each table, from the figures of `study_figures`."""
    return "\n\n".join(f"## {title}\n\n{note}\n\n{table}" for title, note, table in _tables(figures, "pipe"))


def to_latex(figures: pl.DataFrame) -> str:
    """A booktabs table for each section, after its title and note as a comment."""
    tables = _tables(figures, "latex_booktabs")
    return "\n\n".join(f"% {title.replace('`', '')}. {note}\n{table}" for title, note, table in tables) + "\n"


def _tables(figures: pl.DataFrame, layout: str) -> Iterator[tuple[str, str, str]]:
    """Title, note and table of each section."""
    datasets = figures.filter(table="methods")["dataset"].unique(maintain_order=True)
    shown = [(section, None) for section in (CLAIM, COMBINER_CLAIM)]
    shown += [(section, dataset) for dataset in datasets for section in OF_A_DATASET]
    shown += [(section, None) for section in OF_ALL]
    for section, dataset in shown:
        own = figures.filter(table=section.table)
        own = own if dataset is None else own.filter(dataset=dataset)
        if not own.is_empty():  # validation may have too few queries for a table
            yield section.title.format(dataset), section.note, _table(section, own, layout)


def _table(section: Section, figures: pl.DataFrame, layout: str) -> str:
    """Lines and columns in the order in which the figures first name them; a cell may be empty."""
    lines: dict[Sequence[str], dict[str, str]] = {}
    for row in figures.iter_rows(named=True):
        name = tuple(str(row[column]) for column in section.names.values())
        lines.setdefault(name, {}).update(section.cells(row))
    headers = list(dict.fromkeys(header for cells in lines.values() for header in cells))
    body = [[*name, *(cells.get(header, "") for header in headers)] for name, cells in lines.items()]
    return tabulate(body, [*section.names, *headers], tablefmt=layout, disable_numparse=True)
