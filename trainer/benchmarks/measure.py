"""Measures the methods that need neither an LLM nor training on a benchmark, by its own protocol."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.base.files import replacing
from pipeline.base.metrics_io import write_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.vision.cached import cached_features, open_cache
from pipeline.vision.texts import encode_texts
from pipeline.vision.vlm import Vlm, load_vlm
from trainer.benchmarks.figures import figure, figures_table
from trainer.benchmarks.images import checked_hashes
from trainer.benchmarks.ranking import METHODS, MIXES, rank_method, split_features
from trainer.benchmarks.registry import find_benchmark, read_split
from trainer.benchmarks.types import BenchmarkSplit, CategoryFeatures
from trainer.retrieval.fusion import SHARES
from trainer.retrieval.ranking import MEMORY_MIB
from trainer.tuning.folder import RECORD_NAME, read_record

DEFAULT_SHARE = 0.5


@dataclass(frozen=True)
class Request:
    """What is to be measured.

    Attributes:
        split: None for the benchmark's usual one.
        share: of the text in the methods that mix; None for the default, or where `choose_on` is given.
        choose_on: a labelled split on which the share is chosen.
        tuned: a folder that `tune` wrote, whose text encoder is measured too.
        out: the metrics file; None for `metrics/benchmarks/<layout>.json`.
    """

    layout: str
    root: Path
    split: str | None = None
    share: float | None = None
    choose_on: str | None = None
    tuned: Path | None = None
    out: Path | None = None


def measure(params: Params, paths: Paths, request: Request) -> list[str]:
    """Write the metrics file, or the files for the benchmark's server where labels are not public.

    Returns:
        Lines that say what was measured and written.

    Raises:
        UserError: an option does not fit the benchmark, a file of it is missing or malformed, or a model is
            not there or does not belong to the image features.
    """
    measured, chosen_on = read_splits(request)
    benchmark = find_benchmark(request.layout)
    out = request.out or paths.metrics("benchmarks", request.layout)
    splits = [measured, *([chosen_on] if chosen_on else [])]
    checked = _Files(splits, out.with_suffix("") / "unusable_images.csv", params)
    checked.require_all()
    vlm = load_vlm(params.vlm, params.speed.device, paths.root)
    encoders = {"frozen": vlm}
    if request.tuned is not None:
        encoders["tuned"] = load_tuned(params, request.tuned, vlm)
    images, memory = _image_features(vlm, checked, params, paths), params.speed.rank_mib
    figures: dict[str, dict[str, Any]] = {}
    shares: dict[str, dict[str, float]] = {}
    submissions: dict[str, Any] = {}
    for name, encoder in encoders.items():
        if chosen_on is None:
            shares[name] = dict.fromkeys(MIXES, DEFAULT_SHARE if request.share is None else request.share)
        else:
            features = _features(encoder, chosen_on, images, params.speed.encode_batch)
            shares[name] = {method: best_share(chosen_on, method, features, memory) for method in MIXES}
        features = _features(encoder, measured, images, params.speed.encode_batch)
        ranked = {
            method: rank_method(method, features, shares[name].get(method, 0.0), memory) for method in METHODS
        }
        if measured.labelled:
            figures[name] = {method: benchmark.figures(categories) for method, categories in ranked.items()}
        elif benchmark.submissions:
            for method, (category,) in ranked.items():
                for metric, content in benchmark.submissions(category, features[0]).items():
                    submissions[f"{name}_{method}_{metric}"] = content
    if not measured.labelled:
        note = f"for the benchmark's server; the labels of {measured.name} are not public"
        files = _write(out.with_suffix("") / measured.name, submissions)
        return [*_blank_texts(measured), *(f"{file}: {note}" for file in files)]
    write_metrics(out, {**_about(measured, vlm, request, shares), **figures})
    written = f"{measured.layout}, split {measured.name}: {out}"
    return [*_blank_texts(measured), *figures_table(benchmark.columns, figures), written]


def _blank_texts(split: BenchmarkSplit) -> list[str]:
    """A line on queries without words; servers want an answer for each, so none is left out."""
    queries = [query for category in split.categories for query in category.queries]
    blank = [query.query_id for query in queries if not query.text.strip()]
    if not blank:
        return []
    shown = ", ".join(blank[:10]) + ", ..." * (len(blank) > 10)
    return [f"{len(blank)} of {len(queries)} queries have a blank text, which is encoded as it is: {shown}"]


def read_splits(request: Request) -> tuple[BenchmarkSplit, BenchmarkSplit | None]:
    """The split that is measured, and the one on which the share is chosen.

    Raises:
        UserError: an option does not fit the benchmark, or a file of it is missing or malformed.
    """
    benchmark = find_benchmark(request.layout)
    split = request.split or benchmark.splits[0]
    if request.choose_on is not None and request.share is not None:
        raise UserError("the share is both given and to be chosen", "Leave one out", field="--share")
    if request.share is not None and not 0 <= request.share <= 1:
        raise UserError("the number is no share", "Use 0 to 1", field="--share", value=request.share)
    if request.choose_on == split:
        reason = "nothing is chosen on the split that is measured"
        raise UserError(reason, "Name another split, or give --share", field="--choose-on", value=split)
    measured = read_split(request.layout, request.root, split)
    withheld = "the labels of this split are not public"
    chosen_on = None
    if request.choose_on is not None:
        chosen_on = read_split(request.layout, request.root, request.choose_on)
        if not chosen_on.labelled:
            remedy = "Choose on another split, or give --share"
            raise UserError(withheld, remedy, field="--choose-on", value=chosen_on.name)
    if not measured.labelled and benchmark.submissions is None:
        raise UserError(withheld, "Measure another split", file=request.root, field="--split", value=split)
    return measured, chosen_on


def best_share(
    split: BenchmarkSplit, method: str, categories: Sequence[CategoryFeatures], memory_mib: int = MEMORY_MIB
) -> float:
    """The share of `SHARES` with the best headline figure over all categories; ties go to the smallest.

    `memory_mib` is as for `queries_at_once`.
    """
    benchmark = find_benchmark(split.layout)

    def headline(share: float) -> float:
        figures = benchmark.figures(rank_method(method, categories, share, memory_mib))
        return round(figure(figures, benchmark.headline), 9)

    return max(SHARES, key=headline)


def _write(folder: Path, submissions: Mapping[str, Any]) -> list[Path]:
    """Write a file for the benchmark's server for each name, and return the paths."""
    paths = [folder / f"{name}.json" for name in submissions]
    for path, content in zip(paths, submissions.values(), strict=True):
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
    return paths


def load_tuned(params: Params, folder: Path, vlm: Vlm) -> Vlm:
    """The tuned model; its vision side must be the one that embeds the images."""
    source = read_record(folder).get("source") or {}
    for name, mine in vlm.identity.items():
        if source.get(name) != mine:
            reason = f"the text encoder was tuned from another {name}: {source.get(name)!r}, not {mine!r}"
            remedy = "Set vlm in params.yaml to what it was tuned from, or tune again"
            raise UserError(reason, remedy, file=folder / RECORD_NAME, field="source")
    tuned = params.vlm.model_copy(update={"model": f"local-dir:{folder.resolve()}", "pretrained": None})
    return load_vlm(tuned, params.speed.device)


class _Files:
    """The image files of some splits, each once."""

    def __init__(self, splits: Sequence[BenchmarkSplit], listing: Path, params: Params) -> None:
        categories = [category for split in splits for category in split.categories]
        self.files = list(
            dict.fromkeys(file for category in categories for file in category.gallery.values())
        )
        self._listing, self._params = listing, params

    def require_all(self) -> None:
        """If a file is missing, say so before a model is loaded, with all other files that cannot be used."""
        if not all(map(os.path.isfile, self.files)):  # a name that is too long is no error there
            self.hashes(lambda _: False)

    def hashes(self, known: Callable[[str], bool]) -> list[str]:
        limit, workers = self._params.corpus.max_pixels, self._params.speed.workers
        return checked_hashes(self.files, self._listing, known, workers=workers, max_pixels=limit)


def _image_features(vlm: Vlm, checked: _Files, params: Params, paths: Paths) -> dict[Path, Tensor]:
    """Feature (D,) of every image file, kept in the cache that the stage `embed` uses too."""
    hashes = checked.hashes(open_cache(vlm, params, paths).__contains__)
    try:
        file_of = dict(zip(hashes, checked.files, strict=True))
        cache, _ = cached_features(vlm, file_of, params, paths, params.corpus.max_pixels)
    except UserError as error:
        if error.problem.field is not None:  # of a parameter, not of an image
            raise
        remedy = (
            "Restore the file as it was published; if the feature is not finite, set vlm.precision to fp32"
        )
        raise UserError(error.problem.reason, remedy, file=error.problem.file) from None
    vectors = torch.from_numpy(np.concatenate(list(cache.blocks(hashes))))
    return dict(zip(checked.files, vectors, strict=True))


def _features(
    encoder: Vlm, split: BenchmarkSplit, images: Mapping[Path, Tensor], batch: int
) -> list[CategoryFeatures]:
    texts = [query.text for category in split.categories for query in category.queries]
    text_of = dict(zip(texts, encode_texts(encoder, texts, batch), strict=True))
    return split_features(split, images, text_of, encoder.device)


def _about(
    split: BenchmarkSplit, vlm: Vlm, request: Request, shares: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """What the figures are figures of."""
    return {
        "benchmark": split.layout,
        "split": split.name,
        "reference": "removed" if split.reference_removed else "kept",
        "queries": {category.name: len(category.queries) for category in split.categories},
        "images": {category.name: len(category.gallery) for category in split.categories},
        "model": vlm.identity,
        "share": {"from": f"chosen on {request.choose_on}" if request.choose_on else "fixed", **shares},
    }
