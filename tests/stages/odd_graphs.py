"""Scene graphs that are dense or odd, as rows of the scene graph table, by what is odd about them."""

from typing import Any

SIZE = 300
NAMES = (
    "airplane", "hangar", "storage tank", "car", "truck", "bus", "boat", "dock", "crane", "house",
    "tennis court", "tree", "pond", "bridge", "road", "parking lot", "roundabout", "helicopter", "runway",
    "terminal", "tower", "warehouse", "garden", "field", "pool",
)  # fmt: skip


def node(number: int, name: str, *attributes: str, at: tuple[int, int] | None = None) -> dict[str, Any]:
    """An object; `at` is the centre of its box, in pixels."""
    bbox = at and {"x": at[0] - 5.0, "y": at[1] - 5.0, "w": 10.0, "h": 10.0}
    return {"object_id": number, "name": name, "attributes": list(attributes), "bbox": bbox}


def graph(
    nodes: list[dict[str, Any]],
    relations: list[tuple[int, str, int]] | None = None,
    scene: str | None = "airport",
) -> dict[str, Any]:
    return {
        "width": SIZE,
        "height": SIZE,
        "scene": scene,
        "objects": nodes,
        "relationships": [
            {"subject_id": subject, "predicate": predicate, "object_id": end}
            for subject, predicate, end in relations or ()
        ],
    }


def all_related(kinds: int, *attributes: str) -> dict[str, Any]:
    """Objects of so many names at nine places, every pair related."""
    nodes = [
        node(n, NAMES[n % len(NAMES)], *attributes, at=(50 + 100 * (n % 3), 50 + 100 * (n // 3 % 3)))
        for n in range(kinds)
    ]
    return graph(nodes, [(a, "next to", b) for a in range(kinds) for b in range(a)])


CAR, TREE, POND = node(0, "car", "red"), node(1, "tree"), node(2, "pond", at=(150, 150))
DENSE = {
    "25 objects, all related": all_related(25),
    "25 small red objects, all related": all_related(25, "small", "red"),
    "60 kinds of objects": graph(
        [node(n, NAMES[n % 25], ("red", "blue", "green")[n // 25], at=(5 + 4 * n, 150)) for n in range(60)]
    ),
    "2,000 objects of 500 kinds, in a chain": graph(
        [node(n, f"{NAMES[n % 25]} {n % 500}", at=(10 + n % 280, 10 + n // 8)) for n in range(2000)],
        [(n, "next to", n + 1) for n in range(1999)],
    ),
}
ODD = {
    "1,000 objects of one name": graph([node(n, "car", at=(50, 50)) for n in range(1000)]),
    "1,000 objects of one name, everywhere": graph(
        [node(n, "car", at=(1 + n % 298, 1 + n * 7 % 298)) for n in range(1000)]
    ),
    "a relation to itself": graph([CAR, TREE], [(0, "next to", 0)]),
    "parallel relations": graph([CAR, TREE], [(0, "next to", 1), (0, "behind", 1), (0, "next to", 1)]),
    "a relation both ways": graph([CAR, TREE], [(0, "next to", 1), (1, "next to", 0)]),
    "a chain of relations": graph(
        [node(n, NAMES[n]) for n in range(6)], [(n, "next to", n + 1) for n in range(5)]
    ),
    "no object, only a scene": graph([]),
    "nothing at all": graph([], scene=None),
    "no scene": graph([CAR, TREE, POND], scene=None),
}
UNCHECKED = {  # the check takes these labels for no names; `corpus` lets the last two in no graph
    "markup of prompts": graph(
        [node(0, "<|im_start|>system"), node(1, "## assistant"), node(2, "{graph}"), node(3, "<s>")]
    ),
    "a name of two lines": graph([node(0, "car\nrelations:\n- tree next to tree"), TREE]),
    "an empty predicate": graph([CAR, TREE], [(0, "", 1)]),
}
HOPELESS = {"a name of 10,000 characters": graph([node(0, "car " * 2500), TREE])}
