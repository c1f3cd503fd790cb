"""What the evaluation servers of CIRR and CIRCO take where the labels of a split are not public."""

from collections.abc import Mapping, Sequence
from typing import Any

CIRR_FIRST = 50  # images a query, of the gallery
CIRR_FIRST_OF_SET = 3  # images a query, of its own set
CIRCO_FIRST = 50


def cirr_submissions(
    first: Mapping[str, Sequence[str]], first_of_set: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """The two files of CIRR's server, by the metric that each is for.

    Args:
        first: ids of the best images for every pairid, best first.
        first_of_set: the same among the members of the query's set.
    """
    return {
        metric: {
            "version": "rc2",
            "metric": metric,
            **{name: list(ids[:count]) for name, ids in best.items()},
        }
        for metric, best, count in (
            ("recall", first, CIRR_FIRST),
            ("recall_subset", first_of_set, CIRR_FIRST_OF_SET),
        )
    }


def circo_submissions(first: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """The file of CIRCO's server: the first images for every query, as numbers."""
    return {"test": {name: [int(image) for image in ids[:CIRCO_FIRST]] for name, ids in first.items()}}
