from pathlib import Path

import torch

from trainer.tuning.checkpoint import (
    FILE_NAME,
    load_checkpoint,
    load_optimizer_tensors,
    optimizer_tensors,
    save_checkpoint,
)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 2), "b": torch.tensor(1.5)}
    save_checkpoint(tmp_path, tensors, {"epoch": 2, "history": [{"loss": 0.1}]})
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found[1] == {"epoch": 2, "history": [{"loss": 0.1}]}
    assert all(torch.equal(found[0][name], tensors[name]) for name in tensors)


def test_no_checkpoint_and_a_torn_one_are_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path) is None
    save_checkpoint(tmp_path, {"a": torch.zeros(100)}, {})
    whole = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(whole[:-7])
    assert load_checkpoint(tmp_path) is None
    assert not (tmp_path / FILE_NAME).exists() and list(tmp_path.glob("*.damaged"))


def test_any_flipped_bit_of_a_checkpoint_is_noticed(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6, dtype=torch.float32).reshape(2, 3)}
    save_checkpoint(tmp_path, tensors, {"epoch": 2})
    whole = (tmp_path / FILE_NAME).read_bytes()
    for place in range(len(whole)):
        (tmp_path / FILE_NAME).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = load_checkpoint(tmp_path)
        if found is not None:  # a blank of the header
            assert torch.equal(found[0]["a"], tensors["a"]) and found[1] == {"epoch": 2}


def test_an_optimizer_goes_on_as_if_it_had_never_stopped() -> None:
    def build() -> tuple[torch.nn.Linear, torch.optim.AdamW]:
        torch.manual_seed(0)
        layer = torch.nn.Linear(4, 3)
        return layer, torch.optim.AdamW(layer.parameters(), lr=0.1)

    def step(layer: torch.nn.Linear, optimizer: torch.optim.AdamW, seed: int) -> None:
        optimizer.zero_grad()
        layer(torch.randn(5, 4, generator=torch.Generator().manual_seed(seed))).square().sum().backward()
        optimizer.step()

    layer, optimizer = build()
    for seed in range(4):
        step(layer, optimizer, seed)
    resumed, fresh = build()
    step(resumed, fresh, 0)
    step(resumed, fresh, 1)
    state, tensors = resumed.state_dict(), {k: v.clone() for k, v in optimizer_tensors(fresh).items()}
    other, second = build()
    other.load_state_dict(state)
    load_optimizer_tensors(second, tensors)
    for seed in (2, 3):
        step(other, second, seed)
    assert all(torch.equal(a, b) for a, b in zip(layer.parameters(), other.parameters(), strict=True))
