"""Facts by kind: every fact that a caption can miss is counted once, under its own kind."""

from collections import Counter
from random import Random

import numpy as np
import pytest

from models.captioner.by_fact import KINDS, expected, kind_of, said
from models.captioner.world import scene_groups
from pipeline.faithfulness import check, vocabulary_of
from pipeline.world.scene import sample_scene
from pipeline.world.vocabulary import DATASETS


@pytest.mark.parametrize("seed", range(20))
def test_a_caption_that_says_nothing_misses_every_fact_of_every_kind(seed: int) -> None:
    graph = scene_groups(sample_scene(np.random.default_rng(seed), Random(seed).choice(DATASETS)))
    missed = check("", graph, vocabulary_of([graph])).missed
    assert Counter(kind_of(fact, graph) for fact in missed) == +expected(graph)
    none = said([(graph, list(missed))])
    assert all(right == 0 < wanted for right, wanted in none.values())
    assert said([(graph, [])]) == {kind: (wanted, wanted) for kind, (_, wanted) in none.items()}
    assert list(none) == [kind for kind in KINDS if expected(graph)[kind]]
