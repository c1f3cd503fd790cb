"""The captioner's training data: what it may hold, and the form it must have."""

import re
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
from transformers.utils.chat_template_utils import _compile_jinja_template

from embedded.captioner import edits, wording
from embedded.captioner.batches import TEMPLATE, batches, encode_rows, renderer, weights
from embedded.captioner.evaluate import compare
from embedded.captioner.examples import (
    Example,
    edited_scene,
    open_example,
    plain_scene,
    scene_groups,
    user_message,
)
from embedded.captioner.random_graphs import Names, made_up_word, random_graph, words
from embedded.captioner.tokens import SPECIAL, TrainingEncoder, train_tokenizer
from embedded.world.edits import sample_scene
from embedded.world.phrasings import HELD_OUT, TRAIN_PHRASINGS
from embedded.world.scene import scene_graph
from embedded.world.vocabulary import DATASETS
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import Group, GroupGraph, group_objects
from pipeline.graph.verbalise import say_group, verbalise

WAYS = [value for value in vars(wording).values() if isinstance(value, list)]


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    rng, names = Random(5), Names()
    return [open_example(rng, names, edited=bool(k % 2)) for k in range(400)]


@pytest.fixture(scope="module")
def encoder(examples: list[Example]) -> TrainingEncoder:
    return TrainingEncoder(
        train_tokenizer([part for message, caption, _ in examples for part in (message, caption)], 600)
    )


def test_a_user_message_is_the_serialised_graph() -> None:
    graph = GroupGraph("park", (Group("2", "data", ("old",), "left"),), ())
    assert user_message(graph) == serialise(graph)
    assert user_message(graph, "remove it") == serialise(graph) + "\nModification: remove it"


def test_the_same_seed_gives_the_same_examples() -> None:
    first, second = ([open_example(Random(9), Names(), edited=True) for _ in range(3)] for _ in range(2))
    assert first == second


def test_words_held_out_are_in_no_training_name() -> None:
    assert not set(words(held_out=True)) & set(words(held_out=False))
    assert len(words(held_out=True)) > 300


def test_made_up_words_have_many_shapes() -> None:
    rng = Random(3)
    made = {made_up_word(rng) for _ in range(2000)}
    assert len(made) > 1900
    assert set("".join(made)) == set("abcdefghijklmnopqrstuvwxyz")


def test_graphs_cover_sizes_quantities_and_manners() -> None:
    rng, names = Random(1), Names()
    graphs = [random_graph(rng, names) for _ in range(1500)]
    assert {len(graph.groups) for graph in graphs} >= {0, 1, 2, 5, 12}
    quantities = {group.quantity for graph in graphs for group in graph.groups}
    assert quantities >= {"", "1", "12", "some", "many", "several"}
    assert any(graph.scene is None for graph in graphs)
    assert any(len(graph.relations) == 4 for graph in graphs)


@pytest.mark.parametrize("kind", edits.KINDS, ids=lambda kind: kind.__name__)
def test_an_edit_leaves_all_other_groups_alone(kind: Callable) -> None:
    rng, names, seen = Random(7), Names(), 0
    for _ in range(600):
        graph = random_graph(rng, names)
        change = kind(rng, graph, names)
        if change is None:
            continue
        after, clause = change
        assert clause and "{" not in clause
        gone = [group for group in graph.groups if group not in after.groups]
        new = [group for group in after.groups if group not in graph.groups]
        if kind is not edits.remove:
            assert len(gone) <= 1
        assert len(new) <= 1
        if kind is edits.relation:
            assert after.groups == graph.groups and after.relations != graph.relations
        if kind is edits.move and new:
            assert new[0].position != gone[0].position and new[0].name == gone[0].name
        if kind is edits.count and gone:
            assert (new[0].name, new[0].attributes) == (gone[0].name, gone[0].attributes)
        seen += 1
    assert seen > 100


def test_a_reference_means_one_group_alone() -> None:
    rng = Random(2)
    graph = GroupGraph(
        None, (Group("2", "car", ("red",), "left"), Group("1", "car", ("red", "old"), "top")), ()
    )
    for _ in range(200):
        first, second = edits.refer(rng, graph, 0), edits.refer(rng, graph, 1)
        assert first is None or any(word in first[0] for word in ("left", "left-hand"))
        assert second is None or "old" in second[0] or "top" in second[0] or "upper" in second[0]


def test_no_phrasing_of_the_test_split_is_trained_on() -> None:
    def bare(template: str) -> str:
        return "".join("#" if part in "{}" else part for part in _blanked(template)).strip()

    held = {bare(template) for templates in HELD_OUT.values() for template in templates}
    own = {bare(template) for ways in WAYS for template in ways}
    assert not held & own
    assert not held & {bare(template) for templates in TRAIN_PHRASINGS.values() for template in templates}
    openings = (
        "include ",
        "introduce ",
        "leave out ",
        "erase ",
        "let ",
        "swap ",
        "give ",
        "bring ",
        "rather ",
    )
    assert not [template for ways in WAYS for template in ways if template.startswith(openings)]


def _blanked(template: str) -> str:
    out, depth = "", 0
    for letter in template:
        depth += letter == "{"
        if not depth:
            out += letter
        elif letter == "}":
            out, depth = out + "#", depth - 1
    return out


def test_the_graph_of_a_scene_is_the_one_grouped_from_its_objects() -> None:
    draws = np.random.default_rng(6)
    for number in range(150):
        scene = sample_scene(draws, DATASETS[number % len(DATASETS)])
        assert scene_groups(scene) == group_objects(scene_graph(scene))


def test_the_template_says_what_it_says_under_transformers(examples: list[Example]) -> None:
    ours, theirs = renderer(), _compile_jinja_template(TEMPLATE.read_text())
    for message, _, _ in examples[:200]:
        messages = [{"role": "user", "content": message}]
        assert ours(message) == theirs.render(messages=messages, add_generation_prompt=True)


def test_world_examples_have_the_serialised_form() -> None:
    rng = Random(4)
    for _ in range(20):
        message, caption, _ = plain_scene(rng)
        assert message.startswith("scene: ") and "\nobjects:\n- " in message and "Modification" not in message
        assert caption.endswith(".")
        assert edited_scene(rng)[0].count("\nModification: ") == 1


def test_the_template_puts_the_modification_first_and_marks_what_it_names() -> None:
    render = renderer()
    graph = GroupGraph(
        "port", (Group("2", "body", (), "left"), Group("", "car"), Group("a few", "ship")), ((0, "near", 1),)
    )
    assert render(user_message(graph, "remove the bodies and all ships")) == (
        "<|mod|> remove the bodies and all ships<|graph|> scene: port<|g1|><|named|> two bodies at the left"
        "<|g2|> car<|g3|><|named|> a few ships<|r|> the bodies are near the car<|answer|>"
    )
    cars = GroupGraph(
        None, (Group("2", "car", ("red", "old"), "top left"), Group("1", "car", ("red",), "top")), ()
    )
    assert render(user_message(cars, "Move the old, red cars at the top left to the left.")) == (
        "<|mod|> move the old, red cars at the top left to the left<|graph|>"
        "<|g1|><|named|> two red<|named|> old<|named|> cars at the top left<|named|>"
        "<|g2|><|named|> one red<|named|> car at the top<|answer|>"
    )


def test_the_template_marks_the_group_of_which_the_modification_says_most() -> None:
    courts = GroupGraph(
        None,
        (Group("2", "tennis court", ("blue",)), Group("1", "tennis court", ("red",)), Group("", "court")),
        (),
    )

    def marked(modification: str) -> list[bool]:
        prompt = renderer()(user_message(courts, modification))
        return [part.startswith("<|named|>") for part in re.split(r"<\|g\d\|>", prompt)[1:]]

    assert marked("remove the red tennis court") == [False, True, False]
    assert marked("remove the tennis courts") == [True, True, False]
    assert marked("paint the red tennis court blue and move the tennis courts") == [True, True, False]
    assert marked("change the blue tennis courts to one blue tennis court") == [True, False, False]


@pytest.mark.parametrize(
    "text", ["", "Hello!", "objects:", "- ", "relations:\n- ", "é\n\nModification: ", "- 3\n- : ;"]
)
def test_the_template_takes_any_message(text: str) -> None:
    assert renderer()(text).endswith("<|answer|>")


def test_any_text_can_be_written(encoder: TrainingEncoder, examples: list[Example]) -> None:
    tokenizer = encoder._tokenizer
    for text in (" Żółw 漢字 \U0001f6e9 naïve-café\tx", *(caption for _, caption, _ in examples)):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_training_ids_are_those_of_the_tokenizer(encoder: TrainingEncoder, examples: list[Example]) -> None:
    render, rng = renderer(), Random(0)
    for message, caption, _ in examples[:100]:
        prompt, answer = encoder.encode(rng, 0.0, render(message), " " + caption)
        assert prompt == encoder._tokenizer.encode(render(message)).ids
        assert answer == encoder._tokenizer.encode(" " + caption).ids


def test_a_word_cut_at_random_is_cut_alike_in_prompt_and_answer(encoder: TrainingEncoder) -> None:
    tokenizer, rng = encoder._tokenizer, Random(1)
    prompt, answer = encoder.encode(rng, 1.0, "<|g1|> quxovarn", " two quxovarns")
    assert tokenizer.decode(answer) == " two quxovarns"
    name = prompt[1:]
    assert any(answer[k : k + len(name)] == name for k in range(len(answer)))


def test_random_cuts_are_those_of_the_seed(encoder: TrainingEncoder, examples: list[Example]) -> None:
    text = " ".join(caption for _, caption, _ in examples[:50])
    cut, again, other = (encoder.encode(Random(seed), 0.5, text) for seed in (1, 1, 2))
    assert cut == again != other
    assert encoder._tokenizer.decode(cut[0]) == text


def test_names_and_their_plurals_share_the_stem(encoder: TrainingEncoder) -> None:
    tokenizer = encoder._tokenizer
    for singular, plural in (
        (" car", " cars"),
        (" body", " bodies"),
        (" box", " boxes"),
        (" house", " houses"),
    ):
        one, many = (tokenizer.encode(text).tokens for text in (singular, plural))
        shared = one[:-1] if singular.endswith(("y", "se")) else one
        assert many[: len(shared)] == shared and len(many) == len(shared) + 1


def test_only_the_answer_is_learnt(encoder: TrainingEncoder) -> None:
    rng, names = Random(0), Names()
    drawn = [open_example(rng, names, edited=False) for _ in range(64)]
    rows = list(encode_rows(drawn, encoder, renderer(), rng))
    for ids, labels, counts in batches(rows, encoder.end_id, 2048, rng):
        assert ids.shape == labels.shape == counts.shape and ids.size < 2 * 2048
        for row, wanted in zip(ids.tolist(), labels.tolist(), strict=True):
            places = [place for place, label in enumerate(wanted) if label >= 0]
            assert row[places[0]] == encoder._special["<|answer|>"]
            assert wanted[places[-1]] == encoder.end_id
            assert places == list(range(places[0], places[-1] + 1))


def test_special_tokens_are_one_token_each(encoder: TrainingEncoder) -> None:
    assert all(len(encoder._tokenizer.encode(token).ids) == 1 for token in SPECIAL)


def test_compare_counts_missed_and_invented_facts() -> None:
    expected = verbalise(GroupGraph("port", (Group("2", "ship"), Group("1", "dock")), ((0, "near", 1),)))
    assert compare(expected, expected) == (4, 4, 0)
    assert compare(expected, expected.replace("two ships", "three ships")) == (4, 3, 1)
    assert compare(expected, say_group(Group("2", "ship"))) == (4, 1, 0)


def test_what_an_edit_changes_counts_more() -> None:
    assert weights(None, [1, 2], 5.0) == [1.0, 1.0]
    assert weights([1, 2, 3, 4], [1, 2, 9, 4], 5.0) == [1.0, 1.0, 5.0, 1.0]
    assert weights([1, 2, 3, 4], [1, 4], 5.0) == [1.0, 5.0]
    assert weights([1, 2], [1, 7, 8, 2], 5.0) == [1.0, 5.0, 5.0, 1.0]
    assert weights([1, 2], [1], 5.0) == [1.0]
