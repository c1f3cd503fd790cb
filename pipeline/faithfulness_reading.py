"""A caption read by rule: which objects it mentions with what properties, and how they relate."""

from pipeline.faithfulness_claims import Passage, Reading
from pipeline.faithfulness_items import items_of
from pipeline.faithfulness_lexicon import Vocabulary
from pipeline.faithfulness_nouns import find_mentions
from pipeline.faithfulness_predication import attach
from pipeline.faithfulness_relations import relations


def read(text: str, vocabulary: Vocabulary) -> Reading:
    """Read a caption. Needs no graph: what it claims is compared afterwards."""
    passage = Passage(items_of(text, vocabulary), vocabulary)
    find_mentions(passage)
    attach(passage)
    return Reading(passage.mentions, relations(passage))
