"""Where images lie on the map: GeoTIFFs, world files, and what follows for tiles."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.corpus.columns import Columns
from pipeline.corpus.georeference import bounds, world_file
from pipeline.corpus.raster import Look
from pipeline.corpus.rendering import Source, look_at
from pipeline.corpus.tiles import Tile

rasterio = pytest.importorskip("rasterio")
LOOK = Look(max_pixels=10**6)
WORLD = "0.5\n0\n0\n-0.5\n600000.25\n5499999.75\n"
UTM = (0.5, 0.0, 600_000.0, 0.0, -0.5, 5_500_000.0)


def _image(path: Path) -> Path:
    Image.fromarray(np.zeros((40, 80, 3), np.uint8)).save(path)
    return path


def _geotiff(path: Path, **options: object) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", width=80, height=40, count=3, dtype="uint8", **options
    ) as file:
        file.write(np.ones((3, 40, 80), np.uint8))
    return path


def _columns(source: Source, **extras: object) -> Columns:
    return Columns.of(extras, source)


@pytest.mark.parametrize(
    ("ending", "beside"), [("jpg", "jgw"), ("png", "wld"), ("tif", "TFW"), ("png", "pngw")]
)
def test_a_world_file_gives_the_corner_and_its_prj_the_crs(tmp_path: Path, ending: str, beside: str) -> None:
    path = _image(tmp_path / f"a.{ending}")
    path.with_suffix(f".{beside}").write_text(WORLD)
    path.with_suffix(".prj").write_text(rasterio.crs.CRS.from_epsg(32633).to_wkt())
    source = look_at(path, LOOK)
    assert source.georeference is not None and source.lost is None
    assert source.georeference.transform == UTM and source.georeference.crs == "EPSG:32633"
    assert source.gsd == 0.5


def test_a_geotiff_is_where_it_says(tmp_path: Path) -> None:
    path = _geotiff(tmp_path / "a.tif", crs="EPSG:32633", transform=rasterio.Affine(*UTM))
    source = look_at(path, LOOK)
    assert source.why is None and source.georeference is not None
    assert source.georeference.transform == UTM and source.georeference.crs == "EPSG:32633"
    row = _columns(source).row(Tile(20, 10, 20, 20))
    assert row["bounds"] == {"left": 600_010, "bottom": 5_499_985, "right": 600_020, "top": 5_499_995}
    assert row["gsd"] == 0.5 and row["crs"] == "EPSG:32633" and row["tile"]["x"] == 20
    assert _columns(source).row(None)["bounds"]["right"] == 600_040


def test_rotated_images_and_control_points_keep_their_place(tmp_path: Path) -> None:
    turned = (
        rasterio.Affine.translation(600_000, 5_500_000)
        @ rasterio.Affine.rotation(30)
        @ rasterio.Affine.scale(2, -2)
    )
    source = look_at(_geotiff(tmp_path / "a.tif", crs="EPSG:32633", transform=turned), LOOK)
    assert source.georeference is not None
    assert source.georeference.transform == pytest.approx(tuple(turned)[:6]) and source.gsd == 2
    corners = [turned @ (x, y) for x in (0, 80) for y in (0, 40)]
    assert bounds(source.georeference, 0, 0, 80, 40)[0] == pytest.approx(min(x for x, _ in corners))
    points = [
        rasterio.control.GroundControlPoint(row, column, 15 + column / 1000, 50 - row / 1000)
        for row, column in ((0, 0), (0, 80), (40, 0), (40, 80))
    ]
    source = look_at(_geotiff(tmp_path / "b.tif", gcps=points, crs="EPSG:4326"), LOOK)
    assert source.georeference is not None and source.georeference.crs == "EPSG:4326"
    assert bounds(source.georeference, 0, 0, 80, 40) == pytest.approx((15, 49.96, 15.08, 50))


def test_degrees_become_metres(tmp_path: Path) -> None:
    transform = rasterio.Affine(0.001, 0, 15, 0, -0.001, 60.02)
    source = look_at(_geotiff(tmp_path / "a.tif", crs="EPSG:4326", transform=transform), LOOK)
    assert source.gsd == pytest.approx((111.32**2 / 2) ** 0.5, rel=1e-3)
    transform = rasterio.Affine(1, 0, 0, 0, -1, 8_399_738 + 20)  # 60 degrees north in Web Mercator
    source = look_at(_geotiff(tmp_path / "b.tif", crs="EPSG:3857", transform=transform), LOOK)
    assert source.gsd == pytest.approx(0.5, rel=1e-3)


def test_what_annotations_state_wins(tmp_path: Path) -> None:
    source = look_at(_geotiff(tmp_path / "a.tif", crs="EPSG:32633", transform=rasterio.Affine(*UTM)), LOOK)
    columns = _columns(source, gsd=0.3, crs="local", date=None, licence="CC0", bounds=[0, 0, 8, 4], tag="x")
    row = columns.row(None)
    assert (row["gsd"], row["crs"], row["licence"], row["date"]) == (0.3, "local", "CC0", None)
    assert row["bounds"] == {"left": 0, "bottom": 0, "right": 8, "top": 4}
    assert json.loads(row["extra"]) == {"tag": "x"}


def test_stated_bounds_are_cut_with_the_image_and_odd_values_are_kept(tmp_path: Path) -> None:
    source = look_at(_image(tmp_path / "a.png"), LOOK)
    row = _columns(source, bounds=[0, 0, 8, 4]).row(Tile(40, 0, 40, 20))
    assert row["bounds"] == {"left": 4, "bottom": 2, "right": 8, "top": 4}
    row = _columns(source, gsd="about a metre", bounds=[1, 2]).row(None)
    assert row["gsd"] is None and row["bounds"] is None
    assert json.loads(row["extra"]) == {"gsd": "about a metre", "bounds": [1, 2]}


def test_a_bad_world_file_costs_the_place_alone(tmp_path: Path) -> None:
    path = _image(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text("1 2 three")
    source = look_at(path, LOOK)
    assert source.probe.error is None and source.georeference is None
    assert source.lost is not None and source.lost.reason == "a world file holds six numbers"
    assert world_file(_image(tmp_path / "b.png")) is None


def test_without_rasterio_a_geotiff_says_that_its_place_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _geotiff(tmp_path / "a.tif", crs="EPSG:32633", transform=rasterio.Affine(*UTM), photometric="RGB")
    monkeypatch.setitem(__import__("sys").modules, "rasterio", None)
    source = look_at(path, LOOK)
    assert source.probe.error is None and source.georeference is None
    assert source.lost is not None and "extra `geo`" in source.lost.remedy


def test_the_date_of_a_photograph_is_the_cameras(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[36867] = "2024:05:31 10:20:30"
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
    source = look_at(tmp_path / "a.jpg", LOOK)
    assert source.date == "2024-05-31T10:20:30"
    assert _columns(source).row(None)["date"] == "2024-05-31T10:20:30"
    assert _columns(source, date="2023").row(None)["date"] == "2023"
    assert look_at(_image(tmp_path / "b.png"), LOOK).date is None
