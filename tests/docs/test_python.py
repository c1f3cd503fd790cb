"""Every piece of Python of the pages runs in a finished project, those of a page one after the other."""

import importlib
from typing import Any

import pytest

from tests.docs.pages import pages, python
from tests.project import Project

# Python that a test cannot run: page, what is in it, and why. It is compiled all the same.
NOT_RUN = [
    ("docs/real-llm.md", "GgufConfig", "a model of others"),
]  # fmt: skip
# What a page tells a person to do before.
BEFORE = {
    "docs/python.md": "lempo index airplane",
    "docs/search.md": "lempo index photographs --vlm local-dir:models/vlm --out photographs/.lempo-index",
}
NAMES = {"models/vlm/README.md": ("open_clip",)}  # what a page takes for imported


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in pages() if python(page)])
def test_the_python_of_a_page_runs(page: str, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    if page in BEFORE:
        project.run(*BEFORE[page].split())
    monkeypatch.chdir(project.folder)
    names: dict[str, Any] = {name: importlib.import_module(name) for name in NAMES.get(page, ())}
    for block in python(page):
        code = compile("\n" * (block.line - 1) + block.text, page, "exec")
        if not any(page == where and what in block.text for where, what, _ in NOT_RUN):
            exec(code, names)


def test_the_tables_hold_no_more_than_they_must() -> None:
    for page, what, _ in NOT_RUN:
        assert any(what in block.text for block in python(page)), f"{page} has no {what!r} any more"
    assert all(python(page) for page in (*BEFORE, *NAMES))
