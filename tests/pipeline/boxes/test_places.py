"""How the objects of one class are put into groups."""

from pipeline.boxes.places import MOST_COUNTED, MOST_GROUPS, Kind, Thing, kinds_of
from pipeline.graph.scene_graph import POSITIONS

CELLS = [cell for row in POSITIONS for cell in row]


def _things(*facts: tuple[str, tuple[str, ...]]) -> list[Thing]:
    return [
        Thing("car", (37.0 * number**2 % 101, 53.0 * number**3 % 97, 4, 4), cell, looks, number)
        for number, (cell, looks) in enumerate(facts)
    ]


def _said(kinds: list[Kind]) -> list[tuple[int, str | None, tuple[str, ...]]]:
    return [(len(kind.things), kind.cell, kind.looks) for kind in kinds]


def test_few_groups_say_looks_and_places() -> None:
    things = _things(("top", ("small",)), ("top", ()), ("top", ("small",)), ("left", ()))
    assert _said(kinds_of(things)) == [(2, "top", ("small",)), (1, "top", ()), (1, "left", ())]


def test_more_groups_keep_the_looks_that_all_share() -> None:
    things = _things(
        ("top", ("small", "red")), ("top", ("small",)), ("top", ("small", "blue")),
        ("left", ()), ("left", ("large",)), ("right", ("large",)),
    )  # fmt: skip
    assert _said(kinds_of(things)) == [(3, "top", ("small",)), (2, "left", ()), (1, "right", ("large",))]


def test_a_class_all_over_the_image_has_no_place() -> None:
    things = _things(*((cell, ("small",)) for cell in CELLS[: MOST_GROUPS + 1]))
    assert _said(kinds_of(things)) == [(MOST_GROUPS + 1, None, ("small",))]
    assert len(kinds_of(things[:MOST_GROUPS])) == MOST_GROUPS


def test_many_are_not_counted() -> None:
    assert kinds_of(_things(*[("top", ())] * MOST_COUNTED))[0].quantity is None
    assert kinds_of(_things(*[("top", ())] * (MOST_COUNTED + 1)))[0].quantity == "many"


def test_a_row_over_several_places_is_one_group() -> None:
    row = [Thing("car", (10.0 + 20 * i, 50.0, 15.0, 12.0), cell) for i, cell in enumerate(CELLS[3:6])]
    assert _said(kinds_of(row)) == [(3, None, ("lined-up",))]
    row[1].looks = ("small",)
    assert len(kinds_of(row)) == 3
