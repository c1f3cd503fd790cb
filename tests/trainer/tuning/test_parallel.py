# ruff: noqa: F401, F811 - fixtures are imported by their names
"""`torchrun` on two processes makes the run that one process makes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.base.params import Params
from pipeline.base.paths import Paths
from tests.trainer.tiny import make_params, project, vlm_folder
from trainer.tuning.parallel import Workers

REPOSITORY = Path(__file__).parents[3]
RUN = """
import os, sys
from pathlib import Path
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from stages import tune
from trainer.tuning.loop import Tuning
if os.environ.get("RANK") == "1":
    Tuning._validate = None  # the first process validates for both
root = Path(sys.argv[1])
tune.run(Params.model_validate_json((root / "params.json").read_text()), Paths(root), "tiny")
"""


def test_shares_of_a_batch_are_the_batch() -> None:
    rows = torch.arange(7)
    shares = [Workers(rank, 3).share(rows) for rank in range(3)]
    assert sorted(torch.cat(shares).tolist()) == rows.tolist()
    assert Workers().share(rows).equal(rows) and Workers().first and not Workers(1, 2).first


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"negatives": "gallery"},
        {"negatives": "batch"},
        {"hard_negatives": 4, "distill": 0.5, "trainable": "lora:2"},
    ],
    ids=lambda options: next(iter(options.values())),
)
def test_two_processes_make_the_run_of_one(
    project: Paths, make_params: Callable[..., Params], options: dict[str, object]
) -> None:
    settings = {**options, "batch_size": 5, "epochs": 3, "patience": 3}
    soft = {"temperature": 0.03, "learn_temperature": True}  # a sharp loss makes more of float rounding
    params = make_params(tune={**settings, **soft})
    (project.root / "params.json").write_text(params.model_dump_json())
    (project.root / "run.py").write_text(RUN)
    arguments = [str(project.root / "run.py"), str(project.root)]
    made = []
    for launcher in ([], ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]):
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, *launcher, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        lines = project.plots("tune", "tiny").read_text().splitlines()
        column = lines[0].split(",").index("train_loss")
        losses = [float(line.split(",")[column]) for line in lines[2:]]
        weights = load_file(project.tuned("tiny") / "open_clip_model.safetensors")
        made.append((losses, weights, json.loads(project.metrics("tune", "tiny").read_text())))
    (one, alone, metrics), (two, together, same) = made
    assert len(one) == 3 and two == pytest.approx(one, abs=2e-5)
    chosen = ("weights", "mixture", "untuned", "training", "best_epoch", "epochs")
    assert {name: same[name] for name in chosen} == {name: metrics[name] for name in chosen}
    assert max((alone[name].float() - together[name].float()).abs().max() for name in alone) < 1e-3
