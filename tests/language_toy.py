"""A project of a few graphs and queries, and an engine that answers at once or fails where it is told to."""

import itertools
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from pipeline.base.expected import Expected
from pipeline.base.interrupts import Interrupted
from pipeline.base.metrics_io import read_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.tables import read_table
from pipeline.captions.run import row_cache
from pipeline.captions.stages import STAGES as LANGUAGE_STAGES
from pipeline.graph.edits import Edit, apply_edits, edit_to_row
from pipeline.graph.notation import serialise
from pipeline.graph.scene_graph import Group, GroupGraph, graph_from_row, group_objects
from pipeline.graph.verbalise import verbalise
from pipeline.llm.prompt import load_prompt
from pipeline.llm.types import Engine, Request, Result, Sampling
from stages import caption, interpret, pairs

ROOT = Path(__file__).parents[1]
COLOURS = ("red", "blue", "green", "white", "black", "yellow", "orange", "purple")
CENTERS = ((10, "left"), (120, "center"), (230, "right"))
STAGES: dict[str, Any] = {"interpret": interpret, "caption": caption}
Answer = Callable[[Request], Result]
NO_TENSORS = b"\2\0\0\0\0\0\0\0{}"  # a safetensors file


def caption_requests(count: int) -> list[tuple[Request, GroupGraph]]:
    """Requests as `interpret` makes them, no two alike, and the graphs that their answers must say."""
    template = load_prompt(ROOT / "prompts/interpret.txt", ("graph",))
    things = ("car", "airplane", "hangar", "pond", "truck", "house", "court", "tree")
    kinds = itertools.product(things, COLOURS[:-1], things, COLOURS[:-1])
    made = []
    for i, (name, colour, other, shade) in enumerate(itertools.islice(kinds, 0, 13 * count, 13)):
        groups = (Group("", name, (colour,)), Group("", other, (shade,)))
        graph = GroupGraph("airport", groups, ((0, "next to", 1),))
        messages = template.render(graph=serialise(graph))
        made.append((Request(f"k{i}", messages, Sampling.of(0, 1, 0), 60, None), graph))
    return made


class Toy:
    """`rows` images in each of two datasets; the last two of a dataset are twins; one query an image.

    The queries of `toy` carry edits; those of `free` do not.
    """

    def __init__(self, root: Path, rows: int = 8, **changes: Any) -> None:
        self.paths = Paths(root)
        shutil.copytree(ROOT / "prompts", root / "prompts")
        model = root / "models/llm"
        model.mkdir(parents=True)
        (model / "config.json").write_text("{}")
        (model / "model.safetensors").write_bytes(NO_TENSORS)
        vlm = root / "models/vlm"
        vlm.mkdir()
        (vlm / "open_clip_config.json").write_text('{"model_cfg": {}}')
        (vlm / "open_clip_model.safetensors").write_bytes(NO_TENSORS)
        self.params = self.with_params(**changes)
        self.texts: dict[str, str] = {}
        for dataset in ("toy", "free"):
            self.write(dataset, rows)

    def with_params(self, **changes: Any) -> Params:
        raw = yaml.safe_load((ROOT / "params.yaml").read_text())
        raw["datasets"] = ["toy", "free"]
        raw["llm"]["model"] = "models/llm"
        for name, value in changes.items():
            section, _, leaf = name.partition("__")
            if leaf:
                raw[section][leaf] = value
            else:
                raw[section] = value
        self.params = Params.model_validate(raw)
        return self.params

    def write(self, dataset: str, rows: int, recolour: int | None = None) -> None:
        """Write the two tables; `recolour` gives one image another graph."""
        images, graphs, queries = [], [], []
        for i in range(rows):
            kind = min(i, rows - 2)
            colour = "pink" if i == recolour else COLOURS[kind % len(COLOURS)]
            x, _ = CENTERS[kind // len(COLOURS) % 3]
            bbox = {"x": float(x), "y": 120.0, "w": 10.0, "h": 10.0}
            car = {"object_id": 0, "name": "car", "attributes": [colour], "bbox": bbox}
            tree = {"object_id": 1, "name": "tree", "attributes": ["many"], "bbox": None}
            graphs.append(
                {
                    "image_id": f"{dataset}-{i:04d}",
                    "width": 250,
                    "height": 250,
                    "scene": f"{dataset} park",
                    "objects": [car, tree],
                    "relationships": [{"subject_id": 0, "predicate": "next to", "object_id": 1}],
                }
            )
            picture = {"image_id": f"{dataset}-{i:04d}", "split": "test", "path": "x", "sha256": f"{i}"}
            images.append({**picture, "width": 250, "height": 250, "family": None})
            grouped = group_objects(graph_from_row(graphs[-1]))
            pond = Edit("add", "object", Group("1", "pond", (), "bottom"))
            self.texts[serialise(grouped)] = verbalise(grouped)
            asked = serialise(grouped) + "\nModification: add a pond at the bottom"
            self.texts[asked] = verbalise(apply_edits(grouped, [pond]))
            queries.append(
                {
                    "query_id": f"{dataset}-q{i:04d}",
                    "split": "test",
                    "reference_id": f"{dataset}-{i:04d}",
                    "target_id": f"{dataset}-{(i + 1) % rows:04d}",
                    "target_ids": [f"{dataset}-{(i + 1) % rows:04d}"],
                    "modification": "add a pond at the bottom",
                    "kind": "add",
                    "family": None,
                    "edits": [edit_to_row(pond)] if dataset == "toy" else None,
                }
            )
        Expected(self.params, self.paths).write_corpus(dataset, images, graphs, queries)
        pairs.run(self.params.model_copy(update={"datasets": (dataset,)}), self.paths)

    def run(self, answer: Answer | None = None, stage: str = "interpret") -> "FakeEngine":
        """Run a stage; the engine answers right where nothing else is said."""
        engine = FakeEngine(answer or self.right)
        STAGES[stage].run(self.params, self.paths, engine=engine)
        return engine

    def rows(self, dataset: str = "toy", stage: str = "interpret") -> list[dict[str, Any]]:
        return read_table(self._table(dataset, stage), LANGUAGE_STAGES[stage].schema).to_pylist()

    def tables(self, stage: str = "interpret") -> dict[str, bytes]:
        return {dataset: self._table(dataset, stage).read_bytes() for dataset in ("toy", "free")}

    def metrics(self, stage: str = "interpret") -> dict[str, Any]:
        return read_metrics(self.paths.metrics(stage))

    def cached(self) -> list[str]:
        """Keys on disk."""
        parts = row_cache(self.paths).parts()
        return [key for part in parts for key in pq.read_table(part, columns=["key"])["key"].to_pylist()]

    def _table(self, dataset: str, stage: str) -> Path:
        return LANGUAGE_STAGES[stage].table(self.paths, dataset)

    def failing(self, word: str, error: str = "out of luck") -> Answer:
        """Answers right where the request lacks a word, else with an error."""

        def answer(request: Request) -> Result:
            if word in request.messages[-1]["content"]:
                return Result(request.key, error=error)
            return self.right(request)

        return answer

    def right(self, request: Request) -> Result:
        """The answer that says every fact."""
        return answered(request, self.texts[request.messages[-1]["content"]])

    def interrupted(self, after: int) -> "FakeEngine":
        """An engine that gives so many right answers before somebody presses Ctrl-C."""

        def answer(request: Request) -> Result:
            if len(engine.asked) > after:
                raise Interrupted(signal.SIGINT)
            return self.right(request)

        engine = FakeEngine(answer)
        return engine


def answered(request: Request, text: str) -> Result:
    """A text as an engine would return it, cut at the request's limit (a token is a word)."""
    words = text.split()
    cut = len(words) > request.max_tokens
    return Result(
        request.key,
        text=" ".join(words[: request.max_tokens]),
        finish_reason="length" if cut else "stop",
        prompt_tokens=10,
        output_tokens=min(len(words), request.max_tokens),
        cached_tokens=5,
    )


class FakeEngine(Engine):
    """Answers by a function; remembers what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Request] = []
        self.opened = 0
        self.closed = 0

    def __call__(self) -> "FakeEngine":
        self.opened += 1
        return self

    def generate(self, requests: Iterable[Request]) -> Iterator[Result]:
        for request in requests:
            self.asked.append(request)
            yield self.answer(request)

    def shared_tokens(self) -> int:
        return 10

    def effective(self) -> dict[str, Any]:
        return {"device": "none"}

    def close(self) -> None:
        self.closed += 1


class WordTokenizer:
    """Stands for the VLM's tokenizer: words, and two more."""

    context_length = 20

    def count(self, texts: Iterable[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]
