"""Fixtures of the language stages' tests."""

from pathlib import Path

import pytest

from tests.language_toy import Toy, WordTokenizer


@pytest.fixture
def word_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.vision.vlm.load_tokenizer", lambda *_: WordTokenizer())


@pytest.fixture
def toy(tmp_path: Path, word_tokenizer: None) -> Toy:
    return Toy(tmp_path)
