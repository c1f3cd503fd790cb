"""`lempo cache`: shows what the row cache holds, and deletes what no table uses."""

import hashlib

from pipeline.base.errors import UserError
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.tables import read_table
from pipeline.captions.run import row_cache
from pipeline.captions.stages import PAIRS, STAGES


def show_cache(params: Params, paths: Paths, prune: bool) -> None:
    """Print size and entries by model and prompt.

    Args:
        prune: first delete the entries of rows that no caption table under `data/` holds.

    Raises:
        UserError: there is no caption table to compare with.
    """
    cache = row_cache(paths)
    if prune:
        before = cache.size()  # this sets aside the parts that are damaged
        kept, removed = cache.prune(_used(paths))
        print(f"removed {removed} entries, kept {kept}: {_bytes(before)} before, {_bytes(cache.size())} now")
    print(f"{cache.folder}: {_bytes(cache.size())} in {len(cache.parts())} parts")
    if cache.damaged:
        print(f"  {cache.damaged} damaged parts were set aside; their texts are generated again")
    prompts = _prompts(params, paths)
    for row in cache.summary():
        prompt = prompts.get(row["prompt_hash"], f"an earlier prompt, {row['prompt_hash'][:12]}")
        print(
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
    return {
        key
        for schema, file in tables
        for key in read_table(file, schema, ["row_key"])["row_key"].to_pylist()
        if key is not None
    }


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


def _bytes(size: int) -> str:
    return f"{size / 1000:.1f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"
