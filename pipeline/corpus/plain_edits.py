"""Edits read from plain modification texts: "add two cars and remove the trees", "change to many buildings".

A text is read only if it follows this small grammar word by word, with names from the dataset's graphs. Any
other text has no edits, and no figure that needs them is computed.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from pipeline.graph.edits import Edit
from pipeline.graph.plurals import pluralise
from pipeline.graph.scene_graph import NUMBER_WORDS, VAGUE_QUANTITIES, Group, GroupGraph

_CLAUSE = re.compile(r"(?:,| and)\s+(?=(?:add|remove|change to) )")
_QUANTITIES = sorted((*NUMBER_WORDS, *VAGUE_QUANTITIES), key=len, reverse=True)


class EditReader:
    """Reads modification texts about objects with one of `names`, the names in the dataset's scene graphs."""

    def __init__(self, names: Iterable[str]) -> None:
        self._name_of: dict[str, str] = {}  # by singular and plural
        for name in names:
            self._name_of[name] = self._name_of[pluralise(name)] = name

    def read(self, modification: str, graph: GroupGraph) -> tuple[Edit, ...] | None:
        """The edits of `graph` that a text asks for; None if some of it does not follow the grammar."""
        edits: list[Edit] = []
        for clause in _CLAUSE.split(modification.strip().rstrip(".")):
            clause_edits = self._clause(clause, graph)
            if clause_edits is None:
                return None
            edits += clause_edits
        return tuple(edits)

    def _clause(self, clause: str, graph: GroupGraph) -> list[Edit] | None:
        for verb, read in (("add ", self._add), ("remove ", self._remove), ("change to ", self._change)):
            if clause.startswith(verb):
                return read(clause.removeprefix(verb), graph)
        return None

    def _add(self, words: str, graph: GroupGraph) -> list[Edit] | None:
        quantity, name = self._noun_phrase(words)
        if name is None or _named(graph, name):
            return None  # "add cars" to two cars does not tell how many there are then
        return [Edit("add", "object", Group(quantity, name))]

    def _remove(self, words: str, graph: GroupGraph) -> list[Edit] | None:
        name = self._name_of.get(words.removeprefix("the ").removeprefix("all "))
        groups = _named(graph, name)
        return [Edit("remove", "object", group) for group in groups] or None

    def _change(self, words: str, graph: GroupGraph) -> list[Edit] | None:
        quantity, name = self._noun_phrase(words)
        groups = _named(graph, name)
        if not quantity or len(groups) != 1:
            return None
        new = replace(groups[0], quantity=quantity)
        return [Edit("remove", "object", groups[0]), Edit("add", "object", new)]

    def _noun_phrase(self, words: str) -> tuple[str, str | None]:
        for quantity in _QUANTITIES:
            if words.startswith(f"{quantity} "):
                name = words.removeprefix(f"{quantity} ")
                return str(NUMBER_WORDS.get(quantity, quantity)), self._name_of.get(name)
        return "", self._name_of.get(words)


def _named(graph: GroupGraph, name: str | None) -> list[Group]:
    return [group for group in graph.groups if group.name == name]
