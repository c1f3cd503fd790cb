"""`lempo cache`: what the cache of generated texts holds, and which of it no table uses."""

from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import INTERPRETATIONS, PSEUDO_CAPTIONS
from pipeline.base.tables import read_table
from pipeline.captions.run import row_cache


def show_cache(params: Params, paths: Paths, prune: bool) -> None:
    """Print size and entries by model and prompt.

    Args:
        prune: first delete the entries of rows that no caption table under `data/` holds.

    Raises:
        UserError: there is no caption table to compare with.
    """
    cache = row_cache(paths)
    if prune:
        before = cache.size()
        kept, removed = cache.prune(_used(paths))
        print(f"removed {removed} entries, kept {kept}: {_bytes(before)} before, {_bytes(cache.size())} now")
    print(f"{cache.folder}: {_bytes(cache.size())} in {len(cache.parts())} parts")
    prompts = _prompts(params, paths)
    for row in cache.summary():
        prompt = prompts.get(row["prompt_hash"], f"an earlier prompt, {row['prompt_hash'][:12]}")
        print(
            f"  {row['model']}, {prompt}: {row['texts']} texts, {row['truncated']} of them truncated, "
            f"{row['failures']} failures"
        )


def _used(paths: Paths) -> set[str]:
    used: set[str] = set()
    found = False
    for place, schema in ((paths.interpretations, INTERPRETATIONS), (paths.pseudo_captions, PSEUDO_CAPTIONS)):
        for file in sorted(place("x").parent.glob("*.parquet")):
            found = True
            used.update(read_table(file, schema, ["row_key"])["row_key"].to_pylist())
    if not found:
        raise UserError(
            "there is no caption table to compare with",
            "Run `dvc repro` or `dvc checkout` first, or delete the folder to empty the cache",
            file=row_cache(paths).folder,
        )
    return used


def _prompts(params: Params, paths: Paths) -> dict[str, str]:
    """Names of the prompts in use, by hash."""
    import hashlib

    found = {}
    for name in (params.interpret.prompt, params.caption.prompt):
        file = paths.root / Path(name)
        if file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace")
            found[hashlib.sha256(text.encode()).hexdigest()] = name
    return found


def _bytes(size: int) -> str:
    if size < 1_000_000:
        return f"{size / 1000:.1f} kB"
    return f"{size / 1_000_000:.1f} MB"
