"""The configurations of .vscode start programs that are there, with options that these know."""

import itertools
import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT
from tests.docs.parsing import parse

FOLDER = ROOT / ".vscode"
LAUNCH = json.loads((FOLDER / "launch.json").read_text())
STARTED = [one for one in LAUNCH["configurations"] if "module" in one]
VALUES = {"file": ["tests/test_rooms.py"], "workspaceFolder": [str(ROOT)]}
for asked in LAUNCH["inputs"]:
    VALUES[f"input:{asked['id']}"] = asked.get("options") or [asked["default"]]


def filled(texts: list[str]) -> list[list[str]]:
    """The texts with every choice for what VS Code asks or knows."""
    names = sorted(set(re.findall(r"\$\{([^}]+)\}", " ".join(texts))))
    found = []
    for values in itertools.product(*(VALUES[name] for name in names)):
        put = dict(zip(names, values, strict=True))
        found.append([re.sub(r"\$\{([^}]+)\}", lambda name: put[name[1]], text) for text in texts])  # noqa: B023
    return found


@pytest.mark.parametrize("configuration", STARTED, ids=lambda one: one["name"])
def test_what_a_configuration_starts_is_there(configuration: dict[str, Any]) -> None:
    assert find_spec(configuration["module"])
    program = {"lempo.cli": "lempo", "pytest": "pytest"}[configuration["module"]]
    for words in filled(configuration["args"]):
        parse(shlex.join([program, *words]))
    for (place,) in filled([configuration["cwd"]]):
        assert Path(place.replace("${workspaceFolder}", str(ROOT))).is_dir()


def test_every_stage_can_be_debugged() -> None:
    stages = set(VALUES["input:stage"]) | set(VALUES["input:stageOfDataset"])
    assert stages == set(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])
    assert set(VALUES["input:dataset"]) <= set(yaml.safe_load((ROOT / "params.yaml").read_text())["datasets"])


def test_the_editor_uses_the_environment_and_the_formatter_of_make() -> None:
    settings = json.loads((FOLDER / "settings.json").read_text())
    assert settings["python.defaultInterpreterPath"] == "${workspaceFolder}/.venv/bin/python"
    assert settings["python.testing.pytestEnabled"] is True
    parse(shlex.join(["pytest", *settings["python.testing.pytestArgs"]]))
    recommended = json.loads((FOLDER / "extensions.json").read_text())["recommendations"]
    assert settings["[python]"]["editor.defaultFormatter"] in recommended
    assert settings["editor.rulers"] == [110] and "line-length = 110" in (ROOT / "pyproject.toml").read_text()
