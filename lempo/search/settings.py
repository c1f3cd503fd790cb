"""What an index and a search need to know: of a project's parameters, or their defaults outside a project."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.base.errors import UserError, perhaps
from pipeline.base.files import remembered
from pipeline.base.params import Params, VlmParams
from pipeline.base.paths import Paths
from pipeline.corpus.raster import Look
from trainer.retrieval.weights import Choice

MANIFEST, TABLES, BESIDE = "index.json", "tables", ".lempo-index"
_LOOK = Look(max_pixels=178956970)
_CHOICE = Choice(weights=(0.4, 0.1, 0.5), mixture=(0.45, 0.1, -0.45))
_NO_INDEX = "Run `lempo index` with a folder of images or the name of a dataset"


@dataclass(frozen=True)
class Settings:
    """Some of the parameters; the defaults are those of the project's own `params.yaml`."""

    vlm: VlmParams | None = None
    dtype: str = "float16"
    device: str = "auto"
    workers: int = 2
    embed_batch: int | Literal["auto"] = 32
    encode_batch: int = 256
    look: Look = _LOOK
    reference_removed: bool = True
    choice: Choice = _CHOICE

    @classmethod
    def of(cls, params: Params | None, vlm: VlmParams | None = None) -> "Settings":
        """Those of a project, or the defaults; `vlm` takes the place of the project's."""
        if params is None:
            return cls(vlm)
        method, speed = params.method, params.speed
        fixed = {"weights": method.weights.model_dump(), "mixture": method.mixture.model_dump()}
        return cls(
            vlm or params.vlm,
            params.embed.dtype,
            speed.device,
            speed.workers,
            speed.embed_batch,
            speed.encode_batch,
            Look(params.corpus.bands, params.corpus.stretch, params.corpus.max_pixels),
            method.reference == "removed",
            Choice.of(fixed),
        )


def place_of(target: str, params: Params | None, paths: Paths) -> Path:
    """Where the index of a dataset or a folder lies by default.

    In a project that is `.lempo/index/<dataset>`, or `.lempo/index/<name>-<hash>` with the folder's name and
    a hash of its path. Outside a project it is `.lempo-index` in the folder itself.
    """
    own = paths.root / ".lempo/index"
    if params is not None and target in params.datasets:
        return own / target
    folder = Path(target)
    if params is None:
        return folder / BESIDE
    real = os.path.realpath(folder)
    return own / f"{Path(real).name}-{hashlib.sha256(os.fsencode(real)).hexdigest()[:8]}"


def find_index(target: str | None, params: Params | None, paths: Paths) -> Path:
    """The folder of an index that is named by its dataset, its images' folder or its own folder.

    Args:
        target: None: the only index of the project, or that of the working directory.

    Raises:
        UserError: there is none, or none is named and there are several.
    """
    if target is not None:
        candidates = [place_of(target, params, paths), Path(target), Path(target) / BESIDE]
    else:
        in_project = sorted((paths.root / ".lempo/index").glob(f"*/{MANIFEST}"))
        if len(in_project) > 1:
            names = ", ".join(file.parent.name for file in in_project)
            raise UserError("there are several indexes", f"Name one of them: {names}")
        candidates = [file.parent for file in in_project] + [Path(BESIDE)]
        if params is not None and not in_project:
            candidates = [paths.root / ".lempo/index" / dataset for dataset in params.datasets] + candidates
    for candidate in candidates:
        if (candidate / MANIFEST).is_file():
            return candidate
    if any((candidate / TABLES).is_dir() for candidate in candidates):
        raise UserError("the index is not finished", "Run `lempo index` again: it goes on", value=target)
    own = paths.root / ".lempo/index" / (target or "")
    if target is not None and (own / MANIFEST).is_file():  # the name of an index, as the other error lists it
        return own
    known = [file.parent.name for file in (paths.root / ".lempo/index").glob(f"*/{MANIFEST}")]
    known += [name for name in (params.datasets if params is not None else ()) if name != target]
    like = perhaps(target or "", known)
    raise UserError("there is no index", like + _NO_INDEX, value=target)


def read_manifest(folder: Path) -> dict[str, Any]:
    """`index.json` of an index; one that is damaged is set aside, and the next `lempo index` writes it again.

    Raises:
        UserError: it is missing, damaged or of another version.
    """
    file = folder / MANIFEST
    manifest = remembered(file)
    if not {"kind", "root", "table", "vlm", "vlm_params", "dtype", "dimension"} <= manifest.keys():
        raise UserError("there is no finished index", _NO_INDEX, file=file)
    return manifest


def root_of(manifest: Mapping[str, Any], folder: Path, paths: Paths) -> Path:
    """The folder to which the paths of an index are relative."""
    if manifest["kind"] == "dataset":
        return paths.root
    root = Path(manifest["root"])
    return root if root.is_absolute() else Path(os.path.normpath(folder / root))
