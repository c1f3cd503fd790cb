"""Batches of the encoder's training: images, captions and facts for each step.

Each batch is a function of seed and step alone: another process can make it ahead, and a run that continues
after a kill sees the same ones.
"""

import random
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.utils.data import Dataset

from embedded.vlm.captions import Caption, Fact, describe, describe_some, facts_of
from embedded.vlm.encoder import Texts, tokenise_halves
from embedded.world.model import POSITION_NAMES
from pipeline.graph.scene_graph import GroupGraph

SHIFT = 2  # pixels


def fact_index(graphs: list[GroupGraph], least: int) -> dict[Fact, int]:
    """A number for every fact that at least `least` of the graphs hold, in alphabetical order."""
    counts = Counter(fact for graph in graphs for fact in facts_of(graph))
    return {fact: number for number, fact in enumerate(sorted(f for f, n in counts.items() if n >= least))}


def fact_numbers(bags: list[frozenset[Fact]], index: dict[Fact, int]) -> list[np.ndarray]:
    """For each bag the numbers of its facts, those that have one."""
    return [np.array(sorted(index[fact] for fact in bag if fact in index), dtype=np.int64) for bag in bags]


def bag_of(numbers: list[np.ndarray], facts: int) -> torch.Tensor:
    """(bags, facts) bool."""
    bag = torch.zeros(len(numbers), facts, dtype=torch.bool)
    rows = np.repeat(np.arange(len(numbers)), [len(row) for row in numbers])
    bag[torch.from_numpy(rows), torch.from_numpy(np.concatenate(numbers))] = True
    return bag


def cell_word(fact: Fact) -> tuple[int, str] | None:
    """The cell of the 3 x 3 grid and the word that stands with it, of a fact as ("@top left", "red")."""
    if len(fact) != 2:
        return None
    cell, word = fact if fact[0].startswith("@") else fact[::-1]
    return (POSITION_NAMES.index(cell[1:]), word) if cell.startswith("@") else None


def write_captions(graphs: list[GroupGraph], rng: random.Random, full: float) -> list[Caption]:
    """A caption for each graph, of every fact with probability `full`."""
    return [(describe if rng.random() < full else describe_some)(graph, rng) for graph in graphs]


@lru_cache(maxsize=2)
def _epoch(seed: int, epoch: int, rows: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch, 1]).permutation(rows)


class Pairs(NamedTuple):
    """A batch of images and their captions.

    pixels (B, H, W, 3) uint8; gain and offset (B, 1, 1, 1) of each image's light; corner (2,) top and left of
    the window that is cut from the image with `SHIFT` pixels more on each side; stated and shown (B, F) bool:
    the facts of captions and images; cells (B, 9, W) bool: the words that stand with each cell in the latter.
    """

    pixels: torch.Tensor
    gain: torch.Tensor
    offset: torch.Tensor
    corner: torch.Tensor
    texts: Texts
    stated: torch.Tensor
    shown: torch.Tensor
    cells: torch.Tensor


class PairBatches(Dataset):
    """Batches of image-caption pairs, every image once an epoch."""

    def __init__(
        self, images: np.ndarray, graphs: list[GroupGraph], tokenizer: Tokenizer, batch: int, seed: int
    ) -> None:
        self.images, self.graphs, self.tokenizer, self.seed = images, graphs, tokenizer, seed
        self.batch = min(batch, len(graphs))
        self.index = fact_index(graphs, least=max(2, len(graphs) // 4000))
        self.facts = fact_numbers([facts_of(graph) for graph in graphs], self.index)
        pairs = [cell_word(fact) for fact in self.index]
        self.words = sorted({word for _, word in filter(None, pairs)})
        # for each fact the column of its cell and word, -1 where it has none
        columns = [pair[0] * len(self.words) + self.words.index(pair[1]) if pair else -1 for pair in pairs]
        self._column = np.array(columns)

    def share(self) -> torch.Tensor:
        """(F,) the share of images that show each fact."""
        counts = np.bincount(np.concatenate(self.facts), minlength=len(self.index))
        return torch.from_numpy(counts / len(self.graphs)).float()

    def __getitem__(self, step: int) -> Pairs:
        epoch, number = divmod(step, len(self.graphs) // self.batch)
        order = _epoch(self.seed, epoch, len(self.graphs))
        rows = np.sort(order[number * self.batch : (number + 1) * self.batch])
        draw = np.random.default_rng([self.seed, step])
        rng = random.Random(int(draw.integers(2**62)))
        captions = write_captions([self.graphs[row] for row in rows], rng, full=0.3)
        light = (len(rows), 1, 1, 1)
        return Pairs(
            pixels=torch.from_numpy(self.images[rows]),
            gain=torch.from_numpy(draw.uniform(0.88, 1.12, light).astype(np.float32)),
            offset=torch.from_numpy(draw.uniform(-0.12, 0.12, light).astype(np.float32)),
            corner=torch.from_numpy(draw.integers(0, 2 * SHIFT + 1, 2)),
            texts=tokenise_halves(self.tokenizer, [c.text for c in captions]),
            stated=bag_of(fact_numbers([c.facts for c in captions], self.index), len(self.index)),
            shown=bag_of([self.facts[row] for row in rows], len(self.index)),
            cells=self.cells(rows),
        )

    def cells(self, rows: np.ndarray) -> torch.Tensor:
        """(rows, 9, W) bool: the words that stand with each cell in the facts of these images."""
        columns = [self._column[self.facts[row]] for row in rows]
        bag = bag_of([c[c >= 0] for c in columns], len(POSITION_NAMES) * len(self.words))
        return bag.unflatten(1, (len(POSITION_NAMES), -1))
