"""`lempo init` and `lempo code`: a project whose stages depend on the installed code."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from lempo.code import project_file, write_code
from lempo.init import init, update
from pipeline.base.code import SOURCES
from pipeline.base.errors import UserError
from pipeline.base.params import load_params
from pipeline.base.paths import Paths
from tests.command import lempo

ROOT = Path(__file__).parents[2]
PACKAGES = ("embedded", "lempo", "pipeline", "stages", "trainer")
STAGES = set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as the command makes it, outside git."""
    folder = tmp_path_factory.mktemp("started")
    done = lempo("init", "my-archive", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("my-archive: a project with DVC, without git")
    return folder / "my-archive"


@pytest.fixture
def project(started: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(started, tmp_path / "project"))


def test_the_embedded_worlds_run_as_in_the_repository(started: Path) -> None:
    for name in ("params.yaml", "prompts/caption.txt", "worlds/mixed/world.yaml", "models/vlm/README.md"):
        assert (started / name).read_bytes() == (ROOT / name).read_bytes()
    plots = [{file.name for file in (root / ".dvc/plots").glob("*")} for root in (started, ROOT)]
    assert plots[0] == plots[1]
    assert len((started / "README.md").read_text().splitlines()) == 6
    assert "# my-archive" in (started / "README.md").read_text()


def test_dvc_reads_it_and_every_dependency_is_there_or_is_made(started: Path) -> None:
    with Repo(str(started)) as repo:
        stages = list(repo.index.stages)
        made = [Path(out.fs_path) for stage in stages for out in stage.outs]
        names = {stage.name.split("@")[0] for stage in stages}
        needed = {Path(dep.fs_path) for stage in stages for dep in stage.deps}
    assert names == STAGES | {"code"}
    assert not [path for path in needed if not path.exists() and not _made(path, made)]
    assert not [path for path in needed if path.relative_to(started).parts[0] in PACKAGES]


def _made(path: Path, outs: list[Path]) -> bool:
    """An output, inside one, or a folder of some."""
    return any(path.is_relative_to(out) or out.is_relative_to(path) for out in outs)


def test_within_git_dvc_works_with_git(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "README.md").write_text("# Mine\n")
    (tmp_path / ".gitignore").write_text("secret\n/data/\n")
    init(tmp_path)
    init(tmp_path / "below")
    assert capsys.readouterr().out.count("with DVC, within git") == 2
    assert (tmp_path / "README.md").read_text() == "# Mine\n"
    ignored = (tmp_path / ".gitignore").read_text().splitlines()
    assert ignored[:2] == ["secret", "/data/"] and ignored.count("/data/") == 1 and "/.lempo/" in ignored
    for folder in (tmp_path, tmp_path / "below"):
        with Repo(str(folder)) as repo:
            assert Path(repo.scm.root_dir) == tmp_path and not repo.config["core"]["analytics"]


def test_git_may_come_later_and_tracks_no_cache(project: Path) -> None:
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    subprocess.run(["dvc", "config", "core.no_scm", "false"], cwd=project, check=True)
    (project / ".dvc/cache/files").mkdir(parents=True)
    (project / ".dvc/cache/files/weights").write_text("large")
    subprocess.run(["git", "add", "-A"], cwd=project, check=True)
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=project, check=True, capture_output=True, text=True
    ).stdout
    assert "dvc.yaml" in tracked and ".dvc/config" in tracked and ".dvc/cache" not in tracked
    with Repo(str(project)) as repo:
        assert Path(repo.scm.root_dir) == project


def test_a_folder_that_git_ignores_is_refused_and_stays_empty(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("/scratch/\n")
    with pytest.raises(UserError, match=r"DVC cannot use the folder.*ignored"):
        init(tmp_path / "scratch")
    assert list((tmp_path / "scratch").rglob("*")) == []


def test_a_repository_of_dvc_stays_one(tmp_path: Path) -> None:
    Repo.init(str(tmp_path), no_scm=True).close()
    config, ignored = (tmp_path / ".dvc/config").read_text(), (tmp_path / ".dvcignore").read_text()
    init(tmp_path)
    assert (tmp_path / ".dvc/config").read_text() == config
    assert (tmp_path / ".dvcignore").read_text().startswith(ignored)
    lines = (tmp_path / ".dvcignore").read_text().splitlines()
    assert set(lines) >= set((ROOT / ".dvcignore").read_text().splitlines())


def test_datasets_of_ones_own_are_named_and_nothing_else_changes(tmp_path: Path) -> None:
    folder = tmp_path / "two words"
    init(folder, ["airports", "2024", "no"])
    text, own = (folder / "params.yaml").read_text(), load_params(folder / "params.yaml")
    assert own.datasets == ("airports", "2024", "no") and own.corpus.root == "archive"
    default = load_params(ROOT / "params.yaml")
    corpus = own.corpus.model_copy(update={"root": default.corpus.root})
    assert own.model_copy(update={"datasets": default.datasets, "corpus": corpus}) == default
    assert text.count("#") == (ROOT / "params.yaml").read_text().count("#")
    assert all((folder / "archive" / name).is_dir() for name in own.datasets)
    assert not (folder / "worlds").exists() and "archive/airports/" in (folder / "README.md").read_text()


@pytest.mark.parametrize("name", ["a/b", "", "..", "two words", "a,b"])
def test_a_name_that_is_no_folder_of_a_dataset_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="the name cannot be used"):
        init(tmp_path / "x", [name])
    assert not (tmp_path / "x").exists()


def test_a_name_stands_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="each name once"):
        init(tmp_path / "x", ["a", "a"])


@pytest.mark.parametrize("there", ["dvc.yaml", "params.yaml", "models/vlm", "prompts"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).mkdir(parents=True)
    with pytest.raises(UserError, match="it is there already") as refused:
        init(tmp_path)
    assert refused.value.problem.file == str(tmp_path / there)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def _code(folder: Path) -> dict[str, dict[str, str]]:
    return {file.stem: json.loads(file.read_text()) for file in (folder / "data/code").iterdir()}


def test_each_stage_has_the_hashes_of_the_rooms_that_the_repository_names(project: Path) -> None:
    write_code(Paths(project))
    for stage, rooms in _code(project).items():
        assert sorted(rooms) == sorted(_rooms()[stage])
        assert rooms and all(len(hash) == 64 for hash in rooms.values())
    assert set(_code(project)) == STAGES


def test_all_files_of_the_rooms_count() -> None:
    rooms = {dep for entry in _rooms().values() for dep in entry}
    listed = subprocess.run(["git", "ls-files", *rooms], cwd=ROOT, check=True, capture_output=True, text=True)
    assert {Path(name).suffix for name in listed.stdout.split()} <= SOURCES


def _rooms() -> dict[str, list[str]]:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {
        name: [dep for dep in entry["deps"] if dep.split("/")[0] in PACKAGES]
        for name, entry in stages.items()
    }


CHANGES = {
    "pipeline/report/page.py": {"report"},
    "trainer/methods/registry.py": {"evaluate", "report"},
    "pipeline/base/errors.py": STAGES,
    "lempo/cli.py": set[str](),
}


def test_another_version_of_the_code_runs_again_what_it_must(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stages' own dependencies on code, and the real command; what the stages do is not run."""
    monkeypatch.chdir(project)
    installed = tmp_path / "installed"
    for name in PACKAGES:
        shutil.copytree(ROOT / name, installed / name, ignore=shutil.ignore_patterns("__pycache__"))
    template = installed / "lempo/project"
    template.mkdir()
    content, here = project_file(), f"PYTHONPATH={installed} {sys.executable} -m lempo.cli"
    stages = content["stages"]
    stages["code"]["cmd"] = f"{here} code"
    for name in STAGES:
        (own,) = [dep for dep in stages[name]["deps"] if dep.startswith("data/code/")]
        stages[name] = {"cmd": f"echo done > {name}.txt", "deps": [own], "outs": [f"{name}.txt"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (template / "dvc.yaml").write_text(yaml.safe_dump(_code_alone()))

    def ran() -> set[str]:
        with Repo(str(project)) as repo:
            return {stage.name for stage in repo.reproduce()} - {"code"}

    assert ran() == STAGES
    assert ran() == set()
    for file, expected in CHANGES.items():
        with open(installed / file, "a") as code:
            code.write("# another version\n")
        assert ran() == expected, file


def _code_alone() -> dict[str, object]:
    """The repository's stages with nothing but their code, to which the cut stages of the project belong."""
    return {"stages": {name: {"cmd": "true", "deps": rooms} for name, rooms in _rooms().items()}}


@pytest.mark.parametrize(
    ("stage", "key", "value"),
    [
        ("tune", "params", "tune.epochs"),
        ("caption", "deps", "data/code/caption.json"),
        ("report", None, None),
    ],
)
def test_stages_of_another_version_are_refused_until_they_are_updated(
    project: Path, stage: str, key: str | None, value: str | None
) -> None:
    file = project / "dvc.yaml"
    content = yaml.safe_load(file.read_text())
    if key is None:
        del content["stages"][stage]
    else:
        content["stages"][stage][key].remove(value)
    file.write_text(yaml.safe_dump(content))
    done = lempo("code", cwd=project)
    assert done.returncode == 1 and not (project / "data/code").exists()
    assert all(word in done.stderr for word in ("dvc.yaml", stage, value or "missing", "init --update"))
    assert lempo("init", "--update", cwd=project).returncode == 0
    assert lempo("code", cwd=project).returncode == 0


def test_own_stages_and_other_models_are_no_other_version(project: Path) -> None:
    file = project / "dvc.yaml"
    content = yaml.safe_load(file.read_text())
    for entry in content["stages"].values():
        if "deps" in entry:
            entry["deps"] = [dep for dep in entry["deps"] if not dep.startswith("models/")] + ["mine.txt"]
    content["stages"]["mine"] = {"cmd": "true"}
    file.write_text(yaml.safe_dump(content))
    write_code(Paths(project))


def test_only_a_project_is_updated(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the folder holds no project"):
        update(tmp_path)
