"""Scene graphs of an archive: those that a person brings, and those that are made of boxes."""

from collections.abc import Iterator
from typing import Any

from pipeline.base.decode import ALL, decode
from pipeline.base.progress import Progress
from pipeline.boxes.graph import GraphMaker, median_sizes
from pipeline.corpus.archive_state import GRAPHS_FILE, State, brought_rows, meant, size_of
from pipeline.corpus.checks import Record, Rejected
from pipeline.corpus.pieces import Workshop, content_of
from pipeline.corpus.said import Said
from pipeline.corpus.scene_graphs import graph_row
from pipeline.corpus.tables import Notes


def graph_rows(state: State, said: Said, shop: Workshop) -> Iterator[dict[str, Any]]:
    """Graphs that are brought, then those that are made; `state.graphless` then says why others have none."""
    file, done = state.folder / GRAPHS_FILE, set[str]()
    for row, value in brought_rows(state):
        state.rejects.seen["scene_graphs"] += 1
        image_id = None
        try:
            graph = Record.checked(value)
            image_id = meant(state, graph)
            if image_id in done:
                raise Rejected(
                    "the image has a graph already", "Give each image one graph", "image_id", image_id
                )
            notes = Notes()
            made = graph_row(value, image_id, *size_of(state, state.pieces[image_id]), notes)
        except Rejected as error:
            state.rejects.add("scene_graphs", file, row, image_id, error)
        else:
            done.add(image_id)
            state.notes.add(notes, file, row)
            yield made
    yield from _made_graphs(state, said, shop, done)


def _made_graphs(state: State, said: Said, shop: Workshop, done: set[str]) -> Iterator[dict[str, Any]]:
    annotated = [piece for piece in state.pieces.values() if piece.image_id not in done]
    contents = ((content_of(piece, said, shop.cutting), *size_of(state, piece)) for piece in annotated)
    sizes = median_sizes((shown.boxes, w, h) for shown, w, h in contents if shown is not None)
    maker = GraphMaker(sizes, state.params.colours)
    title = f"{state.folder.name}: scene graphs"
    for piece in Progress(annotated, title=title, unit="image"):
        shown = content_of(piece, said, shop.cutting)
        if shown is None:
            state.graphless[piece.image_id] = "its reference has no scene graph"
            continue
        state.rejects.seen["scene_graphs"] += 1
        image = None
        if state.params.colours:
            image = decode((shop.root / piece.path).read_bytes(), ALL)
        scene = said.of(piece.scene_id).scene
        yield maker.make(piece.image_id, shown.boxes, *size_of(state, piece), scene, image)
    for kind, times in maker.counts.items():
        state.notes.count(kind, times, maker.first[kind])
