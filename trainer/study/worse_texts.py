"""Texts of a writer that leaves facts out or gets them wrong: what a worse language model costs.

Every text is written by rule, from a graph in which each fact is spoilt with the same probability. Facts are
the name, quantity, attributes and position of a group, and relations.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.graph.scene_graph import Group, GroupGraph
from pipeline.graph.verbalise import verbalise
from trainer.retrieval.splits import Split, language_text

Fault = Literal["left out", "wrong"]


@dataclass(frozen=True)
class Values:
    """What the graphs of a dataset state, sorted: a wrong fact has another value of its kind.

    Attributes:
        names, quantities, attributes, positions, predicates: without repetitions; unknown ones are no values.
    """

    names: Sequence[str]
    quantities: Sequence[str]
    attributes: Sequence[str]
    positions: Sequence[str]
    predicates: Sequence[str]

    @classmethod
    def of(cls, graphs: Iterable[GroupGraph]) -> "Values":
        """Of these graphs."""
        graphs = list(graphs)
        groups = {group for graph in graphs for group in graph.groups}
        return cls(
            sorted({group.name for group in groups}),
            sorted({group.quantity for group in groups if group.quantity}),
            sorted({attribute for group in groups for attribute in group.attributes}),
            sorted({group.position for group in groups if group.position}),
            sorted({predicate for graph in graphs for _, predicate, _ in graph.relations}),
        )


@dataclass(frozen=True)
class WorseWriter:
    """Writes the sentences of graphs with a share of their facts spoilt.

    Args:
        fault: `left out`: a spoilt fact is not said (a group without its name is not said at all, nor are its
            relations); `wrong`: another value of its kind is said, if the dataset has one.
        share: the probability of each fact, 0 to 1.
        values: of the dataset.
        seed: of all draws.
    """

    fault: Fault
    share: float
    values: Values
    seed: int

    def write(self, graph: GroupGraph, key: str) -> str:
        """The text of a graph; the same key and graph give the same text."""
        draw = random.Random(f"{self.seed} {key}")
        return verbalise(self._spoilt(graph, draw))

    def _spoilt(self, graph: GroupGraph, draw: random.Random) -> GroupGraph:
        groups = [self._group(group, draw) for group in graph.groups]
        relations = [
            (subject, predicate, object_)
            for subject, stated, object_ in graph.relations
            if (predicate := self._value(stated, self.values.predicates, draw))
        ]
        remaining = [index for index, group in enumerate(groups) if group is not None]
        place = {old: new for new, old in enumerate(remaining)}
        return replace(
            graph,
            groups=tuple(group for group in groups if group is not None),
            relations=tuple((place[s], p, place[o]) for s, p, o in relations if s in place and o in place),
        )

    def _group(self, group: Group, draw: random.Random) -> Group | None:
        name = self._value(group.name, self.values.names, draw)
        quantity = self._value(group.quantity, self.values.quantities, draw)
        attributes = (self._value(stated, self.values.attributes, draw) for stated in group.attributes)
        position = self._value(group.position or "", self.values.positions, draw)
        return Group(quantity, name, tuple(filter(None, attributes)), position or None) if name else None

    def _value(self, stated: str, values: Sequence[str], draw: random.Random) -> str:
        """What is said of a fact; "" if nothing is."""
        if draw.random() >= self.share or not stated:
            return stated
        if self.fault == "left out":
            return ""
        others = [value for value in values if value != stated]
        return draw.choice(others) if others else stated


def rewritten(
    split: Split,
    described: Sequence[GroupGraph | None],
    wanted: Sequence[GroupGraph | None],
    writer: WorseWriter,
) -> Split:
    """The split with texts by a worse writer: one interpretation a reference, and one pseudo caption a query.

    Args:
        described, wanted: Q graphs, of the reference and after the query's edits; where one is not known, the
            text stays.
    """
    references = [split.gallery_ids[place] for place in split.reference.tolist()]
    stated = zip(split.texts["graph"], references, described, strict=True)
    graph = [writer.write(known, f"image {image}") if known else text for text, image, known in stated]
    stated = zip(split.texts["pseudo_caption"], split.query_ids, wanted, strict=True)
    captions = [writer.write(known, f"query {query}") if known else text for text, query, known in stated]
    language = list(map(language_text, split.texts["text"], graph))
    texts = split.texts | {"graph": graph, "language": language, "pseudo_caption": captions}
    return replace(split, texts=texts)
