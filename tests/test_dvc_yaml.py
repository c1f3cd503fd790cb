"""dvc.yaml names every module that a stage imports, and no parameter that changes only speed."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.params import Params

ROOT = Path(__file__).parents[1]
PACKAGES = ("models", "pipeline", "stages", "trainer")
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
TRAININGS = yaml.safe_load((ROOT / "models/dvc.yaml").read_text())["stages"]


def _imported(path: Path) -> set[Path]:
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
    return found


def _closure(start: Path) -> set[str]:
    seen: set[Path] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting.extend(_imported(path))
    return {path.relative_to(ROOT).as_posix() for path in seen}


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_stage_depends_on_exactly_the_code_it_imports(stage: str) -> None:
    needed = _closure(ROOT / f"stages/{stage}.py")
    declared = {dep for dep in STAGES[stage]["deps"] if dep.split("/")[0] in PACKAGES and dep.endswith(".py")}
    assert declared == needed


@pytest.mark.parametrize("stage", sorted(TRAININGS))
def test_a_training_depends_on_exactly_the_code_of_models_that_it_imports(stage: str) -> None:
    modules = re.findall(r"python -m (models[\w.]+)", str(TRAININGS[stage]["cmd"]))
    needed = set().union(*(_closure(ROOT / (module.replace(".", "/") + ".py")) for module in modules))
    declared = {dep for dep in TRAININGS[stage]["deps"] if dep.endswith(".py")}
    assert {dep for dep in declared if dep.startswith("models/")} == {
        file for file in needed if file.startswith("models/")
    }
    assert declared <= needed


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_params_are_leaves_that_exist(stage: str) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name in STAGES[stage]["params"]:
        value = values
        for key in name.split("."):
            assert key in value, f"{name} is not in params.yaml"
            value = value[key]
        free_form = name in ("datasets", "llm.engine_args", "method.weights", "method.mixture")
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
