"""`lempo index` and `lempo search`: what they print."""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tabulate import tabulate

from lempo.search.indexing import Indexed, index_dataset, index_folder
from lempo.search.searcher import Answer, Query, Searcher
from lempo.search.settings import MANIFEST, Settings, find_index, place_of, read_manifest
from pipeline.base.errors import UserError, perhaps, reading
from pipeline.base.params import Params, VlmParams
from pipeline.base.paths import Paths

log = logging.getLogger(__name__)

_SHOWN = 5  # files that were left out
_COLUMNS = ("place", "date", "split", "scene_id", "gsd", "licence")


def vlm_of(model: str | None, pretrained: str | None, precision: str = "fp32") -> VlmParams | None:
    """The model that a command line names; None if it names none.

    Raises:
        UserError: weights are named without a model, or are a pickle.
    """
    if model is None:
        if pretrained is not None:
            raise UserError(
                "weights are named without a model", "Name the model by --vlm", field="--pretrained"
            )
        return None
    try:
        return VlmParams.model_validate({"model": model, "pretrained": pretrained, "precision": precision})
    except ValueError as error:
        remedy = "docs/parameters.md says what vlm.model and vlm.pretrained may be"
        raise UserError("the model cannot be used", remedy, field="--vlm", value=error) from None


@contextmanager
def named_by_option(vlm: VlmParams | None) -> Iterator[None]:
    """Inside the block an error of a model that a command line named speaks of the option, not of a file."""
    options = {"vlm.model": "--vlm", "vlm.pretrained": "--pretrained"} if vlm is not None else {}
    try:
        yield
    except UserError as error:
        said = error.problem
        if said.field not in options:
            raise
        raise UserError(said.reason, said.remedy, field=options[said.field], value=said.value) from None


def index(
    target: str,
    out: Path | None,
    params: Params | None,
    paths: Paths,
    vlm: VlmParams | None,
    as_json: bool = False,
) -> None:
    """Index a dataset of the project, or a folder, and say what was done.

    Args:
        as_json: print it as one JSON object too.

    Raises:
        UserError: there is neither such a dataset nor such a folder, or what the two kinds raise.
    """
    place = out or place_of(target, params, paths)
    is_dataset = params is not None and target in params.datasets
    if is_dataset and vlm is not None:
        remedy = "Set vlm in params.yaml and run `dvc repro`, or index the folder of the images"
        raise UserError("a dataset is indexed by its features", remedy, field="--vlm", value=vlm.model)
    if not is_dataset and not Path(target).is_dir():
        datasets = (
            ", ".join(params.datasets) if params is not None else "none, as there is no params.yaml here"
        )
        like = perhaps(target, params.datasets if params is not None else ())
        remedy = f"{like}Name a folder, or a dataset (of params.yaml: {datasets})"
        raise UserError("there is no such folder or dataset", remedy, value=target)
    log.info("index: it is written into %s%s", place, "" if out else "; --out puts it elsewhere")
    if is_dataset and params is not None:
        done = index_dataset(target, place, params, paths)
    else:
        settings, root = Settings.of(params, vlm), paths.root
        if settings.vlm is None and (place / MANIFEST).is_file():  # no project: the index keeps its model
            manifest = read_manifest(place)
            trusted_no_code = {**manifest["vlm_params"], "trust_remote_code": False}
            settings = replace(settings, vlm=VlmParams.model_validate(trusted_no_code))
            root = Path(manifest["vlm_root"])
        with named_by_option(vlm):
            done = index_folder(Path(target), place, settings, root)
    _say(done)
    if as_json:
        print(json.dumps(_record_of(done, place, "dataset" if is_dataset else "folder"), ensure_ascii=False))


def _record_of(done: Indexed, place: Path, kind: str) -> dict[str, Any]:
    """What a run did, as `--json` prints it."""
    skipped = [{"path": _as_utf8(file.path), "reason": _as_utf8(file.reason)} for file in done.skipped]
    return {
        "folder": _as_utf8(str(place)),
        "kind": kind,
        "images": done.rows,
        "dimension": done.dimension,
        "dtype": done.dtype,
        "added": done.added,
        "changed": done.changed,
        "removed": done.removed,
        "embedded": done.embedded,
        "left_out": skipped,
        "approximate": done.approximate,
        "seconds": done.seconds,
    }


def _say(done: Indexed) -> None:
    for skipped in done.skipped[:_SHOWN]:
        log.warning("left out: %s: %s", _plain(skipped.path), skipped.reason)
    if len(done.skipped) > _SHOWN:
        log.warning("left out: %d more files", len(done.skipped) - _SHOWN)
    kind = "every image is compared"
    if done.approximate is not None:
        recall = done.approximate["recall_at_10"]
        kind = f"approximate index {done.approximate['kind']}, recall at 10 {recall:.3f}"
        kind += "" if done.approximate["used"] else " (too low, so every image is compared)"
    log.info(
        "index: %d images: %d added, %d changed, %d removed, %d embedded, %d left out; %s; %.1f s",
        done.rows, done.added, done.changed, done.removed, done.embedded, len(done.skipped), kind,
        done.seconds,
    )  # fmt: skip


def read_graph(file: Path) -> dict[str, Any]:
    """One scene graph: a JSON object, or a list with one.

    Raises:
        UserError: the file is missing or holds anything else.
    """
    remedy = "Give one graph in the shape of scene_graphs.json"
    with reading(file, remedy):
        value = json.loads(file.read_text(encoding="utf-8-sig"))
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if not isinstance(value, dict):
        raise UserError("the file holds no JSON object", remedy, file=file)
    return value


def read_weights(text: str | None) -> dict[str, float] | None:
    """ "triplet=0.5,graph=-0.3" as a mapping.

    Raises:
        UserError: a part is not name=number.
    """
    if text is None:
        return None
    weights = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        try:
            weights[name.strip()] = float(number)
        except ValueError:
            remedy = "Write name=number, as in triplet=0.5,language=0"
            raise UserError("the weights cannot be read", remedy, field="--weights", value=part) from None
    return weights


def search(
    query: Query,
    named: str | None,
    params: Params | None,
    paths: Paths,
    *,
    vlm: VlmParams | None,
    llm: bool,
    exact: bool,
    as_json: bool,
) -> None:
    """Search once, and print the answer.

    Raises:
        UserError: what `Searcher` raises.
    """
    folder = find_index(named, params, paths)
    if llm:
        from pipeline.base.guard import guarded

        guarded()
    with named_by_option(vlm):
        searcher = Searcher(folder, params, paths, llm=llm, vlm=vlm, exact=exact)
    try:
        answer = searcher.search(query)
    finally:
        searcher.close()
    print(json.dumps(as_record(answer), ensure_ascii=False) if as_json else table_of(answer))


def as_record(answer: Answer) -> dict[str, Any]:
    """An answer as `--json` prints it."""
    hits = [
        {
            "id": hit.image_id,
            "path": hit.path,
            "score": hit.score,
            "shares": hit.shares,
            "columns": hit.columns,
        }
        for hit in answer.hits
    ]
    return {
        "hits": hits,
        "left_out": answer.left_out,
        "weights": answer.weights,
        "texts": {"interpretation": answer.interpretation, "pseudo_caption": answer.pseudo_caption},
        "seconds": answer.seconds,
    }


def table_of(answer: Answer) -> str:
    """An answer for people: a table, the texts, and what was left out."""
    shown = [name for name in _COLUMNS if any(name in hit.columns for hit in answer.hits)]
    terms = list(dict.fromkeys(name for hit in answer.hits for name in hit.shares))
    rows = [
        [place, f"{hit.score:.4f}", *(f"{hit.shares.get(term, 0):.4f}" for term in terms), _plain(hit.path)]
        + [_plain(str(hit.columns.get(name, ""))) for name in shown]
        for place, hit in enumerate(answer.hits, 1)
    ]
    headers = ["", "score", *terms, "path", *shown]
    lines = [tabulate(rows, headers, disable_numparse=True) if rows else "no image is found"]
    lines += [f"interpretation: {_plain(answer.interpretation)}"] if answer.interpretation else []
    lines += [f"pseudo caption: {_plain(answer.pseudo_caption)}"] if answer.pseudo_caption else []
    lines += [f"left out: {_plain(line)}" for line in answer.left_out]
    lines.append("weights: " + _shown(answer.weights) + f"; {answer.seconds:.2f} s")
    return "\n".join(lines)


def _shown(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {weight:.2f}" for name, weight in weights.items() if weight)


def _plain(text: str) -> str:
    """A text that cannot break a line or control a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in _as_utf8(text))


def _as_utf8(text: str) -> str:
    """A text that can be printed: bytes of a file's name that are no UTF-8 become \\x and their value."""
    try:
        text.encode(sys.getdefaultencoding())
    except UnicodeEncodeError:
        return os.fsencode(text).decode(errors="backslashreplace")
    return text
