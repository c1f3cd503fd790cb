"""Projects of a measurement's own, made of parts of the measured one, and `lempo` in them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.expected import Expected
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from pipeline.base.schemas import (
    IMAGES,
    INTERPRETATIONS,
    PSEUDO_CAPTIONS,
    QUERIES,
    SCENE_GRAPHS,
    SPLITS,
)
from pipeline.base.tables import read_table, table_provenance, write_table
from speed.figures import ROOT, Run
from stages import pairs

_OWN = ("data", "metrics", "plots", "report", "params.yaml")  # what is never that of the measured project


def project(run: Run, **changes: Any) -> tuple[Params, Paths]:
    """A project without data: parameters, and links to the measured project's models, prompts and sources.

    Args:
        changes: `section={"leaf": value}` or `leaf=value` of params.yaml.
    """
    values = yaml.safe_load((run.root / "params.yaml").read_text(encoding="utf-8"))
    for name, value in changes.items():
        values[name] = values[name] | value if isinstance(value, dict) else value
    for source in run.root.iterdir():
        if source.name not in _OWN and not source.name.startswith("."):
            (run.folder / source.name).symlink_to(source)
    file = run.folder / "params.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return load_params(file), Paths(run.folder)


def part(run: Run, queries: int, **changes: Any) -> tuple[Params, Paths]:
    """A project of one dataset with some queries of each split, and all that `embed` and `tune` read."""
    dataset = load_params(run.root / "params.yaml").datasets[0]
    params, paths = project(run, datasets=[dataset], **changes)
    source, expected = Paths(run.root), Expected(params, paths)
    every = read_table(source.queries(dataset), QUERIES).to_pylist()
    kept = [row for split in SPLITS for row in [row for row in every if row["split"] == split][:queries]]
    named = {row["query_id"] for row in kept}
    shown = {image for row in kept for image in (row["reference_id"], *row["target_ids"])}
    images, graphs, described = (
        [row for row in read_table(file, schema).to_pylist() if row["image_id"] in shown]
        for file, schema in (
            (source.images(dataset), IMAGES),
            (source.scene_graphs(dataset), SCENE_GRAPHS),
            (source.interpretations(dataset), INTERPRETATIONS),
        )
    )
    expected.write_corpus(dataset, images, graphs, kept)
    if (drawn := source.corpus(dataset) / "images").is_dir():
        (paths.corpus(dataset) / "images").symlink_to(drawn)
    pairs.run(params, paths)
    captions = read_table(source.pseudo_captions(dataset), PSEUDO_CAPTIONS).to_pylist()
    for rows, file, original, schema, made_from in (
        (
            described,
            paths.interpretations(dataset),
            source.interpretations(dataset),
            INTERPRETATIONS,
            expected.interpretations(dataset),
        ),
        (
            [row for row in captions if row["query_id"] in named],
            paths.pseudo_captions(dataset),
            source.pseudo_captions(dataset),
            PSEUDO_CAPTIONS,
            expected.pseudo_captions(dataset),
        ),
    ):
        llm = table_provenance(original, schema).made_from["llm"]
        write_table(rows, file, schema, made_from | {"llm": llm})
    return params, paths


def empty(paths: Paths) -> None:
    """Remove caches, features and what is made from them, so that every stage has all its work to do."""
    for folder in (".lempo", "data/features", "data/tuned", "data/rankings"):
        shutil.rmtree(paths.root / folder, ignore_errors=True)


def lempo(
    folder: Path, *arguments: str, options: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> str:
    """Run the command in a folder; what it wrote to standard error.

    Args:
        options: of Python itself.
        environment: variables besides those of this process.

    Raises:
        CalledProcessError: it failed; what it said is printed.
    """
    done = subprocess.run(
        [sys.executable, *options, "-m", "lempo.cli", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | dict(environment or {}),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        print(done.stderr, flush=True)
        done.check_returncode()
    return done.stderr
