"""Graphs as networks read them, and what the graph encoder can learn of them."""

import random

import pytest
import torch
from torch.nn.functional import normalize

from pipeline.base.params import ComparatorParams
from pipeline.graph.scene_graph import Group, GroupGraph
from tests.trainer.cases import random_unit
from trainer.methods.graph_encoder import GraphCombiner, GraphEncoder, GraphStages
from trainer.methods.graphs import Graphs, GraphTexts
from trainer.methods.training import Composition, compose, train_composer
from trainer.retrieval.answers import make_answers
from trainer.retrieval.metrics import score_metrics
from trainer.retrieval.ranking import dot_scores
from trainer.study.graphs import in_words

WORDS = [f"word {number}" for number in range(12)]
ROW_OF = {word: row for row, word in enumerate(WORDS)}
FEATURES = random_unit(len(WORDS), 16, 7)
PARAMS = ComparatorParams(
    epochs=12, patience=12, batch_size=64, learning_rate=3e-3, weight_decay=0.01, temperature=0.05
)


def random_graphs(count: int, seed: int, most_nodes: int = 5) -> list[GraphTexts]:
    """Some of them have no node, or no edge."""
    rng, graphs = random.Random(seed), []
    for number in range(count):
        nodes = [rng.choice(WORDS) for _ in range(0 if number == 2 else rng.randint(1, most_nodes))]
        ends = range(len(nodes))
        edges = [(rng.choice(ends), rng.choice(WORDS), rng.choice(ends)) for _ in ends[1:]]
        graphs.append(GraphTexts(tuple(nodes), tuple(edges)))
    return graphs


def packed(graphs: list[GraphTexts]) -> Graphs:
    return Graphs.of(graphs, ROW_OF, FEATURES)


def same(one: Graphs, other: Graphs) -> bool:
    names = ("nodes", "edges", "nodes_of", "edges_of")
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.mark.parametrize("rows", [[0], [2], [5, 2, 0, 5], [], list(range(8))])
def test_rows_are_those_graphs(rows: list[int]) -> None:
    graphs = random_graphs(8, 0)
    wanted = packed([graphs[row] for row in rows])
    assert same(packed(graphs)[torch.tensor(rows, dtype=torch.int64)], wanted)
    assert len(wanted) == len(rows)
    assert same(packed(graphs)[3:6], packed(graphs[3:6]))


def test_the_ends_of_edges_are_nodes_of_their_own_graph() -> None:
    graphs = packed(random_graphs(9, 1))
    subjects, objects = graphs.ends()
    edges = torch.arange(9).repeat_interleave(graphs.edges_of.diff())
    for ends in (subjects, objects):
        assert torch.equal(graphs.graph_of_nodes()[ends], edges)


def test_a_graph_is_encoded_the_same_alone_and_whatever_the_order_of_its_nodes() -> None:
    torch.manual_seed(0)
    encoder, graphs = GraphEncoder(16).eval(), random_graphs(6, 2)
    with torch.no_grad():
        together = encoder(packed(graphs))
        for number, graph in enumerate(graphs):
            last = len(graph.nodes) - 1
            turned = GraphTexts(
                graph.nodes[::-1], tuple((last - s, word, last - o) for s, word, o in graph.edges[::-1])
            )
            for alone in (graph, turned):
                assert torch.allclose(encoder(packed([alone]))[0], together[number], atol=1e-6)
    assert together[2].tolist() == [0.0] * 16  # it has no node
    assert torch.allclose(together[[0, 1, 3]].norm(dim=1), torch.ones(3))


def test_a_dataset_without_any_graph_is_encoded_as_nothing() -> None:
    nothing = Graphs.of([GraphTexts(())] * 3, {}, torch.empty(0, 16))
    torch.manual_seed(0)
    image, text = random_unit(3, 16, 0), random_unit(3, 16, 1)
    assert torch.equal(GraphEncoder(16)(nothing), torch.zeros(3, 16))
    for build in (GraphCombiner, GraphStages):
        query = build(16)(image, text, nothing[torch.tensor([2, 0, 1])])
        query.sum().backward()
        assert torch.isfinite(query).all()


def test_edges_and_their_direction_are_seen() -> None:
    torch.manual_seed(0)
    encoder = GraphEncoder(16).eval()
    nodes = tuple(WORDS[:3])
    graphs = [((0, "word 5", 1),), ((1, "word 5", 0),), ((0, "word 6", 1),), ()]
    with torch.no_grad():
        found = encoder(packed([GraphTexts(nodes, edges) for edges in graphs]))
    assert all((found[a] - found[b]).norm() > 1e-3 for a in range(4) for b in range(a))


@pytest.fixture(scope="module")
def task() -> tuple[Composition, Composition]:
    """The target is image and text, without what an edge comes from and twice what it leads to."""
    splits = []
    for seed, count in ((1, 400), (2, 200)):
        rng, graphs = random.Random(seed), []
        for _ in range(count):
            nodes = rng.sample(range(10), 4)
            start, end = rng.sample(range(4), 2)
            graphs.append(GraphTexts(tuple(WORDS[n] for n in nodes), ((start, WORDS[10], end),)))
        image, text = random_unit(count, 16, 30 + seed), random_unit(count, 16, 40 + seed)
        ends = [[ROW_OF[graph.nodes[graph.edges[0][side]]] for graph in graphs] for side in (0, 2)]
        wanted = 2 * FEATURES[ends[1]] - FEATURES[ends[0]]
        gallery = normalize(0.5 * (image + text) + wanted, dim=-1)
        answers = make_answers(list(range(count)), [[q] for q in range(count)], [-1] * count, count)
        splits.append(Composition((image, text, packed(graphs)), gallery, answers))
    return splits[0], splits[1]


@pytest.mark.parametrize("build", [GraphCombiner, GraphStages])
def test_a_graph_network_learns_what_only_edges_say(
    build: type[torch.nn.Module], task: tuple[Composition, Composition]
) -> None:
    train, validation = task
    module = train_composer(build, train, validation, PARAMS, seed=0)
    image, text, graphs = validation.inputs
    assert isinstance(graphs, Graphs)
    turned = Graphs(graphs.features, graphs.nodes, graphs.edges.flip(1), graphs.nodes_of, graphs.edges_of)
    turned.edges[:, 1] = ROW_OF[WORDS[10]]
    found = [
        score_metrics(dot_scores(compose(module, (image, text, g)), validation.gallery), validation.answers)
        for g in (graphs, turned)
    ]
    chance = 100 * 16 / 3 / 200  # the mean of recall at 1, 5 and 10
    assert found[0]["mean_recall"] > 10 * chance
    assert found[1]["mean_recall"] < found[0]["mean_recall"] / 2
    again = train_composer(build, train, validation, PARAMS.model_copy(update={"epochs": 1}), seed=3)
    other = train_composer(build, train, validation, PARAMS.model_copy(update={"epochs": 1}), seed=3)
    assert all(torch.equal(one, two) for one, two in zip(again.parameters(), other.parameters(), strict=True))


def test_a_scene_graph_in_words_keeps_numbers_attributes_places_and_relations() -> None:
    cars, hangar = Group("2", "car", ("small", "red"), "left"), Group("1", "hangar", (), "center")
    graph = GroupGraph("airport", (cars, hangar), ((0, "next to", 1),))
    assert in_words(graph) == GraphTexts(
        ("two small red cars at the left", "one hangar at the center", "airport scene"), ((0, "next to", 1),)
    )
    assert in_words(GroupGraph(None, (hangar,), ())).nodes == ("one hangar at the center",)
    assert in_words(None) == GraphTexts(())
