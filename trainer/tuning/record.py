"""What each key of a tuned folder's `lempo.json` means; `stages/tune.py` and `folder.py` write them."""

import pyarrow as pa

from pipeline.base.described import OBJECT, column, described, part
from pipeline.vision.identity import IDENTITY

_TEXT, _NUMBER, _PERCENT = pa.string(), pa.float64(), "percent"
_METRICS = pa.struct(
    [
        part("R@1", _NUMBER, "recall at 1", 84.72222222222221, unit=_PERCENT),
        part("R@5", _NUMBER, "recall at 5", 98.05555555555556, unit=_PERCENT),
        part("R@10", _NUMBER, "recall at 10", 99.16666666666667, unit=_PERCENT),
        part("R@50", _NUMBER, "recall at 50", 100.0, unit=_PERCENT),
        part("mAP", _NUMBER, "mean average precision", 91.0433201058201, unit=_PERCENT),
        part("mean_recall", _NUMBER, "mean of R@1, R@5 and R@10", 93.98148148148148, unit=_PERCENT),
    ]
)
_CHOICE = pa.struct([part(name, OBJECT, f"keys as in `{name}`") for name in ("weights", "mixture")])
RECORD = described(
    "tuned",
    "tune",
    "",
    "What the tuned model is, and what it was made from.",
    column("dataset", _TEXT, "name of the dataset", "airplane"),
    column(
        "weights",
        pa.struct(
            [
                part("triplet", _NUMBER, "of the triplet similarity", 0.45, unit="0 to 1"),
                part("language", _NUMBER, "of the language similarity", 0.023125, unit="0 to 1"),
                part("pseudo_caption", _NUMBER, "of the pseudo caption similarity", 0.526875, unit="0 to 1"),
            ]
        ),
        "weights of the three similarities, of the best epoch; they sum to 1",
    ),
    column(
        "mixture",
        pa.struct(
            [
                part("image", _NUMBER, "of the image", 0.30775, unit="0 to 1"),
                part("text", _NUMBER, "of the modification", 0.01025, unit="0 to 1"),
                part("graph", _NUMBER, "of the interpretation", -0.682, unit="-1 to 1"),
            ]
        ),
        "shares in the triplet query, of the best epoch",
    ),
    column("untuned", _CHOICE, "the choice for the untuned encoder"),
    column("training", _CHOICE, "the choice that the loss used, or started from where it is learned"),
    column("temperature", _NUMBER, "temperature of the loss in the best epoch", 0.004999999888241291),
    column("best_epoch", pa.int64(), "the epoch that was kept; 0: the untuned encoder", 7),
    column(
        "validation",
        pa.struct(
            [
                part("tuned", _METRICS, "of the best epoch"),
                part("untuned", OBJECT, "of the untuned encoder; keys as in `validation.tuned`"),
            ]
        ),
        "metrics on the validation split",
    ),
    column("seed", pa.int64(), "`seed` of `params.yaml`", 0),
    column("tune", OBJECT, "section `tune` of `params.yaml`"),
    column("source", pa.struct(IDENTITY), "the vision language model that was tuned"),
    column(
        "versions",
        pa.struct(
            [
                part("lempo", _TEXT, "of this package", "0.1.0"),
                part("open_clip_torch", _TEXT, "of open_clip", "3.3.0"),
                part("torch", _TEXT, "of PyTorch", "2.13.0+cpu"),
            ]
        ),
        "versions that made it",
    ),
    column(
        "made_from",
        OBJECT,
        "what the model depends on, by name: parameters, the dataset, and hashes of the tables, of the "
        "features, of `source` (`vlm`) and of the texts' tokens",
    ),
    column("content", OBJECT, "file of the folder -> sha256 in hex; of `lempo.json` that of its other keys"),
)
