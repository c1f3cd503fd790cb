"""One trial of `damage`: which file, which damage, which reader, and what came of it."""

import contextlib
import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from tests.soak._finished import DATASET, STUDY_KEY, engine

HANG_SECONDS = 60
_MEMORY = 8 << 30  # bytes of address space of a child: a length in a damaged header must not fill the machine

_ROOT = str(Path(__file__).parents[2])

# who reads what, by the first name that fits; a reader is tried alone, as a person would run it
READERS = (
    ("data/corpus/rejects", ("report",)),
    ("data/corpus/*/images", ("embed", "tune", "evaluate", "report", "study")),
    ("data/corpus/*/scene_graphs", ("interpret", "caption", "captions", "study")),
    ("data/corpus/*/queries", ("pairs",)),
    ("data/pairs/*", ("caption", "tune", "evaluate", "report", "captions")),
    ("data/interpretations", ("tune", "evaluate", "report", "cache", "study")),
    ("data/pseudo_captions", ("tune", "evaluate", "report", "captions", "cache")),
    ("data/features", ("tune", "evaluate", "study")),
    ("data/tuned", ("evaluate", "export")),
    ("data/rankings", ("report",)),
    (".lempo/cache/graphs", ("corpus",)),
    (".lempo/cache/llm", ("interpret", "caption", "cache", "prune")),
    (".lempo/cache/clip_tokens", ("interpret", "caption")),
    (".lempo/cache/file_hashes", ("interpret", "caption")),
    (".lempo/cache/features", ("embed",)),
    (".lempo/cache/tune", ("tune",)),
    (".lempo/cache/study", ("stored",)),
    ("metrics/evaluate", ("report", "export")),
    ("metrics", ("report",)),
    ("plots/tune", ("report",)),
    ("worlds/*/images", ("embed", "report")),
    ("prompts/modification", ("cache",)),
    ("prompts/interpret", ("interpret", "check", "cache")),
    ("prompts/caption", ("caption", "check", "cache")),
    ("models/llm", ("interpret", "check")),
    ("models/vlm", ("embed", "tune", "evaluate", "check")),
    ("params.yaml", ("check", "report")),
)
# other bytes are another text or another model, and that is the user's affair
EDITED = ("metrics", "plots", "prompts", "params.yaml", "models", "data/tuned/*/README.md")


def _matches(name: str, patterns: tuple[str, ...] | str) -> bool:
    patterns = (patterns,) if isinstance(patterns, str) else patterns
    parts = name.split("/")
    return any(
        len(parts) >= len(wanted := pattern.split("/"))
        and all(
            w == "*" or (p == w if place + 1 < len(wanted) else p.startswith(w))
            for place, (p, w) in enumerate(zip(parts, wanted, strict=False))
        )
        for pattern in patterns
    )


def plan(finished: Path, trials: int, rng: random.Random) -> Iterator[tuple[str, str, int, str]]:
    """(file, damage, seed of the damage, reader) of each trial; every file has the same chance."""
    files = {}
    for path in sorted(finished.rglob("*")):
        name = path.relative_to(finished).as_posix()
        readers = next((readers for pattern, readers in READERS if _matches(name, pattern)), None)
        if readers and path.is_file() and not path.name.startswith(".lock") and "/speed/" not in name:
            files[name] = readers
    for _ in range(trials):
        name = rng.choice(sorted(files))
        yield name, rng.choice(sorted(DAMAGES)), rng.randrange(1 << 30), rng.choice(files[name])


def _flip_byte(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= rng.randrange(1, 256)


def _flip_bit(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _append(data: bytearray, rng: random.Random) -> None:
    data += rng.randbytes(rng.randrange(1, 100))


def _zeros(data: bytearray, rng: random.Random) -> None:
    start, length = rng.randrange(len(data)), rng.randrange(1, 513)
    data[start : start + length] = bytes(len(data[start : start + length]))


def _noise(data: bytearray, rng: random.Random) -> None:
    start, length = rng.randrange(len(data)), rng.randrange(1, 65)
    data[start : start + length] = rng.randbytes(len(data[start : start + length]))


def _swapped(data: bytearray, rng: random.Random) -> None:
    size = max(1, len(data) // rng.randrange(3, 9))
    one, other = rng.randrange(size), size + rng.randrange(max(1, len(data) - 2 * size))
    first, second = data[one : one + size], data[other : other + size]
    data[other : other + size], data[one : one + size] = first, second


def _dropped(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.randrange(1, 33)]


def _emptied(data: bytearray, rng: random.Random) -> None:
    del data[:]


def _random(data: bytearray, rng: random.Random) -> None:
    data[:] = rng.randbytes(len(data))


BYTES: dict[str, Callable[[bytearray, random.Random], None]] = {
    "flip a byte": _flip_byte,
    "flip a bit": _flip_bit,
    "cut": _cut,
    "append": _append,
    "zeros": _zeros,
    "noise": _noise,
    "swap two blocks": _swapped,
    "drop some bytes": _dropped,
    "empty": _emptied,
    "random bytes": _random,
}
DAMAGES = (*BYTES, "another file", "a folder", "a dangling link", "a link to itself", "missing")


def damage(root: Path, name: str, kind: str, rng: random.Random) -> None:
    """Damage one file of a project whose files may be hard links to others."""
    path = root / name
    content = path.read_bytes()
    stat = path.stat()
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    elif kind == "a dangling link":
        path.symlink_to("nowhere")
    elif kind == "a link to itself":
        path.symlink_to(path.name)
    elif kind == "another file":
        others = sorted(p for p in root.rglob("*") if p.is_file() and p != path)
        path.write_bytes(rng.choice(others).read_bytes())
    elif kind != "missing":
        data = bytearray(content)
        if data:
            BYTES[kind](data, rng)
        path.write_bytes(data)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a disk that lost bits would leave it


def _outputs(paths: Paths, *names: str) -> str:
    digest = hashlib.sha256()
    for name in names:
        place = paths.root / name
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _corpus(params: Params, paths: Paths) -> str:
    from stages import corpus

    corpus.run(params, paths)
    return _outputs(paths, "data/corpus", "metrics/corpus.json")


def _pairs(params: Params, paths: Paths) -> str:
    from stages import pairs

    pairs.run(params, paths)
    return _outputs(paths, "data/pairs", "metrics/pairs.json")


def _interpret(params: Params, paths: Paths) -> str:
    from stages import interpret

    interpret.run(params, paths, engine)
    return _outputs(paths, "data/interpretations", "metrics/interpret.json")


def _caption(params: Params, paths: Paths) -> str:
    from stages import caption

    caption.run(params, paths, engine)
    return _outputs(paths, "data/pseudo_captions", "metrics/caption.json")


def _embed(params: Params, paths: Paths) -> str:
    from stages import embed

    embed.run(params, paths)
    return _outputs(paths, "data/features", "metrics/embed.json")


def _tune(params: Params, paths: Paths) -> str:
    from stages import tune

    tune.run(params, paths, DATASET)
    return _outputs(paths, "data/tuned", "metrics/tune", "plots/tune")


def _evaluate(params: Params, paths: Paths) -> str:
    from stages import evaluate

    evaluate.run(params, paths, DATASET)
    return _outputs(paths, "data/rankings", "metrics/evaluate", "plots/evaluate")


def _report(params: Params, paths: Paths) -> str:
    from stages import report

    report.run(params, paths)
    return _outputs(paths, "report", "metrics/summary.json")


def _captions(params: Params, paths: Paths) -> str:
    from lempo.captions import Choice, show_captions

    show_captions(params, paths, None, "caption", Choice(worst=True, limit=10))
    return ""


def _cache(params: Params, paths: Paths) -> str:
    from lempo.cache import show_cache

    show_cache(params, paths, False)
    return ""


def _prune(params: Params, paths: Paths) -> str:
    from lempo.cache import show_cache

    show_cache(params, paths, True)
    return ""


def _export(params: Params, paths: Paths) -> str:
    from lempo.export import export_tuned

    export_tuned(params, paths, DATASET, paths.root / "exported")
    return ""


def _check(params: Params, paths: Paths) -> str:
    from lempo.check import run_checks

    list(run_checks(paths.root / "params.yaml", paths))
    return ""


def _study(params: Params, paths: Paths) -> str:
    from trainer.study.data import load_model, load_study_data
    from trainer.study.store import Store

    vlm = load_model(params, paths)
    Store(paths, params, vlm.identity)
    data = load_study_data(params, paths, DATASET, vlm)
    digest = hashlib.sha256(repr((data.gallery_texts, data.alternatives, data.traps)).encode())
    for split in data.splits.values():
        digest.update(repr(split.texts).encode() + split.gallery.numpy().tobytes())
    return digest.hexdigest()


def _stored(params: Params, paths: Paths) -> str:
    """What a study stored: right, or (as None) to be computed again."""
    from trainer.study.data import load_model
    from trainer.study.store import Store

    store = Store(paths, params, load_model(params, paths).identity)
    if (result := store.read(STUDY_KEY)) is None:
        return "None"
    state = store.state(STUDY_KEY) or {}
    digest = hashlib.sha256(json.dumps(result, sort_keys=True).encode())
    for name, tensor in sorted(state.items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


RUN: dict[str, Callable[[Params, Paths], str]] = {
    name.removeprefix("_"): function
    for name, function in list(globals().items())
    if name.removeprefix("_") in {reader for _, readers in READERS for reader in readers}
}


def attempt(folder: Path, reader: str, harm: Callable[[Path], None]) -> str:
    """Copy the project, harm it, run a reader; a line that says how it ended."""
    root = folder / "project"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(folder / "finished", root, copy_function=os.link)
    harm(root)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            params = load_params(root / "params.yaml")
            found = RUN[reader](params, Paths(root))
        return "= " + found + said.getvalue() * (reader in ("captions", "cache"))
    except UserError as error:
        return f"UserError {error}"


def _result(folder: Path, name: str, kind: str, seed: int, reader: str, expected: str) -> str:
    try:
        found = attempt(folder, reader, partial(_harm, name=name, kind=kind, seed=seed))
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        *_, last = (frame for frame in frames if _ROOT in frame.filename)
        place = f"{Path(last.filename).name}:{last.lineno}"
        return f"FAILED: {type(error).__name__} at {place}: {' '.join(str(error).split())[:150]}"
    if found == expected:
        return "the same results"
    if found.startswith("UserError"):
        named = Path(name).name in found or Path(name).parent.name in found
        # other weights are another model, other figures other results: the error names what they did not make
        named |= _matches(name, EDITED) and "made with another" in found
        return "an error that names the file" if named else f"FAILED: the file is not named: {found}"
    shows_less = reader == "cache" and ("set aside" in found or kind == "missing")
    if shows_less or (found == "= None" and reader == "stored"):
        return "made again"
    return "used as it reads" if _matches(name, EDITED) else "FAILED: other results in silence"


def _harm(root: Path, name: str, kind: str, seed: int) -> None:
    damage(root, name, kind, random.Random(seed))


def main(folder: Path, start: int) -> None:
    """Run the trials of `plan.json` from `start`; one line each on stdout."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print there too
    trials = json.loads((folder / "plan.json").read_text())[start:]
    expected = {}
    for reader in sorted({reader for *_, reader in trials}):
        expected[reader] = attempt(folder, reader, lambda root: None)
        assert expected[reader].startswith("= "), expected[reader]
    print("ready", file=out, flush=True)
    for name, kind, seed, reader in trials:
        signal.alarm(HANG_SECONDS)
        line = _result(folder, name, kind, seed, reader, expected[reader])
        signal.alarm(0)
        print(" ".join(line.split()), file=out, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
