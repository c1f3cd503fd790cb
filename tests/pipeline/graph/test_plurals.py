"""Plurals of names, by rule and by list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.graph.plurals import IRREGULAR, pluralise


@pytest.mark.parametrize(
    ("name", "plural"),
    [
        ("car", "cars"),
        ("box", "boxes"),
        ("body", "bodies"),
        ("highway", "highways"),
        ("branch", "branches"),
        ("brush", "brushes"),
        ("bus", "buses"),
        ("grass", "grasses"),
        ("house", "houses"),
        ("storage tank", "storage tanks"),
        ("tennis", "tennises"),
        ("stairs", "stairs"),
        ("y", "ys"),
        ("old man", "old men"),
        ("Person", "People"),
        ("fishing aircraft", "fishing aircraft"),
        ("children", "children"),
        ("barracks", "barracks"),
    ],
)
def test_plurals(name: str, plural: str) -> None:
    assert pluralise(name) == plural


@given(st.sampled_from(sorted(IRREGULAR)))
def test_a_plural_stays(name: str) -> None:
    assert pluralise(pluralise(name)) == pluralise(name)
