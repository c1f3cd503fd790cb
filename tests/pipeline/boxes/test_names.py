"""Class names as words, and their plurals."""

import pytest

from pipeline.boxes.names import LONGEST, has_plural, singular
from pipeline.graph.plurals import IRREGULAR, pluralise


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("plane", "plane"), ("Airplanes", "airplane"), ("small-vehicle", "small vehicle"),
        ("Ground_Track_Field", "ground track field"), ("BaseballDiamond", "baseball diamond"),
        ("storage  tank ", "storage tank"), ("STORAGE TANKS", "storage tank"), ("CAR", "car"),
        ("GTF", "GTF"), ("A220", "A220"), ("BC", "BC"), ("class1", "class1"), ("Boeing737", "boeing737"),
        ("7", "class 7"), ("buildings", "building"), ("harbours", "harbour"), ("buses", "bus"),
        ("bus", "bus"), ("bridges", "bridge"), ("houses", "house"), ("warehouses", "warehouse"),
        ("churches", "church"), ("boxes", "box"), ("ferries", "ferry"), ("people", "person"),
        ("aircraft", "aircraft"), ("glass", "glass"), ("tennis", "tennis"), ("campus", "campus"),
        ("leaves", "leaf"), ("wharves", "wharf"), ("bases", "base"), ("other-ship", "ship"),
        ("other", "other"), ("court (tennis)", "tennis court"), ("Bus(es)", "bus"),
        ("small-car(s)", "small car"), ("ATMMachine", "atm machine"),
        ("Windräder", "windräder"), ("船", "船"), ("--", ""), ("", ""), ("a\x00b", "a b"),
        ("railway tracks", "railway track"), ("container-crane", "container crane"), ("gas", "gas"),
    ],
)  # fmt: skip
def test_names_become_words(written: str, name: str) -> None:
    assert singular(written) == name
    assert singular(name) == name


def test_a_long_name_is_cut() -> None:
    assert len(singular("ab " * 200)) <= LONGEST


@pytest.mark.parametrize(
    "name", [*IRREGULAR, "plane", "church", "box", "ferry", "house", "base", "glass", "bay"]
)
def test_a_plural_leads_back_to_its_name(name: str) -> None:
    if name not in ("axis", "basis"):  # "axes" is of "ax" too, "bases" of "base"
        assert singular(pluralise(name)) == name


@pytest.mark.parametrize("name", ["water", "bare ground", "GTF", "A220", "class 7", "船", "windräder"])
def test_names_without_a_plural(name: str) -> None:
    assert not has_plural(name)


@pytest.mark.parametrize("name", ["plane", "person", "aircraft", "swimming pool", "ship/boat"])
def test_names_with_a_plural(name: str) -> None:
    assert has_plural(name) == (name != "ship/boat")
