"""The fixture of the readers' tests."""

from pathlib import Path

import pytest

from tests.pipeline.corpus.source import Source


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "parks")
