"""Benchmarks with features made by hand, whose figures can be counted on paper."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from trainer.benchmarks.measure import best_share
from trainer.benchmarks.ranking import (
    METHODS,
    first_images,
    first_of_set,
    method_scores,
    rank_method,
    split_features,
)
from trainer.benchmarks.registry import BENCHMARKS
from trainer.benchmarks.types import BenchmarkQuery, BenchmarkSplit, Category, CategoryFeatures
from trainer.retrieval.gallery import Gallery

NAMES = ("a", "b", "c", "d", "e", "f")


def _query(
    query_id: str, reference: str, target: str | None, members: Sequence[str] = (), right: Sequence[str] = ()
) -> BenchmarkQuery:
    answers = tuple(right) or ((target,) if target else ())
    return BenchmarkQuery(query_id, reference, f"to {target}", target, answers, tuple(members))


def _features(
    queries: list[BenchmarkQuery], removed: bool, angles: dict[str, float], names: Sequence[str] = NAMES
) -> CategoryFeatures:
    """Images on a circle, one every 10 degrees from `a`; texts at the angles given, in degrees."""
    part = Category("all", queries, {name: Path(name) for name in names})
    images = {Path(name): _at(10.0 * place) for place, name in enumerate(names)}
    texts = {text: _at(angle) for text, angle in angles.items()}
    benchmark = BenchmarkSplit("cirr", "val", [part], reference_removed=removed, labelled=True)
    return split_features(benchmark, images, texts, "cpu")[0]


def _at(degrees: float) -> Tensor:
    turned = torch.deg2rad(torch.tensor(degrees))
    return torch.stack([turned.cos(), turned.sin()])


CIRR = [_query("7", "a", "c", members="bcdef"), _query("9", "d", "f", members="ace" + "f")]
TEXTS = {"to c": 29.0, "to f": 29.0}  # nearest: d, then c, e, b, f, a


def test_cirr_by_hand() -> None:
    features = _features(CIRR, True, TEXTS)
    cirr = BENCHMARKS["cirr"].figures
    # the text alone: c is second for the first query; the second query's d is removed: c, e, b, f, a
    by_text = cirr(rank_method("text_only", [features], 0.0))
    assert (by_text["R@1"], by_text["R@5"], by_text["R@50"]) == (0, 100, 100)
    # in the sets: d, c, e, b, f for the first; c, e, f, a for the second
    assert (by_text["R_subset@1"], by_text["R_subset@2"], by_text["R_subset@3"]) == (0, 50, 100)
    assert by_text["mean"] == 50
    # the image alone: b, c, d, ... for the first; c and e tie in the middle of the second, then b and f
    by_image = cirr(rank_method("image_only", [features], 0.0))
    assert (by_image["R@1"], by_image["R_subset@1"], by_image["R_subset@2"]) == (0, 0, 50)


def test_the_reference_is_a_candidate_where_it_is_kept() -> None:
    queries = [_query("1", "a", "b")]
    for removed, expected in ((True, ["b", "c"]), (False, ["a", "b"])):
        features = _features(queries, removed, {"to b": 0.0})
        (ranked,) = rank_method("image_only", [features], 0.0)
        assert first_images(ranked, features.category)["1"][:2] == expected
        assert ranked.rankings.rank.tolist() == [expected.index("b") + 1]


def test_first_images_and_first_of_the_set() -> None:
    unlabelled = [_query("7", "a", None, members="bcd"), _query("9", "d", None, members="aefb")]
    features = _features(unlabelled, True, {"to None": 29.0})
    (ranked,) = rank_method("text_only", [features], 0.0)
    assert first_images(ranked, features.category) == {"7": list("dcebf"), "9": list("cebfa")}
    assert first_of_set(ranked, features) == {"7": list("dcb"), "9": list("ebfa")}


def test_a_set_smaller_than_another_is_ranked_alone() -> None:
    queries = [_query("1", "a", "b", members="bc"), _query("2", "f", "b", members="abcde")]
    features = _features(queries, True, {"to b": 0.0})
    (ranked,) = rank_method("image_only", [features], 0.0)
    assert ranked.set_rankings is not None
    assert ranked.set_rankings.rank.tolist() == [1, 4]
    assert first_of_set(ranked, features) == {"1": list("bc"), "2": list("edcba")}


def test_of_equal_scores_the_first_image_comes_first_but_after_no_wrong_one() -> None:
    features = _features([_query("1", "a", "c", members="dcb")], True, {"to c": 90.0})
    same = CategoryFeatures(
        features.category,
        Gallery.of(torch.ones(len(features.gallery), 2)),
        features.reference,
        features.text,
        features.answers,
        features.members,
    )
    (ranked,) = rank_method("text_only", [same], 0.0)
    assert first_images(ranked, same.category)["1"] == list("bdefc")
    assert ranked.set_rankings is not None and first_of_set(ranked, same)["1"] == list("bdc")


def test_methods_are_their_formulas() -> None:
    features = _features(CIRR, True, TEXTS)
    scores = {method: method_scores(method, features, 0.25)(0, 2) for method in METHODS}
    image, text = features.image, features.text
    torch.testing.assert_close(scores["image_only"], image @ features.gallery[:].T)
    torch.testing.assert_close(scores["text_only"], text @ features.gallery[:].T)
    mixed = normalize(0.75 * image + 0.25 * text, dim=-1)
    torch.testing.assert_close(scores["image_plus_text"], mixed @ features.gallery[:].T)
    assert not torch.equal(scores["weicom"].argsort(1), scores["image_only"].argsort(1))


@pytest.mark.parametrize("method", ["image_plus_text", "weicom"])
def test_the_share_is_the_smallest_of_the_best(method: str) -> None:
    benchmark = BenchmarkSplit("fashioniq", "train", [], reference_removed=False, labelled=True)
    names = [str(number) for number in range(10, 46)]  # all around the circle
    # the target is 60 degrees from the reference, so the image alone finds others first
    far = _features([_query("1", "10", "40")], False, {"to 40": 300.0}, names)
    share = best_share(benchmark, method, [far])
    found = {s: _mean(method, far, s) for s in (0.0, share, 1.0)}
    assert found[share] == max(found.values()) > found[0.0]
    assert _mean(method, far, round(share - 0.05, 2)) < found[share]


def _mean(method: str, features: CategoryFeatures, share: float) -> float:
    return BENCHMARKS["fashioniq"].figures(rank_method(method, [features], share))["mean"]["mean"]
