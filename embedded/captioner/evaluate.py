"""Measure a captioner: an exported one on graphs that training never drew, or the captions of the last run.

    python -m embedded.captioner.evaluate models/captioner --rows 200
    python -m embedded.captioner.evaluate --tables airplane tennis mixed

The first decodes greedily with transformers. By task it gives `all_right`, the share of rows that state every
fact and invent none; `exact`, the share that are the expected text; and `facts`, the share of expected facts
that are stated. The second reads the tables of the job and gives the share of facts stated by kind.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch

from embedded.captioner import edits
from embedded.captioner.examples import Example, Source, edited_scene, open_example, plain_scene, user_message
from embedded.captioner.random_graphs import Names, random_graph
from pipeline.base.paths import Paths
from pipeline.base.schemas import INTERPRETATIONS, PSEUDO_CAPTIONS, QUERIES, SCENE_GRAPHS
from pipeline.base.tables import read_table
from pipeline.graph.edits import apply_edits, edits_from_row
from pipeline.graph.scene_graph import GroupGraph, graph_from_row, group_objects
from pipeline.graph.verbalise import verbalise

SEED = 1_000_003
BATCH = 50
KINDS = ("object", "number", "attribute", "position", "relation", "scene")
_SEPARATOR = re.compile(r"\. (?=The )|, | and | with |\.$")


def facts(caption: str) -> Counter[str]:
    """A caption cut into its scene, groups and relations."""
    return Counter(filter(None, _SEPARATOR.split(caption)))


def compare(expected: str, caption: str) -> tuple[int, int, int]:
    """Facts expected, expected facts that the caption states, and facts that it invents."""
    wanted, stated = facts(expected), facts(caption)
    return wanted.total(), (wanted & stated).total(), (stated - wanted).total()


def _open_edit(names: Names, kind: str, rng: Random) -> Example:
    """One change of one kind, of an open-vocabulary graph."""
    while True:
        graph = random_graph(rng, names)
        change = getattr(edits, kind)(rng, graph, names)
        if change is not None:
            return Example(user_message(graph, change[1]), verbalise(change[0]))


def tasks() -> dict[str, Source]:
    """The source of examples of every task."""
    names = Names(held_out=True)
    kinds = [change.__name__ for change in edits.KINDS]
    return {
        "world interpretation": plain_scene,
        "world pseudo caption, training phrasings": edited_scene,
        "world pseudo caption, test phrasings": partial(edited_scene, split="test"),
        "world interpretation, held-out combinations": partial(plain_scene, held_out=True),
        "world pseudo caption, held-out combinations": partial(edited_scene, held_out=True),
        "open interpretation": partial(open_example, names=names, edited=False),
        "open pseudo caption, 1-3 changes": partial(open_example, names=names, edited=True),
        "open pseudo caption, worded by rule": partial(open_example, names=names, edited=True, by_rule=True),
        **{f"open pseudo caption, {kind}": partial(_open_edit, names, kind) for kind in kinds},
    }


def write_captions(model: Any, tokenizer: Any, messages: list[str]) -> list[str]:
    """Greedy captions of user messages, through the folder's own tokenizer and chat template."""
    order = sorted(range(len(messages)), key=lambda row: len(messages[row]))
    captions = [""] * len(messages)
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        chats = [[{"role": "user", "content": messages[row]}] for row in rows]
        prompts = tokenizer.apply_chat_template(chats, tokenize=False, add_generation_prompt=True)
        batch = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            out = model.generate(**batch, do_sample=False, max_new_tokens=300)
        texts = tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        for row, text in zip(rows, texts, strict=True):
            captions[row] = text.strip()
    return captions


def measure(folder: Path, rows: int) -> dict[str, dict[str, float]]:
    """Print and return the figures of every task, each of so many rows."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    figures: dict[str, dict[str, float]] = {}
    for task, source in tasks().items():
        rng = Random(f"{SEED} {task}")
        examples = [source(rng) for _ in range(rows)]
        captions = write_captions(model, tokenizer, [example.message for example in examples])
        pairs = [(example.caption, caption) for example, caption in zip(examples, captions, strict=True)]
        scores = [compare(*pair) for pair in pairs]
        figures[task] = {
            "all_right": round(sum(w == s and i == 0 for w, s, i in scores) / rows, 4),
            "exact": round(sum(expected == caption for expected, caption in pairs) / rows, 4),
            "facts": round(sum(s for _, s, _ in scores) / sum(w for w, _, _ in scores), 4),
        }
        print(f"{task}: {figures[task]}", flush=True)
    return figures


def _facts_of(graph: GroupGraph) -> dict[str, list[str]]:
    """{kind: facts} that a caption of this graph must state, as `pipeline.faithfulness.check` writes them."""
    groups = graph.groups
    return {
        "object": [group.name for group in groups],
        "number": [f"{group.quantity} {group.name}" for group in groups if group.quantity],
        "attribute": [f"{attribute} {group.name}" for group in groups for attribute in group.attributes],
        "position": [f"{group.name} at {group.position}" for group in groups if group.position is not None],
        "relation": [f"{groups[s].name} {predicate} {groups[o].name}" for s, predicate, o in graph.relations],
        "scene": [] if graph.scene is None else [f"scene {graph.scene}"],
    }


def facts_by_kind(graph: GroupGraph) -> Counter[str]:
    """How many facts of each kind a caption of this graph must state."""
    return Counter({kind: len(facts) for kind, facts in _facts_of(graph).items()})


def kind_of(fact: str, graph: GroupGraph) -> str:
    """The kind of one of `missed`, as `pipeline.faithfulness.check` writes it of this graph."""
    facts = _facts_of(graph)
    kinds = ("object", "scene", "number", "position", "attribute")
    return next((kind for kind in kinds if fact in facts[kind]), "relation")


def stated_by_kind(rows: Iterable[tuple[GroupGraph, list[str]]]) -> dict[str, tuple[int, int]]:
    """{kind: facts stated, facts expected} of captions, each given as its graph and the facts it missed."""
    wanted: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for graph, facts in rows:
        wanted += facts_by_kind(graph)
        missed.update(kind_of(fact, graph) for fact in facts)
    return {kind: (wanted[kind] - missed[kind], wanted[kind]) for kind in KINDS if wanted[kind]}


def print_stated_facts(dataset: str, paths: Paths) -> None:
    """Print the share of facts, by kind, that the captions in the job's tables state.

    Of the pseudo captions only those of the test split are counted.
    """
    rows = read_table(paths.scene_graphs(dataset), SCENE_GRAPHS).to_pylist()
    graphs = {row["image_id"]: group_objects(graph_from_row(row)) for row in rows}
    interpretations = read_table(paths.interpretations(dataset), INTERPRETATIONS).to_pylist()
    captions = read_table(paths.pseudo_captions(dataset), PSEUDO_CAPTIONS).to_pylist()
    missed = {row["query_id"]: row["missed"] for row in captions}
    tables = {
        "interpretations": [(graphs[row["image_id"]], row["missed"]) for row in interpretations],
        "pseudo captions": [
            (apply_edits(graphs[query["reference_id"]], changes), missed[query["query_id"]])
            for query in read_table(paths.queries(dataset), QUERIES).to_pylist()
            if query["split"] == "test" and (changes := edits_from_row(query["edits"])) is not None
        ],
    }
    for name, table in tables.items():
        counts = stated_by_kind(table).items()
        shares = ", ".join(f"{kind} {100 * stated / wanted:.2f}" for kind, (stated, wanted) in counts)
        print(f"{dataset}, {name}, percent of facts stated: {shares}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("folder", type=Path, nargs="?", help="an exported captioner")
    what.add_argument("--tables", nargs="+", metavar="DATASET", help="measure the tables of the last run")
    parser.add_argument("--rows", type=int, default=200, help="rows a task")
    parser.add_argument("--out", type=Path, help="write the figures of the tasks as JSON")
    options = parser.parse_args()
    for dataset in options.tables or ():
        print_stated_facts(dataset, Paths(Path.cwd()))
    if options.folder:
        figures = measure(options.folder, options.rows)
        if options.out:
            options.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
