"""Features kept between runs: by model and image bytes, whatever happens in between."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.storage import _seen
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


def test_what_a_killed_writer_left_goes_when_the_cache_is_opened(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    cache.add(HASHES, VECTORS)
    left = cache.folder / ".part.sha256.npy.1.tmp"
    left.mkdir()
    _seen.clear()  # as in a new process
    assert HASHES[0] in _cache(tmp_path) and not left.exists()


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
    assert sum(key in opened for key in HASHES) in (5, 15) and opened.damaged == 1
    assert len(list(cache.folder.glob("*.damaged"))) == 2
    for path in cache.folder.glob("*.sha256.npy"):
        path.unlink()
    assert not any(key in _cache(tmp_path) for key in HASHES)


def test_any_flipped_bit_is_noticed(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    cache.add(HASHES, VECTORS)
    for part, whole in [(part, part.read_bytes()) for part in cache.folder.iterdir()]:
        for place in range(0, len(whole), 13):
            cache.add(HASHES, VECTORS)
            part.write_bytes(whole[:place] + bytes([whole[place] ^ 2]) + whole[place + 1 :])
            opened = _cache(tmp_path)
            if HASHES[0] in opened:  # a blank in a header
                np.testing.assert_array_equal(next(opened.blocks(HASHES)), VECTORS)
            else:
                assert opened.damaged == 1


def test_parts_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    cache = _cache(tmp_path)
    cache.add(HASHES, VECTORS)
    for part in list(cache.folder.iterdir()):
        part.rename(part.with_name(part.name[:32] + part.name[64:]))
    assert all(key in _cache(tmp_path) for key in HASHES)
