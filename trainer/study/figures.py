"""All figures of a study as one long table, from which every page is made."""

from collections.abc import Mapping, Sequence

import polars as pl

from trainer.methods import registry
from trainer.methods.registry import Family
from trainer.study.columns import KEY, SCHEMA
from trainer.study.plan import ABLATIONS, BEYOND, FROZEN, QUALITY, TUNED, studied
from trainer.study.run import Evidence
from trainer.study.summary import (
    PREFERRED,
    TESTED,
    by_training_queries,
    compare,
    leads,
    leads_by_training_queries,
)
from trainer.study.tidy import UNTUNED, VALIDATION, WHOLE_GALLERY, in_order, tidy
from trainer.study.traps import TRAPS

CLAIMS = {
    Family.NO_LANGUAGE_MODEL: "best without LLM text",
    Family.SCENE_GRAPH: "best with the graph itself",
    Family.SAME_TEXTS: "best with the same LLM text",
}
LEADS = {"hybrid": "", "hybrid_combiner": " of the combiner"}  # how the tables of what ours is ahead end
MEAN = "mean"
MANY = 4  # facts; queries that change as many or more are one group
AS_WRITTEN = "as the language model wrote them"
COST = {  # key of the results -> measure; seconds, but for the counts
    "queries": "queries a step",
    "images": "distinct images",
    "fixed": "vision fixed",
    "trained": "vision trained too",
}
TOWER = ["dataset", "method", "text_tower"]


def study_figures(
    evidence: Evidence,
    families: Mapping[str, Sequence[str]],
    kinds: Mapping[str, Sequence[str]],
    facts: Mapping[str, Sequence[int | None]],
) -> pl.DataFrame:
    """One row for each figure, in percent on the test split unless its measure says otherwise.

    Args:
        families, kinds: of the test queries of each dataset.
        facts: how many each of them removes and adds; None where that is not known.

    Returns:
        The columns of `SCHEMA`. Those of `KEY` are never null and tell every row apart; `dataset` may be
        `mean`, over all; `variant` is what the row's table compares; `change`: against the hybrid, in points.
    """
    curves = by_training_queries(evidence, families)
    compared, found, datasets = compare(evidence, families), tidy(evidence), list(families)
    # there are other methods too, which no table of the hybrid asks for
    hybrids = found.filter(view=WHOLE_GALLERY).drop("method", "text_tower")
    hybrids = hybrids.with_columns(pl.col("variant").replace("hybrid_untuned", UNTUNED))
    tables = {
        "ablations": _ablations(hybrids, datasets),
        "kinds": _by_query(compared, kinds),
        "facts": _by_query(compared, {dataset: list(map(_counted, of)) for dataset, of in facts.items()}),
        "learning": curves,
        "learning leads": leads_by_training_queries(curves, families),
        "quality": _quality(hybrids, datasets),
        "terms": _of_encoders(found, "terms", datasets).filter(pl.col("measure").is_in(TESTED)),
        "few queries": _of_encoders(found, "few queries", datasets),
        "traps": _traps(found, compared),
        "transfer": _transfer(hybrids, found, datasets),
        "beyond": _beyond(hybrids, datasets),
        "cost": _cost(found, datasets),
    }
    frames = [pl.DataFrame(schema=SCHEMA), lead_rows(compared, families), _methods(compared)]
    figures = pl.concat([*frames, _tables(*tables.items())], how="diagonal_relaxed").select(SCHEMA.names())
    return figures.cast(SCHEMA).with_columns(pl.col(KEY).fill_null(""))


def _tables(*named: tuple[str, pl.DataFrame]) -> pl.DataFrame:
    """The rows of several tables, one table after the other."""
    frames = [frame.with_columns(table=pl.lit(table)) for table, frame in named]
    return pl.concat(frames, how="diagonal_relaxed")


def _with_mean(rows: pl.DataFrame, *names: str) -> pl.DataFrame:
    """The rows, and below them their means over the datasets."""
    mean = rows.group_by(names, maintain_order=True).agg(pl.mean("value"), dataset=pl.lit(MEAN))
    return pl.concat([rows, mean], how="diagonal")


def lead_rows(compared: pl.DataFrame, families: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """The lead of ours over each method and, as a claim, over the strongest method of each family.

    That is the one with the highest mean on the test split: the hardest one to be ahead of.
    """
    rivals = {
        label: [method.name for method, _ in registry.comparators() if method.family is family]
        for family, label in CLAIMS.items()
    }
    rivals["hybrid, untuned"] = ["hybrid_untuned"]
    ahead = leads(compared, families, list(LEADS))
    claims = pl.DataFrame(list(rivals.items()), ["variant", "method"], orient="row").explode("method")
    claims = claims.join(ahead, on="method", maintain_order="left_right")
    claims = claims.sort("mean", descending=True, maintain_order=True)
    hardest = claims.unique(["ours", "measure", "variant", "dataset"], keep="first", maintain_order=True)
    claims = _with_mean(hardest, "ours", "measure", "variant")
    claims = in_order(claims, variant=rivals, dataset=[MEAN, *families])
    rows = in_order(_tables(("leads", ahead), ("claim", claims)), ours=LEADS, measure=TESTED)
    return rows.with_columns(pl.col("table") + pl.col("ours").replace_strict(LEADS))


def _methods(compared: pl.DataFrame) -> pl.DataFrame:
    """Every measure of every method, and as `text towers` of both towers where there are two."""
    rows = compared.with_row_index("place")
    both = rows.filter(pl.col("text_tower").n_unique().over("dataset", "method") > 1)
    chosen = ["learning_rate", "temperature", VALIDATION]
    towers = both.unique(TOWER, keep="first", maintain_order=True).select("place", *TOWER, *chosen)
    trials = towers.unpivot(chosen, index=["place", *TOWER], variable_name="measure").drop_nulls("value")
    tables = _tables(("text towers", trials), ("methods", rows.filter(PREFERRED)), ("text towers", both))
    return tables.sort("place", maintain_order=True)


def _ablations(hybrids: pl.DataFrame, datasets: Sequence[str]) -> pl.DataFrame:
    """The hybrid, untuned, and with one thing changed at a time; one seed."""
    rows, variants = _with_mean(hybrids, "variant", "measure"), ["hybrid", UNTUNED, *ABLATIONS]
    return in_order(rows, variant=variants, measure=TESTED, dataset=[*datasets, MEAN])


def _counted(facts: int | None) -> str | None:
    if facts is None:
        return None
    return f"{MANY} or more" if facts >= MANY else str(facts)


def _by_query(compared: pl.DataFrame, of: Mapping[str, Sequence[str | None]]) -> pl.DataFrame:
    """R@1 of every method by what is known `of` each query, mean over the seeds."""
    names = ["dataset", "method", "measure"]
    groups = pl.DataFrame(
        list(of.items()), {"dataset": pl.String, "variant": pl.List(pl.String)}, orient="row"
    )
    recall = compared.filter(PREFERRED, measure="R@1").select(*names, value="queries")
    recall = recall.join(groups, on="dataset").explode("value", "variant").drop_nulls("variant")
    recall = recall.group_by(*names, "variant", maintain_order=True).agg(pl.mean("value")).sort("variant")
    return in_order(recall, dataset=of, method=studied())


def _quality(hybrids: pl.DataFrame, datasets: Sequence[str]) -> pl.DataFrame:
    """The hybrid, with texts whose facts are left out or wrong; one seed."""
    rows = in_order(hybrids, dataset=datasets, variant=["hybrid", *QUALITY], measure=TESTED)
    rows = rows.filter(pl.col("variant").is_in(QUALITY).any().over("dataset"))
    return rows.with_columns(pl.col("variant").replace("hybrid", AS_WRITTEN))


def _of_encoders(found: pl.DataFrame, view: str, datasets: Sequence[str]) -> pl.DataFrame:
    """What was measured of the untuned (frozen) and of the tuned text tower; one seed."""
    return in_order(found, view=[view], dataset=datasets, text_tower=[FROZEN, TUNED])


def _traps(found: pl.DataFrame, compared: pl.DataFrame) -> pl.DataFrame:
    """R@1 with each kind of trap taken out of the gallery; one seed."""
    rows = found.filter(pl.col("variant") == pl.col("method"))
    rows = rows.join(compared.filter(PREFERRED), on=TOWER, how="semi").drop("text_tower", "variant")
    methods = [method.name for method in registry.METHODS if method.plotted]
    views = [WHOLE_GALLERY, *(f"without {trap}" for trap in TRAPS)]
    datasets = compared["dataset"].unique(maintain_order=True)
    rows = in_order(rows, dataset=datasets, method=methods, view=views, measure=["R@1"])
    return rows.rename({"view": "variant"})


def _transfer(hybrids: pl.DataFrame, found: pl.DataFrame, datasets: Sequence[str]) -> pl.DataFrame:
    """The hybrid tuned on the dataset `variant`, tested on `dataset`; one seed."""
    rows = pl.concat([hybrids.filter(variant=UNTUNED), found.filter(view="transfer")], how="diagonal")
    return in_order(rows, variant=[UNTUNED, *datasets], measure=["mean_recall"])


def _beyond(hybrids: pl.DataFrame, datasets: Sequence[str]) -> pl.DataFrame:
    """What goes beyond the method: the hybrid trained in other ways, or with a further view; one seed."""
    views = hybrids.filter(measure="share")["variant"].unique(maintain_order=True)
    against = dict.fromkeys(BEYOND, "hybrid") | {view: f"without {view}" for view in views}
    rows = hybrids.with_columns(against=pl.col("variant").replace(against), last=pl.col("measure") == "share")
    before = hybrids.select("dataset", "measure", against="variant", change="value")
    rows = rows.join(before, on=["dataset", "measure", "against"], how="left")
    rows = rows.with_columns(change=pl.col("value") - pl.col("change"))
    measures = [VALIDATION, *TESTED, "share"]
    return in_order(rows, dataset=datasets, last=[False, True], variant=against, measure=measures)


def _cost(found: pl.DataFrame, datasets: Sequence[str]) -> pl.DataFrame:
    """Of a step of training, with the vision tower fixed and trained."""
    rows = in_order(found, view=["cost"], dataset=datasets, measure=COST)
    return rows.with_columns(pl.col("measure").replace(COST))
