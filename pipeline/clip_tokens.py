"""Token counts of texts under the VLM's tokenizer, remembered: loading open_clip takes seconds."""

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.contracts import replacing
from pipeline.llm.identity import file_hashes, identity_hash
from pipeline.params import VlmParams
from pipeline.vlm_source import LOCAL, locate

_SCHEMA = pa.schema([pa.field("text", pa.string()), pa.field("tokens", pa.int32())])
_TOKENIZER_FILES = ("*.json", "*.txt", "*.model")
_CONTEXT = b"context_length"


class ClipTokens:
    """Counts tokens of texts, start and end included, uncut.

    Args:
        params: the VLM; relative folders are relative to `root`.
        cache: folder of remembered counts.

    Raises:
        UserError: the VLM is not there.
    """

    def __init__(self, params: VlmParams, cache: Path, root: Path) -> None:
        self._params, self._root = params, root
        name = identity_hash(_tokenizer_identity(params, cache, root))
        self._file = cache / "clip_tokens" / f"{name[:32]}.parquet"
        self._counts: dict[str, int] = {}
        self._context: int | None = None
        if self._file.is_file():
            table = pq.read_table(self._file)
            self._counts = dict(zip(table["text"].to_pylist(), table["tokens"].to_pylist(), strict=True))
            self._context = int(table.schema.metadata[_CONTEXT])

    @property
    def context_length(self) -> int:
        """Tokens that the VLM reads of a text."""
        if self._context is None:
            self.count([])
        assert self._context is not None
        return self._context

    def count(self, texts: Sequence[str]) -> list[int]:
        """One number a text. open_clip is imported only for texts not counted before."""
        keys = [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._counts}
        if missing or self._context is None:
            from pipeline.vlm import load_tokenizer

            tokenizer = load_tokenizer(self._params, self._root)
            self._context = tokenizer.context_length
            self._counts.update(zip(missing, tokenizer.count(list(missing.values())), strict=True))
            self._remember()
        return [self._counts[key] for key in keys]

    def _remember(self) -> None:
        rows = sorted(self._counts.items())
        columns = [pa.array([key for key, _ in rows]), pa.array([n for _, n in rows], pa.int32())]
        schema = _SCHEMA.with_metadata({_CONTEXT: str(self._context).encode()})
        with replacing(self._file) as temporary:
            pq.write_table(pa.table(columns, schema=schema), temporary, compression="zstd")


def _tokenizer_identity(params: VlmParams, cache: Path, root: Path) -> dict[str, Any]:
    source = locate(params, root)
    identity: dict[str, Any] = {"open_clip": version("open_clip_torch")}
    if not params.model.startswith(LOCAL):
        return {**identity, "model": params.model}
    folder = Path(source.name.removeprefix(LOCAL))
    files = sorted(path for pattern in _TOKENIZER_FILES for path in folder.glob(pattern) if path.is_file())
    return {**identity, "files": file_hashes(files, cache)}
