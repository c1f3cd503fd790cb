"""The texts of a query: from the project's tables where they have them, else by the language model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lempo.search.language import Language
from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.schemas import INTERPRETATIONS, PAIRS, PSEUDO_CAPTIONS, SCENE_GRAPHS
from pipeline.base.tables import read_table
from pipeline.corpus.checks import Rejected
from pipeline.corpus.scene_graphs import graph_row
from pipeline.graph.scene_graph import SceneGraph, graph_from_row, group_objects
from pipeline.graph.table import GraphTable
from pipeline.graph.verbalise import verbalise


@dataclass
class Words:
    """The texts that a query has beside its modification, and what is missing, one sentence each."""

    interpretation: str | None = None
    pseudo_caption: str | None = None
    left_out: list[str] = field(default_factory=list)


class Tables:
    """Graphs, interpretations and pseudo captions of a dataset; those made from anything else are not used.

    `notes` says why a table is not used.
    """

    def __init__(self, expected: Expected, dataset: str) -> None:
        self.notes: list[str] = []
        paths = expected.paths

        self._graphs: GraphTable | None = None
        file = paths.scene_graphs(dataset)
        checked = self._read(
            "scene graphs", lambda: read_table(file, SCENE_GRAPHS, ["image_id"], expected.corpus(dataset))
        )
        if checked is not None:
            self._graphs = GraphTable(file)
        self._queries = self._read(
            "queries",
            lambda: read_table(
                paths.pairs(dataset),
                PAIRS,
                ["query_id", "reference_id", "modification"],
                expected.pairs(dataset),
            ),
        )
        self._interpretations = self._read(
            "interpretations",
            lambda: read_table(
                paths.interpretations(dataset),
                INTERPRETATIONS,
                ["image_id", "text"],
                expected.interpretations(dataset),
            ),
        )
        self._captions = self._read(
            "pseudo captions",
            lambda: read_table(
                paths.pseudo_captions(dataset),
                PSEUDO_CAPTIONS,
                ["query_id", "text"],
                expected.pseudo_captions(dataset),
            ),
        )

    def graph(self, image_id: str) -> SceneGraph | None:
        return None if self._graphs is None else self._graphs.of([image_id]).get(image_id)

    def interpretation(self, image_id: str) -> str | None:
        return _text(self._interpretations, "image_id", image_id)

    def pseudo_caption(self, image_id: str, modification: str) -> str | None:
        """The caption of the dataset's own query with this reference and modification, if there is one."""
        if self._queries is None:
            return None
        same = pc.and_(
            pc.equal(self._queries["reference_id"], image_id),
            pc.equal(self._queries["modification"], modification),
        )
        ids = self._queries["query_id"].filter(same).to_pylist()
        texts = (_text(self._captions, "query_id", query_id) for query_id in ids)
        return next((text for text in texts if text), None)

    def _read(self, name: str, read: Callable[[], pa.Table]) -> pa.Table | None:
        try:
            return read()
        except UserError as error:
            self.notes.append(f"the {name} of the dataset: {error}")
            return None


def words_of(
    modification: str | None,
    image_id: str | None,
    graph: Mapping[str, Any] | None,
    size: tuple[int, int] | None,
    tables: Tables | None,
    language: Language | None,
    wanted: tuple[bool, bool],
) -> Words:
    """The interpretation and the pseudo caption of a query.

    Args:
        image_id: of the reference, where it is an image of the index.
        graph: that comes with the query, in the shape of `scene_graphs.json`.
        size: of the reference in pixels, for a graph that comes with the query.
        wanted: whether the interpretation and the pseudo caption have any weight.

    Raises:
        UserError: the graph cannot be used.
    """
    words = Words()
    scene: SceneGraph | None
    if graph is not None:
        scene = _brought(graph, size)
    else:
        scene = tables.graph(image_id) if tables is not None and image_id is not None else None
        if tables is not None and image_id is not None:
            words.interpretation = tables.interpretation(image_id) if wanted[0] else None
            if modification and wanted[1]:
                words.pseudo_caption = tables.pseudo_caption(image_id, modification)
    if wanted[0] and words.interpretation is None:
        _interpret(words, scene, language)
    if wanted[1] and modification and words.pseudo_caption is None:
        _caption(words, scene, modification, language)
    return words


def _interpret(words: Words, scene: SceneGraph | None, language: Language | None) -> None:
    if scene is None:
        words.left_out.append("the interpretation: the reference has no scene graph")
        return
    why: str | None = "there is no language model"
    if language is not None:
        words.interpretation, why = _asked(lambda: language.interpretation(scene))
    if words.interpretation is None and scene.nodes:
        words.interpretation = verbalise(group_objects(scene))
        words.left_out.append(f"the language model's interpretation: {why}; it is written by rule")
    elif words.interpretation is None:
        words.left_out.append(f"the interpretation: {why if language else 'the scene graph has no objects'}")


def _caption(words: Words, scene: SceneGraph | None, modification: str, language: Language | None) -> None:
    if scene is None:
        why: str | None = "the reference has no scene graph"
    elif language is None:
        why = "there is no language model"
    else:
        words.pseudo_caption, why = _asked(lambda: language.pseudo_caption(scene, modification))
    if words.pseudo_caption is None:
        words.left_out.append(f"the pseudo caption: {why}")


def _asked(ask: Callable[[], tuple[str | None, str | None]]) -> tuple[str | None, str | None]:
    try:
        return ask()
    except UserError as error:  # the model, its prompt or its engine cannot be used
        return None, str(error)


def _brought(graph: Mapping[str, Any], size: tuple[int, int] | None) -> SceneGraph:
    width, height = size or (graph.get("width"), graph.get("height"))
    if not isinstance(width, int) or not isinstance(height, int):
        width = height = 0
    try:
        return graph_from_row(graph_row(graph, "reference", width, height))
    except Rejected as error:
        raise UserError(
            f"the scene graph cannot be used: {error.reason}",
            error.remedy,
            field=error.field or "graph",
            value=error.value,
        ) from None


def _text(table: pa.Table | None, key: str, value: str) -> str | None:
    if table is None:
        return None
    row = pc.index(table[key], pa.scalar(value, table[key].type)).as_py()
    return None if row < 0 else table["text"][row].as_py() or None
