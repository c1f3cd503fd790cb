"""Targets: what a search reads."""

import json
from pathlib import Path

from lempo.search.commands import read_graph
from lempo.search.settings import MANIFEST, read_manifest, root_of
from lempo.search.texts import words_of
from pipeline.base.errors import UserError
from pipeline.base.files import remember
from pipeline.base.params import VlmParams
from pipeline.base.paths import Paths
from tests.fuzz.target import Target, of_files

_GRAPH = {
    "objects": [
        {"object_id": 0, "name": "car", "attributes": ["red"], "bbox": [1, 2, 3, 4]},
        {"object_id": 1, "names": ["tree"], "x": 1, "y": 1, "w": 2, "h": 2},
    ],
    "relationships": [{"subject_id": 0, "predicate": "near", "object_id": 1}],
}


def search(folder: Path) -> Target:
    """A scene graph that comes with a query, and the manifest of an index."""
    graph, manifest = folder / "graph.json", folder / MANIFEST
    graph.write_text(json.dumps(_GRAPH))
    vlm = {"model": "a", "pretrained": None, "precision": "fp32"}
    value = {"kind": "folder", "root": "..", "table": "images", "vlm": vlm, "vlm_params": vlm}
    remember(manifest, value | {"dtype": "float16", "dimension": 4})

    def read(file: Path) -> None:
        if file == graph:
            brought = read_graph(file)
            try:
                words_of("remove the car", None, brought, (40, 30), None, None, (True, True))
            except UserError as error:
                assert error.problem.reason and error.problem.remedy and str(error).isprintable()
        else:
            found = read_manifest(folder)
            VlmParams.model_validate(found["vlm_params"])
            root_of(found, folder, Paths(folder))

    return of_files([graph, manifest], read)
