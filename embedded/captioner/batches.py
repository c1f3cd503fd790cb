"""Batches of the captioner's training: examples as token ids, with a weight for each token of the answer."""

from collections.abc import Callable, Iterable, Iterator
from difflib import SequenceMatcher
from pathlib import Path
from random import Random

import numpy as np
from jinja2 import Environment

from embedded.captioner.examples import Example
from embedded.captioner.tokens import TrainingEncoder

CONTEXT = 512
TEMPLATE = Path(__file__).parent / "chat_template.jinja"
Row = tuple[list[int], int, list[float]]  # token ids, how many are prompt, weights of the others
# ids, labels and weights, each (B, T); labels[:, t] is the token after ids[:, t], -100 where none is learnt
Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


def renderer() -> Callable[[str], str]:
    """The chat template as a function of the user message.

    It gives what transformers gives, without the sandbox, which takes two thirds of the time.
    """
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(TEMPLATE.read_text())
    return lambda text: template.render(
        messages=[{"role": "user", "content": text}], add_generation_prompt=True
    )


def weights(before: list[int] | None, answer: list[int], heavy: float) -> list[float]:
    """The weight of each answer token: `heavy` where it differs from the caption before the edit, else 1.

    The token after a deletion is heavy too: there the model has to leave out what stood before.
    """
    values = [1.0] * len(answer)
    if before is not None:
        for tag, _, _, start, end in SequenceMatcher(None, before, answer, autojunk=False).get_opcodes():
            if tag != "equal":
                end = min(max(end, start + 1), len(answer))
                values[start:end] = [heavy] * (end - start)
    return values


def encode_rows(
    examples: Iterable[Example],
    encoder: TrainingEncoder,
    render: Callable[[str], str],
    rng: Random,
    heavy: float = 1.0,
) -> Iterator[Row]:
    """Examples as rows of token ids; those that do not fit in the context are left out."""
    end = encoder.end_id
    for message, caption, before in examples:
        share = rng.choice((0.0, 0.0, 0.1, 0.3))
        old_text = None if before is None or heavy == 1.0 else " " + before
        prompt, answer, old = encoder.encode(rng, share, render(message), " " + caption, old_text)
        if len(prompt) + len(answer) < CONTEXT:
            values = weights(None if old is None else [*old, end], [*answer, end], heavy)
            yield prompt + answer + [end], len(prompt), values


def batches(rows: Iterable[Row], end: int, tokens: int, rng: Random) -> list[Batch]:
    """Cut rows into batches of about `tokens` tokens, alike in length, in random order; `end` pads them."""
    chunks: list[list[Row]] = [[]]
    for row in sorted(rows, key=lambda row: len(row[0])):
        if len(row[0]) * (len(chunks[-1]) + 1) > tokens:
            chunks.append([])
        chunks[-1].append(row)
    rng.shuffle(chunks)
    return [_padded(chunk, end) for chunk in chunks if chunk]


def _padded(rows: list[Row], end: int) -> Batch:
    length = -(-max(len(row) - 1 for row, _, _ in rows) // 8) * 8
    ids = np.full((len(rows), length), end, dtype=np.int64)
    labels = np.full((len(rows), length), -100, dtype=np.int64)
    values = np.zeros((len(rows), length), dtype=np.float32)
    for number, (row, prompt, weight) in enumerate(rows):
        ids[number, : len(row) - 1] = row[:-1]
        labels[number, prompt - 1 : len(row) - 1] = row[prompt:]
        values[number, prompt - 1 : len(row) - 1] = weight
    return ids, labels, values
