from pathlib import Path

from pipeline.report.ran import first_paragraph


def test_a_card_is_shown_as_plain_text(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text(
        "---\nlicense: mit\n---\n# A `model`\n\nIt **writes** `text`,\n"
        "and [searches](../search.md#how) too.\n\nMore"
    )
    assert first_paragraph(card) == "It writes text, and searches too."


def test_a_model_without_a_card_has_none(tmp_path: Path) -> None:
    assert first_paragraph(tmp_path / "README.md") is None
    assert first_paragraph(tmp_path / ("n" * 300) / "README.md") is None  # a hub name is no path
    (tmp_path / "README.md").write_text("# A title alone\n")
    assert first_paragraph(tmp_path / "README.md") is None
