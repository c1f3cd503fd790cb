"""Targets: TIFF files that rasterio reads, and world files."""

from pathlib import Path

import pyarrow as pa

from pipeline.base.decode import UnusableImage
from pipeline.base.schemas import IMAGES
from pipeline.corpus.checks import Rejected
from pipeline.corpus.columns import Columns
from pipeline.corpus.raster import Look
from pipeline.corpus.rendering import Job, Source, look_at, render
from pipeline.corpus.tiles import Cutting, tiles
from tests.fuzz.target import Target, of_file

LOOK = Look(max_pixels=4_000_000, tile_size=32)


def raster(folder: Path) -> Target:
    """A TIFF of several bands: looked at, placed on the map, cut and rendered."""
    import numpy as np
    import rasterio

    values = np.arange(5 * 40 * 50).reshape(5, 40, 50)
    profile = {"driver": "GTiff", "count": 5, "height": 40, "width": 50, "photometric": "MINISBLACK"}
    profile |= {"crs": "EPSG:32633", "transform": rasterio.Affine(1, 0, 5e5, 0, -1, 5e6)}
    seeds = []
    for number, options in enumerate(
        ({"dtype": "uint16"}, {"dtype": "float32", "nodata": 7}, {"dtype": "uint8", "compress": "deflate"})
    ):
        path = folder / f"seed{number}.tif"
        with rasterio.open(path, "w", **profile, **options) as file:
            file.write(values.astype(options["dtype"]))
        seeds.append(path.read_bytes())
    path = folder / "image.tif"
    path.write_bytes(seeds[0])
    return of_file(path, lambda: _use(path, folder), *seeds[1:])


def world_file(folder: Path) -> Target:
    from PIL import Image

    Image.new("RGB", (40, 30)).save(folder / "image.png")
    path = folder / "image.pgw"
    path.write_text("0.5\n0\n0\n-0.5\n600000.25\n5499999.75\n")
    return of_file(path, lambda: _use(folder / "image.png", folder))


def _use(path: Path, folder: Path) -> None:
    source = look_at(path, LOOK)
    if source.probe.error is not None:
        raise UnusableImage(source.probe.error, source.probe.remedy)
    _row(source)
    parts = tuple(tiles(source.probe.width, source.probe.height, Cutting(32)))[:4]
    done = render(Job(path, source, parts), LOOK, folder / "cache")
    if done.error is not None:
        raise UnusableImage(done.error, done.remedy)
    assert len(done.pictures) == len(parts or (1,))
    if source.lost is not None:
        raise Rejected(str(source.lost), source.lost.remedy)


def _row(source: Source) -> None:
    required = {"image_id": "a", "split": "train", "path": "a", "sha256": "a", "width": 1, "height": 1}
    pa.Table.from_pylist([{**required, **Columns.of({}, source).row(None)}], schema=IMAGES)
