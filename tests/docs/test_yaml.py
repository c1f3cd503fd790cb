"""Every piece of params.yaml on the pages is one that the project takes."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.base.params import load_params
from tests.docs.pages import ROOT, Block, blocks, pages

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
PIECES = [
    block
    for page in pages()
    for block in blocks(page)
    if block.language == "yaml" and PARAMS.keys() >= yaml.safe_load(block.text).keys()
]


def _changed(values: dict[str, Any], by: dict[str, Any]) -> dict[str, Any]:
    deep = {
        name: _changed(values[name], value) if isinstance(value, dict) and values.get(name) else value
        for name, value in by.items()
    }
    return {**values, **deep}


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: f"{piece.page}:{piece.line}")
def test_the_parameters_of_a_page_are_taken(piece: Block, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(_changed(PARAMS, yaml.safe_load(piece.text))))
    load_params(file)


def test_the_pages_hold_parameters() -> None:
    assert len(PIECES) > 5
