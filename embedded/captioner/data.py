"""Training examples of the captioner, made as they are needed: a prompt, and the caption that answers it."""

from collections.abc import Callable, Iterable, Iterator
from difflib import SequenceMatcher
from pathlib import Path
from random import Random

import numpy as np
from jinja2 import Environment

from embedded.captioner.edits import modify
from embedded.captioner.graphs import Names, random_graph
from embedded.captioner.held_out import has_held_out
from embedded.captioner.tokens import TrainingEncoder
from pipeline.graph.scene_graph import GroupGraph, serialise
from pipeline.graph.verbalise import verbalise

CONTEXT = 512
TEMPLATE = Path(__file__).parent / "chat_template.jinja"
Example = tuple[
    str, str, str | None
]  # user message, caption, and what the caption was before the edit, if any
Source = Callable[[Random], Example]
Row = tuple[list[int], int, list[float]]  # token ids, how many are prompt, weights of the others
# ids, labels and weights, each (B, T); labels[:, t] is the token after ids[:, t], -100 where none is learnt
Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


def user_message(graph: GroupGraph, modification: str | None = None) -> str:
    """The last user message of a prompt, as the language stages write it."""
    text = serialise(graph)
    return text if modification is None else f"{text}\nModification: {modification}"


def renderer() -> Callable[[str], str]:
    """The chat template as a function of the user message.

    It gives what transformers gives, without the sandbox, which takes two thirds of the time.
    """
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(TEMPLATE.read_text())
    return lambda text: template.render(
        messages=[{"role": "user", "content": text}], add_generation_prompt=True
    )


def open_example(rng: Random, names: Names, *, edited: bool, most_groups: int = 12) -> Example:
    """A graph over an open vocabulary, with a modification if `edited`; no combination in it is held out."""
    while True:
        graph = random_graph(rng, names, most_groups)
        if has_held_out(graph):
            continue
        if not edited:
            return user_message(graph), verbalise(graph), None
        changed = modify(rng, graph, names)
        if changed is not None and not has_held_out(changed[0]):
            return user_message(graph, changed[1]), verbalise(changed[0]), verbalise(graph)


def mixed(sources: list[tuple[float, Source]], rng: Random) -> Iterator[Example]:
    """Examples for ever, each from one of the sources by its share."""
    shares = [share for share, _ in sources]
    while True:
        yield rng.choices(sources, shares)[0][1](rng)


def weights(before: list[int] | None, answer: list[int], heavy: float) -> list[float]:
    """What each answer token counts for: `heavy` where it differs from the caption before the edit, else 1.

    The token after a deletion is heavy too: it is where what was there is left out.
    """
    counts = [1.0] * len(answer)
    if before is not None:
        for tag, _, _, start, end in SequenceMatcher(None, before, answer, autojunk=False).get_opcodes():
            if tag != "equal":
                for place in range(start, min(max(end, start + 1), len(answer))):
                    counts[place] = heavy
    return counts


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
            counts = weights(None if old is None else [*old, end], [*answer, end], heavy)
            yield prompt + answer + [end], len(prompt), counts


def batches(rows: Iterable[Row], end: int, tokens: int, rng: Random) -> list[Batch]:
    """Cut rows into batches of about `tokens` tokens, alike in length, in random order; `end` pads them."""
    cut: list[list[Row]] = [[]]
    for row in sorted(rows, key=lambda row: len(row[0])):
        if len(row[0]) * (len(cut[-1]) + 1) > tokens:
            cut.append([])
        cut[-1].append(row)
    rng.shuffle(cut)
    return [_padded(batch, end) for batch in cut if batch]


def _padded(batch: list[Row], end: int) -> Batch:
    length = -(-max(len(row) - 1 for row, _, _ in batch) // 8) * 8
    ids = np.full((len(batch), length), end, dtype=np.int64)
    labels = np.full((len(batch), length), -100, dtype=np.int64)
    counts = np.zeros((len(batch), length), dtype=np.float32)
    for number, (row, prompt, weight) in enumerate(batch):
        ids[number, : len(row) - 1] = row[:-1]
        labels[number, prompt - 1 : len(row) - 1] = row[prompt:]
        counts[number, prompt - 1 : len(row) - 1] = weight
    return ids, labels, counts
