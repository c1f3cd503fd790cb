"""The captioner's tokenizer: byte-level BPE over pieces that keep a word's stem apart from its plural ending.

"hangar" and "hangars" share the token of the stem, and so do "body" and "bodies": what is copied from the
graph into a caption is the same tokens, whatever ending follows.
"""

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from random import Random
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

MOST_NUMBERED = 24
_DROPOUT = 0.15
END, MODIFICATION, GRAPH, ANSWER, GROUP, RELATION, NAMED = (
    "<|end|>", "<|mod|>", "<|graph|>", "<|answer|>", "<|g|>", "<|r|>", "<|named|>",
)  # fmt: skip
SPECIAL = [END, MODIFICATION, GRAPH, ANSWER, GROUP, RELATION, NAMED]
SPECIAL += [f"<|g{n}|>" for n in range(1, MOST_NUMBERED + 1)]
_SPECIAL_TOKEN = re.compile(r"(<\|.*?\|>)", re.DOTALL)
_WORDS = r" ?\p{L}+| ?\p{N}{1,2}| ?[^\s\p{L}\p{N}]|\n| +"
_ENDINGS = (
    r"(?<=\p{L}[^aeiou\W])(?:ies|y)(?!\p{L})"
    r"|(?<=\p{L}[sxz]|\p{L}ch|\p{L}sh)(?:es|e)(?!\p{L})"
    r"|(?<=\p{L}[^s\W])s(?!\p{L})"
)


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """A tokenizer of `size` tokens; every byte is one of them, so any text can be written."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),  # with the space before them
            pre_tokenizers.Split(Regex(_ENDINGS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=size,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


class TrainingEncoder:
    """Encodes training texts; some words are cut otherwise than BPE would, alike in the whole example.

    Random cuts (BPE dropout, Provilkov et al. 2020) teach the model to copy tokens that it has never seen
    side by side. They are made here because the library's own dropout cannot be seeded.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._usual: dict[str, list[int]] = {}
        model = json.loads(tokenizer.to_str())["model"]
        self._vocabulary: dict[str, int] = model["vocab"]
        self._ranks = {(first, second): rank for rank, (first, second) in enumerate(model["merges"])}
        self._special = {token: self._vocabulary[token] for token in SPECIAL}
        self.end_id = self._special[END]

    def encode(self, rng: Random, share_cut: float, *texts: str | None) -> list[Any]:
        """Token ids of texts that belong together, with `share_cut` of the words cut at random."""
        cuts: dict[str, list[int]] = {}
        return [None if text is None else self._ids(rng, text, cuts, share_cut) for text in texts]

    def _ids(self, rng: Random, text: str, cuts: dict[str, list[int]], share: float) -> list[int]:
        ids: list[int] = []
        for stretch in filter(None, _SPECIAL_TOKEN.split(text)):
            if stretch in self._special:
                ids.append(self._special[stretch])
                continue
            for piece, _ in self._tokenizer.pre_tokenizer.pre_tokenize_str(stretch):
                if piece not in cuts:
                    cuts[piece] = self._cut_piece(rng, piece) if rng.random() < share else self._piece(piece)
                ids += cuts[piece]
        return ids

    def _piece(self, piece: str) -> list[int]:
        if piece not in self._usual:
            if len(self._usual) > 200_000:
                self._usual.clear()
            self._usual[piece] = [token.id for token in self._tokenizer.model.tokenize(piece)]
        return self._usual[piece]

    def _cut_piece(self, rng: Random, piece: str) -> list[int]:
        """BPE that passes over every possible merge, at every step, with the probability of dropout."""
        units = list(piece)
        while True:
            merges = [
                (rank, index)
                for index, pair in enumerate(pairwise(units))
                if (rank := self._ranks.get(pair)) is not None and rng.random() >= _DROPOUT
            ]
            if not merges:
                return [self._vocabulary[unit] for unit in units]
            index = min(merges)[1]
            units[index : index + 2] = [units[index] + units[index + 1]]
