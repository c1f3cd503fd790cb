"""Whether a model of the hub lies in the local cache or can be fetched; part of `lempo check`."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lempo.findings import shown_bytes
from pipeline.base.errors import UserError, refuse_odd

_ASK_S = 10.0  # for the hub to answer


@dataclass(frozen=True)
class HubModel:
    """A model that can be used.

    Attributes:
        folder: of its files in the local cache; None if they are to be fetched.
        fetch: bytes of weights to be fetched; 0 if they are here.
    """

    folder: Path | None
    fetch: int

    def __str__(self) -> str:
        if self.folder is not None:
            return "in the local cache of the hub"
        return f"not here yet: {shown_bytes(self.fetch)} of weights will be fetched from the hub"


def find_on_hub(name: str, revision: str | None, weights: Sequence[str], field: str) -> HubModel:
    """Find a hub model in the local cache; where it is not there, or not whole, ask the hub for it.

    Args:
        weights: endings of the files that hold them, as `.safetensors`; none where only small files matter.
        field: the parameter that names it.

    Raises:
        UserError: it is not in the local cache, and the hub cannot be reached or does not give it.
    """
    folder = _cached(name, revision)
    if folder is not None and _whole(folder, weights):
        return HubModel(folder, 0)
    return HubModel(None, _asked(name, revision, weights, field))


def _cached(name: str, revision: str | None) -> Path | None:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except Exception:  # of many kinds; each says that it is not there
        return None


def _whole(folder: Path, weights: Sequence[str]) -> bool:
    """Whether the weights are there, each part of them that an index names."""
    if not weights:
        return True
    for index in folder.glob("*.index.json"):
        if any(ending in index.name for ending in weights):
            refuse_odd(index)
            parts = set(json.loads(index.read_bytes())["weight_map"].values())
            return all((folder / part).is_file() for part in parts)
    return any(file.is_file() and file.name.endswith(tuple(weights)) for file in folder.iterdir())


def _asked(name: str, revision: str | None, weights: Sequence[str], field: str) -> int:
    """Bytes of the weights, as the hub says."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    def refused(reason: str, remedy: str, value: object = name) -> UserError:
        return UserError(reason, remedy, file="params.yaml", field=field, value=value)

    api = HfApi()
    try:
        info = api.model_info(name, revision=revision, files_metadata=True, timeout=_ASK_S)
        if info.gated:
            api.auth_check(name)
    except GatedRepoError:
        remedy = "Accept the model's terms on its page, and set HF_TOKEN"
        raise refused("the hub gives the model only to those who accepted its terms", remedy) from None
    except RevisionNotFoundError:
        raise refused("the hub has no such revision of the model", "Correct it", revision) from None
    except RepositoryNotFoundError:
        remedy = "Correct the name; for a private model set HF_TOKEN"
        raise refused("the hub has no such model", remedy) from None
    except Exception as error:
        state = "is told to be offline (HF_HUB_OFFLINE)" if _offline() else "cannot be reached"
        reason = f"the model is not in the local cache, and the hub {state}"
        remedy = f"Fetch it where there is a network (`hf download {name}`), or name a folder"
        said = " ".join(str(error).split()) or type(error).__name__
        raise refused(reason, remedy, f"{name}: {said}") from None
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    found = {ending: sum(size for file, size in sizes.items() if file.endswith(ending)) for ending in weights}
    if weights and not any(found.values()):
        endings = " or ".join(weights)
        raise refused(f"the hub's model holds no {endings} file", "Name a model with such weights")
    return next(filter(None, found.values()), 0)


def _offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE) or os.environ.get("TRANSFORMERS_OFFLINE") == "1"
