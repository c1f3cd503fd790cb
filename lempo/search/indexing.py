"""Images to an index, and an index brought up to what a folder or a dataset holds now.

Every block of images is written at once, and a row's vector always belongs to the row's bytes. So a run that
is ended leaves an index that the next run goes on with.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lempo.search import approximate
from lempo.search.database import COLUMNS, SIGNATURE, VECTOR, Database, Row
from lempo.search.files import Skipped, embedded, hash_of, image_files, unusable_name
from lempo.search.settings import MANIFEST, TABLES, Settings
from pipeline.base.decode import RULES, decoder
from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.files import identity_hash, remember, remembered
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.progress import Progress
from pipeline.base.run_lock import run_locks
from pipeline.base.schemas import IMAGES
from pipeline.base.storage import storage_errors
from pipeline.base.tables import read_table
from pipeline.vision.batch_size import batch_size
from pipeline.vision.embedding import threads_of_model
from pipeline.vision.features import read_features
from pipeline.vision.vlm import Vlm, load_vlm

log = logging.getLogger(__name__)

_BLOCK = 1024  # images that are written at once; a kill loses at most so many
_IDENTITY = (
    "model", "pretrained", "precision", "architecture", "weights_sha256", "preprocessing", "open_clip",
    "trust_remote_code",
)  # fmt: skip


@dataclass
class Indexed:
    """What a run did: numbers of images, the kind of their vectors, and the files that were left out."""

    rows: int = 0
    dimension: int = 0
    dtype: str = ""
    added: int = 0
    changed: int = 0
    removed: int = 0
    embedded: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    approximate: dict[str, Any] | None = None
    seconds: float = 0.0


def index_folder(folder: Path, out: Path, settings: Settings, root: Path = Path(".")) -> Indexed:
    """Index all images below a folder; an image whose bytes are in the index already is not embedded again.

    Args:
        out: the index's folder.
        settings: `vlm` must be given.
        root: of relative paths in `settings.vlm`.

    Raises:
        UserError: a folder cannot be read or written, the model cannot be loaded, or there is no image.
    """
    if settings.vlm is None:
        remedy = (
            "Name one by --vlm: local-dir:<folder>, hf-hub:<name>, or an open_clip name with --pretrained"
        )
        raise UserError("no vision language model is named", remedy, field="--vlm")
    listed = {name: f"{stat.st_size}:{stat.st_mtime_ns}" for name, stat in image_files(folder)}
    if not listed and not (out / MANIFEST).is_file():
        raise UserError("the folder holds no image", "Name a folder with image files below it", file=folder)
    inside = os.path.realpath(out).startswith(os.path.realpath(folder) + os.sep)
    manifest: dict[str, Any] = {
        "kind": "folder",
        "root": os.path.relpath(folder, out) if inside else os.path.realpath(folder),
        "dtype": settings.dtype,
        "vlm_params": settings.vlm.model_dump(),
        "vlm_root": os.path.realpath(root),
    }
    with _index(out):
        vlm = load_vlm(settings.vlm, settings.device, root)
        manifest |= {"vlm": vlm.identity, "dimension": vlm.dimension}
        update = _Update(out, manifest)
        done = Indexed()
        for name in [name for name in listed if unusable_name(name)]:
            done.skipped.append(Skipped(name, unusable_name(name) or ""))
            del listed[name]
        _FolderUpdate(update, done, folder, vlm, settings).run(listed)
        return update.finish(done)


def index_dataset(dataset: str, out: Path, params: Params, paths: Paths) -> Indexed:
    """Index a dataset of the project by its table of images and its features; nothing is embedded.

    Raises:
        UserError: a table or the features are missing or made from anything else.
    """
    expected = Expected(params, paths)
    table = read_table(paths.images(dataset), IMAGES, COLUMNS, expected.corpus(dataset))
    features = read_features(paths.features(dataset), expected.features(dataset))
    manifest = {
        "kind": "dataset",
        "dataset": dataset,
        "root": ".",
        "dtype": features.manifest["dtype"],
        "dimension": features.manifest["dimension"],
        "vlm": {name: features.manifest[name] for name in _IDENTITY if name in features.manifest},
        "vlm_params": params.vlm.model_dump(),
        "vlm_root": os.path.realpath(paths.root),
        "images": expected.corpus(dataset)["images"],
    }
    with _index(out):
        update, done = _Update(out, manifest), Indexed()
        known, seen = dict(update.known), set[str]()
        with Progress(total=len(table), unit="image", title="index") as progress:
            for batch in table.to_batches(_BLOCK):
                rows = [row | {SIGNATURE: identity_hash(row)} for row in batch.to_pylist()]
                seen |= {row["image_id"] for row in rows}
                new = [row for row in rows if known.get(row["image_id"], ("",))[0] != row[SIGNATURE]]
                places = [features.row_of[row["image_id"]] for row in new]
                update.write(new, np.asarray(features.vectors[places]), done)
                progress.update(len(rows))
        update.remove([image_id for image_id in known if image_id not in seen], done)
        return update.finish(done)


@contextmanager
def _index(out: Path) -> Iterator[None]:
    """The only run that writes this index."""
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    with run_locks(out / "locks", (), ["index"]):
        yield


class _Update:
    """Writes into the table of one model's vectors; the manifest names it once it is whole.

    Attributes:
        known: signature and sha256 of every image that the table held at the start, by id.
    """

    def __init__(self, out: Path, manifest: Mapping[str, Any]) -> None:
        self._start, self._out = time.perf_counter(), out
        made = {name: manifest[name] for name in ("vlm", "dtype", "dimension")}
        made |= {"decoder": decoder(), "pixels": RULES}
        table = f"images_{identity_hash(made)[:16]}"
        self._manifest = {**manifest, **made, "table": table}
        before = remembered(out / MANIFEST)
        if before and before.get("table") != table:
            log.info(
                "index: it was made by another model or with other settings: all images are embedded anew"
            )
        self.rendered = out / "rendered"  # pictures of files that Pillow does not show rightly
        self._approximate = before.get("approximate") if before.get("table") == table else None
        self.database = Database(out / TABLES, table, manifest["dimension"], manifest["dtype"])
        self.known = self.database.known()

    def write(self, rows: Sequence[Row], vectors: np.ndarray, done: Indexed) -> None:
        if not rows:
            return
        changed = sum(row["image_id"] in self.known for row in rows)
        self.database.add(rows, vectors, replace=changed > 0)
        done.changed += changed
        done.added += len(rows) - changed

    def remove(self, ids: Sequence[str], done: Indexed) -> None:
        self.database.remove(ids)
        done.removed += len(ids)

    def finish(self, done: Indexed) -> Indexed:
        """Bring up the approximate index, and write the manifest."""
        others = done.added + done.changed + done.removed
        before = (self._approximate or {}).get("changed", 0)
        done.approximate = approximate.brought_up(self.database, self._approximate, before + others)
        if others:
            self.database.tidy()
        done.rows = len(self.database)
        done.dimension, done.dtype = self.database.dimension, self.database.dtype
        manifest = {**self._manifest, "rows": done.rows, "approximate": done.approximate}
        remember(self._out / MANIFEST, manifest)
        self.database.drop_others()
        done.seconds = time.perf_counter() - self._start
        return done


class _FolderUpdate:
    """Brings the rows of a folder's images up to the files."""

    def __init__(self, update: _Update, done: Indexed, folder: Path, vlm: Vlm, settings: Settings) -> None:
        self._update, self._done, self._folder = update, done, folder
        self._vlm, self._settings = vlm, settings
        self._id_of = {sha256: image_id for image_id, (_, sha256) in update.known.items()}

    def run(self, listed: Mapping[str, str]) -> None:
        """Args: listed: the signature of every file, by its name."""
        known = self._update.known
        todo = iter([name for name, signature in listed.items() if known.get(name, ("",))[0] != signature])
        total = sum(known.get(name, ("",))[0] != signature for name, signature in listed.items())
        gone = {name for name in known if name not in listed}
        workers = self._settings.workers
        chosen = batch_size(
            self._vlm, self._settings.embed_batch, total, threads=threads_of_model(self._vlm, workers)
        )
        batch = min(chosen, max(1, _BLOCK // (2 * workers)))  # each worker has some batches of a block
        with Progress(total=total, unit="image", title="index") as progress:
            while block := list(islice(todo, _BLOCK)):
                gone |= self._block(block, listed, progress, batch) & known.keys()
        # last: until now, the vector of a file that was renamed came from its old row
        self._update.remove(sorted(gone), self._done)

    def _block(
        self, names: Sequence[str], listed: Mapping[str, str], progress: Progress, batch: int
    ) -> set[str]:
        """Write the rows of some files; the names of those that cannot be used."""
        hashes: dict[str, str] = {}
        unusable: set[str] = set()
        for name in names:
            sha256 = hash_of(self._folder / name)
            if isinstance(sha256, Skipped):
                unusable |= self._skip({name}, sha256)
            else:
                hashes[name] = sha256
        names_of: dict[str, list[str]] = {}
        for name, sha256 in hashes.items():
            names_of.setdefault(sha256, []).append(name)
        copied = [self._id_of[sha256] for sha256 in names_of if sha256 in self._id_of]
        content: dict[str, tuple[Row, np.ndarray]] = {}
        for row in self._update.database.rows("image_id", copied):
            if row["sha256"] in names_of:
                content[row["sha256"]] = (row, np.asarray(row.pop(VECTOR), np.float32))
        progress.update(
            len(names) - sum(len(names_of[sha256]) for sha256 in names_of if sha256 not in content)
        )
        fresh = [(self._folder / of[0], sha256) for sha256, of in names_of.items() if sha256 not in content]
        by_path = {str(path): sha256 for path, sha256 in fresh}
        speed, rendered = self._settings, self._update.rendered
        for found in embedded(self._vlm, fresh, speed.look, rendered, speed.workers, batch):
            if isinstance(found, Skipped):
                sha256 = by_path[found.path]
                unusable |= self._skip(set(names_of[sha256]), found)
            else:
                sha256 = found.sha256
                if found.rendered is not None:
                    found.columns["path"] = os.path.relpath(found.rendered.resolve(), self._folder.resolve())
                content[sha256] = (found.columns, found.vector)
                self._done.embedded += 1
            progress.update(len(names_of[sha256]))
        rows, vectors = [], []
        for name in sorted(hashes.keys() - unusable):
            row, vector = content[hashes[name]]
            # a rendered picture stands for its file; else the path of a file that was renamed is an old one
            path = row.get("path") if row.get("path") != row.get("image_id") else name
            own = {"image_id": name, "path": path or name, "sha256": hashes[name], SIGNATURE: listed[name]}
            rows.append({key: row.get(key) for key in COLUMNS} | own)
            vectors.append(vector)
            self._id_of.setdefault(hashes[name], name)
        if rows:
            self._update.write(rows, np.stack(vectors), self._done)
        return unusable

    def _skip(self, names: set[str], skipped: Skipped) -> set[str]:
        self._done.skipped += [Skipped(name, skipped.reason) for name in sorted(names)]
        return names
