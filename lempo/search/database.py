"""The index's database, LanceDB in a folder: vectors, ids and the carried columns, searched by cosine.

A block of rows is written as one version of the table, so a reader sees all of it or nothing.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.errors import UserError, add_extra, reading
from pipeline.base.schemas import DATASET, IMAGES

COLUMNS = [name for name in IMAGES.names if name != DATASET]  # an index is of one dataset, or of a folder
CARRIED = [name for name in COLUMNS if name not in ("image_id", "path", "sha256")]
SIGNATURE, VECTOR, DISTANCE = "signature", "vector", "_distance"
_DAMAGED = "Delete the index's folder, and run `lempo index` again"
_IN_ONE = 500  # values in one condition
_KEPT = timedelta(hours=1)  # an old version, for those who still search in it
LOOK_S = 0.5  # between two looks at how far a building index is
Row = dict[str, Any]


class Database:
    """One table of images; every image id stands once.

    Args:
        folder: of the database.
        table: its name; it is made if it is missing and `dimension` is given.
        dimension: of the vectors, and `dtype`, float16 or float32.

    Raises:
        UserError: LanceDB is not installed, or the table is missing or cannot be opened.
    """

    def __init__(
        self, folder: Path, table: str, dimension: int | None = None, dtype: str = "float16"
    ) -> None:
        self.folder = folder
        self._connection = _connect(folder)
        with reading(folder, _DAMAGED, "the index cannot be opened"):
            if dimension is not None and table not in self._connection.list_tables().tables:
                self._connection.create_table(table, schema=_schema(dimension, dtype))
            self._table = self._connection.open_table(table)
        vector = self._table.schema.field(VECTOR).type
        self.dimension, self.dtype = (
            vector.list_size,
            "float16" if vector.value_type == pa.float16() else "float32",
        )

    def __len__(self) -> int:
        return self._table.count_rows()

    def known(self) -> dict[str, tuple[str, str]]:
        """The signature and the sha256 of every image, by its id."""
        columns = ["image_id", SIGNATURE, "sha256"]
        rows = self._table.search().select(columns).limit(len(self)).to_arrow().select(columns)
        ids, signatures, hashes = (column.to_pylist() for column in rows.columns)
        return dict(zip(ids, zip(signatures, hashes, strict=True), strict=True))

    def rows(self, column: str, values: Sequence[str]) -> Iterator[Row]:
        """The images with one of these values in a column of texts, with their vectors."""
        for start in range(0, len(values), _IN_ONE):
            some = _condition(column, values[start : start + _IN_ONE])
            found = self._table.search().where(some).limit(self._table.count_rows(some))
            yield from found.select([*COLUMNS, VECTOR]).to_arrow().to_pylist()

    def ids(self, where: str | None = None) -> pa.Array:
        """The ids of all images, or of those that a condition keeps, sorted.

        Args:
            where: a condition that `count` accepts.
        """
        query = self._table.search().select(["image_id"]).limit(len(self))
        if where is not None:
            query = query.where(where)
        found = query.to_arrow()["image_id"].combine_chunks()
        return found.take(pc.sort_indices(found))

    def add(self, rows: Sequence[Row], vectors: np.ndarray, replace: bool) -> None:
        """Write rows and their vectors (N, D) at once.

        Args:
            rows: with `COLUMNS` and the signature; what is missing is null.
            replace: whether the ids of some may be in the table.
        """
        schema = self._table.schema
        columns = {
            field.name: pa.array([row.get(field.name) for row in rows], field.type)
            for field in schema
            if field.name != VECTOR
        }
        flat = pa.array(np.ascontiguousarray(vectors, self.dtype).reshape(-1))
        columns[VECTOR] = pa.FixedSizeListArray.from_arrays(flat, self.dimension)
        block = pa.table(columns, schema=schema)
        if replace:
            merge = self._table.merge_insert("image_id")
            merge.when_matched_update_all().when_not_matched_insert_all().execute(block)
        else:
            self._table.add(block)

    def remove(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _IN_ONE):
            self._table.delete(_condition("image_id", ids[start : start + _IN_ONE]))

    def count(self, where: str) -> int:
        """How many images a condition keeps.

        Raises:
            UserError: the condition is no SQL condition over the columns.
        """
        try:
            return self._table.count_rows(where)
        except (ValueError, RuntimeError, OSError) as error:
            reason = re.sub(r"(, /\S+\.rs:\d+:\d+).*| Valid fields are .*", "", " ".join(str(error).split()))
            raise UserError(
                f"the filter cannot be used: {reason}",
                f"Write an SQL condition over {', '.join(COLUMNS)}, as in \"date > '2024-01-01'\"",
                field="where",
                value=where,
            ) from None

    def nearest(
        self,
        vector: np.ndarray,
        k: int,
        where: str | None = None,
        approximate: Mapping[str, int] | None = None,
    ) -> tuple[list[Row], np.ndarray]:
        """The k images with the highest cosine to a vector (D,), the best first, and their vectors (n, D).

        Args:
            where: a condition that `count` accepts.
            approximate: how the approximate index is searched; None: every image is compared.
        """
        query = self._table.search(np.asarray(vector, np.float32)).distance_type("cosine").limit(k)
        query = query.select([*COLUMNS, VECTOR, DISTANCE])
        if where is not None:
            query = query.where(where, prefilter=True)
        if approximate is None:
            query = query.bypass_vector_index()
        else:
            query = query.nprobes(approximate["probes"]).ef(approximate["ef"])
            query = query.refine_factor(approximate["refine"])
        found = query.to_arrow()
        values = found[VECTOR].combine_chunks()
        vectors = values.flatten().to_numpy().reshape(-1, self.dimension).astype(np.float32)
        return found.drop_columns([VECTOR, DISTANCE]).to_pylist(), vectors

    def sample(self, count: int, seed: int = 0) -> np.ndarray:
        """Vectors (count, D) of some images, float32."""
        chosen = np.random.default_rng(seed).integers(0, len(self), count)
        offsets = sorted(set(chosen.tolist()))
        found = self._table.take_offsets(offsets).select([VECTOR]).to_arrow()[VECTOR].combine_chunks()
        vectors = found.flatten().to_numpy().reshape(-1, self.dimension).astype(np.float32)
        return vectors[np.random.default_rng(seed).integers(0, len(vectors), count)]

    def make_approximate(
        self, partition_rows: int, report: Callable[[int], None] = lambda rows: None
    ) -> None:
        """Build the approximate index over all rows: a graph of 8-bit vectors in each partition.

        Args:
            partition_rows: the index remembers it. If it were built by the number of partitions, `tidy` would
                find them small, and build the graphs of all again, in one partition.
            report: called now and then, from a thread, with the number of rows whose graph is written.
        """
        from lancedb.index import HnswSq

        config = HnswSq(distance_type="cosine", target_partition_size=partition_rows)
        with self._rows_written(report):
            self._table.create_index(VECTOR, config=config, replace=True)

    @contextmanager
    def _rows_written(self, report: Callable[[int], None]) -> Iterator[None]:
        """LanceDB tells nothing while it builds, but it writes each partition when it is done.

        A partition's 8-bit vectors are one byte for each dimension, in a file apart from its graph's.
        """
        folder = self.folder / f"{self._table.name}.lance/_indices"
        before, ended = set(folder.glob("*")), Event()

        def look() -> None:
            rows, written = len(self), 0
            while not ended.wait(LOOK_S):
                files = [file for new in set(folder.glob("*")) - before for file in new.glob("*")]
                written = max(written, *map(_size, files), 0)  # a file that is being renamed is not there
                report(min(rows, written // self.dimension))

        watch = Thread(target=look, daemon=True)
        watch.start()
        try:
            yield
        finally:
            ended.set()
            watch.join()

    def tidy(self) -> None:
        """Join small files, take new rows into the approximate index, delete versions that nobody reads."""
        self._table.optimize(cleanup_older_than=_KEPT)

    def drop_others(self) -> None:
        """Delete the tables of other models."""
        for name in self._connection.list_tables().tables:
            if name != self._table.name:
                self._connection.drop_table(name)


def _size(file: Path) -> int:
    """The bytes of a file; 0 where it has just been renamed."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _connect(folder: Path) -> Any:
    os.environ.setdefault("LANCEDB_LOG", "error")  # its warnings are not for users
    os.environ.setdefault("LANCE_INCLUDE_VECTOR_CENTROIDS", "false")
    try:
        import lancedb
    except ImportError:
        raise UserError("LanceDB is not installed", add_extra("search")) from None
    return lancedb.connect(folder, read_consistency_interval=timedelta(0))


def _schema(dimension: int, dtype: str) -> pa.Schema:
    vector = pa.list_(pa.float16() if dtype == "float16" else pa.float32(), dimension)
    fields = [pa.field(name, IMAGES.field(name).type) for name in COLUMNS]
    return pa.schema([*fields, (SIGNATURE, pa.string()), (VECTOR, vector)])


def _condition(column: str, values: Sequence[str]) -> str:
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"{column} IN ({quoted})"
