"""Feature store: memory-mapped rows, their ids, and a manifest that is written last and checked first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.base.errors import UserError, reading
from pipeline.base.files import read_json, replacing, sha256_file, write_json
from pipeline.base.schemas import FEATURE_IDS
from pipeline.base.tables import read_table, write_table

_REMEDY = "Run `dvc repro embed`, or set params.yaml back to what made these features"


@dataclass(frozen=True)
class Features:
    """Image features.

    `vectors` is (N, D), L2-normalised, float16 or float32, memory-mapped; row i belongs to `ids[i]`, an image
    whose bytes have `sha256[i]`. `manifest` says what made them.
    """

    ids: list[str]
    vectors: np.ndarray
    manifest: dict[str, Any]
    sha256: list[str] = field(repr=False)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row of each image id."""
        return {image_id: row for row, image_id in enumerate(self.ids)}


def write_features(
    folder: Path,
    ids: Sequence[str],
    sha256: Sequence[str],
    blocks: Iterable[np.ndarray],
    *,
    dimension: int,
    dtype: str,
    identity: Mapping[str, Any],
    decoder: str,
) -> None:
    """Write vectors.npy, ids.parquet and, last, manifest.json.

    Args:
        ids: image ids, strictly ascending.
        sha256: of each image's bytes.
        blocks: arrays (n, D) in the order of `ids`; never all in memory at once.
        dtype: float16 or float32.
        identity: of the VLM (`Vlm.identity`).
        decoder: what decoded the images, with its version.

    Raises:
        ValueError: ids are not ascending, or the blocks do not hold one finite row of length D for each id.
    """
    if any(a >= b for a, b in pairwise(ids)):
        raise ValueError("ids must be strictly ascending")
    folder.mkdir(parents=True, exist_ok=True)
    manifest_path = folder / "manifest.json"
    manifest_path.unlink(missing_ok=True)
    with replacing(folder / "vectors.npy") as temporary:
        _write_vectors(temporary, blocks, (len(ids), dimension), dtype)
    table = pa.table({"image_id": list(ids), "sha256": list(sha256)}, schema=FEATURE_IDS)
    write_table(table, folder / "ids.parquet", FEATURE_IDS)
    manifest = {
        **identity,
        "decoder": decoder,
        "dtype": dtype,
        "dimension": dimension,
        "normalised": True,
        "rows": len(ids),
        "ids_sha256": sha256_file(folder / "ids.parquet"),
    }
    write_json(manifest_path, manifest)


def _write_vectors(path: Path, blocks: Iterable[np.ndarray], shape: tuple[int, int], dtype: str) -> None:
    written = 0
    with open(path, "wb") as file:
        header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in blocks:
            if block.ndim != 2 or block.shape[1] != shape[1]:
                raise ValueError(f"a block is {block.shape}, not (n, {shape[1]})")
            if not np.isfinite(block).all():
                raise ValueError(f"a feature after row {written} is not finite")
            file.write(np.ascontiguousarray(block, dtype=dtype).tobytes())
            written += len(block)
    if written != shape[0]:
        raise ValueError(f"{written} rows for {shape[0]} ids")


def read_features(folder: Path, expected_identity: Mapping[str, Any] | None = None) -> Features:
    """Open features, and refuse those that another model or other settings made.

    Args:
        expected_identity: what each key of the manifest must be, as `Vlm.identity`, or with `dtype` or
            `dimension` as well; None accepts any.

    Raises:
        UserError: a file is missing or damaged, or a value of the manifest is not the expected one; both
            values are named.
    """
    path = folder / "manifest.json"
    manifest = read_json(path, _REMEDY, "the features have no manifest: they are missing or incomplete")
    if not manifest.keys() >= {"dtype", "dimension", "rows", "ids_sha256"}:
        raise UserError("the manifest is incomplete", _REMEDY, file=path)
    for key, expected in (expected_identity or {}).items():
        if manifest.get(key) != expected:
            reason = f"the features were made with another {key}: {manifest.get(key)!r}, not {expected!r}"
            raise UserError(reason, _REMEDY, file=path, field=key)
    ids = folder / "ids.parquet"
    if not ids.is_file() or sha256_file(ids) != manifest["ids_sha256"]:
        raise UserError("the ids are not those of the manifest", _REMEDY, file=ids)
    table = read_table(ids, FEATURE_IDS)
    file = folder / "vectors.npy"
    with reading(file, _REMEDY, "the features cannot be read"):
        vectors = np.load(file, mmap_mode="r", allow_pickle=False)
    actual = (str(vectors.dtype), *vectors.shape)
    stated = (manifest["dtype"], manifest["rows"], manifest["dimension"])
    if actual != stated or table.num_rows != manifest["rows"]:
        reason = f"the features are {actual}, the manifest says {stated}, the ids are {table.num_rows}"
        raise UserError(reason, _REMEDY, file=file)
    return Features(table["image_id"].to_pylist(), vectors, manifest, table["sha256"].to_pylist())
