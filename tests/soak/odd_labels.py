"""Odd labels in one graph: noise as real archives hold it, and any other text."""

import random
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

from pipeline.faithfulness import words
from pipeline.faithfulness.check import Check, check, vocabulary_of
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import GroupGraph, Node, SceneGraph, group_objects
from pipeline.graph.verbalise import verbalise
from tests.pipeline.faithfulness.test_cases import CASES, GRAPHS, OTHERS
from tests.soak.trial import Outcome, each

PROMISE = (
    "Odd labels in one scene graph change nothing that the check says of other rows, and end no stage. They "
    "hold articles, numbers, punctuation, emoji and any Unicode."
)
HOW = (
    "One more graph gets random noise for its names, attributes, predicates and scene. Hand-written captions "
    "of five other graphs are judged with it and without it; so are the noise graph's own captions."
)
TEST_TRIALS = 25
SOAK_TRIALS = 3000

# words that captions need for other things than a name, an attribute or a relation
GRAMMAR = sorted(
    {
        *words.NUMBERS, *words.VAGUE, *words.COLLECTIVES, *words.COPULAS, *words.RELATIVES, *words.PRONOUNS,
        *words.DETERMINERS, *words.NEGATIONS, *words.CONJUNCTIONS, *words.FUNCTION_WORDS, *words.VERBS,
        *words.PICTURE_WORDS, *words.POSITION_WORDS, *words.POSITION_TAILS, *words.POSITION_DEGREES,
        "scenes", "ones", "others", "2", "17", "\u0663", "\u2461", ".", ",", "-", "/", "()", "&", "'", "\n",
    }
    - words.PREPOSITIONS - {"of", "with", "has", "have", "having", "contains", "contain", "containing"}
)  # fmt: skip
LOOKS = sorted(words.COMMON_ATTRIBUTES)
RELATIONS = sorted({*words.PREPOSITIONS, *(form for group in words.PREDICATE_CLASSES for form, _ in group)})
CAPTIONS = [(GRAPHS[case["graph"]], case["text"]) for kind in ("right", "wrong") for case in CASES[kind]]
WITHOUT = vocabulary_of([*GRAPHS.values(), OTHERS])
EXPECTED = [check(text, graph, WITHOUT) for graph, text in CAPTIONS]
_SURROGATES = range(0xD800, 0xE000)


def run(trials: int, seed: int, folder: Path) -> Outcome:
    """Judge the captions beside `trials` noise graphs."""
    failures, number = [], -1
    for number in each(trials):
        rng = random.Random(f"{seed} {number}")
        noise = noise_graph(rng)
        try:
            found = judged_beside(noise)
            own_captions(noise, rng)
        except Exception as error:
            failures.append(f"trial {number}: {noise!r}: {type(error).__name__}: {error}")
            continue
        changed = [CAPTIONS[i][1] for i in range(len(CAPTIONS)) if found[i] != EXPECTED[i]]
        if changed:
            failures.append(f"trial {number}: {noise!r}: {len(changed)} captions, first {changed[0]!r}")
    return Outcome(number + 1, tuple(failures), {"captions judged in each trial": len(CAPTIONS)})


def judged_beside(noise: GroupGraph) -> list[Check]:
    """The checks of the captions in a dataset that also holds this graph."""
    vocabulary = vocabulary_of([*GRAPHS.values(), OTHERS, noise])
    return [check(text, graph, vocabulary) for graph, text in CAPTIONS]


def own_captions(noise: GroupGraph, rng: random.Random) -> list[Check]:
    """The checks of the noise graph's captions: by rule, its notation, and any text."""
    vocabulary = vocabulary_of([*GRAPHS.values(), noise])
    texts = (verbalise(noise), serialise(noise), any_text(rng))
    return [check(text, noise, vocabulary) for text in texts]


def noise_graph(rng: random.Random) -> GroupGraph:
    """A graph whose labels say nothing that a text could be searched for, or are no words of English."""
    nodes = tuple(
        Node(number, _label(rng, name_word), tuple(_labels(rng, attribute_word)), (1.0, 2.0, 30.0, 40.0))
        for number in range(rng.randint(1, 4))
    )
    ends = [rng.randrange(len(nodes)) for _ in range(2 * rng.randint(0, 2))]
    relations = tuple(
        (subject, _label(rng, predicate_word), object_)
        for subject, object_ in zip(ends[::2], ends[1::2], strict=True)
    )
    scene = rng.choice((None, _label(rng, name_word)))
    return group_objects(SceneGraph(99, 99, scene, nodes, relations))


def name_word(rng: random.Random) -> str:
    return rng.choice(rng.choice((GRAMMAR, RELATIONS)))


def attribute_word(rng: random.Random) -> str:
    return rng.choice(rng.choice((GRAMMAR, RELATIONS)))


def predicate_word(rng: random.Random) -> str:
    return rng.choice(GRAMMAR)


def _labels(rng: random.Random, word: Callable[[random.Random], str]) -> list[str]:
    return [_label(rng, word) for _ in range(rng.randint(0, 2))]


def _label(rng: random.Random, word: Callable[[random.Random], str]) -> str:
    kind = rng.random()
    if kind < 0.4:
        label = word(rng)
    elif kind < 0.6:
        label = rng.choice((" ", "-", "_", "/", ", ")).join(word(rng) for _ in range(rng.randint(2, 4)))
    elif kind < 0.65 and word is name_word:
        label = rng.choice(LOOKS)
    else:
        label = any_text(rng)
    return rng.choice((label, label.upper(), label.title(), f" {label}"))


def any_text(rng: random.Random) -> str:
    """Any characters but lower-case Latin letters in a row, which could be a word of a caption."""
    points = (rng.choice((rng.randrange(0x20, 0x3000), rng.randrange(sys.maxunicode))) for _ in range(40))
    text = "".join(chr(point) for point in points if point not in _SURROGATES)[: rng.randint(0, 40)]
    return unicodedata.normalize(rng.choice(("NFC", "NFD")), text)
