"""Words for groups in modifications: which group is meant, and what a new one is like."""

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from embedded.captioner import wording
from pipeline.graph.plurals import pluralise
from pipeline.graph.scene_graph import Group, GroupGraph
from pipeline.graph.verbalise import is_plural, number_word


class Reference(NamedTuple):
    """Words that mean one group: with their determiner, without it, and whether they are plural."""

    text: str
    bare: str
    plural: bool

    def slots(self) -> dict[str, str]:
        """The words as the slots of a phrasing."""
        return {"ref": self.text, "bare": self.bare, "is": "are" if self.plural else "is"}


def matches(group: Group, name: str, attributes: Sequence[str], position: str | None) -> bool:
    """Whether a description fits a group; a position of None fits any."""
    return (
        group.name == name and set(attributes) <= set(group.attributes) and position in (None, group.position)
    )


def choose_plural(rng: Random, group: Group) -> bool:
    """Whether to write a group in the plural; at random where the graph has no number for it."""
    return is_plural(group.quantity) if group.quantity else rng.random() < 0.6


def refer(rng: Random, graph: GroupGraph, index: int) -> Reference | None:
    """Words that mean one group alone; None where no description fits it alone."""
    group = graph.groups[index]
    some = tuple(attribute for attribute in group.attributes if rng.random() < 0.5)
    descriptions: list[tuple[tuple[str, ...], str | None]] = [
        *[((), None)] * 3,
        (group.attributes, None),
        (some, None),
        ((), group.position),
        (some, group.position),
    ]
    unique = [
        description
        for description in descriptions
        if sum(matches(other, group.name, *description) for other in graph.groups) == 1
    ]
    if not unique:
        return None
    attributes, position = rng.choice(unique)
    plural = choose_plural(rng, group)
    bare = " ".join((*attributes, pluralise(group.name) if plural else group.name))
    if position:
        bare += " " + position_phrase(rng, position)
    determiners = ["the"] * 8 + ([""] if plural or not group.quantity else ["that", "the one"])
    if plural:
        determiners += ["all the", "all", "those", "these"]
        if group.quantity:
            number = f"the {number_word(int(group.quantity))}" if group.quantity.isdigit() else "the"
            determiners += [number] * 2
    return Reference(f"{rng.choice(determiners)} {bare}".strip(), bare, plural)


def position_phrase(rng: Random, position: str) -> str:
    """A position in words."""
    if rng.random() < 0.15:
        return "in the " + rng.choice(wording.POSITION_SYNONYMS[position])
    return rng.choice(wording.POSITION_PHRASES).format(p=position)


def number_phrase(rng: Random, number: str, name: str) -> str:
    """A quantity in words; `name` is what follows it."""
    if number == "1":
        return rng.choice(("one", "one", "1", "an" if name[0] in "aeiou" else "a", "a single"))
    if not number.isdigit():
        return number
    if number == "2" and rng.random() < 0.08:
        return rng.choice(("a pair of", "a couple of"))
    return number_word(int(number)) if rng.random() < 0.75 else number


def new_group_phrase(rng: Random, group: Group) -> str:
    """A group to add, in words."""
    words = [*group.attributes, pluralise(group.name) if is_plural(group.quantity) else group.name]
    if group.quantity:
        words.insert(0, number_phrase(rng, group.quantity, words[0]))
    if group.position:
        words.append(position_phrase(rng, group.position))
    return " ".join(words)
