"""Features of image files that no table names; bytes that were embedded before are not embedded again."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.contracts import sha256_file
from pipeline.embedding import Seconds, Source, embed_images
from pipeline.errors import UserError
from pipeline.feature_cache import FeatureCache
from pipeline.params import Params
from pipeline.vlm import Vlm

_PART_ROWS = 8192  # features of so many images are kept at once; a kill loses no more


def file_features(vlm: Vlm, files: Sequence[Path], params: Params, cache: Path) -> np.ndarray:
    """L2-normalised features (N, D) of the files, in their order, of `embed.dtype`.

    Args:
        cache: the folder of features that the stage `embed` uses too.

    Raises:
        UserError: a file cannot be read or decoded, or its feature is not finite.
    """
    from PIL import __version__

    made_by = {**vlm.identity, "decoder": f"Pillow {__version__}"}  # as in the stage `embed`
    known = FeatureCache(cache, made_by, vlm.dimension, params.embed.dtype)
    with ThreadPoolExecutor(params.speed.workers) as pool:
        hashes = list(tqdm(pool.map(sha256_file, files), "read", len(files), unit="image", disable=None))
    missing = {key: file for key, file in zip(hashes, files, strict=True) if key not in known}
    sources = [Source(file, key) for key, file in sorted(missing.items())]
    with tqdm(total=len(sources), unit="image", desc="embed", disable=None) as progress:
        for start in range(0, len(sources), _PART_ROWS):
            part = sources[start : start + _PART_ROWS]
            vectors = np.concatenate(list(_embedded(vlm, part, params, progress)))
            known.add([source.sha256 for source in part], vectors)
    return np.concatenate(list(known.blocks(hashes)))


def _embedded(vlm: Vlm, sources: Sequence[Source], params: Params, progress: tqdm) -> Iterator[np.ndarray]:
    speed = params.speed
    try:
        for vectors in embed_images(
            vlm, sources, batch=speed.embed_batch, workers=speed.workers, seconds=Seconds()
        ):
            progress.update(len(vectors))
            yield vectors
    except UserError as error:
        raise UserError(
            error.problem.reason,
            "Restore the file as it was published; where the feature is at fault, set vlm.precision to fp32",
            file=error.problem.file,
        ) from None
