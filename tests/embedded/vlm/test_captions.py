"""Training captions: true of their graph, unlike the captioner's sentences, short enough for the encoder."""

import random
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from embedded.vlm.captions import SCENE_RATE, describe, describe_some, facts_of, subset
from embedded.vlm.encoder import CONTEXT_LENGTH, END, VOCABULARY, tokenise
from embedded.world.edits import sample_scene
from embedded.world.scene import scene_graph
from embedded.world.vocabulary import COLOURS, DATASETS, OBJECTS, PREDICATES, SCENES, SIZES
from pipeline.graph.scene_graph import Group, GroupGraph, group_objects, phrase
from pipeline.graph.verbalise import number_word, pluralise, verbalise

ROOT = Path(__file__).parents[3]

POSITION_WORDS = {"top", "bottom", "left", "right", "center"}
TWO_CARS = GroupGraph(
    "airport", (Group("2", "car", ("red",), "top left"), Group("1", "hangar")), ((0, "above", 1),)
)


@pytest.fixture(scope="module")
def graphs() -> list[GroupGraph]:
    rng = np.random.default_rng(11)
    return [
        group_objects(scene_graph(sample_scene(rng, DATASETS[number % len(DATASETS)])))
        for number in range(300)
    ]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(ROOT / "models" / "vlm" / "tokenizer.json"))


def words(text: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in text.lower()).split()


def test_facts_of_a_graph_by_hand() -> None:
    assert facts_of(TWO_CARS) == {
        ("car",),
        ("car", "red"),
        ("car", "#2"),
        ("car", "@top left"),
        ("@top left",),
        ("@top left", "red"),
        ("@top left", "#2"),
        ("hangar",),
        ("hangar", "#1"),
        ("car", "above", "hangar"),
        ("car", "above"),
        ("above", "hangar"),
        ("@top left", "above"),
    }


def test_every_stated_fact_is_in_the_graph(graphs: list[GroupGraph]) -> None:
    rng = random.Random(0)
    for graph in graphs:
        assert describe(graph, rng).facts == facts_of(graph)
        assert describe_some(graph, rng).facts <= facts_of(graph)


def test_words_of_a_caption_are_words_of_its_graph(graphs: list[GroupGraph]) -> None:
    """Colours, sizes, numbers and names that the graph does not hold are nowhere in the text."""
    rng = random.Random(1)
    numbers = {number_word(number) for number in range(1, 13)}
    watched = set(COLOURS) | set(SIZES) | numbers
    watched |= {word for name in OBJECTS for word in (*name.split(), *pluralise(name).split())}
    for graph in graphs:
        allowed = {number_word(int(group.quantity)) for group in graph.groups}
        for group in graph.groups:
            allowed.update(group.attributes, group.name.split(), pluralise(group.name).split())
        for caption in (describe(graph, rng), describe_some(graph, rng)):
            assert set(words(caption.text)) & watched <= allowed, caption.text


def test_a_caption_of_everything_says_every_group(graphs: list[GroupGraph]) -> None:
    rng = random.Random(2)
    for graph in graphs:
        text = " ".join(words(describe(graph, rng).text))
        for group in graph.groups:
            name = group.name if group.quantity == "1" else pluralise(group.name)
            for word in (
                *group.attributes,
                f"{number_word(int(group.quantity))} ",
                name,
                group.position or "",
            ):
                assert word in text, (word, text)
        for _, predicate, _ in graph.relations:
            assert predicate in text


def test_subsets_drop_each_kind_of_fact_and_keep_a_group(graphs: list[GroupGraph]) -> None:
    rng = random.Random(3)
    parts = [(graph, subset(graph, rng)) for graph in graphs for _ in range(5)]
    assert all(part.groups for _, part in parts)
    groups = [group for _, part in parts for group in part.groups]
    assert 0.05 < np.mean([group.quantity == "" for group in groups]) < 0.5
    assert 0.4 < np.mean([group.position is None for group in groups]) < 0.8
    assert 0.1 < np.mean([len(part.groups) == 1 for _, part in parts]) < 0.6
    assert any(len(part.groups) == len(graph.groups) and part != graph for graph, part in parts)
    assert any(part.relations for _, part in parts)


def test_styles_are_not_the_captioners(graphs: list[GroupGraph]) -> None:
    """Never the same text, nor its form of a place ("at the top left"), nor its opening."""
    rng = random.Random(4)
    for graph in graphs:
        theirs = verbalise(graph)
        assert " at the " in theirs
        for _ in range(3):
            mine = describe(graph, rng).text
            assert mine != theirs
            assert " at the " not in mine
            assert " scene with " not in mine


def test_the_scene_is_seldom_said(graphs: list[GroupGraph]) -> None:
    rng = random.Random(5)
    names = [name for themes in SCENES.values() for name in themes]
    texts = [describe(graph, rng).text.lower() for graph in graphs for _ in range(5)]
    said = np.mean([any(f"({name})" in text for name in names) for text in texts])
    assert 0 < said < 0.05
    assert SCENE_RATE < 0.05


def test_order_and_form_vary() -> None:
    rng = random.Random(6)
    texts = {describe(TWO_CARS, rng).text for _ in range(200)}
    assert len(texts) > 100
    assert (
        20 < sum(words(text).index("hangar") < words(text).index("cars") for text in texts) < len(texts) - 20
    )


def test_tokenizer_round_trip(tokenizer: Tokenizer, graphs: list[GroupGraph]) -> None:
    assert tokenizer.get_vocab_size() == VOCABULARY
    assert tokenizer.token_to_id(END) == VOCABULARY - 1  # argmax pooling looks for the highest id
    rng = random.Random(7)
    for text in [
        *(describe(graph, rng).text for graph in graphs[:50]),
        "Ünïcode ✈ 漢字",
        "zebra-crossing #7",
    ]:
        assert tokenizer.decode(tokenizer.encode(text).ids).strip() == text.lower()


def test_the_words_of_the_world_are_single_tokens(tokenizer: Tokenizer) -> None:
    names = {word for name in OBJECTS for word in name.split()}
    names |= {
        word for name, kind in OBJECTS.items() if kind.max_count > 1 for word in pluralise(name).split()
    }
    relations = {word for predicate in PREDICATES for word in predicate.split()}
    for word in {*COLOURS, *SIZES, *POSITION_WORDS, *names, *relations, "one", "five"}:
        assert len(tokenizer.encode(word).ids) == 3, word  # start, the word, end


def test_captions_fit_the_context(tokenizer: Tokenizer, graphs: list[GroupGraph]) -> None:
    """The captioner's form of every graph fits with room for a modification, and nearly all of ours fit."""
    theirs = [len(tokenizer.encode(verbalise(graph)).ids) for graph in graphs]
    assert max(theirs) <= CONTEXT_LENGTH
    rng = random.Random(8)
    ours = [len(tokenizer.encode(describe(graph, rng).text).ids) for graph in graphs for _ in range(3)]
    assert np.mean([length <= CONTEXT_LENGTH for length in ours]) > 0.995


def test_a_text_that_is_cut_keeps_its_end(tokenizer: Tokenizer) -> None:
    tokens = tokenise(tokenizer, ["a car", "red car " * CONTEXT_LENGTH])
    assert tokens.shape == (2, CONTEXT_LENGTH)
    assert tokens.max(dim=1).values.tolist() == [VOCABULARY - 1] * 2
    assert tokens[1].argmax() == CONTEXT_LENGTH - 1


def test_relations_name_the_attributes_of_like_groups() -> None:
    like = GroupGraph(
        None,
        (Group("1", "car", ("red",)), Group("1", "car", ("blue",)), Group("1", "barn")),
        ((1, "above", 2),),
    )
    rng = random.Random(9)
    assert all(phrase(like.groups[1]) in describe(like, rng).text.lower() for _ in range(50))
