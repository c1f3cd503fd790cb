"""One finished project for all pages; each page works in a copy of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.example import Example, make_example
from tests.soak._pipeline import writer
from tests.warm import warm


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    folder = tmp_path_factory.mktemp("docs")
    with writer() as url, warm(folder / "programs") as programs:
        yield make_example(folder / "project", programs, url)


@pytest.fixture
def project(finished: Example, tmp_path: Path) -> Example:
    return finished.copied(tmp_path / "project")
