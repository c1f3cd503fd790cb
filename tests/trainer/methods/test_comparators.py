import hashlib
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.base.params import ComparatorParams
from tests.trainer.cases import random_unit
from trainer.methods.artemis import Artemis, artemis_scores
from trainer.methods.combiner import Combiner, WideCombiner
from trainer.methods.composeae import ComposeAeLike
from trainer.methods.tirg import Tirg
from trainer.methods.training import Composition, Match, compose, composed_scores, train_composer
from trainer.methods.untrained import chance_scores
from trainer.methods.weicom import gaussian_cdf, weicom_scores
from trainer.retrieval.answers import make_answers
from trainer.retrieval.fusion import choose_share, fused_query, fusion_scores
from trainer.retrieval.metrics import retrieval_metrics
from trainer.retrieval.ranking import Scores, rank_all

BUILDS = [Tirg, Combiner, Artemis, ComposeAeLike]
MATCHES: dict[type[torch.nn.Module], Match] = {Artemis: artemis_scores}
PARAMS = ComparatorParams(
    epochs=30, patience=30, batch_size=32, learning_rate=3e-3, weight_decay=0.01, temperature=0.05
)


def test_chance_is_seeded_the_same_in_any_chunk_and_uniform() -> None:
    scores = chance_scores(400, 50, seed=1)
    whole = scores(0, 400)
    assert torch.equal(whole[100:130], scores(100, 130))
    assert not torch.equal(whole, chance_scores(400, 50, seed=2)(0, 400))
    answers = make_answers([0] * 400, [[0]] * 400, [1] * 400, 50)
    found = rank_all(scores, answers)
    recall = retrieval_metrics(found.rank, found.average_precision)["R@10"]
    deviation = 100 * math.sqrt((10 / 49) * (39 / 49) / 400)
    assert abs(recall - 100 * 10 / 49) < 4 * deviation


def test_gaussian_cdf_is_the_published_formula_in_loops() -> None:
    similarities = random_unit(3, 40, 0) @ random_unit(9, 40, 1).T
    found = gaussian_cdf(similarities)
    for q in range(3):
        row = [float(x) for x in similarities[q]]
        mean = sum(row) / 9
        deviation = math.sqrt(sum((x - mean) ** 2 for x in row) / 8)
        for t in range(9):
            expected = 0.5 * (1 + math.erf((row[t] - mean) / (deviation * math.sqrt(2))))
            assert found[q, t] == pytest.approx(expected, abs=1e-6)


def test_gaussian_cdf_sees_each_query_alone() -> None:
    similarities = torch.rand(4, 30, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(gaussian_cdf(similarities)[2:3], gaussian_cdf(similarities[2:3]))
    moved = similarities.clone()
    moved[0] = 5 * moved[0] + 3  # another scale of one query changes nothing
    assert torch.allclose(gaussian_cdf(moved), gaussian_cdf(similarities), atol=1e-5)


def test_a_flat_row_is_a_half() -> None:
    assert gaussian_cdf(torch.full((1, 5), 0.3)).tolist() == [[0.5] * 5]


def test_weicom_at_its_ends_ranks_as_image_or_text_alone() -> None:
    image, text, gallery = random_unit(5, 8, 0), random_unit(5, 8, 1), random_unit(20, 8, 2)
    for share, query in ((0.0, image), (1.0, text)):
        found = weicom_scores(image, text, gallery, share)(0, 5)
        assert torch.equal(found.argsort(1), (query @ gallery.T).argsort(1))


def test_fusion_at_its_ends_and_in_the_middle() -> None:
    image, text = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert torch.equal(fused_query(image, text, 0.0), image)
    assert torch.equal(fused_query(image, text, 1.0), text)
    assert torch.allclose(fused_query(image, text, 0.5), torch.full((1, 2), math.sqrt(0.5)))


def test_share_is_the_one_that_is_best() -> None:
    answers = make_answers([0], [[0]], [-1], 2)

    def peaked(share: float) -> Scores:
        return lambda start, stop: torch.tensor([[1 - abs(share - 0.35), 0.99]])

    assert choose_share(peaked, answers) == 0.35
    assert (
        choose_share(lambda share: lambda start, stop: torch.tensor([[1.0, 0.0]]), answers) == 0.5
    )  # all win


def test_tirg_is_the_formula() -> None:
    torch.manual_seed(0)
    module = Tirg(6).eval()
    image, text = random_unit(4, 6, 0), random_unit(4, 6, 1)
    with torch.no_grad():
        found = module(image, text)
        both = torch.cat([image, text], 1)
        expected = torch.sigmoid(module.gate(both)) * image + 10 * module.residual(both)
    assert torch.allclose(found, expected / expected.norm(dim=1, keepdim=True), atol=1e-6)


def test_combiner_without_its_network_is_the_balance_of_both() -> None:
    module = Combiner(6).eval()
    for parameter in (
        module.output.weight,
        module.output.bias,
        module.balance[3].weight,
        module.balance[3].bias,
    ):
        torch.nn.init.zeros_(parameter)  # sigmoid(0): a half of each
    image, text = random_unit(4, 6, 0), random_unit(4, 6, 1)
    with torch.no_grad():
        assert torch.allclose(module(image, text), fused_query(image, text, 0.5), atol=1e-6)


def test_the_wide_combiner_without_its_network_is_the_mean_of_all() -> None:
    module = WideCombiner(6, 3).eval()
    for layer in (module.output, module.balance[3]):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    features = [random_unit(4, 6, seed) for seed in range(3)]
    with torch.no_grad():
        found = module(*features)
    assert torch.allclose(found, torch.nn.functional.normalize(sum(features), dim=-1), atol=1e-6)


def test_artemis_is_the_published_score_in_loops() -> None:
    torch.manual_seed(0)
    module = Artemis(6)
    image, text, gallery = random_unit(3, 6, 0), random_unit(3, 6, 1), random_unit(5, 6, 2)
    with torch.no_grad():
        found = artemis_scores(module(image, text), gallery)
        explicit, implicit, wanted = module.explicit(text), module.implicit(text), module.transform(text)
    cosine = torch.nn.functional.cosine_similarity
    for q in range(3):
        for t in range(5):
            by_text = cosine(wanted[q], explicit[q] * gallery[t], dim=0)
            by_image = cosine(implicit[q] * image[q], implicit[q] * gallery[t], dim=0)
            assert found[q, t] == pytest.approx(float(by_text + by_image), abs=1e-5)


def test_the_complex_composition_turns_the_image_by_the_text() -> None:
    torch.manual_seed(0)
    turn = ComposeAeLike(6).eval().turns[0]
    image, text = random_unit(4, 6, 0), random_unit(4, 6, 1)
    with torch.no_grad():
        length, angle, real, imaginary = turn(image, text)
        expected = length * torch.exp(1j * angle)
    assert torch.allclose(torch.complex(real, imaginary), expected, atol=1e-6)


@pytest.fixture(scope="module")
def rotation() -> tuple[Composition, Composition]:
    """The target is the image plus a fixed rotation of the text: no sum finds it, a trained composer can."""
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(3))).Q
    splits = []
    for seed in (10, 20):
        image, text = random_unit(200, 8, seed), random_unit(200, 8, seed + 1)
        gallery = torch.nn.functional.normalize(image + text @ turn, dim=-1)
        answers = make_answers(list(range(200)), [[q] for q in range(200)], [-1] * 200, 200)
        splits.append(Composition((image, text), gallery, answers))
    return splits[0], splits[1]


def _recall(module: torch.nn.Module, data: Composition, match: Match | None = None) -> float:
    queries = compose(module, data.inputs)
    rankings = rank_all(composed_scores(queries, data.gallery, match), data.answers)
    return retrieval_metrics(rankings.rank, rankings.average_precision)["mean_recall"]


@pytest.mark.parametrize("build", BUILDS)
def test_training_beats_every_sum(
    build: type[torch.nn.Module], rotation: tuple[Composition, Composition]
) -> None:
    train, validation = rotation
    match = MATCHES.get(build)
    trained = _recall(train_composer(build, train, validation, PARAMS, 0, match), validation, match)
    sums = [
        rank_all(fusion_scores(*validation.inputs, validation.gallery, s), validation.answers)
        for s in np.linspace(0, 1, 11)
    ]
    best = max(retrieval_metrics(r.rank, r.average_precision)["mean_recall"] for r in sums)
    assert trained > best + 10


@pytest.mark.parametrize("build", BUILDS)
def test_the_same_seed_trains_the_same_module(
    build: type[torch.nn.Module], rotation: tuple[Composition, Composition]
) -> None:
    short = PARAMS.model_copy(update={"epochs": 2})
    torch.manual_seed(99)
    match = MATCHES.get(build)
    first = train_composer(build, *rotation, short, 5, match).state_dict()
    torch.manual_seed(98)
    again = train_composer(build, *rotation, short, 5, match).state_dict()
    other = train_composer(build, *rotation, short, 6, match).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_best_epoch_is_kept(rotation: tuple[Composition, Composition]) -> None:
    train, validation = rotation
    untrained = train_composer(Tirg, train, validation, PARAMS.model_copy(update={"epochs": 0}), seed=1)
    trained = train_composer(Tirg, train, validation, PARAMS.model_copy(update={"epochs": 3}), seed=1)
    assert _recall(trained, validation) >= _recall(untrained, validation)


def test_a_composer_is_the_same_with_any_number_of_threads() -> None:
    """In processes of their own: vLLM's workers forbid torch to change the number in theirs."""
    one, two = (
        subprocess.run(
            [sys.executable, "-m", __name__],
            env=os.environ | {"OMP_NUM_THREADS": threads},
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in "12"
    )
    assert one.splitlines()[0] == "1" and two.splitlines()[0] == "2"
    assert one.splitlines()[1:] == two.splitlines()[1:] != []


def _print_hashes() -> None:
    print(torch.get_num_threads())
    gallery = random_unit(300, 256, 0)
    target = torch.arange(256) % 300
    answers = make_answers(target.tolist(), target[:, None].tolist(), ((target + 1) % 300).tolist(), 300)
    data = Composition((gallery[(target + 1) % 300], random_unit(256, 256, 1)), gallery, answers)
    params = PARAMS.model_copy(update={"epochs": 2, "batch_size": 128})
    for build in (Tirg, Combiner):
        module = train_composer(build, data, data, params, 0)
        for tensor in (*module.state_dict().values(), compose(module, data.inputs)):
            print(hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest())


if __name__ == "__main__":
    _print_hashes()
