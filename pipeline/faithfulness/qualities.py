"""Words that no graph and no list of common ones has: attributes, as in ", derelict,", "moss-covered" and "is
pristine", and objects, as in "two tugboats".
"""

from collections.abc import Iterator

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Passage
from pipeline.faithfulness.grammar import COVER, UNKNOWN_ATTRIBUTE, UNKNOWN_OBJECT, Kind

_ADVERBS = ("ly", "ing", "wise", "wards")  # "neatly", "facing": of place and manner more often than of looks


def unknown_attributes(passage: Passage) -> Iterator[str]:
    """The unknown words that say how an object looks, in words."""
    if Kind.WORD not in passage.kinds:
        return
    items = passage.items
    for match in UNKNOWN_ATTRIBUTE.finditer(passage.kinds):
        word, placed = items[match.start()].text, match.end() < len(items) and match["placed"] is not None
        if placed and word.endswith("ed"):
            continue  # "are stored at the right"
        if word not in words.NO_ATTRIBUTES | words.GONE | words.PRESENCE and not word.endswith(_ADVERBS):
            yield f"attribute '{word}'"
    for match in COVER.finditer(passage.kinds):
        if (word := items[match.start()].text) in words.COVERED:
            yield f"attribute '{word}'"
    for item in items:
        if item.text in passage.vocabulary.attributes:
            continue  # of a graph, though it cannot be searched for
        if item.kind == Kind.WORD and "-" in item.text and item.text.rsplit("-")[-1] in words.COMPOUND_ENDS:
            yield f"attribute '{item.text}'"


def unknown_objects(passage: Passage) -> Iterator[str]:
    """The unknown nouns that count or introduce an object, in words; "in two parts" does neither."""
    for match in UNKNOWN_OBJECT.finditer(passage.kinds if Kind.WORD in passage.kinds else ""):
        before, number = passage.kinds[max(match.start() - 1, 0)], passage.items[match.start()].number
        word = passage.items[match.start("noun")].text
        if number is None and passage.items[match.end("opener")].text not in words.ONE_MORE:
            continue
        counted = word.endswith("s") if number not in (None, 1) else not word.endswith((*_ADVERBS, "ed"))
        placed = before in (Kind.PREPOSITION, Kind.RELATION, Kind.OF)
        scene = not passage.vocabulary.scenes.isdisjoint((word, word.removesuffix("s")))
        if counted and not placed and not scene and word not in words.NO_OBJECTS:
            yield word
