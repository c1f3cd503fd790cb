"""How two graphs differ: the fewest changes that a person would say, and the exact edits that make them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.graph.edits import Edit, apply_edits
from pipeline.graph.scene_graph import Group, GroupGraph, mention

SIZES = frozenset(("tiny", "small", "little", "medium", "large", "big", "huge"))
COLOURS = frozenset(
    (
        "black", "white", "gray", "grey", "red", "green", "blue", "yellow", "orange", "brown", "purple",
        "pink", "beige", "silver", "golden", "turquoise", "violet", "tan", "dark", "bright",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that a modification asks for.

    Attributes:
        kind: add, remove, count, move, resize, recolour, relation, or free for anything else.
        before, after: the group as it is and as it will be; one of them is None where it is added or removed.
        relation: (subject, predicate, object) of a relation that is added or removed; both are named as they
            are after the changes of groups.
        added: of a relation, whether it is added.
        ends: of a relation, the groups of subject and object, after the changes of groups.
        facts: how many facts differ.
    """

    kind: str
    before: Group | None = None
    after: Group | None = None
    relation: tuple[str, str, str] | None = None
    added: bool = True
    ends: tuple[Group, Group] | None = None
    facts: int = 1

    @property
    def edits(self) -> tuple[Edit, ...]:
        if self.relation is not None:
            subject, predicate, object_ = self.relation
            op = "add" if self.added else "remove"
            return (Edit(op, "relation", None, subject, predicate, object_),)
        removed = () if self.before is None else (Edit("remove", "object", self.before),)
        added = () if self.after is None else (Edit("add", "object", self.after),)
        return (*removed, *added)


def edits_of(changes: Iterable[Change]) -> tuple[Edit, ...]:
    """The edits of a modification, in the order in which `apply_edits` must see them."""
    return tuple(edit for change in changes for edit in change.edits)


def difference(reference: GroupGraph, target: GroupGraph, most: int) -> tuple[Change, ...] | None:
    """The changes that make the target's graph of the reference's, 1 to `most` facts in all.

    A group is changed rather than removed and added where one of the same name comes in its place. The
    relations of a group that is removed are gone with it.

    Returns:
        None where nothing or more differs, where the scenes differ, or where no edits say it: `apply_edits`
        of the reference with the edits of the result is the target, up to the order of its parts.
    """
    if reference.scene != target.scene:
        return None
    changes = _group_changes(reference.groups, target.groups, most)
    if changes is None:
        return None
    changed = apply_edits(reference, edits_of(changes))
    wanted, found = Counter(_relations(target)), Counter(_relations(changed))
    if (wanted - found).total() + (found - wanted).total() > most:
        return None
    changes += [
        _relation(relation, changed, False) for relation in sorted((found - wanted).elements(), key=repr)
    ]
    changes += [
        _relation(relation, changed, True) for relation in sorted((wanted - found).elements(), key=repr)
    ]
    if not 0 < sum(change.facts for change in changes) <= most:
        return None
    try:
        made = apply_edits(reference, edits_of(changes))
    except ValueError:
        return None
    return tuple(changes) if canonical(made) == canonical(target) else None


def canonical(graph: GroupGraph) -> object:
    """The same for graphs that differ in the order of groups and relations alone."""
    return graph.scene, sorted(graph.groups, key=repr), sorted(_relations(graph), key=repr)


def kind_of(changes: Sequence[Change]) -> str:
    """The kind of a query: that of its changes, or free where they are of several kinds."""
    kinds = {change.kind for change in changes}
    return kinds.pop() if len(kinds) == 1 else "free"


def _relations(graph: GroupGraph) -> list[tuple[Group, str, Group]]:
    return [(graph.groups[s], predicate, graph.groups[o]) for s, predicate, o in graph.relations]


def _relation(relation: tuple[Group, str, Group], graph: GroupGraph, added: bool) -> Change:
    subject, predicate, object_ = relation
    said = (
        mention(graph, graph.groups.index(subject)),
        predicate,
        mention(graph, graph.groups.index(object_)),
    )
    return Change("relation", relation=said, added=added, ends=(subject, object_))


def _group_changes(before: Sequence[Group], after: Sequence[Group], most: int) -> list[Change] | None:
    """The changes of groups, or None where they are more than `most` facts."""
    removed = list((Counter(before) - Counter(after)).elements())
    added = list((Counter(after) - Counter(before)).elements())
    if len(removed) > most or len(added) > most:
        return None
    changes: list[Change] = []
    while pairs := [
        (len(_aspects(one, other)), i, j)
        for i, one in enumerate(removed)
        for j, other in enumerate(added)
        if one.name == other.name
    ]:
        _, i, j = min(pairs)
        changes.append(_changed(removed.pop(i), added.pop(j)))
    changes += [Change("remove", before=group) for group in removed]
    changes += [Change("add", after=group) for group in added]
    return changes if sum(change.facts for change in changes) <= most else None


def _changed(before: Group, after: Group) -> Change:
    aspects = _aspects(before, after)
    kind = aspects[0] if len(aspects) == 1 else "free"
    return Change(
        kind, before, after, facts=min(len(aspects), 2)
    )  # beyond two: one is gone, another is there


def _aspects(before: Group, after: Group) -> list[str]:
    """What differs in two groups of the same name, as kinds; two of an equal kind are two differences."""
    aspects = []
    if before.quantity != after.quantity:
        aspects.append("count")
    if before.position != after.position:
        aspects.append("move" if before.position and after.position else "free")
    gone, new = set(before.attributes) - set(after.attributes), set(after.attributes) - set(before.attributes)
    for kind, labels in (("resize", SIZES), ("recolour", COLOURS)):
        if max(len(gone & labels), len(new & labels)) == 1:
            aspects.append(kind)
            gone, new = gone - labels, new - labels
    aspects += ["free"] * max(len(gone), len(new))
    return aspects or ["free"]  # the same attributes in another order
