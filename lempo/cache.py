"""`lempo cache`: shows what the row cache holds, and deletes what no table uses."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import polars as pl

from lempo.findings import shown_bytes
from pipeline.base.errors import UserError
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.storage import remove_unused, size_of
from pipeline.base.tables import read_table
from pipeline.captions.run import row_cache, written_parts
from pipeline.captions.stages import PAIRS, STAGES


def show_cache(params: Params, paths: Paths, prune: bool, as_json: bool = False) -> None:
    """Print size and entries by model and prompt.

    Args:
        prune: first delete the entries of rows that no caption table under `data/` holds, and the parts of
            tables, which the next run makes again from the entries that stay.
        as_json: print one JSON object, with sizes in bytes.

    Raises:
        UserError: there is no caption table to compare with.
    """
    cache, pruned = row_cache(paths), None
    if prune:
        before = cache.size()  # this sets aside the parts that are damaged
        kept, removed = cache.prune(_used(paths))
        remove_unused(written_parts(paths), days=0)
        pruned = {"removed": removed, "kept": kept, "bytes_before": before}
    prompts = _prompts(params, paths)
    texts = [{**row, "prompt": prompts.get(row["prompt_hash"])} for row in cache.summary()]
    found = {
        "folder": str(cache.folder),
        "bytes": cache.size(),
        "parts": len(cache.parts()),
        "damaged": cache.damaged,
        "written_bytes": size_of(written_parts(paths)),
        "pruned": pruned,
        "texts": texts,
    }
    print(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> Iterator[str]:
    size = shown_bytes(found["bytes"])
    if pruned := found["pruned"]:
        before = shown_bytes(pruned["bytes_before"])
        yield f"removed {pruned['removed']} entries, kept {pruned['kept']}: {before} before, {size} now"
    holds = f"{size}, parts: {found['parts']}" if found["parts"] else "no text is cached yet"
    yield f"{found['folder']}: {holds}"
    if written := found["written_bytes"]:
        yield f"  parts of tables that need not be made again: {shown_bytes(written)}"
    if found["damaged"]:
        yield f"  {found['damaged']} damaged parts were set aside; their texts are generated again"
    for row in found["texts"]:
        prompt = row["prompt"] or f"an earlier prompt, {row['prompt_hash'][:12]}"
        yield (
            f"  {row['model']}, {prompt}: {row['texts']} texts, {row['truncated']} of them truncated, "
            f"{row['failures']} failures"
        )


def _used(paths: Paths) -> set[str]:
    """The row keys in all caption tables."""
    tables = [(stage.schema, file) for stage in STAGES.values() for file in stage.tables(paths).values()]
    if not tables:
        raise UserError(
            "there is no caption table to compare with",
            "Run `dvc repro` or `dvc checkout` first, or delete the folder to empty the cache",
            file=row_cache(paths).folder,
        )
    tables += [(PAIRS.schema, file) for file in PAIRS.tables(paths).values()]
    keys = [pl.DataFrame(read_table(file, schema, ["row_key"])) for schema, file in tables]
    return set(pl.concat(keys)["row_key"].drop_nulls().unique())


def _prompts(params: Params, paths: Paths) -> dict[str, str]:
    """Names of the prompts in use, by the hash of their text."""
    names = {}
    interpret, caption = params.interpret, params.caption
    prompts = (
        params.pairs.prompt, interpret.prompt, interpret.prompt_without_graph, caption.prompt,
        caption.repair_prompt,
    )  # fmt: skip
    for name in prompts:
        file = paths.root / name
        if file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            names[hashlib.sha256(text.encode()).hexdigest()] = name
    return names
