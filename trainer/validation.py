"""What is measured and maximised on validation queries."""

from collections.abc import Mapping

from trainer.answers import Answers
from trainer.metrics import retrieval_metrics
from trainer.retrieval import Scores, rank_all


def score_metrics(scores: Scores, answers: Answers) -> dict[str, float]:
    """Retrieval metrics, in percent, of scores alone: no list of images is kept."""
    found = rank_all(scores, answers, top=1)
    return retrieval_metrics(found.rank, found.average_precision)


def objective(metrics: Mapping[str, float]) -> tuple[float, float]:
    """Mean recall, then mAP, without the digits in which equal sums of other order differ."""
    return round(metrics["mean_recall"], 9), round(metrics["mAP"], 9)
