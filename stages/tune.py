"""lempo tune DATASET

Tunes the text encoder on the cached image features of one dataset; an interrupted run is continued. On
several GPUs of one machine: torchrun --nproc-per-node 4 -m lempo.cli tune DATASET
"""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import torch

from pipeline.base.code import code_hash
from pipeline.base.expected import Expected
from pipeline.base.files import identity_hash
from pipeline.base.metrics_io import write_curve, write_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.vision.features import read_features
from pipeline.vision.memory import keep_freed_memory
from pipeline.vision.texts import Texts
from pipeline.vision.vlm import Vlm, load_vlm, resolve_device
from trainer.retrieval.similarity import TEXT_INPUTS
from trainer.retrieval.splits import Split, load_splits, tokens_hash
from trainer.tuning.folder import model_card, save_tuned
from trainer.tuning.heads import HybridHead
from trainer.tuning.loop import Tuning
from trainer.tuning.parallel import Workers, joined
from trainer.tuning.result import CURVE, TuneResult

log = logging.getLogger(__name__)

_BLOCK = 8192  # images
ROOMS = ("pipeline/base", "pipeline/vision", "trainer/retrieval", "trainer/tuning", "stages/tune.py")


def run(params: Params, paths: Paths, dataset: str) -> None:
    """Write `data/tuned/<dataset>/`, `metrics/tune/<dataset>.json` and `plots/tune/<dataset>.csv`.

    Raises:
        UserError: a table, the features or the model is missing or does not fit the others, or a split that
            tuning needs is empty.
    """
    keep_freed_memory()
    with joined(resolve_device(params.speed.device)) as workers:
        _run(params, paths, dataset, workers)


def _run(params: Params, paths: Paths, dataset: str, workers: Workers) -> None:
    start = time.perf_counter()
    vlm = load_vlm(params.vlm, params.speed.device, paths.root)
    vlm.model.float()  # small steps are lost in half precision
    expected = Expected(params, paths)
    features = read_features(paths.features(dataset), expected.features(dataset, vlm.identity))
    removed = params.method.reference == "removed"
    splits = load_splits(expected, dataset, features, ("train", "val"), removed)
    texts = Texts.of(vlm, [text for split in splits.values() for text in split.all_texts()])
    made_from = expected.tuned(dataset) | {
        "vlm": identity_hash(vlm.identity),
        "tokens": tokens_hash(splits, texts),
    }
    seconds = {"load": time.perf_counter() - start}

    checkpoints = paths.checkpoints / _key(params, vlm.identity, splits, texts)
    epochs = []  # of this run; others are in the checkpoint

    def on_epoch(row: Mapping[str, Any]) -> None:
        epochs.append(row["epoch"])
        log.info(_line(dataset, row))

    start = time.perf_counter()
    result = Tuning(
        vlm.model,
        splits["train"].to(vlm.device),
        splits["val"].to(vlm.device),
        texts,
        HybridHead(params.method),
        params.tune,
        seed=params.seed,
        batch=params.speed.encode_batch,
        checkpoints=checkpoints,
        workers=workers,
    ).run(on_epoch)
    seconds["tune"] = time.perf_counter() - start
    if workers.first:
        start = time.perf_counter()
        _write(params, paths, dataset, vlm, splits, result, made_from)
        seconds["write"] = time.perf_counter() - start
        examples = len(splits["train"]) * sum(epoch > 0 for epoch in epochs)
        write_metrics(paths.speed(f"tune/{dataset}"), {"seconds": seconds, "examples": examples})
        shutil.rmtree(checkpoints, ignore_errors=True)


def _write(
    params: Params,
    paths: Paths,
    dataset: str,
    vlm: Vlm,
    splits: Mapping[str, Split],
    result: TuneResult,
    made_from: Mapping[str, Any],
) -> None:
    common = {
        **result.chosen,
        "untuned": result.untuned,
        "training": result.training,
        "temperature": result.temperature,
        "best_epoch": result.best_epoch,
        "validation": {"untuned": result.untuned_metrics, "tuned": result.metrics},
    }
    record = {
        **common,
        "dataset": dataset,
        "seed": params.seed,
        "source": vlm.identity,
        "tune": params.tune.model_dump(),
        "versions": {name: version(name) for name in ("lempo", "open_clip_torch", "torch")},
    }
    card = model_card({**record, "made_from": made_from})
    save_tuned(paths.tuned(dataset), vlm, params.vlm, record, card, paths.root, made_from)
    write_curve(paths.plots("tune", dataset), result.history, CURVE)
    tokens = {name: vlm.tokenizer.count(split.texts["language"]) for name, split in splits.items()}
    metrics = {
        **common,
        "epochs": result.epoch,
        "missing_captions": {name: split.missing_captions for name, split in splits.items()},
        # language texts that are longer than the text context and lose their end
        "over_context": {
            name: sum(count > vlm.context_length for count in counts) for name, counts in tokens.items()
        },
    }
    write_metrics(paths.metrics("tune", dataset), metrics)
    summary = {"val_mean_recall": result.metrics["mean_recall"]}
    write_metrics(paths.summary("tune", dataset), {dataset: summary})


def _line(dataset: str, row: Mapping[str, Any]) -> str:
    loss = "untuned" if row["train_loss"] is None else f"loss {row['train_loss']:.3f}"
    return (
        f"{dataset} epoch {row['epoch']}: {loss}, validation R@1 {row['val_R@1']:.1f}, "
        f"mean recall {row['val_mean_recall']:.2f}"
    )


def _key(params: Params, identity: Mapping[str, Any], splits: Mapping[str, Split], texts: Texts) -> str:
    """Names a run by everything that its result depends on, the code included."""
    sections = {name: getattr(params, name).model_dump() for name in ("method", "tune", "vlm")}
    settings = [sections, params.seed, identity, torch.__version__]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    digest.update(code_hash(*ROOMS).encode())
    _add(digest, texts.tokens.shape, [texts.tokens])
    for split in splits.values():
        answers, stored = split.answers, split.stored
        _add(digest, (len(stored), stored.vectors.shape[1]), stored.blocks(_BLOCK))
        tensors = [split.reference, answers.target, answers.right, answers.removed]
        tensors += [texts.rows(split.texts[name]) for name in TEXT_INPUTS]
        for tensor in tensors:
            _add(digest, tensor.shape, [tensor])
    return digest.hexdigest()[:32]


def _add(digest: Any, shape: Sequence[int], parts: Iterable[torch.Tensor]) -> None:
    """Add a tensor of this shape, a part of its rows at a time: a large one is not copied as a whole."""
    digest.update(str(tuple(shape)).encode())
    for part in parts:
        digest.update(part.contiguous().numpy().reshape(-1).view("uint8"))
