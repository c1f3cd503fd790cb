"""Corpora without queries: images of known graphs, for tests that make queries of them."""

import random
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.graph.scene_graph import POSITIONS, Group, GroupGraph
from tests.language_toy import NO_TENSORS

ROOT = Path(__file__).parents[3]
CELLS = [cell for row in POSITIONS for cell in row]
SIDE = 300  # pixels


def graph_row(image_id: str, graph: GroupGraph) -> dict[str, Any]:
    """A row of the table of scene graphs whose groups are those of a graph."""
    objects: list[dict[str, Any]] = []
    first = []
    for group in graph.groups:
        first.append(len(objects))
        attributes = list(group.attributes)
        count, bbox = 1, None
        if group.position:
            row, column = divmod(CELLS.index(group.position), 3)
            bbox = {"x": 100.0 * column + 45, "y": 100.0 * row + 45, "w": 10.0, "h": 10.0}
            count = int(group.quantity)
        elif group.quantity:
            attributes.insert(0, group.quantity)
        for _ in range(count):
            objects.append(
                {"object_id": len(objects), "name": group.name, "attributes": attributes, "bbox": bbox}
            )
    relations = [
        {"subject_id": first[subject], "predicate": predicate, "object_id": first[object_]}
        for subject, predicate, object_ in graph.relations
    ]
    row = {"image_id": image_id, "width": SIDE, "height": SIDE, "scene": graph.scene}
    return row | {"objects": objects, "relationships": relations}


def random_graph(rng: random.Random, most_groups: int = 4) -> GroupGraph:
    """A graph of few names and places, so that many graphs are a few facts apart."""
    groups: dict[tuple[object, ...], Group] = {}
    for _ in range(rng.randint(1, most_groups)):
        name = rng.choice(("car", "airplane", "hangar", "storage tank"))
        attributes = rng.choice(((), (), ("small",), ("large",), ("red",), ("white",)))
        position = rng.choice(CELLS[:4])
        groups[(name, attributes, position)] = Group(
            str(rng.choice((1, 1, 2, 3))), name, attributes, position
        )
    relations = ((0, "next to", 1),) if len(groups) > 1 and rng.random() < 0.3 else ()
    return GroupGraph("airport", tuple(groups.values()), relations)


class Graphs:
    """A project of one dataset, `graphs`, whose images are of given graphs."""

    def __init__(self, root: Path, **changes: Any) -> None:
        self.paths = Paths(root)
        shutil.copytree(ROOT / "prompts", root / "prompts")
        (root / "models/llm").mkdir(parents=True)
        (root / "models/llm/config.json").write_text("{}")
        (root / "models/llm/model.safetensors").write_bytes(NO_TENSORS)
        self.params = self.with_params(**changes)

    def with_params(self, **changes: Any) -> Params:
        """The parameters with `section__leaf` changed."""
        raw = yaml.safe_load((ROOT / "params.yaml").read_text())
        raw["datasets"] = ["graphs"]
        raw["llm"]["model"] = "models/llm"
        for name, value in changes.items():
            section, _, leaf = name.partition("__")
            raw[section][leaf] = value
        self.params = Params.model_validate(raw)
        return self.params

    def write(
        self,
        images: Iterable[tuple[str, str, GroupGraph | None, dict[str, Any]]],
        queries: Iterable[dict[str, Any]] = (),
    ) -> None:
        """Write the corpus of images, each with its id, split, graph and further columns."""
        rows, graphs = [], []
        for image_id, split, graph, more in images:
            row = {"image_id": image_id, "split": split, "path": "x", "sha256": image_id}
            rows.append(row | {"width": SIDE, "height": SIDE} | more)
            if graph is not None:
                graphs.append(graph_row(image_id, graph))
        Expected(self.params, self.paths).write_corpus("graphs", rows, graphs, list(queries))

    def random(self, count: int, seed: int = 0, **more: Any) -> None:
        """Write images of random graphs, a third of them in each split."""
        rng = random.Random(seed)
        splits = ("train", "val", "test")
        self.write((f"image-{i:05d}", splits[i % 3], random_graph(rng), more) for i in range(count))
