"""Random modifications of a graph: the changed graph, and a text that asks for the change."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from random import Random

from embedded.captioner import wording
from embedded.captioner.group_phrases import (
    Reference,
    choose_plural,
    matches,
    new_group_phrase,
    number_phrase,
    position_phrase,
    refer,
)
from embedded.captioner.random_graphs import Names, quantity, relatable, same_but_number
from embedded.world.model import POSITION_NAMES
from pipeline.graph.edits import Edit, apply_edits
from pipeline.graph.plurals import pluralise
from pipeline.graph.scene_graph import NUMBER_WORDS, Group, GroupGraph, mention, phrase
from pipeline.graph.verbalise import is_plural, number_word

Change = tuple[GroupGraph, str]  # the graph after one change, and the clause that asks for it


def modify(rng: Random, graph: GroupGraph, names: Names) -> Change | None:
    """Change a graph by one to three changes of different groups; None where none fits the graph."""
    clauses: list[str] = []
    bare = not any(group.position for group in graph.groups)
    terse = bare and rng.random() < 0.5
    kinds = TERSE if terse else KINDS + (add, remove, remove, remove, count) * bare
    given = frozenset(graph.groups)
    for _ in range(rng.choice((1, 1, 2, 2, 3) if terse else (1, 1, 1, 1, 2, 2, 3))):
        for _ in range(4):
            change = rng.choice(kinds)(rng, graph, names)
            if change is not None and given.issuperset(set(graph.groups) - set(change[0].groups)):
                graph = change[0]
                clauses.append(change[1])
                break
    if not clauses:
        return None
    text = clauses[0]
    for clause in clauses[1:]:
        text += (" and " if terse else rng.choice(wording.JOINTS)) + clause
    if not terse and rng.random() < 0.12:
        text = rng.choice(wording.PRELUDES) + text
    return graph, text


def _swapped(graph: GroupGraph, old: Group, clause: str, **values: object) -> Change | None:
    """The change of some fields of a group, unless two groups would then differ in their number alone."""
    new = replace(old, **values)  # type: ignore[arg-type]
    if any(same_but_number(group, new) for group in graph.groups if group is not old):
        return None
    return apply_edits(graph, [Edit("remove", "object", old), Edit("add", "object", new)]), clause


def add(rng: Random, graph: GroupGraph, names: Names, ways: Sequence[str] = wording.ADD) -> Change | None:
    positioned = any(group.position for group in graph.groups)
    bare = rng.random() < (0.2 if positioned else 0.5)
    name = names.draw(rng, "noun")
    attributes: tuple[str, ...] = ()
    if rng.random() < (0.1 if bare else 0.6):
        attributes = tuple(dict.fromkeys(names.draw(rng, "attribute") for _ in range(rng.choice((1, 1, 2)))))
    elif graph.groups and rng.random() < 0.1 and not bare:
        name, attributes = rng.choice(graph.groups).name, (names.draw(rng, "attribute"),)
    group = Group(
        "" if bare else quantity(rng),
        pluralise(name) if bare and rng.random() < 0.5 else name,
        attributes,
        rng.choice(POSITION_NAMES) if rng.random() < (0.8 if positioned else 0.15) and not bare else None,
    )
    if any((g.name, g.attributes) == (group.name, group.attributes) for g in graph.groups):
        return None
    clause = rng.choice(ways).format(new=new_group_phrase(rng, group))
    return apply_edits(graph, [Edit("add", "object", group)]), clause


def remove(
    rng: Random, graph: GroupGraph, names: Names, ways: Sequence[str] = wording.REMOVE
) -> Change | None:
    if not graph.groups or rng.random() < 0.03:  # asks for what is not there: nothing changes
        absent = pluralise(names.draw(rng, "noun"))
        if any(pluralise(group.name) == absent for group in graph.groups):
            return None
        return graph, rng.choice(ways).format_map(Reference(f"the {absent}", absent, True).slots())
    index = rng.randrange(len(graph.groups))
    if graph.relations and rng.random() < 0.3:
        index = rng.choice(graph.relations)[0]  # the caption has to leave out its relations too
    group = graph.groups[index]
    alike = [other for other in graph.groups if other.name == group.name]
    if len(alike) > 1 and rng.random() < 0.3:
        plural = pluralise(group.name)
        determiner = rng.choice(("all", "the", "all the", "every one of the"))
        reference: Reference | None = Reference(f"{determiner} {plural}", plural, True)
    else:
        alike, reference = [group], refer(rng, graph, index)
    if reference is None:
        return None
    clause = rng.choice(ways).format_map(reference.slots())
    return apply_edits(graph, [Edit("remove", "object", other) for other in alike]), clause


def recolour(rng: Random, graph: GroupGraph, names: Names) -> Change | None:
    ways = wording.ATTRIBUTE + wording.COLOUR_ONLY
    return _restate(rng, graph, wording.LISTS["COLOURS"], ways, names, front=False)


def resize(rng: Random, graph: GroupGraph, names: Names) -> Change | None:
    ways = wording.ATTRIBUTE + wording.SIZE_ONLY
    return _restate(rng, graph, wording.LISTS["SIZES"], ways, names, front=True)


def _restate(
    rng: Random, graph: GroupGraph, closed: Sequence[str], ways: Sequence[str], names: Names, front: bool
) -> Change | None:
    """Change an attribute: a word of a closed class replaces its like, any other old word has to be named."""
    if not graph.groups:
        return None
    indices: Sequence[int] = range(len(graph.groups))
    described = [index for index in indices if graph.groups[index].attributes]
    index = rng.choice(indices if rng.random() < 0.2 or not described else described)
    group = graph.groups[index]
    reference = refer(rng, graph, index)
    if reference is None:
        return None
    of_class = [attribute for attribute in group.attributes if attribute in closed]
    new, old = rng.choice(closed), of_class[0] if of_class else ""
    if group.attributes and (len(of_class) != 1 or rng.random() < 0.35):
        old = rng.choice(group.attributes)
        new = rng.choice(closed) if old in closed else names.draw(rng, "attribute")
        ways = wording.ATTRIBUTE_INSTEAD
        if sum(matches(other, group.name, (old,), None) for other in graph.groups) > 1:
            return None
        reference = reference._replace(bare=pluralise(group.name) if reference.plural else group.name)
    if new in group.attributes:
        return None
    if old:
        attributes = tuple(new if attribute == old else attribute for attribute in group.attributes)
    else:
        attributes = (new, *group.attributes) if front else (*group.attributes, new)
    clause = rng.choice(ways).format_map({**reference.slots(), "new": new, "old": old})
    return _swapped(graph, group, clause, attributes=attributes)


def move(rng: Random, graph: GroupGraph, names: Names) -> Change | None:
    indices = [index for index, group in enumerate(graph.groups) if group.position or rng.random() < 0.05]
    if not indices:
        return None
    index = rng.choice(indices)
    reference = refer(rng, graph, index)
    position = rng.choice(POSITION_NAMES)
    if reference is None or position == graph.groups[index].position:
        return None
    synonym = position if rng.random() < 0.85 else rng.choice(wording.POSITION_SYNONYMS[position])
    way = rng.choice(wording.MOVE)
    slots = {**reference.slots(), "position": synonym, "at": position_phrase(rng, position)}
    return _swapped(graph, graph.groups[index], way.format_map(slots), position=position)


def count(rng: Random, graph: GroupGraph, names: Names, ways: Sequence[str] = wording.COUNT) -> Change | None:
    if not graph.groups or rng.random() < 0.08:  # of a group that is not there: it is added
        name = names.draw(rng, "noun")
        if any(group.name == name for group in graph.groups):
            return None
        number = quantity(rng, plural=rng.random() >= 0.4)
        noun = pluralise(name) if is_plural(number) else name
        clause = f"change to {number_phrase(rng, number, noun)} {noun}"
        return apply_edits(graph, [Edit("add", "object", Group(number, name))]), clause
    index = rng.randrange(len(graph.groups))
    group = graph.groups[index]
    reference = refer(rng, graph, index)
    if reference is None:
        return None
    singular, plural = group.name, pluralise(group.name)
    described = ""  # the attributes that stand before the name
    if singular in reference.bare[-len(singular) - 2 :]:
        described = reference.bare[: len(reference.bare) - len(plural if reference.plural else singular)]
    if sum(other.name == singular for other in graph.groups) > 1 and not described:
        return None
    known = int(group.quantity) if group.quantity in map(str, NUMBER_WORDS.values()) else 0
    if known and ways is wording.COUNT and rng.random() < 0.12:
        return _count_up_or_down(rng, graph, group, known, reference, described)
    number = quantity(rng, plural=rng.choice((False, False, True)))
    if number == group.quantity:
        return None
    if not group.quantity:
        ways = [way for way in ways if "{old}" not in way]
    slots = {
        **reference.slots(),
        "bare": described + (plural if is_plural(number) else singular),
        "plural": described + plural,
        "count": number_phrase(rng, number, described + singular),
        "old": number_word(known) if known else group.quantity,
        "oldbare": described + (plural if is_plural(group.quantity) else singular),
    }
    return _swapped(graph, group, rng.choice(ways).format_map(slots), quantity=number)


def _count_up_or_down(
    rng: Random, graph: GroupGraph, group: Group, known: int, reference: Reference, described: str
) -> Change | None:
    step = rng.choice((1, 1, 2, 3))
    more = rng.random() < 0.6
    number = known + step if more else known - step
    if not 1 <= number <= 12:
        return None
    bare = described + (pluralise(group.name) if step > 1 else group.name)
    way = rng.choice(wording.MORE if more else wording.FEWER)
    clause = way.format_map({**reference.slots(), "step": number_word(step), "bare": bare})
    return _swapped(graph, group, clause, quantity=str(number))


def _mentioned_first(graph: GroupGraph, index: int) -> bool:
    """Whether `apply_edits` finds this group by its mention."""
    words = mention(graph, index)
    earlier = graph.groups[:index]
    return relatable(graph, index) and all(words not in (group.name, phrase(group)) for group in earlier)


def relation(rng: Random, graph: GroupGraph, names: Names) -> Change | None:
    ends = [index for index in range(len(graph.groups)) if _mentioned_first(graph, index)]
    if len(ends) < 2:
        return None
    known = [r for r in graph.relations if r[0] in ends and r[2] in ends]
    if known and rng.random() < 0.85:
        subject, old, object_ = rng.choice(known)
    else:
        subject, object_ = rng.sample(ends, 2)
        old = next((r[1] for r in graph.relations if (r[0], r[2]) == (subject, object_)), "")
    if sum((r[0], r[2]) == (subject, object_) for r in graph.relations) > 1:
        return None
    plurals = [choose_plural(rng, graph.groups[index]) for index in (subject, object_)]
    mentions = [mention(graph, subject), mention(graph, object_)]
    nouns = [f"the {pluralise(m) if p else m}" for m, p in zip(mentions, plurals, strict=True)]
    new = names.draw(rng, "predicate")
    edit = partial(Edit, kind="relation", subject=mentions[0], object=mentions[1])
    edits = [edit("remove", predicate=old)] if old else []
    ways: Sequence[str] = wording.RELATE
    if old and rng.random() < 0.15:
        ways = wording.UNRELATE
    else:
        if new == old:
            return None
        if old and rng.random() < 0.4:
            ways = wording.RELATE_INSTEAD
        edits.append(edit("add", predicate=new))
    slots = {
        "subject": nouns[0],
        "object": nouns[1],
        "new": new,
        "old": old,
        "is": "are" if plurals[0] else "is",
    }
    return apply_edits(graph, edits), rng.choice(ways).format_map(slots)


KINDS: tuple[Callable[[Random, GroupGraph, Names], Change | None], ...] = (
    add, remove, recolour, resize, move, count, relation,
)  # fmt: skip
# short clauses, like those derived from pairs of captions: "add grass and change to two cars"
TERSE: tuple[Callable[[Random, GroupGraph, Names], Change | None], ...] = (
    partial(add, ways=("add {new}",)),
    partial(remove, ways=("remove {ref}",)),
    *(partial(count, ways=("change to {count} {bare}",)),) * 2,
)
