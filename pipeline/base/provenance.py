"""What a table or a folder is, what it was made from, and hashes of its rows: all in its own metadata.

Who writes one states what it was made from. Who reads one states what it expects
(`pipeline/base/expected.py`) and refuses anything else, with both values and the command that mends it.
Nothing here depends on time, on machines or on how rows are cut into groups: equal rows have equal hashes.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.errors import UserError
from pipeline.base.files import canonical_json, identity_hash

KEY = "lempo"  # in the metadata of a Parquet file
_NO_BYTES = hashlib.sha256().hexdigest()  # a table without rows may have no chunk at all
_OF_ONE_DATASET = ("tune", "evaluate")  # stages that run once for each dataset


@dataclass(frozen=True)
class Provenance:
    """What a table or folder says of itself.

    Attributes:
        kind: what it is, such as `images` or `tuned`.
        made_from: hashes of what it was made from, and the parameters that matter; JSON values by name.
        content: sha256 of each column of a table, or of each file of a folder.
    """

    kind: str
    made_from: Mapping[str, Any]
    content: Mapping[str, str]

    @property
    def hash(self) -> str:
        """One hash of the whole content; what is made from it keeps this."""
        return identity_hash(dict(self.content))

    def to_json(self) -> str:
        """With its own sha256: who reads some columns must notice damage of the hashes of the others."""
        record = {"kind": self.kind, "made_from": dict(self.made_from), "content": dict(self.content)}
        return canonical_json(record | {"sha256": identity_hash(record)})

    @classmethod
    def from_json(cls, text: str | bytes) -> "Provenance":
        """The reverse of `to_json`.

        Raises:
            ValueError: the text is damaged.
        """
        try:
            value = json.loads(text)
            if value.pop("sha256") != identity_hash(value):
                raise ValueError("the record is not what was written")
            kind, made_from, content = value["kind"], value["made_from"], value["content"]
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"no record of a table: {error}") from None
        if not isinstance(made_from, dict) or not isinstance(content, dict):
            raise ValueError("no record of a table")
        return cls(kind, made_from, content)

    def expect(self, kind: str, made_from: Mapping[str, Any], *, file: object, stage: str) -> None:
        """Refuse a table or folder of another kind, or made from anything else than what is expected.

        Args:
            made_from: some of the names of `Provenance.made_from`; the other names do not matter.
            file: for the error.
            stage: the one that makes it.

        Raises:
            UserError: names both values and the command that mends it.
        """
        mend = remedy(stage, made_from.get("dataset"))
        if self.kind != kind:
            raise UserError(f"this is a file of {self.kind}, not of {kind}", mend, file=file)
        for name, value in plain(made_from).items():
            found = self.made_from.get(name)
            if found != value:
                reason = f"made with another {name}: {_shown(found)}, not {_shown(value)}"
                raise UserError(reason, f"{mend}, or undo the change", file=file, field=name)

    def expect_content(self, content: Mapping[str, str | None], *, file: object, stage: str) -> None:
        """Refuse rows or files that are not those that were written.

        Args:
            content: as found now: all or some of the columns or files; None for one that is missing.

        Raises:
            UserError: names the first column or file that differs, and both hashes.
        """
        for name, value in content.items():
            if self.content.get(name) != value:
                reason = (
                    f"the content is not what was written: its sha256 is {_shown(value)}, "
                    f"not {_shown(self.content.get(name))}"
                )
                raise UserError(reason, remedy(stage, self.made_from.get("dataset")), file=file, field=name)


def remedy(stage: str, dataset: object = None) -> str:
    """The command that makes the files of a stage again."""
    target = f"{stage}@{dataset}" if stage in _OF_ONE_DATASET and dataset else stage
    return f"Run `dvc repro {target}` (`dvc repro -f -s {target}` if DVC sees no change)"


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as JSON gives them back: tuples become lists."""
    return json.loads(canonical_json(dict(values)))


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)


@dataclass
class RowHashes:
    """sha256 of each column over the rows of a table, in their order, however they are cut into batches."""

    _streams: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Add the next rows; every call has the same columns."""
        for name in rows.schema.names:
            streams = self._streams.setdefault(name, {})
            column = rows.column(name)
            for array in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                for path, data in _canonical(array, ""):
                    streams.setdefault(path, hashlib.sha256()).update(data)

    def columns(self) -> dict[str, str]:
        """Hex sha256 of each column so far."""
        return {
            name: identity_hash({path: digest for path, digest in _hex(streams) if digest != _NO_BYTES})
            for name, streams in self._streams.items()
        }


def _hex(streams: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((path, digest.hexdigest()) for path, digest in streams.items())


def _canonical(array: pa.Array, path: str) -> Iterator[tuple[str, Any]]:
    """Streams of bytes that say all of an array; the streams of two arrays, joined, are those of both.

    Null values and what lies behind them, offsets and slices are brought into one form. A stream's name says
    which part of a nested type it belongs to.
    """
    kind = array.type
    if pa.types.is_string(kind):
        yield f"{path}#", _values(_filled(pc.binary_length(array), -1))
        array = _filled(array, "")
        _, offsets, data = array.buffers()
        if len(array) and data is not None:
            ends = memoryview(offsets).cast("i")[array.offset : array.offset + len(array) + 1]
            yield path, memoryview(data)[ends[0] : ends[-1]]
    elif pa.types.is_list(kind):
        yield f"{path}#", _values(_filled(pc.list_value_length(array), -1))
        yield from _canonical(array.flatten(), f"{path}[]")
    elif pa.types.is_struct(kind):
        yield f"{path}?", _valid(array)
        for part, values in zip(kind, array.flatten(), strict=True):
            yield from _canonical(values, f"{path}.{part.name}")
    elif pa.types.is_boolean(kind):
        yield path, _values(array.cast(pa.uint8()).fill_null(2))
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind):
        yield f"{path}?", _valid(array)
        yield path, _values(_filled(array, 0))
    else:
        raise TypeError(f"no hash is defined for columns of type {kind}")


def _filled(array: pa.Array, value: Any) -> pa.Array:
    """The array with a value in the place of its nulls."""
    return array.fill_null(value) if array.null_count else array


def _valid(array: pa.Array) -> memoryview:
    """A byte for each value: 0 for null, else 1."""
    if array.null_count:
        return _values(array.is_valid().cast(pa.uint8()))
    return memoryview(b"\1" * len(array))


def _values(array: pa.Array) -> memoryview:
    """The bytes of an array of numbers without nulls."""
    data = array.buffers()[1]
    if data is None or not len(array):
        return memoryview(b"")
    width = array.type.bit_width // 8
    return memoryview(data)[array.offset * width : (array.offset + len(array)) * width]
