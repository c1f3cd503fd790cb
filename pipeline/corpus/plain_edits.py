"""Edits read from plain modification texts: "add two cars and remove the trees", "change to many buildings".

Only what follows this small grammar word for word, over names that the dataset's graphs hold, is read. Any
other text means what it means to a reader, not to a rule: then there are no edits, and nothing is counted
that would need them.
"""

import re
from collections.abc import Iterable

from pipeline.graph.edits import Edit
from pipeline.graph.scene_graph import NUMBER_WORDS, VAGUE_QUANTITIES, Group, GroupGraph
from pipeline.graph.verbalise import pluralise

_CLAUSE = re.compile(r"(?:,| and)\s+(?=(?:add|remove|change to) )")
_QUANTITIES = (*NUMBER_WORDS, *VAGUE_QUANTITIES)


class EditReader:
    """Reads modification texts about objects that are called one of `names`.

    Args:
        names: every object name of the dataset's scene graphs, in the singular.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._name_of: dict[str, str] = {}
        for name in names:
            self._name_of[name] = name
            self._name_of[pluralise(name)] = name

    def read(self, modification: str, graph: GroupGraph) -> tuple[Edit, ...] | None:
        """The edits of `graph` that a text asks for, or None where no rule reads all of it."""
        edits: list[Edit] = []
        for clause in _CLAUSE.split(modification.strip().rstrip(".")):
            found = self._clause(clause, graph)
            if found is None:
                return None
            edits += found
        return tuple(edits)

    def _clause(self, clause: str, graph: GroupGraph) -> list[Edit] | None:
        for verb, read in (("add ", self._add), ("remove ", self._remove), ("change to ", self._change)):
            if clause.startswith(verb):
                return read(clause.removeprefix(verb), graph)
        return None

    def _add(self, words: str, graph: GroupGraph) -> list[Edit] | None:
        quantity, name = self._noun_phrase(words)
        if name is None or _named(graph, name):
            return None  # more of what is there: how many it makes is not said
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
        old = groups[0]
        new = Group(quantity, old.name, old.attributes, old.position)
        return [Edit("remove", "object", old), Edit("add", "object", new)]

    def _noun_phrase(self, words: str) -> tuple[str, str | None]:
        for stated in sorted(_QUANTITIES, key=len, reverse=True):
            if words.startswith(stated + " "):
                return str(NUMBER_WORDS.get(stated, stated)), self._name_of.get(words[len(stated) + 1 :])
        return "", self._name_of.get(words)


def _named(graph: GroupGraph, name: str | None) -> list[Group]:
    return [group for group in graph.groups if group.name == name]
