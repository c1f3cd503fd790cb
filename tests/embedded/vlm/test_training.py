"""A training gives the same weights whether or not it is killed on the way; half a set cannot be read."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from embedded.vlm import data, train
from embedded.vlm.batches import PairBatches
from embedded.vlm.encoder import encode_halves, encode_text, tokenise, tokenise_halves, train_tokenizer
from embedded.world.model import POSITION_NAMES as CELLS

WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    data.write((s for n in range(40) for s in data.make_scene((1, n))), 40, folder, kinds=False)
    return folder


def run(module: Any, monkeypatch: pytest.MonkeyPatch, scenes: Path, out: Path, *more: str) -> bytes:
    common = (
        f"--data {scenes} --validation {scenes} --out {out} --batch 8 --save-every 4 --threads 1 --device cpu"
    )
    monkeypatch.setattr(sys, "argv", [module.__name__, *common.split(), *more])
    module.main()
    return (out / WEIGHTS).read_bytes()


def killed_at(step: int, wrapped: Callable) -> Callable:
    """`wrapped`, with a fault instead of call number `step`."""
    calls = 0

    def wrapper(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == step:
            raise RuntimeError("killed")
        return wrapped(*args)

    return wrapper


@pytest.mark.slow
def test_training_goes_on_after_a_kill_to_the_same_weights(
    monkeypatch: pytest.MonkeyPatch, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    steps = ("--steps", "14")
    whole = run(train, monkeypatch, scenes, tmp_path / "whole", *steps)
    assert "step 14/14" in capsys.readouterr().out
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(train.Trainer, "step", killed_at(11, train.Trainer.step))
        run(train, patch, scenes, tmp_path / "killed", *steps)
    state = tmp_path / "killed.state"
    assert state.exists()
    with pytest.raises(SystemExit, match=r"of another run \(rate was 0.0012, is 0.002\)"):
        run(train, monkeypatch, scenes, tmp_path / "killed", *steps, "--rate", "2e-3")
    capsys.readouterr()
    assert run(train, monkeypatch, scenes, tmp_path / "killed", *steps) == whole
    assert "going on from step 8" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "killed")
    assert run(train, monkeypatch, scenes, tmp_path / "killed", *steps) == whole  # from the state alone
    assert "going on from step 14" in capsys.readouterr().out
    assert run(train, monkeypatch, scenes, tmp_path / "other", *steps, "--seed", "1") != whole


def test_half_a_set_cannot_be_read(tmp_path: Path) -> None:
    def samples() -> Iterator[data.Sample]:
        yield from data.make_scene((1, 0))
        raise RuntimeError("killed")

    data.write(data.make_scene((1, 0)), 1, tmp_path, kinds=False)
    first = (tmp_path / "images.npy").read_bytes()
    with pytest.raises(RuntimeError, match="killed"):
        data.write(samples(), 2, tmp_path, kinds=False)
    with pytest.raises(FileNotFoundError):
        data.read(tmp_path)
    data.write(data.make_scene((1, 0)), 1, tmp_path, kinds=False)
    assert (tmp_path / "images.npy").read_bytes() == first
    assert {file.name for file in tmp_path.iterdir()} == {"images.npy", "graphs.jsonl"}


@pytest.fixture(scope="module")
def pairs(scenes: Path) -> PairBatches:
    images, graphs = data.read(scenes)
    tokenizer = train_tokenizer(["a car above a hangar"])
    return PairBatches(images, graphs, tokenizer, batch=8, seed=3)


def test_an_epoch_has_every_image_once(pairs: PairBatches) -> None:
    seen = np.concatenate([pairs[step].pixels.numpy() for step in range(5)])
    assert len({image.tobytes() for image in seen}) == len(pairs.graphs) == 40
    torch.testing.assert_close(pairs[7], pairs[7])
    assert not torch.equal(pairs[0].pixels, pairs[5].pixels)


def test_a_caption_states_what_its_image_shows(pairs: PairBatches) -> None:
    batch = pairs[2]
    assert batch.stated.any(dim=1).all()
    assert not (batch.stated & ~batch.shown).any()


def test_input_is_the_shifted_image(pairs: PairBatches) -> None:
    batch = pairs[0]
    top, left = batch.corner.tolist()
    x = train.to_input(batch)
    framed = np.pad(batch.pixels.numpy()[1], ((2, 2), (2, 2), (0, 0)), mode="edge")
    plain = (framed[top : top + 96, left : left + 96] / 255 - 0.5) / 0.5
    expected = plain * batch.gain[1].item() + batch.offset[1].item()
    np.testing.assert_allclose(x[1].permute(1, 2, 0).numpy(), expected, atol=1e-5)


def test_halves_are_put_back_in_order() -> None:
    from embedded.vlm.encoder import build_model

    model = build_model(0).eval()
    texts = ["a car above a hangar, and two red cars", "a car", "two hangars and a car", "hangar"]
    tokenizer = train_tokenizer(texts)
    with torch.inference_mode():
        halves = encode_halves(model, tokenise_halves(tokenizer, texts))
        torch.testing.assert_close(
            halves, encode_text(model, tokenise(tokenizer, texts)), atol=1e-4, rtol=1e-4
        )


def test_cells_hold_the_words_that_stand_with_them(pairs: PairBatches) -> None:
    rows = np.arange(len(pairs.graphs))
    cells = pairs.cells(rows)
    assert cells.shape == (len(rows), 9, len(pairs.words))
    for row, graph in enumerate(pairs.graphs):
        for group in graph.groups:
            if (group.name, f"@{group.position}") in pairs.index and group.position is not None:
                assert cells[row, CELLS.index(group.position), pairs.words.index(group.name)]
        empty = set(CELLS) - {group.position for group in graph.groups}
        assert not cells[row, [CELLS.index(cell) for cell in empty]].any()
