"""The columns of a study's figures, as `results.csv` holds them."""

import polars as pl
import pyarrow as pa

from pipeline.base.described import column, described

KEY = ("table", "dataset", "method", "text_tower", "variant", "measure")
_NO_INTERVAL = "there is no interval"
_UNIT = "percent; points in claims and leads; else as `measure` says"
COLUMNS = described(
    "study_figures",
    "study",
    "",
    "Every figure of the study, one a row. The first six columns tell every row apart. A text that does not "
    "apply is empty.",
    column(
        "table",
        pa.string(),
        "the table of the results page that shows it: `claim` (what the hybrid is ahead), `leads` (it "
        "against each method), both again `of the combiner` (that starts from the hybrid), `methods`, `text "
        "towers`, `kinds` (of modification), `facts` (by how many it removes and adds), `ablations`, "
        "`learning` (by number of queries), `learning leads` (of the hybrid there), `quality` (by how right "
        "texts are), `terms` (each similarity alone), `few queries`, `traps`, `transfer`, `beyond` or `cost`",
        "methods",
    ),
    column("dataset", pa.string(), "dataset whose test split it is of; `mean` over all", "airplane"),
    column("method", pa.string(), "name of the method; in claims and leads the other one", "hybrid"),
    column("text_tower", pa.string(), "`frozen` or `tuned`", "tuned"),
    column("variant", pa.string(), "what its table compares", "without twins of the target"),
    column(
        "measure",
        pa.string(),
        "what `value` is: a metric of `metrics/evaluate/`, alone, after `validation` or before a number of "
        "queries; a hyperparameter; `share`, of an added view; or, in `cost`, `queries a step`, `distinct "
        "images`, and seconds of a step as `vision fixed` and `vision trained too`",
        "R@1",
    ),
    column(
        "seeds",
        pa.int64(),
        "number of seeds that `value` is the mean of",
        5,
        null="not in `methods`, `text towers` or `learning`, or of one trial",
    ),
    column(
        "value", pa.float64(), "the figure; in claims and leads what ours is ahead", 80.911111, unit=_UNIT
    ),
    column(
        "deviation",
        pa.float64(),
        "standard deviation over the seeds",
        1.114993,
        unit="points",
        null="`seeds` is null or 1",
    ),
    column(
        "low",
        pa.float64(),
        "lower end of the 95% interval over families",
        77.511111,
        unit="as `value`",
        null=_NO_INTERVAL,
    ),
    column(
        "high",
        pa.float64(),
        "upper end of the same interval",
        83.777778,
        unit="as `value`",
        null=_NO_INTERVAL,
    ),
    column(
        "p",
        pa.float64(),
        "p of the paired test over families, two-sided",
        0.0001,
        unit="0 to 1",
        null="there is no test: not in `claim`, `leads` or `learning leads`, or `dataset` is `mean`",
    ),
    column(
        "change",
        pa.float64(),
        "`value` minus that of the hybrid without this change",
        -1.222222,
        unit="points",
        null="not in `beyond`, or `measure` is `share`",
    ),
)
SCHEMA = pl.DataFrame(COLUMNS.empty_table()).schema
