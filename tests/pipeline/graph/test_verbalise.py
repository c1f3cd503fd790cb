"""The rules that say a graph in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.graph.scene_graph import NUMBER_WORDS, Group, GroupGraph
from pipeline.graph.verbalise import number_word, say_group, say_relation, verbalise


def test_number_words_end_at_twelve() -> None:
    assert [number_word(n) for n in (1, 2, 12, 13, 0)] == ["one", "two", "twelve", "13", "0"]


@pytest.mark.parametrize(
    ("group", "said"),
    [
        (Group("1", "car", ("small", "red"), "top left"), "one small red car at the top left"),
        (Group("2", "storage tank"), "two storage tanks"),
        (Group("many", "tree", ("green",)), "many green trees"),
        (Group("a few", "bus", (), "center"), "a few buses at the center"),
        (Group("", "bare soil"), "bare soil"),
        (Group("40", "house", ()), "40 houses"),
    ],
)
def test_a_group_is_said_with_every_field(group: Group, said: str) -> None:
    assert say_group(group) == said


def test_the_whole_graph() -> None:
    graph = GroupGraph(
        "airport",
        (
            Group("2", "plane", ("small", "white"), "top left"),
            Group("1", "hangar", (), "center"),
            Group("many", "tree", ("green",)),
        ),
        ((0, "next to", 1),),
    )
    assert verbalise(graph) == (
        "An airport scene with two small white planes at the top left, one hangar at the center and many "
        "green trees. The planes are next to the hangar."
    )


def test_names_that_stand_twice_are_told_apart_in_relations() -> None:
    groups = (Group("1", "car", ("red",), "left"), Group("3", "car", ("blue",), "top"), Group("", "road"))
    graph = GroupGraph(None, groups, ((1, "parked near", 0), (2, "below", 1)))
    assert say_relation(graph, graph.relations[0]) == "The blue cars are parked near the red car."
    assert say_relation(graph, graph.relations[1]) == "The road is below the blue cars."


def test_empty_graphs_still_give_a_caption() -> None:
    assert verbalise(GroupGraph(None, (), ())) == "An aerial view."
    assert verbalise(GroupGraph("park", (), ())) == "A park scene."


names = st.text("abcdefghijklmnop ", min_size=1, max_size=12).map(str.strip).filter(bool)
groups = st.builds(
    Group,
    st.sampled_from(["", "1", "2", "12", "some", "many"]),
    names,
    st.lists(names, max_size=3).map(tuple),
    st.sampled_from([None, "top left", "center"]),
)


@given(st.lists(groups, max_size=6))
def test_every_fact_is_in_the_caption(members: list[Group]) -> None:
    caption = verbalise(GroupGraph("port", tuple(members), ()))
    for group in members:
        assert say_group(group) in caption
        assert all(attribute in caption for attribute in group.attributes)
    assert caption.count("\n") == 0


def test_every_number_word_has_its_number() -> None:
    assert {number_word(n) for n in NUMBER_WORDS.values()} == set(NUMBER_WORDS)
