import pytest
import torch

from tests.trainer.cases import random_answers, random_features, random_unit
from trainer.retrieval import weights
from trainer.retrieval.answers import make_answers
from trainer.retrieval.metrics import mean_recall
from trainer.retrieval.ranking import dot_scores, rank_all
from trainer.retrieval.similarity import TERMS, QueryFeatures
from trainer.retrieval.weights import (
    Choice,
    candidate_ranks,
    choose,
    evaluate_choice,
    floored,
    mean_average_precision,
    mixture_grid,
    right_ranks,
    search,
    simplex_grid,
)


def test_grid_covers_the_simplex() -> None:
    grid = simplex_grid(20)
    assert len(grid) == len(set(grid)) == 231
    assert all(min(point) >= 0 and sum(point) == pytest.approx(1) for point in grid)
    assert {(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)} <= set(grid)


def test_mixtures_have_the_graph_for_or_against() -> None:
    grid = mixture_grid(10)
    assert len(grid) == len(set(grid)) == 66 + 55
    assert set(simplex_grid(10)) == {point for point in grid if point[2] >= 0}
    assert all(min(a, b) >= 0 and a + b + abs(d) == pytest.approx(1) for a, b, d in grid)


@pytest.mark.parametrize("most_right", [1, 5])
def test_ranks_of_candidates_are_those_of_ranking_each(
    most_right: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, gallery = random_features(12, 8, 1), random_unit(30, 8, 2)
    answers = random_answers(12, 30, 3, most_right)
    candidates = [Choice(w, m) for w in simplex_grid(2) for m in mixture_grid(2)]
    whole = candidate_ranks(features, gallery, answers, candidates)
    of_all = right_ranks(features, gallery, answers, candidates, answers.right.shape[1])
    precision = mean_average_precision(of_all, answers)
    for choice, ranks, own in zip(candidates, whole, precision.tolist(), strict=True):
        query = choice.queries(features)
        assert torch.equal(ranks, rank_all(dot_scores(query, gallery), answers).rank)
        assert own == evaluate_choice(features, gallery, answers, choice)["mAP"]
    monkeypatch.setattr(weights, "_CHUNK_SCORES", 600)  # a few queries and a few candidates at a time
    assert torch.equal(candidate_ranks(features, gallery, answers, candidates), whole)
    of_all = right_ranks(features, gallery, answers, candidates, answers.right.shape[1])
    assert torch.equal(mean_average_precision(of_all, answers), precision)


def _only(part: str, seed: int = 5) -> tuple[QueryFeatures, torch.Tensor]:
    """Features of which one part alone points at the target, and the gallery."""
    gallery = random_unit(40, 16, seed)
    random = random_features(40, 16, seed + 1)
    return QueryFeatures(**{**vars(random), part: gallery.clone()}), gallery


@pytest.mark.parametrize(
    ("part", "place"),
    [("language", ("weights", 1)), ("pseudo_caption", ("weights", 2)), ("text", ("mixture", 1))],
)
def test_search_finds_the_part_that_knows(part: str, place: tuple[str, int]) -> None:
    features, gallery = _only(part)
    answers = make_answers(list(range(40)), [[q] for q in range(40)], [-1] * 40, 40)
    choice = search(features, gallery, answers)
    assert evaluate_choice(features, gallery, answers, choice)["R@1"] == 100
    shares = getattr(choice, place[0])
    assert shares[place[1]] == max(shares)


def test_search_takes_the_reference_out_of_its_image() -> None:
    """The image is the reference's content and the target; the graph's text is that content."""
    gallery, content = random_unit(40, 16, 5), 3 * random_unit(40, 16, 6)
    image = torch.nn.functional.normalize(gallery + content, dim=-1)
    features = random_features(40, 16, 7)
    graph = torch.nn.functional.normalize(content, dim=-1)
    features = QueryFeatures(**{**vars(features), "image": image, "graph": graph})
    answers = make_answers(list(range(40)), [[q] for q in range(40)], [-1] * 40, 40)
    choice = search(features, gallery, answers)
    assert choice.mixture[2] < 0
    assert evaluate_choice(features, gallery, answers, choice)["R@1"] == 100
    unsigned = search(features, gallery, answers, signed=False)
    assert min(unsigned.mixture) >= 0
    assert evaluate_choice(features, gallery, answers, unsigned)["R@1"] < 50


def test_search_is_no_worse_than_any_weighting_of_its_mixture() -> None:
    features, gallery, answers = random_features(30, 6, 1), random_unit(40, 6, 2), random_answers(30, 40, 3)
    choice = search(features, gallery, answers)
    reached = evaluate_choice(features, gallery, answers, choice)["mean_recall"]
    rivals = [Choice(w, choice.mixture) for w in simplex_grid(20)]
    rivals += [Choice((1.0, 0.0, 0.0), m) for m in mixture_grid(10)]
    assert reached >= mean_recall(candidate_ranks(features, gallery, answers, rivals)).max().item() - 1e-9


@pytest.mark.parametrize("terms", [TERMS, ("language",), ("language", "pseudo_caption"), ("triplet",)])
def test_what_is_chosen_keeps_to_the_terms_and_signs(terms: tuple[str, ...]) -> None:
    features, gallery = random_features(30, 8, 3), random_unit(40, 8, 4)
    answers = random_answers(30, 40, 5)
    choice = choose(features, gallery, answers, terms)
    assert sum(choice.weights) == pytest.approx(1, abs=1e-5)
    assert all(weight == 0 or term in terms for weight, term in zip(choice.weights, TERMS, strict=True))
    assert min(choice.mixture[:2]) >= 0
    assert min(choose(features, gallery, answers, terms, signed=False).mixture) >= 0
    assert choose(features, gallery, answers, terms) == choice


def test_where_one_choice_wins_on_all_queries_it_is_chosen() -> None:
    features, gallery = _only("language")
    answers = make_answers(list(range(40)), [[q] for q in range(40)], [-1] * 40, 40)
    choice = choose(features, gallery, answers)
    assert choice.weights[1] > 0.5
    assert evaluate_choice(features, gallery, answers, choice)["R@1"] == 100


def test_where_the_triplet_has_no_weight_the_best_mixture_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """All mixtures win alike then: their mean says nothing."""
    features, gallery = _only("language")
    answers = make_answers(list(range(40)), [[q] for q in range(40)], [-1] * 40, 40)
    best = Choice((0.0, 0.2, 0.8), (0.3, 0.1, -0.6))
    monkeypatch.setattr(weights, "search", lambda *_: best)
    assert choose(features, gallery, answers).mixture == best.mixture


@pytest.mark.parametrize("seed", range(4))
def test_the_graphs_share_keeps_its_sign(seed: int) -> None:
    features, gallery = random_features(30, 8, seed), random_unit(40, 8, seed + 9)
    answers = random_answers(30, 40, seed, 2)
    best, chosen = search(features, gallery, answers), choose(features, gallery, answers)
    assert best.mixture[2] * chosen.mixture[2] >= 0


def test_on_few_queries_what_is_chosen_serves_others_better_than_the_best() -> None:
    """All parts know a little: fitted on 20 queries each time, measured on 2,000 others, as a mean of ten."""
    gains = []
    for seed in range(10):
        gallery = random_unit(200, 24, seed)
        generator = torch.Generator().manual_seed(seed)
        target = torch.randint(200, (2020,), generator=generator)
        noise = {"image": 1.6, "text": 1.8, "graph": 2.4, "language": 1.7, "pseudo_caption": 1.5}
        parts = {
            name: torch.nn.functional.normalize(
                gallery[target] + level * random_unit(2020, 24, 100 * seed + number), dim=-1
            )
            for number, (name, level) in enumerate(noise.items())
        }
        features = QueryFeatures(**parts)
        right = [[t] for t in target.tolist()]
        answers = make_answers(target.tolist(), right, [-1] * 2020, 200)
        few, others = slice(0, 20), slice(20, None)
        known = features.rows(few), gallery, answers.rows(few)
        best, chosen = (
            evaluate_choice(features.rows(others), gallery, answers.rows(others), how(*known))["mean_recall"]
            for how in (search, choose)
        )
        gains.append(chosen - best)
    assert sum(gains) / len(gains) > 0.3, gains


def test_floored_keeps_every_term_and_their_order() -> None:
    choice = floored(Choice((0.0, 0.25, 0.75), (1.0, 0.0, 0.0)), floor=0.1)
    assert choice.weights == pytest.approx((0.1, 0.275, 0.625))
    assert choice.mixture == pytest.approx((0.8, 0.1, 0.1))
    assert sum(choice.weights) == pytest.approx(1)


def test_floored_keeps_signs() -> None:
    assert floored(Choice((1.0, 0.0, 0.0), (0.5, 0.0, -0.5))).mixture == pytest.approx((0.45, 0.1, -0.45))


def test_floored_leaves_out_a_term_that_takes_no_part() -> None:
    choice = floored(Choice((0.0, 0.0, 1.0), (1.0, 0.0, 0.0)), ("triplet", "pseudo_caption"), floor=0.1)
    assert choice.weights == pytest.approx((0.1, 0.0, 0.9))


@pytest.mark.parametrize("terms", [("language",), ("language", "pseudo_caption"), ("triplet",)])
def test_a_search_over_some_terms_is_the_best_of_their_grid(terms: tuple[str, ...]) -> None:
    features, gallery = random_features(30, 8, 3), random_unit(40, 8, 4)
    answers = random_answers(30, 40, 5)
    choice = search(features, gallery, answers, terms)
    weights = dict(zip(TERMS, choice.weights, strict=True))
    assert sum(weights[term] for term in terms) == pytest.approx(1)
    if "triplet" not in terms:
        allowed = [term in terms for term in TERMS]
        grid = [w for w in simplex_grid(20) if all(a or not x for a, x in zip(allowed, w, strict=True))]
        rivals = [Choice(w, choice.mixture) for w in grid]
        reached = evaluate_choice(features, gallery, answers, choice)["mean_recall"]
        best = mean_recall(candidate_ranks(features, gallery, answers, rivals)).max().item()
        assert reached >= best - 1e-9


def test_a_choice_survives_its_record() -> None:
    choice = Choice((0.2, 0.3, 0.5), (0.1, 0.7, 0.2))
    assert Choice.of(choice.record()) == choice
