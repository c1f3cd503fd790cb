"""Fixtures that are shared by the tests of the command and its tools."""

from pathlib import Path

import pytest
import yaml

from tests.pipeline.corpus.source import Source
from tests.stages.conftest import toy, word_tokenizer

__all__ = ["toy", "word_tokenizer"]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with one dataset of a few images, `parks`."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["corpus"]["root"] = "in"
    values["datasets"] = ["parks"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    Source(tmp_path / "in/parks")
    return tmp_path
