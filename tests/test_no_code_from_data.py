"""No file of data runs code when it is read: no pickle is opened, no YAML tag is obeyed, by any reader."""

import ast
import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.base.params import load_params
from pipeline.base.schemas import IMAGES
from pipeline.base.tables import read_table, write_table
from pipeline.vision.feature_cache import FeatureCache
from pipeline.vision.features import read_features, write_features
from stages.sources import check_source
from tests.hostile import Payload, write_pickle
from trainer.tuning.checkpoint import FILE_NAME, load_checkpoint

ROOT = Path(__file__).parents[1]
ROOMS = ("lempo", "pipeline", "stages", "trainer", "speed", "embedded")
FORBIDDEN = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}


def _modules() -> list[Path]:
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def _keyword(call: ast.Call, name: str) -> Any:
    found = [keyword.value for keyword in call.keywords if keyword.arg == name]
    return found[0].value if found and isinstance(found[0], ast.Constant) else None


def _unsafe(node: ast.AST) -> str | None:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
        return next((name for name in names if name.split(".")[0] in FORBIDDEN), None)
    if not isinstance(node, ast.Call):
        return None
    called = ast.unparse(node.func)
    safe = {
        "torch.load": _keyword(node, "weights_only") is True,
        "np.load": _keyword(node, "allow_pickle") in (None, False),
        "yaml.load": any(
            keyword.arg == "Loader" and ast.unparse(keyword.value) == "_UniqueKeys"
            for keyword in node.keywords
        ),
        "subprocess.run": _keyword(node, "shell") is None,
        "subprocess.Popen": _keyword(node, "shell") is None,
    }
    never = ("eval", "exec", "compile", "os.system", "os.popen", "yaml.unsafe_load", "yaml.full_load")
    return called if called in never or not safe.get(called, True) else None


@pytest.mark.parametrize("path", _modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_opens_a_pickle_or_runs_a_text(path: Path) -> None:
    found = [(name, node) for node in ast.walk(ast.parse(path.read_text())) if (name := _unsafe(node))]
    assert not [(name, getattr(node, "lineno", 0)) for name, node in found]


@pytest.mark.parametrize(
    "line", ["import pickle", "torch.load(p)", "np.load(p, allow_pickle=True)", "eval(x)", "yaml.load(p)"]
)
def test_the_search_finds_what_is_unsafe(line: str) -> None:
    assert [name for node in ast.walk(ast.parse(line)) if (name := _unsafe(node))]


@pytest.fixture
def sentinel(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


TAGS = ("!!python/object/apply:os.system ['touch {}']", "!!python/object/new:os.system ['touch {}']",
        "!!python/name:os.system", "!!python/module:antigravity")  # fmt: skip


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("of", ["params.yaml", "world.yaml"])
def test_tags_of_yaml_are_refused(tag: str, of: str, tmp_path: Path, sentinel: Path) -> None:
    file = tmp_path / of
    file.write_text(f"seed: {tag.format(sentinel)}\n")
    read: Callable[[], object] = (
        (lambda: load_params(file)) if of == "params.yaml" else (lambda: check_source(tmp_path))
    )
    with pytest.raises(UserError, match=rf"{of}: the file is not YAML: could not determine a constructor"):
        read()
    assert not sentinel.exists()


def test_aliases_of_yaml_that_multiply_cost_nothing(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    (tmp_path / "world.yaml").write_text("\n".join([*lines, "theme: *a11", "seed: *a11", "image_size: *a11"]))
    since = time.monotonic()
    with pytest.raises(UserError, match=r"world\.yaml"):
        check_source(tmp_path)
    assert time.monotonic() - since < 10


def test_features_that_hold_objects_are_refused(tmp_path: Path, sentinel: Path) -> None:
    blocks = [np.eye(2, dtype=np.float32)]
    write_features(
        tmp_path,
        ["a", "b"],
        ["0" * 64] * 2,
        blocks,
        dimension=2,
        dtype="float32",
        made_from={"dataset": "one"},
    )
    np.save(tmp_path / "vectors.npy", np.array([Payload(sentinel)] * 2, dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"vectors\.npy: the features cannot be read"):
        read_features(tmp_path)
    assert not sentinel.exists()


def test_cached_features_that_hold_objects_do_not_count(tmp_path: Path, sentinel: Path) -> None:
    hashes = [hashlib.sha256(b"x").hexdigest()]
    cache = FeatureCache(tmp_path, {"model": "m"}, 2, "float32")
    cache.add(hashes, np.ones((1, 2), np.float32))
    for file in cache.folder.glob("*.npy"):
        np.save(file, np.array([Payload(sentinel)], dtype=object), allow_pickle=True)
    assert hashes[0] not in FeatureCache(tmp_path, {"model": "m"}, 2, "float32")
    assert not sentinel.exists()


def test_a_checkpoint_that_is_a_pickle_does_not_count(tmp_path: Path, sentinel: Path) -> None:
    write_pickle(tmp_path / FILE_NAME, sentinel)
    assert load_checkpoint(tmp_path) is None
    assert not sentinel.exists()


def test_a_table_whose_column_types_are_pickled_opens_none(tmp_path: Path, sentinel: Path) -> None:
    """pyarrow once unpickled the type of a column that called itself `arrow.py_extension_type`."""
    rows = {"image_id": "a", "split": "train", "path": "x", "sha256": "0" * 64, "width": 1, "height": 1}
    write_table([{**rows, "family": None}], tmp_path / "images.parquet", IMAGES, {"dataset": "one"})
    table = pq.read_table(tmp_path / "images.parquet")
    named = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": _pickled(sentinel),
    }
    fields = [field.with_metadata(named) for field in table.schema]
    hostile = table.cast(pa.schema(fields, table.schema.metadata))
    pq.write_table(hostile, tmp_path / "images.parquet")
    try:
        read_table(tmp_path / "images.parquet", IMAGES)
    except UserError as error:
        assert "images.parquet" in str(error)
    assert not sentinel.exists()


def _pickled(sentinel: Path) -> bytes:
    """A pickle in its oldest protocol, written by hand: `os.system("touch ...")`."""
    return f"cos\nsystem\n(S'touch {sentinel}'\ntR.".encode()


def test_the_tests_that_security_md_names_are_there() -> None:
    named = re.findall(r"`(tests/[^`]+)`", (ROOT / "SECURITY.md").read_text())
    assert len(named) > 8 and not [name for name in named if not (ROOT / name).is_file()]


def test_the_pickles_of_these_tests_are_real(tmp_path: Path, sentinel: Path) -> None:
    write_pickle(tmp_path / "a.pt", sentinel)
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert sentinel.exists()
    sentinel.unlink()
    np.save(tmp_path / "a.npy", np.array([Payload(sentinel)], dtype=object), allow_pickle=True)
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert sentinel.exists()
