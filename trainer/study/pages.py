"""The pages of a study: the long table of its figures as Markdown or LaTeX."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
from tabulate import tabulate

from trainer.study.figures import MEAN
from trainer.study.plan import FROZEN
from trainer.study.summary import TESTED
from trainer.study.tidy import UNTUNED, VALIDATION


@dataclass(frozen=True)
class Section:
    """How one table of the figures is shown.

    Attributes:
        table: of the figures.
        title: with `{}` for the dataset's name where every dataset has its own section.
        note: what the figures are.
        names: header -> column of the figures; together they name a line.
        cells: header and text of each cell that a figure fills; none where the text is null.
    """

    table: str
    title: str
    note: str
    names: Mapping[str, str]
    cells: Sequence[tuple[pl.Expr, pl.Expr]]


def _number(column: str = "value", form: str = ".1f") -> pl.Expr:
    """As Python prints it, since polars has no such format; null stays null."""
    return pl.col(column).map_elements(f"{{:{form}}}".format, return_dtype=pl.String)


def _interval(form: str) -> pl.Expr:
    return pl.format("{} to {}", _number("low", form), _number("high", form))


_DATASET, _MEASURE, _VARIANT, _P = map(pl.col, ("dataset", "measure", "variant", "p"))
_TEST = pl.when(_P < 0.001).then(pl.lit("p < 0.001")).otherwise(pl.format("p = {}", _number("p", ".3f")))
_RIVAL = pl.when(_DATASET != MEAN).then(pl.format(" ({}, {})", "method", _TEST))
_SPREAD = pl.concat_str(_number(), pl.format(" ± {}", _number("deviation")), ignore_nulls=True)
_OF_DATASET = pl.format("{}, {}", _MEASURE, _DATASET)
_MEASURE_OF_DATASET = [(_OF_DATASET, _number())]
_METHOD = [
    (_MEASURE, _SPREAD),
    (pl.format("{}, 95%", _MEASURE), pl.when(_MEASURE.is_in(TESTED)).then(_interval(".1f"))),
]
_LEAD = [
    (_MEASURE, _number(form="+.1f")),
    (pl.format("{}, 95%", _MEASURE), _interval("+.1f")),
    (pl.format("{}, test", _MEASURE), _TEST),
]
_TRIAL = pl.when(_MEASURE.is_in(["learning_rate", "temperature"])).then(_number(form="g"))
_TEXT_TOWER = _TRIAL.when(_MEASURE.is_in([VALIDATION, *TESTED])).then(_SPREAD)
_CHANGED = pl.format("{} ({})", _number(), _number("change", "+.1f"))
_BEYOND = pl.when(_MEASURE == "share").then(_number(form=".2f")).otherwise(_CHANGED)
_COST = pl.when(_MEASURE.str.starts_with("vision")).then(_number(form=".2f")).otherwise(_number(form=".0f"))


CLAIM = Section(
    "claim",
    "What the hybrid is ahead",
    "Points on the test split, mean over the seeds, with p of the paired test over families. Each method "
    "has the text tower that validation prefers. Each group is represented by the method with the highest "
    "mean on the test split.",
    {"measure": "measure", "ahead of": "variant"},
    [(_DATASET, pl.concat_str(_number(form="+.1f"), _RIVAL, ignore_nulls=True))],
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
        _METHOD,
    ),
    Section(
        "leads",
        "The hybrid against each method on `{}`",
        "Points that the hybrid is ahead. The 95% interval and p are over families.",
        {"method": "method"},
        _LEAD,
    ),
    Section(
        "leads of the combiner",
        "The combiner that starts from the hybrid, against each method on `{}`",
        "Points that `hybrid_combiner` is ahead. The 95% interval and p are over families.",
        {"method": "method"},
        _LEAD,
    ),
)
OF_ALL = (
    Section(
        "kinds",
        "R@1 by kind of modification",
        "Mean over the seeds. Each method has the text tower that validation prefers.",
        {"dataset": "dataset", "method": "method"},
        [(_VARIANT, _number())],
    ),
    Section(
        "facts",
        "R@1 by the number of facts that a modification removes and adds",
        "As above.",
        {"dataset": "dataset", "method": "method"},
        [(_VARIANT, _number())],
    ),
    Section(
        "text towers",
        "Comparators with a frozen and with a tuned text tower",
        "Learning rate and temperature are of the trial that validation prefers. The validation figure is "
        "of the first seed.",
        {"dataset": "dataset", "method": "method", "text tower": "text_tower"},
        [(_MEASURE, _TEXT_TOWER)],
    ),
    Section(
        "ablations",
        "Ablations",
        "One seed, the hybrid's learning rate. A similarity that is left out takes no part in training, in "
        "the choice of weights or in the query.",
        {"": "variant"},
        _MEASURE_OF_DATASET,
    ),
    Section(
        "learning",
        "By the number of training queries",
        "Mean ± standard deviation over the seeds. Text tower, learning rate and temperature are those that "
        "validation prefers with all queries. Each seed draws other queries; gallery, validation and epochs "
        "stay, so with fewer queries there are fewer steps.",
        {"method": "method", "trained on": "variant"},
        [(_OF_DATASET, _SPREAD)],
    ),
    Section(
        "learning leads",
        "The hybrid against others by the number of training queries",
        "Points that the hybrid is ahead, with p of the paired test over families. Both learn from as many "
        "queries.",
        {"method": "method", "trained on": "variant"},
        [(_OF_DATASET, pl.format("{} ({})", _number(form="+.1f"), _TEST))],
    ),
    Section(
        "quality",
        "The hybrid by how right the texts are",
        "One seed, the hybrid's learning rate. Interpretations and pseudo captions are written by rule, and "
        "each fact is left out, or said wrongly, with this probability: of train, validation and test.",
        {"texts": "variant"},
        _MEASURE_OF_DATASET,
    ),
    Section(
        "terms",
        "Each similarity alone, of the untuned and of the tuned encoder",
        "One seed, the hybrid's encoder. `triplet` has a mixture that is chosen for it alone.",
        {"dataset": "dataset", "similarity": "method"},
        [(pl.format("{}, {}", _MEASURE, pl.col("text_tower").replace(FROZEN, UNTUNED)), _number())],
    ),
    Section(
        "few queries",
        "What few validation queries choose",
        "The hybrid of one seed on the test split, with weights and mixture chosen on so many validation "
        "queries: the mean of five draws of them. Validation has chosen the epoch of the tuned tower before.",
        {"dataset": "dataset", "text tower": "text_tower", "chosen": "variant"},
        [(_MEASURE, _number())],
    ),
    Section(
        "traps",
        "R@1 with each kind of trap taken out of the gallery",
        "One seed. Twins are other images with the target's graph. Other edits are the targets of other "
        "queries with the same reference. The remaining traps are one fact from the target.",
        {"dataset": "dataset", "method": "method"},
        [(_VARIANT, _number())],
    ),
    Section(
        "transfer",
        "Tuned on one dataset, tested on another: mean recall",
        "One seed. Weights and mixture are those of the dataset that it was tuned on. The untuned encoder "
        "has those of the dataset that is tested.",
        {"tuned on": "variant"},
        [(pl.format("tested on {}", _DATASET), _number())],
    ),
    Section(
        "beyond",
        "Beyond the method",
        "One seed. In brackets is the change against the hybrid, in points. The share of an added view is "
        "chosen on validation; with 0 the view is not used. Interpretations of gallery images are more than "
        "a query gives, so no other table uses them.",
        {"dataset": "dataset", "": "variant"},
        [(_MEASURE, _BEYOND)],
    ),
    Section(
        "cost",
        "What fixing the vision side saves",
        "Seconds of one training step on one core, or on the GPU, median of three. With the vision side "
        "fixed, the text tower alone runs. With it trained too, the image tower runs forward and backward on "
        "the references and targets of the batch. That step reads and decodes nothing, and has no negatives "
        "beyond the batch and no cached features. Where it would keep more than 4 GiB for the backward pass, "
        "both steps have fewer queries than `tune.batch_size`.",
        {"dataset": "dataset"},
        [(_MEASURE, _COST)],
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
    names = {f"name {header}": pl.col(column).cast(pl.String) for header, column in section.names.items()}
    cells = pl.concat_list(pl.struct(header=header, text=text) for header, text in section.cells)
    filled = figures.select(**names, cell=cells).explode("cell").unnest("cell").drop_nulls("text")
    wide = filled.pivot("header", index=list(names), values="text", aggregate_function="last").fill_null("")
    headers = [*section.names, *wide.columns[len(names) :]]
    return tabulate(wide.rows(), headers, tablefmt=layout, disable_numparse=True)
