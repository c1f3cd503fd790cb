"""lempo tune DATASET

Tunes the text encoder on the cached image features of one dataset; a run that was killed is continued. On
several GPUs of one machine: torchrun --nproc-per-node 4 -m lempo.cli tune DATASET
"""

import hashlib
import json
import logging
import shutil
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pipeline.base.code import code_hash
from pipeline.base.metrics_io import write_curve, write_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths

if TYPE_CHECKING:
    from pipeline.vision.texts import Texts
    from pipeline.vision.vlm import Vlm
    from trainer.retrieval.splits import Split
    from trainer.tuning.loop import TuneResult
    from trainer.tuning.parallel import Workers

log = logging.getLogger(__name__)

ROOMS = ("pipeline/base", "pipeline/vision", "trainer/retrieval", "trainer/tuning", "stages/tune.py")


def run(params: Params, paths: Paths, dataset: str) -> None:
    """Write `data/tuned/<dataset>/`, `metrics/tune/<dataset>.json` and `plots/tune/<dataset>.csv`.

    Raises:
        UserError: a table, the features or the model is not there or does not fit the others, or a split that
            tuning needs is empty.
    """
    from pipeline.vision.vlm import resolve_device
    from trainer.tuning.parallel import joined

    with joined(resolve_device(params.speed.device)) as workers:
        _run(params, paths, dataset, workers)


def _run(params: Params, paths: Paths, dataset: str, workers: "Workers") -> None:
    from pipeline.vision.features import read_features
    from pipeline.vision.texts import Texts
    from pipeline.vision.vlm import load_vlm
    from trainer.retrieval.splits import load_splits
    from trainer.tuning.heads import HybridHead
    from trainer.tuning.loop import Tuning

    start = time.perf_counter()
    vlm = load_vlm(params.vlm, params.speed.device, paths.root)
    vlm.model.float()  # small steps are lost in half precision
    features = read_features(paths.features(dataset), vlm.identity)
    removed = params.method.reference == "removed"
    splits = load_splits(paths, dataset, features, ("train", "val"), removed)
    texts = Texts.of(vlm, [text for split in splits.values() for text in split.all_texts()])
    spent = {"load": time.perf_counter() - start}

    checkpoints = paths.cache / "tune" / _key(params, vlm.identity, splits, texts)
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
    ).run(lambda row: log.info(_line(dataset, row)))
    spent["tune"] = time.perf_counter() - start
    if workers.first:
        start = time.perf_counter()
        _write(params, paths, dataset, vlm, splits, result)
        spent["write"] = time.perf_counter() - start
        write_metrics(paths.speed(f"tune/{dataset}"), {"seconds": spent})
        shutil.rmtree(checkpoints, ignore_errors=True)


def _write(
    params: Params,
    paths: Paths,
    dataset: str,
    vlm: "Vlm",
    splits: dict[str, "Split"],
    result: "TuneResult",
) -> None:
    from trainer.tuning.folder import model_card, save_tuned

    chosen = _chosen(result)
    validation = {"untuned": result.untuned_metrics, "tuned": result.metrics}
    record = {
        **chosen,
        "dataset": dataset,
        "seed": params.seed,
        "source": vlm.identity,
        "best_epoch": result.best_epoch,
        "tune": params.tune.model_dump(),
        "validation": validation,
        "versions": {name: version(name) for name in ("lempo", "open_clip_torch", "torch")},
    }
    save_tuned(paths.tuned(dataset), vlm, params.vlm, record, model_card(record), paths.root)
    write_curve(paths.plots("tune", dataset), result.history)
    write_metrics(
        paths.metrics("tune", dataset),
        {
            **chosen,
            "epochs": result.history[-1]["epoch"],
            "best_epoch": result.best_epoch,
            "validation": validation,
            "missing_captions": {name: split.missing_captions for name, split in splits.items()},
            "over_context": {name: _over_context(vlm, split) for name, split in splits.items()},
        },
    )


def _chosen(result: "TuneResult") -> dict[str, Any]:
    return {
        **result.chosen,
        "untuned": result.untuned,
        "training": result.training,
        "temperature": result.temperature,
    }


def _over_context(vlm: "Vlm", split: "Split") -> int:
    """Queries whose language text is longer than the text context and loses its end."""
    return sum(count > vlm.context_length for count in vlm.tokenizer.count(split.texts["language"]))


def _line(dataset: str, row: dict[str, Any]) -> str:
    loss = "untuned" if row["train_loss"] is None else f"loss {row['train_loss']:.3f}"
    return (
        f"{dataset} epoch {row['epoch']}: {loss}, validation R@1 {row['val_R@1']:.1f}, "
        f"mean recall {row['val_mean_recall']:.2f}"
    )


def _key(params: Params, identity: dict[str, Any], splits: dict[str, "Split"], texts: "Texts") -> str:
    """Names a run by all that its result depends on, the code included."""
    import torch

    digest = hashlib.sha256()
    means = {name: getattr(params, name).model_dump() for name in ("method", "tune", "vlm")}
    digest.update(json.dumps([means, params.seed, identity, torch.__version__], sort_keys=True).encode())
    digest.update(code_hash(*ROOMS).encode())
    digest.update(texts.tokens.numpy().tobytes())
    for split in splits.values():
        tensors = [
            split.gallery,
            split.reference,
            split.answers.target,
            split.answers.right,
            split.answers.removed,
        ]
        tensors += list(split.text_rows(texts).values())
        for tensor in tensors:
            digest.update(str(tuple(tensor.shape)).encode())
            digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:32]
