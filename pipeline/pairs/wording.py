"""Modifications in words, by rule: what a person would ask for, in one of several styles.

command      remove the two red cars at the left and add one hangar at the center
wish         I would like the two red cars at the left to be gone and one hangar at the center to be added
comparison   the same but without the two red cars at the left and with one hangar at the center
"""

import hashlib
from collections.abc import Sequence

from pipeline.graph.plurals import pluralise
from pipeline.graph.scene_graph import Group
from pipeline.graph.verbalise import is_plural, number_word
from pipeline.pairs.difference import COLOURS, SIZES, Change

STYLES = ("command", "wish", "comparison")
_GONE_AND_NEW = {
    "command": ("remove {}", "add {}"),
    "wish": ("{} to be gone", "{} to be added"),
    "comparison": ("without {}", "with {} added"),
}
_OPENINGS = {"command": "", "wish": "I would like ", "comparison": "the same but "}


def style_of(query_id: str) -> str:
    """The style of a query: any, but always the same one."""
    return STYLES[hashlib.blake2b(query_id.encode(), digest_size=8).digest()[0] % len(STYLES)]


def worded(changes: Sequence[Change], style: str) -> str:
    """A modification that asks for some changes; what is removed comes together, and what is added."""
    removed = [the(change.before) for change in changes if change.before and not change.after]
    added = [noun(change.after) for change in changes if change.after and not change.before]
    clauses = [
        _CLAUSES[style](change) for change in changes if change.relation or (change.before and change.after)
    ]
    for template, groups in zip(_GONE_AND_NEW[style], (removed, added), strict=True):
        if groups:
            clauses.append(template.format(listed(groups)))
    return _OPENINGS[style] + listed(clauses)


def listed(clauses: Sequence[str]) -> str:
    """A list in words: "a, b and c"."""
    return " and ".join(filter(None, (", ".join(clauses[:-1]), clauses[-1])))


def noun(group: Group, *, number: bool = True, without: Sequence[str] = (), place: bool = True) -> str:
    """A group without an article: "two small cars at the left".

    Args:
        without: attributes that are left out.
    """
    name = pluralise(group.name) if is_plural(group.quantity) else group.name
    attributes = [attribute for attribute in group.attributes if attribute not in without]
    quantity = _number(group) if number else ""
    where = f"at the {group.position}" if place and group.position else ""
    return " ".join(filter(None, (quantity, *attributes, name, where)))


def the(group: Group, *, without: Sequence[str] = (), place: bool = True) -> str:
    """A group that is there: "the two small cars at the left", "the hangar"."""
    number = group.quantity not in ("1", "some", "a few")
    return "the " + noun(group, number=number, without=without, place=place)


def _number(group: Group) -> str:
    return number_word(int(group.quantity)) if group.quantity.isdecimal() else group.quantity


def _relabelled(change: Change, words: tuple[str, str]) -> tuple[str, str]:
    """A group whose size or colour changes, and what is said of it: "the car", "blue instead of red".

    Args:
        words: between the new label and the old one, and before an old one that nothing replaces.
    """
    assert change.before is not None and change.after is not None
    labels = SIZES if change.kind == "resize" else COLOURS
    gone = set(change.before.attributes) - set(change.after.attributes)
    new = set(change.after.attributes) - set(change.before.attributes)
    old, wanted = ([*(some & labels)] for some in (gone, new))
    if not wanted:
        return the(change.before), f"{words[1]} {old[0]}"
    return the(change.before, without=old), f" {words[0]} ".join([*wanted, *old])


def _ends(change: Change) -> tuple[str, str, str]:
    """Subject, predicate and object of a relation, as they are named, in their numbers."""
    assert change.relation is not None and change.ends is not None
    subject, predicate, object_ = change.relation
    said = (
        f"the {pluralise(name) if is_plural(group.quantity) else name}"
        for name, group in zip((subject, object_), change.ends, strict=True)
    )
    first, second = said
    return first, predicate, second


def _command(change: Change) -> str:
    before, after = change.before, change.after
    if change.relation is not None:
        first, predicate, second = _ends(change)
        return f"{'let' if change.added else 'do not let'} {first} be {predicate} {second}"
    assert before is not None and after is not None
    if change.kind == "count" and before.quantity and after.quantity:
        return f"change {the(before)} to {_number(after)}"
    if change.kind == "move":
        return f"move {the(before, place=False)} from the {before.position} to the {after.position}"
    if change.kind in ("resize", "recolour"):
        group, label = _relabelled(change, ("instead of", "no longer"))
        return f"let {group} be {label}" if label.startswith("no longer") else f"make {group} {label}"
    return f"replace {the(before)} with {noun(after)}"


def _wish(change: Change) -> str:
    before, after = change.before, change.after
    if change.relation is not None:
        first, predicate, second = _ends(change)
        return f"{first} {'to be' if change.added else 'to be no longer'} {predicate} {second}"
    assert before is not None and after is not None
    if change.kind == "move":
        return (
            f"{the(before, place=False)} to be at the {after.position} rather than at the {before.position}"
        )
    if change.kind in ("resize", "recolour"):
        return " to be ".join(_relabelled(change, ("rather than", "no longer")))
    return _instead(before, after, change.kind)


def _comparison(change: Change) -> str:
    before, after = change.before, change.after
    if change.relation is not None:
        first, predicate, second = _ends(change)
        return f"with {first} {'' if change.added else 'no longer '}{predicate} {second}"
    assert before is not None and after is not None
    if change.kind == "move":
        return f"with {the(before, place=False)} at the {after.position} instead of at the {before.position}"
    if change.kind in ("resize", "recolour"):
        return "with " + " ".join(_relabelled(change, ("instead of", "no longer")))
    return f"with {_instead(before, after, change.kind)}"


def _instead(before: Group, after: Group, kind: str) -> str:
    if kind == "count" and before.quantity and after.quantity:
        return f"{noun(after)} instead of {_number(before)}"
    return f"{noun(after)} instead of {the(before)}"


_CLAUSES = {"command": _command, "wish": _wish, "comparison": _comparison}


def difference_line(change: Change) -> str:
    """A change as a line of a prompt: "move: the small airplane, from the top left to the top right"."""
    before, after = change.before, change.after
    if change.relation is not None:
        first, predicate, second = _ends(change)
        return f"{'relation to add' if change.added else 'relation to remove'}: {first} {predicate} {second}"
    if before is None:
        assert after is not None
        return f"add: {noun(after)}"
    if after is None:
        return f"remove: {the(before)}"
    if change.kind == "count" and before.quantity and after.quantity:
        return f"number: from {noun(before)} to {_number(after)}"
    if change.kind == "move":
        return f"move: {the(before, place=False)}, from the {before.position} to the {after.position}"
    if change.kind in ("resize", "recolour"):
        named = {"resize": "size", "recolour": "colour"}[change.kind]
        return f"{named}: " + ", ".join(_relabelled(change, ("instead of", "no longer")))
    return f"replace: {the(before)}, by {noun(after)}"
