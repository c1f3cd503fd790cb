"""Words for groups in modifications: which group is meant, and what a new one is like."""

from collections.abc import Sequence
from random import Random

from embedded.captioner import wording
from pipeline.graph.scene_graph import Group, GroupGraph
from pipeline.graph.verbalise import is_plural, number_word, pluralise


def matches(group: Group, name: str, attributes: Sequence[str], position: str | None) -> bool:
    """Whether a description fits a group; a position of None fits any."""
    return (
        group.name == name and set(attributes) <= set(group.attributes) and position in (None, group.position)
    )


def plural_form(rng: Random, group: Group) -> bool:
    """Whether to say a group in the plural; where the graph does not say how many, either will do."""
    return is_plural(group.quantity) if group.quantity else rng.random() < 0.6


def refer(rng: Random, graph: GroupGraph, place: int) -> tuple[str, str, bool] | None:
    """Words that mean one group alone: with determiner, bare, and whether they are plural."""
    group = graph.groups[place]
    some = tuple(a for a in group.attributes if rng.random() < 0.5)
    choices = [
        ((), None),
        ((), None),
        ((), None),
        (group.attributes, None),
        (some, None),
        ((), group.position),
        (some, group.position),
    ]
    unique = [
        choice
        for choice in choices
        if sum(matches(other, group.name, *choice) for other in graph.groups) == 1
    ]
    if not unique:
        return None
    attributes, position = rng.choice(unique)
    plural = plural_form(rng, group)
    bare = " ".join((*attributes, pluralise(group.name) if plural else group.name))
    if position:
        bare += " " + at(rng, position)
    determiners = ["the"] * 8 + ([""] if plural or not group.quantity else ["that", "the one"])
    if plural:
        determiners += ["all the", "all", "those", "these"]
        if group.quantity:
            determiners += [
                f"the {number_word(int(group.quantity))}" if group.quantity.isdigit() else "the"
            ] * 2
    return f"{rng.choice(determiners)} {bare}".strip(), bare, plural


def at(rng: Random, position: str) -> str:
    """A position in words."""
    if rng.random() < 0.15:
        return "in the " + rng.choice(wording.POSITION_SYNONYMS[position])
    return rng.choice(wording.POSITION_PHRASES).format(p=position)


def say_count(rng: Random, number: str, name: str) -> str:
    """A quantity in words; `name` is what follows it."""
    if number == "1":
        return rng.choice(("one", "one", "1", "an" if name[0] in "aeiou" else "a", "a single"))
    if number.isdigit():
        if number == "2" and rng.random() < 0.08:
            return rng.choice(("a pair of", "a couple of"))
        return number_word(int(number)) if rng.random() < 0.75 else number
    return number


def say_new(rng: Random, group: Group) -> str:
    """A group to add, in words."""
    parts = [*group.attributes, pluralise(group.name) if is_plural(group.quantity) else group.name]
    if group.quantity:
        parts.insert(0, say_count(rng, group.quantity, parts[0]))
    if group.position:
        parts.append(at(rng, group.position))
    return " ".join(parts)


def slots(said: tuple[str, str, bool]) -> dict[str, str]:
    """What `refer` gave, as the slots of a phrasing."""
    return {"ref": said[0], "bare": said[1], "is": "are" if said[2] else "is"}
