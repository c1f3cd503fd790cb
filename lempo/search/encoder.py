"""The model that encodes queries: the dataset's tuned text encoder, or the model that made the index."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from lempo.search.files import picture_of
from lempo.search.settings import Settings
from pipeline.base.decode import UnusableImage, decode
from pipeline.base.errors import UserError
from pipeline.base.params import VlmParams
from pipeline.base.paths import Paths
from pipeline.corpus.raster import Look
from pipeline.vision.texts import encode_texts
from pipeline.vision.vlm import Vlm, load_vlm
from trainer.retrieval.weights import Choice
from trainer.tuning.folder import read_record


@dataclass(frozen=True)
class Encoder:
    """A loaded model, the weights and the mixture that go with it, and what is to be said about it."""

    vlm: Vlm
    choice: Choice
    batch: int
    look: Look
    tuned: bool
    notes: tuple[str, ...] = ()

    def image(self, data: bytes, named: object) -> tuple[torch.Tensor, tuple[int, int]]:
        """The L2-normalised feature (D,), float32, of an image file's bytes, and its width and height.

        Raises:
            UserError: they are no usable image.
        """
        try:
            picture = decode(picture_of(data, self.look), self.look.max_pixels)
        except UnusableImage as error:
            raise UserError(f"the reference cannot be used: {error}", error.remedy, file=named) from None
        feature = self.vlm.encode_images(self.vlm.preprocess(picture)[None])[0]
        return feature.cpu().clone(), picture.size

    def texts(self, texts: list[str]) -> torch.Tensor:
        """L2-normalised features (N, D), float32."""
        return encode_texts(self.vlm, texts, self.batch)

    def cut(self, text: str) -> str | None:
        """How many tokens of a text are not read, as half a sentence; None if all are."""
        (count,), most = self.vlm.tokenizer.count([text]), self.vlm.context_length
        return None if count <= most else f"it has {count} tokens, and the model reads {most}"


def gallery_of(vectors: np.ndarray) -> torch.Tensor:
    """Image features (N, D) as `lempo evaluate` compares them: float32, normalised again after float16."""
    return normalize(torch.from_numpy(np.asarray(vectors, dtype=np.float32)), dim=-1)


def load_encoder(manifest: Mapping[str, Any], settings: Settings, in_project: bool, paths: Paths) -> Encoder:
    """Load the model for an index.

    Raises:
        UserError: a model is missing or damaged, or is not that of the index; both values are named.
    """
    of_index = VlmParams.model_validate(manifest["vlm_params"])
    asked = settings.vlm or of_index
    root = paths.root if in_project else Path(manifest["vlm_root"])
    for name in ("model", "pretrained", "precision"):
        _compare(name, getattr(asked, name), manifest["vlm"].get(name))
    note = None
    if manifest["kind"] == "dataset":
        dataset = manifest["dataset"]
        try:
            record = read_record(paths.tuned(dataset))
            if record["source"] == manifest["vlm"]:
                return load_tuned(record, dataset, asked, settings, paths)
            note = "it was tuned from another model than the index was made by"
        except UserError as error:
            note = str(error)
        note = f"the tuned text encoder of {dataset}: {note}; the untuned model is used, with fixed weights"
    vlm = load_vlm(asked, settings.device, root)
    for name in manifest["vlm"].keys() | vlm.identity.keys():
        _compare(name, vlm.identity.get(name), manifest["vlm"].get(name))
    if note is None:
        note = "no text encoder was tuned on these images; the untuned model is used, with fixed weights"
    return Encoder(vlm, settings.choice, settings.encode_batch, settings.look, False, (note,))


def load_tuned(
    record: Mapping[str, Any], dataset: str, asked: VlmParams, settings: Settings, paths: Paths
) -> Encoder:
    """Load the tuned text encoder of a dataset, with the weights that were chosen for it.

    Args:
        record: as `read_record` gives it.
        asked: the model that it was tuned from.

    Raises:
        UserError: the model is missing or damaged.
    """
    folder = paths.tuned(dataset).relative_to(paths.root)
    source = asked.model_copy(update={"model": f"local-dir:{folder}", "pretrained": None})
    vlm = load_vlm(source, settings.device, paths.root)
    return Encoder(vlm, Choice.of(dict(record)), settings.encode_batch, settings.look, True)


def _compare(name: str, found: object, of_index: object) -> None:
    if found != of_index:
        raise UserError(
            f"the index was made by another model: its {name} is {of_index!r}",
            "Search with the index's model (vlm in params.yaml, or --vlm), or run `lempo index` again, "
            "of a dataset after `dvc repro`",
            field=f"vlm.{name}",
            value=found,
        )
