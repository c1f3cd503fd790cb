"""The drawings in the docs are those that the rules give now."""

from pathlib import Path

import pytest

from pipeline.boxes.pictures import EXAMPLES, Example, main

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_the_docs_show_the_drawing_and_its_sentence(example: Example) -> None:
    page = " ".join((DOCS / "boxes-to-graphs.md").read_text().replace("\n> ", " ").split())
    assert f"boxes-to-graphs/{example.name}.svg" in page
    assert example.sentence() in page


def test_the_drawings_are_written_again_byte_for_byte(tmp_path: Path) -> None:
    main(tmp_path)
    kept = DOCS / "boxes-to-graphs"
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {
        p.name: p.read_bytes() for p in kept.iterdir()
    }
