"""Token counts of texts under the VLM's tokenizer, cached because loading open_clip takes seconds."""

import hashlib
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.base.files import file_hashes, identity_hash, replacing, set_aside
from pipeline.base.params import VlmParams
from pipeline.vision.source import LOCAL, locate

_SCHEMA = pa.schema([pa.field("text", pa.string()), pa.field("tokens", pa.int32())])
_TOKENIZER_FILES = ("*.json", "*.txt", "*.model")
_CONTEXT, _SEAL = b"context_length", b"sha256"
_SEALED_ROWS = 65_536


class ClipTokens:
    """Counts tokens of whole texts, start and end tokens included.

    Attributes:
        name: a hash of the tokenizer.

    Args:
        params: the VLM; relative folders start from `root`.
        cache: folder of the counts so far.

    Raises:
        UserError: the VLM is missing.
    """

    def __init__(self, params: VlmParams, cache: Path, root: Path) -> None:
        self._params, self._root = params, root
        self.name = identity_hash(_tokenizer_identity(params, cache, root))
        self._file = cache / "clip_tokens" / f"{self.name[:32]}.parquet"
        self._counts: pa.Table = _SCHEMA.empty_table()
        self._context: int | None = None
        if os.path.lexists(self._file):
            try:
                self._counts, self._context = _stored(self._file)
            except (pa.ArrowException, OSError, ValueError, KeyError):
                set_aside(self._file)  # the texts are counted again

    @property
    def context_length(self) -> int:
        """Tokens that the VLM reads of a text."""
        if self._context is None:
            self.count([])
        assert self._context is not None
        return self._context

    def count(self, texts: Sequence[str]) -> list[int]:
        """The count of each text. open_clip is imported only for texts not counted before."""
        keys = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]
        rows = self._rows(keys)
        if self._context is None or None in rows:
            from pipeline.vision.vlm import load_tokenizer

            missing = {key: text for key, text, row in zip(keys, texts, rows, strict=True) if row is None}
            tokenizer = load_tokenizer(self._params, self._root)
            self._context = tokenizer.context_length
            self._remember(list(missing), tokenizer.count(list(missing.values())))
            rows = self._rows(keys)
        return self._counts["tokens"].take(pa.array(rows, pa.int32())).to_pylist()

    def _rows(self, keys: Sequence[str]) -> list[int | None]:
        return pc.index_in(pa.array(keys, pa.string()), value_set=self._counts["text"]).to_pylist()

    def _remember(self, keys: Sequence[str], counts: Sequence[int]) -> None:
        new = pa.table([pa.array(keys, pa.string()), pa.array(counts, pa.int32())], schema=_SCHEMA)
        self._counts = pa.concat_tables([self._counts, new]).sort_by("text").combine_chunks()
        context = str(self._context).encode()
        table = self._counts.replace_schema_metadata({_CONTEXT: context, _SEAL: _seal(self._counts, context)})
        with replacing(self._file) as temporary:
            pq.write_table(table, temporary, compression="zstd")


def _stored(file: Path) -> tuple[pa.Table, int]:
    """The counts and the context length of a file.

    Raises:
        ArrowException, OSError, ValueError, KeyError: it is damaged.
    """
    if not file.is_file():  # a pipe would block for ever
        raise OSError("it is no regular file")
    table = pq.ParquetFile(file).read()
    metadata = table.schema.metadata or {}
    counts = table.replace_schema_metadata(None)
    counts.validate(full=True)
    sealed = metadata.get(_SEAL)  # files of earlier versions have none
    if not counts.schema.equals(_SCHEMA) or sealed not in (None, _seal(counts, metadata[_CONTEXT])):
        raise ValueError("it is not what was written")
    return counts, int(metadata[_CONTEXT])


def _seal(counts: pa.Table, context: bytes) -> bytes:
    digest = hashlib.sha256(context)
    for start in range(0, max(1, len(counts)), _SEALED_ROWS):  # few of them are Python's at a time
        keys = counts["text"].slice(start, _SEALED_ROWS).to_pylist()
        digest.update(("\n" * bool(start) + "\n".join(keys)).encode())
    digest.update(counts["tokens"].combine_chunks().to_numpy().tobytes())
    return digest.hexdigest().encode()


def _tokenizer_identity(params: VlmParams, cache: Path, root: Path) -> dict[str, Any]:
    source = locate(params, root)
    identity: dict[str, Any] = {"open_clip": version("open_clip_torch")}
    if not params.model.startswith(LOCAL):
        return {**identity, "model": params.model}
    folder = Path(source.name.removeprefix(LOCAL))
    files = sorted(path for pattern in _TOKENIZER_FILES for path in folder.glob(pattern) if path.is_file())
    return {**identity, "files": file_hashes(files, cache)}
