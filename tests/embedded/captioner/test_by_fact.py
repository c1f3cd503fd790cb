"""Facts by kind: every fact that a caption can miss is counted once, under its own kind."""

from collections import Counter
from random import Random

import numpy as np
import pytest

from embedded.captioner.evaluate import KINDS, facts_by_kind, kind_of, stated_by_kind
from embedded.captioner.examples import scene_groups
from embedded.world.edits import sample_scene
from embedded.world.vocabulary import DATASETS
from pipeline.faithfulness.check import check, vocabulary_of


@pytest.mark.parametrize("seed", range(20))
def test_a_caption_that_says_nothing_misses_every_fact_of_every_kind(seed: int) -> None:
    graph = scene_groups(sample_scene(np.random.default_rng(seed), Random(seed).choice(DATASETS)))
    missed = check("", graph, vocabulary_of([graph])).missed
    assert Counter(kind_of(fact, graph) for fact in missed) == +facts_by_kind(graph)
    none = stated_by_kind([(graph, list(missed))])
    assert all(right == 0 < wanted for right, wanted in none.values())
    assert stated_by_kind([(graph, [])]) == {kind: (wanted, wanted) for kind, (_, wanted) in none.items()}
    assert list(none) == [kind for kind in KINDS if facts_by_kind(graph)[kind]]
