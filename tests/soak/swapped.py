"""Trials of data that does not belong together: a file is exchanged, edited, cut or shifted."""

import hashlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from pipeline.base.errors import UserError
from tests.exchanges import (
    DATASET,
    FILES,
    HELD_BY,
    OTHER,
    READERS,
    change_rows,
    change_vectors,
    edit,
    edit_json,
    forget,
    halve,
    shift,
    shuffle,
    swap,
)
from tests.finished import (
    STAGES,
    Change,
    Finished,
    finish,
    make_llm,
    recolour,
    repaint_graphs,
    reword_prompts,
    reword_queries,
)
from tests.soak.trial import Outcome

PROMISE = "Only what belongs together is used: exchanged, edited or cut data is refused or changes nothing."
HOW = (
    "A table or folder of a finished project is exchanged for that of a project with other images, graphs, "
    "queries, prompts, models or parameters. Or its rows are edited, shifted, shuffled or cut. Then a stage "
    "or a tool reads it."
)
TEST_TRIALS, SOAK_TRIALS = 30, 2000
_SIBLINGS = (
    Change(STAGES, {}, recolour),
    Change(STAGES, {}, repaint_graphs),
    Change(STAGES, {}, reword_queries),
    Change(STAGES[1:], {}, reword_prompts),
    Change(STAGES[1:], {"caption.max_tokens": 99, "interpret.max_tokens": 99}),
    Change(STAGES[1:], {}, lambda folder: make_llm(folder, b'{"a":{}}')),
    Change(STAGES[4:], {"embed.dtype": "float32"}),
    Change(STAGES[5:], {"tune.learning_rate": 1e-2}),
    Change(STAGES[1:], {"seed": 3}),
)


def run(trials: int, seed: int, folder: Path) -> Outcome:
    """Run some trials; each takes one sibling, one file, one exchange and one reader."""
    chosen = random.Random(seed)
    project = finish(folder / "project")
    copy = project.copy(folder / "copy")
    siblings: dict[int, Finished] = {}
    failures, refused = [], 0
    for trial in range(trials):
        number = chosen.randrange(len(_SIBLINGS))
        if number not in siblings:
            siblings[number] = project.changed(folder / f"sibling {number}", _SIBLINGS[number])
        done, reader = _exchange(copy, siblings[number], chosen), chosen.choice(list(READERS))
        try:
            READERS[reader](copy)
        except UserError as error:
            refused += 1
            if "dvc repro" not in str(error) and reader != "benchmark":
                failures.append(f"trial {trial}: {done}, {reader}: no remedy in {error}")
        except Exception as error:  # a traceback is a failure of the promise
            failures.append(f"trial {trial}: {done}, {reader}: {type(error).__name__}: {error}")
        else:
            if different := _differences(copy, project, reader):
                failures.append(f"trial {trial}: {done}, {reader} used it: {', '.join(different)}")
        copy.restore(project)
        shutil.rmtree(copy.paths.root / "hub", ignore_errors=True)
    return Outcome(trials, tuple(failures), {"refused": refused, "of no effect": trials - refused})


def _exchange(copy: Finished, sibling: Finished, chosen: random.Random) -> str:
    """Put something wrong into the copy; say what."""
    name = chosen.choice(list(HELD_BY))
    file = FILES[name](copy.paths, DATASET)
    if chosen.random() < 0.5:
        of, dataset = chosen.choice([(sibling, DATASET), (sibling, OTHER), (copy, OTHER)])
        of = sibling if name == "rejects" else of  # one file of all datasets
        swap(copy, of.paths, name, dataset)
        return f"{name} of {'the other dataset' if dataset == OTHER else 'another project'}"
    if name == "features":
        return _change_features(file, chosen)
    if name == "tuned":
        edit_json(file / "lempo.json", lambda said: said["mixture"].update(image=chosen.random()))
        return "tuned with another mixture"
    column = chosen.choice(pq.read_schema(file).names)
    changes: dict[str, Callable[[Path], Any]] = {
        "halved": lambda path: change_rows(path, halve),
        "shuffled": lambda path: change_rows(path, shuffle),
        f"{column} shifted": lambda path: change_rows(path, shift(column)),
        f"{column} edited": lambda path: change_rows(path, edit(column)),
        "without metadata": forget,
    }
    how = chosen.choice(list(changes))
    changes[how](file)
    return f"{name} {how}"


def _change_features(folder: Path, chosen: random.Random) -> str:
    row = chosen.randrange(9)
    how, value = chosen.choice([("zero", 0.0), ("NaN", np.nan), ("one", 1.0)])

    def change(vectors: np.ndarray) -> np.ndarray:
        vectors[row] = value
        return vectors

    change_vectors(folder, change)
    return f"features with a row of {how}"


# reader -> what it writes
_WRITES: dict[str, tuple[str, ...]] = {
    "interpret": ("data/interpretations", "metrics/interpret.json"),
    "caption": ("data/pseudo_captions", "metrics/caption.json"),
    "embed": ("data/features", "metrics/embed.json"),
    "tune": (f"data/tuned/{DATASET}", f"metrics/tune/{DATASET}.json"),
    "evaluate": (f"data/rankings/{DATASET}.parquet", f"metrics/evaluate/{DATASET}.json"),
    "report": ("report",),
}


def _differences(copy: Finished, project: Finished, reader: str) -> list[str]:
    """Files that a reader wrote and that are not those of the finished project."""
    written = _WRITES.get(reader, ())
    return [
        name
        for root in written
        for name, digest in _hashes(copy, root).items()
        if _hashes(project, root).get(name) != digest
    ]


def _hashes(project: Finished, name: str) -> dict[str, str]:
    root = project.paths.root
    files = [root / name] if (root / name).is_file() else sorted((root / name).rglob("*"))
    return {
        str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file()
    }
