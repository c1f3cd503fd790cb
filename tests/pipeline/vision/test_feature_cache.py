"""Features kept between runs: by model and image bytes, whatever happens in between."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.vision.feature_cache import FeatureCache

HASHES = sorted(hashlib.sha256(bytes([i])).hexdigest() for i in range(20))
VECTORS = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float16)


def _cache(folder: Path, model: str = "m", dtype: str = "float16", dimension: int = 3) -> FeatureCache:
    return FeatureCache(folder, {"model": model}, dimension, dtype)


def test_rows_of_several_parts_come_back_in_any_order(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    cache.add(HASHES[:5], VECTORS[:5])
    cache.add(HASHES[5:], VECTORS[5:])
    order = np.random.default_rng(1).permutation(20)
    for opened in (cache, _cache(tmp_path)):
        (block,) = opened.blocks([HASHES[i] for i in order])
        np.testing.assert_array_equal(block, VECTORS[order])


def test_models_and_dtypes_do_not_mix(tmp_path: Path) -> None:
    _cache(tmp_path).add(HASHES, VECTORS)
    assert HASHES[0] in _cache(tmp_path)
    for other in (_cache(tmp_path, "n"), _cache(tmp_path, dtype="float32"), _cache(tmp_path, dimension=4)):
        assert HASHES[0] not in other
        with pytest.raises(KeyError):
            list(other.blocks(HASHES[:1]))


def test_a_half_written_or_damaged_part_does_not_count(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    cache.add(HASHES[:5], VECTORS[:5])
    cache.add(HASHES[5:], VECTORS[5:])
    vectors = sorted(cache.folder.glob("*.vectors.npy"))
    vectors[0].write_bytes(vectors[0].read_bytes()[:-1])
    opened = _cache(tmp_path)
    assert sum(key in opened for key in HASHES) in (5, 15)
    for path in cache.folder.glob("*.sha256.npy"):
        path.unlink()
    assert not any(key in _cache(tmp_path) for key in HASHES)
