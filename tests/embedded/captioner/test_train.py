"""The captioner's training: its schedule, its pools, and runs that are killed."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from embedded import state
from embedded.captioner.pools import Background, Maker, Recipe
from embedded.captioner.train import MOST_GROUPS, Curriculum, make_tokenizer, phase_at, rate_at, recipe_at

ROOT = Path(__file__).parents[3]
RECIPE = Recipe(seed=1, number=4, groups=5, world=0.5, edited=0.8, heavy=4.0, tokens=1024)
TINY = (
    "--steps 200 --tokens 512 --width 32 --layers 1 --hidden 32 --tokenizer-examples 50 --threads 1 "
    "--state-every 1 --device cpu"
)


def test_phases_follow_the_progress_of_the_run() -> None:
    early, late = recipe_at(0.3, 9, 0, 0, 4096), recipe_at(0.35, 12, 1, 0, 4096)
    assert (early.world, early.edited, early.heavy) == (0.4, 0.6, 1.0)
    assert (late.world, late.edited, late.heavy) == (0.5, 0.9, 4.0)
    assert phase_at(1.0).least_groups == MOST_GROUPS


def test_the_rate_warms_up_stays_and_falls() -> None:
    rates = [rate_at(step, 1000) for step in range(1000)]
    assert rates[0] == 0.01 and rates[99:600] == [1.0] * 501
    assert rates[600:] == sorted(rates[600:], reverse=True) and rates[-1] == pytest.approx(0.02, abs=0.003)


def test_graphs_grow_when_they_are_learnt_or_late() -> None:
    learnt, late = Curriculum(), Curriculum(groups=2)
    for _ in range(25):
        learnt.record(1, 0.1)
        learnt.record(7, 9.0)  # of another size: no reason for anything
        late.record(2, 9.0)
    assert learnt.grow(0.0) == 2 and learnt.grow(0.0) == 2
    assert late.grow(0.01) == 2
    assert Curriculum(groups=2, recent=[9.0] * 25).grow(0.1) == 3
    assert Curriculum(groups=2).grow(0.35) == MOST_GROUPS


def test_a_pool_is_a_function_of_its_recipe() -> None:
    tokenizer = make_tokenizer(0, 50)
    pool = Maker(tokenizer).make(RECIPE)
    with Background(tokenizer) as background:
        elsewhere = background.make(RECIPE).result()
    assert len(pool) == len(elsewhere) > 5
    assert all(
        (one == two).all()
        for batch, twin in zip(pool, elsewhere, strict=True)
        for one, two in zip(batch, twin, strict=True)
    )


def test_a_state_of_other_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.state"
    assert state.load(path, {"steps": 5}) is None
    state.save(path, {"steps": 5, "seed": 0}, {"step": 3, "model": {"w": torch.ones(2)}})
    assert [file.name for file in tmp_path.iterdir()] == ["run.state"]
    loaded = state.load(path, {"steps": 5, "seed": 0})
    assert loaded is not None and loaded["step"] == 3
    with pytest.raises(SystemExit, match=r"another run \(steps was 5, is 6\): delete it"):
        state.load(path, {"steps": 6, "seed": 0})
    state.save(path, {"steps": 5, "seed": 0}, {"step": 5})
    assert state.load(path, {"steps": 5, "seed": 0}) == {"settings": {"steps": 5, "seed": 0}, "step": 5}
    assert state.load(path, {"steps": 6, "seed": 0}) is None  # it ended: nothing is lost by starting anew


def _start(out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "embedded.captioner.train", "--out", str(out), *TINY.split()]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert _start(whole).wait(300) == 0

    run, kept = _start(killed), tmp_path / "killed.state"
    deadline = time.monotonic() + 300
    while not kept.exists() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL and not (killed / "model.safetensors").exists()

    said, _ = _start(killed).communicate(timeout=300)
    assert "goes on from step " in said and "step 150/200 loss" in said
    for name in ("model.safetensors", "tokenizer.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    weights = (whole / "model.safetensors").read_bytes()
    (whole / "model.safetensors").unlink()
    said, _ = _start(whole).communicate(timeout=300)
    assert "goes on from step 200" in said and "loss" not in said
    assert (whole / "model.safetensors").read_bytes() == weights
