"""The row cache: every text that an LLM wrote, by a hash of all that it depends on.

It is a folder of immutable Parquet files (parts), each written under a temporary name, fsynced and renamed.
Any number of processes may add parts at once. The cache outlives code changes, and no DVC stage owns it.
A part is named by the hash of its bytes. One that is damaged is set aside, and its texts are generated again.

`max_tokens` is not in a key. A text that stopped by itself answers every request whose limit is at least its
length; a text that was cut answers only the limit that cut it. So raising the limit redoes only what was cut.

Failures are stored, so that no row is asked for ever. External ones are not: every run asks for them again.
An answer without a caption is a failure.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.base.files import canonical_json, hash_is_name, is_whole, replacing, set_aside
from pipeline.base.storage import remove_leftovers
from pipeline.llm.pictures import Picture
from pipeline.llm.prompt import Message
from pipeline.llm.types import Result, Sampling

PART_ROWS = 65_536
MERGE_ABOVE_PARTS = 32
NO_CAPTION = "the model returned no caption"

ENTRIES = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("row_key", pa.string(), nullable=False),  # the key of the row's first attempt
        pa.field("model", pa.string(), nullable=False),
        pa.field("prompt_hash", pa.string(), nullable=False),
        pa.field("max_tokens", pa.int32(), nullable=False),
        pa.field("text", pa.string()),  # null: the request failed
        pa.field("error", pa.string()),
        pa.field("permanent", pa.bool_(), nullable=False),
        pa.field("tries", pa.int32(), nullable=False),  # failures of this key so far; 0 where there is a text
        pa.field("finish_reason", pa.string()),
        pa.field("prompt_tokens", pa.int32()),
        pa.field("output_tokens", pa.int32()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Entry(Result):
    """A stored result, with what it was requested for; the fields are those of `ENTRIES`."""

    row_key: str
    model: str
    prompt_hash: str
    max_tokens: int
    tries: int

    @property
    def failed(self) -> bool:
        return self.text is None

    @staticmethod
    def stored(row: dict[str, Any]) -> "Entry":
        """The entry of a row of `ENTRIES`; one of an earlier version may hold an answer without a caption."""
        entry = Entry(**row)
        if entry.text is None or entry.text.strip() or entry.finish_reason == "length":
            return entry
        return replace(entry, text=None, error=NO_CAPTION, tries=1)

    @staticmethod
    def of(
        result: Result, *, row_key: str, model: str, prompt_hash: str, max_tokens: int, failures: int
    ) -> "Entry":
        """The entry for a result; `failures` is how often the key had failed before."""
        tries = failures + 1 if result.text is None else 0
        return Entry(
            **vars(result),
            row_key=row_key,
            model=model,
            prompt_hash=prompt_hash,
            max_tokens=max_tokens,
            tries=tries,
        )

    def answers(self, max_tokens: int) -> bool:
        """Whether a request with this limit would have got this text, or failed like this."""
        if self.finish_reason == "length":
            return self.max_tokens == max_tokens
        return self.failed or self.output_tokens is None or self.output_tokens <= max_tokens


def row_key(
    identity: dict[str, Any],
    messages: list[Message],
    sampling: Sampling,
    output_schema: dict[str, Any] | None = None,
    attempt: int = 0,
    picture: Picture | None = None,
) -> str:
    """sha256 over all that a text depends on: model, prompt, sampling, schema, attempt's number, image."""
    content: dict[str, Any] = {
        "model": identity,
        "messages": messages,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "output_schema": output_schema,
    }
    if sampling.further:
        content["sampling"] = dict(sampling.further)
    if attempt:
        content["attempt"] = attempt
    if picture is not None:
        content["image"] = picture.key()
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def seed_of(key: str) -> int:
    """The seed of a request (31 bits), from its key: the order of the rows does not change it."""
    return int(key[:8], 16) & 0x7FFFFFFF


class RowCache:
    """The parts under one folder; `damaged` counts those that were set aside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged = 0
        self._whole: set[Path] = set()  # parts that were checked; they never change

    def lookup(self, keys: Iterable[str], max_tokens: int) -> dict[str, Entry]:
        """What is stored for these keys: a text that answers `max_tokens`, else the key's last failure.

        Keys with neither are absent. Only the texts of the keys asked for are loaded.
        """
        wanted = pa.array(sorted(set(keys)), pa.string())
        best: dict[str, Entry] = {}
        for entry in self._matching(wanted) if len(wanted) else ():
            if entry.answers(max_tokens):
                best[entry.key] = min(best.get(entry.key, entry), entry, key=_preference)
        return best

    def add(self, entries: Sequence[Entry]) -> None:
        """Store entries in one new part, but not external failures; on return they are on disk."""
        rows = [asdict(entry) for entry in entries if not entry.external]
        if rows:
            self._write(pa.Table.from_pylist(rows, schema=ENTRIES))

    def parts(self) -> list[Path]:
        """Every part that is whole; the others are set aside."""
        found = [part for part in sorted(self.folder.glob("*.parquet")) if self._checked(part)]
        self._whole &= set(found)
        return found

    def _checked(self, part: Path) -> bool:
        if part not in self._whole:
            if is_whole(part) if hash_is_name(part) else _is_readable(part):
                self._whole.add(part)
            elif os.path.lexists(part):
                self.damaged += 1
                set_aside(part)
        return part in self._whole  # one that is gone has been merged since it was listed

    def size(self) -> int:
        """Bytes on disk."""
        total = 0
        for path in self.parts():
            with suppress(FileNotFoundError):  # merged meanwhile
                total += path.stat().st_size
        return total

    def summary(self) -> list[dict[str, Any]]:
        """Entries by model and prompt: `model`, `prompt_hash`, `texts`, `truncated`, `failures`."""
        counts: dict[tuple[str, str], list[int]] = {}
        columns = ["model", "prompt_hash", "error", "finish_reason"]
        with self._locked(wait=True):
            for part in self.parts():
                for row in pq.ParquetFile(part).read(columns=columns).to_pylist():
                    count = counts.setdefault((row["model"], row["prompt_hash"]), [0, 0, 0])
                    count[0] += row["error"] is None
                    count[1] += row["finish_reason"] == "length"
                    count[2] += row["error"] is not None
        return [
            {"model": model, "prompt_hash": prompt, "texts": c[0], "truncated": c[1], "failures": c[2]}
            for (model, prompt), c in sorted(counts.items())
        ]

    def prune(self, used: set[str]) -> tuple[int, int]:
        """Keep only entries of the rows in `used` (row keys); returns numbers of entries (kept, removed)."""
        wanted, kept, removed = pa.array(sorted(used), pa.string()), 0, 0
        with self._locked(wait=True):
            for part in self.parts():
                table = pq.ParquetFile(part).read()
                remaining = table.filter(pc.is_in(table["row_key"], wanted))
                kept, removed = kept + remaining.num_rows, removed + table.num_rows - remaining.num_rows
                if remaining.num_rows == table.num_rows:
                    continue
                if remaining.num_rows:
                    self._write(remaining)
                part.unlink(missing_ok=True)
            for aside in self.folder.glob("*.damaged"):
                with suppress(OSError):  # it may be a folder
                    aside.unlink()
        return kept, removed

    def merge(self) -> None:
        """Join many small parts to few large ones, and delete what killed writers left behind.

        A kill does no harm: the large part is on disk before a small one is deleted, and an entry that is
        stored twice counts once. Where another process holds the lock, nothing is done.
        """
        if not self.folder.is_dir():
            return
        with self._locked(wait=False) as locked:
            if not locked:
                return
            remove_leftovers(self.folder)
            sizes = {part: pq.read_metadata(part).num_rows for part in self.parts()}
            small = [part for part, rows in sizes.items() if rows < PART_ROWS // 2]
            if len(small) <= MERGE_ABOVE_PARTS:
                return
            group: list[Path] = []
            for part in small:
                group.append(part)
                if sum(sizes[path] for path in group) >= PART_ROWS or part == small[-1]:
                    written = self._write(pa.concat_tables([pq.ParquetFile(path).read() for path in group]))
                    for path in group:
                        if path != written:  # one part alone may give the same bytes
                            path.unlink(missing_ok=True)
                    group = []

    @contextmanager
    def _locked(self, wait: bool) -> Iterator[bool]:
        """Hold the lock for deleting parts; False if another process has it and `wait` is false."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "ab+", buffering=0) as lock:  # for both: a pipe blocks no such open
            try:
                fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _write(self, table: pa.Table) -> Path:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", row_group_size=8192)
        content = sink.getvalue()
        part = self.folder / f"{hashlib.sha256(content).hexdigest()}.parquet"
        with replacing(part) as temporary:
            temporary.write_bytes(content)
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # the new name itself
        finally:
            os.close(descriptor)
        return part

    def _matching(self, wanted: pa.Array) -> Iterator[Entry]:
        done: set[Path] = set()
        while True:
            fresh = [part for part in self.parts() if part not in done]
            if not fresh:
                return
            for part in fresh:  # if another process merges parts, their rows occur again in a new one
                done.add(part)
                try:
                    file = pq.ParquetFile(part)
                    # all keys at once: each call makes an index of `wanted`, which is long
                    found, start = pc.is_in(file.read(columns=["key"])["key"], wanted), 0
                    for group in range(file.num_row_groups):
                        rows = file.metadata.row_group(group).num_rows
                        hit, start = found.slice(start, rows), start + rows
                        if pc.any(hit).as_py():
                            for row in file.read_row_group(group).filter(hit).to_pylist():
                                yield Entry.stored(row)
                except FileNotFoundError:
                    continue


def _preference(entry: Entry) -> tuple[Any, ...]:
    """Texts before failures, the failure with most tries first; the order of the parts does not matter."""
    if entry.failed:
        return (1, -entry.tries, entry.error or "")
    return (0, entry.output_tokens or 0, entry.text)


def _is_readable(part: Path) -> bool:
    """Whether a part of an earlier version, whose name says nothing of its bytes, can be read to its end."""
    if not part.is_file():  # a pipe would block for ever
        return False
    try:
        table = pq.ParquetFile(part).read()
        table.validate(full=True)
        return table.schema.remove_metadata().equals(ENTRIES)
    except (pa.ArrowException, OSError, ValueError):
        return False
