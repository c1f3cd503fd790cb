"""Training examples of the captioner, made as they are needed: a prompt, and the caption that answers it."""

from collections.abc import Callable, Iterator
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
Example = tuple[str, str]  # what the user message says, and the caption
Source = Callable[[Random], Example]


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
            return user_message(graph), verbalise(graph)
        changed = modify(rng, graph, names)
        if changed is not None:
            return user_message(graph, changed[1]), verbalise(changed[0])


def mixed(sources: list[tuple[float, Source]], rng: Random) -> Iterator[Example]:
    """Examples for ever, each from one of the sources by its weight."""
    weights = [weight for weight, _ in sources]
    while True:
        yield rng.choices(sources, weights)[0][1](rng)


def batches(
    examples: Iterator[Example], encoder: TrainingEncoder, rng: Random, tokens: int, pool: int = 1024
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of about `tokens` tokens, alike in length: ids (B, T), labels (B, T), -100 outside answers.

    Labels are shifted: `labels[:, t]` is the token after `ids[:, t]`.
    """
    render = renderer()
    end = encoder.end_id
    while True:
        rows: list[tuple[list[int], int]] = []
        while len(rows) < pool:
            message, caption = next(examples)
            share = rng.choice((0.0, 0.0, 0.1, 0.3))
            prompt, answer = encoder.pair(rng, render(message), " " + caption, share)
            if len(prompt) + len(answer) < CONTEXT:
                rows.append((prompt + answer + [end], len(prompt)))
        rows.sort(key=lambda row: len(row[0]))
        cut: list[list[tuple[list[int], int]]] = [[]]
        for row in rows:
            if len(row[0]) * (len(cut[-1]) + 1) > tokens:
                cut.append([])
            cut[-1].append(row)
        rng.shuffle(cut)
        for batch in cut:
            if batch:
                yield _padded(batch, end)


def _padded(batch: list[tuple[list[int], int]], end: int) -> tuple[Tensor, Tensor]:
    length = -(-max(len(row) - 1 for row, _ in batch) // 8) * 8
    ids = torch.full((len(batch), length), end)
    labels = torch.full((len(batch), length), -100)
    for number, (row, prompt) in enumerate(batch):
        ids[number, : len(row) - 1] = torch.tensor(row[:-1])
        labels[number, prompt - 1 : len(row) - 1] = torch.tensor(row[prompt:])
    return ids, labels
