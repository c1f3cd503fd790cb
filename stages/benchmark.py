"""lempo benchmark LAYOUT ROOT

Measures the methods that need neither an LLM nor training on a published benchmark, by its own protocol.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.benchmarks.benchmark import Benchmark
from pipeline.benchmarks.layouts import find_layout, read_benchmark
from pipeline.benchmarks.submission import circo_submissions, cirr_submissions
from pipeline.contracts import replacing
from pipeline.errors import UserError
from pipeline.metrics_io import write_metrics
from pipeline.params import Params, VlmParams
from pipeline.paths import Paths

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.vlm import Vlm
    from trainer.benchmarking import PartFeatures

DEFAULT_SHARE = 0.5
SERVERS = ("cirr", "circo")  # benchmarks whose unlabelled split a server measures


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


def run(params: Params, paths: Paths, request: Request) -> None:
    """Write the metrics file, or where a split's labels are not public the files that its server takes.

    Raises:
        UserError: an option does not fit the benchmark, a file of it is missing or malformed, or a model is
            not there or does not belong to the image features.
    """
    from pipeline.vlm import load_vlm

    measured, chosen = _read(request)
    vlm = load_vlm(params.vlm, params.speed.device, paths.root)
    encoders = {"frozen": vlm}
    if request.tuned is not None:
        encoders["tuned"] = _load_tuned(params, request.tuned, vlm)
    images = _images(vlm, [measured, *([chosen] if chosen else [])], params, paths)
    out = request.out or paths.metrics("benchmarks", request.layout)
    results: dict[str, Any] = {}
    shares: dict[str, dict[str, float]] = {}
    for name, encoder in encoders.items():
        parts = _features(encoder, measured, images, params.speed.encode_batch)
        shares[name] = _shares(encoder, chosen, images, params, request)
        if measured.labelled:
            results[name] = _measure(measured, parts, shares[name])
        else:
            _submit(measured, parts, shares[name], out, name)
    if measured.labelled:
        write_metrics(out, {**_about(measured, vlm, request, shares), **results})
        _print_table(measured, results, out)


def _read(request: Request) -> tuple[Benchmark, Benchmark | None]:
    """The split that is measured and the one on which the share is chosen."""
    layout = find_layout(request.layout)
    split = request.split or layout.splits[0]
    if request.choose_on is not None and request.share is not None:
        raise UserError("the share is both given and to be chosen", "Leave one out", field="--share")
    if request.share is not None and not 0 <= request.share <= 1:
        raise UserError("the number is no share", "Use 0 to 1", field="--share", value=request.share)
    if request.choose_on == split:
        raise UserError(
            "nothing is chosen on the split that is measured",
            "Name another split, or give --share",
            field="--choose-on",
            value=split,
        )
    measured = read_benchmark(request.layout, request.root, split)
    chosen = None
    if request.choose_on is not None:
        chosen = read_benchmark(request.layout, request.root, request.choose_on)
    if chosen is not None and not chosen.labelled:
        raise UserError(
            "the labels of this split are not public",
            "Choose on another split, or give --share",
            field="--choose-on",
            value=chosen.split,
        )
    if not measured.labelled and request.layout not in SERVERS:
        raise UserError(
            "the labels of this split are not public",
            "Measure another split",
            file=request.root,
            field="--split",
            value=split,
        )
    return measured, chosen


def _load_tuned(params: Params, folder: Path, vlm: "Vlm") -> "Vlm":
    """The tuned model; its vision side must be the one that embeds the images."""
    from pipeline.vlm import load_vlm
    from trainer.records import read_record

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

    from pipeline.file_features import file_features

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
    from pipeline.vlm import encode_texts
    from trainer.benchmarking import benchmark_features

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
    from trainer.benchmarking import MIXED, choose_share

    if chosen is None:
        share = DEFAULT_SHARE if request.share is None else request.share
        return dict.fromkeys(MIXED, share)
    parts = _features(encoder, chosen, images, params.speed.encode_batch)
    return {method: choose_share(chosen, method, parts) for method in MIXED}


def _measure(
    benchmark: Benchmark, parts: Sequence["PartFeatures"], shares: Mapping[str, float]
) -> dict[str, Any]:
    from trainer.benchmarking import METHODS, rank_method
    from trainer.protocols import PROTOCOLS

    figures = PROTOCOLS[benchmark.layout].figures
    return {method: figures(rank_method(method, parts, shares.get(method, 0.0))) for method in METHODS}


def _submit(
    benchmark: Benchmark,
    parts: Sequence["PartFeatures"],
    shares: Mapping[str, float],
    out: Path,
    encoder: str,
) -> None:
    from trainer.benchmarking import METHODS, first_images, first_of_set, rank_method

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


def _print_table(benchmark: Benchmark, results: Mapping[str, Any], out: Path) -> None:
    from trainer.protocols import PROTOCOLS, figure

    columns = PROTOCOLS[benchmark.layout].columns
    print("  ".join([f"{'percent':24}", *columns]))
    for encoder, methods in results.items():
        for method, figures in methods.items():
            cells = (f"{figure(figures, name):{len(name)}.1f}" for name in columns)
            print("  ".join([f"{encoder + ' ' + method:24}", *cells]))
    print(f"{benchmark.layout}, split {benchmark.split}: {out}")
