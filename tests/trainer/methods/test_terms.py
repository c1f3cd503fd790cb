"""What each similarity adds to the hybrid one, against loops."""

import torch
from torch.nn.functional import normalize

from trainer.methods.terms import top_shares
from trainer.retrieval.similarity import QUERY_INPUTS, QueryFeatures, triplet_query
from trainer.retrieval.weights import Choice


def test_the_shares_are_weights_times_cosines_and_their_sum_is_the_score() -> None:
    torch.manual_seed(0)
    features = QueryFeatures(*(normalize(torch.randn(7, 16), dim=-1) for _ in QUERY_INPUTS))
    gallery = normalize(torch.randn(30, 16), dim=-1)
    choice = Choice((0.5, 0.2, 0.3), (0.4, 0.1, -0.5))
    top = torch.stack([torch.randperm(30)[:4] for _ in range(7)])
    top[2, 3] = -1  # a gallery that is too small leaves places empty
    shares = top_shares(features, gallery, top, choice, batch=3)
    scores = choice.queries(features) @ gallery.T
    for query in range(7):
        for place, image in enumerate(top[query].tolist()):
            if image < 0:
                continue
            row = slice(query, query + 1)
            triplet = triplet_query(
                features.image[row], features.text[row], features.graph[row], choice.mixture
            )
            cosines = [
                vector @ gallery[image]
                for vector in (triplet[0], features.language[query], features.pseudo_caption[query])
            ]
            expected = [
                weight * cosine.item() for weight, cosine in zip(choice.weights, cosines, strict=True)
            ]
            torch.testing.assert_close(shares[query, place], torch.tensor(expected))
            torch.testing.assert_close(shares[query, place].sum(), scores[query, image])
