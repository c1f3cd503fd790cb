"""The embed stage: right features, only of what is new, refused when the images are not the corpus's."""

import json
import os
import resource
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.base.errors import UserError, of_the_machine
from pipeline.base.expected import MANIFEST_NAME
from pipeline.base.metrics_io import read_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.vision import batch_size, cached, embedding, reading
from pipeline.vision.features import MANIFEST, read_features
from pipeline.vision.vlm import load_vlm
from stages import corpus, embed
from tests.described import disagreements
from tests.pipeline.corpus.source import Source
from tests.trainer.tiny import make_params, vlm_folder

__all__ = ["make_params", "vlm_folder"]
MakeParams = Callable[..., Params]


@pytest.fixture
def project(tmp_path: Path, make_params: MakeParams) -> tuple[Paths, MakeParams]:
    Source(tmp_path / "in/parks", shared=True)
    Source(tmp_path / "in/roofs", shared=True)

    def make(**sections: object) -> Params:
        changed = {"datasets": ["parks", "roofs"], "speed": {"embed_batch": 4}}
        changed["corpus"] = {"root": "in", "allow_shared_images": True}
        return make_params(**(changed | sections))

    paths = Paths(tmp_path)
    corpus.run(make(), paths)
    return paths, make


def _speed(paths: Paths) -> tuple[int, int]:
    speed = read_metrics(paths.speed("embed"))
    return speed["embedded"], speed["cached"]


def _features(paths: Paths) -> dict[str, bytes]:
    return {
        str(path.relative_to(paths.root)): path.read_bytes()
        for path in sorted((paths.root / "data/features").rglob("*.*"))
    }


def _add_noise(paths: Paths, count: int) -> None:
    for i in range(count):
        Image.effect_noise((40, 30), 10.0 + i).save(paths.root / f"in/parks/images/noise{i}.png")


def test_features_are_those_of_the_model(project: tuple[Paths, MakeParams]) -> None:
    paths, make = project
    params = make()
    embed.run(params, paths)
    vlm = load_vlm(params.vlm, "cpu")
    features = read_features(paths.features("parks"), {**vlm.identity, "dtype": "float16", "dimension": 16})
    assert features.ids == sorted(features.ids) and len(features.ids) == 9
    for image_id in ("test-blue", "val-red"):
        image = Image.open(paths.root / f"in/parks/images/{image_id}.png")
        with torch.no_grad():
            wanted = vlm.model.encode_image(vlm.preprocess(image)[None], normalize=True)[0]
        found = torch.from_numpy(features.vectors[features.row_of[image_id]].astype(np.float32))
        torch.testing.assert_close(found, wanted, atol=2e-3, rtol=0)
    np.testing.assert_allclose(np.linalg.norm(features.vectors.astype(np.float32), axis=1), 1, atol=2e-3)
    metrics = read_metrics(paths.metrics("embed"))
    assert metrics["parks"] == {"rows": 9, "dimension": 16} and metrics["all"]["rows"] == 18
    assert metrics["model"] == vlm.identity


def test_every_key_of_the_manifest_is_described(project: tuple[Paths, MakeParams]) -> None:
    paths, make = project
    embed.run(make(), paths)
    manifest = json.loads((paths.features("parks") / MANIFEST_NAME).read_text())
    assert not disagreements(MANIFEST, manifest)
    assert disagreements(MANIFEST, {**manifest, "new": 1, "rows": "9", "pixels": None}) == {
        "new is not described",
        "rows is string, not int64",
        "pixels is null",
    }


def test_only_what_is_new_is_embedded(project: tuple[Paths, MakeParams]) -> None:
    paths, make = project
    embed.run(make(), paths)
    # both datasets and all splits hold the same three pictures
    assert _speed(paths) == (3, 0)
    first = _features(paths)
    embed.run(make(), paths)
    assert _speed(paths) == (0, 3)
    assert _features(paths) == first
    Image.new("RGB", (40, 30), (9, 9, 9)).save(paths.root / "in/parks/images/new.png")
    corpus.run(make(), paths)
    embed.run(make(), paths)
    assert _speed(paths) == (1, 3)
    embed.run(make(embed={"dtype": "float32"}), paths)
    assert _speed(paths) == (4, 0)
    assert read_features(paths.features("parks")).vectors.dtype == np.float32


def test_another_architecture_embeds_anew(project: tuple[Paths, MakeParams], vlm_folder: Path) -> None:
    paths, make = project
    shutil.copytree(vlm_folder, paths.root / "vlm")
    params = make(vlm={"model": "local-dir:vlm"})
    embed.run(params, paths)
    before = np.array(read_features(paths.features("parks")).vectors)
    file = paths.root / "vlm/open_clip_config.json"
    config = json.loads(file.read_text())
    config["model_cfg"]["vision_cfg"]["head_width"] //= 2
    file.write_text(json.dumps(config))
    embed.run(params, paths)
    assert _speed(paths) == (3, 0)
    assert not np.array_equal(read_features(paths.features("parks")).vectors, before)


def test_products_of_bfloat16_change_the_last_digits_and_the_name(project: tuple[Paths, MakeParams]) -> None:
    paths, make = project
    params = make(embed={"dtype": "float32"})
    embed.run(params, paths)
    plain = np.array(read_features(paths.features("parks")).vectors)
    mixed = params.model_copy(update={"vlm": params.vlm.model_copy(update={"precision": "amp_bf16"})})
    embed.run(mixed, paths)
    assert _speed(paths) == (3, 0)  # nothing of the other precision is taken from the cache
    found = read_features(paths.features("parks"))
    assert found.manifest["precision"] == "amp_bf16"
    assert not np.array_equal(found.vectors, plain)
    assert (found.vectors * plain).sum(axis=1).min() > 0.999
    vlm = load_vlm(mixed.vlm, "cpu")
    assert {weight.dtype for weight in vlm.model.parameters()} == {torch.float32}
    tokens = vlm.tokenize(["a red car"])
    assert torch.equal(vlm.model.encode_text(tokens), load_vlm(params.vlm, "cpu").model.encode_text(tokens))


def test_all_images_that_have_changed_are_named(project: tuple[Paths, MakeParams]) -> None:
    paths, make = project
    _add_noise(paths, 3)
    corpus.run(make(), paths)
    images = sorted((paths.root / "in/parks/images").glob("noise*"))
    images[0].unlink()
    images[2].write_bytes(b"no image")
    with pytest.raises(UserError, match="1 more are missing or have changed: ") as raised:
        embed.run(make(), paths)
    assert images[0].name in str(raised.value) and images[2].name in str(raised.value)


def test_a_killed_run_is_continued_to_the_same_bytes(
    project: tuple[Paths, MakeParams], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, make = project
    _add_noise(paths, 23)
    corpus.run(make(), paths)
    monkeypatch.setattr(cached, "_PART_ROWS", 8)
    embed.run(make(), paths)
    whole = _features(paths)
    for path in sorted((paths.cache / "features").rglob("*")):
        if path.is_file():
            path.unlink()
    real = cached.embed_images

    def killed(*args: object, **keywords: object) -> object:
        for number, block in enumerate(real(*args, **keywords)):  # type: ignore[arg-type]
            if number == 3:
                raise KeyboardInterrupt
            yield block

    with monkeypatch.context() as patch:
        patch.setattr(cached, "embed_images", killed)
        with pytest.raises(KeyboardInterrupt):
            embed.run(make(), paths)
    embed.run(make(), paths)
    assert _speed(paths) == (14, 12)
    assert _features(paths) == whole


@pytest.mark.parametrize("cores", [2, 99])
def test_workers_give_the_same_with_the_model_in_them_and_without(
    project: tuple[Paths, MakeParams], monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    paths, make = project
    embed.run(make(), paths)
    first = _features(paths)
    for path in (paths.cache / "features").rglob("*.npy"):
        path.unlink()
    monkeypatch.setattr(embedding, "_IN_PROCESS", 0)
    monkeypatch.setattr(embedding, "usable_cores", lambda: cores)
    here = threading.get_ident(), os.getpid()
    ran_in: list[tuple[int, int]] = []
    encoded = embedding._encoded

    def noted(*arguments: Any) -> Any:
        ran_in.append((threading.get_ident(), os.getpid()))
        return encoded(*arguments)

    monkeypatch.setattr(embedding, "_encoded", noted)
    embed.run(make(speed={"embed_batch": 2, "workers": 2}), paths)
    assert ran_in == ([] if cores == 2 else [here] * 2)
    assert _speed(paths) == (3, 0)
    assert _features(paths) == first


@pytest.mark.parametrize("in_process", [64, 0])
def test_an_image_that_changed_is_named_with_both_hashes(
    project: tuple[Paths, MakeParams], monkeypatch: pytest.MonkeyPatch, in_process: int
) -> None:
    paths, make = project
    monkeypatch.setattr(embedding, "_IN_PROCESS", in_process)
    image = paths.root / "in/roofs/images/val-red.png"
    Image.new("RGB", (40, 30)).save(image)
    for name in ("parks", "roofs"):
        for split in ("train", "val", "test"):
            (paths.root / f"in/{name}/images/{split}-red.png").write_bytes(image.read_bytes())
    with pytest.raises(UserError, match=r"sha256 is [0-9a-f]{64}, the corpus says [0-9a-f]{64}") as caught:
        embed.run(make(), paths)
    assert str(caught.value.problem.file).endswith("red.png")


def test_an_image_that_is_gone_is_named(project: tuple[Paths, MakeParams]) -> None:
    paths, make = project
    for path in (paths.root / "in").rglob("*-blue.png"):
        path.unlink()
    with pytest.raises(UserError, match=r"blue\.png.*No such file"):
        embed.run(make(), paths)
    assert not paths.metrics("embed").exists()


def test_what_was_embedded_before_an_unusable_image_is_kept(
    project: tuple[Paths, MakeParams], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, make = project
    _add_noise(paths, 10)
    corpus.run(make(), paths)
    with_all = embed.cached_features
    last: list[Path] = []

    def without_the_last(vlm: Any, files: dict[str, Path], *rest: Any) -> Any:
        last.append(files[max(files)])
        last[0].rename(last[0].with_suffix(".away"))
        return with_all(vlm, files, *rest)

    monkeypatch.setattr(embed, "cached_features", without_the_last)
    with pytest.raises(UserError, match="No such file"):
        embed.run(make(), paths)
    monkeypatch.undo()
    last[0].with_suffix(".away").rename(last[0])
    embed.run(make(), paths)
    assert _speed(paths) == (1, 12)


def test_an_error_of_the_model_in_a_worker_is_no_dead_worker(
    project: tuple[Paths, MakeParams], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, make = project
    monkeypatch.setattr(embedding, "_IN_PROCESS", 0)
    monkeypatch.setattr(embedding, "usable_cores", lambda: 2)

    def broken(*_: object) -> None:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(embedding, "_encoded", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit") as caught:
        embed.run(make(speed={"embed_batch": 4, "workers": 2}), paths)
    assert of_the_machine(caught.value) is None


def test_auto_measures_with_the_threads_that_the_model_will_have(
    project: tuple[Paths, MakeParams], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, make = project
    embed.run(make(speed={"embed_batch": 32}), paths)
    first = _features(paths)
    for path in (paths.cache / "features").rglob("*.npy"):
        path.unlink()
    asked: list[int | None] = []
    monkeypatch.setattr(batch_size, "_WORTH", 0)
    monkeypatch.setattr(batch_size, "_rates", lambda vlm, threads: asked.append(threads) or {8: 1.0})
    monkeypatch.setattr(embedding, "usable_cores", lambda: 2)
    embed.run(make(speed={"embed_batch": "auto", "workers": 2}), paths)
    assert asked == [1] and read_metrics(paths.speed("embed"))["batch"] == 8
    assert _features(paths) == first


def test_a_killed_worker_is_an_error_with_a_remedy(
    project: tuple[Paths, MakeParams], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, make = project
    monkeypatch.setattr(embedding, "_IN_PROCESS", 0)
    monkeypatch.setattr(reading, "decode", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid") as caught:
        embed.run(make(speed={"embed_batch": 4, "workers": 2}), paths)
    known = of_the_machine(caught.value)
    assert known is not None and "a worker process ended" in str(known)


def test_workers_without_shared_memory_end_the_stage_and_nobody_waits(
    project: tuple[Paths, MakeParams], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, make = project
    monkeypatch.setattr(embedding, "_IN_PROCESS", 0)
    monkeypatch.setattr(embedding, "usable_cores", lambda: 99)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(UserError, match=r"no shared memory for images.*ulimit -f"):
            embed.run(make(), paths)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
