"""One finished project for all pages; each page works in a copy of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.example import make_example
from tests.project import Project
from tests.soak._pipeline import writer


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, programs: Path) -> Iterator[Project]:
    with writer() as url:
        yield make_example(tmp_path_factory.mktemp("docs") / "project", programs, url)


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    return Project(tmp_path / "project", finished.folder, finished.programs)
