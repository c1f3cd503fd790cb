"""How long the prompts of a language stage are, by a few of its rows; part of `lempo check`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lempo.project_rows import Project
from pipeline.base.schemas import PAIRS, SCENE_GRAPHS
from pipeline.base.tables import read_batches
from pipeline.captions.stages import LanguageStage
from pipeline.graph.notation import as_json, serialise
from pipeline.graph.scene_graph import GroupGraph, graph_from_row
from pipeline.graph.summary import summarised
from pipeline.llm.model_files import local_folder

_PROMPTS = 50  # that are tried


def prompt_length(project: Project, stage: LanguageStage, answer: int) -> tuple[float, bool, str]:
    """How long prompts are, on average over a few; whether that is in tokens; and the same in words."""
    from pipeline.llm.prompt import load_prompt

    params, section = project.params, stage.section(project.params)
    template = load_prompt(project.paths.root / section.prompt, stage.placeholders)
    examples = list(_examples(project))
    prompts = []
    for graph, modification in examples or [(GroupGraph(None, (), ()), "")]:
        values = {"modification": modification, "difference": modification, "style": ""}
        values |= {"graph": serialise(graph), "graph_json": as_json(graph)}
        prompts.append("\n".join(turn["content"] for turn in template.render(**values)))
    ends = f"an answer has at most {answer} tokens"
    if params.llm.images and stage.pictures:
        ends = f"and an image of at most {params.llm.image_side} pixels a side, {ends}"
    row = "" if examples else " beside its row"
    folder = local_folder(params.llm.model, project.paths.root) if params.llm.engine != "endpoint" else None
    tokenizer = None if folder is None else _tokenizer(folder / "tokenizer.json")
    if tokenizer is None:
        length = sum(map(len, prompts)) / len(prompts)
        return length, False, f"a prompt has about {length:,.0f} characters{row}, {ends}"
    length = sum(len(encoded.ids) for encoded in tokenizer.encode_batch(prompts)) / len(prompts)
    return length, True, f"a prompt has about {length:,.0f} tokens{row}, {ends}"


def _tokenizer(file: Path) -> Any:
    """The tokenizer in a file; None where there is none that this library reads."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file)) if file.is_file() else None
    except Exception:  # the library raises no other kind; vLLM, which reads others too, says what is wrong
        return None


def _examples(project: Project) -> Iterator[tuple[GroupGraph, str]]:
    """Graphs and modifications of a few rows as a prompt states them; they need not belong together."""
    params, paths = project.params, project.paths
    if not project.tables:
        return
    limits = (params.llm.max_groups, params.llm.max_relations)
    each = -(-_PROMPTS // len(params.datasets))
    for dataset in params.datasets:
        graphs = next(read_batches(paths.scene_graphs(dataset), SCENE_GRAPHS), None)
        pairs = paths.pairs(dataset)
        batch = next(read_batches(pairs, PAIRS, columns=["modification"]), None) if pairs.is_file() else None
        modifications = [] if batch is None else batch["modification"].to_pylist()
        for number, row in enumerate([] if graphs is None else graphs.slice(0, each).to_pylist()):
            graph, _ = summarised(graph_from_row(row), *limits)
            yield graph, modifications[number] if number < len(modifications) else ""
