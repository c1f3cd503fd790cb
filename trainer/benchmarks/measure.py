"""Measures the methods that need neither an LLM nor training on a benchmark, by its own protocol."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.errors import UserError
from pipeline.base.files import replacing
from pipeline.base.params import Params, VlmParams
from pipeline.base.paths import Paths
from trainer.benchmarks.types import Benchmark

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.vision.vlm import Vlm
    from trainer.benchmarks.ranking import PartFeatures

DEFAULT_SHARE = 0.5


SERVERS = ("cirr", "circo")  # benchmarks whose unlabelled split a server measures
CIRR_FIRST = 50  # images a query, of the gallery
CIRR_FIRST_OF_SET = 3  # images a query, of its own set
CIRCO_FIRST = 50


@dataclass(frozen=True)
class Request:
    """What the command was asked for.

    Attributes:
        split: None for the benchmark's usual one.
        share: of the text in the methods that mix; None where `choose_on` is given, or for the default.
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


def _load_tuned(params: Params, folder: Path, vlm: "Vlm") -> "Vlm":
    """The tuned model; its vision side must be the one that embeds the images."""
    from pipeline.vision.vlm import load_vlm
    from trainer.tuning.folder import read_record

    source = read_record(folder).get("source")
    if source != vlm.identity:
        raise UserError(
            "the text encoder was tuned from another model than vlm.model, or another version of it",
            "Set vlm in params.yaml to what it was tuned from, or tune again",
            file=folder / "lempo.json",
            field="source",
            value=source,
        )
    tuned = VlmParams(model=f"local-dir:{folder.resolve()}", pretrained=None, precision=params.vlm.precision)
    return load_vlm(tuned, params.speed.device)


def _images(
    vlm: "Vlm", benchmarks: Sequence[Benchmark], params: Params, paths: Paths
) -> dict[Path, "Tensor"]:
    """Feature (D,) of every image file."""
    import torch

    from pipeline.vision.embedding import file_features

    files = list(
        dict.fromkeys(
            file for benchmark in benchmarks for part in benchmark.parts for file in part.gallery.values()
        )
    )
    vectors = torch.from_numpy(file_features(vlm, files, params, paths.cache / "features"))
    return dict(zip(files, vectors, strict=True))


def _features(
    encoder: "Vlm", benchmark: Benchmark, images: Mapping[Path, "Tensor"], batch: int
) -> list["PartFeatures"]:
    from pipeline.vision.texts import encode_texts
    from trainer.benchmarks.ranking import benchmark_features

    texts = list(dict.fromkeys(query.text for part in benchmark.parts for query in part.queries))
    text_of = dict(zip(texts, encode_texts(encoder, texts, batch), strict=True))
    return benchmark_features(benchmark, images, text_of, encoder.device)


def _shares(
    encoder: "Vlm",
    chosen: Benchmark | None,
    images: Mapping[Path, "Tensor"],
    params: Params,
    request: Request,
) -> dict[str, float]:
    """The share of the text of every method that mixes."""
    from trainer.benchmarks.ranking import MIXED, choose_share

    if chosen is None:
        share = DEFAULT_SHARE if request.share is None else request.share
        return dict.fromkeys(MIXED, share)
    parts = _features(encoder, chosen, images, params.speed.encode_batch)
    return {method: choose_share(chosen, method, parts) for method in MIXED}


def _measure(
    benchmark: Benchmark, parts: Sequence["PartFeatures"], shares: Mapping[str, float]
) -> dict[str, Any]:
    from trainer.benchmarks.protocols import PROTOCOLS
    from trainer.benchmarks.ranking import METHODS, rank_method

    figures = PROTOCOLS[benchmark.layout].figures
    return {method: figures(rank_method(method, parts, shares.get(method, 0.0))) for method in METHODS}


def _submit(
    benchmark: Benchmark,
    parts: Sequence["PartFeatures"],
    shares: Mapping[str, float],
    out: Path,
    encoder: str,
) -> None:
    from trainer.benchmarks.ranking import METHODS, first_images, first_of_set, rank_method

    (features,) = parts
    for method in METHODS:
        (ranked,) = rank_method(method, parts, shares.get(method, 0.0))
        first = first_images(ranked, features.part)
        if benchmark.layout == "cirr":
            files = cirr_submissions(first, first_of_set(ranked, features))
        else:
            files = circo_submissions(first)
        for name, content in files.items():
            path = out.with_suffix("") / benchmark.split / f"{encoder}_{method}_{name}.json"
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")
            print(f"{path}: for the benchmark's server; the labels of {benchmark.split} are not public")


def _about(
    benchmark: Benchmark, vlm: "Vlm", request: Request, shares: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """What the figures are figures of."""
    chosen = f"chosen on {request.choose_on}" if request.choose_on else "fixed"
    return {
        "benchmark": benchmark.layout,
        "split": benchmark.split,
        "reference": "removed" if benchmark.reference_removed else "kept",
        "queries": {part.name: len(part.queries) for part in benchmark.parts},
        "images": {part.name: len(part.gallery) for part in benchmark.parts},
        "model": vlm.identity,
        "share": {"from": chosen, **shares},
    }


def cirr_submissions(
    first: Mapping[str, Sequence[str]], first_of_set: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """The two files of CIRR's server, by the metric that each is for.

    Args:
        first: ids of the best images for every pairid, best first.
        first_of_set: the same among the members of the query's set.
    """
    return {
        metric: {
            "version": "rc2",
            "metric": metric,
            **{name: list(ids[:count]) for name, ids in best.items()},
        }
        for metric, best, count in (
            ("recall", first, CIRR_FIRST),
            ("recall_subset", first_of_set, CIRR_FIRST_OF_SET),
        )
    }


def circo_submissions(first: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any]]:
    """The file of CIRCO's server: the first images for every query, as numbers."""
    return {"test": {name: [int(image) for image in ids[:CIRCO_FIRST]] for name, ids in first.items()}}
