"""The tables of a study, and how they are written: Markdown, CSV, LaTeX."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass

from tabulate import tabulate

from trainer.methods.registry import COMPARATORS
from trainer.study.jobs import TEST, metrics_of
from trainer.study.plan import ABLATIONS, BEYOND, WITH_PSEUDO_CAPTION, WITHOUT_LANGUAGE_MODEL, Job
from trainer.study.run import Evidence
from trainer.study.summary import MEASURES, TESTED, Standing, leads, standings, strongest
from trainer.study.traps import TRAPS

Cell = str | float | None
METHODS = (*COMPARATORS, "hybrid_untuned", "hybrid")


@dataclass(frozen=True)
class Table:
    """Figures in percent, unless the columns say otherwise; `name` tells it apart in the CSV file."""

    name: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def study_tables(evidence: Evidence, families: Mapping[str, Sequence[str]]) -> list[Table]:
    """Every table of a study.

    Args:
        families: of the test queries of each dataset.
    """
    of = {dataset: standings(evidence, dataset, families[dataset]) for dataset in families}
    tables = [_claim(evidence, of, families)]
    for dataset in of:
        tables += [_methods(dataset, of[dataset]), _leads(evidence, dataset, of[dataset], families[dataset])]
    tables += [_towers(of), _ablations(evidence), _terms(evidence), _traps(evidence, of)]
    tables += [_transfer(evidence), _beyond(evidence), _cost(evidence)]
    return tables


def _claim(
    evidence: Evidence,
    of: Mapping[str, Mapping[str, list[Standing]]],
    families: Mapping[str, Sequence[str]],
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    groups: tuple[tuple[str, Callable[[str, str], str]], ...] = (
        ("best without LLM text", lambda d, m: strongest(of[d], WITHOUT_LANGUAGE_MODEL, m)),
        ("best with the same LLM text", lambda d, m: strongest(of[d], WITH_PSEUDO_CAPTION, m)),
        ("hybrid, untuned", lambda d, m: "hybrid_untuned"),
    )
    for measure in TESTED:
        ahead = {dataset: leads(evidence, of[dataset], families[dataset], measure) for dataset in of}
        for name, pick in groups:
            found = [ahead[dataset][pick(dataset, measure)] for dataset in of]
            mean = sum(lead.difference for lead in found) / len(found)
            each = [f"{lead.difference:+.1f} ({lead.over}, {_p(lead.p)})" for lead in found]
            rows.append((measure, name, f"{mean:+.1f}", *each))
    return Table(
        "claim",
        "What the hybrid is ahead",
        "Points on the test split, mean over the seeds; p of the paired test over families. "
        "The rival is the one with the highest mean on the test split itself, of each method the text tower "
        "that validation prefers.",
        ("measure", "ahead of", "mean", *of),
        tuple(rows),
    )


def _methods(dataset: str, of: Mapping[str, list[Standing]]) -> Table:
    rows = []
    for method in METHODS:
        best = of[method][0]
        cells = [_spread(best.mean[measure], best.deviation[measure]) for measure in MEASURES]
        low, high = best.interval["R@1"]
        lowest, highest = best.interval["mean_recall"]
        seeds = str(len(best.jobs))
        rows.append(
            (method, best.text, seeds, *cells, f"{low:.1f} to {high:.1f}", f"{lowest:.1f} to {highest:.1f}")
        )
    return Table(
        f"methods, {dataset}",
        f"Every method on `{dataset}`",
        "Mean ± standard deviation over the seeds. Intervals: 95%, families drawn with replacement. Text "
        "tower: where both were trained, the one that validation prefers.",
        ("method", "text tower", "seeds", *MEASURES, "R@1, 95%", "mean_recall, 95%"),
        tuple(rows),
    )


def _leads(
    evidence: Evidence, dataset: str, of: Mapping[str, list[Standing]], families: Sequence[str]
) -> Table:
    rows = []
    by_measure = {measure: leads(evidence, of, families, measure) for measure in TESTED}
    for method in (*COMPARATORS, "hybrid_untuned"):
        cells: list[Cell] = [method]
        for measure in by_measure:
            lead = by_measure[measure][method]
            low, high = lead.interval
            cells += [f"{lead.difference:+.1f}", f"{low:+.1f} to {high:+.1f}", _p(lead.p)]
        rows.append(tuple(cells))
    return Table(
        f"leads, {dataset}",
        f"The hybrid against each method on `{dataset}`",
        "Points that the hybrid is ahead, 95% interval and p, both over families.",
        ("method", "R@1", "95%", "test", "mean_recall", "95% ", "test "),
        tuple(rows),
    )


def _towers(of: Mapping[str, Mapping[str, list[Standing]]]) -> Table:
    rows = []
    for dataset, methods in of.items():
        for method in METHODS:
            for one in methods[method]:
                if len(methods[method]) > 1:
                    test = _spread(one.mean["mean_recall"], one.deviation["mean_recall"])
                    first = _spread(one.mean["R@1"], one.deviation["R@1"])
                    job = one.jobs[0]
                    trial = tuple(f"{value:g}" for value in astuple(job.setting)) if job.setting else ("", "")
                    rows.append((dataset, method, one.text, *trial, f"{one.validation:.1f}", first, test))
    return Table(
        "text towers",
        "Comparators with a frozen and with a tuned text tower",
        "Learning rate and temperature are those of the trial that validation prefers. Validation: mean "
        "recall, seed one.",
        ("dataset", "method", "text tower", "rate", "temperature", "validation", "R@1", "mean_recall"),
        tuple(rows),
    )


def _test(evidence: Evidence, job: Job, measure: str, view: str = TEST) -> float:
    return metrics_of(evidence.results[job]["views"][view])[measure]


def _hybrids(evidence: Evidence) -> dict[str, Job]:
    return {job.dataset: job for job in evidence.best if job.method == "hybrid"}


def _untuned(evidence: Evidence) -> dict[str, Job]:
    return {job.dataset: job for job in evidence.results if job.method == "hybrid_untuned"}


def _ablations(evidence: Evidence) -> Table:
    hybrids = _hybrids(evidence)
    variants = {"hybrid": hybrids, "untuned": _untuned(evidence)}
    variants |= {name: {of: evidence.named[name, of] for of in hybrids} for name in ABLATIONS}
    rows = []
    for name, jobs in variants.items():
        row: list[Cell] = [name]
        for measure in TESTED:
            reached = [_test(evidence, jobs[dataset], measure) for dataset in hybrids]
            row += [*reached, sum(reached) / len(reached)]
        rows.append(tuple(row))
    return Table(
        "ablations",
        "Ablations",
        "One seed, the hybrid's learning rate. A term that is left out takes no part in training, in the "
        "choice of weights or in the query.",
        ("", *(f"{measure}, {of}" for measure in TESTED for of in (*hybrids, "mean"))),
        tuple(rows),
    )


def _terms(evidence: Evidence) -> Table:
    rows = []
    for dataset, details in evidence.details.items():
        for name in details["terms"]["tuned"]:
            before, after = (details["terms"][state][name] for state in ("untuned", "tuned"))
            rows.append(
                (dataset, name, before["R@1"], after["R@1"], before["mean_recall"], after["mean_recall"])
            )
    return Table(
        "terms",
        "Each similarity alone, of the untuned and of the tuned encoder",
        "One seed. The encoder is the hybrid's; the mixture of the triplet is chosen for it alone.",
        ("dataset", "similarity", "R@1, untuned", "R@1, tuned", "mean_recall, untuned", "mean_recall, tuned"),
        tuple(rows),
    )


def _traps(evidence: Evidence, of: Mapping[str, Mapping[str, list[Standing]]]) -> Table:
    rows = []
    for dataset, methods in of.items():
        for method in ("image_plus_text", "image_plus_pseudo_caption", "hybrid_untuned", "hybrid"):
            job = methods[method][0].jobs[0]
            views = (TEST, *(f"without {trap}" for trap in TRAPS))
            rows.append((dataset, method, *(_test(evidence, job, "R@1", view) for view in views)))
    return Table(
        "traps",
        "R@1 with each kind of trap taken out of the gallery",
        "One seed. Twins have the target's graph at another place; other edits are what other queries make "
        "of the same reference; the rest is one fact from the target.",
        ("dataset", "method", "whole gallery", *(f"without {trap}" for trap in TRAPS)),
        tuple(rows),
    )


def _transfer(evidence: Evidence) -> Table:
    datasets = list(evidence.details)
    untuned = _untuned(evidence)
    rows: list[tuple[Cell, ...]] = [
        ("untuned", *(_test(evidence, untuned[dataset], "mean_recall") for dataset in datasets))
    ]
    rows += [
        (dataset, *(details["transfer"][other]["mean_recall"] for other in datasets))
        for dataset, details in evidence.details.items()
    ]
    return Table(
        "transfer",
        "Tuned on one dataset, tested on another: mean recall",
        "One seed; weights and mixture are those of the dataset it was tuned on; untuned: of the one tested.",
        ("tuned on", *(f"tested on {dataset}" for dataset in datasets)),
        tuple(rows),
    )


def _beyond(evidence: Evidence) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for dataset, hybrid in _hybrids(evidence).items():
        before = evidence.results[hybrid]["validation"]["mean_recall"]
        for name in BEYOND:
            job = evidence.named[name, dataset]
            validation = evidence.results[job]["validation"]["mean_recall"]
            rows.append(
                _gain(
                    dataset,
                    name,
                    "",
                    (before, validation),
                    tuple(_test(evidence, one, "mean_recall") for one in (hybrid, job)),
                    tuple(_test(evidence, one, "R@1") for one in (hybrid, job)),
                )
            )
        for name, found in evidence.details[dataset]["views"].items():
            rows.append(
                _gain(
                    dataset,
                    name,
                    f"{found['share']:.2f}",
                    tuple(found[key]["mean_recall"] for key in ("validation_without", "validation")),
                    tuple(found[key]["mean_recall"] for key in ("test_without", "test")),
                    tuple(found[key]["R@1"] for key in ("test_without", "test")),
                )
            )
    return Table(
        "beyond",
        "Beyond the method",
        "One seed; change against the hybrid in points. Share: of the added view, chosen on validation (0: "
        "validation leaves the hybrid as it is). The interpretations of gallery images are more than a query "
        "gives: they stand apart from every other table.",
        ("dataset", "", "share", "mean_recall, validation", "mean_recall, test", "R@1, test"),
        tuple(rows),
    )


def _gain(dataset: str, name: str, share: str, *pairs: tuple[float, ...]) -> tuple[Cell, ...]:
    return (dataset, name, share, *(f"{after:.1f} ({after - before:+.1f})" for before, after in pairs))


def _cost(evidence: Evidence) -> Table:
    rows = [
        (
            dataset,
            f"{cost['queries']:.0f}",
            f"{cost['images']:.0f}",
            f"{cost['fixed']:.2f}",
            f"{cost['trained']:.2f}",
        )
        for dataset, cost in evidence.cost.items()
    ]
    return Table(
        "cost",
        "What fixing the vision side saves",
        "Seconds of one training step on one core, median of three: the text tower alone, and with the "
        "image tower run forward and backward on the references and targets of the batch, without reading "
        "or decoding. No negatives beyond the batch and no cached features then.",
        ("dataset", "queries a step", "distinct images", "vision fixed", "vision trained too"),
        tuple(rows),
    )


def _spread(mean: float, deviation: float | None) -> str:
    return f"{mean:.1f}" if deviation is None else f"{mean:.1f} ± {deviation:.1f}"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def to_markdown(tables: Sequence[Table]) -> str:
    """A section a table."""
    return "\n\n".join(
        f"## {table.title}\n\n{table.note}\n\n"
        + tabulate(_texts(table), table.columns, tablefmt="pipe", disable_numparse=True)
        for table in tables
    )


def to_latex(tables: Sequence[Table]) -> str:
    """A booktabs table each, its title and note before it as a comment."""
    parts = []
    for table in tables:
        body = tabulate(_texts(table), table.columns, tablefmt="latex_booktabs", disable_numparse=True)
        parts.append(f"% {table.title.replace('`', '')}. {table.note}\n{body}")
    return "\n\n".join(parts) + "\n"


def to_csv(tables: Sequence[Table]) -> str:
    """One line a cell: table, row (the leading cells that name it), column, value."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("table", "row", "column", "value"))
    for table in tables:
        for number, row in enumerate(_texts(table), start=1):
            for column, cell in zip(table.columns, row, strict=True):
                writer.writerow((table.name, number, column.strip(), cell))
    return file.getvalue()


def _texts(table: Table) -> list[list[str]]:
    return [[f"{cell:.1f}" if isinstance(cell, float) else cell or "" for cell in row] for row in table.rows]
