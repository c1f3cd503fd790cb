"""What holds for every network that the study alone trains."""

import copy
import random
from functools import partial
from typing import Any, cast

import pytest
import torch
from torch import nn

from pipeline.base.params import ComparatorParams
from tests.trainer.cases import random_answers, random_unit
from trainer.methods import registry
from trainer.methods.combiner import WideCombiner
from trainer.methods.graphs import SCENE_GRAPH, Graphs, GraphTexts
from trainer.methods.mix import LinearMix, MixHead
from trainer.methods.recipes import FitData, FrozenFeatures, Network
from trainer.methods.training import Composition, compose, composed_scores, train_composer
from trainer.retrieval.answers import make_answers
from trainer.retrieval.gallery import Gallery
from trainer.retrieval.metrics import score_metrics
from trainer.retrieval.ranking import rank_all
from trainer.retrieval.similarity import TEXT_INPUTS

NETWORKS = [method for method in registry.STUDIED if isinstance(method.recipe, Network)]
QUERIES, IMAGES, WIDTH = 40, 60, 16
SHORT = ComparatorParams(
    epochs=2, patience=2, batch_size=16, learning_rate=1e-3, weight_decay=0.01, temperature=0.05
)


def composition(inputs: tuple[str, ...], seed: int = 0) -> Composition:
    rng = random.Random(seed)
    graphs = [
        GraphTexts(tuple(rng.choice("abcdef") for _ in range(3)), ((0, "g", 1), (2, "h", 1)))
        for _ in range(QUERIES)
    ]
    row_of = {word: row for row, word in enumerate("abcdefgh")}
    features = [
        Graphs.of(graphs, row_of, random_unit(8, WIDTH, 99))
        if name == SCENE_GRAPH
        else random_unit(QUERIES, WIDTH, 10 * seed + place)
        for place, name in enumerate(("image", *inputs))
    ]
    return Composition(
        tuple(features), random_unit(IMAGES, WIDTH, 50 + seed), random_answers(QUERIES, IMAGES, seed)
    )


@pytest.mark.parametrize("method", NETWORKS, ids=lambda method: method.name)
def test_a_network_learns_all_of_itself_and_nothing_else(method: registry.Method) -> None:
    recipe = method.recipe
    assert isinstance(recipe, Network)
    train, validation = composition(method.inputs), composition(method.inputs, 1)
    before = copy.deepcopy(train)
    trained = train_composer(recipe.build, train, validation, SHORT, 3, recipe.match)
    for one, other in zip(_tensors(train), _tensors(before), strict=True):
        assert torch.equal(one, other) and not one.requires_grad and one.grad is None
    again = train_composer(recipe.build, train, validation, SHORT, 3, recipe.match)
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), again.parameters(), strict=True))

    torch.manual_seed(0)
    module = recipe.build(WIDTH).train()
    queries = module(*train.inputs)
    scores = composed_scores(queries, train.gallery, recipe.match)(0, QUERIES)
    assert scores.shape == (QUERIES, IMAGES)
    nn.functional.cross_entropy(scores / 0.05, train.answers.target).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("method", NETWORKS, ids=lambda method: method.name)
def test_a_query_is_composed_the_same_whatever_others_stand_beside_it(method: registry.Method) -> None:
    assert isinstance(method.recipe, Network)
    torch.manual_seed(0)
    module, inputs = method.recipe.build(WIDTH), composition(method.inputs).inputs
    whole = compose(module, inputs)
    assert torch.allclose(compose(module, inputs, batch=7), whole, atol=1e-5)
    some = torch.tensor([5, 3])
    assert torch.allclose(compose(module, [features[some] for features in inputs]), whole[some], atol=1e-5)
    for place, features in enumerate(inputs):  # it reads each of its inputs
        changed = list(inputs)
        changed[place] = features.roll(1, 0) if isinstance(features, torch.Tensor) else features[_turned()]
        assert not torch.allclose(compose(module, changed), whole, atol=1e-4)


@pytest.mark.parametrize("good", ["start", "text"])
def test_a_network_beside_a_query_counts_as_much_as_it_serves_validation(good: str) -> None:
    """Of a query that is the target's image and a text that is noise, or the other way round."""

    def features(seed: int) -> FrozenFeatures:
        images, answers = random_unit(IMAGES, WIDTH, seed), random_answers(QUERIES, IMAGES, seed)
        text = {"start": random_unit(QUERIES, WIDTH, seed + 1), "text": random_unit(QUERIES, WIDTH, seed + 2)}
        text[good] = images[answers.target]
        return FrozenFeatures(cast(Any, _Split(images, answers)), text)

    network = Network(partial(WideCombiner, inputs=3), beside="start")
    fitted = network.fit(("text", "start"), FitData(features(0), features(10), SHORT, 0))
    tested = features(20)
    ranks = rank_all(fitted.scores(tested), tested.split.answers, top=1).rank
    if good == "start":
        assert fitted.chosen["share"] < 0.5 and (ranks == 1).all()
    else:
        assert fitted.chosen["share"] > 0.5 and (ranks == 1).float().mean() > 0.5


class _Split:
    """What a network reads of a split."""

    def __init__(self, images: torch.Tensor, answers: Any) -> None:
        self.gallery = self.trained_on = images
        self.stored = Gallery.of(images)
        self.answers, self.image = answers, random_unit(QUERIES, WIDTH, 99)


def _turned() -> torch.Tensor:
    return torch.arange(QUERIES).roll(1)


def _tensors(data: Composition) -> list[torch.Tensor]:
    found = [data.gallery]
    for features in data.inputs:
        found += [features] if isinstance(features, torch.Tensor) else [features.features]
    return found


def test_a_linear_mix_finds_shares_and_their_signs() -> None:
    shares = torch.tensor([0.5, 0.1, -0.4, 0.0, 0.3])
    splits, count = [], 300
    for seed in (1, 2):
        features = tuple(random_unit(count, WIDTH, 10 * seed + place) for place in range(5))
        wanted = torch.einsum("k,kqd->qd", shares, torch.stack(features))
        gallery = nn.functional.normalize(wanted + 0.4 * random_unit(count, WIDTH, 10 * seed + 9), dim=-1)
        answers = make_answers(list(range(count)), [[q] for q in range(count)], [-1] * count, count)
        splits.append(Composition(features, gallery, answers))
    params = SHORT.model_copy(update={"epochs": 20, "patience": 20})
    module = train_composer(lambda dimension: LinearMix(5), splits[0], splits[1], params, seed=0)
    weights = module.weights.detach()
    assert nn.functional.cosine_similarity(weights, shares, dim=0) > 0.98
    assert weights[2] < 0
    found = [
        score_metrics(composed_scores(compose(mix, split.inputs), split.gallery, None), split.answers)["R@1"]
        for mix in (module, LinearMix(5))
        for split in splits[1:]
    ]
    assert found[0] > found[1] + 20


def test_the_head_of_a_mix_learns_its_shares_and_says_them() -> None:
    head = MixHead(TEXT_INPUTS)
    assert registry.named("linear_mix").tower_head().inputs == TEXT_INPUTS
    image, answers = random_unit(6, WIDTH, 0), make_answers([0] * 6, [[0]] * 6, [-1] * 6, 6)
    text = {name: random_unit(6, WIDTH, 1 + place) for place, name in enumerate(TEXT_INPUTS)}
    for value in text.values():
        value.requires_grad_()
    query = head(image, text)
    query[:, 0].sum().backward()
    assert all(value.grad is not None and value.grad.abs().max() > 0 for value in text.values())
    (group,) = head.groups()
    assert [parameter.grad is not None for parameter in group["params"]] == [True]
    chosen = head.choose(image, text, image, answers)
    assert list(chosen["shares"]) == ["image", *TEXT_INPUTS]
    assert torch.allclose(head.queries(image, text, chosen), query)
    assert head.start(chosen) == chosen
