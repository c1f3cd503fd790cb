"""Random modifications of a graph: the edits, and a text that says them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from random import Random

from embedded.captioner import wording
from embedded.captioner.graphs import CELLS, Names, mention, quantity, relatable
from embedded.captioner.references import at as say_at
from embedded.captioner.references import matches, plural_form, refer, say_count, say_new, slots
from embedded.captioner.vocabulary import COLOURS, SIZES
from pipeline.graph.edits import Edit, apply_edits
from pipeline.graph.scene_graph import NUMBER_WORDS, Group, GroupGraph, phrase
from pipeline.graph.verbalise import is_plural, number_word, pluralise

Change = tuple[GroupGraph, str]  # the graph after one change, and the clause that asks for it


def modify(rng: Random, graph: GroupGraph, names: Names) -> tuple[GroupGraph, str] | None:
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


def _swap(graph: GroupGraph, old: Group, new: Group) -> GroupGraph:
    return apply_edits(graph, [Edit("remove", "object", old), Edit("add", "object", new)])


def add(rng: Random, graph: GroupGraph, names: Names, ways: Sequence[str] = wording.ADD) -> Change | None:
    placed = any(group.position for group in graph.groups)
    bare = rng.random() < (0.2 if placed else 0.5)
    name = names.noun(rng)
    attributes: tuple[str, ...] = ()
    if rng.random() < (0.1 if bare else 0.6):
        attributes = tuple(dict.fromkeys(names.attribute(rng) for _ in range(rng.choice((1, 1, 2)))))
    elif graph.groups and rng.random() < 0.1 and not bare:
        name, attributes = rng.choice(graph.groups).name, (names.attribute(rng),)
    group = Group(
        "" if bare else quantity(rng),
        pluralise(name) if bare and rng.random() < 0.5 else name,
        attributes,
        rng.choice(CELLS) if rng.random() < (0.8 if placed else 0.15) and not bare else None,
    )
    if any((g.name, g.attributes) == (group.name, group.attributes) for g in graph.groups):
        return None
    clause = rng.choice(ways).format(new=say_new(rng, group))
    return apply_edits(graph, [Edit("add", "object", group)]), clause


def remove(
    rng: Random, graph: GroupGraph, names: Names, ways: Sequence[str] = wording.REMOVE
) -> Change | None:
    if not graph.groups or rng.random() < 0.03:
        absent = pluralise(names.noun(rng))
        if any(pluralise(group.name) == absent for group in graph.groups):
            return None
        return graph, rng.choice(ways).format_map({"ref": f"the {absent}", "bare": absent, "is": "are"})
    place = rng.randrange(len(graph.groups))
    if graph.relations and rng.random() < 0.3:
        place = rng.choice(graph.relations)[0]  # what relations begin with is where they have to be left out
    group = graph.groups[place]
    alike = [other for other in graph.groups if other.name == group.name]
    if len(alike) > 1 and rng.random() < 0.3:
        plural = pluralise(group.name)
        said, gone = (
            (f"{rng.choice(('all', 'the', 'all the', 'every one of the'))} {plural}", plural, True),
            alike,
        )
    else:
        found = refer(rng, graph, place)
        if found is None:
            return None
        said, gone = found, [group]
    clause = rng.choice(ways).format_map(slots(said))
    return apply_edits(graph, [Edit("remove", "object", other) for other in gone]), clause


def recolour(rng: Random, graph: GroupGraph, names: Names) -> Change | None:
    return _restate(rng, graph, COLOURS, wording.ATTRIBUTE + wording.COLOUR_ONLY, names, front=False)


def resize(rng: Random, graph: GroupGraph, names: Names) -> Change | None:
    return _restate(rng, graph, SIZES, wording.ATTRIBUTE + wording.SIZE_ONLY, names, front=True)


def _restate(
    rng: Random, graph: GroupGraph, closed: Sequence[str], ways: Sequence[str], names: Names, front: bool
) -> Change | None:
    """Change an attribute: one of a closed class takes the place of its like, any other has to be named."""
    places = [place for place, group in enumerate(graph.groups) if group.attributes] or range(
        len(graph.groups)
    )
    if not places or (rng.random() < 0.2 and not (places := range(len(graph.groups)))):
        return None
    place = rng.choice(list(places))
    group = graph.groups[place]
    said = refer(rng, graph, place)
    if said is None:
        return None
    like = [attribute for attribute in group.attributes if attribute in closed]
    new = rng.choice(closed)
    if group.attributes and (len(like) != 1 or rng.random() < 0.35):
        old = rng.choice(group.attributes)
        new = rng.choice(closed) if old in closed else names.attribute(rng)
        ways = wording.ATTRIBUTE_INSTEAD
        bare = pluralise(group.name) if said[2] else group.name
        if sum(matches(other, group.name, (old,), None) for other in graph.groups) > 1:
            return None
        said = (said[0], bare, said[2])
    elif like:
        old = like[0]
    else:
        old = ""
    if new in group.attributes:
        return None
    if old:
        attributes = tuple(new if attribute == old else attribute for attribute in group.attributes)
    else:
        attributes = (new, *group.attributes) if front else (*group.attributes, new)
    clause = rng.choice(ways).format_map({**slots(said), "new": new, "old": old})
    return _checked(graph, group, replace(group, attributes=attributes), clause)


def _checked(graph: GroupGraph, old: Group, new: Group, clause: str) -> Change | None:
    """The change, unless it makes two groups the same."""
    same = any(
        (g.name, g.attributes, g.position) == (new.name, new.attributes, new.position)
        for g in graph.groups
        if g is not old
    )
    return None if same else (_swap(graph, old, new), clause)


def move(rng: Random, graph: GroupGraph, names: Names) -> Change | None:
    places = [place for place, group in enumerate(graph.groups) if group.position or rng.random() < 0.05]
    if not places:
        return None
    place = rng.choice(places)
    group = graph.groups[place]
    said = refer(rng, graph, place)
    position = rng.choice(CELLS)
    if said is None or position == group.position:
        return None
    synonym = position if rng.random() < 0.85 else rng.choice(wording.POSITION_SYNONYMS[position])
    clause = rng.choice(wording.MOVE).format_map(
        {**slots(said), "place": synonym, "at": say_at(rng, position)}
    )
    return _checked(graph, group, replace(group, position=position), clause)


def count(rng: Random, graph: GroupGraph, names: Names, ways: Sequence[str] = wording.COUNT) -> Change | None:
    if not graph.groups or rng.random() < 0.08:
        name = names.noun(rng)
        if any(group.name == name for group in graph.groups):
            return None
        number = quantity(rng, plural=None if rng.random() < 0.4 else True)
        noun = pluralise(name) if is_plural(number) else name
        return apply_edits(
            graph, [Edit("add", "object", Group(number, name))]
        ), f"change to {say_count(rng, number, noun)} {noun}"
    place = rng.randrange(len(graph.groups))
    group = graph.groups[place]
    said = refer(rng, graph, place)
    if said is None:
        return None
    named = (
        said[1][: len(said[1]) - len(pluralise(group.name) if said[2] else group.name)]
        if group.name in said[1][-len(group.name) - 2 :]
        else ""
    )
    if sum(g.name == group.name for g in graph.groups) > 1 and not named:
        return None
    known = (
        int(group.quantity)
        if group.quantity.isdigit() and group.quantity in map(str, NUMBER_WORDS.values())
        else 0
    )
    if known and ways is wording.COUNT and rng.random() < 0.12:
        return _step(rng, graph, group, known, said, named)
    number = quantity(rng, plural=rng.choice((None, None, True)))
    if number == group.quantity:
        return None
    plural = pluralise(group.name)
    if not group.quantity:
        ways = [way for way in ways if "{old}" not in way]
    old = number_word(int(group.quantity)) if known else group.quantity
    words = {
        **slots(said),
        "bare": named + (plural if is_plural(number) else group.name),
        "plural": named + plural,
        "count": say_count(rng, number, named + group.name),
        "old": old,
        "oldbare": named + (plural if is_plural(group.quantity) else group.name),
    }
    clause = rng.choice(ways).format_map(words)
    return _swap(graph, group, replace(group, quantity=number)), clause


def _step(
    rng: Random, graph: GroupGraph, group: Group, known: int, said: tuple[str, str, bool], named: str
) -> Change | None:
    step = rng.choice((1, 1, 2, 3))
    more = rng.random() < 0.6
    after = known + step if more else known - step
    if not 1 <= after <= 12:
        return None
    bare = named + (pluralise(group.name) if step > 1 else group.name)
    way = rng.choice(wording.MORE if more else wording.FEWER)
    clause = way.format_map({**slots(said), "step": number_word(step), "bare": bare})
    return _swap(graph, group, replace(group, quantity=str(after))), clause


def _first_called(graph: GroupGraph, place: int) -> bool:
    """Whether `apply_edits` finds this group by its mention."""
    said = mention(graph, place)
    earlier = graph.groups[:place]
    return relatable(graph, place) and all(said not in (group.name, phrase(group)) for group in earlier)


def relation(rng: Random, graph: GroupGraph, names: Names) -> Change | None:
    ends = [place for place in range(len(graph.groups)) if _first_called(graph, place)]
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
    plural = [plural_form(rng, graph.groups[place]) for place in (subject, object_)]
    ends_said = [mention(graph, subject), mention(graph, object_)]
    nouns = [f"the {pluralise(s) if p else s}" for s, p in zip(ends_said, plural, strict=True)]
    new = names.predicate(rng)
    edits = (
        [Edit("remove", "relation", subject=ends_said[0], predicate=old, object=ends_said[1])] if old else []
    )
    ways: Sequence[str] = wording.RELATE
    if old and rng.random() < 0.15:
        ways = wording.UNRELATE
    else:
        if new == old:
            return None
        if old and rng.random() < 0.4:
            ways = wording.RELATE_INSTEAD
        edits.append(Edit("add", "relation", subject=ends_said[0], predicate=new, object=ends_said[1]))
    words = {
        "subject": nouns[0],
        "object": nouns[1],
        "new": new,
        "old": old,
        "is": "are" if plural[0] else "is",
    }
    return apply_edits(graph, edits), rng.choice(ways).format_map(words)


KINDS: tuple[Callable[[Random, GroupGraph, Names], Change | None], ...] = (
    add, remove, recolour, resize, move, count, relation,
)  # fmt: skip
# the manner of edits that are derived from captions: "add grass and change to two cars"
TERSE: tuple[Callable[[Random, GroupGraph, Names], Change | None], ...] = (
    partial(add, ways=("add {new}",)),
    partial(remove, ways=("remove {ref}",)),
    *(partial(count, ways=("change to {count} {bare}",)),) * 2,
)
