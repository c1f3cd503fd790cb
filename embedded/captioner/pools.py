"""Pools of training batches, each a function of its recipe alone, made while the one before is used."""

import os
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context, parent_process
from random import Random
from threading import Thread

from tokenizers import Tokenizer

from embedded.captioner.batches import Batch, batches, encode_rows, renderer
from embedded.captioner.examples import examples
from embedded.captioner.tokens import TrainingEncoder


@dataclass(frozen=True)
class Recipe:
    """What a pool is made of: `world` and `edited` are shares of its examples, `tokens` the size of a batch.

    `heavy` is the weight of the answer tokens that a modification changes.
    """

    seed: int
    number: int
    groups: int
    world: float
    edited: float
    heavy: float
    tokens: int

    @property
    def rows(self) -> int:
        """Examples in the pool."""
        return 64 * self.groups + 256


class Maker:
    """Makes pools with one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._encoder = TrainingEncoder(tokenizer)
        self._render = renderer()

    def make(self, recipe: Recipe) -> list[Batch]:
        """The batches of a pool: the same ones for the same recipe."""
        rng = Random(f"{recipe.seed} {recipe.number}")
        drawn = islice(examples(rng, recipe.groups, recipe.world, recipe.edited), recipe.rows)
        rows = list(encode_rows(drawn, self._encoder, self._render, rng, recipe.heavy))
        return batches(rows, self._encoder.end_id, recipe.tokens, rng)


_maker: Maker  # of the background process


def _start(tokenizer: str) -> None:
    global _maker
    _maker = Maker(Tokenizer.from_str(tokenizer))
    # an executor's process outlives a killed parent, waiting for work
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make(recipe: Recipe) -> list[Batch]:
    return _maker.make(recipe)


class Background:
    """One process that makes pools; a context manager, which ends it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._executor = ProcessPoolExecutor(1, get_context("spawn"), _start, (tokenizer.to_str(),))

    def __enter__(self) -> "Background":
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)

    def make(self, recipe: Recipe) -> "Future[list[Batch]]":
        """Begin a pool."""
        return self._executor.submit(_make, recipe)
