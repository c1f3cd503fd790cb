"""Reader of captions that a person brings: `interpretations.json` and `pseudo_captions.json` in a folder.

Each is one JSON list, read row by row: `{"image_id", "caption"}` and `{"pair_id", "caption"}`. Both files may
be missing, whatever kind of dataset the folder holds.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.base.schemas import BROUGHT_CAPTIONS, MADE
from pipeline.corpus.checks import Record, Rejected
from pipeline.corpus.image_files import name_in_images
from pipeline.corpus.json_rows import read_rows
from pipeline.corpus.tables import Corpus, Rejects, gather

INTERPRETATIONS_FILE, PSEUDO_CAPTIONS_FILE = "interpretations.json", "pseudo_captions.json"
CAPTION_LENGTH = 2000
_FILES = (
    (INTERPRETATIONS_FILE, "interpretation", "image_id"),
    (PSEUDO_CAPTIONS_FILE, "pseudo_caption", "pair_id"),
)


def with_captions(corpus: Corpus, folder: Path) -> Corpus:
    """The corpus of a folder with the captions that lie in the folder; rows that cannot be used are rejected.

    Queries that the project makes are not known yet, so their ids are not checked here, and where the folder
    brings no queries, none is.

    Raises:
        UserError: a file as a whole cannot be used.
    """
    return replace(corpus, captions=gather(_rows(corpus, folder), BROUGHT_CAPTIONS))


def _rows(corpus: Corpus, folder: Path) -> Iterator[dict[str, Any]]:
    for name, purpose, key in _FILES:
        if os.path.lexists(folder / name):
            yield from _rows_of(folder / name, purpose, key, _known(corpus, purpose), corpus.rejects)


def _known(corpus: Corpus, purpose: str) -> set[str] | None:
    """The ids that a caption can be for; None where they are not known."""
    if purpose == "interpretation":
        return set(corpus.scene_graphs["image_id"].to_pylist())
    return set(corpus.queries["query_id"].to_pylist()) or None


def _rows_of(
    file: Path, purpose: str, key: str, known: set[str] | None, rejects: Rejects
) -> Iterator[dict[str, Any]]:
    row_of: dict[str, int] = {}
    for row, value in read_rows(file):
        rejects.seen["captions"] += 1
        try:
            record = Record.checked(value)
            id = record.identifier(key)
            if known is not None and id not in known:
                id = _not_known(id, known, key)
            if id in row_of:
                reason = f"the id stands twice, in row {row_of[id]} too"
                raise Rejected(reason, "Keep one caption", key, id)
            text = record.text("caption", CAPTION_LENGTH)
        except Rejected as error:
            record_id = value.get(key) if isinstance(value, dict) else None
            rejects.add("captions", file, row, record_id, error)
        else:
            row_of[id] = row
            yield {"for": purpose, "id": id, "text": text}


def _not_known(id: str, known: set[str], key: str) -> str:
    """The id of the image whose file's name is given as an id, or that of a query that is made later."""
    if key == "pair_id" and id.startswith(MADE):
        return id
    if key == "image_id" and (name := name_in_images(id).rsplit(".", 1)[0]) in known:
        return name
    what = "image with a scene graph" if key == "image_id" else "query"
    remedy = "Correct the id, or remove the row; data/corpus/rejects.parquet says what else was rejected"
    raise Rejected(f"there is no {what} of this id", remedy, key, id)
