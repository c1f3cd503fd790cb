"""Random scene graphs over an open vocabulary: real words, made-up words, two-word names, aerial names."""

import hashlib
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

from embedded.captioner.wording import LISTS
from embedded.world.model import POSITION_NAMES
from pipeline.graph.scene_graph import VAGUE_QUANTITIES, Group, GroupGraph, mention

# forms of names by kind; of a draw from 0 to 1, the first form with a higher limit is taken
_FORMS: dict[str, tuple[tuple[float, str], ...]] = {
    "noun": (
        (0.35, "{NOUNS}"),
        (0.75, "{word}"),
        (0.85, "{word} {NOUNS}"),
        (0.95, "{word} {word}"),
        (0.965, "{word} {word} {word}"),
        (0.975, "{word}-{word}"),
        (1, "{unusual}"),
    ),
    "attribute": (
        (0.3, "{COLOURS}"),
        (0.45, "{SIZES}"),
        (0.65, "{OTHER_ATTRIBUTES}"),
        (0.95, "{word}"),
        (1, "{word} {word}"),
    ),
    "predicate": ((0.9, "{PREDICATES}"), (0.95, "{word} {PREPOSITIONS}"), (1, "{word}")),
    "scene": ((0.6, "{SCENES}"), (0.8, "{word}"), (0.85, "{word} {code}"), (1, "{word}{GAPS}{word}")),
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@cache
def words(held_out: bool) -> tuple[str, ...]:
    """The words of `words.txt`; one in twenty is held out of training, chosen by its hash."""
    listed = (Path(__file__).parent / "words.txt").read_text().split()
    return tuple(w for w in listed if (hashlib.sha256(w.encode()).digest()[0] < 13) is held_out)


def made_up_word(rng: Random) -> str:
    """A word that no list holds: syllables of many shapes, now and then letters in any order."""
    if rng.random() < 0.15:
        return "".join(rng.choice(_LETTERS) for _ in range(rng.randint(2, 9)))
    syllables = []
    for _ in range(rng.choice((1, 2, 2, 2, 3, 3, 4))):
        onset = rng.choice(LISTS["ONSETS"]) if rng.random() < 0.85 else ""
        coda = rng.choice(LISTS["CODAS"]) if rng.random() < 0.4 else ""
        syllables.append(onset + rng.choice(LISTS["VOWELS"]) + coda)
    word = "".join(syllables)
    return word if len(word) > 1 else word + rng.choice(_LETTERS)


def code(rng: Random) -> str:
    """A code as it follows a name: 4351, 27L, K9."""
    number = str(rng.randrange(10 ** rng.randint(1, 5)))
    letter = rng.choice(_LETTERS).upper()
    return rng.choice((number, number, number, number + letter, letter + number))


class Names:
    """Draws names for one purpose: training, or evaluation on real words that training never saw."""

    def __init__(self, held_out: bool = False) -> None:
        self.words = words(held_out)

    def draw(self, rng: Random, kind: str) -> str:
        """A noun, an attribute, a predicate or a scene."""
        value = rng.random()
        form = next(form for limit, form in _FORMS[kind] if value < limit)
        return re.sub(r"{(\w+)}", lambda slot: self._fill(rng, slot[1]), form)

    def _fill(self, rng: Random, slot: str) -> str:
        if slot == "word":
            return rng.choice(self.words) if rng.random() < 0.6 else made_up_word(rng)
        if slot == "code":
            return code(rng)
        return self._unusual(rng) if slot == "unusual" else rng.choice(LISTS[slot])

    def _unusual(self, rng: Random) -> str:
        first, spaced, joined, last = (self._fill(rng, slot) for slot in ("word", "code", "code", "word"))
        forms = f"{first} {spaced}", f"{first}-{joined}", first.upper(), f"{first}'s {last}"
        return rng.choice((first.capitalize(), *forms))


def quantity(rng: Random, *, plural: bool = False, vague: float = 0.25) -> str:
    """A number in digits, or with probability `vague` a word such as "some"; `plural` rules out one."""
    if rng.random() < vague:
        return rng.choice((*VAGUE_QUANTITIES, "some", "many", "several"))
    draw = rng.random()
    if not plural and draw < 0.45:
        return "1"
    if draw < 0.97:
        return str(rng.choice((2, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 11, 12)))
    return str(rng.randint(13, 60))


def random_graph(rng: Random, names: Names, most_groups: int = 12) -> GroupGraph:
    """A graph in one of three manners: full, sparse (little but names, as from captions), or mixed."""
    manner = rng.choice(("full", "full", "sparse", "sparse", "sparse", "mixed"))
    counts = (0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 6, 7, 8, 9, 10, 12)
    count = min(rng.choice(counts), most_groups)
    if count == 0 and rng.random() < 0.7:
        count = 1
    stated = {"full": 1.0, "sparse": 0.5, "mixed": 0.6}[manner]
    placed = {"full": 0.95, "sparse": 0.0, "mixed": 0.4}[manner]
    described = {"full": (0, 1, 1, 2, 2, 3), "sparse": (0, 0, 0, 0, 1), "mixed": (0, 0, 1, 1, 2)}[manner]
    groups: list[Group] = []
    while len(groups) < count:
        again = groups and rng.random() < (0.02 if manner == "sparse" else 0.08)
        name = rng.choice(groups).name if again else names.draw(rng, "noun")
        attributes = tuple(dict.fromkeys(names.draw(rng, "attribute") for _ in range(rng.choice(described))))
        group = Group(
            quantity(rng, vague=0.6 if manner == "sparse" else 0.25) if rng.random() < stated else "",
            name,
            attributes,
            rng.choice(POSITION_NAMES) if rng.random() < placed else None,
        )
        if not any(same_but_number(group, other) for other in groups):
            groups.append(group)
    scene = names.draw(rng, "scene") if rng.random() < 0.8 else None
    graph = GroupGraph(scene, tuple(groups), ())
    ends = [index for index in range(count) if relatable(graph, index)]
    draw_relations = _around_one_group if manner == "sparse" and rng.random() < 0.7 else _anywhere
    relations = draw_relations(rng, ends, names) if len(ends) > 1 else {}
    return GroupGraph(scene, tuple(groups), tuple((s, p, o) for (s, o), p in relations.items()))


def _anywhere(rng: Random, ends: list[int], names: Names) -> dict[tuple[int, int], str]:
    relations: dict[tuple[int, int], str] = {}
    for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 2, 3, 4))):
        subject, object_ = rng.sample(ends, 2)
        relations.setdefault((subject, object_), names.draw(rng, "predicate"))
    return relations


def _around_one_group(rng: Random, ends: list[int], names: Names) -> dict[tuple[int, int], str]:
    """Relations of one group to several others, as in "a house with a fence, surrounded by trees"."""
    subject, *others = rng.sample(ends, rng.randint(2, min(5, len(ends))))
    predicates = [names.draw(rng, "predicate") for _ in range(rng.choice((1, 2, 2, 3)))]
    return {(subject, o): rng.choice(predicates) for o in sorted(others)}


def same_but_number(first: Group, second: Group) -> bool:
    """Whether two groups differ in nothing, or in their number alone."""
    return replace(first, quantity="") == replace(second, quantity="")


def relatable(graph: GroupGraph, index: int) -> bool:
    """Whether the serialised mention of a group can mean this group alone."""
    return [mention(graph, other) for other in range(len(graph.groups))].count(mention(graph, index)) == 1
