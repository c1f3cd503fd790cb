"""lempo study

The evidence behind the comparison: several seeds of every trained method, learning rates tried on validation,
ablations, intervals and paired tests. A killed run is continued: the jobs that it finished are not run again.
"""

import logging
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from pipeline.base.expected import Expected
from pipeline.base.files import replacing
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import PAIRS
from pipeline.base.tables import read_table

if TYPE_CHECKING:
    from trainer.study.run import Evidence

log = logging.getLogger(__name__)

_PICTURE = "![R@1 by training queries, by changed facts, and by faults of the texts](results.svg)"
_OTHERS = "The shares of comparators are chosen on validation."
_CHOSEN = {  # by method.choose
    "validation": "Shares, weights and mixtures are chosen on validation.",
    "learned": f"The hybrid's weights and mixture are learned with the text tower. {_OTHERS}",
    "fixed": f"The hybrid's weights and mixture are those of `params.yaml`. {_OTHERS}",
}


def run(params: Params, paths: Paths, out: Path = Path("study"), latex: bool = False) -> None:
    """Write `results.md`, its curves as `results.svg`, and `results.csv` into a folder.

    Args:
        out: relative to the project's root.
        latex: write the tables as `results.tex` too.

    Raises:
        UserError: a table, the features or the model is missing: `dvc repro` makes them.
    """
    from trainer.study.curves import to_svg
    from trainer.study.figures import study_figures
    from trainer.study.pages import to_latex, to_markdown
    from trainer.study.run import run_study

    start = time.perf_counter()
    evidence = run_study(params, paths)
    queries = {dataset: _test_queries(Expected(params, paths), dataset) for dataset in params.datasets}
    families, kinds, facts = (
        {dataset: of[column].to_list() for dataset, of in queries.items()}
        for column in ("family", "kind", "facts")
    )
    figures = study_figures(evidence, families, kinds, facts)
    svg = to_svg(figures)
    parts = [_preface(evidence, families), *([_PICTURE] if svg else []), to_markdown(figures)]
    texts = {
        "results.md": "\n\n".join(parts) + "\n",
        "results.csv": figures.with_columns(pl.selectors.float().round(6)).write_csv(),
    }
    if svg:
        texts["results.svg"] = svg
    if latex:
        texts["results.tex"] = to_latex(figures)
    for name, text in texts.items():
        with replacing(paths.root / out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    written = ", ".join(str(paths.root / out / name) for name in texts)
    log.info("study: %s, %.0f s", written, time.perf_counter() - start)


def _test_queries(expected: Expected, dataset: str) -> pl.DataFrame:
    """Family, kind and number of changed facts of every test query, in the table's order.

    Where there is no family, its reference is one; where the facts are not known, their number is null.
    """
    columns = ["split", "family", "reference_id", "kind", "edits"]
    file, expect = expected.paths.pairs(dataset), expected.pairs(dataset)
    queries = pl.DataFrame(read_table(file, PAIRS, columns, expect)).filter(split="test")
    family, facts = pl.col("family").fill_null(pl.col("reference_id")), pl.col("edits").list.len()
    return queries.select(family, "kind", facts=facts)


def _preface(evidence: "Evidence", families: dict[str, list[str]]) -> str:
    from trainer.study.plan import tried_hyperparameters

    params = evidence.params
    sizes = ", ".join(
        f"`{dataset}` {len(names)} test queries in {len(set(names))} families"
        for dataset, names in families.items()
    )
    seconds = sum(result["seconds"] for result in evidence.results.values())
    tower, network = (
        ", ".join(map(str, tried)) for tried in zip(*tried_hyperparameters(params), strict=True)
    )
    trials = len(params.study.trials.tune)
    return "\n".join(
        [
            "# Results",
            "",
            "`lempo study` writes this page after `dvc repro`. `results.csv` has the same figures, one a row "
            "and with more digits. `lempo study --latex` writes them as LaTeX too.",
            "",
            f"- Models: `{params.llm.model}` (language), `{params.vlm.model}` (vision and text). Figures of "
            "the embedded ones show how the method behaves on drawn worlds, and nothing about photographs.",
            f"- Data: {sizes}.",
            f"- Seeds of every trained method: {params.study.seeds}.",
            f"- Trials of every trained method: {trials}, with the first seed. Validation chooses one.",
            f"- {_CHOSEN[params.method.choose]} Nothing is chosen on the test split.",
            f"- Pseudo captions a query (`caption.samples`): {params.caption.samples}. All but the first "
            "serve the views of several pseudo captions alone.",
            f"- Jobs: {len(evidence.results)}. They took {seconds / 60:.0f} minutes of one core in all.",
            f"- Versions: torch {version('torch')}, open_clip {version('open_clip_torch')}.",
            "",
            "| trials | learning rate and temperature |",
            "|:--|:--|",
            f"| to tune the text tower | {tower} |",
            f"| to train a network, whose temperature is learned from there | {network} |",
            "",
            "One loop tunes every text tower, with the same loss, gallery and early stopping. For a network "
            "the tower is tuned as the weighted sum of the image and the texts that it reads. Then the "
            "network is trained on its features, by the trial at the same place of its list.",
        ]
    )
