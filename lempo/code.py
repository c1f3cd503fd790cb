"""lempo code

Says which code each stage of a project runs, as hashes: an upgraded package then runs again what it must.

In the repository `dvc.yaml` names the folders of the code. A project that `lempo init` made has no such
folders. There DVC runs this command first, always, and each stage depends on the file that it writes for it.
"""

from pathlib import Path
from typing import Any

from pipeline.base.code import SOURCE_ROOT, code_hash
from pipeline.base.errors import UserError
from pipeline.base.files import write_json
from pipeline.base.paths import Paths
from pipeline.base.yaml_file import read_mapping

STAGE, FOLDER = "code", "data/code"
_PACKAGES = ("embedded", "lempo", "pipeline", "stages", "trainer")
_UPDATE = "Run `lempo init --update`, which writes dvc.yaml again for the installed version"


def template_folder() -> Path:
    """Where the files lie that a project starts from: in the installed package, or in the repository."""
    installed = Path(__file__).parent / "project"
    return installed if installed.is_dir() else SOURCE_ROOT


def project_file() -> dict[str, Any]:
    """`dvc.yaml` of a project: the repository's, with hashes of code in place of folders of code."""
    content = _read(template_folder() / "dvc.yaml")
    first = {"cmd": "lempo code", "always_changed": True, "outs": [FOLDER]}
    stages = {
        name: {
            key: [*_files(entry), f"{FOLDER}/{name}.json"] if key == "deps" else value
            for key, value in entry.items()
        }
        for name, entry in content["stages"].items()
    }
    return {**content, "stages": {STAGE: first, **stages}}


def write_code(paths: Paths, root: Path = SOURCE_ROOT) -> None:
    """Write `data/code/<stage>.json`: the sha256 of each room whose code the stage runs, by name.

    Args:
        root: the folder in which the rooms lie.

    Raises:
        UserError: the project's `dvc.yaml` lacks a stage, a parameter or a dependency of the installed
            version, so that `dvc repro` could call old results up to date.
    """
    _check(paths.root / "dvc.yaml")
    for stage, entry in _read(template_folder() / "dvc.yaml")["stages"].items():
        rooms = {dep: code_hash(dep, root=root) for dep in entry["deps"] if _is_room(dep)}
        write_json(paths.root / FOLDER / f"{stage}.json", rooms)


def _check(file: Path) -> None:
    written, needed = _read(file)["stages"], project_file()["stages"]
    for stage, entry in needed.items():
        if not isinstance(written, dict) or not isinstance(written.get(stage), dict):
            raise UserError("a stage of the installed version is missing", _UPDATE, file=file, field=stage)
        for key in ("params", "deps"):
            known = written[stage].get(key) or []
            for value in entry.get(key, []):
                # who uses other models may have taken the embedded ones out
                if value not in known and not value.startswith("models/"):
                    reason = f"the stage lacks one of its {key} in the installed version"
                    raise UserError(reason, _UPDATE, file=file, field=f"stages.{stage}.{key}", value=value)


def _files(entry: dict[str, Any]) -> list[str]:
    """The dependencies of a stage that are no code."""
    return [dep for dep in entry["deps"] if not _is_room(dep)]


def _is_room(dep: str) -> bool:
    return dep.split("/")[0] in _PACKAGES


def _read(file: Path) -> dict[str, Any]:
    content = read_mapping(
        file, "Run the command in a project's folder, or make one by `lempo init`", _UPDATE
    )
    if "stages" not in content:
        raise UserError("the file has no stages", _UPDATE, file=file)
    return content
