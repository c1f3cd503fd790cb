"""Which room may import which, and what `dvc.yaml` says of rooms: see the tree in CONTRIBUTING.md."""

import ast
import re
import shutil
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

from pipeline.base.code import code_hash
from pipeline.base.params import Params
from stages import tune
from trainer.study import store

ROOT = Path(__file__).parents[1]
PACKAGES = ("embedded", "lempo", "pipeline", "speed", "stages", "trainer")
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
TRAININGS = yaml.safe_load((ROOT / "embedded/dvc.yaml").read_text())["stages"]

# room -> the rooms that it may import, `pipeline/base` and itself apart
ALLOWED: dict[str, tuple[str, ...]] = {
    "pipeline": (),
    "pipeline/base": (),
    "pipeline/graph": (),
    "pipeline/cluster": (),
    "pipeline/llm": ("pipeline/cluster",),
    "pipeline/vision": ("pipeline/cluster",),
    "pipeline/faithfulness": ("pipeline/graph",),
    "pipeline/boxes": ("pipeline/graph",),
    "pipeline/corpus": ("pipeline/graph", "pipeline/boxes"),
    "pipeline/captions": ("pipeline/faithfulness", "pipeline/llm", "pipeline/vision", "pipeline/graph"),
    "pipeline/pairs": ("pipeline/captions", "pipeline/faithfulness", "pipeline/llm", "pipeline/graph"),
    "pipeline/report": (),
    "trainer": (),
    "trainer/retrieval": ("pipeline/vision",),
    "trainer/tuning": ("trainer/retrieval", "pipeline/vision"),
    "trainer/methods": ("trainer/tuning", "trainer/retrieval"),
    "trainer/benchmarks": (
        "trainer/methods", "trainer/tuning", "trainer/retrieval", "pipeline/corpus", "pipeline/vision",
    ),
    "trainer/study": (
        "trainer/methods", "trainer/tuning", "trainer/retrieval", "pipeline/graph", "pipeline/vision",
    ),
    "embedded": (),
    "embedded/world": ("pipeline/graph", "pipeline/corpus"),
    "embedded/captioner": ("embedded", "embedded/world", "pipeline/graph", "pipeline/pairs"),
    "embedded/vlm": ("embedded", "embedded/world", "pipeline/graph"),
    "embedded/photographs": (
        "embedded", "embedded/vlm", "pipeline/graph", "pipeline/boxes", "pipeline/corpus",
    ),
    "stages": ("trainer/*", "pipeline/*", "embedded/world"),
    "lempo/search": (
        "pipeline/captions", "pipeline/faithfulness", "pipeline/llm", "pipeline/vision", "pipeline/graph",
        "pipeline/corpus", "trainer/retrieval", "trainer/tuning", "stages",
    ),
    "lempo": ("lempo/search", "stages", "trainer/*", "pipeline/*"),
    "speed": ("lempo/search", "stages", "trainer/*", "pipeline/*"),
}  # fmt: skip


def _modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@cache
def _imported(path: Path) -> frozenset[Path]:
    """Files of this project that `path` imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            file = ROOT / (name.replace(".", "/") + ".py")
            if name.split(".")[0] in PACKAGES and file.is_file():
                found.add(file)
    return frozenset(found)


def _closure(start: Path) -> set[str]:
    seen: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting.extend(_imported(path))
    return {path.relative_to(ROOT).as_posix() for path in seen}


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parent.as_posix()


def _lies_in(file: str, rooms: tuple[str, ...] | list[str]) -> bool:
    return any(file == room or file.startswith(f"{room}/") for room in rooms)


@pytest.mark.parametrize("path", _modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_run_downwards_only(path: Path) -> None:
    room = _room(path)
    for imported in _imported(path):
        other = _room(imported)
        allowed = {room, "pipeline/base", *ALLOWED[room]}
        assert other in allowed or f"{other.split('/')[0]}/*" in allowed, f"{room} may not import {other}"


def test_an_installation_holds_every_room_of_the_product() -> None:
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    rooms = {_room(path).replace("/", ".") for path in _modules()}
    assert set(packages) - {"lempo.project"} == rooms - {"speed"}


def test_there_is_no_circle_between_modules() -> None:
    for start in _modules():
        reached = set().union(*(_closure(path) for path in _imported(start)), set())
        assert start.relative_to(ROOT).as_posix() not in reached


def test_one_line_of_the_product_names_the_embedded_world() -> None:
    lines = [
        (path.relative_to(ROOT).as_posix(), line)
        for path in _modules()
        if not _lies_in(path.relative_to(ROOT).as_posix(), ["embedded"])
        for line in path.read_text().splitlines()
        if re.match(r"\s*(from|import) embedded", line)
    ]
    assert [file for file, _ in lines] == ["stages/sources.py"], lines


def _code(deps: list[str]) -> list[str]:
    return [dep for dep in deps if dep.split("/")[0] in PACKAGES]


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_what_a_stage_imports_lies_in_the_rooms_that_it_names(stage: str) -> None:
    needed, rooms = _closure(ROOT / f"stages/{stage}.py"), _code(STAGES[stage]["deps"])
    assert not [file for file in needed if not _lies_in(file, rooms)]
    assert not [room for room in rooms if not any(_lies_in(file, [room]) for file in needed)]


@pytest.mark.parametrize("stage", sorted(TRAININGS))
def test_what_a_training_imports_lies_in_the_rooms_that_it_names(stage: str) -> None:
    modules = re.findall(r"python -m (embedded[\w.]+)", str(TRAININGS[stage]["cmd"]))
    needed = set().union(*(_closure(ROOT / (module.replace(".", "/") + ".py")) for module in modules))
    rooms = _code(TRAININGS[stage]["deps"])
    # `pipeline/base` and the reader of tables say how files are written, not what is learnt
    assert not [file for file in needed if not _lies_in(file, [*rooms, "pipeline/base", "pipeline/corpus"])]
    assert not [room for room in rooms if not any(_lies_in(file, [room]) for file in needed)]


@pytest.mark.parametrize(
    ("rooms", "of"),
    [
        (tune.ROOMS, "stages/tune.py"),
        (store.JOB_ROOMS, "trainer/study/jobs.py"),
        ((*store.JOB_ROOMS, *store.DETAILS_ROOMS), "trainer/study/details.py"),
    ],
)
def test_what_names_a_result_holds_all_code_that_makes_it(rooms: tuple[str, ...], of: str) -> None:
    needed = _closure(ROOT / of)
    assert not [file for file in needed if not _lies_in(file, rooms)]
    assert not [room for room in rooms if not any(_lies_in(file, [room]) for file in needed)]


def test_a_change_of_any_file_of_a_room_gives_another_hash(tmp_path: Path) -> None:
    for name in ("a/one.py", "a/deep/two.py", "a/list.yaml", "b/three.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    seen = {code_hash("a", "b/three.py", root=tmp_path)}
    for name in ("a/one.py", "a/deep/two.py", "a/list.yaml", "b/three.py"):
        (tmp_path / name).write_text("x = 2\n")
        seen.add(code_hash("a", "b/three.py", root=tmp_path))
    assert len(seen) == 5
    (tmp_path / "a/__pycache__").mkdir()
    (tmp_path / "a/__pycache__/one.pyc").write_bytes(b"x")
    assert code_hash("a", "b/three.py", root=tmp_path) in seen
    with pytest.raises(ValueError, match="no room"):
        code_hash("c", root=tmp_path)


LEFTOVERS = (
    "one.py~", ".one.py.swp", ".one.py.un~", "#one.py#", ".#one.py", ".one.py.12.tmp", "._one.py", ".nfs01",
    ".DS_Store", "one.py.orig", "one.py.rej", "one.py.bak", "one.pyc", "__pycache__/one.cpython-311.pyc",
    ".ipynb_checkpoints/one-checkpoint.py", ".mypy_cache/one.json", ".pytest_cache/one", ".ruff_cache/one",
    ".idea/one.xml", ".vscode/one.json",
)  # fmt: skip


def test_what_editors_and_tools_leave_in_a_room_changes_neither_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    room = tmp_path / "room"
    room.mkdir()
    (room / "one.py").write_text("x = 1\n")
    with Repo.init(no_scm=True) as repo:
        repo.stage.add(name="stage", cmd="true", deps=["room"])
        repo.reproduce()
        before = code_hash("room", root=tmp_path)
        for name in LEFTOVERS:
            (room / name).parent.mkdir(exist_ok=True)
            (room / name).write_text("x = 2\n")
        assert repo.status() == {}
        assert code_hash("room", root=tmp_path) == before
        (room / "two.py").write_text("x = 3\n")
        assert list(repo.status()) == ["stage"]
        assert code_hash("room", root=tmp_path) != before


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_params_are_leaves_that_exist(stage: str) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name in STAGES[stage]["params"]:
        value = values
        for key in name.split("."):
            assert key in value, f"{name} is not in params.yaml"
            value = value[key]
        free_form = name in (
            "datasets", "llm.engine_args", "llm.sampling", "llm.chat_template_kwargs", "method.weights",
            "method.mixture", "corpus.stretch", "corpus.split_shares",
        )  # fmt: skip
        assert free_form or not isinstance(value, dict | list), f"{name} is a section, not a leaf"
        assert not name.startswith("speed")


def test_every_tracked_kind_of_parameter_reaches_a_stage() -> None:
    tracked = {name.split(".")[0] for stage in STAGES.values() for name in stage["params"]}
    assert tracked == set(Params.model_fields) - {"speed", "study"}  # the study is no stage


def test_every_parameter_reaches_a_stage() -> None:
    tracked = {name for stage in STAGES.values() for name in stage["params"]}
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    leaves = _leaves({name: of for name, of in values.items() if name not in ("speed", "study")})
    assert not [leaf for leaf in leaves if not any(f"{leaf}.".startswith(f"{name}.") for name in tracked)]


def _leaves(values: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name, value in values.items():
        below = _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else []
        found += below or [f"{prefix}{name}"]
    return found
