"""Whether two texts of one prompt differ by a floating-point tie: the model's logits, computed again."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.base.schemas import PAIRS
from pipeline.base.tables import read_table
from pipeline.captions.row_cache import RowCache
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import group_objects
from pipeline.graph.table import GraphTable
from pipeline.llm.chat import ChatRenderer
from pipeline.llm.prompt import Message, load_prompt
from tests.project import ROOT, Project

TIE = 1e-3  # logits; float32 noise between batch sizes is about a tenth of this


class Scorer:
    """The embedded captioner under transformers, float32."""

    def __init__(self, folder: Path = ROOT / "models/captioner") -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
        self._tokenizer: Any = tokenizer
        self._chat = ChatRenderer(tokenizer)

    def losses(self, messages: list[Message], text: str) -> list[float]:
        """For every token of a text and its end: how far its logit is below the highest one."""
        import torch

        prompt, tokens = self._chat.token_ids(messages), self._tokens(text)
        with torch.inference_mode():
            logits = self._model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
        chosen = logits.gather(1, torch.tensor(tokens)[:, None])[:, 0]
        return (logits.max(1).values - chosen).tolist()

    def tie(self, messages: list[Message], text: str, other: str) -> float:
        """Where the texts first differ: the larger gap of the two tokens to the best one, in logits."""
        pairs = zip(self._tokens(text), self._tokens(other), strict=False)
        i = next(i for i, (left, right) in enumerate(pairs) if left != right)
        return max(self.losses(messages, text)[i], self.losses(messages, other)[i])

    def _tokens(self, text: str) -> list[int]:
        return [*self._tokenizer(text, add_special_tokens=False)["input_ids"], self._tokenizer.eos_token_id]


@cache
def scorer() -> Scorer:
    return Scorer()


def caption_messages(project: Project, datasets: Sequence[str]) -> dict[str, list[Message]]:
    """The prompt of `caption` for every query."""
    template = load_prompt(project.folder / "prompts/caption.txt", ("graph", "modification"))
    prompts = {}
    for dataset in datasets:
        queries = read_table(project.paths.pairs(dataset), PAIRS).to_pylist()
        graphs = GraphTable(project.paths.scene_graphs(dataset)).of([q["reference_id"] for q in queries])
        for query in queries:
            graph = serialise(group_objects(graphs[query["reference_id"]]))
            prompts[query["query_id"]] = template.render(graph=graph, modification=query["modification"])
    return prompts


def raw_texts(project: Project, row_keys: dict[str, str], max_tokens: int = 160) -> dict[str, str | None]:
    """The texts as the model wrote them, by the ids of `row_keys`."""
    entries = RowCache(project.paths.cache / "llm").lookup(row_keys.values(), max_tokens)
    return {name: entries[key].text for name, key in row_keys.items()}
