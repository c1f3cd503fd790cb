"""Modification texts: how a person might say a change, unambiguous for the graph it is made to."""

from itertools import combinations
from pathlib import Path

import numpy as np
import yaml

from embedded.world.draws import choose
from embedded.world.edits import Change
from embedded.world.model import Scene, SceneGroup
from embedded.world.vocabulary import plural
from pipeline.graph.verbalise import number_word

_PHRASINGS: dict[str, dict[str, list[str]]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
TRAIN_PHRASINGS, HELD_OUT = _PHRASINGS["TRAIN"], _PHRASINGS["HELD_OUT"]  # by kind of change
Fields = frozenset[str]  # of `size`, `colour` and `position`
_DIGITS = 0.15  # how often a number is not a word
_CHANGING = {"recolour": "colour", "resize": "size", "move": "position"}
_SIDES = {"left of": "to the left of", "right of": "to the right of"}


def phrase_modification(rng: np.random.Generator, base: Scene, change: Change, split: str) -> str:
    """One sentence that asks for `change` in a picture of `base`.

    A group whose name stands more than once is named with attributes or position that no other such group
    has. Phrasings of `HELD_OUT` come in the test split only.
    """
    templates = TRAIN_PHRASINGS[change.kind] + (HELD_OUT[change.kind] if split == "test" else [])
    if change.kind == "move" and change.old is not None:
        clear = _clear_descriptions(base, change.old)
        if all("position" in chosen for chosen in clear):  # {ref} says {from} already
            templates = [text for text in templates if "{from}" not in text]
    template = choose(rng, templates)
    text = template.format_map(_words(rng, base, change, template))
    if rng.random() < 0.35:
        text = text[0].upper() + text[1:] + "."
    return text


def _words(rng: np.random.Generator, base: Scene, change: Change, template: str) -> dict[str, str]:
    if change.relation is not None:
        return _relation_words(rng, base, change)
    if change.kind == "add":
        assert change.new is not None
        return {"new": indefinite(rng, change.new), "to": f"the {change.new.position}"}
    assert change.old is not None
    group, new, field = change.old, change.new, _CHANGING.get(change.kind)
    bare = description(rng, base, group, without=field)
    fields = bare if "{old}" in template or field == "position" else description(rng, base, group)
    words = {
        "bare": definite(rng, group, bare),
        "ref": definite(rng, group, fields),
        "any": noun(group, 2, fields),
        "from": f"the {group.position}",
        **_agreement(group),
    }
    if change.kind == "count" and new is not None:
        digits = rng.random() < _DIGITS
        words["ref"] = definite(rng, group, fields, counted=False)
        words["many"] = noun(group, 2, fields)
        words["to"], words["old"] = number(new.count, digits), number(group.count, digits)
        words["new"] = f"{words['to']} {noun(group, new.count, fields)}"
    elif field and new is not None:
        words["to"] = f"the {new.position}" if field == "position" else getattr(new, field)
        words["old"] = getattr(group, field)
    return words


def _agreement(group: SceneGroup) -> dict[str, str]:
    one = group.count == 1
    return {"they": "it" if one else "they", "them": "it" if one else "them", "is": "is" if one else "are"}


def _relation_words(rng: np.random.Generator, base: Scene, change: Change) -> dict[str, str]:
    assert change.relation is not None and change.predicate is not None
    satellite, anchor = base.group(change.relation.satellite), base.group(change.relation.anchor)
    to, old = change.predicate, change.relation.predicate
    if rng.random() < 0.5:
        to, old = _SIDES.get(to, to), _SIDES.get(old, old)
    return {
        "ref": definite(rng, satellite, description(rng, base, satellite, rate=0)),
        "anchor": definite(rng, anchor, description(rng, base, anchor, rate=0)),
        "to": to,
        "old": old,
        **_agreement(satellite),
    }


def description(
    rng: np.random.Generator,
    base: Scene,
    group: SceneGroup,
    without: str | None = None,
    rate: float = 0.2,
) -> Fields:
    """Fields to name of a group so that no other group is meant.

    `without` is a field to leave out where the others suffice, `rate` how often a position may be named.
    """
    clear = _clear_descriptions(base, group)
    clear = [chosen for chosen in clear if without not in chosen] or clear
    if rng.random() >= rate:
        clear = [chosen for chosen in clear if "position" not in chosen] or clear
    return choose(rng, clear)


def _clear_descriptions(base: Scene, group: SceneGroup) -> list[Fields]:
    """The sets of fields that no other group of that name shares."""
    fields = [field for field in ("size", "colour") if getattr(group, field)] + ["position"]
    rivals = [g for g in base.groups if g.name == group.name and g.uid != group.uid]
    sets = [frozenset(chosen) for n in range(len(fields) + 1) for chosen in combinations(fields, n)]
    return [
        chosen
        for chosen in sets
        if not any(all(getattr(r, field) == getattr(group, field) for field in chosen) for r in rivals)
    ]


def noun(group: SceneGroup, quantity: int, fields: Fields) -> str:
    """The group's name with some of its fields: "small cars at the left"."""
    words = [getattr(group, field) for field in ("size", "colour") if field in fields]
    position = f" at the {group.position}" if "position" in fields else ""
    return " ".join([*words, plural(group.name, quantity)]) + position


def definite(rng: np.random.Generator, group: SceneGroup, fields: Fields, counted: bool = True) -> str:
    """ "the red car", "the two cars at the left"; `counted` False never says how many."""
    say_count = rng.random() < 0.25 and counted and group.count > 1
    many = f"{number(group.count, rng.random() < _DIGITS)} " if say_count else ""
    return f"the {many}{noun(group, group.count, fields)}"


def indefinite(rng: np.random.Generator, group: SceneGroup) -> str:
    """ "a small red car", "three cars": every field but the position."""
    words = noun(group, group.count, frozenset(f for f in ("size", "colour") if getattr(group, f)))
    if group.count > 1 or rng.random() < 0.3:
        return f"{number(group.count, rng.random() < _DIGITS)} {words}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def number(value: int, digits: bool) -> str:
    """A number in digits or as a word."""
    return str(value) if digits else number_word(value)
