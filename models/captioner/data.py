"""Training examples of the captioner, made as they are needed: a prompt, and the caption that answers it."""

from collections.abc import Callable, Iterator
from difflib import SequenceMatcher
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from models.captioner.edits import modify
from models.captioner.graphs import Names, random_graph
from models.captioner.tokens import TrainingEncoder
from pipeline.scene_graph import GroupGraph, serialise
from pipeline.verbalise import verbalise

CONTEXT = 512
TEMPLATE = Path(__file__).parent / "chat_template.jinja"
Example = tuple[
    str, str, str | None
]  # user message, caption, and what the caption was before the edit, if any
Source = Callable[[Random], Example]
Row = tuple[list[int], int, list[float]]  # token ids, how many are prompt, weights of the others


def user_message(graph: GroupGraph, modification: str | None = None) -> str:
    """The last user message of a prompt, as the language stages write it."""
    text = serialise(graph)
    return text if modification is None else f"{text}\nModification: {modification}"


def renderer() -> Callable[[str], str]:
    """The chat template as a function of the user message, run as transformers runs it."""
    from transformers.utils.chat_template_utils import _compile_jinja_template

    template = _compile_jinja_template(TEMPLATE.read_text())
    return lambda text: template.render(
        messages=[{"role": "user", "content": text}], add_generation_prompt=True
    )


def open_example(rng: Random, names: Names, *, edited: bool, most_groups: int = 12) -> Example:
    """A graph over an open vocabulary, with a modification if `edited`."""
    while True:
        graph = random_graph(rng, names, most_groups)
        if not edited:
            return user_message(graph), verbalise(graph), None
        changed = modify(rng, graph, names)
        if changed is not None:
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


def batches(
    examples: Iterator[Example],
    encoder: TrainingEncoder,
    rng: Random,
    tokens: int,
    pool: int = 1024,
    heavy: float = 1.0,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of about `tokens` tokens, alike in length: ids, labels and weights, each (B, T).

    Labels are shifted: `labels[:, t]` is the token after `ids[:, t]`, or -100 where nothing is learnt.
    """
    render = renderer()
    end = encoder.end_id
    while True:
        rows: list[Row] = []
        while len(rows) < pool:
            message, caption, before = next(examples)
            share = rng.choice((0.0, 0.0, 0.1, 0.3))
            prompt, answer, old = encoder.encode(
                rng, share, render(message), " " + caption, None if before is None else " " + before
            )
            if len(prompt) + len(answer) < CONTEXT:
                counts = weights(None if old is None else [*old, end], [*answer, end], heavy)
                rows.append((prompt + answer + [end], len(prompt), counts))
        rows.sort(key=lambda row: len(row[0]))
        cut: list[list[Row]] = [[]]
        for row in rows:
            if len(row[0]) * (len(cut[-1]) + 1) > tokens:
                cut.append([])
            cut[-1].append(row)
        rng.shuffle(cut)
        for batch in cut:
            if batch:
                yield _padded(batch, end)


def _padded(batch: list[Row], end: int) -> tuple[Tensor, Tensor, Tensor]:
    length = -(-max(len(row) - 1 for row, _, _ in batch) // 8) * 8
    ids = torch.full((len(batch), length), end)
    labels = torch.full((len(batch), length), -100)
    counts = torch.zeros(len(batch), length)
    for number, (row, prompt, weight) in enumerate(batch):
        ids[number, : len(row) - 1] = torch.tensor(row[:-1])
        labels[number, prompt - 1 : len(row) - 1] = torch.tensor(row[prompt:])
        counts[number, prompt - 1 : len(row) - 1] = torch.tensor(weight)
    return ids, labels, counts
