"""Image features by real Ray Data: the rows of one machine, on two nodes of which one is killed."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import UserError
from pipeline.base.files import sha256_file
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.vision.cached import cached_features
from pipeline.vision.embedding import Spent
from pipeline.vision.ray_embedding import embed_on_ray
from pipeline.vision.reading import Source
from pipeline.vision.vlm import Vlm, load_vlm
from stages import corpus, embed
from tests.pipeline.cluster.nodes import one_node, running_replicas
from tests.pipeline.corpus.source import Source as Archive
from tests.trainer.tiny import make_params, vlm_folder

__all__ = ["make_params", "vlm_folder"]
MakeParams = Callable[..., Params]
pytestmark = pytest.mark.slow


def _on_ray(address: str | None, replicas: int, cores: int = 1) -> dict[str, Any]:
    ray = {"address": address, "replicas": replicas, "cpus_per_replica": cores}
    return {"embed_engine": "ray", "embed_batch": 4, "device": "cpu", "ray": ray}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with one_node(monkeypatch) as cluster:
        yield cluster


@pytest.fixture
def pictures(tmp_path: Path) -> list[Source]:
    return list(_pictures(tmp_path / "pictures", 160))


def _pictures(folder: Path, count: int) -> Iterator[Source]:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (30, 40, 3), np.uint8)
        Image.fromarray(pixels).save(file := folder / f"{number}.png")
        yield Source(file, sha256_file(file))


def _alone(vlm: Vlm, params: Params, sources: list[Source], folder: Path) -> Mapping[str, np.ndarray]:
    files = {source.sha256: source.path for source in sources}
    local = params.model_copy(update={"speed": params.speed.model_copy(update={"embed_engine": "local"})})
    cache, _ = cached_features(vlm, files, local, Paths(folder))
    return dict(zip(files, np.concatenate(list(cache.blocks(list(files)))), strict=True))


def test_a_node_killed_in_the_run_loses_no_image(
    cluster: Any, pictures: list[Source], make_params: MakeParams, tmp_path: Path
) -> None:
    params = make_params(speed=_on_ray(cluster.address, 2))
    vlm, spent = load_vlm(params.vlm, "cpu"), Spent()
    second = cluster.add_node(num_cpus=1)
    found: dict[str, np.ndarray] = {}
    killed_after = 0
    for names, vectors in embed_on_ray(vlm, params.vlm, params.speed, tmp_path, pictures, spent=spent):
        assert not found.keys() & set(names)
        found |= zip(names, vectors.astype(np.float16), strict=True)
        if not killed_after and len(running_replicas()) == 2:
            cluster.remove_node(second, allow_graceful=False)
            killed_after = len(found)
    assert 0 < killed_after < len(pictures) == len(found) == spent.images
    for sha256, vector in _alone(vlm, params, pictures, tmp_path / "alone").items():
        np.testing.assert_array_equal(found[sha256], vector)


def test_the_stage_starts_a_cluster_and_writes_the_same_bytes(
    make_params: MakeParams, tmp_path: Path
) -> None:
    """On two cores each task has worker processes, as it has more than a few images."""
    archive = Archive(tmp_path / "in/parks")
    for number, source in enumerate(_pictures(tmp_path / "more", 640)):
        source.path.rename(archive.folder / f"images/{number}.png")
    cores = min(2, len(os.sched_getaffinity(0)))
    paths, ways = Paths(tmp_path), {"local": {"embed_batch": 4}, "ray": _on_ray(None, 1, cores)}
    written = {}
    for way, speed in ways.items():
        params = make_params(datasets=["parks"], corpus={"root": "in"}, speed=speed)
        corpus.run(params, paths)
        embed.run(params, paths)
        written[way] = {file.name: file.read_bytes() for file in paths.features("parks").iterdir()}
        for part in (paths.cache / "features").rglob("*.npy"):
            part.unlink()
    assert written["ray"] == written["local"] and "vectors.npy" in written["ray"]
    Image.new("RGB", (9, 9)).save(archive.folder / "images/7.png")
    with pytest.raises(UserError, match=r"images/7\.png.*the image has changed: its sha256 is"):
        embed.run(params, paths)
    assert list((paths.cache / "features").rglob("*.npy"))  # what was embedded before it is kept


def test_a_machine_with_another_model_ends_the_run(make_params: MakeParams, tmp_path: Path) -> None:
    params = make_params(speed=_on_ray(None, 1))
    vlm = load_vlm(params.vlm, "cpu")
    other = Vlm(**{**vars(vlm), "identity": {**vlm.identity, "weights_sha256": "of another model"}})
    sources = list(_pictures(tmp_path / "pictures", 4))
    with pytest.raises(UserError, match=r"vlm\.model.*a machine .* has another model.*weights_sha256"):
        list(embed_on_ray(other, params.vlm, params.speed, tmp_path, sources, spent=Spent()))
