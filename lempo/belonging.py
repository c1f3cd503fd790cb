"""Which tables and folders of a dataset hold what the parameters ask for; part of `lempo check`."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.files import identity_hash
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import (
    BROUGHT_CAPTIONS,
    IMAGES,
    INTERPRETATIONS,
    PAIRS,
    PSEUDO_CAPTIONS,
    QUERIES,
    RANKINGS,
    SCENE_GRAPHS,
)
from pipeline.base.tables import read_batches

MadeFrom = Callable[[str], Mapping[str, Any]]


def belonging(params: Params, paths: Paths, dataset: str) -> str:
    """Say how many tables and folders of a dataset hold, and why the first of the others does not.

    One that does not hold is no error: `dvc repro` makes it again.
    """
    problems, count = [], 0
    for file, read in _readers(Expected(params, paths), dataset):
        if file.exists():
            count += 1
            try:
                read()
            except UserError as error:
                problems.append(str(error))
    if not count:
        return "not made yet"
    if not problems:
        return f"{count} tables and folders, which belong together"
    return f"{len(problems)} of {count} tables and folders are to be made again. The first: {problems[0]}"


def _readers(expected: Expected, dataset: str) -> Iterator[tuple[Path, Callable[[], object]]]:
    """Each table or folder, and what reads it."""
    from pipeline.vision.features import read_features
    from trainer.tuning.folder import read_record

    paths, model = expected.paths, language_model(expected)
    tables: tuple[tuple[Path, pa.Schema, MadeFrom], ...] = (
        (paths.images(dataset), IMAGES, expected.corpus),
        (paths.scene_graphs(dataset), SCENE_GRAPHS, expected.corpus),
        (paths.queries(dataset), QUERIES, expected.corpus),
        (paths.captions(dataset), BROUGHT_CAPTIONS, expected.corpus),
        (paths.pairs(dataset), PAIRS, expected.pairs),
        (paths.interpretations(dataset), INTERPRETATIONS, lambda d: expected.interpretations(d) | model),
        (paths.pseudo_captions(dataset), PSEUDO_CAPTIONS, lambda d: expected.pseudo_captions(d) | model),
        (paths.rankings(dataset), RANKINGS, expected.rankings),
    )
    for file, schema, made_from in tables:
        yield file, partial(_read, file, schema, made_from, dataset)
    folder = paths.features(dataset)
    yield folder, lambda: read_features(folder, expected.features(dataset))
    tuned = paths.tuned(dataset)
    yield tuned, lambda: read_record(tuned, expected.tuned(dataset))


def language_model(expected: Expected) -> dict[str, str]:
    """The language model that captions must be of; {} if only a server, or a folder elsewhere, knows it.

    The trainer cannot ask this, since the language model need not lie where it runs.
    """
    from pipeline.llm.identity import model_identity

    params, paths = expected.params, expected.paths
    if params.llm.engine == "endpoint":
        return {}
    try:
        return {"llm": identity_hash(model_identity(params.llm, paths.cache, paths.root))}
    except UserError:
        return {}  # another line of the check says so


def _read(file: Path, schema: pa.Schema, made_from: MadeFrom, dataset: str) -> None:
    next(read_batches(file, schema, expect=made_from(dataset)), None)  # all rows are checked before the first
