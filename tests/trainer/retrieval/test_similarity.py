import pytest
import torch

from tests.trainer.cases import random_features, random_unit
from tests.trainer.reference import cosine, normalise
from trainer.retrieval.similarity import (
    QUERY_INPUTS,
    QueryFeatures,
    hybrid_query,
    input_shares,
    similarity,
    term_queries,
    triplet_query,
)

MIXTURE = (0.5, 0.2, 0.3)
WEIGHTS = (0.2, 0.3, 0.5)


def test_terms_are_the_formulas_in_loops() -> None:
    features, gallery = random_features(4, 6, 1), random_unit(5, 6, 2)
    found = similarity(term_queries(features, MIXTURE), gallery)  # (3, 4, 5)
    a, b, d = MIXTURE
    r, m, c, language, pseudo_caption = (getattr(features, part).double().numpy() for part in QUERY_INPUTS)
    for q in range(4):
        triplet = normalise(a * r[q] + b * m[q] + d * c[q])
        for t in range(5):
            image = gallery[t].double().numpy()
            for term, query in enumerate((triplet, language[q], pseudo_caption[q])):
                assert found[term, q, t] == pytest.approx(cosine(query, image), abs=1e-6)


def test_hybrid_query_gives_the_weighted_sum_of_similarities() -> None:
    features, gallery = random_features(7, 8, 3), random_unit(11, 8, 4)
    terms = term_queries(features, MIXTURE)
    at_once = similarity(hybrid_query(terms, WEIGHTS), gallery)
    one_by_one = sum(w * similarity(term, gallery) for w, term in zip(WEIGHTS, terms, strict=True))
    assert torch.allclose(at_once, one_by_one, atol=1e-6)


def test_the_hybrid_similarity_is_a_sum_over_its_inputs() -> None:
    features, gallery = random_features(7, 8, 3), random_unit(11, 8, 4)
    inputs = torch.stack(
        [similarity(getattr(features, name), gallery) for name in QUERY_INPUTS]
    )  # (5, 7, 11)
    weights = [WEIGHTS, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)]
    mixtures = [MIXTURE, (0.4, 0.1, -0.5), (1.0, 0.0, 0.0)]
    shares = input_shares(features, weights, mixtures)
    assert shares.shape == (3, 7, 5)
    for at_once, weighting, mixture in zip(shares, weights, mixtures, strict=True):
        query = hybrid_query(term_queries(features, mixture), weighting)
        found = torch.einsum("bi,ibn->bn", at_once, inputs)
        assert torch.allclose(found, similarity(query, gallery), atol=1e-6)


def test_a_triplet_query_that_cancels_itself_out_adds_nothing() -> None:
    features = random_features(4, 8, 3)
    features = QueryFeatures(**{**vars(features), "graph": features.text})
    (shares,) = input_shares(features, [WEIGHTS], [(0.0, 0.5, -0.5)])
    assert torch.equal(shares, torch.tensor([[0, 0, 0, *WEIGHTS[1:]]]).expand(4, -1))


def test_one_term_alone_is_that_term() -> None:
    terms = term_queries(random_features(3, 4, 5), MIXTURE)
    for place in range(3):
        weights = [float(place == k) for k in range(3)]
        assert torch.equal(hybrid_query(terms, weights), terms[place])


def test_triplet_query_in_closed_form() -> None:
    x, y = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert torch.allclose(triplet_query(x, y, y, (0.6, 0.4, 0.4)), torch.tensor([[0.6, 0.8]]))
    assert torch.equal(triplet_query(x, y, y, (1.0, 0.0, 0.0)), x)


def test_triplet_query_is_symmetric_in_its_parts_and_blind_to_scale() -> None:
    f = random_features(5, 6, 6)
    first = triplet_query(f.image, f.text, f.graph, (0.5, 0.2, 0.3))
    assert torch.allclose(first, triplet_query(f.graph, f.image, f.text, (0.3, 0.5, 0.2)), atol=1e-6)
    assert torch.allclose(first, triplet_query(f.image, f.text, f.graph, (5.0, 2.0, 3.0)), atol=1e-6)


def test_rows_of_features_and_of_similarities_are_the_same_rows() -> None:
    features, gallery = random_features(6, 4, 7), random_unit(5, 4, 8)
    whole = similarity(term_queries(features, MIXTURE), gallery)
    rows = torch.tensor([4, 1])
    assert torch.allclose(
        similarity(term_queries(features.rows(rows), MIXTURE), gallery), whole[:, rows], atol=1e-6
    )
