"""Measure an exported captioner on graphs that training never drew, by task.

    python -m models.captioner.evaluate models/captioner --rows 200

Decodes greedily with transformers. `all_right` is the share of rows with every fact said and none
invented, `exact` that of rows that are the expected text, `facts` the share of expected facts that were said.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import torch

from models.captioner import edits
from models.captioner.data import Example, open_example, user_message
from models.captioner.graphs import Names, random_graph
from models.captioner.world import edited_scene, plain_scene
from pipeline.verbalise import verbalise

_SEPARATOR = re.compile(r"\. (?=The )|, | and | with |\.$")


def facts(caption: str) -> Counter[str]:
    """A caption cut into its scene, groups and relations."""
    return Counter(part for part in _SEPARATOR.split(caption) if part)


def compare(expected: str, said: str) -> tuple[int, int, int]:
    """Facts expected, expected facts said, and facts invented."""
    wanted, found = facts(expected), facts(said)
    return sum(wanted.values()), sum((wanted & found).values()), sum((found - wanted).values())


def open_edit(rng: Random, kind: str) -> Example:
    """One change of one kind, of an open-vocabulary graph."""
    names, change = Names(held_out=True), getattr(edits, kind)
    while True:
        graph = random_graph(rng, names)
        changed = change(rng, graph, names)
        if changed is not None:
            return user_message(graph, changed[1]), verbalise(changed[0]), None


def tasks() -> Iterator[tuple[str, Callable[[Random], Example]]]:
    """Name and source of every task."""
    yield "world interpretation", plain_scene
    yield "world pseudo caption, training phrasings", edited_scene
    yield "world pseudo caption, test phrasings", lambda rng: edited_scene(rng, "test")
    yield "world interpretation, held-out combinations", lambda rng: plain_scene(rng, held_out=True)
    yield "world pseudo caption, held-out combinations", lambda rng: edited_scene(rng, held_out=True)
    held_out = Names(held_out=True)
    yield "open interpretation", lambda rng: open_example(rng, held_out, edited=False)
    yield "open pseudo caption, 1-3 changes", lambda rng: open_example(rng, held_out, edited=True)
    for kind in ("add", "remove", "recolour", "resize", "move", "count", "relation"):
        yield f"open pseudo caption, {kind}", lambda rng, kind=kind: open_edit(rng, kind)


def captions(folder: Path, messages: list[str], at_once: int = 50) -> list[str]:
    """Greedy captions of user messages, through the folder's own tokenizer and chat template."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    order = sorted(range(len(messages)), key=lambda row: len(messages[row]))
    said = [""] * len(messages)
    for start in range(0, len(order), at_once):
        rows = order[start : start + at_once]
        prompts = [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": messages[row]}], tokenize=False, add_generation_prompt=True
            )
            for row in rows
        ]
        batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            out = model.generate(**batch, do_sample=False, max_new_tokens=300)
        texts = tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        for row, text in zip(rows, texts, strict=True):
            said[row] = text.strip()
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=200, help="rows a task")
    parser.add_argument("--seed", type=int, default=1_000_003)
    parser.add_argument("--wrong", type=int, default=0, help="print so many wrong rows a task")
    parser.add_argument("--only", default="", help="tasks whose name holds this")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    for name, source in tasks():
        if args.only not in name:
            continue
        rng = Random(f"{args.seed} {name}")
        rows = [source(rng) for _ in range(args.rows)]
        said = captions(args.folder, [message for message, _, _ in rows])
        scores = [compare(expected, text) for (_, expected, _), text in zip(rows, said, strict=True)]
        wanted, found, _ = (sum(column) for column in zip(*scores, strict=True))
        figures[name] = {
            "all_right": round(sum(w == f and i == 0 for w, f, i in scores) / len(rows), 4),
            "exact": round(sum(e == s for (_, e, _), s in zip(rows, said, strict=True)) / len(rows), 4),
            "facts": round(found / wanted, 4),
        }
        print(f"{name}: {figures[name]}", flush=True)
        wrong = [(row, text) for row, text in zip(rows, said, strict=True) if text != row[1]]
        for (message, expected, _), text in wrong[: args.wrong]:
            print(f"---\n{message}\nexpected: {expected}\nsaid:     {text}")
    if args.out:
        args.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
