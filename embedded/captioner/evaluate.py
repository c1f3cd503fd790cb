"""Measure an exported captioner on graphs that training never drew, by task.

    python -m embedded.captioner.evaluate models/captioner --rows 200
    python -m embedded.captioner.evaluate --tables airplane tennis mixed   # of the last run, by kind of fact

Decodes greedily with transformers. `all_right` is the share of rows with every fact said and none
invented, `exact` that of rows that are the expected text, `facts` the share of expected facts that were said.
"""

import argparse
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random

import torch

from embedded.captioner import edits
from embedded.captioner.data import Example, open_example, user_message
from embedded.captioner.graphs import Names, random_graph
from embedded.captioner.world import edited_scene, plain_scene
from pipeline.base.paths import Paths
from pipeline.base.schemas import INTERPRETATIONS, PSEUDO_CAPTIONS, QUERIES, SCENE_GRAPHS
from pipeline.base.tables import read_table
from pipeline.graph.edits import apply_edits, edits_from_row
from pipeline.graph.scene_graph import POSITIONS, GroupGraph, graph_from_row, group_objects
from pipeline.graph.verbalise import verbalise

KINDS = ("object", "number", "attribute", "position", "relation", "scene")
_CELLS = "|".join(sorted((cell for row in POSITIONS for cell in row), key=len, reverse=True))
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


def facts_by_kind(graph: GroupGraph) -> Counter[str]:
    """How many facts of each kind a caption of this graph must state."""
    groups = graph.groups
    return Counter(
        {
            "object": len(groups),
            "number": sum(bool(group.quantity) for group in groups),
            "attribute": sum(len(group.attributes) for group in groups),
            "position": sum(group.position is not None for group in groups),
            "relation": len(graph.relations),
            "scene": int(graph.scene is not None),
        }
    )


def kind_of(fact: str, graph: GroupGraph) -> str:
    """The kind of one of `missed`, as `pipeline.faithfulness.check` writes it of this graph."""
    names = {group.name for group in graph.groups}
    if fact in names:
        return "object"
    if fact == f"scene {graph.scene}":
        return "scene"
    if any(fact == f"{group.quantity} {group.name}" for group in graph.groups if group.quantity):
        return "number"
    if (found := re.fullmatch(f"(.+) at ({_CELLS})", fact)) and found[1] in names:
        return "position"
    if any(fact == f"{a} {group.name}" for group in graph.groups for a in group.attributes):
        return "attribute"
    return "relation"


def stated_by_kind(rows: Iterable[tuple[GroupGraph, list[str]]]) -> dict[str, tuple[int, int]]:
    """{kind: facts stated, facts expected} of captions, each the graph it must state and what it missed."""
    wanted: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    for graph, facts in rows:
        wanted += facts_by_kind(graph)
        missed.update(kind_of(fact, graph) for fact in facts)
    return {kind: (wanted[kind] - missed[kind], wanted[kind]) for kind in KINDS if wanted[kind]}


def _interpretations(dataset: str, paths: Paths) -> Iterator[tuple[GroupGraph, list[str]]]:
    graphs = _graphs(dataset, paths)
    for row in read_table(paths.interpretations(dataset), INTERPRETATIONS).to_pylist():
        yield graphs[row["image_id"]], row["missed"]


def _pseudo_captions(dataset: str, paths: Paths) -> Iterator[tuple[GroupGraph, list[str]]]:
    graphs = _graphs(dataset, paths)
    captions = read_table(paths.pseudo_captions(dataset), PSEUDO_CAPTIONS).to_pylist()
    missed = {row["query_id"]: row["missed"] for row in captions}
    for query in read_table(paths.queries(dataset), QUERIES).to_pylist():
        edits = edits_from_row(query["edits"])
        if query["split"] == "test" and edits is not None:
            yield apply_edits(graphs[query["reference_id"]], edits), missed[query["query_id"]]


def _graphs(dataset: str, paths: Paths) -> dict[str, GroupGraph]:
    rows = read_table(paths.scene_graphs(dataset), SCENE_GRAPHS).to_pylist()
    return {row["image_id"]: group_objects(graph_from_row(row)) for row in rows}


def report_tables(datasets: Sequence[str], paths: Paths) -> None:
    """Print what share of the facts the captions of a job's tables state, by kind of fact.

    Of pseudo captions only the test split counts.
    """
    for dataset in datasets:
        for name, rows in (("interpretations", _interpretations), ("pseudo captions", _pseudo_captions)):
            shares = stated_by_kind(rows(dataset, paths)).items()
            told = ", ".join(f"{kind} {100 * right / of:.2f}" for kind, (right, of) in shares)
            print(f"{dataset}, {name}, percent of facts stated: {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--tables", nargs="+", metavar="DATASET", help="judge the tables of the last run")
    parser.add_argument("--rows", type=int, default=200, help="rows a task")
    parser.add_argument("--seed", type=int, default=1_000_003)
    parser.add_argument("--wrong", type=int, default=0, help="print so many wrong rows a task")
    parser.add_argument("--only", default="", help="tasks whose name holds this")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    if args.tables:
        report_tables(args.tables, Paths(Path.cwd()))
        return
    if args.folder is None:
        parser.error("name the captioner's folder, or --tables")
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
