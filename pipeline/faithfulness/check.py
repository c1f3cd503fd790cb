"""Whether a caption says what a scene graph says: facts found, facts missed, facts invented.

A graph's facts are its scene, and for each group its presence, quantity, each attribute and position, and
each relation. The text is read by rule, without any model, so the same text always gets the same judgement.
What it says of an unclear "they" can confirm a fact, but never contradicts one.
"""

from dataclasses import dataclass
from functools import lru_cache

from pipeline.faithfulness.claims import Passage, Reading
from pipeline.faithfulness.comparison import Comparison
from pipeline.faithfulness.manner import faults, repeated_sentences
from pipeline.faithfulness.negation import read_denials
from pipeline.faithfulness.noun_phrases import find_mentions, find_resumptions, read_in_turn
from pipeline.faithfulness.predication import read_predications
from pipeline.faithfulness.qualities import unknown_attributes, unknown_objects
from pipeline.faithfulness.relations import relations
from pipeline.faithfulness.vocabulary import Vocabulary, vocabulary_of
from pipeline.graph.scene_graph import GroupGraph

__all__ = ["Check", "Checker", "Vocabulary", "check", "vocabulary_of"]

MOST_READ = 6_000  # characters of a text; what is longer is no caption, and is not all right
MOST_REMEMBERED = 2_048  # readings, and as many judgements


@dataclass(frozen=True)
class Check:
    """What a caption says of a graph, in words.

    Attributes:
        facts: how many of the graph's facts can be searched for.
        unchecked: the other ones: their labels are words of the checker's own grammar, or no words.
    """

    facts: int
    missed: tuple[str, ...]
    invented: tuple[str, ...]
    unchecked: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether anything could be checked; false for a graph of which no fact can."""
        return bool(self.facts or not self.unchecked)

    @property
    def recall(self) -> float | None:
        """Share of facts found, 0 to 1; None for a graph without facts that can be searched for."""
        return 1 - len(self.missed) / self.facts if self.facts else None

    @property
    def all_right(self) -> bool:
        """Whether nothing that could be checked is wrong."""
        return not self.missed and not self.invented


class Checker:
    """Compares captions with graphs; remembers the latest texts and judgements, since captions recur.

    Args:
        vocabulary: the words of the dataset's graphs. Only these, common objects, attributes and
            relations, and unknown words where only one can stand, can count as invented.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        reading_of = lru_cache(MOST_REMEMBERED)(lambda text: read(text, vocabulary))
        self._check = lru_cache(MOST_REMEMBERED)(
            lambda text, graph: _compare(text, reading_of(text), graph, vocabulary)
        )

    def check(self, text: str, graph: GroupGraph) -> Check:
        """Compare a caption with a graph."""
        return self._check(text, graph)


def check(text: str, graph: GroupGraph, vocabulary: Vocabulary) -> Check:
    """Compare one caption with a graph; a `Checker` is faster for many."""
    return _compare(text, read(text, vocabulary), graph, vocabulary)


def read(text: str, vocabulary: Vocabulary) -> Reading:
    """Read a caption. This needs no graph: the claims are compared with one afterwards."""
    passage = Passage(text[:MOST_READ], vocabulary)
    find_mentions(passage)
    read_in_turn(passage)
    find_resumptions(passage)
    read_denials(passage)
    claims = relations(passage)
    read_predications(passage, claims)
    wrong = [*unknown_attributes(passage), *passage.narrated, *faults(passage)]
    repeated, strange = repeated_sentences(passage), list(unknown_objects(passage))
    return Reading(passage.mentions, claims, passage.places, wrong, repeated, strange)


def _compare(text: str, reading: Reading, graph: GroupGraph, vocabulary: Vocabulary) -> Check:
    comparison = Comparison(text[:MOST_READ], reading, graph, vocabulary)
    facts = list(comparison.facts())
    unchecked = tuple(fact for fact, stated in facts if stated is None)
    missed = tuple(fact for fact, stated in facts if stated is False)
    invented = dict.fromkeys(comparison.inventions())
    if len(text) > MOST_READ:
        invented[f"text after character {MOST_READ}"] = None
    return Check(len(facts) - len(unchecked), missed, tuple(invented), unchecked)
