"""What docs/troubleshooting.md quotes stands in the code: of this project, or of DVC."""

import ast
import re
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests.docs.pages import ROOT

PAGE = ROOT / "docs/troubleshooting.md"
PACKAGES = ("embedded", "lempo", "pipeline", "stages", "trainer")
OF_DVC = "DVC"
OF_TORCH = ("operator torchvision::nms does not exist",)  # a test below provokes it
_ANY = "\0"


def messages() -> list[tuple[str, str]]:
    """Section and message of every row."""
    found, section = [], ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("| `"):
            cell = line.split(" | ")[0]
            found += [
                (section, message) for message in re.findall(r"`([^`]+)`", cell) if message != "dvc status"
            ]
    return found


@cache
def _said(of_dvc: bool) -> str:
    """All texts in the code, one a line; a null byte stands for what is put into a text."""
    if of_dvc:
        spec = find_spec("dvc")
        assert spec is not None and spec.submodule_search_locations
        files = list(Path(spec.submodule_search_locations[0]).rglob("*.py"))
    else:
        listed = subprocess.run(
            ["git", "ls-files", *(f"{package}/*.py" for package in PACKAGES)],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        files = [ROOT / name for name in listed.stdout.splitlines()]
    texts = [] if of_dvc else (ROOT / "Makefile").read_text().splitlines()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (str(p.value) if isinstance(p, ast.Constant) else _ANY for p in node.values)
                texts.append(" ".join("".join(parts).split()))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(" ".join(node.value.split()))
    return "\n".join(texts)


@pytest.mark.parametrize(("section", "message"), messages())
def test_the_code_says_it(section: str, message: str) -> None:
    if message in OF_TORCH:
        return
    fixed = [re.escape(part.strip()) for part in message.split("...") if part.strip()]
    assert max(map(len, fixed)) > 8, f"too little of {message!r} is fixed to be found"
    assert re.search(".*".join(fixed), _said(section == OF_DVC)), (
        f"no code says {message!r} any more: correct docs/troubleshooting.md"
    )


def test_the_page_has_the_errors_that_people_meet() -> None:
    assert len(messages()) == len(set(messages())) > 40


def test_torch_says_so_where_torchvision_is_of_another_build() -> None:
    (message,) = OF_TORCH
    operator = message.split()[1]
    with pytest.raises(RuntimeError, match=message.replace(operator, "nothing::nms")):
        torch.library.register_fake("nothing::nms", lambda: None)
