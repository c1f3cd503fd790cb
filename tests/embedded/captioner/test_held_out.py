"""Combinations of name, colour and place: which are held out, and that no training example has one."""

from random import Random

import pytest

from embedded.captioner.evaluate import facts
from embedded.captioner.examples import Example, edited_scene, examples, open_example, plain_scene
from embedded.captioner.held_out import has_held_out, is_held_out
from embedded.captioner.random_graphs import Names
from embedded.world.model import POSITION_NAMES as CELLS
from embedded.world.vocabulary import COLOURS, OBJECTS
from pipeline.graph.scene_graph import Group, GroupGraph
from pipeline.graph.verbalise import say_group

COMBINATIONS = [(name, colour, cell) for name in OBJECTS for colour in COLOURS for cell in CELLS]
HELD_OUT = [combination for combination in COMBINATIONS if is_held_out(*combination)]


def _in_message(example: Example) -> bool:
    """Whether a line of the serialised graph is a held-out combination of the world's words."""
    lines = example[0].split("\n")
    return any(line.startswith("- ") and line.split(" ", 2)[-1] in _PHRASES for line in lines)


def _in_caption(example: Example) -> bool:
    """Whether the caption says a held-out combination, in any of the sizes and numbers of the world."""
    return any(fact.split(" ", 1)[-1] in _PHRASES for fact in facts(example[1]))


_PHRASES = {
    say_group(Group(number, name, attributes, cell)).split(" ", 1)[1]
    for name, colour, cell in HELD_OUT
    for number in ("1", "2")
    for attributes in ((colour,), ("small", colour), ("medium", colour), ("large", colour))
}


def test_about_one_combination_in_twenty_is_held_out() -> None:
    assert 0.03 < len(HELD_OUT) / len(COMBINATIONS) < 0.07
    assert {colour for _, colour, _ in HELD_OUT} == set(COLOURS)
    assert {cell for _, _, cell in HELD_OUT} == set(CELLS)


def test_a_graph_has_one_if_any_group_is_one() -> None:
    name, colour, cell = HELD_OUT[0]
    other = Group("1", "zeppelin")
    assert has_held_out(GroupGraph(None, (other, Group("2", name, ("small", colour), cell)), ()))
    assert not has_held_out(GroupGraph(None, (other, Group("2", name, (colour,), None)), ()))
    assert not has_held_out(GroupGraph(None, (other, Group("2", name, ("small",), cell)), ()))


@pytest.mark.parametrize("world", (0.0, 1.0), ids=("open", "world"))
def test_no_training_example_has_one(world: float) -> None:
    feed = examples(Random(11), 12, world=world, edited=0.6)
    for _ in range(2500):
        example = next(feed)
        assert not _in_message(example), example[0]
        assert not _in_caption(example), example[1]


def test_open_graphs_redraw_those_that_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def refuse_first(graph: GroupGraph) -> bool:
        seen.append(graph)
        return len(seen) in (1, 3)  # the first graph, and the second one after its change

    monkeypatch.setattr("embedded.captioner.examples.has_held_out", refuse_first)
    open_example(Random(0), Names(), edited=True)
    assert len(seen) >= 5


def test_evaluation_examples_have_one_to_say() -> None:
    rng = Random(3)
    for _ in range(40):
        example = plain_scene(rng, held_out=True)
        assert _in_message(example) and _in_caption(example)
        assert _in_caption(edited_scene(rng, held_out=True))
