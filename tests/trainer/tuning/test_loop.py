import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.progress import Progress
from pipeline.vision.features import read_features
from pipeline.vision.texts import Texts
from pipeline.vision.vlm import load_vlm
from tests.trainer.tiny import REPOSITORY
from trainer.retrieval.similarity import TEXT_INPUTS, QueryFeatures
from trainer.retrieval.splits import load_splits
from trainer.retrieval.weights import Choice
from trainer.tuning.heads import HybridHead
from trainer.tuning.loop import Tuning
from trainer.tuning.losses import gallery_loss
from trainer.tuning.result import TuneResult

MakeParams = Callable[..., Params]


def run(paths: Paths, params: Params, **options: Any) -> tuple[TuneResult, dict[str, torch.Tensor]]:
    """Tune the tiny model; the result and the model's state."""
    vlm = load_vlm(params.vlm, "cpu")
    splits = load_splits(
        Expected(params, paths), "tiny", read_features(paths.features("tiny")), ("train", "val"), True
    )
    texts = Texts.of(vlm, [text for split in splits.values() for text in split.all_texts()])
    on_epoch = options.pop("on_epoch", None)
    options = {"seed": params.seed, **options}
    head = options.pop("head", None) or HybridHead(params.method)
    tuning = Tuning(vlm.model, splits["train"], splits["val"], texts, head, params.tune, **options)
    result = tuning.run(on_epoch)
    return result, {name: value.clone() for name, value in vlm.model.state_dict().items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("negatives", ["gallery", "batch"])
def test_tuning_learns_what_the_texts_mean(project: Paths, make_params: MakeParams, negatives: str) -> None:
    params = make_params(tune={"negatives": negatives, "epochs": 12, "patience": 12})
    result, _ = run(project, params)
    losses = [row["train_loss"] for row in result.history[1:]]
    assert losses[-1] < 0.5 * losses[0]
    assert result.metrics["mean_recall"] > result.untuned_metrics["mean_recall"] + 10
    assert result.history[result.best_epoch]["val_mean_recall"] == result.metrics["mean_recall"]


def test_progress_moves_within_an_epoch_and_says_how_far_it_is(
    project: Paths, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[Any] = []

    class _Bar(Progress):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            self.moves, self.said = list[float](), list[str]()
            bars.append(self)

        def update(self, n: float | None = 1) -> Any:
            self.moves.append(n or 0)
            return super().update(n)

        def say(self, text: str) -> None:
            self.said.append(text)

    monkeypatch.setattr("trainer.tuning.loop.Progress", _Bar)
    params = make_params(tune={"epochs": 2, "patience": 2, "batch_size": 4})
    run(project, params)
    (bar,) = bars
    assert bar.unit == "example" and sum(bar.moves) == bar.total
    assert max(bar.moves) == 4 and len(bar.moves) > 2 * 2
    assert bar.said[0].startswith("epoch 1 of 2, loss ") and bar.said[-1].startswith("epoch 2 of 2, loss ")


def test_vision_does_not_change_by_a_bit_and_text_does(project: Paths, make_params: MakeParams) -> None:
    params = make_params()
    before = load_vlm(params.vlm, "cpu").model.state_dict()
    _, after = run(project, params)
    vision = {name for name in before if name.startswith("visual.") or name.startswith("logit")}
    assert all(torch.equal(before[name], after[name]) for name in vision)
    assert all(
        not torch.equal(before[name], after[name])
        for name in before
        if "resblocks" in name and name not in vision
    )


def test_the_image_encoder_never_runs(
    project: Paths, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    import open_clip

    def never(*_: Any) -> None:
        raise AssertionError("the image encoder ran")

    monkeypatch.setattr(open_clip.transformer.VisionTransformer, "forward", never)
    run(project, make_params(tune={"epochs": 1}))


def test_the_same_seed_gives_the_same_result(project: Paths, make_params: MakeParams) -> None:
    params = make_params()
    first, state = run(project, params)
    torch.manual_seed(1234)
    again, state_again = run(project, params)
    other, _ = run(project, params, seed=params.seed + 1)
    assert first.history == again.history
    assert same(state, state_again)
    assert first.history[1]["train_loss"] != other.history[1]["train_loss"]


def test_a_step_is_that_of_the_naive_gradient(project: Paths, make_params: MakeParams) -> None:
    """One batch of all queries, every text encoded for itself at full length: the same loss."""
    params = make_params(tune={"epochs": 1, "batch_size": 16})
    result, _ = run(project, params)
    vlm = load_vlm(params.vlm, "cpu")
    split = load_splits(
        Expected(params, project), "tiny", read_features(project.features("tiny")), ("train",), True
    )["train"]
    encoded = (vlm.model.encode_text(vlm.tokenize(split.texts[part]), normalize=True) for part in TEXT_INPUTS)
    features = QueryFeatures(split.image, *encoded)
    choice = Choice.of(result.training)
    query = choice.queries(features)
    loss = gallery_loss(query, split.gallery, split.answers, params.tune.temperature)
    assert result.history[1]["train_loss"] == pytest.approx(loss.item(), rel=1e-4)


def test_products_of_bfloat16_change_the_last_digits_alone(project: Paths, make_params: MakeParams) -> None:
    results = {
        precision: run(project, make_params(tune={"epochs": 2, "precision": precision}))
        for precision in ("auto", "fp32", "amp_bf16")
    }
    (auto, auto_state), (plain, plain_state), (mixed, mixed_state) = results.values()
    assert auto.history == plain.history and same(auto_state, plain_state)
    assert not same(mixed_state, plain_state)
    assert {tensor.dtype for tensor in mixed_state.values() if tensor.is_floating_point()} == {torch.float32}
    losses = [[row["train_loss"] for row in result.history[1:]] for result in (mixed, plain)]
    # a step of the toy changes much
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], rel=0.2)


def test_no_epoch_leaves_the_model_as_it_was(project: Paths, make_params: MakeParams) -> None:
    params = make_params(tune={"epochs": 0})
    result, state = run(project, params)
    assert result.best_epoch == 0
    assert result.metrics == result.untuned_metrics
    assert same(load_vlm(params.vlm, "cpu").model.state_dict(), state)


def test_tuning_that_harms_is_undone(project: Paths, make_params: MakeParams) -> None:
    params = make_params(tune={"learning_rate": 0.5, "epochs": 5, "patience": 2})
    result, state = run(project, params)
    assert result.metrics["mean_recall"] >= result.untuned_metrics["mean_recall"]
    if result.best_epoch == 0:
        assert same(load_vlm(params.vlm, "cpu").model.state_dict(), state)
    assert result.history[-1]["epoch"] <= result.best_epoch + 2  # patience


def test_divergence_is_one_line(project: Paths, make_params: MakeParams) -> None:
    with pytest.raises(UserError, match=r"tune\.learning_rate.*diverged.*1e\+30.*Lower it"):
        run(project, make_params(tune={"learning_rate": 1e30}))


def test_fixed_weights_and_a_fixed_temperature_stay(project: Paths, make_params: MakeParams) -> None:
    weights = {"triplet": 0.2, "language": 0.2, "pseudo_caption": 0.6}
    params = make_params(
        method={"choose": "fixed", "weights": weights}, tune={"learn_temperature": False, "temperature": 0.1}
    )
    result, _ = run(project, params)
    assert result.chosen == result.untuned == result.training
    assert Choice.of(result.chosen).weights == (0.2, 0.2, 0.6)
    assert result.temperature == pytest.approx(0.1)


def test_every_term_is_trained_whatever_validation_chose(project: Paths, make_params: MakeParams) -> None:
    result, _ = run(project, make_params(tune={"epochs": 1}))
    training = Choice.of(result.training)
    assert min(map(abs, (*training.weights, *training.mixture))) >= 0.1 - 1e-9


def test_last_block_alone_is_tuned(project: Paths, make_params: MakeParams) -> None:
    params = make_params(tune={"trainable": "last:1", "epochs": 6})
    before = load_vlm(params.vlm, "cpu").model.state_dict()
    result, after = run(project, params)
    assert result.best_epoch > 0
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("resblocks.1." in name or name.startswith(("ln_final", "text_projection")) for name in changed)


def test_weights_and_mixture_are_learned(project: Paths, make_params: MakeParams) -> None:
    start = {"triplet": 0.8, "language": 0.2, "pseudo_caption": 0.0}
    method = {"choose": "learned", "weights": start}
    result, _ = run(project, make_params(method=method, tune={"epochs": 4, "patience": 4}))
    assert Choice.of(result.untuned).weights == pytest.approx((0.8, 0.2, 0.0), abs=2e-3)
    choice = Choice.of(result.chosen)
    assert sum(choice.weights) == pytest.approx(1.0) and min(choice.weights) > 0
    assert sum(map(abs, choice.mixture)) == pytest.approx(1.0)
    assert [share > 0 for share in choice.mixture] == [True, True, False]  # as it began
    last = result.history[-1]
    assert abs(last["weight_triplet"] - 0.8) > 0.01 and abs(last["share_image"] - 0.45) > 0.01


def test_adapters_are_tuned_and_merged(project: Paths, make_params: MakeParams) -> None:
    params = make_params(tune={"trainable": "lora:2", "epochs": 6})
    before = load_vlm(params.vlm, "cpu").model.state_dict()
    result, after = run(project, params)
    assert result.best_epoch > 0 and after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("resblocks" in name and after[name].ndim == 2 for name in changed)


STOPPED = """
import hashlib, json, os, signal, sys
from pathlib import Path
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from tests.trainer.tuning.test_loop import run
root, folder, stop = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
params = Params.model_validate_json((root / "params.json").read_text())
seen = []
def on_epoch(row):
    seen.append(row["epoch"])
    if row["epoch"] == stop:
        os.kill(os.getpid(), signal.SIGKILL)
result, state = run(Paths(root), params, checkpoints=folder, on_epoch=on_epoch)
digest = hashlib.sha256(b"".join(state[name].numpy().tobytes() for name in sorted(state))).hexdigest()
print(json.dumps({"seen": seen, "result": repr(result), "state": digest}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "changed",
    [{}, {"method": {"choose": "learned"}, "tune": {"hard_negatives": 4}}],
    ids=["default", "learned"],
)
def test_a_killed_run_resumes_to_the_same_result(
    project: Paths, make_params: MakeParams, changed: dict[str, dict[str, object]]
) -> None:
    # every run in a process of its own: sums over threads depend on their number, which other tests change
    (project.root / "params.json").write_text(
        make_params(
            method=changed.get("method", {}), tune={"epochs": 4, "patience": 4, **changed.get("tune", {})}
        ).model_dump_json()
    )

    def started(folder: str, stop: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", STOPPED, str(project.root), str(project.root / folder), str(stop)]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)

    whole = json.loads(started("whole", -1).stdout)
    for epoch in (1, 3):
        ended = started("checkpoints", epoch)
        assert ended.returncode == -9, ended.stderr
    resumed = json.loads(started("checkpoints", -1).stdout)
    assert resumed["seen"] == [4]
    assert resumed["result"] == whole["result"]
    assert resumed["state"] == whole["state"]
