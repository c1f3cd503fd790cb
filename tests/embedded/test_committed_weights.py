"""The committed weights are what `dvc repro embedded/dvc.yaml` made, by the lock that it wrote."""

import hashlib
import json
from pathlib import Path

import pytest
import yaml

MODELS = Path(__file__).parents[2] / "models"
LOCK = MODELS.parent / "embedded/dvc.lock"
OUTS = [out for stage in yaml.safe_load(LOCK.read_text())["stages"].values() for out in stage["outs"]]


@pytest.mark.parametrize("name", ["captioner", "vlm"])
def test_the_committed_files_are_those_of_the_lock(name: str) -> None:
    out = next(out for out in OUTS if out["path"] == f"models/trained/{name}")
    suffixes = {".json", ".jinja", ".safetensors"}
    files = sorted(file for file in (MODELS / name).iterdir() if file.suffix in suffixes)
    # how DVC names a folder: by the names and hashes of its files
    listed = [{"md5": hashlib.md5(file.read_bytes()).hexdigest(), "relpath": file.name} for file in files]
    assert len(files) == out["nfiles"]
    assert hashlib.md5(json.dumps(listed).encode()).hexdigest() + ".dir" == out["md5"]
