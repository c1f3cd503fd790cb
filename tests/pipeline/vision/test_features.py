"""The feature store refuses whatever does not belong together."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.errors import UserError
from pipeline.vision.features import read_features, write_features

IDENTITY: dict[str, Any] = {
    "model": "local-dir:models/vlm",
    "pretrained": None,
    "precision": "fp32",
    "architecture": "cd" * 32,
    "weights_sha256": "ab" * 32,
    "preprocessing": "squash 96",
    "open_clip": "3.3.0",
}
MADE_FROM = {"dataset": "parks", **IDENTITY, "decoder": "Pillow 1"}
VECTORS = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
IDS = ["a", "b", "c", "d", "e"]


def _write(folder: Path, vectors: np.ndarray = VECTORS, ids: list[str] = IDS, **changes: Any) -> Path:
    keywords = {"dimension": 4, "dtype": "float16", "made_from": MADE_FROM} | changes
    write_features(folder, ids, [f"sha-{i}" for i in ids], [vectors[:2], vectors[2:]], **keywords)
    return folder


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_written_is_read(tmp_path: Path, dtype: str) -> None:
    features = read_features(_write(tmp_path, dtype=dtype), {**IDENTITY, "dtype": dtype, "dimension": 4})
    assert features.ids == IDS
    assert features.sha256[1] == "sha-b"
    assert features.row_of["c"] == 2
    assert isinstance(features.vectors, np.memmap)
    np.testing.assert_array_equal(features.vectors, VECTORS.astype(dtype))
    assert features.manifest["normalised"] is True and features.manifest["rows"] == 5


def test_the_same_features_are_the_same_bytes(tmp_path: Path) -> None:
    first, second = _write(tmp_path / "1"), _write(tmp_path / "2")
    for name in ("vectors.npy", "ids.parquet", "manifest.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert sorted(path.name for path in first.iterdir()) == ["ids.parquet", "manifest.json", "vectors.npy"]


@pytest.mark.parametrize(
    "key", ["model", "architecture", "weights_sha256", "preprocessing", "precision", "dtype", "dimension"]
)
def test_another_value_is_refused_naming_both(tmp_path: Path, key: str) -> None:
    expected = {**IDENTITY, "dtype": "float16", "dimension": 4, key: "something else"}
    with pytest.raises(UserError) as caught:
        read_features(_write(tmp_path), expected)
    line = str(caught.value)
    assert "something else" in line
    assert repr({**IDENTITY, "dtype": "float16", "dimension": 4}[key]) in line
    assert caught.value.problem.field == key


def test_features_without_a_manifest_are_incomplete(tmp_path: Path) -> None:
    (_write(tmp_path) / "manifest.json").unlink()
    with pytest.raises(UserError, match="no manifest"):
        read_features(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", '{"dtype": "float16"}'])
def test_a_damaged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (_write(tmp_path) / "manifest.json").write_text(text)
    with pytest.raises(UserError, match="manifest"):
        read_features(tmp_path)


def test_ids_of_another_run_are_refused(tmp_path: Path) -> None:
    other = _write(tmp_path / "other", ids=["v", "w", "x", "y", "z"])
    mine = _write(tmp_path / "mine")
    (mine / "ids.parquet").write_bytes((other / "ids.parquet").read_bytes())
    with pytest.raises(UserError, match=r"ids\.parquet.*not what was written"):
        read_features(mine)


def test_vectors_of_another_shape_are_refused(tmp_path: Path) -> None:
    other = _write(tmp_path / "other", VECTORS[:4], IDS[:4])
    mine = _write(tmp_path / "mine")
    (mine / "vectors.npy").write_bytes((other / "vectors.npy").read_bytes())
    with pytest.raises(UserError, match=r"4.*5"):
        read_features(mine)


@pytest.mark.parametrize("kept", [0, 40, -3])
def test_cut_vectors_are_refused(tmp_path: Path, kept: int) -> None:
    file = _write(tmp_path) / "vectors.npy"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"vectors\.npy"):
        read_features(tmp_path)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    file = _write(tmp_path) / "vectors.npy"
    np.save(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match=r"vectors\.npy"):
        read_features(tmp_path)


@pytest.mark.parametrize(
    ("vectors", "ids"),
    [
        (VECTORS, ["a", "b", "c", "e", "d"]),
        (VECTORS, ["a", "b", "c", "d", "d"]),
        (VECTORS[:4], IDS),
        (VECTORS[:, :3], IDS),
        (np.full_like(VECTORS, np.nan), IDS),
    ],
    ids=["unsorted", "twice", "too few", "too short", "nan"],
)
def test_what_cannot_be_right_is_not_written(tmp_path: Path, vectors: np.ndarray, ids: list[str]) -> None:
    with pytest.raises(ValueError):
        _write(tmp_path, vectors, ids)
    assert not (tmp_path / "manifest.json").exists()


def test_an_interrupted_rewrite_leaves_no_manifest(tmp_path: Path) -> None:
    _write(tmp_path)

    def blocks() -> Any:
        yield VECTORS[:2]
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_features(tmp_path, IDS, IDS, blocks(), dimension=4, dtype="float16", made_from=MADE_FROM)
    with pytest.raises(UserError, match="no manifest"):
        read_features(tmp_path)


def test_the_manifest_says_what_made_the_features(tmp_path: Path) -> None:
    manifest = json.loads((_write(tmp_path) / "manifest.json").read_text())
    assert manifest.items() >= {**IDENTITY, "decoder": "Pillow 1", "dtype": "float16", "rows": 5}.items()
