"""What is known of an archive while it is read, and which of its images a brought graph means."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.params import CorpusParams
from pipeline.corpus.checks import Record, Rejected
from pipeline.corpus.image_files import ImageFiles, name_in_images
from pipeline.corpus.json_rows import read_rows
from pipeline.corpus.pieces import Piece
from pipeline.corpus.rendering import Source
from pipeline.corpus.tables import Notes, Rejects

GRAPHS_FILE = "scene_graphs.json"


@dataclass
class State:
    """What is known of a dataset so far; every dictionary is by image id."""

    folder: Path
    params: CorpusParams
    files: ImageFiles
    rejects: Rejects = field(default_factory=Rejects)
    notes: Notes = field(default_factory=Notes)
    counts: Counter[str] = field(default_factory=Counter)
    named: dict[str, str] = field(default_factory=dict)  # files
    id_of_file: dict[str, str] = field(default_factory=dict)
    families: dict[str, str] = field(default_factory=dict)  # that brought graphs state
    rejected: dict[str, str] = field(default_factory=dict)  # why an image is not usable
    sources: dict[str, Source] = field(default_factory=dict)  # the usable images before they are cut
    pieces: dict[str, Piece] = field(default_factory=dict)  # the images of the table
    splits: dict[str, str] = field(default_factory=dict)  # of the pieces
    graphless: dict[str, str] = field(default_factory=dict)  # why a piece has no graph

    def id_of(self, name: str) -> str:
        """The id of the image that a query names by its id or by its file's name."""
        if name in self.pieces or name in self.named:
            return name
        return self.id_of_file.get(name_in_images(name), name)


def brought_rows(state: State) -> Iterator[tuple[int, Any]]:
    file = state.folder / GRAPHS_FILE
    return read_rows(file) if file.exists() else iter(())


def size_of(state: State, piece: Piece) -> tuple[int, int]:
    probe = state.sources[piece.scene_id].probe
    return (probe.width, probe.height) if piece.tile is None else (piece.tile.w, piece.tile.h)


def meant(state: State, graph: Record) -> str:
    """The image that a brought graph is of.

    Raises:
        Rejected: there is no such image.
    """
    image_id = graph.identifier("image_id")
    if image_id in state.pieces:
        return image_id
    if (by_file := state.id_of(image_id)) in state.pieces:
        return by_file
    if image_id in state.rejected:
        reason = f"its image was rejected: {state.rejected[image_id]}"
        raise Rejected(reason, "Correct the image, or remove the graph", "image_id", image_id)
    if image_id in state.named:
        remedy = "Name the tile: <image>_<x>_<y>"
        raise Rejected("its image was cut into tiles", remedy, "image_id", image_id)
    file = state.files.find(image_id, graph.optional("file_name"))
    if (by_file := state.id_of(file)) in state.pieces:
        return by_file
    raise state.files.missing(file)
