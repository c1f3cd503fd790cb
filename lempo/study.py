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


def run(params: Params, paths: Paths, out: Path = Path("docs"), latex: bool = False) -> None:
    """Write `results.md` and `results.csv` into a folder.

    Args:
        out: relative to the project's root.
        latex: write the tables as `results.tex` too.

    Raises:
        UserError: a table, the features or the model is missing: `dvc repro` makes them.
    """
    from trainer.study.figures import study_figures
    from trainer.study.pages import to_latex, to_markdown
    from trainer.study.run import run_study

    start = time.perf_counter()
    evidence = run_study(params, paths)
    families = {dataset: _families(Expected(params, paths), dataset) for dataset in params.datasets}
    figures = study_figures(evidence, families)
    texts = {
        "results.md": _preface(evidence, families) + "\n\n" + to_markdown(figures) + "\n",
        "results.csv": figures.with_columns(pl.selectors.float().round(6)).write_csv(),
    }
    if latex:
        texts["results.tex"] = to_latex(figures)
    for name, text in texts.items():
        with replacing(paths.root / out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    written = ", ".join(str(paths.root / out / name) for name in texts)
    log.info("study: %s, %.0f s", written, time.perf_counter() - start)


def _families(expected: Expected, dataset: str) -> list[str]:
    """The family of every test query, in the table's order; where there is none, its reference."""
    columns = ["split", "family", "reference_id"]
    file, expect = expected.paths.pairs(dataset), expected.pairs(dataset)
    queries = pl.DataFrame(read_table(file, PAIRS, columns, expect)).filter(split="test")
    return queries["family"].fill_null(queries["reference_id"]).to_list()


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
    return "\n".join(
        [
            "# Results",
            "",
            "Written by `lempo study` after `dvc repro`; every figure below is computed by it. All "
            "figures, one a row and with more digits: `results.csv`; as LaTeX: `lempo study --latex`.",
            "",
            f"- Models: `{params.llm.model}` (language), `{params.vlm.model}` (vision and text). Where these "
            "are the embedded ones, the figures show how the method behaves on the procedural world, and "
            "nothing about photographs.",
            f"- Data: {sizes}.",
            f"- {params.study.seeds} seeds of every trained method. Every trained method gets "
            f"{len(params.study.trials.tune)} trials on validation with the first seed, of learning rate "
            f"and temperature: {tower} to tune the text tower, {network} to train a network (its temperature "
            "is learned from there). The same loop, loss, gallery and early stopping tune every text tower; "
            "for a network it is tuned as the weighted sum of image and text, then the network is trained on "
            "its features, the pairs of a trial standing at the same position of both lists.",
            "- Shares, weights and mixtures are chosen on validation; nothing is chosen on the test split.",
            f"- Pseudo captions a query (`caption.samples`): {params.caption.samples}; all but the first "
            "serve the views of several pseudo captions alone.",
            f"- {len(evidence.results)} jobs, {seconds / 60:.0f} minutes of one core in all. "
            f"torch {version('torch')}, open_clip {version('open_clip_torch')}.",
        ]
    )
