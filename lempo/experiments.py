"""What queued experiments would not find: DVC runs them in a copy of what git and DVC track."""

import subprocess
from pathlib import Path

from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.vision.source import LOCAL

_DVC_FILE = ".dvc"  # `dvc add images` writes images.dvc


def queued_experiments(params: Params, paths: Paths) -> str:
    """Which of the datasets and models a queued experiment would not find, and what mends it."""
    if _git(paths.root, "rev-parse", "--is-inside-work-tree") is None:
        return "none without git"
    left_out = [folder for folder in _inputs(params, paths) if not _travels(paths.root, folder)]
    if not left_out:
        return "they find every dataset and model"
    names = " ".join(map(str, left_out))
    return (
        f"they have what git or DVC tracks, or what an absolute path names, and not {names}: run "
        f"`dvc add {names}` before `dvc exp run --queue`"
    )


def _inputs(params: Params, paths: Paths) -> list[Path]:
    """Folders that the parameters name."""
    folders = [Path(params.corpus.root) / dataset for dataset in params.datasets]
    if params.llm.engine != "endpoint":  # else the name is the server's
        folders.append(Path(params.llm.model))
    if params.vlm.model.startswith(LOCAL):
        folders.append(Path(params.vlm.model.removeprefix(LOCAL)))
    return [folder for folder in folders if (paths.root / folder).is_dir()]


def _travels(root: Path, folder: Path) -> bool:
    """Whether a copy of what is tracked has all of a folder; hidden files apart."""
    if folder.expanduser().is_absolute():
        return True
    untracked = _git(root, "ls-files", "-z", "--others", "--", str(folder))
    if untracked is None:  # not in this repository
        return False
    names = (Path(name) for name in untracked.split("\0") if name)
    return all(_is_hidden(name) or _by_dvc(root, root / name) for name in names)


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") and part != ".." for part in name.parts)


def _by_dvc(root: Path, file: Path) -> bool:
    above = [file, *file.parents]
    within = above[: above.index(root)]
    return file.suffix == _DVC_FILE or any(Path(f"{path}{_DVC_FILE}").is_file() for path in within)


def _git(root: Path, *arguments: str) -> str | None:
    """What git says; None: it fails, or there is no git."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout
