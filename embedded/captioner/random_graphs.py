"""Random scene graphs over an open vocabulary: real words, made-up words, two-word names, aerial names."""

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

from embedded.captioner.vocabulary import COLOURS, NOUNS, OTHER_ATTRIBUTES, PREDICATES, SCENES, SIZES
from embedded.world.model import POSITION_NAMES
from pipeline.graph.scene_graph import VAGUE_QUANTITIES, Group, GroupGraph, phrase

_ONSETS = (  # noqa: SIM905
    "b c d f g h j k l m n p qu r s t v w x y z bl br ch cl cr dr fl fr gl gr kn pl pr sc sh sk sl sm sn sp "
    "st str sw th thr tr tw wh"
).split()
_VOWELS = "a e i o u a e i o u ai au ea ee ei eu ia ie io oa oo ou ue y".split()  # noqa: SIM905
_CODAS = (  # noqa: SIM905
    "b c ck d f ff g k l ll m n ng nt nd p r rd rk rn rt s ss sh st t th x z ch lt mp ct sk tch"
).split()
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
        onset = rng.choice(_ONSETS) if rng.random() < 0.85 else ""
        coda = rng.choice(_CODAS) if rng.random() < 0.4 else ""
        syllables.append(onset + rng.choice(_VOWELS) + coda)
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

    def word(self, rng: Random) -> str:
        return rng.choice(self.words) if rng.random() < 0.6 else made_up_word(rng)

    def noun(self, rng: Random) -> str:
        draw = rng.random()
        if draw < 0.35:
            return rng.choice(NOUNS)
        if draw < 0.75:
            return self.word(rng)
        if draw < 0.85:
            return f"{self.word(rng)} {rng.choice(NOUNS)}"
        if draw < 0.95:
            return f"{self.word(rng)} {self.word(rng)}"
        if draw < 0.965:
            return f"{self.word(rng)} {self.word(rng)} {self.word(rng)}"
        if draw < 0.975:
            return f"{self.word(rng)}-{self.word(rng)}"
        first, spaced, joined, last = self.word(rng), code(rng), code(rng), self.word(rng)
        forms = (
            first.capitalize(),
            f"{first} {spaced}",
            f"{first}-{joined}",
            first.upper(),
            f"{first}'s {last}",
        )
        return rng.choice(forms)

    def attribute(self, rng: Random) -> str:
        draw = rng.random()
        if draw < 0.3:
            return rng.choice(COLOURS)
        if draw < 0.45:
            return rng.choice(SIZES)
        if draw < 0.65:
            return rng.choice(OTHER_ATTRIBUTES)
        return self.word(rng) if draw < 0.95 else f"{self.word(rng)} {self.word(rng)}"

    def predicate(self, rng: Random) -> str:
        draw = rng.random()
        if draw < 0.9:
            return rng.choice(PREDICATES)
        if draw < 0.95:
            return f"{self.word(rng)} {rng.choice(('to', 'by', 'in', 'on', 'at', 'with', 'from', 'near'))}"
        return self.word(rng)

    def scene(self, rng: Random) -> str:
        draw = rng.random()
        if draw < 0.6:
            return rng.choice(SCENES)
        if draw < 0.8:
            return self.word(rng)
        if draw < 0.85:
            return f"{self.word(rng)} {code(rng)}"
        return f"{self.word(rng)}{rng.choice((' ', ''))}{self.word(rng)}"


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
        name = rng.choice(groups).name if again else names.noun(rng)
        attributes = tuple(dict.fromkeys(names.attribute(rng) for _ in range(rng.choice(described))))
        group = Group(
            quantity(rng, vague=0.6 if manner == "sparse" else 0.25) if rng.random() < stated else "",
            name,
            attributes,
            rng.choice(POSITION_NAMES) if rng.random() < placed else None,
        )
        if not any(same_but_number(group, other) for other in groups):
            groups.append(group)
    scene = names.scene(rng) if rng.random() < 0.8 else None
    graph = GroupGraph(scene, tuple(groups), ())
    ends = [index for index in range(count) if relatable(graph, index)]
    draw_relations = _around_one_group if manner == "sparse" and rng.random() < 0.7 else _anywhere
    relations = draw_relations(rng, ends, names) if len(ends) > 1 else {}
    return GroupGraph(scene, tuple(groups), tuple((s, p, o) for (s, o), p in relations.items()))


def _anywhere(rng: Random, ends: list[int], names: Names) -> dict[tuple[int, int], str]:
    relations: dict[tuple[int, int], str] = {}
    for _ in range(rng.choice((0, 0, 1, 1, 1, 2, 2, 3, 4))):
        subject, object_ = rng.sample(ends, 2)
        relations.setdefault((subject, object_), names.predicate(rng))
    return relations


def _around_one_group(rng: Random, ends: list[int], names: Names) -> dict[tuple[int, int], str]:
    """Relations of one group to several others, as in "a house with a fence, surrounded by trees"."""
    subject, *others = rng.sample(ends, rng.randint(2, min(5, len(ends))))
    predicates = [names.predicate(rng) for _ in range(rng.choice((1, 2, 2, 3)))]
    return {(subject, o): rng.choice(predicates) for o in sorted(others)}


def same_but_number(first: Group, second: Group) -> bool:
    """Whether two groups differ in nothing, or in their number alone."""
    return replace(first, quantity="") == replace(second, quantity="")


def relatable(graph: GroupGraph, index: int) -> bool:
    """Whether the serialised mention of a group can mean this group alone."""
    return [mention(graph, other) for other in range(len(graph.groups))].count(mention(graph, index)) == 1


def mention(graph: GroupGraph, index: int) -> str:
    """A group as `serialise` mentions it in a relation: its name, or its phrase where the name is shared."""
    group = graph.groups[index]
    alone = sum(other.name == group.name for other in graph.groups) == 1
    return group.name if alone else phrase(group)
