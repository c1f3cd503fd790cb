"""Batches of views and captions, each a function of seed and step alone."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from embedded.vlm.batches import bag_of, fact_index, fact_numbers, write_captions
from embedded.vlm.captions import facts_of
from embedded.vlm.encoder import Texts
from pipeline.graph.scene_graph import GroupGraph

FULL = 0.5  # the share of captions that state every fact


class Pairs(NamedTuple):
    """maps (B, C, H, W) float16; stated and shown (B, F) bool: the facts of captions and images."""

    maps: torch.Tensor
    texts: Texts
    stated: torch.Tensor
    shown: torch.Tensor


class ViewBatches(Dataset):
    """Batches of whole photographs' views: tiles of one place are each other's negatives.

    Args:
        maps: (N, C, H, W), of the views.
        numbers: for each view that of its photograph.
        tokenize: texts to token ids (B, L).
        together: views of one photograph in a batch.
    """

    def __init__(
        self,
        maps: np.ndarray,
        graphs: Sequence[GroupGraph],
        numbers: Sequence[int],
        tokenize: Callable[[Sequence[str]], torch.Tensor],
        batch: int,
        together: int,
        seed: int,
    ) -> None:
        self.maps, self.graphs, self.tokenize = maps, list(graphs), tokenize
        self.batch, self.together, self.seed = batch, together, seed
        self.index = fact_index(self.graphs, least=10)
        self.facts = fact_numbers([facts_of(graph) for graph in self.graphs], self.index)
        rows = defaultdict(list)
        for row, number in enumerate(numbers):
            rows[number].append(row)
        self.rows = list(rows.values())

    def share(self) -> torch.Tensor:
        """(F,) the share of images that show each fact."""
        counts = np.bincount(np.concatenate(self.facts), minlength=len(self.index))
        return torch.from_numpy(counts / len(self.graphs)).float()

    @property
    def steps_of_an_epoch(self) -> int:
        return sum(len(rows) // self.together for rows in self.rows) * self.together // self.batch

    def order(self, epoch: int) -> np.ndarray:
        """(steps, batch) rows of one epoch."""
        return _order(self, epoch)

    def __getitem__(self, step: int) -> Pairs:
        epoch, number = divmod(step, self.steps_of_an_epoch)
        rows = np.sort(self.order(epoch)[number])
        rng = random.Random(f"{self.seed} {step}")
        captions = write_captions([self.graphs[row] for row in rows], rng, full=FULL)
        return Pairs(
            maps=torch.from_numpy(self.maps[rows]),
            texts=self._halves([caption.text for caption in captions]),
            stated=bag_of(fact_numbers([c.facts for c in captions], self.index), len(self.index)),
            shown=bag_of([self.facts[row] for row in rows], len(self.index)),
        )

    def _halves(self, texts: list[str]) -> Texts:
        tokens = self.tokenize(texts)
        ends = tokens.argmax(dim=1)  # the end of text has the highest id
        order = ends.argsort(stable=True)
        short, long = order[: len(texts) // 2], order[len(texts) // 2 :]
        first, second = (tokens[rows, : int(ends[rows].max()) + 1] for rows in (short, long))
        return Texts(first, second, order.argsort())


@lru_cache(maxsize=2)
def _order(batches: ViewBatches, epoch: int) -> np.ndarray:
    rng = np.random.default_rng([batches.seed, epoch])
    groups = []
    for rows in batches.rows:
        shuffled = rng.permutation(rows)
        whole = len(rows) // batches.together * batches.together
        groups += list(shuffled[:whole].reshape(-1, batches.together))
    mixed = np.concatenate([groups[number] for number in rng.permutation(len(groups))])
    steps = batches.steps_of_an_epoch
    return mixed[: steps * batches.batch].reshape(steps, batches.batch)
