"""Feature store: memory-mapped rows, their ids, and a manifest that is written last and checked first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.base.described import column, described, part
from pipeline.base.errors import UserError, reading
from pipeline.base.expected import MANIFEST_NAME, features_provenance
from pipeline.base.files import replacing, sha256_file, write_json
from pipeline.base.provenance import remedy
from pipeline.base.schemas import DATASET, FEATURE_IDS
from pipeline.base.tables import read_table, table_provenance, write_table
from pipeline.vision.identity import IDENTITY

IDS_NAME, VECTORS_NAME = "ids.parquet", "vectors.npy"
_TEXT = pa.string()
MANIFEST = described(
    "manifest",
    "embed",
    "",
    "What made the features; written last, so a folder that has it is whole.",
    column(DATASET, _TEXT, "name of the dataset", "airplane"),
    column("images", _TEXT, "hash of the table of images that the vectors are of", "2e5c51ae..."),
    *IDENTITY,
    column("decoder", _TEXT, "what decoded the pictures", "Pillow 13.0.0"),
    column("pixels", _TEXT, "the rules by which the model gets their pixels", "upright, 8 bits as tagged"),
    column("dtype", _TEXT, f"type of the numbers of `{VECTORS_NAME}`: `float16` or `float32`", "float16"),
    column("rows", pa.int64(), "how many vectors there are", 2112),
    column("dimension", pa.int64(), "how many numbers a vector has", 256),
    column("normalised", pa.bool_(), "true: each vector has length 1", True),
    column(
        "content",
        pa.struct(
            [
                part(IDS_NAME, _TEXT, "hash of the rows of the ids", "5fc512b0..."),
                part(VECTORS_NAME, _TEXT, "sha256 of the file, in hex", "9a2fae7e..."),
            ]
        ),
        "hashes of the other two files",
    ),
)


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
    made_from: Mapping[str, Any],
) -> None:
    """Write vectors.npy, ids.parquet and, last, manifest.json.

    Args:
        ids: image ids, strictly ascending.
        sha256: of each image's bytes.
        blocks: arrays (n, D) in the order of `ids`; never all in memory at once.
        dtype: float16 or float32.
        made_from: for the manifest: the dataset, the VLM's identity, the decoder, and what else
            `Expected.features` names.

    Raises:
        ValueError: ids are not ascending, or the blocks do not hold one finite row of length D for each id.
    """
    if any(a >= b for a, b in pairwise(ids)):
        raise ValueError("ids must be strictly ascending")
    folder.mkdir(parents=True, exist_ok=True)
    manifest_path = folder / MANIFEST_NAME
    manifest_path.unlink(missing_ok=True)
    with replacing(folder / VECTORS_NAME) as temporary:
        _write_vectors(temporary, blocks, (len(ids), dimension), dtype)
    table = pa.table({"image_id": pa.array(ids, pa.string()), "sha256": pa.array(sha256, pa.string())})
    write_table(table, folder / IDS_NAME, FEATURE_IDS, {DATASET: made_from[DATASET]})
    manifest = {
        **made_from,
        "dtype": dtype,
        "dimension": dimension,
        "normalised": True,
        "rows": len(ids),
        "content": content_hashes(folder),
    }
    write_json(manifest_path, manifest)


def content_hashes(folder: Path) -> dict[str, str]:
    """Hashes of the rows of the ids, and of the vectors' file."""
    ids = table_provenance(folder / IDS_NAME, FEATURE_IDS)
    return {IDS_NAME: ids.hash, VECTORS_NAME: sha256_file(folder / VECTORS_NAME)}


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


def read_features(folder: str | Path, expect: Mapping[str, Any] | None = None) -> Features:
    """Open features; those that are made from anything else than expected, or have changed, are refused.

    Args:
        expect: what each key of the manifest must be, as `Expected.features`; None accepts any.

    Raises:
        UserError: a file is missing or damaged, its content is not what was written, or a value of the
            manifest is not the expected one; both values are named.
    """
    folder = Path(folder)
    record = features_provenance(folder, expect)
    manifest = dict(record.made_from)
    table = read_table(folder / IDS_NAME, FEATURE_IDS)
    file, mend = folder / VECTORS_NAME, remedy("embed")
    with reading(file, mend, "the features cannot be read"):
        vectors = np.load(file, mmap_mode="r", allow_pickle=False)
    actual = (str(vectors.dtype), *vectors.shape)
    stated = (manifest["dtype"], manifest["rows"], manifest["dimension"])
    if actual != stated or table.num_rows != manifest["rows"]:
        reason = f"the features are {actual}, the manifest says {stated}, the ids are {table.num_rows}"
        raise UserError(reason, mend, file=file)
    record.expect_content(content_hashes(folder), file=folder, stage="embed")
    return Features(table["image_id"].to_pylist(), vectors, manifest, table["sha256"].to_pylist())
