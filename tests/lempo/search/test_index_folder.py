"""An index of a folder: what is embedded, what changes, what is left out, and what a kill leaves."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lempo.search import indexing
from lempo.search.indexing import Indexed, index_folder
from lempo.search.searcher import Query, Searcher
from lempo.search.settings import MANIFEST, Settings, read_manifest
from pipeline.base.errors import UserError
from pipeline.base.files import remember
from pipeline.base.params import VlmParams
from tests.trainer.tiny import make_vlm_folder

pytest.importorskip("lancedb")
NAMES = ("a.png", "b/ü 'x'.png", 'b/c\n".PNG', "b/c/d e.jpg", "--help.png", "$(x).webp")


@pytest.fixture
def settings(tiny_vlm: VlmParams) -> Settings:
    return Settings(tiny_vlm, device="cpu", workers=1)


def draw(file: Path, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), np.uint8)
    Image.fromarray(pixels).resize((40, 40), Image.Resampling.NEAREST).save(file)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for seed, name in enumerate(NAMES):
        draw(folder / name, seed)
    return folder


@pytest.fixture
def index(pictures: Path, settings: Settings) -> Callable[[], Indexed]:
    return lambda: index_folder(pictures, pictures / ".lempo-index", settings)


def counts(done: Indexed) -> tuple[int, int, int, int, int]:
    return done.rows, done.added, done.changed, done.removed, done.embedded


def test_an_image_of_any_name_finds_itself(pictures: Path, index: Callable[[], Indexed]) -> None:
    done = index()
    assert counts(done) == (6, 6, 0, 0, 6) and done.skipped == []
    searcher = Searcher(pictures / ".lempo-index")
    for name in NAMES:
        other = next(other for other in NAMES if other != name)
        hits = searcher.search(Query(image_id=name, k=9)).hits
        assert len(hits) == 5 and name not in [hit.image_id for hit in hits]
        copy = pictures.parent / f"copy{Path(name).suffix}"
        copy.write_bytes((pictures / name).read_bytes() + b"\0")  # other bytes, the same picture
        (best, *_) = searcher.search(Query(image=copy, k=1)).hits
        assert best.image_id == name and best.score == pytest.approx(1, abs=1e-3)
        assert searcher.picture(name) == pictures / name and searcher.picture(other).is_file()


def test_only_what_is_new_is_embedded(pictures: Path, index: Callable[[], Indexed]) -> None:
    index()
    assert counts(index()) == (6, 0, 0, 0, 0)
    draw(pictures / "new.png", 99)
    assert counts(index()) == (7, 1, 0, 0, 1)
    (pictures / "new.png").rename(pictures / "b/renamed.png")
    assert counts(index()) == (7, 1, 0, 1, 0)
    (pictures / "b/renamed.png").unlink()
    assert counts(index()) == (6, 0, 0, 1, 0)
    draw(pictures / "a.png", 98)
    assert counts(index()) == (6, 0, 1, 0, 1)
    os.utime(pictures / "a.png", (1, 1))
    assert counts(index()) == (6, 0, 1, 0, 0)
    (pictures / "copy.png").write_bytes((pictures / "a.png").read_bytes())
    assert counts(index()) == (7, 1, 0, 0, 0)


def test_files_that_did_not_change_are_not_read(
    pictures: Path, index: Callable[[], Indexed], monkeypatch: pytest.MonkeyPatch
) -> None:
    index()
    read: list[Path] = []
    monkeypatch.setattr(indexing, "hash_of", lambda path: read.append(path))
    index()
    assert read == []


def test_bad_files_are_left_out_with_a_reason(pictures: Path, index: Callable[[], Indexed]) -> None:
    (pictures / "broken.png").write_bytes((pictures / "a.png").read_bytes()[:60])
    (pictures / "empty.jpg").touch()
    (pictures / "notes.txt").write_text("x")
    (pictures / ".hidden.png").write_bytes(b"x")
    (pictures / "dead.png").symlink_to("nowhere")
    Path(os.fsdecode(os.fsencode(pictures) + b"/\xff.png")).write_bytes((pictures / "a.png").read_bytes())
    done = index()
    assert done.rows == 6
    assert sorted(Path(skipped.path).name for skipped in done.skipped) == [
        "broken.png",
        "empty.jpg",
        "\udcff.png",
    ]
    assert all(skipped.reason for skipped in done.skipped)
    (pictures / "a.png").write_bytes(b"no longer an image")
    assert index().rows == 5


def test_a_run_that_is_ended_goes_on(
    tmp_path: Path, pictures: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "_BLOCK", 2)
    out = tmp_path / "index"
    add, written = indexing.Database.add, []

    def ends(self: indexing.Database, *arguments: object, **named: object) -> None:
        add(self, *arguments, **named)  # type: ignore[arg-type]
        written.append(1)
        if len(written) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(indexing.Database, "add", ends)
    with pytest.raises(KeyboardInterrupt):
        index_folder(pictures, out, settings)
    with pytest.raises(UserError, match="no finished index"):
        Searcher(out)
    assert counts(index_folder(pictures, out, settings)) == (6, 2, 0, 0, 2)
    assert len(Searcher(out).search(Query(text="a red car", k=6)).hits) == 6


def test_another_model_embeds_anew_and_a_search_with_it_is_refused(
    tmp_path: Path, pictures: Path, settings: Settings, index: Callable[[], Indexed]
) -> None:
    index()
    out = pictures / ".lempo-index"
    folder = make_vlm_folder(tmp_path / "other", seed=1)
    other = VlmParams(model=f"local-dir:{folder}", pretrained=None, precision="fp32")
    with pytest.raises(UserError, match=r"vlm.model.*its model is.*tiny.*got.*other"):
        Searcher(out, vlm=other)
    weights = Path(str(settings.vlm.model).removeprefix("local-dir:")) / "open_clip_model.safetensors"  # type: ignore[union-attr]
    before = read_manifest(out)
    for name in ("weights_sha256", "architecture"):
        remember(out / MANIFEST, before | {"vlm": before["vlm"] | {name: "0"}})
        with pytest.raises(UserError, match=name):
            Searcher(out)
    assert weights.is_file()
    done = index_folder(pictures, out, Settings(other, device="cpu", workers=1))
    assert counts(done) == (6, 6, 0, 0, 6)
    assert read_manifest(out)["table"] != before["table"]
    assert len(list((out / "tables").iterdir())) == 1


def test_an_index_may_move_with_its_folder(pictures: Path, index: Callable[[], Indexed]) -> None:
    index()
    moved = pictures.rename(pictures.parent / "moved")
    assert Searcher(moved / ".lempo-index").picture("a.png") == moved / "a.png"


def test_a_damaged_manifest_is_written_again(pictures: Path, index: Callable[[], Indexed]) -> None:
    index()
    file = pictures / ".lempo-index" / MANIFEST
    file.write_text(file.read_text().replace("16", "17"))
    with pytest.raises(UserError, match="no finished index"):
        Searcher(file.parent)
    assert counts(index()) == (6, 0, 0, 0, 0)
    assert Searcher(file.parent).info()["rows"] == 6


def test_nothing_to_index(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no image"):
        index_folder(tmp_path / "empty", tmp_path / "out", settings)
    with pytest.raises(UserError, match="cannot be read"):
        index_folder(tmp_path / "none", tmp_path / "out", settings)
    with pytest.raises(UserError, match="no vision language model is named"):
        index_folder(tmp_path / "empty", tmp_path / "out", Settings())


def test_a_geotiff_is_seen_as_a_person_would_see_it(
    tmp_path: Path, pictures: Path, index: Callable[[], Indexed]
) -> None:
    rasterio = pytest.importorskip("rasterio")
    values = np.random.default_rng(7).integers(300, 3000, (4, 40, 40), np.uint16)  # four bands of 16 bits
    profile = {
        "driver": "GTiff",
        "width": 40,
        "height": 40,
        "count": 4,
        "dtype": "uint16",
        "crs": "EPSG:32632",
    }
    transform = rasterio.transform.from_origin(500000, 5000000, 0.5, 0.5)
    with rasterio.open(pictures / "deep.tif", "w", transform=transform, **profile) as file:
        file.write(values)
    assert counts(index())[:2] == (7, 7)
    searcher = Searcher(pictures / ".lempo-index")
    assert searcher.columns("deep.tif")["gsd"] == pytest.approx(0.5)
    assert searcher.columns("deep.tif")["bounds"]["left"] == 500000
    assert len(searcher.search(Query(text="a car", where="bounds.left = 500000")).hits) == 1
    with Image.open(searcher.picture("deep.tif")) as shown:
        assert shown.format == "PNG" and shown.mode == "RGB" and shown.size == (40, 40)
    copy = tmp_path / "copy.tif"
    copy.write_bytes((pictures / "deep.tif").read_bytes() + b"\0")
    (best, *_) = searcher.search(Query(image=copy, k=1)).hits
    assert best.image_id == "deep.tif" and best.score == pytest.approx(1, abs=1e-3)
    (pictures / "deep.tif").rename(pictures / "b/moved.tif")
    assert counts(index()) == (7, 1, 0, 1, 0)
    assert Searcher(pictures / ".lempo-index").picture("b/moved.tif").suffix == ".png"


def test_a_second_run_waits_for_the_first(pictures: Path, settings: Settings, tmp_path: Path) -> None:
    out = tmp_path / "index"
    with ThreadPoolExecutor(1) as pool:
        with indexing._index(out):
            second = pool.submit(index_folder, pictures, out, settings)
            with pytest.raises(TimeoutError):
                second.result(timeout=0.5)
            assert not (out / MANIFEST).exists()
        assert second.result().rows == 6
