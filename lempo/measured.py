"""What a row of a stage took when it was last really computed here: kept in the cache, for `lempo check`.

A run that takes all from caches measures nothing, and leaves what was measured before. Before the first run,
what the embedded models took on another machine stands in: `unit_costs.json`, which `ship` writes.
"""

import os
import resource
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lempo.machine import machine
from pipeline.base.errors import UserError
from pipeline.base.files import read_json, remember, remembered
from pipeline.base.metrics_io import write_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.storage import remove_leftovers

LANGUAGE = ("pairs", "interpret", "caption")
SHIPPED = Path(__file__).with_name("unit_costs.json")


@dataclass(frozen=True)
class Measured:
    """Unit costs of a stage.

    Attributes:
        units: how many rows, images or queries they were measured on.
        seconds: for one.
        start_seconds: before the first, as to load a model.
        tokens: that were written for one; None where no language model writes.
        memory: bytes that the command's processes had at most.
        disk: bytes of its outputs for one.
        model: that was used, as the parameters name it.
        machine: where, in words.
        here: whether that is this machine, as far as is known.
    """

    units: int
    seconds: float
    start_seconds: float
    tokens: float | None
    memory: int
    disk: float
    model: str
    machine: str
    here: bool = True


def record(params: Params, paths: Paths, stage: str, dataset: str | None = None) -> None:
    """Keep what a stage that has just ended took, if it computed anything."""
    if int(os.environ.get("RANK", "0")):  # of `torchrun`; the first process writes
        return
    folder = _file(paths, stage).parent
    if folder.is_dir():  # also where this run has nothing to write
        remove_leftovers(folder)
    try:
        speed = read_json(paths.speed(_name(stage, dataset)), "", "")
        units, seconds, start, tokens = _of(stage, speed)
    except (UserError, KeyError, TypeError):  # a stage without figures, as pairs by rule
        return
    if units <= 0 or seconds <= 0:
        return
    made = _bytes(_outputs(params, paths, stage, dataset))
    rows = units + sum(int(speed.get(name) or 0) for name in ("cache_hits", "kept_rows", "cached"))
    found = Measured(
        units=units,
        seconds=seconds / units,
        start_seconds=start,
        tokens=None if tokens is None else tokens / units,
        memory=_memory(),
        disk=made if stage == "tune" else made / rows,
        model=_model(params, stage),
        machine=machine(),
    )
    remember(_file(paths, stage), asdict(found))


def measured(params: Params, paths: Paths, stage: str) -> Measured | None:
    """The unit costs of a stage with the models that the parameters name; None if there are none."""
    shipped = read_json(SHIPPED, "Install lempo again").get(stage, {})
    for held in (remembered(_file(paths, stage)), shipped):
        try:
            found = Measured(**held)
        except TypeError:  # there are none, or they are of another version
            continue
        if found.model == _model(params, stage):
            return found
    return None


def ship(paths: Paths) -> None:
    """Make what was measured in a project with the embedded models the unit costs that LEmpo ships."""
    found = {file.stem: remembered(file) for file in sorted((paths.cache / "costs").glob("*.json"))}
    write_metrics(SHIPPED, {stage: unit | {"here": False} for stage, unit in found.items()})


def _file(paths: Paths, stage: str) -> Path:
    return paths.cache / "costs" / f"{stage}.json"


def _name(stage: str, dataset: str | None) -> str:
    return stage if dataset is None else f"{stage}/{dataset}"


def _model(params: Params, stage: str) -> str:
    if stage in LANGUAGE:
        return f"{params.llm.model} on {params.llm.engine}"
    if stage == "corpus":
        return ""
    return f"{params.vlm.model} {params.vlm.pretrained or ''} on {params.speed.device}"


def _of(stage: str, speed: dict[str, Any]) -> tuple[int, float, float, float | None]:
    """Units, seconds of all of them, seconds before the first, and tokens written."""
    if stage in LANGUAGE:
        busy = speed["generate_seconds"] + speed["checking_seconds"]
        return speed["generated"], busy, speed["engine_start_seconds"], speed["output_tokens"]
    if stage == "embed":
        count = speed["embedded"]
        return count, count / speed["images_per_second"], speed["seconds"]["load"], None
    if stage == "tune":
        return speed["examples"], speed["seconds"]["tune"], speed["seconds"]["load"], None
    if stage == "evaluate":
        return speed["queries"], sum(speed["seconds"].values()), 0.0, None
    raise KeyError(stage)


def _outputs(params: Params, paths: Paths, stage: str, dataset: str | None) -> list[Path]:
    if dataset is not None:
        return [paths.tuned(dataset) if stage == "tune" else paths.rankings(dataset)]
    of = {"pairs": paths.pairs, "interpret": paths.interpretations, "caption": paths.pseudo_captions}
    return [of.get(stage, paths.features)(name) for name in params.datasets]


def _bytes(outputs: list[Path]) -> int:
    return sum(os.stat(file).st_size for output in outputs for file in _files(output))


def _files(output: Path) -> Iterator[Path]:
    if output.is_dir():
        yield from (file for file in output.rglob("*") if file.is_file())
    elif output.is_file():
        yield output


def _memory() -> int:
    """The most memory that this process had, and the largest of those that it started and that ended."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(kind).ru_maxrss * 1024 for kind in kinds)
