"""Faithfulness over many graphs: regular captions pass, and no single corrupted fact goes unseen."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.faithfulness.check import Check, Checker, Vocabulary, check, vocabulary_of
from pipeline.graph.scene_graph import POSITIONS, Group, GroupGraph, graph_from_row, group_objects
from pipeline.graph.verbalise import verbalise

CELLS = [cell for row in POSITIONS for cell in row]
NAMES = ("car", "storage tank", "bus", "pond", "tree", "tennis court", "factory", "leaf", "aircraft", "bush")
ATTRIBUTES = ("red", "small", "gray", "wooden", "large", "dark green", "l-shaped", "blue")
PREDICATES = ("left of", "above", "surrounded by", "next to", "on", "parked near", "with")
UCM = Path(__file__).parents[4] / "shared/ucm"


@st.composite
def graphs(draw: st.DrawFn) -> GroupGraph:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5))
    groups = []
    for number, name in enumerate(names):
        attributes = draw(st.lists(st.sampled_from(ATTRIBUTES), max_size=2, unique=True))
        quantity = draw(st.sampled_from(("1", "2", "3", "7", "14")))
        position = CELLS[(draw(st.integers(0, 1)) + 2 * number) % 9]  # groups of one name never share a place
        groups.append(Group(quantity, name, tuple(attributes), position))
    relations = []
    single = [i for i, name in enumerate(names) if names.count(name) == 1]
    if len(single) > 1 and draw(st.booleans()):
        ends = draw(st.permutations(single))
        relations.append((ends[0], draw(st.sampled_from(PREDICATES)), ends[1]))
    return GroupGraph(draw(st.sampled_from((None, "harbor", "dense area"))), tuple(groups), tuple(relations))


WORDS = Vocabulary(
    frozenset(NAMES), frozenset(ATTRIBUTES), frozenset(PREDICATES), frozenset(("harbor", "dense area"))
)


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_a_caption_by_rule_says_every_fact_and_no_other(graph: GroupGraph) -> None:
    found = check(verbalise(graph), graph, WORDS)
    assert (found.missed, found.invented) == ((), ())


def _corrupted(graph: GroupGraph, words: Vocabulary, rng: random.Random) -> Iterator[tuple[str, GroupGraph]]:
    """The graph with one fact changed, in each way that it allows."""
    groups, relations = graph.groups, graph.relations

    def changed(at: int, **fields: object) -> GroupGraph:
        new = replace(groups[at], **fields)  # type: ignore[arg-type]
        return replace(graph, groups=(*groups[:at], new, *groups[at + 1 :]))

    def related(*new: tuple[int, str, int]) -> GroupGraph:
        return replace(graph, relations=(*new, *relations[1:]))

    at = rng.randrange(len(groups))
    group = groups[at]
    others = sorted(words.names - {g.name for g in groups})
    if others:
        yield (
            "object added",
            replace(graph, groups=(*groups, Group("2", rng.choice(others), (), group.position))),
        )
    if len(groups) > 1:
        kept = [i for i in range(len(groups)) if i != at]
        place = {old: new for new, old in enumerate(kept)}
        yield (
            "object dropped",
            replace(
                graph,
                groups=tuple(groups[i] for i in kept),
                relations=tuple((place[s], p, place[o]) for s, p, o in relations if at not in (s, o)),
            ),
        )
    if group.attributes:
        other = rng.choice(sorted(words.attributes - set(group.attributes)))
        yield "attribute changed", changed(at, attributes=(other, *group.attributes[1:]))
        yield "attribute dropped", changed(at, attributes=group.attributes[1:])
    for i, other_group in enumerate(groups):
        if other_group.name != group.name and other_group.attributes != group.attributes:
            swapped = list(groups)
            swapped[at] = replace(group, attributes=other_group.attributes)
            swapped[i] = replace(other_group, attributes=group.attributes)
            yield "attributes swapped", replace(graph, groups=tuple(swapped))
            break
    if group.quantity.isdigit():
        yield "count off by one", changed(at, quantity=str(int(group.quantity) + 1))
        yield "count dropped", changed(at, quantity="")
    if group.position:
        yield "moved", changed(at, position=rng.choice([c for c in CELLS if c != group.position]))
        yield "position dropped", changed(at, position=None)
    if relations:
        subject, predicate, object_ = relations[0]
        yield "relation dropped", related()
        turned = (object_, predicate, subject)
        if predicate not in ("next to", "with") and turned not in relations and subject != object_:
            yield "relation turned round", related(turned)
        other = rng.choice(
            sorted(words.predicates - {predicate} - {p for _, p, _ in relations}) or [predicate]
        )
        if other != predicate:
            yield "predicate changed", related((subject, other, object_))


def _unseen(all_graphs: list[GroupGraph], words: Vocabulary) -> tuple[Counter[str], Counter[str]]:
    rng, tried, unseen = random.Random(0), Counter[str](), Counter[str]()
    for graph in all_graphs:
        for kind, other in _corrupted(graph, words, rng):
            if set(other.groups) == set(graph.groups) and other.relations == graph.relations:
                continue
            for text, truth in ((verbalise(graph), other), (verbalise(other), graph)):
                tried[kind] += 1
                unseen[kind] += check(text, truth, words).all_right
    return tried, unseen


def test_single_corrupted_facts_of_world_graphs_are_seen() -> None:
    from embedded.world.families import family
    from embedded.world.scene import scene_graph

    scenes = {
        group_objects(scene_graph(scene))
        for theme in ("airplane", "mixed")
        for index in range(4)
        for scene in family(2026, theme, index, "test").scenes[0]
    }
    ordered = sorted(scenes, key=repr)
    tried, unseen = _unseen(ordered, vocabulary_of(ordered))
    assert len(tried) == 12 and min(tried.values()) > 50
    assert sum(unseen.values()) == 0, unseen


@pytest.mark.skipif(not UCM.is_dir(), reason="needs the ucm corpus beside the project")
def test_human_captions_of_real_images_are_mostly_not_contradicted() -> None:
    rows = json.loads((UCM / "scene_graphs.json").read_text())[::10]
    size = {"width": 256, "height": 256}
    all_graphs = {row["image_id"]: group_objects(graph_from_row(row | size)) for row in rows}
    words = vocabulary_of(all_graphs.values())
    captions = json.loads((UCM / "captions.json").read_text())
    found: list[Check] = [
        check(text, graph, words) for image, graph in all_graphs.items() for text in captions[image]
    ]
    assert len(found) == 1050
    contradicted = sum(bool(result.invented) for result in found) / len(found)
    recall = sum(result.recall or 0 for result in found) / len(found)
    assert contradicted < 0.25 and 0.2 < recall < 0.5  # graphs hold more than a caption says


def test_facts_are_counted_and_named() -> None:
    graph = GroupGraph(
        "airport",
        (Group("2", "car", ("small", "red"), "top left"), Group("", "hangar")),
        ((0, "next to", 1),),
    )
    words = vocabulary_of([graph])
    nothing = check("", graph, words)
    assert nothing.facts == 8 and nothing.recall == 0.0 and not nothing.all_right
    assert nothing.missed == (
        "scene airport",
        "car",
        "2 car",
        "small car",
        "red car",
        "car at top left",
        "hangar",
        "car next to hangar",
    )
    half = check("Two red cars at the airport.", graph, words)
    assert half.recall == 0.5 and half.invented == ()


def test_an_empty_graph_has_no_facts_but_can_be_contradicted() -> None:
    empty = GroupGraph(None, (), ())
    assert check("An aerial view.", empty, WORDS) == Check(0, (), ())
    assert check("An aerial view.", empty, WORDS).recall is None
    assert check("An aerial view with two red cars.", empty, WORDS).invented == ("car",)


def test_hostile_text_is_judged_like_any_other() -> None:
    graph = GroupGraph("harbor", (Group("2", "car", ("red",), "left"),), ())
    texts = [
        "\x00\x1b[31m",
        "<|im_end|>" * 50,
        "((((",
        "two " * 3000,
        "of of of the the",
        "no",
        "é ü 汽车",
        ", , and and .",
    ]
    for text in texts:
        assert check(text, graph, WORDS).missed


def test_a_scene_named_after_its_objects_is_no_object() -> None:
    graph = GroupGraph("buildings", (Group("many", "building"), Group("", "grass")), ())
    words = vocabulary_of([graph])
    for said in ("A buildings scene", "A building scene"):
        assert check(f"{said} with many buildings and grass.", graph, words).all_right
    assert check("A scene with a building and grass.", graph, words).invented == ("1 building",)


def test_a_checker_judges_as_check_does_and_remembers() -> None:
    graph = GroupGraph("harbor", (Group("2", "car", ("red",), "left"),), ())
    checker, text = Checker(WORDS), "A harbor with two blue cars at the left."
    assert checker.check(text, graph) == check(text, graph, WORDS)
    assert checker.check(text, graph) is checker.check(text, graph)
