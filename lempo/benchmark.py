"""lempo benchmark LAYOUT ROOT

Measures the methods that need neither an LLM nor training on a published benchmark, by its own protocol.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError
from pipeline.base.metrics_io import write_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from trainer.benchmarks.layouts import find_layout, read_benchmark
from trainer.benchmarks.measure import (
    SERVERS,
    Request,
    _about,
    _features,
    _images,
    _load_tuned,
    _measure,
    _shares,
    _submit,
)
from trainer.benchmarks.types import Benchmark


def run(params: Params, paths: Paths, request: Request) -> None:
    """Write the metrics file, or where a split's labels are not public the files that its server takes.

    Raises:
        UserError: an option does not fit the benchmark, a file of it is missing or malformed, or a model is
            not there or does not belong to the image features.
    """
    from pipeline.vision.vlm import load_vlm

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


def _print_table(benchmark: Benchmark, results: Mapping[str, Any], out: Path) -> None:
    from trainer.benchmarks.protocols import PROTOCOLS, figure

    columns = PROTOCOLS[benchmark.layout].columns
    print("  ".join([f"{'percent':24}", *columns]))
    for encoder, methods in results.items():
        for method, figures in methods.items():
            cells = (f"{figure(figures, name):{len(name)}.1f}" for name in columns)
            print("  ".join([f"{encoder + ' ' + method:24}", *cells]))
    print(f"{benchmark.layout}, split {benchmark.split}: {out}")
