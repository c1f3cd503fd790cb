"""What is known of image files from earlier runs: one that has not been touched since is not decoded again.

A file counts as untouched if its name, size, both of its times, device and number there (inode) are as they
were. On most file systems no program sets the time of the last change of a file's state (ctime) at will, so
an older modification time hides nothing.
"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.code import code_hash
from pipeline.base.errors import UserError, one_line
from pipeline.base.files import identity_hash, set_aside
from pipeline.base.images import Probe, probe_all
from pipeline.base.storage import is_damaged, remove_unused, use
from pipeline.base.tables import read_table, write_table

log = logging.getLogger(__name__)

_CODE = ("pipeline/base/images.py", "pipeline/base/decode.py", "pipeline/base/picture_hash.py")
_STATE = ("size", "mtime_ns", "device", "inode", "ctime_ns")
_NOT_KNOWN = (-1,) * len(_STATE)
_FOUND = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        *(pa.field(name, pa.int64(), nullable=False) for name in _STATE),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("turned", pa.bool_(), nullable=False),
        pa.field("rescaled", pa.bool_(), nullable=False),
        pa.field("looks", pa.string(), nullable=False),  # in hex
    ],
    metadata={"keys": "name", "kind": "known images", "stage": "corpus"},
)
_AT_ONCE = 4_096  # images that are Python objects at a time
_SAVED_AFTER = 65_536  # images that were decoded; then again after twice as many, and so on
_SETTLED_NS = 2 * 10**9  # a younger file may change again within one tick of its file system's clock


class KnownImages:
    """The usable images of a folder that earlier runs have decoded.

    Args:
        store: folder that holds what is known of all folders.
        folder: of the images.
        max_pixels: as for `probe`.
    """

    def __init__(self, store: Path, folder: Path, max_pixels: float | None) -> None:
        self._folder, self._max_pixels = folder, max_pixels
        identity = {
            "folder": os.path.realpath(folder),
            "max_pixels": max_pixels,
            "code": code_hash(*_CODE),
            "pillow": PIL.__version__,
        }
        self._file = store / f"{identity_hash(identity)}.parquet"
        self._made_from = {"images": self._file.stem}
        self._known = _FOUND.remove_metadata().empty_table()
        remove_unused(store)
        if os.path.lexists(self._file):
            try:
                self._known = read_table(self._file, _FOUND, expect=self._made_from).combine_chunks()
                use(self._file)
            except UserError:
                if is_damaged(self._file):
                    set_aside(self._file)  # the images are decoded again

    def probe_all(self, files: Sequence[str], workers: int) -> Iterator[Probe]:
        """Probe many files, in their order; the names are from the folder.

        Args:
            workers: processes that decode those that are not known.
        """
        now = time.time_ns()
        states = np.array([self._state(file) for file in files], np.int64).reshape(-1, len(_STATE))
        rows = self._rows(files, states)
        unknown = [file for file, row in zip(files, rows.tolist(), strict=True) if row < 0]
        decoded = probe_all(unknown, workers, self._max_pixels, self._folder)
        still = self._known.take(pa.array(np.unique(rows[rows >= 0])))
        new, count, saved_at = [still], 0, _SAVED_AFTER
        for start in range(0, len(files), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            known = iter(self._known.take(pa.array(rows[some][rows[some] >= 0])).to_pylist())
            found: dict[str, dict[str, Any]] = {}
            for file, row, state in zip(files[some], rows[some].tolist(), states[some].tolist(), strict=True):
                if row >= 0:
                    yield _probe(next(known))
                    continue
                probe = next(decoded)
                if probe.error is None and 0 <= state[-1] < now - _SETTLED_NS and _is_text(file):
                    found[file] = _row(file, state, probe)
                yield probe
            new.append(pa.Table.from_pylist(list(found.values()), schema=still.schema))
            count += len(found)
            if count >= saved_at:
                saved_at *= 2
                self._save(new)
        next(decoded, None)  # nothing is left: its processes end
        if count or still.num_rows < self._known.num_rows:
            self._save(new)

    def _state(self, file: str) -> tuple[int, ...]:
        try:
            stat = os.stat(f"{self._folder}/{file}")
        except (OSError, ValueError):  # ValueError: a name that no file can have
            return _NOT_KNOWN
        state = stat.st_size, stat.st_mtime_ns, stat.st_dev, stat.st_ino, stat.st_ctime_ns
        return state if max(state) < 2**63 else _NOT_KNOWN  # a time may be centuries away

    def _rows(self, files: Sequence[str], states: np.ndarray) -> np.ndarray:
        """The row of each file in what is known, -1 where it has none or has been touched."""
        names = pa.array([file if _is_text(file) else None for file in files], pa.string())
        places = pc.index_in(names, value_set=self._known["name"])
        rows = places.fill_null(-1).to_numpy().astype(np.int64)
        if self._known.num_rows:
            before = np.stack([self._known[name].to_numpy() for name in _STATE], axis=1)[rows]
            rows[(before != states).any(axis=1)] = -1
        return rows

    def _save(self, tables: Sequence[pa.Table]) -> None:
        """Keep what is known of the files of this run."""
        try:
            write_table(pa.concat_tables(tables), self._file, _FOUND, self._made_from)
        except (UserError, ValueError) as error:  # ValueError: a file stands twice among the names
            log.warning("what is known of the images cannot be kept: %s", one_line(error))


def _is_text(file: str) -> bool:
    """Whether a name can stand in a table: the bytes of some are not UTF-8."""
    try:
        file.encode()
    except UnicodeEncodeError:
        return False
    return True


def _row(file: str, stat: Sequence[int], probe: Probe) -> dict[str, Any]:
    return {
        "name": file,
        **dict(zip(_STATE, stat, strict=True)),
        "sha256": probe.sha256,
        "width": probe.width,
        "height": probe.height,
        "turned": probe.turned,
        "rescaled": probe.rescaled,
        "looks": probe.looks.hex(),
    }


def _probe(row: dict[str, Any]) -> Probe:
    return Probe(
        row["sha256"],
        row["width"],
        row["height"],
        turned=row["turned"],
        rescaled=row["rescaled"],
        looks=bytes.fromhex(row["looks"]),
    )
