from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.base.params import VlmParams
from pipeline.captions.clip_tokens import ClipTokens
from tests.language_toy import NO_TENSORS, WordTokenizer

PARAMS = VlmParams(model="local-dir:vlm", pretrained=None, precision="fp32")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "vlm"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text('{"model_cfg": {}}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "open_clip_model.safetensors").write_bytes(NO_TENSORS)
    return tmp_path


def _load(*_: object) -> WordTokenizer:
    return WordTokenizer()


def _refuse(*_: object) -> WordTokenizer:
    raise AssertionError("the tokenizer is loaded again")


def _tokens(root: Path) -> ClipTokens:
    return ClipTokens(PARAMS, root / "cache", root)


def test_known_texts_are_counted_without_the_tokenizer(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.vision.vlm.load_tokenizer", _load)
    assert _tokens(root).count(["a b c", "a", "a b c"]) == [5, 3, 5]
    monkeypatch.setattr("pipeline.vision.vlm.load_tokenizer", _refuse)
    again = _tokens(root)
    assert again.count(["a", "a b c"]) == [3, 5] and again.context_length == 20
    with pytest.raises(AssertionError, match="loaded again"):
        again.count(["new"])


def test_another_tokenizer_counts_anew_but_other_weights_do_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.vision.vlm.load_tokenizer", _load)
    _tokens(root).count(["a"])
    monkeypatch.setattr("pipeline.vision.vlm.load_tokenizer", _refuse)
    (root / "vlm/open_clip_model.safetensors").write_bytes(NO_TENSORS + b" ")
    assert _tokens(root).count(["a"]) == [3]
    (root / "vlm/tokenizer.json").write_text('{"changed": 1}')
    with pytest.raises(AssertionError, match="loaded again"):
        _tokens(root).count(["a"])


def test_a_missing_vlm_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such model folder"):
        _tokens(tmp_path)


def test_damaged_counts_are_counted_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.vision.vlm.load_tokenizer", _load)
    _tokens(root).count(["a b c"])
    (file,) = (root / "cache/clip_tokens").glob("*.parquet")
    whole = file.read_bytes()
    for place in range(0, len(whole), 31):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert _tokens(root).count(["a b c"]) == [5] and _tokens(root).context_length == 20
    file.unlink()
    file.mkdir()
    assert _tokens(root).count(["a b c"]) == [5] and file.is_file()
