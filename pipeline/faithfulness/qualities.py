"""Attributes that no graph and no list of common ones has: ", derelict,", "moss-covered", "is pristine"."""

from collections.abc import Iterator

from pipeline.faithfulness import words
from pipeline.faithfulness.claims import Passage
from pipeline.faithfulness.grammar import COVER, UNKNOWN_ATTRIBUTE, Kind

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
        if item.kind == Kind.WORD and "-" in item.text and item.text.rsplit("-")[-1] in words.COMPOUND_ENDS:
            yield f"attribute '{item.text}'"
