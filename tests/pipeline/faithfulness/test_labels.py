"""Labels as archives write them: compared as words, and odd ones cost their own row at most."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.faithfulness.check import MOST_READ, check, vocabulary_of
from pipeline.faithfulness.labels import attribute_words, name_words, predicate_words, words_of_scene
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import Group, GroupGraph
from pipeline.graph.verbalise import verbalise
from tests.pipeline.faithfulness.test_cases import GRAPHS, OTHERS
from tests.soak import odd_labels

NONE_OF = [
    "scene", "the", "and", "one", "with", ".", "of", "2", "no", "left", "near", "", " ", "-", "\U0001f6a2",
    "it", "they", "is", "a", "in", "image", "aerial view", "top left", "next to", "on the left of", "there",
    "row", "red", "small red", "\u2461", "no cars", "cars and trees", "x" * 10_000,
]  # fmt: skip


@pytest.mark.parametrize("label", NONE_OF)
def test_a_name_without_a_word_of_its_own_is_not_searched_for(label: str) -> None:
    graph = GroupGraph("airport", (Group("1", label, ("white",), "left"), Group("2", "car")), ())
    words = vocabulary_of([graph])
    found = check("An airport scene with two cars.", graph, words)
    assert (found.facts, found.missed, found.invented) == (3, (), ())
    assert found.unchecked == (label, f"1 {label}", f"white {label}", f"{label} at left") and found.known


@pytest.mark.parametrize("label", NONE_OF)
def test_such_a_label_changes_no_other_row(label: str) -> None:
    attributes = () if label == "small red" else (label,)  # as an attribute it says something
    lamp, oak = Group("1", "lamp", attributes), Group("1", "oak")
    predicates = (
        () if label in ("with", "of", "near", "in", "next to", "on the left of") else ((0, label, 1),)
    )
    for noise in (
        GroupGraph(None, (Group("1", label),), ()),
        GroupGraph(label, (lamp, oak), predicates),
    ):
        assert odd_labels.judged_beside(noise) == odd_labels.EXPECTED


def test_a_graph_that_cannot_be_checked_is_not_known_to_be_right() -> None:
    graph = GroupGraph(None, (Group("", "the"),), ())
    found = check("A view of the.", graph, vocabulary_of([graph]))
    assert (found.facts, found.recall, found.known) == (0, None, False)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("small-vehicle", "small vehicle"),
        ("Small_Vehicle", "small vehicle"),
        ("ship/boat", "ship boat"),
        ("storage.tank", "storage tank"),
        ("court (tennis)", "court tennis"),
        ("the car", "car"),
        ("two cars", "cars"),
        ("a row of trees", "trees"),
        ("harbor scene", "harbor"),
        ("other-airplane", "airplane"),
        ("center pivot", "center pivot"),
        ("parking lot", "parking lot"),
        ("C-130", "c 130"),
        ("car(s)", "car"),
        ("Bus(es)", "bus"),
        ("\u0130skele", "iskele"),
        ("Sa\u0303o Lui\u0301s", "s\xe3o lu\xeds"),
    ],
)
def test_a_name_is_compared_by_its_words(name: str, words: str) -> None:
    assert " ".join(name_words(name)) == words


def test_words_of_the_other_labels() -> None:
    assert attribute_words("dark-green") == ("dark", "green") and attribute_words("very large") == ("large",)
    assert predicate_words("is next-to the") == ("next", "to") and predicate_words("on") == ("on",)
    assert words_of_scene("dense_residential") == ("dense", "residential") and not words_of_scene("center")
    assert not attribute_words("red, white") and attribute_words("red/white") == ("red", "white")
    assert not attribute_words("not paved") and not predicate_words("is") and not predicate_words("and")


HYPHENS = GroupGraph(
    "dense-residential",
    (
        Group("2", "small-vehicle", ("dark-green",), "left"),
        Group("1", "ground_track_field", ("l/shaped",)),
        Group("3", "ship/boat"),
    ),
    ((0, "next-to", 1),),
)


@pytest.mark.parametrize("joint", [" ", "-", "_"])
def test_a_hyphen_is_a_space_in_labels_and_in_texts(joint: str) -> None:
    text = (
        "A dense-residential scene with two dark-green small-vehicles at the left, one l-shaped "
        "ground-track-field and three ship-boats. The small-vehicles are next to the ground-track-field."
    ).replace("-", joint)
    words = vocabulary_of([HYPHENS, *GRAPHS.values()])
    for said in (text, text.upper()):
        found = check(said, HYPHENS, words)
        assert (found.missed, found.invented) == ((), ())
    blue = check(text.replace("green", "blue"), HYPHENS, words)
    assert "dark-green small-vehicle" in blue.missed


@pytest.mark.parametrize(
    ("name", "look"),
    [
        *((name, "white") for name in (
            "two-storey house", "red-roofed house", "L-shaped building", "in-ground pool", "on-ramp",
            "drive-in", "other-vehicle", "half-built house", "small-sized boat", "ro\u2011ro ship",
        )),
        *(("car", look) for look in (
            "very large", "mostly white", "half-built", "black and white", "red, white",
        )),
    ],
)  # fmt: skip
def test_a_sentence_by_rule_says_its_graph(name: str, look: str) -> None:
    graph = GroupGraph(
        "airport", (Group("2", name, (look,), "left"), Group("1", "pier")), ((0, "next to", 1),)
    )
    found = check(verbalise(graph), graph, vocabulary_of([graph]))
    assert (found.missed, found.invented) == ((), ()) and found.facts >= 6


def test_a_look_that_joins_others_leaves_each_free_and_one_that_denies_does_not() -> None:
    graph = GroupGraph(
        None, (Group("2", "car", ("black and white",)), Group("1", "road", ("not paved",))), ()
    )
    found = check("Two black cars and one white road.", graph, vocabulary_of([graph]))
    assert found.invented == ("white road",)


def test_a_name_with_a_hyphen_leaves_the_same_word_as_a_look() -> None:
    looks = (Group("1", "L-shaped building"), Group("2", "hangar", ("L-shaped",)))
    graph = GroupGraph(None, looks, ())
    found = check("An L-shaped building and two L-shaped hangars.", graph, vocabulary_of([graph]))
    assert (found.missed, found.invented) == ((), ())


def test_a_text_may_repeat_labels_as_they_are_written() -> None:
    words = vocabulary_of([HYPHENS])
    for said in (verbalise(HYPHENS).replace("next-to", "next to"), verbalise(HYPHENS)):
        assert check(said, HYPHENS, words).all_right


def test_one_name_in_several_spellings_is_one_name() -> None:
    groups = (Group("1", "small-vehicle", ("red",)), Group("2", "Small_Vehicle", ("blue",)))
    graph = GroupGraph(None, groups, ())
    words = vocabulary_of([graph])
    assert check("One red small vehicle and two blue small vehicles.", graph, words).all_right
    assert not check("One red small vehicle and two green small vehicles.", graph, words).all_right
    plural = GroupGraph(None, (Group("5", "trees"),), ())
    words = vocabulary_of([plural, GroupGraph(None, (Group("1", "tree"),), ())])
    assert check("Five trees.", plural, words).all_right and check("Six trees.", plural, words).invented


def test_an_object_named_as_a_scene_is_not_invented_by_naming_the_scene() -> None:
    beach = GroupGraph("beach", (Group("", "sea"),), ())
    words = vocabulary_of([beach, GroupGraph("harbor", (Group("1", "beach"),), ())])
    assert check("A beach by the sea.", beach, words).invented == ()
    assert check(
        "A harbor scene with a beach.", GroupGraph("harbor", (Group("1", "sea"),), ()), words
    ).invented


@pytest.mark.parametrize(
    ("quantity", "text", "right"),
    [
        ("\xb2", "two cars", None),  # an edit may write what it likes
        ("lots", "lots of cars", None),
        ("9" * 5000, "many cars", None),
        (" ", "many cars", None),
        ("many", "lots of cars", True),
        ("2", "a pair of cars", True),
        ("2", "three cars", False),
    ],
)
def test_a_quantity_that_no_text_could_state_is_not_checked(
    quantity: str, text: str, right: bool | None
) -> None:
    graph = GroupGraph(None, (Group(quantity, "car"),), ())
    found = check(text, graph, vocabulary_of([graph]))
    assert (f"{quantity} car" in found.unchecked) == (right is None)
    if right is not None:
        assert found.all_right == right


LABELS = st.text(max_size=30) | st.text(st.characters(), max_size=30) | st.sampled_from(NONE_OF)


@settings(max_examples=40, deadline=None)
@given(st.lists(LABELS, min_size=4, max_size=4), LABELS, st.text(st.characters(), max_size=200))
@example(["\ud800", "\udfff", "i", "ha"], "\xb2", "\ud800 two")
def test_no_text_ends_a_check(labels: list[str], quantity: str, text: str) -> None:
    name, other, attribute, predicate = labels
    groups = (Group(quantity, name, (attribute,), "left"), Group("1", other), Group("2", name))
    graph = GroupGraph(attribute or None, groups, ((0, predicate, 1), (2, "next to", 0)))
    words = vocabulary_of([graph, *GRAPHS.values()])
    for said in (text, verbalise(graph), serialise(graph)):
        found = check(said, graph, words)
        assert len(found.missed) <= found.facts
        assert (found.recall is None) == (found.facts == 0)


@pytest.mark.parametrize(
    "piece", ["the ", "red ", "a red car ", "It is red. ", "cars are red and ", ".", "x-"]
)
def test_a_very_long_text_takes_a_second_and_is_not_all_right(piece: str) -> None:
    words, graph = vocabulary_of([*GRAPHS.values(), OTHERS]), GRAPHS["airport"]
    since = time.process_time()
    found = check((piece * 100_000)[:100_000], graph, words)
    assert time.process_time() - since < 3 and not found.all_right
    assert found.invented[-1] == f"text after character {MOST_READ}"


@pytest.mark.parametrize("piece", ["car ", "x", "a-", "the ", "/", "\xe9"])
def test_a_very_long_label_takes_a_second(piece: str) -> None:
    label = (piece * 10_000)[:10_000]
    graph = GroupGraph(label, (Group("1", label, (label,)), Group("1", "zebra")), ((0, label, 1),))
    since = time.process_time()
    words = vocabulary_of([*GRAPHS.values(), graph])
    assert check("One zebra " + label, graph, words).facts == 2
    assert time.process_time() - since < 3
