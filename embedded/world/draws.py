"""Random choices: one of several options, and generators seeded by text."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Option = TypeVar("Option")


def choose(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """One of the options, each with the same probability."""
    return options[int(rng.integers(len(options)))]


def hashed_rng(*key: object) -> np.random.Generator:
    """A generator seeded by the sha256 of the key's text."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
