from pipeline.graph.scene_graph import Group, GroupGraph
from trainer.study.traps import EDITS, NEAR, TWINS, facts, near_keys, trap_indices

CAR, TREE, POOL = Group("1", "car", ("red",)), Group("2", "tree"), Group("1", "pool")


def graph(*groups: Group, relations: tuple[tuple[int, str, int], ...] = ()) -> GroupGraph:
    return GroupGraph(None, groups, relations)


GRAPHS = {
    "reference": graph(CAR),
    "target": graph(CAR, TREE),
    "twin": graph(TREE, CAR),  # another order is the same graph
    "one more": graph(CAR, TREE, POOL),
    "one less": graph(TREE),
    "recoloured": graph(Group("1", "car", ("blue",)), TREE),
    "related": graph(CAR, TREE, relations=((0, "next to", 1),)),
    "two away": graph(Group("1", "car", ("blue",)), Group("3", "tree")),
}


def places(kind: str) -> set[str]:
    ids = sorted(GRAPHS)
    found = trap_indices(ids, GRAPHS, ["reference"], ["target"], [["target"]])
    return {ids[place] for place in found[kind][0].tolist() if place >= 0}


def test_twins_have_the_targets_graph() -> None:
    assert places(TWINS) == {"twin"}


def test_near_misses_are_one_fact_away() -> None:
    assert places(NEAR) == {"reference", "one more", "one less", "recoloured", "related"}


def test_other_edits_are_the_targets_of_the_references_other_queries() -> None:
    ids = ["a", "b", "c", "reference"]
    found = trap_indices(ids, {}, ["reference"] * 3, ["a", "b", "c"], [["a", "b"], ["b"], ["c"]])[EDITS]
    assert [[ids[place] for place in row if place >= 0] for row in found.tolist()] == [
        ["c"],  # b is right too
        ["a", "c"],
        ["a", "b"],
    ]


def test_an_image_without_a_graph_is_a_trap_of_no_kind() -> None:
    found = trap_indices(["a", "b"], {"b": GRAPHS["target"]}, ["b"], ["a"], [["a"]])
    assert found[TWINS].tolist() == found[NEAR].tolist() == [[-1]]


def test_two_sets_share_a_key_exactly_when_one_fact_differs() -> None:
    said = {name: facts(graph) for name, graph in GRAPHS.items()}
    for one in said.values():
        for other in said.values():
            near = bool(set(near_keys(one)) & set(near_keys(other)))
            assert near == (max(len(one - other), len(other - one)) <= 1)
