"""lempo init FOLDER

Writes a project: what `dvc repro` and every other command need, beside the installed package.
"""

import logging
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml

from lempo.code import project_file, template_folder
from pipeline.base.errors import UserError, refuse_odd
from pipeline.base.files import replacing
from pipeline.base.storage import storage_errors

_FILES = ("params.yaml", "docs/benchmarks.md", "docs/parameters.md")
_IGNORED = (".gitignore", ".dvcignore")
_PLOTS = ".dvc/plots"  # templates that dvc.yaml names
_DVC_IGNORED = "/config.local\n/tmp\n/cache\n"  # DVC says so to git only where git is there already
_FOLDERS = ("prompts", "models/captioner", "models/vlm")
_WORLDS, _ARCHIVE = "worlds", "archive"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_DVC_HEADER = """\
# Written by `lempo init`. The stage `code` always runs, in less than a second: it asks the installed package
# which code each stage runs. So another version of the package runs again what it must, and nothing else.
"""
_README = """\
# {name}

A project of LEmpo. `params.yaml` holds every parameter; docs/parameters.md explains them.
{data}
`lempo check` says in seconds what would stop a run. `dvc repro` runs what changed, up to `report/index.html`.
`lempo index DATASET` makes a dataset ready for `lempo search` and `lempo serve`.
"""


def init(folder: Path, datasets: Sequence[str] = ()) -> None:
    """Write a project into a folder, and make it a DVC repository if it is in none.

    Args:
        folder: created if it is missing. Other files in it stay, and so does a README.md; .gitignore and
            .dvcignore get the lines that they lack.
        datasets: the names of the person's own datasets; none: the embedded worlds.

    Raises:
        UserError: a file of the project is there already, the name of a dataset cannot be used, or the folder
            cannot be written or is ignored by git.
    """
    for name in datasets:
        if not _NAME.fullmatch(name) or list(datasets).count(name) > 1:
            remedy = "Use letters, digits, '.', '_' and '-', and each name once"
            raise UserError("the name cannot be used", remedy, field="--dataset", value=name)
    source, top = template_folder(), _ARCHIVE if datasets else _WORLDS
    folders = _FOLDERS if datasets else (*_FOLDERS, _WORLDS)
    plots = [f"{_PLOTS}/{file.name}" for file in sorted((source / _PLOTS).glob("*"))]
    for written in ("dvc.yaml", *_FILES, *plots, *folders):
        if (folder / written).exists():
            remedy = "Name another folder, or move it away; --update writes dvc.yaml of a project again"
            raise UserError("it is there already", remedy, file=folder / written)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        said = _init_dvc(folder)
        for name in (*_FILES, *plots):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(source / name, folder / name)
        for name in folders:
            shutil.copytree(source / name, folder / name)
        for name in datasets:
            (folder / top / name).mkdir(parents=True, exist_ok=True)
        if datasets:
            _name_datasets(folder / "params.yaml", datasets)
        if not (folder / "README.md").exists():
            (folder / "README.md").write_text(_readme(folder, datasets), encoding="utf-8")
        for name in _IGNORED:
            _ignore(source / name, folder / name)
        _write_stages(folder)
    print(f"{folder}: a project{said}. Its README.md says what to do next.")


def update(folder: Path) -> None:
    """Write `dvc.yaml` and the docs of a project again, for the installed version.

    Raises:
        UserError: the folder holds no project.
    """
    if not (folder / "dvc.yaml").is_file() or not (folder / "params.yaml").is_file():
        raise UserError("the folder holds no project", "Leave --update out to make one", file=folder)
    with storage_errors(folder):
        _write_stages(folder)
        for name in _FILES:
            if name.startswith("docs/"):
                shutil.copyfile(template_folder() / name, folder / name)
    print(f"{folder}/dvc.yaml: written again. `git diff` shows what changed. Run `lempo check` next.")


def _write_stages(folder: Path) -> None:
    text = yaml.safe_dump(project_file(), sort_keys=False, width=110, default_flow_style=None)
    with replacing(folder / "dvc.yaml") as temporary:
        temporary.write_text(_DVC_HEADER + text, encoding="utf-8")


def _ignore(wanted: Path, file: Path) -> None:
    """Add the lines that a file of patterns lacks."""
    refuse_odd(file)
    known = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    lines = wanted.read_text(encoding="utf-8").splitlines()
    file.write_text(
        "\n".join([*known, *(line for line in lines if line not in known)]) + "\n", encoding="utf-8"
    )


def _name_datasets(file: Path, datasets: Sequence[str]) -> None:
    """Put names and folder of the datasets into `params.yaml`; its comments stay."""
    text = file.read_text(encoding="utf-8")
    text, names = re.subn(r"(?m)^datasets: .*$", f"datasets: [{', '.join(map(_quoted, datasets))}]", text)
    text, roots = re.subn(r"(?m)^(corpus:\n  root: )\S+", rf"\g<1>{_ARCHIVE}", text)
    assert names == roots == 1, "params.yaml has another form"
    file.write_text(text, encoding="utf-8")


def _quoted(name: str) -> str:
    """A name as YAML reads it: 2024 and `no` would be a number and false."""
    return name if yaml.safe_load(name) == name else f'"{name}"'


def _readme(folder: Path, datasets: Sequence[str]) -> str:
    data = "Its data are the embedded worlds in `worlds/`, drawn scenes to try everything with."
    if datasets:
        places = ", ".join(f"`{_ARCHIVE}/{name}/`" for name in datasets)
        data = f"Put your images, with their boxes or scene graphs, into {places}."
    return _README.format(name=folder.resolve().name, data=data)


def _init_dvc(folder: Path) -> str:
    """Make the folder a DVC repository, within git where there is git; says so."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import SCM, SCMError

    if (folder / ".dvc").is_dir():
        return ""
    logging.getLogger("dvc").setLevel(logging.WARNING)  # it would say the same as the line below
    try:
        in_git = Path(SCM(str(folder), search_parent_directories=True).root_dir)
    except SCMError:
        in_git = None
    subdir = in_git is not None and in_git.resolve() != folder.resolve()
    try:
        repo = Repo.init(str(folder), no_scm=in_git is None, subdir=subdir)
    except DvcException as error:
        reason = f"DVC cannot use the folder: {' '.join(str(error).split())}"
        raise UserError(reason, "Name a folder that git does not ignore", file=folder) from None
    with repo, repo.config.edit("repo") as config:
        config["core"] |= {"analytics": False, "check_update": False}
    if in_git:
        return " with DVC, within git"
    (folder / ".dvc" / ".gitignore").write_text(_DVC_IGNORED, encoding="utf-8")
    return " with DVC, without git (to compare runs: `git init`, then `dvc config core.no_scm false`)"
