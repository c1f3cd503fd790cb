"""A step of tuning against bare passes of the text tower. Needs all that `tune` reads."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from pipeline.base.expected import Expected
from pipeline.base.params import Params, TuneParams, load_params
from pipeline.base.paths import Paths
from pipeline.vision import texts as texts_module
from pipeline.vision.features import read_features
from pipeline.vision.texts import Texts, text_features
from pipeline.vision.vlm import Vlm, load_vlm
from speed.figures import Figure, Run, in_turns, products, ratio, seconds
from trainer.retrieval.splits import Split, load_splits
from trainer.tuning.heads import HybridHead
from trainer.tuning.loop import Tuning
from trainer.tuning.objective import Objective
from trainer.tuning.schedule import epoch_batches

UNIT = "ratio of seconds"


def measure(run: Run) -> dict[str, Figure]:
    params = load_params(run.root / "params.yaml")
    vlm = load_vlm(params.vlm, "cpu", run.root)
    vlm.model.float()
    tuning = prepared(params, params.tune, vlm, train_split(params, run, vlm))
    batches = some_batches(tuning, run.size(8, 2))
    cut = [_token_batches(tuning, batch) for batch in batches]
    full = [[tuning.texts.tokens[tuning.rows[:, batch].unique()].long()] for batch in batches]
    mixed = prepared(params, params.tune.model_copy(update={"precision": "amp_bf16"}), vlm, tuning.train)
    for each in (tuning, mixed):
        each._step(batches[0])  # makes the optimizer's state
    spent = in_turns(
        {
            "tune": lambda: seconds(lambda: [tuning._step(batch) for batch in batches]),
            "mixed": lambda: seconds(lambda: [mixed._step(batch) for batch in batches]),
            "bare": lambda: seconds(lambda: _bare(vlm.model, cut)),
            "full context": lambda: seconds(lambda: _bare(vlm.model, full)),
        },
        run.turns,
    )
    texts = sum(len(tokens) for groups in full for tokens in groups)
    common = (
        f"{len(batches)} batches of {params.tune.batch_size} queries of {params.datasets[0]} with {texts} "
        f"texts, threads: {torch.get_num_threads()}, in turns; median of {run.turns} pairs. A step of tuning "
        "has the query vectors, the loss over the gallery, clipping and AdamW as well"
    )
    same = f"forward and backward of the text tower alone, on the same tokens, cut the same way; {common}"
    whole = f"the same on tokens padded to the context of {vlm.context_length}; {common}"
    plain = f"the same step with tune.precision fp32; {products()}; {common}"
    return {
        "tune_vs_bare_text": ratio(spent["tune"], spent["bare"], UNIT, same),
        "tune_vs_full_context": ratio(spent["tune"], spent["full context"], UNIT, whole),
        "tune_amp_bf16_vs_fp32": ratio(spent["mixed"], spent["tune"], UNIT, plain),
    }


def train_split(params: Params, run: Run, vlm: Vlm) -> Split:
    """The training queries of the first dataset."""
    dataset, expected = params.datasets[0], Expected(params, Paths(run.root))
    features = read_features(expected.paths.features(dataset), expected.features(dataset, vlm.identity))
    return load_splits(expected, dataset, features, ("train",), params.method.reference == "removed")["train"]


def prepared(params: Params, tune: TuneParams, vlm: Vlm, split: Split) -> Tuning:
    """A tuning run that is ready for its first step."""
    texts, head = Texts.of(vlm, split.all_texts()), HybridHead(params.method)
    tuning = Tuning(vlm.model, split, split, texts, head, tune, params.seed)
    tuning._prepare()
    tuning.objective = Objective(tune, split, tuning.temperature, head, {}, tuning.untuned)
    for group in tuning.optimizer.param_groups:
        group["lr"] = 0.0  # as many operations, but weights that stay sound over any number of steps
    return tuning


def some_batches(tuning: Tuning, count: int) -> list[Tensor]:
    """The first batches of the first epoch: rows of queries."""
    return epoch_batches(tuning.rows[-1], tuning.params.batch_size, tuning.seed, 1)[:count]


def _token_batches(tuning: Tuning, batch: Tensor) -> list[Tensor]:
    """The tokens (n, L) that a step on a batch gives to the text tower, one after the other."""
    seen: list[Tensor] = []

    def noted(model: Any, tokens: Tensor) -> Tensor:
        seen.append(tokens)
        return text_features(model, tokens)

    with patch.object(texts_module, "text_features", noted), torch.no_grad():
        tuning._loss(batch, batch)
    return seen


def _bare(model: Any, batches: Sequence[Sequence[Tensor]]) -> None:
    for groups in batches:
        model.zero_grad(set_to_none=True)
        torch.cat([text_features(model, tokens) for tokens in groups]).sum().backward()
