"""Batches of views and captions, each a function of seed and step alone."""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from embedded.vlm.batches import bag_of, fact_index, fact_numbers, write_captions
from embedded.vlm.captions import facts_of
from embedded.vlm.encoder import Texts
from pipeline.graph.plurals import pluralise
from pipeline.graph.scene_graph import GroupGraph

FULL = 0.5  # the share of captions that state every fact
_LEAST = 10  # views that show a fact which the head reads


class Pairs(NamedTuple):
    """A batch of views and their captions.

    maps (B, C, H, W) float16; places (B,) int64: the photograph of each; stated and shown (B, F) bool: the
    facts of captions and images; holds (B, B) bool: whether caption i states nothing that image j lacks.
    """

    maps: torch.Tensor
    places: torch.Tensor
    texts: Texts
    stated: torch.Tensor
    shown: torch.Tensor
    holds: torch.Tensor


def in_other_words(text: str, words: Mapping[str, str]) -> str:
    """The text with some words replaced, in the singular and in the plural; a capital letter stays one."""
    plurals = {pluralise(old): pluralise(new) for old, new in words.items()}
    known = plurals | dict(words)

    def replaced(match: re.Match[str]) -> str:
        word = match[0]
        new = known.get(word.lower(), word)
        return new[:1].upper() + new[1:] if word[:1].isupper() else new

    return re.sub(r"\w+", replaced, text) if known else text


class ViewBatches(Dataset):
    """Batches of several views of each of some photographs: tiles of one place are each other's negatives.

    Args:
        maps: (N, C, H, W), of the views.
        numbers: for each view that of its photograph.
        tokenize: texts to token ids (B, L); the end of text has the highest id.
        batch: views, a multiple of `together`.
        together: views of one photograph in a batch.
        words: what captions say in place of a word of the graphs.
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
        words: Mapping[str, str] | None = None,
    ) -> None:
        self.maps, self.graphs, self.tokenize, self.seed = maps, list(graphs), tokenize, seed
        self.batch, self.together = batch, together
        self.numbers, self.words = np.asarray(numbers, np.int64), dict(words or {})
        self.bags = [facts_of(graph) for graph in self.graphs]
        self.index = fact_index(self.graphs, least=min(_LEAST, len(self.graphs)))
        self.facts = fact_numbers(self.bags, self.index)
        rows = defaultdict(list)
        for row, number in enumerate(numbers):
            rows[number].append(row)
        self._rows = list(rows.values())
        self.steps = sum(len(some) // together for some in self._rows) * together // batch  # of an epoch
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def share(self) -> torch.Tensor:
        """(F,) the share of images that show each fact."""
        counts = np.bincount(np.concatenate(self.facts), minlength=len(self.index))
        return torch.from_numpy(counts / len(self.graphs)).float()

    def __getitem__(self, step: int) -> Pairs:
        rows = self._rows_of(step)
        rng = random.Random(f"{self.seed} {step}")
        captions = write_captions([self.graphs[row] for row in rows], rng, full=FULL)
        holds = [[caption.facts <= self.bags[row] for row in rows] for caption in captions]
        return Pairs(
            maps=torch.from_numpy(self.maps[rows]),
            places=torch.from_numpy(self.numbers[rows]),
            texts=self._halves([in_other_words(caption.text, self.words) for caption in captions]),
            stated=bag_of(fact_numbers([c.facts for c in captions], self.index), len(self.index)),
            shown=bag_of([self.facts[row] for row in rows], len(self.index)),
            holds=torch.tensor(holds),
        )

    def _rows_of(self, step: int) -> np.ndarray:
        """The batch's rows, in the order of the file."""
        epoch, number = divmod(step, self.steps)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            groups = []
            for rows in self._rows:
                shuffled = rng.permutation(rows)
                groups += [
                    shuffled[start : start + self.together]
                    for start in range(0, len(rows) - self.together + 1, self.together)
                ]
            self._order = np.concatenate([groups[place] for place in rng.permutation(len(groups))])
            self._epoch = epoch
        return np.sort(self._order[number * self.batch : (number + 1) * self.batch])

    def _halves(self, texts: list[str]) -> Texts:
        tokens = self.tokenize(texts)
        ends = tokens.argmax(dim=1)
        order = ends.argsort(stable=True)
        short, long = order[: len(texts) // 2], order[len(texts) // 2 :]
        first, second = (tokens[rows, : int(ends[rows].max()) + 1] for rows in (short, long))
        return Texts(first, second, order.argsort())
